"""What the codes of errors and warnings mean, and which codes the code raises."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

ERRORS: Mapping[str, tuple[str, str]] = {
    "bad-name": (
        "A name that cannot be a DAG, table, column or connection.",
        "The message says which letters it may have.",
    ),
    "bad-value": ("A value that its field does not take.", "The hint shows how such values are written."),
    "broken-kind": (
        "A package that adds a kind to the language cannot be used.",
        "Correct the package, or remove it.",
    ),
    "cannot-build": ("The config is right, yet no DAG could be built from it.", "The message has the cause."),
    "conflict": ("Two parts of the config that cannot both stand.", "Take one away, or complete the other."),
    "cycle": ("Sources that wait for each other, so that none begins.", "Leave out one of the sensors on the way."),
    "dbt-manifest": ("The dbt manifest is missing or cannot be read.", "Run `elt setup`."),
    "dbt-selection": (
        "A dbt selector that no model answers to.",
        "Correct the selector, or run `elt setup` after adding a model.",
    ),
    "duplicate-key": ("A key that stands twice in one mapping.", "Keep one of them."),
    "duplicate-name": ("A name that another file has already.", "Give this config a name of its own."),
    "empty": ("A file with nothing in it.", "Write a config, or delete the file."),
    "incomplete": (
        "Something that needs one more part: a deadline without a time, a check without a rule.",
        "Add the part.",
    ),
    "missing-key": ("A key that is needed is not there.", "Add it."),
    "not-a-default": (
        "`name`, `extract` or `tables` in `_defaults.yaml`; `name`, `version` or `environments` in an environment.",
        "Move it to the config.",
    ),
    "not-sql": (
        "An `expression` that no SQL parser understands.",
        "Write a condition over the columns, like `arr_delay >= -120`.",
    ),
    "secret": ("A password, token or key in the file.", "Put it into the Airflow connection."),
    "too-deep": ("More levels of nesting than a config has.", "Look for a list or mapping within itself."),
    "too-large": ("A file, or what its aliases unfold to, beyond all measure.", "Split it."),
    "unknown-column": (
        "A key, cursor, date or check names a column that a strict `schema_contract` does not declare.",
        "Declare it under `columns`, or correct the name.",
    ),
    "unknown-connection": ("An Airflow connection that does not exist.", "Create it, or correct its id."),
    "unknown-key": (
        "A key that the language does not have at this place.",
        "The hint has the nearest, or its right place.",
    ),
    "unknown-kind": ("A `type` that does not exist.", "The hint has the nearest."),
    "unknown-name": ("A name in a template that does not exist.", "The hint has the nearest."),
    "unknown-source": (
        "A sensor for a source that is not there, or loads nothing.",
        "Name a source that loads tables.",
    ),
    "unknown-table": ("A check or sensor for a table that is not loaded.", "Name one that is."),
    "unknown-value": ("A word where only certain words may stand.", "The hint has the nearest, or all of them."),
    "unreadable": ("A file that cannot be opened, or is no UTF-8 text.", "Save it as UTF-8; look at its permissions."),
    "wrong-ending": ("A config whose file name ends with .YAML or .YML.", "Rename it: .yaml or .yml."),
    "wrong-type": (
        "A list where a mapping belongs, a number where text belongs, and the like.",
        "The hint shows how to write it.",
    ),
    "yaml-alias": ("An alias that refers to the block it stands in, or to nothing.", "Name another anchor."),
    "yaml-key": ("A key that is no plain text.", "Put a template in quotes; write text before the colon."),
    "yaml-merge": ("`<<` without mappings.", "Write `<<: *anchor`."),
    "yaml-syntax": ("Not YAML.", "The caret is where reading ended; the cause is there or just before it."),
    "yaml-tag": ("A tag such as `!!python/object`.", "Write the value without it."),
}
LIVE: Mapping[str, tuple[str, str]] = {
    "no-answer": ("The source could not be read (`--live`).", "The message is the one that a run would fail with."),
    "sample-rejected": (
        "Records of the sample that the contract rejects (`--live`).",
        "Fix `columns`, or the source.",
    ),
    "nothing-read": (
        "The source answered, and had no records for the window (`--live`).",
        "Give another one: `--start`, `--end`.",
    ),
}
WARNINGS: Mapping[str, tuple[str, str]] = {
    "end-of-pages": (
        "What the paginator looks for is on no page, so only the first page is read (`--live`).",
        "Look at an answer and correct the path in `paginator`; some APIs leave it out on the last page.",
    ),
    "append-again": (
        "Every run appends everything: nothing says what is new, and the rows of the last run stay.",
        "Write `write_disposition: merge` or `replace`, or read by window: `incremental`, or the window in the path.",
    ),
    "default-cursor": (
        "A paginator of type cursor without `cursor_path`: an answer without `next` is taken for the last page.",
        "Add `cursor_path`, even where it is `next`.",
    ),
    "near-column": (
        "A key, cursor, business date or check names a column that is not declared, and one of nearly that name is.",
        "Correct the name, or declare the column under `columns`.",
    ),
    "no-business-date": (
        "Nothing says when a row happened, so nobody can tell stale data from fresh.",
        "Name the column in `business_date`.",
    ),
    "no-deadline": ("It runs by schedule, and nobody hears when it is late.", "Add `deadline`."),
    "no-freshness": (
        "There is a business date, and nothing looks at it.",
        "Add a freshness sensor or check with `business_date_within`.",
    ),
    "no-lag": (
        "What arrives late in the source, behind the cursor, is never read.",
        "Add `lag` to `incremental`: as long as a record may be late.",
    ),
    "no-owner": ("Nobody answers for it.", "Add `owner`, here or in `_defaults.yaml`."),
    "no-quality": ("Nothing is checked of what is loaded.", "Add `quality`, or `checks` to columns."),
    "start-in-future": (
        "`start_date` or `initial` is more than a year ahead: until then no run begins, or nothing is read.",
        "Write the day that is meant.",
    ),
    "unused-param": (
        "The trigger form asks for a param that no template of the config names.",
        "Use it in a template, or take it away.",
    ),
    "window-is-all": (
        "`scd2` without `incremental` takes a load for all there is, and the source is asked for a window's rows.",
        "Add `incremental`, unless each answer has all rows there are, as a dated dump or `?as_of=` has.",
    ),
    "window-unused": (
        "`incremental` reads what is new, but the API is not asked for it: every run reads everything.",
        'Use `"{{ window.start }}"` or `"{{ cursor }}"` in `path` or `params`.',
    ),
}

_INTRO = """\
# Errors and warnings

A message about a config has its place, its code and its hint: `file:line:column: message [code]`. `elt validate` ends
with 1 when there is an error; warnings tell of what is legal but unwise, and cost nothing.
"""
_HERE = Path(__file__).resolve().parents[1]
_RAISING = ("config/*.py", "dag/source_dag.py", "dag/neighbours.py")
_CODE = re.compile(r"[a-z]+(?:-[a-z]+)*")
_MAKERS = ("Problem", "_single", "_problem")


def codes_document() -> str:
    """The list of codes as Markdown, out of the code."""
    raised = {code: ERRORS.get(code, ("", "The message says it.")) for code in sorted(raised_codes() | _elsewhere())}
    chapters = (("Errors", raised), ("What `elt validate --live` tells", LIVE), ("Warnings", WARNINGS))
    lines = [_INTRO]
    for title, entries in chapters:
        lines += [f"## {title}", "", *_table(entries), ""]
    return "\n".join(lines)


def raised_codes() -> set[str]:
    """The codes that the reading of configs and the building of DAGs raise, found in their code."""
    files = sorted(file for pattern in _RAISING for file in _HERE.glob(pattern))
    return {code for file in files for code in _codes_in(ast.parse(file.read_text(encoding="utf-8")))}


def _elsewhere() -> set[str]:
    """What `elt validate` finds by itself: with `--connections`, and in SQL that DuckDB's parser reads."""
    return {"unknown-connection", "not-sql"}


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
    yield "| code | what it means | how to fix |"
    yield "| --- | --- | --- |"
    for code, (meaning, fix) in entries.items():
        yield f"| `{code}` | {meaning} | {fix} |"
