"""Odd databases copied by the unedited files of `elt new`: every count and column is the source's."""

from __future__ import annotations

import importlib.util
import os
import sqlite3
import sys
import uuid
from pathlib import Path

import psycopg
import pytest

from elt_factory.core.connection import Connection

ODD = """
CREATE TABLE "Order Details" (order_id INTEGER, "Product ID" INTEGER, "Unit-Price" DECIMAL(10,2), discount REAL,
    PRIMARY KEY (order_id, "Product ID"));
INSERT INTO "Order Details" VALUES (1, 1, 9.99, 0.1), (1, 2, 23.2, NULL), (2, 1, 0, 1e300);
CREATE TABLE customers (id TEXT PRIMARY KEY, name VARCHAR(20), updated_at DATETIME, picture BLOB, balance MONEY,
    active BOOLEAN);
INSERT INTO customers VALUES ('007', 'é', '2009-01-01 23:59:59', x'00ff', 12, 1), ('7', '', NULL, 'AB', 1.5, 0);
CREATE TABLE people (id INTEGER PRIMARY KEY, email TEXT, "_load_id" TEXT, seen TIMESTAMP NOT NULL, "empty");
INSERT INTO people VALUES (1, 'a@example.org', 'x', '2013-01-01', NULL), (2, NULL, NULL, '2014-01-01T00:00:00Z', NULL);
CREATE TABLE events (id INTEGER PRIMARY KEY, updated_at DATETIME NOT NULL, amount INTEGER);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 6000)
INSERT INTO events SELECT i, CASE WHEN i > 5000 THEN '2011-03-04 00:30:00' ELSE '2013-01-01 00:00:00' END, i % 7 FROM n;
CREATE TABLE mixed (id INTEGER PRIMARY KEY, whole INTEGER, code, day DATE);
INSERT INTO mixed VALUES (1, 1.5, '007', 'never'), (2, 2, 7, '2013-01-01');
CREATE TABLE vacant (id INTEGER PRIMARY KEY, name TEXT);
"""
POSTGRES = """
CREATE TYPE mood AS ENUM ('glad', 'sad');
CREATE TABLE films (film_id serial PRIMARY KEY, title text, rate numeric(4,2), special text[], mood mood, picture bytea,
    last_update timestamp NOT NULL, released date, clock timestamptz, uid uuid, net inet, doc jsonb, free numeric);
INSERT INTO films VALUES (1, 'a', 4.99, '{a,"b c"}', 'glad', '\\x00ff', '2006-02-15 05:03:42.123', '2013-01-01',
    '2013-01-01 00:00+02', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '::1', '{"a": [1, null]}', 'NaN'),
    (2, NULL, NULL, NULL, NULL, NULL, '2006-02-14 00:00', '2006-01-01', NULL, NULL, NULL, NULL, 1.5);
CREATE TABLE payments (id bigint, at timestamptz) PARTITION BY RANGE (id);
CREATE TABLE payments_1 PARTITION OF payments FOR VALUES FROM (0) TO (100);
INSERT INTO payments VALUES (1, '2013-01-01'), (2, NULL);
"""


@pytest.fixture(scope="module")
def copying():
    """The benchmark that does the same with public databases."""
    file = Path(__file__).parents[2] / "benchmarks" / "public_databases.py"
    spec = importlib.util.spec_from_file_location("public_databases", file)
    module = importlib.util.module_from_spec(spec)
    sys.modules["public_databases"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.duckdb
def test_a_sqlite_database_of_oddities_is_copied_whole(copying, tmp_path):
    with sqlite3.connect(tmp_path / "odd.sqlite") as database:
        database.executescript(ODD)
    database.close()
    copied = copying.copy(Connection("db", "sqlite", host=str(tmp_path / "odd.sqlite")), tmp_path)
    assert {one.table: one.faults for one in copied if one.faults} == {}
    assert {one.table: one.rows for one in copied} == {
        "customers": 2, "events": 6000, "mixed": 2, "order_details": 3, "people": 2, "vacant": 0,
    }  # fmt: skip


@pytest.mark.services
def test_a_schema_of_postgresql_is_copied_whole(copying, tmp_path):
    name = f"elt_odd_{uuid.uuid4().hex[:10]}"
    try:
        server = psycopg.connect(**copying.POSTGRES, dbname="postgres", autocommit=True, connect_timeout=3)
    except psycopg.OperationalError as error:
        if os.environ.get("ELT_REQUIRE_SERVICES") == "1":
            raise
        pytest.skip(f"no PostgreSQL to test with: {error}")
    with server:
        server.execute(f"CREATE DATABASE {name}")
        try:
            with psycopg.connect(**copying.POSTGRES, dbname=name, autocommit=True) as database:
                database.execute(POSTGRES.encode())
            copied = copying.copy(Connection("db", "postgres", "127.0.0.1", 5432, name, "postgres"), tmp_path, "public")
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")
    assert {one.table: (one.rows, one.faults) for one in copied} == {"films": (2, ()), "payments": (2, ())}
