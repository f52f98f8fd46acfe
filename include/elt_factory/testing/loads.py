"""Loads of a source into a DuckDB file of the test's own: read, contract, landing, one transaction."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from elt_factory.config.loading import load_text
from elt_factory.config.models.source import Source
from elt_factory.core.connection import Connection
from elt_factory.core.window import Window, load_id
from elt_factory.extract.request import NOTHING_READ, CursorRange, ReadRequest, Spool
from elt_factory.landing.land import land_while_reading
from elt_factory.landing.places import LocalPlace
from elt_factory.landing.request import LandRequest
from elt_factory.landing.schema import KnownTable, as_declared
from elt_factory.sources.read import read
from elt_factory.warehouse.base import LoadReport
from elt_factory.warehouse.dialect import Relation
from elt_factory.warehouse.duckdb.warehouse import DuckDBWarehouse
from elt_factory.warehouse.ledger import ledger_of
from elt_factory.warehouse.order import LoadOrder
from elt_factory.warehouse.state import beginning

WEEK = Window(datetime(2013, 1, 1, tzinfo=UTC), datetime(2013, 1, 8, tzinfo=UTC))
_PROJECT = "conformance"


def source_of(config: Mapping[str, Any], folder: Path) -> Source:
    """Return the config of a source as a file of it would be read.

    Raises:
        ConfigError: what is wrong with it.
    """
    text = yaml.safe_dump(dict(config), sort_keys=False)
    file = folder / "dag_configs" / f"{config['name']}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    found = load_text(file, text, file.parent).config
    if not isinstance(found, Source):
        raise TypeError("a config with extract: and tables: is needed")
    return found


@dataclass(frozen=True)
class Line:
    """A source of one table, its connection, and a folder for all that a run writes. `log` takes what is logged."""

    source: Source
    connection: Connection | None
    folder: Path
    log: Callable[[str], None]

    @property
    def table(self) -> str:
        """The only table."""
        (name,) = self.source.tables
        return name

    @property
    def target(self) -> Relation:
        """The table in the warehouse."""
        return Relation(self.source.name, self.table)

    def read(self, window: Window, workdir: Path, **given: Any) -> Spool:
        """Read a window as the extract task does."""
        request = ReadRequest(
            source=self.source,
            table=self.table,
            window=window,
            load_id=load_id(self.source.name, self.table, window),
            connection=self.connection,
            workdir=workdir,
            project=self.folder,
            log=self.log,
            run_id="run",
            **given,
        )
        return read(request)

    def load(self, window: Window, *, full_refresh: bool = False) -> LoadReport:
        """Read, land and load a window, as the tasks of a run do."""
        spec, load = self.source.tables[self.table], load_id(self.source.name, self.table, window)
        with self.warehouse() as opened:
            existing = opened.columns_as(self.target, spec.types)
            existing = as_declared(existing, spec) if full_refresh else existing
            ledger = None if full_refresh else ledger_of(opened, self.target, spec)
            cursor = CursorRange()
            if not full_refresh:
                cursor = beginning(opened, self.source.name, self.table, spec, load, window)
        with tempfile.TemporaryDirectory(dir=self.folder) as scratch:
            workdir, contract = Path(scratch, "read"), Path(scratch, "contract")
            workdir.mkdir()
            contract.mkdir()
            place = LocalPlace(self.folder / "landing").below(load)
            known = KnownTable.of(self.source, self.table, existing)
            request = LandRequest(known, window, load, NOTHING_READ, place, contract, self.log, _PROJECT)
            manifest = land_while_reading(
                replace(request, cursor_after=cursor.after, token_after=cursor.token),
                lambda growing: self.read(window, workdir, ledger=ledger, cursor=cursor, growing=growing),
            )
        order = LoadOrder.of(self.source, self.table, manifest, place, "run", full_refresh=full_refresh)
        with self.warehouse() as opened:
            return opened.load(order)

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows that are loaded, without the columns of ELT Factory's own, in any order."""
        with self.warehouse() as opened:
            found = opened.query(f"SELECT * FROM {self.target.sql(opened.dialect)}").dicts()
            own = opened.own_columns
        return [{name: value for name, value in row.items() if name not in own} for row in found]

    @contextmanager
    def warehouse(self) -> Iterator[DuckDBWarehouse]:
        """Open the warehouse of the test."""
        with DuckDBWarehouse(self.folder / "warehouse.duckdb", log=self.log) as opened:
            yield opened
