"""A plan prints what a load sends: the same statements in the same order, but for the values that only a run knows."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from difflib import unified_diff
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from elt_factory.config.models.source import SOURCES
from elt_factory.core.connection import Connection
from elt_factory.describe.statements import load_statements
from elt_factory.testing.loads import WEEK, Line
from elt_factory.warehouse.base import LoadReport, Warehouse
from elt_factory.warehouse.duckdb.warehouse import DuckDBWarehouse
from elt_factory.warehouse.opening import open_warehouse
from elt_factory.warehouse.order import LoadOrder
from elt_factory.warehouse.recording import is_lookup

COLUMNS = {
    "id": {"type": "integer"},
    "at": {"type": "timestamp"},
    "n": {"type": "integer"},
    "v": {"type": "text", "description": "What it says"},
}
KEY, CURSOR = {"primary_key": ["id"]}, {"incremental": {"cursor": "at"}}
FILES = {
    "append": {"write_disposition": "append"},
    "append by a cursor": {"write_disposition": "append", **KEY, **CURSOR},
    "merge": {"write_disposition": "merge", **KEY},
    "merge by a cursor": {"write_disposition": "merge", **KEY, **CURSOR, "business_date": "at"},
    "replace": {"write_disposition": "replace"},
    "snapshots": {"write_disposition": "scd2", **KEY},
    "versions": {"write_disposition": "scd2", **KEY, **CURSOR},
}
DATABASE = FILES | {
    "merge that compares keys": {"write_disposition": "merge", **KEY, **CURSOR, "deletes": "compare"},
    "merge that marks deletes": {"write_disposition": "merge", **KEY, **CURSOR, "deletes": {"compare": "soft"}},
    "merge with a column of deletes": {"write_disposition": "merge", **KEY, **CURSOR, "deletes": {"column": "n"}},
    "merge without what is filtered": {
        "write_disposition": "merge",
        **KEY,
        **CURSOR,
        "where": "v <> 'b'",
        "deletes": {"filtered": True},
    },
    "append with a key": {"write_disposition": "append", **KEY},
    "append by a cursor without a key": {"write_disposition": "append", **CURSOR},
    "append with rows without a cursor": {"incremental": {"cursor": "at", "null_cursor": "include"}},
    "append by a number": {
        "query": "SELECT * FROM orders WHERE id > {{ cursor }}",
        "incremental": {"cursor": "id", "initial": 0},
    },
}
IN_WINDOW = {"params": {"since": "{{ window.start }}", "until": "{{ window.end }}"}}
API = {
    **FILES,
    "append by a cursor": FILES["append by a cursor"] | IN_WINDOW,
    "append by the window": {"write_disposition": "append", "business_date": "at", **IN_WINDOW},
    "replace of pages": {"write_disposition": "replace", "paginator": {"type": "page_number"}},
    "merge with a filter": {"write_disposition": "merge", **KEY, "where": "v <> 'b'"},
    "replace for each of a list": {
        "write_disposition": "replace",
        "for_each": {"region": ["EMEA", "APAC"]},
        "params": {"region": "{{ region }}"},
    },
}
CASES = {
    f"{kind} {name}{' anew' if refresh else ''}": (kind, spec, refresh)
    for kind, specs in (("files", FILES), ("sql", DATABASE), ("rest_api", API))
    for name, spec in specs.items()
    for refresh in (False, True)
}
# where each takes seconds: every table once, and once more from the beginning with each way to write; DuckDB has all
ON_FAKESNOW = {
    name: (kind, spec, refresh)
    for name, (kind, spec, refresh) in CASES.items()
    if "ELT_EVERY_CASE" in os.environ
    or (kind == "files" and spec in FILES.values())
    or (not refresh and spec not in FILES.values())
}
ROWS = [
    ("1", "2013-01-02T00:00:00Z", "10", "a"),
    ("2", "2013-01-03T00:00:00Z", "20", "b"),
    ("3", "2013-01-04T00:00:00Z", "many", "c"),
]


@pytest.fixture(scope="module")
def api() -> Iterator[Connection]:
    """The rows as the first page of an API, and no page more."""
    first = json.dumps([dict(zip(COLUMNS, row, strict=True)) for row in ROWS]).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = b"[]" if "page=" in self.path and "page=1" not in self.path else first
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Connection("api", "http", host=f"http://127.0.0.1:{server.server_port}")
        server.shutdown()


def line_of(kind: str, spec: dict, folder: Path, api: Connection, columns: dict = COLUMNS) -> Line:
    """A source of two good rows and a bad one."""
    table = {"columns": columns, "description": "Orders", **spec}
    if kind == "rest_api":
        extract, connection = {"type": "rest_api", "connection": "api"}, api
        table["path"] = "/orders"
    elif kind == "files":
        (folder / "in").mkdir()
        (folder / "in" / "orders.csv").write_text("".join(",".join(row) + "\n" for row in [tuple(COLUMNS), *ROWS]))
        extract, connection = {"type": "files", "folder": "in"}, None
        table["path"] = "orders.csv"
    else:
        with closing(sqlite3.connect(folder / "shop.db")) as database:
            database.execute("CREATE TABLE orders (id INTEGER, at TEXT, n INTEGER, v TEXT)")
            database.executemany("INSERT INTO orders VALUES (?, ?, ?, ?)", ROWS)
            database.commit()
        extract, connection = {"type": "sql", "connection": "db"}, Connection("db", "sqlite", host="shop.db")
        table |= {} if "query" in spec else {"table": "orders"}
    about = {"name": "shop", "extract": extract, "tables": {"orders": table}}
    return Line(SOURCES.get(kind).config.model_validate(about), connection, folder, lambda _: None)


_VALUES = (
    (re.compile(r"_[0-9a-f]{12}(?=[_\"])"), ""),
    (re.compile(r"(?i)(staged)_\w+"), r"\1"),
    (re.compile(r"read_parquet\(\[[^\]]*\]"), "read_parquet([?]"),
    (re.compile(r"CAST\('[^']*' AS (?:TIMESTAMP\w*(?: WITH TIME ZONE)?)\)"), "?"),
    (re.compile(r"(?:TIMESTAMPTZ|TIMESTAMP) '[^']*'"), "?"),
    (re.compile(r"'(?:[^']|'')*'"), "?"),
    (re.compile(r":[a-z_]+\b"), "?"),
    (re.compile(r"@\S+/"), "@?/"),
    (re.compile(r"\bfile://\S+"), "?"),
    (re.compile(r"(?<![\w.\"])\d+(?:\.\d+)?(?![\w.\"(),])"), "?"),
    (re.compile(r"(?<=, )\d+(?=[,)])"), "?"),
)


def without_values(statement: str) -> str:
    for pattern, word in _VALUES:
        statement = pattern.sub(word, statement)
    return statement


def differences(line: Line, warehouse: Warehouse, sent: list[str], kind: str, *, refresh: bool) -> list[str]:
    """How the plan differs from what a load sent, without what only looks for tables and columns."""
    plan = load_statements(line.source, line.table, WEEK, kind, full_refresh=refresh)
    warehouse.prepare()
    real_load = type(warehouse).load

    def load(order: LoadOrder) -> LoadReport:
        sent.clear()
        return real_load(warehouse, order)

    warehouse.load = load
    line.load(WEEK, full_refresh=refresh)
    real = [without_values(statement) for statement in sent if not is_lookup(statement)]
    assert len(real) > 10
    return list(unified_diff([without_values(step.sql) for step in plan], real, "planned", "sent", n=0, lineterm=""))


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Callable[[Warehouse], None]:
    """Let a line use one open warehouse."""

    @contextmanager
    def opened(warehouse: Warehouse) -> Iterator[Warehouse]:
        yield warehouse

    return lambda warehouse: monkeypatch.setattr(Line, "warehouse", lambda _: opened(warehouse))


@pytest.mark.parametrize(("kind", "spec", "refresh"), CASES.values(), ids=CASES)
@pytest.mark.duckdb
def test_on_duckdb(kind: str, spec: dict, refresh: bool, tmp_path: Path, api: Connection, held):
    line, sent = line_of(kind, spec, tmp_path, api), []
    with DuckDBWarehouse(tmp_path / "warehouse.duckdb", log=lambda _: None) as warehouse:
        real = warehouse._connection

        class Spy:
            description = property(lambda _: real.description)

            def execute(self, statement):
                sent.append(statement)
                return real.execute(statement)

            def close(self):
                real.close()

        warehouse._connection = Spy()
        held(warehouse)
        assert differences(line, warehouse, sent, "duckdb", refresh=refresh) == []


@pytest.mark.parametrize(("kind", "spec", "refresh"), ON_FAKESNOW.values(), ids=ON_FAKESNOW)
def test_on_snowflake(kind: str, spec: dict, refresh: bool, tmp_path: Path, api: Connection, held, fake_snowflake):
    # fakesnow does not say that a column has its comment already, so a load would write it again
    line, sent = line_of(kind, spec, tmp_path, api, COLUMNS | {"v": {"type": "text"}}), []
    connection = Connection("warehouse", **fake_snowflake.fields(network_timeout=30))
    with open_warehouse(connection, tmp_path, lambda _: None) as warehouse:
        real = warehouse._run

        def run(statement):
            sent.append(statement)
            return real(statement)

        warehouse._run = run
        held(warehouse)
        assert differences(line, warehouse, sent, "snowflake", refresh=refresh) == []
