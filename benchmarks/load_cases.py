"""What `load.py` measures, each case in a process of its own: `load_cases.py CASE FOLDER ROWS` prints its result.

The folder holds what earlier cases left for later ones: the records as NDJSON, then their landing.
"""

from __future__ import annotations

import json
import resource
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from elt_factory.config.models.table import Table, WriteDisposition
from elt_factory.core.sql_text import file_list, literal
from elt_factory.core.window import Window, load_id
from elt_factory.extract.request import Spool
from elt_factory.landing.land import land
from elt_factory.landing.manifest import Manifest, Owner, read_manifest
from elt_factory.landing.places import LocalPlace
from elt_factory.landing.request import LandRequest
from elt_factory.landing.schema import KnownTable
from elt_factory.warehouse.base import LoadOrder
from elt_factory.warehouse.dialect import Relation
from elt_factory.warehouse.duckdb.warehouse import DuckDBWarehouse

WINDOW = Window(datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC))
LOAD_ID = load_id("shop", "orders", WINDOW)
TARGET = Relation("shop", "orders")
FILE_ROWS = 1_000_000
COLUMNS = {
    "order_id": "integer",
    "customer_id": "integer",
    "updated_at": "timestamp",
    "ordered_on": "date",
    "amount": "decimal(12, 2)",
    "reference": "text",
    "status": "text",
    "express": "boolean",
    "details": "json",
    "quantity": "integer",
}
RECORDS = """
    SELECT i AS order_id, hash(i) % 200_000 AS customer_id,
        strftime(TIMESTAMP '2024-01-01' + to_milliseconds(i * 8), '%Y-%m-%dT%H:%M:%S.%gZ') AS updated_at,
        DATE '2024-01-01' + (hash(i, 1) % 365)::INTEGER AS ordered_on,
        ((hash(i, 2) % 10_000_000) / 100)::DECIMAL(12, 2) AS amount,
        'order ' || md5(i::VARCHAR) AS reference,
        ['new', 'paid', 'shipped', 'returned'][1 + (hash(i, 3) % 4)::INTEGER] AS status,
        hash(i, 4) % 5 = 0 AS express,
        {'sku': hash(i, 5) % 50_000, 'tags': ['a', 'b'], 'note': 'line ' || hash(i, 6) % 1000} AS details,
        hash(i, 7) % 100 AS quantity
"""


@dataclass(frozen=True)
class Case:
    """Where a case works, and with how many rows."""

    folder: Path
    rows: int

    @property
    def records(self) -> Path:
        """The folder of the source's records."""
        return self.folder / "records"

    @property
    def landing(self) -> LocalPlace:
        """The place of their landing."""
        return LocalPlace(self.folder / "landing")

    def database(self) -> Path:
        """Return a place for a database that is not there yet."""
        for file in self.folder.glob("warehouse.duckdb*"):
            file.unlink()
        return self.folder / "warehouse.duckdb"


def records(case: Case) -> None:
    """Write the source's records as NDJSON, a file per million."""
    case.records.mkdir()
    for first in range(0, case.rows, FILE_ROWS):
        file = case.records / f"{first:09}.ndjson"
        numbers = f"range({first}, {min(first + FILE_ROWS, case.rows)}) AS numbers(i)"
        duckdb.execute(f"COPY ({RECORDS} FROM {numbers}) TO {literal(str(file))} (FORMAT json)")


def landed(case: Case) -> None:
    """Run the contract step: records through the contract into a landing."""
    table = Table.model_validate(
        {
            "primary_key": ["order_id"],
            "incremental": {"cursor": "updated_at"},
            "columns": {name: {"type": kind} for name, kind in COLUMNS.items()},
        }
    )
    spool = Spool("ndjson", tuple(sorted(case.records.iterdir())), rows_read=case.rows)
    known = KnownTable("shop", "orders", table, None)
    workdir = case.folder / "work"
    workdir.mkdir()
    land(LandRequest(known, WINDOW, LOAD_ID, spool, case.landing, workdir, print))
    shutil.rmtree(workdir)


def landing_of(case: Case) -> Manifest:
    """Return the manifest of the one landing there is."""
    [attempt] = case.landing.folder.iterdir()
    return read_manifest(case.landing, Owner("", "shop", "orders", LOAD_ID, attempt.name))


def bare(case: Case) -> None:
    """Run the floor: DuckDB's own INSERT of the same files, and close the file."""
    manifest = landing_of(case)
    files = file_list(str(case.landing.folder / file.path) for file in manifest.files)
    types = DuckDBWarehouse.dialect
    columns = ", ".join(f"{types.name(c.name)} {types.type(c.column_type)}" for c in manifest.columns)
    with duckdb.connect(str(case.database())) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"CREATE TABLE orders ({columns})")
        connection.execute(f"INSERT INTO orders SELECT * FROM read_parquet({files}, hive_partitioning = false)")


def loaded(case: Case, disposition: WriteDisposition) -> None:
    """Run the load as its task does: from reading the manifest to closing the warehouse."""
    with DuckDBWarehouse(case.database()) as warehouse:
        order = LoadOrder(landing_of(case), case.landing, TARGET, disposition, ("order_id",), "run")
        report = warehouse.load(order)
    if report.rows_loaded != case.rows:
        raise SystemExit(f"{report.rows_loaded} of {case.rows} rows are loaded")


CASES: Mapping[str, Callable[[Case], None]] = {
    "records": records,
    "land": landed,
    "bare": bare,
    "append": lambda case: loaded(case, "append"),
    "replace": lambda case: loaded(case, "replace"),
    "merge": lambda case: loaded(case, "merge"),
}


def main(name: str, folder: str, rows: str) -> None:
    case = Case(Path(folder), int(rows))
    started = time.perf_counter()
    CASES[name](case)
    seconds = time.perf_counter() - started
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = used.ru_utime + used.ru_stime
    print("RESULT" + json.dumps({"seconds": seconds, "cpu": cpu, "mb": used.ru_maxrss / 1024}))


if __name__ == "__main__":
    main(*sys.argv[1:])
