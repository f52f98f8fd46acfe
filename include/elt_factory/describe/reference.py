"""The reference of the YAML language, out of the models: every field with its type, default, meaning and an example."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import partial
from types import ModuleType
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from elt_factory.config import versions
from elt_factory.config.layers import defaults, environments
from elt_factory.config.models import (
    alerts,
    base,
    budget,
    checks,
    deadlines,
    remote_jobs,
    retention,
    sensors,
    source,
    table,
    templates,
)
from elt_factory.config.models.by_type import open_fields
from elt_factory.config.models.durations import format_duration
from elt_factory.config.upgrade import STEPS
from elt_factory.config.yaml import variables
from elt_factory.describe.words import field_words, in_yaml, models_in

Model = type[base.Model]
_WIDTH = 120  # of a line of prose


def _with_kinds(places: Sequence[tuple[Model, str]]) -> Iterator[tuple[Model, str]]:
    """Yield models with their locations, and those that any kind of a door may be below the last of them."""
    yield from places
    for model, place in places:
        for name, kinds in open_fields(model):
            yield from ((one, f"{place}.{name}") for one in kinds.models().values())


_INTRO = """\
# YAML reference

Each file below `dag_configs/` is one config, and each config is one DAG. Files and folders whose names start with `_`
or `.` are not configs; `_defaults.yaml` holds [shared settings](#defaults). Values may contain
[variables](#variables) and differ from [environment to environment](#environments).

- **YAML 1.2**: `no`, `on`, `012`, `1_000`, `12:30` and dates are plain text; only `true` and
  `false` are booleans. Unknown and repeated keys are errors.
- **Names** have lowercase letters, digits and `_`, and start with a letter: they become DAG ids, task ids, schemas and
  folders.
- **Durations** are numbers with units: `30s`, `15m`, `1h30m`, `2d`, `1w`. **Percentages** are written `20%`.
- **Column types** are `text`, `integer` (64 bits), `float`, `decimal(precision,scale)`, `boolean`, `date`, `time`,
  `timestamp` (an instant, stored in UTC), `datetime` (a wall-clock time without zone), `json`, `binary`: the same names
  for every warehouse.
- **Paths into a response** are dotted, `meta.next`; escape a dot inside a key with a backslash: `@odata\\.nextLink`.
- **Secrets** are not allowed: a config refers to an Airflow connection, which holds address, login and password.

Editors complete and check all of this with `# yaml-language-server: $schema=source.schema.json` as the first line.
`elt validate` checks what a schema cannot, `elt explain <name>` shows where each value comes from, and the [error
codes](errors.md) explain each message.
"""

# chapters in the order in which a config is written: title, and per model its location in the file
_CHAPTERS: tuple[tuple[str, tuple[tuple[Model, str], ...]], ...] = (
    ("The file", ((source.Pipeline, ""),)),
    *((kind.title, tuple(_with_kinds(kind.places))) for kind in source.SOURCES.all()),
    (
        "Every table",
        (
            (table.Table, "tables.<name>"),
            (table.Incremental, "tables.<name>.incremental"),
            (retention.RowRetention, "tables.<name>.retention"),
            (table.Column, "tables.<name>.columns.<name>"),
            (checks.ColumnCheck, "tables.<name>.columns.<name>.checks"),
            *(
                (kind.model, f"tables.<name>.columns.<name>.checks.{kind.name}")
                for kind in checks.COLUMN_CHECKS.all()
                if isinstance(kind.model, type)
            ),
        ),
    ),
    (
        "Waiting",
        (
            (sensors.Sensors, "sensors"),
            (sensors.Sensor, "sensors.before_extract, sensors.before_transform"),
            *((kind.model, f"sensors.<stage>.{kind.name}") for kind in sensors.SENSORS.all()),
        ),
    ),
    (
        "Jobs of other systems",
        (
            (remote_jobs.RemoteJob, "extract.job"),
            (remote_jobs.AfterJob, "after"),
            *((kind.model, f"extract.job.{kind.name}, after.{kind.name}") for kind in remote_jobs.REMOTE_JOBS.all()),
        ),
    ),
    ("Transforming", ((source.Transform, "transform"), (source.Dbt, "transform.dbt"))),
    (
        "Checking",
        (
            (checks.TableCheck, "quality.<table>"),
            *(
                (kind.model, f"quality.<table>.{kind.name}")
                for kind in checks.TABLE_CHECKS.all()
                if isinstance(kind.model, type)
            ),
        ),
    ),
    (
        "Running",
        (
            (source.Retries, "retries"),
            (deadlines.Deadline, "deadline"),
            (alerts.Alerts, "alerts"),
            (alerts.Route, "an entry of alerts.routes"),
            (budget.Budget, "budget"),
            (retention.Retention, "retention"),
        ),
    ),
)
# what applies everywhere is documented by the modules that do it
_RULES: tuple[tuple[str, ModuleType], ...] = (
    ("Templates", templates),
    ("Defaults", defaults),
    ("Variables", variables),
    ("Environments", environments),
    ("Versions", versions),
)
_KINDS: tuple[Model, ...] = (*(kind.config for kind in source.SOURCES.all()), source.TransformOnly)


def reference() -> str:
    """Return the reference as Markdown."""
    chapters = [*_CHAPTERS, *_unplaced()]
    lines = [_INTRO]
    for title, sections in chapters:
        lines += [f"## {title}", ""]
        for model, place in sections:
            lines += _section(model, place)
        if model is source.Pipeline:
            lines += _kinds()
    for title, module in _RULES:
        lines += [f"## {title}", "", (module.__doc__ or "").strip(), ""]
    lines += [*(f"- {step.version} to {step.version + 1}: {step.changes}" for step in STEPS), ""] if STEPS else []
    return _wrapped(_linked("\n".join(lines), [model for _, sections in chapters for model, _ in sections]))


def _wrapped(text: str) -> str:
    """Return the text with its long lines of prose broken; rows of tables cannot be."""
    plain = partial(textwrap.fill, width=_WIDTH, break_long_words=False, break_on_hyphens=False)
    return "\n".join(line if len(line) <= _WIDTH or line.startswith("|") else plain(line) for line in text.split("\n"))


def all_models() -> list[Model]:
    """Every model of the language that a person writes, outermost first."""
    found: dict[Model, None] = dict.fromkeys((source.Pipeline, *_KINDS))
    queue = list(found)
    while queue:
        below = [model for field in queue.pop(0).keys().values() for model in models_in(_annotated(field))]
        queue += [model for model in below if model not in found]
        found.update(dict.fromkeys(below))
    return list(found)


def own_fields(model: Model) -> dict[str, FieldInfo]:
    """Return a model's fields by their names in a file, without those that every table has."""
    inherited = table.Table.keys() if issubclass(model, table.Table) and model is not table.Table else {}
    return {name: field for name, field in model.keys().items() if name not in inherited}


def _unplaced() -> Iterator[tuple[str, tuple[tuple[Model, str], ...]]]:
    """Models that no chapter names: a new one is documented from its first day."""
    placed = {model for _, sections in _CHAPTERS for model, _ in sections}
    rest = tuple((model, "") for model in all_models() if model not in placed and model not in _KINDS)
    if rest:
        yield "More", rest


def _section(model: Model, place: str) -> list[str]:
    kind = _kind(model)
    where = f"`{place.replace(', ', '`, `')}`" + (f" with `type: {kind}`" if kind else "")
    lines = [f"### {model.__name__}", "", *([f"{where}: {_doc(model)}"] if place else [_doc(model)]), ""]
    shown = {name: field for name, field in own_fields(model).items() if name != "type" or not kind}
    if issubclass(model, table.Table) and model is not table.Table:
        lines += ["Has all fields of [Table], and:", ""]
    if not shown:
        return [*lines[:-1], ""]
    lines += ["| field | type | default | description | example |", "| --- | --- | --- | --- | --- |"]
    return [*lines, *(_row(name, field) for name, field in shown.items()), ""]


def _row(name: str, field: FieldInfo) -> str:
    examples = "<br>".join(f"`{in_yaml(example)}`" for example in field.examples or ())
    cells = (f"`{name}`", field_words(field), _default(field), field.description or "", examples)
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"


def _kinds() -> list[str]:
    kinds = ", ".join(f"`{kind}`" for kind in source.SOURCES.names())
    return [
        f"A source also has `extract`, whose `type` is one of {kinds}, and `tables`, a mapping from table names in the",
        "warehouse to its settings. Their fields depend on the source type and follow below. A config without",
        "them is a transform across sources: it has `transform` and waits for other sources with `sensors`.",
        "",
    ]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    value = field.get_default(call_default_factory=False)
    return "" if value is None or value in ("", (), {}) else f"`{in_yaml(_plain(value))}`"


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True, exclude_none=True, warnings=False)
    if isinstance(value, timedelta):
        return format_duration(value)
    return list(value) if isinstance(value, tuple) else value if isinstance(value, (str, int, float)) else str(value)


def _kind(model: Model) -> str:
    field = model.model_fields.get("type")
    choices = get_args(field.annotation) if field is not None and field.is_required() else ()
    return str(choices[0]) if choices else ""


def _doc(model: Model) -> str:
    return " ".join((model.__doc__ or "").split())


def _annotated(field: FieldInfo) -> Any:
    return field.annotation


def _linked(text: str, told: list[Model]) -> str:
    """Return the text with names of models in brackets as links to their sections."""
    names = {model.__name__ for model in told}

    def link(match: re.Match[str]) -> str:
        return f"[{match[1]}](#{match[1].lower()})" if match[1] in names else match[1]

    return re.sub(r"(?<!`)\[([A-Z]\w+)\](?!\()", link, text)
