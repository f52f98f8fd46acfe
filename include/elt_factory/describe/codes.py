"""What the codes of errors and warnings mean, and which codes the code raises."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

ERRORS: Mapping[str, tuple[str, str]] = {
    "bad-name": (
        "A name that is not valid for a DAG, table, column or connection.",
        "The hint lists the allowed characters.",
    ),
    "bad-value": ("A value that its field does not accept.", "The hint shows the expected format."),
    "broken-kind": (
        "A package that adds a kind to the language cannot be used.",
        "Correct the package, or remove it.",
    ),
    "cannot-build": ("The config is valid, but building the DAG failed.", "The message contains the cause."),
    "conflict": ("Two parts of the config contradict each other.", "Remove one, or complete the other."),
    "connection-type": (
        "An Airflow connection whose type does not fit the source or sensor that names it.",
        "Change the connection's type, or correct its id. A type that ELT Factory does not know is a warning.",
    ),
    "cycle": ("Sources wait for each other in a cycle.", "Remove one of the sensors in the cycle."),
    "dbt-executable": (
        "A dbt that the deployment does not let configs start.",
        "Add its path to `ELT_DBT_EXECUTABLES` in the environment of Airflow, or remove `executable`.",
    ),
    "dbt-manifest": ("The dbt manifest is missing or unreadable.", "Run `elt setup`."),
    "dbt-selection": (
        "A dbt selector that matches no models.",
        "Correct the selector, or run `elt setup` after adding a model.",
    ),
    "duplicate-key": ("A key that is repeated in one mapping.", "Keep one of them."),
    "duplicate-name": ("A name that another file already uses.", "Choose another name."),
    "empty": ("An empty file.", "Write a config, or delete the file."),
    "incomplete": (
        "A part is missing: a deadline without a time, a check without a rule.",
        "Add the missing part.",
    ),
    "missing-extra": (
        "Something that the config uses needs packages that are not installed.",
        "The hint has the command that installs them.",
    ),
    "missing-key": ("A required key is missing.", "Add it."),
    "not-a-default": (
        "`name`, `extract` or `tables` in `_defaults.yaml`; `name`, `version` or `environments` in an environment.",
        "Move it to the config.",
    ),
    "not-sql": (
        "An `expression` that is not valid SQL.",
        "Write a condition on the columns, like `arr_delay >= -120`.",
    ),
    "secret": ("A password, token or key in the file.", "Put it into the Airflow connection."),
    "too-deep": ("The config is nested too deeply.", "Look for a list or mapping that contains itself."),
    "too-large": ("The file, or the expansion of its aliases, is too large.", "Split it."),
    "unknown-column": (
        "A key, cursor, date or check uses a column that is not declared under a strict `schema_contract`.",
        "Declare it under `columns`, or correct the name.",
    ),
    "unknown-notifier": (
        "A `notifier` in a route of `alerts` that cannot be imported, or is not a notifier of Airflow's.",
        "Install the provider that has it, or write its module and class as Python imports them.",
    ),
    "unknown-connection": ("An Airflow connection that does not exist.", "Create it, or correct its id."),
    "unknown-key": (
        "A key that does not exist at this location.",
        "The hint suggests the nearest key, or its correct location.",
    ),
    "unknown-kind": ("A `type` that does not exist.", "The hint suggests the nearest."),
    "unknown-name": ("An unknown name in a template.", "The hint suggests the nearest."),
    "unknown-source": (
        "A sensor for a source that does not exist, or has no tables.",
        "Use a source that has tables.",
    ),
    "unknown-table": ("A check or sensor for an unknown table.", "Use a table of the config."),
    "unknown-value": (
        "A value that is not one of the allowed values.",
        "The hint suggests the nearest, or lists all of them.",
    ),
    "unreadable": (
        "A file that cannot be opened, or is not valid UTF-8.",
        "Save it as UTF-8, and check its permissions.",
    ),
    "wrong-ending": ("A config whose file name ends with .YAML or .YML.", "Rename it: .yaml or .yml."),
    "wrong-type": (
        "A value of the wrong type, such as a list instead of a mapping.",
        "The hint shows how to write it.",
    ),
    "yaml-alias": ("An alias that refers to the block that contains it, or to nothing.", "Use another anchor."),
    "yaml-key": ("A key that is not plain text.", "Put a template in quotes; write text before the colon."),
    "yaml-merge": ("`<<` without mappings.", "Write `<<: *anchor`."),
    "yaml-syntax": ("Invalid YAML.", "The caret marks where parsing stopped; the cause is there or just before."),
    "yaml-tag": ("A tag such as `!!python/object`.", "Write the value without it."),
}
LIVE: Mapping[str, tuple[str, str]] = {
    "no-answer": ("The source could not be read (`--live`).", "The message is the one a run would fail with."),
    "sample-rejected": (
        "Records of the sample that the contract rejects (`--live`).",
        "Fix `columns`, or the source.",
    ),
    "nothing-read": (
        "The source responded without records for the window (`--live`).",
        "Choose another window with `--start` and `--end`.",
    ),
}
WARNINGS: Mapping[str, tuple[str, str]] = {
    "end-of-pages": (
        "No page contains what the paginator looks for, so only the first page is read (`--live`).",
        "Check a response and correct the path in `paginator`; some APIs omit it on the last page.",
    ),
    "key-rewritten": (
        "The path of a child has a column whose type does not keep the text that the API wrote.",
        "Write `type: text` for the column in the parent, if it is a key of the API.",
    ),
    "append-again": (
        "Every run appends all rows: nothing selects new rows, and the rows of the last run stay.",
        "Use `write_disposition: merge` or `replace`, or read by window: `incremental`, or the window in the path.",
    ),
    "append-beyond": (
        "The request names one end of the window: rows beyond the other are appended, and again by their window.",
        "Name both ends, or add `incremental` with the time of the rows: those beyond the window are then left out.",
    ),
    "default-cursor": (
        "A paginator of type cursor without `cursor_path`: a response without `next` counts as the last page.",
        "Add `cursor_path`, even if it is `next`.",
    ),
    "json-key": (
        "A column of the `primary_key` has `type: json`, which Snowflake never finds again.",
        "Write `type: text`, and run once with full refresh.",
    ),
    "idle-declaration": (
        "`declared_rows` says where a delivery has its number of rows, but no check compares the load with it.",
        "Add the check `row_count: {within: 0%, of: source}`, or remove `declared_rows`.",
    ),
    "near-column": (
        "A key, cursor, business date or check uses an undeclared column, and a declared one has a similar name.",
        "Correct the name, or declare the column under `columns`.",
    ),
    "no-business-date": (
        "Without a business date, stale data looks like fresh data.",
        "Set `business_date` to a column.",
    ),
    "no-deadline": ("The DAG is scheduled, but no alert is sent when it is late.", "Add `deadline`."),
    "no-freshness": (
        "There is a business date, but no check or sensor uses it.",
        "Add a freshness sensor or check with `business_date_within`.",
    ),
    "no-lag": (
        "Rows that arrive late, behind the cursor, are never read.",
        "Add `lag` to `incremental`, as long as a record may be late.",
    ),
    "no-owner": ("The config has no owner.", "Add `owner`, here or in `_defaults.yaml`."),
    "no-quality": ("Loaded rows are not checked.", "Add `quality`, or `checks` to columns."),
    "start-in-future": (
        "`start_date` or `initial` is more than a year ahead: until then no run starts, or nothing is read.",
        "Correct the date.",
    ),
    "unused-param": (
        "The trigger form shows a param that no template uses.",
        "Use it in a template, or remove it.",
    ),
    "where-keeps-old": (
        "A row that no longer meets `where` is not loaded, so the version that was loaded before stays.",
        "Add `deletes: {filtered: true}`, which deletes it, or filter in the transform.",
    ),
    "window-is-all": (
        "`scd2` without `incremental` treats each load as a full snapshot, but only a window's rows are read.",
        "Add `incremental`, unless each response has all rows, like a dated dump or `?as_of=`.",
    ),
    "part-of-slice": (
        "`slices` has pieces of several days, and the request of each names its first day and no end.",
        "Write `slices: 1d`, or name the end of the piece too. Where the API answers for all of it, this is fine.",
    ),
    "window-unused": (
        "`incremental` is set, but the request does not select new records: every run reads everything.",
        'Use `"{{ window.start }}"` or `"{{ cursor }}"` in `path` or `params`.',
    ),
}

_INTRO = """\
# Errors and warnings

A message about a config has a location, a code and a hint: `file:line:column: message [code]`. `elt validate` exits
with status 1 on errors; warnings report what is valid but unwise, and do not change the exit status.
"""
_HERE = Path(__file__).resolve().parents[1]
_RAISING = ("config/**/*.py", "dag/config_dag.py", "dag/neighbours.py")
_CODE = re.compile(r"[a-z]+(?:-[a-z]+)*")
_MAKERS = ("Problem", "_single", "_problem")


def codes_document() -> str:
    """Return the list of codes as Markdown, out of the code."""
    raised = {code: ERRORS.get(code, ("", "See the message.")) for code in sorted(raised_codes() | _elsewhere())}
    chapters = (("Errors", raised), ("Findings of `elt validate --live`", LIVE), ("Warnings", WARNINGS))
    lines = [_INTRO]
    for title, entries in chapters:
        lines += [f"## {title}", "", *_table(entries), ""]
    return "\n".join(lines)


def raised_codes() -> set[str]:
    """Return the codes that the reading of configs and the building of DAGs raise, found in their code."""
    files = sorted(file for pattern in _RAISING for file in _HERE.glob(pattern))
    return {code for file in files for code in _codes_in(ast.parse(file.read_text(encoding="utf-8")))}


def _elsewhere() -> set[str]:
    """Return what `elt validate` finds by itself: with `--connections`, and in SQL that DuckDB's parser reads."""
    return {"unknown-connection", "unknown-notifier", "connection-type", "not-sql"}


def _codes_in(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from _texts(keyword.value for keyword in node.keywords if keyword.arg == "code")
            if _called(node) in _MAKERS and len(node.args) > 1:
                yield from _texts([node.args[1]])
        elif isinstance(node, ast.Tuple) and len(node.elts) > 1 and isinstance(node.elts[0], ast.Tuple):
            # (path, code, ...): a problem before it is one
            yield from _texts([node.elts[1]])
        elif isinstance(node, ast.arguments):
            named = zip(node.kwonlyargs, node.kw_defaults, strict=True)
            yield from _texts(default for argument, default in named if argument.arg == "code" and default)


def _texts(nodes: Iterator[ast.expr] | list[ast.expr]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _CODE.fullmatch(node.value):
            yield node.value


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _table(entries: Mapping[str, tuple[str, str]]) -> Iterator[str]:
    yield "| code | meaning | how to fix |"
    yield "| --- | --- | --- |"
    for code, (meaning, fix) in entries.items():
        yield f"| `{code}` | {meaning} | {fix} |"
