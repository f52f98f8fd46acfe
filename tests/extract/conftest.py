from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

import psycopg
import pytest

SERVER = {"host": "127.0.0.1", "port": 5432, "user": "postgres", "dbname": "test"}


@pytest.fixture(scope="session")
def postgres() -> Iterator[psycopg.Connection]:
    """A connection to the test server, whose search path is a schema that lives as long as the session."""
    try:
        database = psycopg.connect(**SERVER, connect_timeout=3, autocommit=True)
    except psycopg.OperationalError as error:
        if os.environ.get("ELT_REQUIRE_SERVICES") == "1":
            raise
        pytest.skip(f"no PostgreSQL to test with: {error}")
    schema = f"extract_{uuid.uuid4().hex[:10]}"
    with database:
        database.execute(f"CREATE SCHEMA {schema}")
        database.execute(f"SET search_path = {schema}")
        try:
            yield database
        finally:
            database.execute(f"DROP SCHEMA {schema} CASCADE")


@pytest.fixture(scope="session")
def schema(postgres: psycopg.Connection) -> str:
    return postgres.execute("SHOW search_path").fetchone()[0]
