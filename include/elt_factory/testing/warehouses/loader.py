"""Loads of a few records, whatever the warehouse."""

import itertools
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import duckdb
import pytest

from elt_factory.config.models.table import Table
from elt_factory.config.models.values import ColumnType
from elt_factory.core.window import Window, load_id
from elt_factory.extract.request import Spool
from elt_factory.landing.attempt import is_attempt
from elt_factory.landing.checksums import sha256_of
from elt_factory.landing.land import land
from elt_factory.landing.manifest import MANIFEST_FILE, Manifest, parse_manifest, read_manifest, write_manifest
from elt_factory.landing.places import LocalPlace, Place
from elt_factory.landing.request import LandRequest
from elt_factory.landing.schema import KnownTable, as_declared
from elt_factory.warehouse.base import LoadReport, Warehouse
from elt_factory.warehouse.dialect import Relation
from elt_factory.warehouse.duckdb.warehouse import DuckDBWarehouse
from elt_factory.warehouse.order import LoadOrder

Connect = Callable[[], Warehouse]
PROJECT = "ours"
FIRST_DAY = datetime(2013, 1, 1, tzinfo=UTC)
MERGE = {"write_disposition": "merge", "primary_key": ["id"]}
AB: list[dict[str, Any]] = [{"id": 1, "v": "a"}, {"id": 2, "v": "b"}]
MERGE_BY_CURSOR = MERGE | {"incremental": {"cursor": "u"}}


def day(number: int, days: int = 1) -> Window:
    start = FIRST_DAY + timedelta(days=number - 1)
    return Window(start, start + timedelta(days=days))


@dataclass
class Loader:
    """One table of one source: lands records and loads them."""

    base: Path
    warehouse: Warehouse
    source: str = "src"
    name: str = "tab"
    spec: dict[str, Any] = field(default_factory=dict)
    table_model: type[Table] = Table
    forms: Mapping[str, str] = field(default_factory=dict)
    numbers: ClassVar[Iterator[int]] = itertools.count()

    @property
    def target(self) -> Relation:
        return Relation(self.source, self.name)

    @property
    def columns(self) -> Mapping[str, ColumnType]:
        """The columns of the table, those of ELT Factory too."""
        return self.warehouse.columns(self.target) or {}

    @property
    def table(self) -> Table:
        return self.table_model.model_validate(self.spec)

    def load_id(self, window: Window) -> str:
        return load_id(self.source, self.name, window)

    def place(self, window: Window) -> LocalPlace:
        return LocalPlace(self.base).below(self.source, self.name, self.load_id(window))

    def land(
        self,
        records: Sequence[Mapping[str, Any] | str],
        window: Window | None = None,
        after: str | None = None,
        keys: Sequence[Mapping[str, Any]] | None = None,
        *,
        full_refresh: bool = False,
    ) -> Manifest:
        window = window or day(1)
        workdir = self.base / f"work{next(self.numbers)}"
        workdir.mkdir(parents=True)
        existing = self.warehouse.columns_as(self.target, self.table.types)
        existing = as_declared(existing, self.table) if full_refresh else existing
        known = KnownTable(self.source, self.name, self.table, existing)
        all_keys = None if keys is None else spooled(workdir / "keys.ndjson", keys)
        spool = replace(spooled(workdir / "records.ndjson", records), keys=all_keys, forms=self.forms)
        place = self.place(window)
        whose = LandRequest(known, window, self.load_id(window), spool, place, workdir, print, PROJECT)
        return land(replace(whose, cursor_after=after))

    def land_numbers(self, ids: range, value: int, window: Window) -> None:
        """A landing of many rows, written in one statement: an id and a value each."""
        manifest, place = self.land([{"id": ids.start, "v": value}], window), self.place(window)
        file = place.folder / manifest.files[0].path
        with duckdb.connect() as scratch:
            rows = f"SELECT range AS id, CAST({value} AS BIGINT) AS v FROM range({ids.start}, {ids.stop})"
            scratch.execute(f"COPY ({rows}) TO '{file}' (FORMAT parquet)")
        landed = replace(manifest.files[0], rows=len(ids), bytes=file.stat().st_size, sha256=sha256_of(file))
        write_manifest(place, replace(manifest, files=(landed,), rows=len(ids), rows_read=len(ids)))

    def order(self, window: Window | None = None, *, run_id: str = "run", full_refresh: bool = False) -> LoadOrder:
        place = self.place(window or day(1))
        return LoadOrder(
            newest(place),
            place,
            self.target,
            self.table.write_disposition,
            self.table.primary_key,
            run_id,
            full_refresh,
            deletes=self.table.follows_deletes,
            limit=self.table.rejects,
            retypes=frozenset(self.table.types) if full_refresh else frozenset(),
            drops=bool(self.table.leaves_out),
        )

    def load(
        self,
        records: Sequence[Mapping[str, Any] | str],
        window: Window | None = None,
        *,
        run_id: str = "run",
        full_refresh: bool = False,
        keys: Sequence[Mapping[str, Any]] | None = None,
    ) -> LoadReport:
        self.land(records, window, keys=keys, full_refresh=full_refresh)
        report = self.warehouse.load(self.order(window, run_id=run_id, full_refresh=full_refresh))
        assert report.rows_read == (
            report.rows_loaded
            + report.rows_rejected
            + report.rows_duplicate
            + report.rows_unchanged
            + report.rows_filtered
            + report.rows_withheld
        )
        return report

    def rows(self, *columns: str) -> list[tuple[Any, ...]]:
        """The table's rows without ELT Factory's columns, sorted."""
        d = self.warehouse.dialect
        names = columns or tuple(n for n in self.warehouse.columns(self.target) or {} if not n.startswith("_lo"))
        found = self.warehouse.query(f"SELECT {d.names(names)} FROM {self.target.sql(d)}").rows
        return sorted(found, key=repr)

    def audit(self, table: str, *columns: str) -> list[tuple[Any, ...]]:
        """An audit table's rows about this table, sorted."""
        d = self.warehouse.dialect
        mine = f"source = {d.literal(self.source)} AND table_name = {d.literal(self.name)}"
        return sorted(self.warehouse.query(f"SELECT {', '.join(columns)} FROM _elt.{table} WHERE {mine}").rows)


def spooled(file: Path, records: Sequence[Mapping[str, Any] | str]) -> Spool:
    """Records as a reader leaves them."""
    lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
    file.write_text("".join(line + "\n" for line in lines))
    return Spool("ndjson", (file,), len(records))


def everything(warehouse: Warehouse, target: Relation) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of a table and of the audit tables, without the moments at which they were written."""
    d = warehouse.dialect
    found: dict[str, list[tuple[Any, ...]]] = {}
    for relation in (
        target,
        Relation("_elt", "loads"),
        Relation("_elt", "rejects"),
        Relation("_elt", "schema_changes"),
    ):
        columns = warehouse.columns(relation)
        if columns is None:
            found[relation.name] = []
            continue
        names = tuple(name for name in columns if not name.endswith("_at") and name not in ("bytes", "files", "turn"))
        rows = warehouse.query(f"SELECT {d.names(names)} FROM {relation.sql(d)}").rows
        found[relation.name] = sorted(rows, key=repr)
    return found


class OnWarehouse:
    """What the tests of every suite ask for; the fixture `connect` comes from the package under test."""

    @pytest.fixture
    def warehouse(self, connect: Connect) -> Iterator[Warehouse]:
        """Open the warehouse of the test."""
        with connect() as opened:
            yield opened

    @pytest.fixture
    def loader(self, warehouse: Warehouse, tmp_path: Path) -> Loader:
        """Return what lands and loads records of one table."""
        return Loader(tmp_path / "landing", warehouse)


class Crash(BaseException):
    """As sudden as a kill."""


def as_for_a_task(warehouse) -> None:
    """Let a connection that has loaded already begin as a task's own does: it looks at the audit tables first."""
    warehouse._prepared = False


def counted(warehouse, monkeypatch, at, moment):
    """Make the statement number `at` of a task fail, before it runs or after; the list that is returned counts them."""
    as_for_a_task(warehouse)
    real, seen = type(warehouse).execute, []

    def execute(self, statement):
        seen.append(statement)
        if len(seen) == at and moment == "before":
            raise Crash
        changed = real(self, statement)
        if len(seen) == at and moment == "after":
            raise Crash
        return changed

    monkeypatch.setattr(type(warehouse), "execute", execute)
    return seen


def crash_points(warehouse, moment: str) -> Iterator[int]:
    """The numbers of the statements at which loads end, without end.

    On DuckDB each. Elsewhere a load takes a second, so there it is every fourth, others before than after, and each
    where ELT_EVERY_CRASH is set.
    """
    every = isinstance(warehouse, DuckDBWarehouse) or "ELT_EVERY_CRASH" in os.environ
    return itertools.count(1) if every else itertools.count(1 if moment == "before" else 3, 4)


def crashes(warehouse, monkeypatch, order: LoadOrder, moment: str) -> Iterator[int]:
    """Load again and again until it is done; each try ends later than the last and yields its statement."""
    for at in crash_points(warehouse, moment):
        with monkeypatch.context() as patched:
            counted(warehouse, patched, at, moment)
            try:
                warehouse.load(order)
            except Crash:
                pass
            else:
                return
        yield at


def newest(place: Place) -> Manifest:
    """The manifest of the attempt that began last. A task reads the one of its own run."""
    names = [name.partition("/")[0] for name in place.files() if name.endswith(f"/{MANIFEST_FILE}")]
    found = [parse_manifest(place.below(name)) for name in names if is_attempt(name)]
    manifest = max(found, key=lambda manifest: manifest.started_at)
    return read_manifest(place, manifest.owner)
