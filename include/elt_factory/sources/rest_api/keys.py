"""What a table asks once for each: the values of its templates, and what each record keeps of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise, product
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Raw

from elt_factory.config.models.templates import CURSOR, Typed, Use, Value, Values, typed
from elt_factory.core.window import Window
from elt_factory.extract.request import Part
from elt_factory.sources.rest_api.answer import first_byte, one_line
from elt_factory.sources.rest_api.each_model import Each
from elt_factory.sources.rest_api.fields import Fields
from elt_factory.sources.rest_api.model import RestTable
from elt_factory.sources.rest_api.window_ends import has_hours, names_one_period

_DAY, _HOUR = timedelta(days=1), timedelta(hours=1)
_NEVER = datetime(1, 1, 1, tzinfo=UTC)
_Piece = tuple[datetime, datetime]
_ROW = msgspec.json.Decoder(dict[str, Raw])


@dataclass(frozen=True)
class Key:
    """One of `for_each`: values by the names of templates, and the fields that its records keep, as JSON."""

    values: Mapping[str, datetime | Value] = field(default_factory=dict)
    kept: Mapping[str, bytes] = field(default_factory=dict)

    def lines(self, records: Sequence[Raw]) -> Sequence[Raw]:
        """Return the records with the fields that are kept before their own.

        Raises:
            UnreadableAnswerError: a record has a field of that name already.
        """
        fields = Fields(self.kept, "keep")
        return [fields.before(record) for record in records] if self.kept else records


def sliced(
    found: Iterable[Key], window: Window, table: RestTable, zone: str, part: Mapping[str, Any] | None = None
) -> Iterator[Key]:
    """Yield the keys for each piece of a window; of a table without `slices`, for the window as it is.

    Args:
        found: The keys.
        window: The window, which already reaches back by the lag.
        table: What the YAML says of the table. A cursor that is a time begins with each piece.
        zone: The time zone of the source, whose days are meant.
        part: What `parts` gave to a task; without it all pieces are meant.
    """
    if table.slices is None:
        yield from found
        return
    if part:
        own = [(datetime.fromisoformat(start), datetime.fromisoformat(end)) for start, end in part["pieces"]]
    else:
        own = _different(_pieces(window, table.slices, ZoneInfo(zone)), table, zone)
    for key in found:
        for piece in own:
            yield Key({**key.values, **_values(*piece, table)}, key.kept)


def named_alone(window: Window, table: RestTable, zone: str) -> str:
    """Return what a request names that is for one day, or month, or hour, of several in a window; empty for none.

    Args:
        window: The window, without the lag: what that reaches back to has come with the windows before.
        table: What the YAML says of the table.
        zone: The time zone of the source, whose days are meant.
    """
    length = _HOUR if has_hours(table) else _DAY
    # the days of another zone may be of 23 hours
    if table.slices or not names_one_period(table) or window.end - window.start <= length + _HOUR:
        return ""
    values = [_values(*piece, table) for piece in _pieces(window, length, ZoneInfo(zone))]
    whole, uses = _values(window.start, window.end, table), _uses(table)
    named = [use for use in uses if len({typed(use, own, zone) for own in values}) > 1]
    return str(typed(named[0], whole, zone)) if named else ""


def parts(window: Window, table: RestTable, zone: str, most: int) -> list[Part]:
    """Return the pieces of a window in at most that many parts, each with about as many as the others.

    A part says when its pieces start and end, so that a try after a change of the window's lag reads the same.
    """
    length = table.slices or window.end - window.start
    own = _different(_pieces(window, length, ZoneInfo(zone)), table, zone)
    count = min(most, len(own)) or 1
    cuts = [len(own) * number // count for number in range(count + 1)]
    return [_part(own[start:end], zone) for start, end in pairwise(cuts)]


def _part(own: Sequence[_Piece], zone: str) -> Part:
    if not own:
        return Part({"pieces": []}, "nothing")
    first, last = (moment.astimezone(ZoneInfo(zone)).isoformat() for moment in (own[0][0], own[-1][1]))
    says = f"{len(own):,} piece{'' if len(own) == 1 else 's'}, {first} to {last}"
    return Part({"pieces": [[start.isoformat(), end.isoformat()] for start, end in own]}, says)


def _pieces(window: Window, length: timedelta, zone: ZoneInfo) -> Iterator[_Piece]:
    """Yield where each piece starts and ends: days are those of the calendar, of 23 or 25 hours when clocks change."""
    start, clock = window.start, window.start.astimezone(zone).replace(tzinfo=None)
    while start < window.end:
        clock += length
        # a time that clocks skip is the moment at which they skip it
        step = start + length if length % _DAY else clock.replace(tzinfo=zone).astimezone(UTC)
        end = min(step, window.end)
        # a day that a zone leaves out, as Samoa did in 2011, has no moments
        if start < end:
            yield start, end
        start = max(start, end)


def _different(pieces: Iterable[_Piece], table: RestTable, zone: str) -> list[_Piece]:
    """Return the pieces whose requests differ: days of one month may be asked for by their month."""
    found: dict[tuple[Typed, ...], _Piece] = {}
    uses = _uses(table)
    for piece in pieces:
        values = _values(*piece, table)
        found.setdefault(tuple(typed(use, values, zone) for use in uses), piece)
    return list(found.values())


def _uses(table: RestTable) -> list[Use]:
    """Return the templates that a piece of the window gives a value to."""
    names = _values(_NEVER, _NEVER, table)
    return [use for below in table.templates.values() for use in below if use.name in names]


def _values(start: datetime, end: datetime, table: RestTable) -> Values:
    """Return what the templates of a piece are filled with."""
    own = {} if table.counts_by_number else {CURSOR: start}
    return {"window.start": start, "window.end": end, **own}


def keys(each: Each | None, keep: Mapping[str, str], rows: Path | None) -> Iterator[Key]:
    """Yield what a table asks for, in an order that is the same in every try; a single key without `for_each`."""
    if each is None:
        yield Key()
    elif each.of_rows:
        yield from _of_rows(each.of_rows, keep, rows)
    else:
        for chosen in product(*each.lists.values()):
            values = dict(zip(each.lists, chosen, strict=True))
            yield Key(values, {column: msgspec.json.encode(values[name]) for column, name in keep.items()})


def _of_rows(head: str, keep: Mapping[str, str], rows: Path | None) -> Iterator[Key]:
    if rows is None:
        raise TypeError(f"no rows of {head} were given")
    with rows.open("rb") as lines:
        for line in lines:
            found = {f"{head}.{name}": raw for name, raw in _ROW.decode(line).items()}
            values = {name: _value(raw) for name, raw in found.items()}
            yield Key(values, {column: one_line(found[name]) for column, name in keep.items()})


def _value(raw: Raw) -> Value:
    """Return a value that keeps its type where a body takes one, and the digits that it was written with."""
    text = bytes(raw).decode()
    if text in ("true", "false"):
        return text == "true"
    if text.removeprefix("-").isdecimal():
        return int(text)
    first = first_byte(raw)
    if first == b'"':
        return msgspec.json.decode(raw, type=str)
    # a list or an object, and a number whose text would become another one
    return text if first in b"[{" or str(Decimal(text)) != text else Decimal(text)
