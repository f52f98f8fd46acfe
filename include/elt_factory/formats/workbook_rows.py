"""The rows of a sheet of a workbook as records."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import time, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from elt_factory.formats.records import Bad
from elt_factory.formats.workbook_parts import column_letters

if TYPE_CHECKING:
    from elt_factory.formats.workbook_parts import Marked, Marks

_HOUR, _MINUTE = 3600, 60
_BEGINS_DURATION = ("PT", "-PT")
_SHOWN = 5  # places in one line for people
_KINDS = {bool: "boolean", int: "number", float: "number"}  # every other cell is a text in JSON
_ISO_DURATION = re.compile(r"(-?)PT(?=\d)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?", re.ASCII)


class Reading:
    """The rows of a sheet as records, and what is to be said of cells that look empty and are not.

    Args:
        names: The name of each column; "" for one that has none.
        left: The place of the first column, from 0.
        last: The number of the last row that is meant; None where all are.
        marks: What calamine does not say of the cells.
    """

    def __init__(self, names: Sequence[str], left: int, last: int | None, marks: Marks) -> None:
        self._names, self._left, self._end, self._marks = names, left, last, marks
        self._named = {left + place for place, name in enumerate(names) if name}
        self._nameless = [place for place, name in enumerate(names) if not name]
        self._unsolved, self._derived = _Noted(), _Noted()
        self._gap, self._blank = list[int](), _Noted()
        self._last = 0
        self._seen: list[set[type]] = [set() for _ in names]

    def record(self, number: int, cells: Sequence[Any]) -> bytes | Bad | None:
        """Return a row as a record; None for one that has nothing in it."""
        self._last = number
        marked = self._marks.of(number)
        values = [self._plain(cell) for cell in cells]
        unsolved = sorted(marked.unsolved & self._named) if marked.unsolved else ()
        if all(value is None for value in values) and not marked.errors & self._named:
            self._leave_out(number, derived=bool(unsolved))
            return None
        self._note_gap()
        for column in unsolved:
            self._unsolved.add(f"{column_letters(column)}{number}")
        if why := self._why_bad(values, cells, marked):
            return Bad(f"row {number}: {why}", msgspec.json.encode(values).decode())
        for seen, value in zip(self._seen, values, strict=True):
            seen.add(type(value))
        if self._nameless:
            return msgspec.json.encode({name: value for name, value in zip(self._names, values, strict=True) if name})
        return msgspec.json.encode(dict(zip(self._names, values, strict=True)))

    def kinds(self) -> Iterator[tuple[str, set[str]]]:
        """Yield for each column what its cells have: numbers, truth values, texts."""
        for name, seen in zip(self._names, self._seen, strict=True):
            if name:
                yield name, {_KINDS.get(one, "text") for one in seen - {type(None)}}

    def remarks(self) -> Iterator[str]:
        """Yield what people should know, after the last row."""
        for marked in self._marks.below(self._last):
            if marked.unsolved & self._named and (self._end is None or marked.row <= self._end):
                self._derived.add(str(marked.row))
        hint = "hint: open the workbook in a spreadsheet program and save it"
        if self._unsolved:
            yield f"formulas without a result are NULL: {self._unsolved}; {hint}"
        if self._derived:
            yield f"rows with nothing but formulas without a result are left out: {self._derived}; {hint}"
        if self._blank and self._marks.blind:
            yield f"rows without a value are left out, also where cells have errors: {self._blank}"

    def _plain(self, cell: Any) -> Any:
        if isinstance(cell, str) and cell.startswith(_BEGINS_DURATION) and cell in self._marks.durations:
            span = _ISO_DURATION.fullmatch(cell)
            return _duration(_span(span)) if span else cell
        return plain(cell)

    def _why_bad(self, values: Sequence[Any], cells: Sequence[Any], marked: Marked) -> str:
        """Return why a row is not a record, without what it holds."""
        for place in self._nameless:
            if values[place] is not None:
                return f"column {column_letters(self._left + place)} has a value and no name"
        for column in sorted(marked.negative & self._named):
            if isinstance(cells[column - self._left], time):
                return f"column {column_letters(column)} has a day before the calendar of the workbook"
        return ""

    def _leave_out(self, number: int, *, derived: bool) -> None:
        if derived:
            self._derived.add(str(number))
        else:
            self._gap.append(number)

    def _note_gap(self) -> None:
        # below the last row with a value nothing is missed
        for number in self._gap:
            self._blank.add(str(number))
        self._gap.clear()


class _Noted:
    """Places that are said to people: the first of them, and how many there are."""

    def __init__(self) -> None:
        self._count, self._first = 0, list[str]()

    def add(self, place: str) -> None:
        """Add one."""
        self._count += 1
        if self._count <= _SHOWN:
            self._first.append(place)

    def __bool__(self) -> bool:
        """Whether there is one."""
        return bool(self._count)

    def __str__(self) -> str:
        """Return them as people read them."""
        more = self._count - len(self._first)
        return ", ".join(self._first) + (f" and {more:,} more" if more else "")


def plain(cell: Any) -> Any:
    """Return a cell as JSON has it: whole numbers without a point, times as text, nothing where it is empty."""
    if isinstance(cell, str):
        return cell or None
    if isinstance(cell, float) and cell.is_integer():
        return int(cell)
    if isinstance(cell, timedelta):
        return _duration(cell)
    return cell


def _duration(value: timedelta) -> str:
    """Return hours, minutes and seconds, with what there is of a second, to the millisecond that Excel shows."""
    millis = round(abs(value) / timedelta(milliseconds=1))
    seconds, rest = divmod(millis, 1000)
    sign, fraction = "-" * (value < timedelta() and millis > 0), f".{rest:03}" if rest else ""
    return f"{sign}{seconds // _HOUR}:{seconds // _MINUTE % _MINUTE:02}:{seconds % _MINUTE:02}{fraction}"


def _span(written: re.Match[str]) -> timedelta:
    hours, minutes, seconds = (float(part or 0) for part in written.groups()[1:])
    return (-1 if written[1] else 1) * timedelta(hours=hours, minutes=minutes, seconds=seconds)
