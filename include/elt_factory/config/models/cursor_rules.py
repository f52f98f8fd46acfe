"""What a cursor cannot do: a lag that reads nothing again or doubles rows, choices that its source cannot follow."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

from elt_factory.config.errors import KEY, MistakeError

if TYPE_CHECKING:
    from elt_factory.config.models.table import Incremental, Table

NUMBERS = ("integer", "decimal", "float")
TIMES = ("timestamp", "datetime", "date")
_DAY = timedelta(days=1)
OF_A_NUMBER = "write a number, as in lag: 1000"
OF_A_TIME = "write a duration, as in lag: 1h"


def cursor_mistakes(table: Table) -> Iterator[MistakeError]:
    """Yield the mistakes of a table's `incremental`."""
    incremental = table.incremental
    if incremental is None:
        return
    fault = lag_fault(incremental, _kind(table, incremental))
    if fault:
        yield MistakeError(fault[0], fault[1], at=("incremental", "lag"), code="conflict")
    elif incremental.lag and table.write_disposition == "append" and not table.primary_key:
        message = "lag reads rows again, and append without a primary_key would duplicate them"
        yield MistakeError(message, "add primary_key:", at=("incremental", "lag"), code="conflict")
    if incremental.outside_window == "drop" and isinstance(incremental.initial, int):
        message = "outside_window needs a time as its cursor, but initial is a number"
        yield MistakeError(message, "remove it", at=("incremental", "outside_window", KEY), code="conflict")
    yield from _choice_mistakes(table, incremental)


def lag_fault(incremental: Incremental, kind: str | None) -> tuple[str, str] | None:
    """Why a lag cannot work with a cursor of this type (None: not known), and how to fix it."""
    if incremental.time_lag and kind in NUMBERS:
        return "the cursor is a number, but lag is a duration", OF_A_NUMBER
    if incremental.number_lag and kind in TIMES:
        return "the cursor is a time, but lag is a number", OF_A_TIME
    if kind == "date" and incremental.time_lag % _DAY:
        return "the cursor is a date, so lag must be in whole days", "write lag: 1d"
    return None


def _kind(table: Table, incremental: Incremental) -> str | None:
    """Return the type of the cursor, as far as the config says it."""
    column = table.columns.get(incremental.cursor)
    if column and column.type:
        return column.type.name
    if incremental.initial is None:
        return None
    return "integer" if isinstance(incremental.initial, int) else "timestamp"


def _choice_mistakes(table: Table, incremental: Incremental) -> Iterator[MistakeError]:
    if incremental.null_cursor == "include" and table.write_disposition == "scd2":
        message = "scd2 cannot include rows without a cursor value: their validity is unknown"
        at = ("incremental", "null_cursor")
        yield MistakeError(message, "write null_cursor: ignore or fail", at=at, code="conflict")
    if table.asks_by_cursor:
        return
    for name in ("null_cursor", "late_commits"):
        # a row that an API or a file has sent is there, with a cursor or without
        if getattr(incremental, name) not in (None, "fail"):
            message = f"{name} applies to databases only"
            yield MistakeError(message, f"remove {name}", at=("incremental", name, KEY), code="conflict")
