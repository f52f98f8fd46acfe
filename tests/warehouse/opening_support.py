"""How a test gets an empty warehouse of its own, and connections to it."""

import json
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from elt_factory.core.connection import Connection
from elt_factory.warehouse.base import Warehouse
from elt_factory.warehouse.duckdb.warehouse import DuckDBWarehouse
from elt_factory.warehouse.snowflake.warehouse import SnowflakeWarehouse


@contextmanager
def duckdb_file(request, folder) -> Iterator[Callable[[], Warehouse]]:
    """A file of its own."""
    yield lambda: DuckDBWarehouse(folder / "warehouse.duckdb", patience=5)


@contextmanager
def fakesnow_database(request, folder) -> Iterator[Callable[[], Warehouse]]:
    """A database of its own on the fakesnow server."""
    connection = connection_of(request.getfixturevalue("fake_snowflake").fields())
    yield lambda: SnowflakeWarehouse(connection)


@contextmanager
def snowflake_account(request, folder) -> Iterator[Callable[[], Warehouse]]:
    """A database of its own on the account that SNOWFLAKE_... in the environment names; dropped afterwards."""
    database = f"ELT_FACTORY_TEST_{uuid.uuid4().hex[:12]}".upper()
    connection = account_connection(database)
    opened = SnowflakeWarehouse(connection)
    with opened:
        opened.execute(f"CREATE TRANSIENT DATABASE {database} DATA_RETENTION_TIME_IN_DAYS = 0")
        try:
            yield lambda: SnowflakeWarehouse(connection)
        finally:
            opened.execute(f"DROP DATABASE {database}")


def account_connection(database: str) -> Connection:
    """The connection that the environment describes."""
    names = ("account", "warehouse", "role", "authenticator", "private_key_file", "host")
    found = {name: os.environ.get(f"SNOWFLAKE_{name.upper()}") for name in names}
    given = {name: value for name, value in found.items() if value}
    more = json.loads(os.environ.get("SNOWFLAKE_EXTRA", "{}"))
    return Connection(
        "warehouse",
        "snowflake",
        login=os.environ.get("SNOWFLAKE_USER"),
        password=os.environ.get("SNOWFLAKE_PASSWORD"),
        extra={**given, **more, "database": database},
    )


def connection_of(fields: dict[str, Any]) -> Connection:
    """The fields of an Airflow connection, as the warehouse takes them."""
    return Connection("warehouse", **fields)
