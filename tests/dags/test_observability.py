"""What a run tells other systems: lineage with its columns, metrics, and log lines that name their load."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from airflow.sdk.observability import stats
from dag_support import config_of
from structlog.contextvars import get_contextvars

from elt_factory.config.models.table import Table
from elt_factory.core.connection import Connection
from elt_factory.dag import lineage
from elt_factory.dag.dbt_running import results_of
from elt_factory.dag.lineage import Name, Names, names_of, of_checks, of_extract, of_load
from elt_factory.dag.metrics import Moved, count_models, count_work
from elt_factory.testing.warehouses.loader import Loader, day
from elt_factory.warehouse.duckdb.warehouse import DuckDBWarehouse
from elt_factory.warehouse.kind import Purpose

NAMES = Names(Name("https://shop.example", "/v1/orders"), Name("s3://lake", "orders"), Name("duckdb:///w", "w.src.tab"))
SPEC = {"columns": {"email": {"type": "text", "pii": "hash"}}}
DAY = {"window_start": "2013-01-01", "window_end": "2013-01-02"}
TINY = """
name: tiny
start_date: 2012-12-01
extract: {type: files, connection: inbox}
tables:
  rows: {path: input.csv, primary_key: [id], write_disposition: merge, business_date: at}
"""


@pytest.fixture
def moved(tmp_path) -> Moved:
    with DuckDBWarehouse(tmp_path / "w.duckdb") as warehouse:
        loader = Loader(tmp_path / "landing", warehouse, spec=SPEC)
        return Moved(loader.land([{"id": 1, "email": "a@b.c"}, {"id": 2, "email": "d@e.f"}], day(1)), 2)


def fields_of(dataset) -> dict[str, tuple]:
    """Of each column the dataset and the field that it comes from, and whether it is masked."""
    found = dataset.facets["columnLineage"].fields
    return {
        name: (
            field.inputFields[0].namespace,
            field.inputFields[0].field,
            field.inputFields[0].transformations[0].masking,
        )
        for name, field in found.items()
    }


def test_an_extract_leads_from_the_source_to_the_landing(moved):
    found = of_extract(Table.model_validate(SPEC), NAMES, moved)
    (read,), (landed,) = found.inputs, found.outputs
    assert (read.namespace, read.name) == NAMES.source
    assert (landed.namespace, landed.name) == NAMES.landing
    assert fields_of(landed) == {
        "id": ("https://shop.example", "id", False),
        "email": ("https://shop.example", "email", True),
    }
    statistics = landed.outputFacets["outputStatistics"]
    assert (statistics.rowCount, statistics.size, statistics.fileCount) == (2, moved.manifest.bytes, 1)


def test_a_load_leads_from_the_landing_to_the_table(moved):
    found = of_load(NAMES, moved)
    (read,), (written,) = found.inputs, found.outputs
    assert (read.namespace, read.name) == NAMES.landing
    assert (written.namespace, written.name) == NAMES.table
    assert {"id", "email"} <= set(fields_of(written))
    assert {one.name: one.type for one in written.facets["schema"].fields}["id"] == "integer"


def test_a_task_that_failed_has_its_datasets_and_no_figures():
    assert [(one.namespace, one.name) for one in of_load(NAMES, None).outputs] == [NAMES.table]
    assert of_extract(Table(), NAMES, None).outputs == ()


def test_checks_are_assertions_on_the_table():
    results = [SimpleNamespace(check="id unique", status="failed", severity="error")]
    (table,) = of_checks(NAMES, results).inputs
    (found,) = table.inputFacets["dataQualityAssertions"].assertions
    assert (table.name, found.assertion, found.success, found.severity) == ("w.src.tab", "id unique", False, "error")


def test_a_model_of_dbt_counts_the_time_that_the_warehouse_worked_for_it(monkeypatch):
    counted: list[tuple] = []
    monkeypatch.setattr(stats, "timing", lambda name, value, tags: counted.append((name, value, tags)))
    report = {
        "results": [
            {"unique_id": name, "status": "success", "execution_time": seconds}
            for name, seconds in (("model.p.orders", 1.5), ("test.p.unique_orders.ab12", 0.5))
        ]
    }
    count_models("shop", results_of(report))
    of_dbt = {"source": "shop", "step": "transform"}
    assert counted == [
        ("elt.warehouse_time", 1500, of_dbt | {"model": "orders"}),
        ("elt.warehouse_time", 500, of_dbt),
    ]


def test_work_on_another_virtual_warehouse_says_which(monkeypatch):
    counted: list[tuple] = []
    for kind in ("incr", "timing"):
        monkeypatch.setattr(stats, kind, lambda name, value, tags: counted.append((name, value, tags)))
    purpose = Purpose({"source": "shop", "table": "orders", "step": "load", "run": "r1"}, "LOADING")
    count_work(purpose, SimpleNamespace(seconds=0.25, statements_run=7))
    tags = {"source": "shop", "table": "orders", "step": "load", "warehouse": "LOADING"}
    assert counted == [("elt.warehouse_time", 250, tags), ("elt.statements", 7, tags)]


def test_nothing_is_named_where_no_provider_asks(tmp_path, monkeypatch):
    monkeypatch.setattr(lineage, "find_spec", lambda _: None)
    assert names_of(config_of(tmp_path), "input") is None
    assert of_load(None, None).outputs == ()


@pytest.mark.parametrize(
    ("connection", "asked", "name"),
    [
        (Connection("c", "http", host="https://user:pw@api.example/v2", port=8443), "/orders", "/v2/orders"),
        (Connection("c", "postgres", host="db", schema="shop"), "public.orders", "shop.public.orders"),
        (Connection("c", "sqlite", host="/data/a.db"), "orders", "/data/a.db/orders"),
        (Connection("c", "fs", extra={"path": "/in"}), "a_%Y.csv", "/in/a_%Y.csv"),
        (Connection("c", "aws", host="", extra={"secret": "s"}), "a.csv", "a.csv"),
    ],
)
def test_a_source_is_named_without_secrets(connection, asked, name):
    found = lineage._in_system(connection, asked)
    assert found.name == name
    assert "pw" not in found.namespace
    expected = {"http": "https://api.example:8443", "postgres": "postgres://db:5432", "aws": "s3://c"}
    assert found.namespace == expected.get(connection.conn_type, found.namespace)


def test_a_table_of_the_warehouse_is_named_as_dbt_names_it(tmp_path, connect, opened):
    """As the dbt integration does: the path, and the file's name as the database."""
    opened().close()
    found = lineage.warehouse_dataset("src", "tab")
    assert found == (f"duckdb://{tmp_path}/warehouse.duckdb", "warehouse.src.tab")


def test_a_run_counts_what_it_moves_and_its_log_names_the_load(tiny, monkeypatch):
    counted: list[tuple] = []

    def count(name: str, value: float = 1, **more: dict) -> None:
        # what is bound here is in each line that is logged here
        counted.append((name, value, more.get("tags") or {}, get_contextvars().get("load_id")))

    for kind in ("incr", "gauge", "timing"):
        monkeypatch.setattr(stats, kind, count)
    line = tiny(TINY, "id,at\n1,2013-01-01 20:00:00\n2,2013-01-01 22:00:00\nx,\n")
    assert line.run("tiny", **DAY).state == "success"
    found = {name: value for name, value, tags, _ in counted if tags.get("table") == "rows"}
    assert (found["elt.rows_read"], found["elt.rows_loaded"], found["elt.rows_rejected"]) == (3, 3, 0)
    assert found["elt.bytes_landed"] > 0
    assert found["elt.business_date_lag"] == 2 * 3600
    assert found["elt.load_lag"] > 10 * 365 * 24 * 3600
    # what it costs goes by that
    worked = {tags["step"]: value for name, value, tags, _ in counted if name == "elt.warehouse_time"}
    asked = {tags["step"]: value for name, value, tags, _ in counted if name == "elt.statements"}
    assert worked.keys() == asked.keys() == {"load", "quality"}
    assert 0 < worked["load"] < 60_000
    assert asked["load"] > 3
    assert [tags["stage"] for name, _, tags, _ in counted if name == "elt.duration"] == ["extract", "load", "quality"]
    load_id = line.one("select load_id from _elt.loads")
    named = {
        bound for name, _, _, bound in counted if name in ("elt.rows_read", "elt.rows_loaded", "elt.checks_failed")
    }
    assert named == {load_id}
