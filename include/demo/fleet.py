"""The `fleet` source: planes, airlines and airports in SQLite or PostgreSQL."""

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    URL,
    Column,
    Connection,
    Double,
    Integer,
    MetaData,
    Table,
    Text,
    create_engine,
    insert,
    inspect,
    make_url,
    select,
)
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.schema import CreateSchema

from demo.dataset import dataset_file
from demo.errors import DemoError

if TYPE_CHECKING:
    from collections.abc import Callable

Row = tuple[Any, ...]


def fleet_tables(schema: str | None) -> MetaData:
    """Return the tables of the fleet, in a schema or, where the database has none, outside any."""
    metadata = MetaData(schema=schema)
    Table(
        "planes",
        metadata,
        Column("tailnum", Text, primary_key=True),
        Column("year", Integer),
        Column("type", Text),
        Column("manufacturer", Text),
        Column("model", Text),
        Column("engines", Integer),
        Column("seats", Integer),
        Column("speed", Integer),
        Column("engine", Text),
    )
    Table(
        "airlines",
        metadata,
        Column("carrier", Text, primary_key=True),
        Column("name", Text, nullable=False),
    )
    Table(
        "airports",
        metadata,
        Column("faa", Text, primary_key=True),
        Column("name", Text, nullable=False),
        Column("lat", Double),
        Column("lon", Double),
        Column("alt", Integer),
        Column("tz", Integer),
        Column("dst", Text),
        Column("tzone", Text),
    )
    return metadata


def lay_fleet(data_dir: Path, url: str | None = None, schema: str = "fleet") -> list[str]:
    """Bring the three tables to what the dataset says and return the names of those that changed.

    Without a `url` they are in `<data_dir>/fleet.sqlite`; with `postgresql://...` in `schema`, which is
    created when it is missing. A table that is already right is not written to.

    Raises DemoError when the URL is not a PostgreSQL URL, the database refuses, or the dataset is not installed.
    """
    target = _postgres_url(url) if url else _sqlite_url(data_dir)
    metadata = fleet_tables(schema if url else None)
    engine = create_engine(target)
    try:
        with engine.begin() as con:
            _create(con, metadata)
            return [table.name for table in metadata.tables.values() if _fill(con, table)]
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        where = target.render_as_string(hide_password=True)
        raise DemoError(
            f"cannot lay the fleet in {where}: {reason} (is it running, and may this user create tables?)"
        ) from error
    finally:
        engine.dispose()


def _sqlite_url(data_dir: Path) -> URL:
    data_dir.mkdir(parents=True, exist_ok=True)
    return URL.create("sqlite", database=str(data_dir / "fleet.sqlite"))


def _postgres_url(text: str) -> URL:
    try:
        url = make_url(text)
    except ArgumentError:
        url = None
    if url is None or url.drivername.partition("+")[0] not in {"postgresql", "postgres"}:
        raise DemoError("the fleet URL is not a PostgreSQL URL: write postgresql://user:password@host:5432/database")
    return url.set(drivername="postgresql+psycopg")


def _create(con: Connection, metadata: MetaData) -> None:
    # CREATE SCHEMA IF NOT EXISTS asks for the right to create even where the schema exists already.
    if metadata.schema and not inspect(con).has_schema(metadata.schema):
        con.execute(CreateSchema(metadata.schema))
    metadata.create_all(con)


def _fill(con: Connection, table: Table) -> bool:
    rows = _read(table)
    if {tuple(row) for row in con.execute(select(table))} == set(rows):
        return False
    con.execute(table.delete())
    names = table.columns.keys()
    con.execute(insert(table), [dict(zip(names, row, strict=True)) for row in rows])
    return True


def _read(table: Table) -> list[Row]:
    parsers: list[Callable[[str], Any]] = [column.type.python_type for column in table.columns]
    with dataset_file(f"{table.name}.csv").open(encoding="utf-8", newline="") as file:
        lines = csv.reader(file)
        next(lines)
        return [
            tuple(None if text == "NA" else parse(text) for parse, text in zip(parsers, line, strict=True))
            for line in lines
        ]
