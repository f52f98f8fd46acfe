"""Rejects as records again: a spool that goes through the contract as it did when the source was read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from elt_factory.config.models.formats import CsvFormat
from elt_factory.config.models.table import Table, source_name
from elt_factory.extract.request import SourceFile, Spool
from elt_factory.extract.unchanged import state_of


@dataclass(frozen=True)
class Kept:
    """One reject as the warehouse keeps it; `file` is where it came from, and empty where it came from no file."""

    file: str
    ordinal: int
    record: str
    protected: str | None


def spooled(kept: Sequence[Kept], table: Table, workdir: Path) -> Spool:
    """Write rejects, in the order of their files and numbers, as a reader of texts leaves records."""
    form = getattr(table, "format", None)
    csv = form if isinstance(form, CsvFormat) else CsvFormat(type="csv")
    nothing = frozenset(csv.null_values) if isinstance(form, CsvFormat) else frozenset[str]()
    files, sources = [], []
    for number, (name, records) in enumerate(groupby(kept, key=lambda one: one.file)):
        path = workdir / f"rejects-{number:06}.ndjson"
        with path.open("wb") as target:
            for record in records:
                target.write(_line(record, table, nothing))
        files.append(path)
        sources += [_source(name, path)] if name else []
    return Spool("ndjson", tuple(files), len(kept), csv=csv, sources=tuple(sources), texts=True, protected=True)


def lost_columns(kept: Kept, table: Table) -> Iterator[str]:
    """Yield the columns that the YAML wants in another way than their values were protected when they were kept."""
    import msgspec

    protected = msgspec.json.decode(kept.protected) if kept.protected else {}
    for name in protected.get("dropped", ()):
        if name in table.columns and table.columns[name].pii != "drop":
            yield name
    for name in protected.get("hashed", ()):
        if name not in table.columns or table.columns[name].pii is None:
            yield name


def _line(kept: Kept, table: Table, nothing: frozenset[str]) -> bytes:
    import msgspec

    fields: dict[str, Any] = msgspec.json.decode(kept.record, type=dict[str, msgspec.Raw])
    hashed = {name for name, column in table.columns.items() if column.pii == "hash"}
    values: dict[str, Any] = {}
    for name, raw in fields.items():
        text = _text(raw)
        value = None if text is None or text in nothing else raw
        values[source_name(name)] = (
            hashlib.sha256(text.encode()).hexdigest() if value and text and name in hashed else value
        )
    values |= {source_name(name): value for name, value in _hashes(kept).items() if name in hashed}
    return msgspec.json.encode(values) + b"\n"


def _text(raw: Any) -> str | None:
    """Return the text of a value as it was read; None for null."""
    import msgspec

    value = msgspec.json.decode(raw)
    return value if value is None or isinstance(value, str) else bytes(raw).decode()


def _hashes(kept: Kept) -> Mapping[str, str | None]:
    import msgspec

    hashes: Mapping[str, str | None] = (msgspec.json.decode(kept.protected) if kept.protected else {}).get("hashed", {})
    return hashes


def _source(name: str, path: Path) -> SourceFile:
    now, size = datetime.now(UTC), path.stat().st_size
    return SourceFile(name, path, size, now, "", now, state_of(path))
