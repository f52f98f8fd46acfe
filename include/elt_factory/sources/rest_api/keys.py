"""What a table asks once for each: the values of its templates, and what each record keeps of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import product
from pathlib import Path

import msgspec
from msgspec import Raw

from elt_factory.config.models.templates import CURSOR, Value
from elt_factory.core.window import Window
from elt_factory.sources.rest_api.answer import first_byte
from elt_factory.sources.rest_api.each_model import Each
from elt_factory.sources.rest_api.fields import Fields

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


def sliced(found: Iterable[Key], window: Window, length: timedelta | None, *, by_time: bool) -> Iterator[Key]:
    """Yield the keys for each piece of a window; without a length, for the window as it is.

    Args:
        found: The keys.
        window: The window, which already reaches back by the lag.
        length: How long a piece is.
        by_time: Whether the cursor is a time, which then begins with each piece.
    """
    for key in found:
        start = window.start
        while length and start < window.end:
            end = min(start + length, window.end)
            own = {"window.start": start, "window.end": end, **({CURSOR: start} if by_time else {})}
            yield Key({**key.values, **own}, key.kept)
            start = end
        if not length:
            yield key


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
            values = {name: _text(raw) for name, raw in found.items()}
            yield Key(values, {column: bytes(found[name]) for column, name in keep.items()})


def _text(raw: Raw) -> str:
    return msgspec.json.decode(raw, type=str) if first_byte(raw) == b'"' else bytes(raw).decode()
