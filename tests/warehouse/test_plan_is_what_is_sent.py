"""A plan prints what a load sends: the same statements in the same order, but for the values that only a run knows."""

from __future__ import annotations

import re
from contextlib import contextmanager
from pathlib import Path

import pytest

from elt_factory.config.source import SOURCES
from elt_factory.describe.statements import load_statements
from elt_factory.extract.request import Connection
from elt_factory.testing.loads import WEEK, Line
from elt_factory.warehouse.duckdb import DuckDBWarehouse
from elt_factory.warehouse.opening import open_warehouse
from elt_factory.warehouse.recording import is_lookup

COLUMNS = {
    "id": {"type": "integer"},
    "at": {"type": "timestamp"},
    "n": {"type": "integer"},
    "v": {"type": "text", "description": "What it says"},
}
CURSOR = {"incremental": {"cursor": "at"}}
SPECS = {
    "append of files": {"write_disposition": "append"},
    "append of files with a cursor": {"write_disposition": "append", "primary_key": ["id"], **CURSOR},
    "merge": {"write_disposition": "merge", "primary_key": ["id"]},
    "merge by a cursor": {"write_disposition": "merge", "primary_key": ["id"], **CURSOR, "business_date": "at"},
    "replace": {"write_disposition": "replace"},
    "history of snapshots": {"write_disposition": "scd2", "primary_key": ["id"]},
    "history by a cursor": {"write_disposition": "scd2", "primary_key": ["id"], **CURSOR},
}
ROWS = "id,at,n,v\n1,2013-01-02T00:00:00Z,10,a\n2,2013-01-03T00:00:00Z,20,b\nx,2013-01-03T00:00:00Z,30,c\n"


def line_of(spec: dict, folder: Path, columns: dict = COLUMNS) -> Line:
    (folder / "in").mkdir()
    (folder / "in" / "orders.csv").write_text(ROWS)
    about = {
        "name": "shop",
        "extract": {"type": "files", "folder": "in"},
        "tables": {"orders": {"path": "orders.csv", "columns": columns, "description": "Orders", **spec}},
    }
    return Line(SOURCES.get("files").config.model_validate(about), None, folder, lambda _: None)


_VALUES = (
    # the figures of a load are its own
    (re.compile(r"(?i)(INSERT INTO \"_elt\"\.\"load_log\" \([^)]*\)) SELECT .*", re.DOTALL), r"\1 SELECT ?"),
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


def sent_by(line: Line, warehouse, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a load sends by its connection, without what only looks for tables and columns."""
    sent: list[str] = []

    @contextmanager
    def opened(_):
        with warehouse(sent) as made:
            yield made

    monkeypatch.setattr(Line, "warehouse", opened)
    with opened(None) as made:
        made.prepare()
    line.load(WEEK)
    return [without_values(statement) for statement in sent if not is_lookup(statement)]


def planned(line: Line, kind: str) -> list[str]:
    steps = load_statements(line.source, line.table, WEEK, kind)
    return [without_values(step.sql) for step in steps]


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_on_duckdb(spec, tmp_path, monkeypatch):
    line = line_of(spec, tmp_path)

    @contextmanager
    def spied(sent):
        with DuckDBWarehouse(tmp_path / "warehouse.duckdb", log=lambda _: None) as made:
            made.prepare()
            real = made._connection

            class Spy:
                description = property(lambda _: real.description)

                def execute(self, statement, *given):
                    sent.append(statement)
                    return real.execute(statement, *given)

                def close(self):
                    real.close()

            made._connection = Spy()
            started = len(sent)
            yield made
            # a connection that only asks for state sends no load
            if not any(text == "BEGIN" for text in sent[started:]):
                del sent[started:]

    assert sent_by(line, spied, monkeypatch) == planned(line, "duckdb")


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_on_snowflake(spec, tmp_path, monkeypatch, fake_snowflake):
    # fakesnow does not say that a column has its comment already, so a load would write it again
    line = line_of(spec, tmp_path, COLUMNS | {"v": {"type": "text"}})
    connection = Connection("warehouse", **fake_snowflake.fields(network_timeout=30))

    @contextmanager
    def spied(sent):
        with open_warehouse(connection, tmp_path, lambda _: None) as made:
            made.prepare()
            real, started = made._run, len(sent)

            def run(statement):
                sent.append(statement)
                return real(statement)

            made._run = run
            yield made
            if not any(text == "BEGIN" for text in sent[started:]):
                del sent[started:]

    assert sent_by(line, spied, monkeypatch) == planned(line, "snowflake")
