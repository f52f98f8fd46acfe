"""What a change of one place in a config does, and whether the rows that are loaded already must be loaded again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from elt_factory.config.models.values import ColumnType
from elt_factory.config.models.widening import holds

Refresh = Literal["needed", "advised", "no"]
Path = tuple[str, ...]


class Effect(NamedTuple):
    """What a change does, in words, and what it asks for."""

    text: str
    full_refresh: Refresh = "no"


class _Rule(NamedTuple):
    """A pattern of a path, `*` for any name, and the effect; the first that fits holds for everything below it."""

    pattern: Path
    effect: Effect


_NEXT_RUN = Effect("takes effect with the next run")
_SHOWN = Effect("shown as soon as Airflow parses the file again")
_COMMENTED = Effect("shown as soon as Airflow parses the file again; the next load also writes it to the table")
_MADE_ANEW = Effect("applies to new tables; change or drop an existing one manually")
_ELSEWHERE = Effect("the next run reads from the new location; existing rows stay", "advised")

_RULES: tuple[_Rule, ...] = (
    _Rule(("description",), _SHOWN),
    _Rule(("owner",), _SHOWN),
    _Rule(("tags",), _SHOWN),
    _Rule(
        ("schedule",),
        Effect(
            "runs start at other times, and their windows with them; run the time between the two schedules manually"
        ),
    ),
    _Rule(
        ("timezone",),
        Effect("the schedule, dates in paths and templates, and cursors without a time zone use the new one"),
    ),
    _Rule(("end_date",), Effect("no run begins its window after it; existing runs and rows stay")),
    _Rule(("catchup",), Effect("controls whether Airflow creates the missing runs since start_date")),
    _Rule(
        ("params",),
        Effect("runs without an override in the form use the new value; loaded rows stay", "advised"),
    ),
    _Rule(("extract", "connection"), _ELSEWHERE),
    _Rule(("tables", "*", "description"), _COMMENTED),
    _Rule(("tables", "*", "columns", "*", "description"), _COMMENTED),
    _Rule(("tables", "*", "transient"), _MADE_ANEW),
    _Rule(("tables", "*", "cluster_by"), _MADE_ANEW),
    _Rule(("tables", "*", "primary_key"), Effect("existing rows were identified by the old key", "needed")),
    _Rule(("tables", "*", "incremental", "cursor"), Effect("the state holds values of the old cursor", "needed")),
    _Rule(("tables", "*", "incremental", "initial"), Effect("only a full refresh starts from there again", "advised")),
    _Rule(
        ("tables", "*", "incremental", "timezone"),
        Effect("windows and scd2 version starts use the new time zone from the next load on", "advised"),
    ),
    _Rule(("tables", "*", "business_date"), Effect("freshness looks at another column from the next load on")),
    _Rule(("tables", "*", "where"), Effect("applies from the next run on; existing rows stay", "advised")),
    _Rule(("tables", "*", "path"), _ELSEWHERE),
    _Rule(("tables", "*", "params"), _ELSEWHERE),
    _Rule(("tables", "*", "records"), _ELSEWHERE),
    _Rule(("tables", "*", "table"), _ELSEWHERE),
    _Rule(("tables", "*", "query"), _ELSEWHERE),
    _Rule(("tables", "*", "format"), _ELSEWHERE),
)

_DISPOSITIONS = {
    ("append", "merge"): Effect("rows that were appended twice stay until they are reloaded", "advised"),
    ("merge", "append"): Effect("from the next run on, rows that are read again are duplicated"),
    ("append", "replace"): Effect("the next run replaces the whole table"),
    ("merge", "replace"): Effect("the next run replaces the whole table"),
    ("replace", "append"): Effect("from the next run on, rows are added to those of the last one"),
    ("replace", "merge"): Effect("from the next run on, rows are merged into those of the last one"),
    ("scd2", "replace"): Effect("the next run replaces the whole table, and its history is lost"),
}
_TO_HISTORY = Effect("loads fail until a full refresh: existing rows have no validity columns", "needed")
_FROM_HISTORY = Effect("ended versions stay in the table until it is reloaded", "needed")


def effect_of(path: Path, before: Any, after: Any) -> Effect:
    """Return the effect of a change; None stands for what is not there."""
    if path[:1] == ("tables",):
        found = _of_table(path[1:], before, after)
        if found:
            return found
    if path == ("start_date",) and str(after) < str(before):
        return Effect("days before the old start need a full refresh or a backfill", "advised")
    return next((rule.effect for rule in _RULES if _fits(rule.pattern, path)), _NEXT_RUN)


def _of_table(path: Path, before: Any, after: Any) -> Effect | None:
    match path:
        case (name,):
            return _whole_table(name, before, after)
        case (_, "write_disposition"):
            return _disposition(before, after)
        case (_, "incremental"):
            return _incremental(before)
        case (_, "columns", _, *below):
            return _of_column(below, before, after)
    return None


def _disposition(before: Any, after: Any) -> Effect | None:
    found = _DISPOSITIONS.get((before, after))
    return found or (_TO_HISTORY if after == "scd2" else _FROM_HISTORY if before == "scd2" else None)


def _whole_table(name: str, before: Any, after: Any) -> Effect:
    if before is None:
        return _new_table(after)
    return Effect(f"the table {name} and its rows in _elt stay; no config loads it")


def _incremental(before: Any) -> Effect:
    what = "only new rows are read" if before is None else "all rows of the window are read"
    return Effect(
        f"from the next run on {what}; an scd2 table needs a full refresh, because its versions start differently"
    )


def _of_column(below: Sequence[str], before: Any, after: Any) -> Effect | None:
    match below:
        case []:
            return _column(before or {}, after)
        case ["type"]:
            return _retyped(before, after)
        case ["pii"]:
            return _protected(after)
    return None


def _new_table(table: Any) -> Effect:
    if table.get("write_disposition") == "replace":
        return Effect("the next run creates and fills it")
    return Effect("the next run creates it and loads its own window; earlier data needs a full refresh", "advised")


def _column(before: Any, after: Any) -> Effect:
    if after is None:
        return Effect("the table keeps the column and its type, without checks")
    if after.get("pii"):
        return _protected(after["pii"])
    return _retyped(before.get("type"), after["type"]) if after.get("type") else _NEXT_RUN


def _retyped(before: Any, after: Any) -> Effect:
    if before is None:
        text = "if the table's column has a type that does not fit this one, loads fail until it is dropped"
        return Effect(f"{text} and reloaded", "advised")
    if after is not None and holds(ColumnType.parse(str(after)), ColumnType.parse(str(before))):
        return Effect("the next load widens the column; existing values stay")
    return Effect("the table has the old type: loads fail until it is dropped and reloaded", "needed")


def _protected(after: Any) -> Effect:
    if after is None:
        return Effect("existing values stay hashed or missing", "advised")
    return Effect("existing values stay in clear text until they are reloaded", "needed")


def _fits(pattern: Sequence[str], path: Sequence[str]) -> bool:
    beginning = path[: len(pattern)]
    return len(beginning) == len(pattern) and all(p in ("*", part) for p, part in zip(pattern, beginning, strict=True))
