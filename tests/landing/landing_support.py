"""Landing a few records and reading back what became of them."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from elt_factory.config.models.checks import TableCheck
from elt_factory.config.models.formats import CsvFormat
from elt_factory.config.models.table import Table
from elt_factory.config.models.values import ColumnType
from elt_factory.core.window import Window
from elt_factory.extract.growing import Growing
from elt_factory.extract.request import Spool
from elt_factory.landing.land import land, land_while_reading
from elt_factory.landing.manifest import Manifest
from elt_factory.landing.places import LocalPlace
from elt_factory.landing.request import LandRequest
from elt_factory.landing.schema import KnownTable

WINDOW = Window(datetime(2013, 1, 1, tzinfo=UTC), datetime(2013, 1, 2, tzinfo=UTC))


@dataclass(frozen=True)
class Landed:
    """A manifest and its folder, opened."""

    manifest: Manifest
    folder: Path

    @property
    def types(self) -> dict[str, str]:
        return {column.name: column.type for column in self.manifest.columns}

    @property
    def rows(self) -> list[dict[str, Any]]:
        found = [row for file in self.manifest.files for row in self._read(file.path)]
        return [{name: value for name, value in row.items() if name != "_file_id"} for row in found]

    def column(self, name: str) -> list[Any]:
        return [row[name] for row in self.rows]

    @property
    def rejects(self) -> list[tuple[str, str | None]]:
        found = self._read(self.manifest.rejects.path) if self.manifest.rejects else []
        return [(row["reason"], row["record"]) for row in found]

    @property
    def reasons(self) -> list[str]:
        return [reason for reason, _ in self.rejects]

    def _read(self, path: str) -> list[dict[str, Any]]:
        return pq.read_table(self.folder / path).to_pylist()


def told(spool: Spool, growing: Growing) -> Spool:
    """Tell of the files of a spool as a reader does of those that it writes, a record at a time."""
    is_of_database = spool.format == "csv" and spool.rows_read is not None
    if is_of_database:
        growing.described = replace(spool, files=(), rows_read=0, longest=None, headers=(tuple(spool.types),))
    for file in spool.files if is_of_database or spool.format == "ndjson" else ():
        content = file.read_bytes()
        if content and not content.endswith(b"\n"):
            file.write_bytes(content + b"\n")
        size = quotes = 0
        for line in file.read_bytes().splitlines(keepends=True):
            size, quotes = size + len(line), quotes + line.count(b'"')
            if line.endswith(b"\n") and not (is_of_database and quotes % 2):
                growing.grew(file, size)
    return spool


@dataclass
class Lander:
    """Lands spools below one folder; `told` collects what it said."""

    base: Path
    told: list[str] = field(default_factory=list)
    numbers: itertools.count = field(default_factory=itertools.count)
    follows: bool = False  # NDJSON, and CSV of a database, as if it were read in this moment

    @property
    def folder(self) -> Path:
        return self.base / "landing"

    @property
    def place(self) -> LocalPlace:
        return LocalPlace(self.folder)

    def land(
        self,
        spool: Spool,
        table: Mapping[str, Any] | None = None,
        existing: Mapping[str, str] | None = None,
        kind: type[Table] = Table,
        checks: Sequence[TableCheck] = (),
    ) -> Landed:
        workdir = self.base / f"work{next(self.numbers)}"
        workdir.mkdir(parents=True)
        types = None if existing is None else {name: ColumnType.parse(kind) for name, kind in existing.items()}
        known = KnownTable("src", "tab", kind.model_validate(table or {}), types, checks=checks)
        request = LandRequest(known, WINDOW, "L1", spool, self.place, workdir, self.told.append)
        manifest = land_while_reading(request, lambda growing: told(spool, growing)) if self.follows else land(request)
        kept = manifest.rows + manifest.rows_rejected + manifest.rows_duplicate
        assert manifest.rows_read == kept + manifest.rows_filtered
        assert manifest.rows == sum(file.rows for file in manifest.files)
        return Landed(manifest, self.folder)

    def files(self, *contents: str | bytes, suffix: str) -> tuple[Path, ...]:
        self.base.mkdir(parents=True, exist_ok=True)
        paths = []
        for content in contents:
            path = self.base / f"file{next(self.numbers)}.{suffix}"
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
            paths.append(path)
        return tuple(paths)

    def ndjson(
        self, *contents: str | bytes, table=None, existing=None, rows_read: int | None = None, checks=()
    ) -> Landed:
        spool = Spool("ndjson", self.files(*contents, suffix="ndjson"), rows_read)
        return self.land(spool, table, existing, checks=checks)

    def of_database(
        self, *contents: str | bytes, types: Mapping[str, str], rows_read: int, table=None, existing=None
    ) -> Landed:
        files = self.files(*contents, suffix="csv")
        longest = max((len(line) for file in files for line in file.read_bytes().splitlines()), default=0)
        kinds = {name: ColumnType.parse(kind) for name, kind in types.items()}
        integers = frozenset(name for name, kind in types.items() if kind == "integer")
        spool = Spool("csv", files, rows_read, kinds, longest=longest, integers=integers)
        return self.land(spool, table, existing)

    def csv(self, *contents: str | bytes, table=None, existing=None, types=None, **form: Any) -> Landed:
        files = self.files(*contents, suffix="csv")
        spool = Spool("csv", files, csv=CsvFormat(type="csv", **form), types=types or {})
        return self.land(spool, table, existing)

    def parquet(self, *queries: str, table=None, existing=None) -> Landed:
        files = []
        for query in queries:
            path = self.base / f"file{next(self.numbers)}.parquet"
            duckdb.connect().execute(f"COPY ({query}) TO '{path}' (FORMAT parquet)")
            files.append(path)
        return self.land(Spool("parquet", tuple(files)), table, existing)


def columns(**kinds: str) -> dict[str, Any]:
    return {"columns": {name: {"type": kind} for name, kind in kinds.items()}}


def lines(*records: str) -> str:
    return "".join(record + "\n" for record in records)


def names(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(rows[0]) if rows else []
