"""Databases copied by the unedited files of `elt new`: every count and every column is compared with the source.

Run it with `python benchmarks/public_databases.py FOLDER`, a folder with any of `*.sqlite`, `*.postgres.sql` and
`*.mysql.sql`: Sakila, Chinook and Northwind, say. The servers are those of this machine, and the databases that it
makes there are dropped again. It exits with status 1 where anything differs.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pymysql

from elt_factory.config.loading import load_text
from elt_factory.config.models.table import Table, loaded_name
from elt_factory.core.connection import Connection
from elt_factory.core.window import Window
from elt_factory.dag.runtime import Run
from elt_factory.discover.writing import yaml_of
from elt_factory.extract.request import ReadRequest
from elt_factory.landing.land import land
from elt_factory.landing.places import LocalPlace
from elt_factory.landing.request import LandRequest
from elt_factory.landing.schema import KnownTable
from elt_factory.sources.read import read
from elt_factory.sources.sql.discovery import Tables, look_at_tables
from elt_factory.sources.sql.model import SqlSource
from elt_factory.warehouse.base import LoadOrder
from elt_factory.warehouse.dialect import Relation
from elt_factory.warehouse.duckdb.warehouse import DuckDBWarehouse

POSTGRES = {"host": "127.0.0.1", "port": 5432, "user": "postgres"}
MYSQL = {"host": "127.0.0.1", "port": 3306, "user": "root"}


@dataclass(frozen=True)
class Copied:
    """One table: rows in the source, columns compared, what differs in words."""

    table: str
    rows: int
    columns: int
    faults: tuple[str, ...]


def copy(connection: Connection, folder: Path, schema: str | None = None) -> list[Copied]:
    """Copy all tables as `elt new` and a full refresh do, and compare."""
    scratch = folder / "look"
    scratch.mkdir(parents=True)
    found = look_at_tables(Tables(connection, "copied", (), schema, folder), scratch)
    config = load_text(folder / "copied.yaml", yaml_of("copied", found, {}), folder).config
    now = datetime.now(UTC)
    run = Run("run", config, Window(now - timedelta(days=1), now), frozenset(config.all_tables), full_refresh=True)
    copied = [Copied(skipped.name, 0, 0, (skipped.reason,)) for skipped in found.skipped]
    with DuckDBWarehouse(folder / "warehouse.duckdb") as warehouse:
        for name in config.tables:
            load_table(warehouse, run, config, name, connection, folder)
            copied.append(compared(warehouse, config, name, connection, schema))
    return copied


def load_table(
    warehouse: DuckDBWarehouse, run: Run, config: SqlSource, name: str, connection: Connection, folder: Path
) -> None:
    """Do what the tasks extract and load do, without Airflow."""
    workdir, spec, window = folder / f"work_{name}", config.tables[name], run.table_window(name)
    workdir.mkdir()
    lag = spec.incremental.time_lag if spec.incremental else timedelta()
    request = ReadRequest(
        config, name, window.reach_back(lag), run.load_id(name), connection, workdir, folder, lambda _: None
    )
    place = LocalPlace(folder / "landing").below("copied", name, run.load_id(name))
    known = KnownTable("copied", name, spec, None)
    manifest = land(LandRequest(known, window, run.load_id(name), read(request), place, workdir, lambda _: None))
    landing = place
    warehouse.load(
        LoadOrder(manifest, landing, Relation("copied", name), spec.write_disposition, spec.primary_key, "run", True)
    )


def compared(
    warehouse: DuckDBWarehouse, config: SqlSource, name: str, connection: Connection, schema: str | None
) -> Copied:
    spec = config.tables[name]
    names, rows = source_rows(connection, spec.table or name, schema)
    relation = Relation("copied", name)
    types = warehouse.columns(relation) or {}
    chosen = ", ".join(warehouse.dialect.name(column) for column in names if column in types)
    loaded = warehouse.query(f"SELECT {chosen} FROM {relation.sql(warehouse.dialect)}").rows
    separator = "T" if connection.conn_type == "mysql" else " "  # what is hashed is the reader's text
    faults = [f"no column {column}" for column in names if column not in types]
    if len(loaded) != len(rows):
        faults.append(f"{len(rows)} rows in the source, {len(loaded)} loaded")
    for place, column in enumerate(column for column in names if column in types):
        kind = types[column].name
        index = list(names).index(column)
        expected = Counter(canonical(row[index], kind, spec, column, separator) for row in rows)
        actual = Counter(canonical(row[place], kind, Table(), column) for row in loaded)
        if expected != actual:
            lost, new = list(expected - actual)[:2], list(actual - expected)[:2]
            faults.append(f"{column} ({types[column]}): {lost} in the source, {new} loaded")
    return Copied(name, len(rows), len(names), tuple(faults))


def canonical(value: Any, kind: str, spec: Table, column: str, separator: str = " ") -> object:  # noqa: C901, PLR0911 - a line for each type
    """Return a value of either side in one form."""
    if value is None:
        return None
    declared = spec.columns.get(column)
    if declared and declared.pii == "hash":
        text = value.isoformat(sep=separator) if isinstance(value, datetime) else str(value)
        return hashlib.sha256(text.encode()).hexdigest()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return int.from_bytes(bytes(value), "big") if kind in ("integer", "boolean") else bytes(value)
    if kind == "binary":
        return str(value).encode()
    if kind in ("integer", "decimal", "boolean"):
        return Decimal(str(value).replace("$", "").replace(",", "")) if not isinstance(value, bool) else Decimal(value)
    if kind == "float":
        return str(float(value))  # NaN is not itself
    if kind == "json":
        return json.dumps(json.loads(value) if isinstance(value, str) else value, sort_keys=True, default=str)
    if kind in ("datetime", "timestamp", "date"):
        return moment(value)
    return str(value)


def moment(value: Any) -> datetime:
    """Return a date or a time on UTC's clock."""
    found = datetime.fromisoformat(value) if isinstance(value, str) else value
    if not isinstance(found, datetime) and isinstance(found, date):
        return datetime(found.year, found.month, found.day, tzinfo=UTC)
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def source_rows(
    connection: Connection, table: str, schema: str | None
) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
    """Return a table as the database's own driver gives it."""
    mark = "`" if connection.conn_type == "mysql" else '"'
    quoted = ".".join(f"{mark}{part}{mark}" for part in (schema, table) if part)
    with closing(opened(connection)) as database, closing(database.cursor()) as cursor:
        cursor.execute(f"SELECT * FROM {quoted}")
        rows = cursor.fetchall()
        # a name that ELT Factory reserves is loaded under another
        return [loaded_name(column[0]) for column in cursor.description], rows


def opened(connection: Connection) -> Any:
    if connection.conn_type == "sqlite":
        return sqlite3.connect(str(connection.host))
    if connection.conn_type == "mysql":
        return pymysql.connect(**MYSQL, database=connection.schema, charset="utf8mb4")
    return psycopg.connect(**POSTGRES, dbname=connection.schema, options="-c timezone=UTC")


@contextmanager
def database_of(file: Path, folder: Path) -> Iterator[tuple[Connection, str | None]]:
    """Provide the database of a file; on a server one of its own, dropped at the end."""
    name = f"elt_copy_{uuid.uuid4().hex[:10]}"
    if file.suffix == ".sqlite":
        yield Connection("db", "sqlite", host=str(file)), None
    elif file.name.endswith(".mysql.sql"):
        with closing(pymysql.connect(**MYSQL, autocommit=True)) as server:
            server.cursor().execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
            try:
                text = re.sub(r"^(CREATE DATABASE|DROP DATABASE|USE).*$", "", file.read_text(), flags=re.MULTILINE)
                filled(["mysql", "-h127.0.0.1", "-uroot", "--default-character-set=utf8mb4", name], text, folder)
                yield Connection("db", "mysql", "127.0.0.1", 3306, name, "root"), None
            finally:
                server.cursor().execute(f"DROP DATABASE {name}")
    else:
        with psycopg.connect(**POSTGRES, dbname="postgres", autocommit=True) as server:
            server.execute(f"CREATE DATABASE {name}")
            try:
                text = re.sub(r"^(CREATE DATABASE|DROP DATABASE|\\c ).*$", "", file.read_text(), flags=re.MULTILINE)
                filled(["psql", "-q", "-h127.0.0.1", "-Upostgres", "-d", name], text, folder)
                yield Connection("db", "postgres", "127.0.0.1", 5432, name, "postgres"), "public"
            finally:
                server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def filled(command: Sequence[str], text: str, folder: Path) -> None:
    script = folder / "script.sql"
    script.write_text(text, encoding="utf-8")
    with script.open("rb") as stream:
        subprocess.run(command, stdin=stream, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)


def shown(file: Path, copied: Sequence[Copied], seconds: float) -> Mapping[str, int]:
    faults = [f"{one.table}: {fault}" for one in copied for fault in one.faults]
    totals = {"tables": len(copied), "rows": sum(c.rows for c in copied), "columns": sum(c.columns for c in copied)}
    print(
        f"{file.name}: {', '.join(f'{n:,} {what}' for what, n in totals.items())}, {len(faults)} faults, "
        f"{seconds:.1f} s"
    )
    for fault in faults:
        print(f"  {fault}")
    return totals | {"faults": len(faults)}


def main() -> None:
    files = sorted(
        f for f in Path(sys.argv[1]).iterdir() if f.name.endswith((".sqlite", ".postgres.sql", ".mysql.sql"))
    )
    faults = 0
    for file in files:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            with database_of(file, folder) as (connection, schema):
                began = time.perf_counter()
                copied = copy(connection, folder, schema)
                faults += shown(file, copied, time.perf_counter() - began)["faults"]
    sys.exit(1 if faults or not files else 0)


if __name__ == "__main__":
    os.environ.setdefault("PGCLIENTENCODING", "utf8")
    main()
