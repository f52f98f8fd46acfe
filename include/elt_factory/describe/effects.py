"""What a change of one place in a config does, and whether the rows that are loaded already must be loaded anew."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from elt_factory.config.values import ColumnType
from elt_factory.config.widening import holds

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


_NEXT_RUN = Effect("holds from the next run on")
_SHOWN = Effect("is shown as soon as Airflow reads the file again")
_COMMENTED = Effect("is shown as soon as Airflow reads the file again; the next load writes it beside the data too")
_MADE_ANEW = Effect("holds for a table that is not there yet; change or drop the one that is there by hand")
_ELSEWHERE = Effect("the next run reads elsewhere; the rows that are there stay", "advised")

_RULES: tuple[_Rule, ...] = (
    _Rule(("description",), _SHOWN),
    _Rule(("owner",), _SHOWN),
    _Rule(("tags",), _SHOWN),
    _Rule(
        ("schedule",),
        Effect("runs begin at other times, and their windows follow; run the time between the two schedules by hand"),
    ),
    _Rule(
        ("timezone",),
        Effect("the schedule, the dates in paths and templates, and cursors without a zone follow another clock"),
    ),
    _Rule(("catchup",), Effect("decides whether Airflow makes the runs since start_date that are not there")),
    _Rule(
        ("params",),
        Effect("runs whose form does not say another value read with the new one; loaded rows stay", "advised"),
    ),
    _Rule(("extract", "connection"), _ELSEWHERE),
    _Rule(("tables", "*", "description"), _COMMENTED),
    _Rule(("tables", "*", "columns", "*", "description"), _COMMENTED),
    _Rule(("tables", "*", "transient"), _MADE_ANEW),
    _Rule(("tables", "*", "cluster_by"), _MADE_ANEW),
    _Rule(("tables", "*", "primary_key"), Effect("the rows that are there were told apart by the old key", "needed")),
    _Rule(("tables", "*", "incremental", "cursor"), Effect("the state holds values of the old cursor", "needed")),
    _Rule(("tables", "*", "incremental", "initial"), Effect("only a full refresh begins there again", "advised")),
    _Rule(
        ("tables", "*", "incremental", "timezone"),
        Effect("windows and the beginnings of scd2 versions are on another clock from the next load on", "advised"),
    ),
    _Rule(("tables", "*", "business_date"), Effect("freshness looks at another column from the next load on")),
    _Rule(("tables", "*", "path"), _ELSEWHERE),
    _Rule(("tables", "*", "params"), _ELSEWHERE),
    _Rule(("tables", "*", "records"), _ELSEWHERE),
    _Rule(("tables", "*", "table"), _ELSEWHERE),
    _Rule(("tables", "*", "query"), _ELSEWHERE),
    _Rule(("tables", "*", "format"), _ELSEWHERE),
)

_DISPOSITIONS = {
    ("append", "merge"): Effect("rows that were appended twice stay until they are loaded anew", "advised"),
    ("merge", "append"): Effect("from the next run on a row that comes again stands there twice"),
    ("append", "replace"): Effect("the next run exchanges the whole table"),
    ("merge", "replace"): Effect("the next run exchanges the whole table"),
    ("replace", "append"): Effect("from the next run on rows are added to those of the last one"),
    ("replace", "merge"): Effect("from the next run on rows are merged into those of the last one"),
    ("scd2", "replace"): Effect("the next run exchanges the whole table, and its history is gone"),
}
_TO_HISTORY = Effect("loads fail until a full refresh: the rows that are there say not since when they hold", "needed")
_FROM_HISTORY = Effect("versions that have ended stay beside the rows, until they are loaded anew", "needed")


def effect_of(path: Path, before: Any, after: Any) -> Effect:
    """The effect of a change; None stands for what is not there."""
    if path[:1] == ("tables",):
        found = _of_table(path[1:], before, after)
        if found:
            return found
    if path == ("start_date",) and str(after) < str(before):
        return Effect("the days before the old start are read by a full refresh or a backfill only", "advised")
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
    return Effect(f"the table {name} stays as it is, and its rows in _elt; nothing loads it any more")


def _incremental(before: Any) -> Effect:
    what = "only what is new is read" if before is None else "all rows of the window are read"
    return Effect(f"from the next run on {what}; a table of scd2 needs a full refresh, its versions begin otherwise")


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
        return Effect("the next run makes and fills it")
    return Effect("the next run makes it and loads its own window; what came before takes a full refresh", "advised")


def _column(before: Any, after: Any) -> Effect:
    if after is None:
        return Effect("the table keeps the column and its type; nothing is demanded of it any more")
    if after.get("pii"):
        return _protected(after["pii"])
    return _retyped(before.get("type"), after["type"]) if after.get("type") else _NEXT_RUN


def _retyped(before: Any, after: Any) -> Effect:
    if before is None:
        text = "where the table has the column in a type that this one does not hold, loads fail until it is dropped"
        return Effect(f"{text} and loaded anew", "advised")
    if after is not None and holds(ColumnType.parse(str(after)), ColumnType.parse(str(before))):
        return Effect("the next load widens the column; every value that is there stays")
    return Effect("the table has the old type, and loads fail until it is dropped and loaded anew", "needed")


def _protected(after: Any) -> Effect:
    if after is None:
        return Effect("the values that are there stay hashed or missing", "advised")
    return Effect("the values that are there stay in the clear until they are loaded anew", "needed")


def _fits(pattern: Sequence[str], path: Sequence[str]) -> bool:
    beginning = path[: len(pattern)]
    return len(beginning) == len(pattern) and all(p in ("*", part) for p, part in zip(pattern, beginning, strict=True))
