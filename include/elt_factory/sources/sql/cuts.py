"""Where a table is divided by its cursor: values of it that have about as many rows between them.

Each is found from the one before it, as many rows farther in the order of the cursor: with an index the database reads
each entry once and sorts nothing, whatever the values look like. A cut only balances the parts. That each row is in
one of them follows from the ranges, of which one ends where the next begins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from zoneinfo import ZoneInfo

from elt_factory.config.models.cursor_rules import NUMBERS, TIMES
from elt_factory.config.models.table import Incremental
from elt_factory.config.models.values import ColumnType
from elt_factory.core.failures import BadRequestError
from elt_factory.core.window import Window
from elt_factory.extract.label import TableLabel
from elt_factory.extract.request import ReadRequest

# what every driver binds as a number
_SMALL_ENOUGH = 2**63


@dataclass(frozen=True)
class Cuts:
    """The type of a cursor (None: not known, taken for a time), and values that divide its rows, in their order."""

    kind: ColumnType | None
    values: Sequence[object]

    def moments(self, window: Window, zone: ZoneInfo) -> list[datetime]:
        """Return the values as moments inside the window, each after the one before it.

        What is not one, as `2013-00-10` of MySQL, divides nothing, and its row is where the database puts it.

        Args:
            window: What is divided.
            zone: The clock of a cursor without a zone.
        """
        clock = ZoneInfo("UTC") if self.kind is not None and self.kind.name == "timestamp" else zone
        found = {moment for value in self.values if (moment := _moment(value, clock))}
        return sorted(moment for moment in found if window.start < moment < window.end)

    def numbers(self) -> list[int]:
        """Return the values as whole numbers, each greater than the one before it, without what is not a number."""
        exact = [_number(value) for value in self.values]
        finite = [value for value in exact if value.is_finite() and abs(value) < _SMALL_ENOUGH]
        return sorted({int(value.to_integral_value(ROUND_CEILING)) for value in finite})


def walked(rows: int, most: int, value_at: Callable[[object, int], object]) -> list[object]:
    """Return values that divide rows into at most that many shares of the same size; rows of one value stay together.

    Args:
        rows: How many there are.
        most: How many shares are wanted.
        value_at: The value that many rows behind the first one that is greater than the given one (None: any); None
            where there are no more.
    """
    share, found = max(1, -(-rows // most)), [value_at(None, 0)]
    while found[-1] is not None and len(found) < most:
        found.append(value_at(found[-1], share - 1))
    # the first share begins with the least value
    return [value for value in found[1:] if value is not None]


def cursor_of(request: ReadRequest) -> Incremental:
    """Return what is said of the cursor of a table that has one.

    Raises:
        TypeError: it has none.
    """
    incremental = request.source.all_tables[request.table].incremental
    if incremental is None:
        raise TypeError(f"{request.table} has no cursor")
    return incremental


def check_divisible(incremental: Incremental, types: Mapping[str, ColumnType], label: TableLabel) -> None:
    """Refuse a cursor that is neither a time nor a number.

    Raises:
        BadRequestError: the database says another type of it.
    """
    kind = types.get(incremental.cursor)
    if kind is not None and kind.name not in (*NUMBERS, *TIMES):
        text = f"split by cursor needs a time or a number, and {incremental.cursor} is {kind}"
        raise label.error(BadRequestError, text, "split by primary_key, or remove split")


def _number(value: object) -> Decimal:
    try:
        return Decimal(str(value))
    except InvalidOperation:  # a text in a column of numbers of SQLite
        return Decimal("NaN")


def _moment(value: object, clock: ZoneInfo) -> datetime | None:
    """Return a time as a driver gives it, as a moment; None for one that Python has no moment for."""
    with suppress(ValueError, OverflowError):
        found = datetime.fromisoformat(value) if isinstance(value, str) else value
        if isinstance(found, date) and not isinstance(found, datetime):
            found = datetime.combine(found, time())
        if isinstance(found, datetime):
            return (found if found.tzinfo else found.replace(tzinfo=clock)).astimezone(UTC)
    return None
