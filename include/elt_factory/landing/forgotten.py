"""A landing without the records of one person: its parts, rejects and keys are written again, and then its manifest.

Records are recognized by a hash of their key, so that a landing can also be cleaned later by a task that must not know
the key. The new files have names of their own and are there before the manifest names them: a landing is valid at every
moment, and what is killed in between is completed by the next try. `forgotten` in the manifest keeps which keys are
gone and how many records that were.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from itertools import product
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from elt_factory.config.models.table import loaded_name
from elt_factory.config.models.values import ColumnType
from elt_factory.core.disk import scratch_folder
from elt_factory.core.failures import LandingError
from elt_factory.core.sql_text import LITERAL_PATHS, file_list, identifier, text_literal
from elt_factory.landing.attempt import is_attempt
from elt_factory.landing.casting import duckdb_type
from elt_factory.landing.checksums import proven, sha256_of
from elt_factory.landing.manifest import (
    MANIFEST_FILE,
    Forgotten,
    LandedColumn,
    LandedFile,
    Manifest,
    exchange_manifest,
    parse_manifest,
)
from elt_factory.landing.places import Place

if TYPE_CHECKING:
    import duckdb

UNFIT = ("json", "binary")  # types whose text is not the same everywhere
_FRACTION = r"(\.[0-9]*[1-9])0+$|\.0*$"
_BETWEEN = " ,;|\t\"'{}[]()<>:=\r\n\\"
_BATCH = 10_000
_UNFINISHED = timedelta(days=1)  # no extract writes a landing for that long


@dataclass(frozen=True)
class KeyHash:
    """By what the records of a person are recognized: the values of some columns together, as a hash."""

    columns: tuple[str, ...]
    sha256: str


def key_hash(columns: Sequence[str], texts: Sequence[str]) -> str:
    """Return the hash of a key: no two keys have the same text, and the case of a column's name is nothing."""
    pairs = zip((name.casefold() for name in columns), texts, strict=True)
    return hashlib.sha256("".join(f"{len(text)}:{text}" for pair in pairs for text in pair).encode()).hexdigest()


def typed_text(value: str, kind: ColumnType) -> str | None:
    """Return a value as the text that is hashed; None where it is not one of the column's type."""
    with _connected() as connection:
        typed = f"TRY_CAST({text_literal(value)} AS {duckdb_type(kind)})"
        found = connection.execute(f"SELECT {_text(typed, kind)}").fetchall()
    return None if found[0][0] is None else str(found[0][0])


@dataclass(frozen=True)
class Cleaned:
    """A landing after a look for keys: its manifest as it is now, or would be, and the records that are gone."""

    manifest: Manifest
    rows: int
    unfinished: bool = False  # next to it a part is being read again, or its try was killed today


def clean(place: Place, manifest: Manifest, keys: Sequence[KeyHash], *, dry_run: bool = False) -> Cleaned:
    """Remove the records of keys from a landing below the place of its load.

    Raises:
        LandingError: a file is missing or has been changed.
        LandingChangedError: the landing has another manifest by now.
    """
    with scratch_folder() as workdir, _connected() as connection:
        cleaning = _Cleaning(place, manifest, tuple(keys), connection, workdir, dry_run)
        return cleaning.all_files()


@dataclass(frozen=True)
class _Cleaning:
    place: Place
    manifest: Manifest
    keys: tuple[KeyHash, ...]
    connection: duckdb.DuckDBPyConnection
    workdir: Path
    dry_run: bool

    def all_files(self) -> Cleaned:
        """Clean the landing and, where it is made of parts, what each of these has landed: one may be joined again."""
        done, rows = self.without_records()
        if self.dry_run:
            return Cleaned(done, rows)
        known = [done]
        for part in self._parts():
            # one that is incomplete is of no use to anything: its files are strays
            with suppress(LandingError):
                known.append(replace(self, manifest=part).without_records()[0])
        return Cleaned(done, rows, self._remove_strays(known))

    def without_records(self) -> tuple[Manifest, int]:
        """Return the manifest without the records, which is put in place, and how many they were."""
        manifest = self.manifest
        parts = [self._part(file, manifest.columns) for file in manifest.files]
        rejects = self._rejects(manifest.rejects) if manifest.rejects else None
        keys = self._part(manifest.keys, manifest.key_columns) if manifest.keys else None
        good, bad = _lost(manifest.files, parts), _lost([manifest.rejects], [rejects])
        all_keys = _lost([manifest.keys], [keys])
        done = replace(
            manifest,
            files=tuple(file for file in parts if file),
            rejects=rejects,
            keys=keys,
            rows=manifest.rows - good,
            rows_rejected=manifest.rows_rejected - bad,
            rows_read=manifest.rows_read - good - bad,
            keys_read=manifest.keys_read - all_keys if manifest.keys_read is not None else None,
            forgotten=_noted(manifest.forgotten, self.keys, good + bad),
        )
        if not self.dry_run:
            done = _with_etags(self.place, done)
            if good or bad or all_keys or not {key.sha256 for key in self.keys} <= _hashes(manifest):
                exchange_manifest(self.place, manifest, done)
        return done, good + bad

    def _parts(self) -> Iterator[Manifest]:
        """Yield what the parts of the landing have landed, also those that were read again and are not joined yet."""
        for name in sorted(self.place.below(self.manifest.attempt).files()):
            part, _, rest = name.partition("/")
            if is_attempt(part) and rest == MANIFEST_FILE:
                with suppress(LandingError):
                    yield parse_manifest(self.place.below(self.manifest.attempt, part))

    def _part(self, file: LandedFile, columns: Sequence[LandedColumn]) -> LandedFile | None:
        """Return a part without the records; None where it has no others."""
        found = condition(self.keys, {column.name: column.column_type for column in columns})
        if not found:
            return file
        with proven(self.place, [file]) as folder:
            rows = f"read_parquet({file_list([str(folder / file.path)])}, {LITERAL_PATHS})"
            query = f"SELECT count(*) FROM {rows} WHERE {found}"
            gone = int(self.connection.execute(query).fetchall()[0][0])
            return self._written(file, gone, f"SELECT * FROM {rows} WHERE NOT {found}")

    def _rejects(self, file: LandedFile) -> LandedFile | None:
        with proven(self.place, [file]) as folder:
            rows = f"read_parquet({file_list([str(folder / file.path)])}, {LITERAL_PATHS})"
            cursor = self.connection.execute(f"SELECT ordinal, record, key, protected FROM {rows}")
            gone: list[int] = []
            while batch := cursor.fetchmany(_BATCH):
                gone += [ordinal for ordinal, *kept in batch if is_of(self.keys, *kept)]
            listed = ", ".join(map(str, gone)) or "NULL"
            return self._written(file, len(gone), f"SELECT * FROM {rows} WHERE ordinal NOT IN ({listed})")

    def _written(self, file: LandedFile, gone: int, rest: str) -> LandedFile | None:
        """Put the rest of a file next to it."""
        if not gone:
            return file
        if gone == file.rows:
            return None
        target = self.workdir / "rest.parquet"
        copy = f"COPY ({rest}) TO {text_literal(str(target))} (FORMAT parquet, COMPRESSION zstd)"
        self.connection.execute(copy)
        path = PurePosixPath(file.path)
        sha256, size = sha256_of(target), target.stat().st_size
        name = f"{path.name.partition('.')[0]}.{sha256[:12]}.parquet"
        if not self.dry_run:
            self.place.below(*path.parent.parts).write(name, target.read_bytes())
        return LandedFile(str(path.with_name(name)), file.rows - gone, size, sha256)

    def _remove_strays(self, known: Sequence[Manifest]) -> bool:
        """Remove the files that no manifest names any more, also those that a killed try left.

        Whether something else is being written: a part that is read again has no manifest yet.
        """
        attempt = self.place.below(self.manifest.attempt)
        named = {file.path for manifest in known for file in manifest.all_files}
        named |= {f"{manifest.attempt}/{MANIFEST_FILE}" for manifest in known}
        named = {path.removeprefix(f"{self.manifest.attempt}/") for path in named}
        theirs = {path.partition("/")[0] for path in named if "/" in path}
        theirs |= {part.rpartition("/")[2] for part in self.manifest.parts}
        strays, young = list[str](), False
        for path, entry in sorted(attempt.files().items()):
            part = path.partition("/")[0]
            if path in named:
                continue
            if is_attempt(part) and part != path and part not in theirs and is_unfinished([entry.modified]):
                young = True
            else:
                strays.append(path)
        if strays:
            attempt.remove(strays)
        return young


def is_unfinished(moments: Iterable[datetime | None]) -> bool:
    """Whether a landing without a manifest, whose files were written at these moments, may be written still."""
    return any(moment is None or moment > datetime.now(UTC) - _UNFINISHED for moment in moments)


def condition(keys: Iterable[KeyHash], columns: Mapping[str, ColumnType]) -> str:
    """Return DuckDB's condition for rows of one of the keys; empty where the rows have none of their columns."""
    known = {name.casefold(): name for name in columns}
    tests = []
    for key in keys:
        names = [known.get(name.casefold(), "") for name in key.columns]
        if all(name and columns[name].name not in UNFIT for name in names):
            parts = [part for name in names for part in _hashed_parts(name, columns[name])]
            tests.append(f"sha256({' || '.join(parts)}) = '{key.sha256}'")
    return f"coalesce({' OR '.join(tests)}, FALSE)" if tests else ""


def _hashed_parts(name: str, kind: ColumnType) -> tuple[str, str]:
    folded, value = name.casefold(), _text(identifier(name), kind)
    return text_literal(f"{len(folded)}:{folded}"), f"length({value}) || ':' || {value}"


def is_of(keys: Iterable[KeyHash], record: str | None, key: str | None, protected: str | None) -> bool:
    """Whether a reject is of one of the keys, by its record, its key, or the hashes of what is personal.

    Of what is not a record, such as a broken line, any word may be the key.
    """
    values = _values(record, key, protected)
    line = "" if values.get("line") is None and values.get("part") is None else str(record)
    return any(
        one.sha256 in _hashes_of(one.columns, values) or (line and one.sha256 in _hashes_of_words(one.columns, line))
        for one in keys
    )


def _values(record: str | None, key: str | None, protected: str | None) -> dict[str, Any]:
    import msgspec

    found: dict[str, Any] = {}
    for text in (protected, record):
        fields = _decoded(text)
        if isinstance(fields, dict):
            fields = fields.get("hashed", {}) if text is protected else fields
            found |= {loaded_name(name).casefold(): value for name, value in fields.items()}
    if isinstance(fields := _decoded(key), list) and fields and isinstance(fields[0], str):
        found |= dict(zip((name.casefold() for name in fields[0].split(",")), fields[1:], strict=False))
    return {
        name: value if isinstance(value, str) or value is None else msgspec.json.encode(value).decode()
        for name, value in found.items()
    }


def _decoded(text: str | None) -> Any:
    import json

    try:
        return json.loads(text, parse_float=str, parse_int=str) if text else None
    except (ValueError, RecursionError):
        return None


def _hashes_of(columns: Sequence[str], values: Mapping[str, Any]) -> set[str]:
    texts = [values.get(name.casefold()) for name in columns]
    known = [text for text in texts if isinstance(text, str)]
    if len(known) < len(columns):
        return set()
    return {key_hash(columns, forms) for forms in product(*map(_forms, known))}


def _hashes_of_words(columns: Sequence[str], line: str) -> set[str]:
    if len(columns) > 1:
        return set()
    words = line.translate(str.maketrans(_BETWEEN, " " * len(_BETWEEN))).split()
    return {key_hash(columns, [form]) for word in words for form in _forms(word)}


def _forms(text: str) -> set[str]:
    """Return a text as it is, without spaces around it, and the number that it writes."""
    found = {text, text.strip()}
    try:
        number = Decimal(text.strip())
    except InvalidOperation:
        return found
    plain = f"{number:f}" if number.is_finite() and abs(number.adjusted()) < 100 else text  # noqa: PLR2004
    return {*found, plain.rstrip("0").rstrip(".") if "." in plain else plain}


def _text(value: str, kind: ColumnType) -> str:
    text = f"CAST({value} AS VARCHAR)"
    return f"regexp_replace({text}, '{_FRACTION}', '\\1')" if kind.name in ("decimal", "float") else text


def _lost(before: Sequence[LandedFile | None], after: Sequence[LandedFile | None]) -> int:
    return sum(file.rows for file in before if file) - sum(file.rows for file in after if file)


def _hashes(manifest: Manifest) -> set[str]:
    return {one.sha256 for one in manifest.forgotten}


def _noted(known: Sequence[Forgotten], keys: Sequence[KeyHash], rows: int) -> tuple[Forgotten, ...]:
    """Return what is forgotten with the keys that are new; the records count with the first of them."""
    counted = {one.sha256: one.rows for one in known}
    for key in keys:
        counted[key.sha256] = counted.get(key.sha256, 0) + rows
        rows = 0
    return tuple(Forgotten(sha256, number) for sha256, number in counted.items())


def _with_etags(place: Place, manifest: Manifest) -> Manifest:
    from elt_factory.landing.land import with_etags

    return with_etags(place, manifest)


def _connected() -> closing[duckdb.DuckDBPyConnection]:
    import duckdb

    connection = duckdb.connect(config={"threads": 2})
    connection.execute("SET TimeZone = 'UTC'")
    return closing(connection)


def landings(place: Place) -> Iterator[tuple[str, str, bool, Sequence[str]]]:
    """Yield the attempts below the place of a table: load id, attempt, whether it has a manifest, and its files."""
    found: dict[tuple[str, str], list[str]] = {}
    for path in place.files():
        load, _, rest = path.partition("/")
        attempt, _, name = rest.partition("/")
        if name:
            found.setdefault((load, attempt), []).append(name)
    for (load, attempt), names in sorted(found.items()):
        yield load, attempt, MANIFEST_FILE in names, names
