"""How often each page asks the warehouse, and when: DuckDB's copy, and Snowflake, which costs when it is asked."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from ui_support import api_over, token_of

from elt_factory.core.connection import Connection
from elt_factory.core.window import Window
from elt_factory.testing.warehouses.loader import MERGE, Loader
from elt_factory.ui.listing import last_loads_sql
from elt_factory.warehouse.base import Warehouse
from elt_factory.warehouse.duckdb.warehouse import DuckDBWarehouse
from elt_factory.warehouse.snowflake.warehouse import SnowflakeWarehouse

YAML = """
name: {0}
owner: shop
schedule: "0 3 * * *"
start_date: 2026-01-01
extract: {{type: files, connection: inbox}}
tables: {{orders: {{path: orders.csv, primary_key: [id], write_disposition: merge}}}}
"""
PAGES = {
    "list": "/api/v1/overview",
    "a source": "/api/v1/sources/orders",
    "loads": "/api/v1/sources/orders/tables/orders/loads",
    "rejects": "/api/v1/sources/orders/rejects",
    "changes": "/api/v1/sources/orders/changes",
    "quality": "/api/v1/sources/orders/quality",
    "config": "/api/v1/sources/orders/config",
    "cost": "/api/v1/sources/orders/cost",
    "lineage": "/api/v1/sources/orders/lineage",
    "catalogue": "/api/v1/catalogue",
}
# SELECTs, which resume a virtual warehouse, and questions for the columns of a table, which do not. What was answered
# for one page is not asked again of Snowflake for the next: they are asked in this order
ASKED: dict[str, dict[str, tuple[int, int]]] = {
    "duckdb": {
        "list": (10, 5),
        "a source": (1, 1),
        "loads": (1, 1),
        "rejects": (2, 2),
        "changes": (1, 1),
        "quality": (1, 1),
    },
    "fakesnow": {
        "list": (10, 4),
        "a source": (1, 1),
        "loads": (1, 0),
        "rejects": (2, 0),
        "changes": (1, 1),
        "quality": (1, 0),
    },
}
NOTHING = dict.fromkeys(PAGES, (0, 0))
TODAY = datetime.now(UTC).replace(hour=3, minute=0, second=0, microsecond=0)


def loads_of_days(warehouse: Warehouse, landing: Path, sources: list[str], days: int) -> None:
    """One real load of orders with a reject, and of each source as many that the audit tables alone know."""
    spec = MERGE | {"columns": {"id": {"type": "integer"}}}
    window = Window(TODAY - timedelta(days=2), TODAY - timedelta(days=1))
    Loader(landing, warehouse, "orders", "orders", spec).load([{"id": 1}, {"id": "x"}], window)
    more_loads(warehouse, sources, days)


def more_loads(warehouse: Warehouse, sources: list[str], days: int) -> None:
    names = (
        "load_id, source, table_name, run_id, window_start, window_end, loaded_at, started_at, write_disposition, "
        "full_refresh, rows_read, rows_loaded, rows_rejected, rows_duplicate, rows_unchanged, turn, again, void"
    )
    rows = [
        f"('{source} {ago}', '{source}', 'orders', 'r{ago}', '{at(ago + 1)}', '{at(ago)}', '{at(ago)}', '{at(ago)}', "
        f"'merge', FALSE, 9, 8, 1, 0, 0, {1000 - ago}, FALSE, FALSE)"
        for source in sources
        for ago in range(days + 3, 3, -1)
    ]
    warehouse.execute(f"INSERT INTO {log(warehouse, 'loads')} ({names}) VALUES {', '.join(rows)}")


def log(warehouse: Warehouse, table: str) -> str:
    from elt_factory.warehouse import audit

    return audit.log(table).sql(warehouse.dialect)


def at(ago: int) -> str:
    return (TODAY - timedelta(days=ago)).isoformat()


class Asked:
    """What was sent to the warehouse. Of DuckDB's copy of the audit tables, what it is asked when it has been read."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.statements: list[str] = []
        patch.setattr(DuckDBWarehouse, "query", self._noted(DuckDBWarehouse.query, "{}"))
        patch.setattr(DuckDBWarehouse, "columns", self._noted(DuckDBWarehouse.columns, "DESCRIBE {}"))
        patch.setattr(SnowflakeWarehouse, "_run", self._noted(SnowflakeWarehouse._run, "{}"))

    def _noted(self, real: Callable, words: str) -> Callable:
        def noted(warehouse, of, *more):
            self.statements.append(words.format(of))
            return real(warehouse, of, *more)

        return noted

    def since(self, before: int = 0) -> tuple[int, int]:
        """SELECTs and questions for columns; there is nothing else."""
        words = Counter(statement.split()[0] for statement in self.statements[before:])
        assert set(words) <= {"SELECT", "DESCRIBE"}
        return words["SELECT"], words["DESCRIBE"]


@pytest.fixture(params=["duckdb", "fakesnow"])
def kind(request) -> str:
    return request.param


@pytest.fixture
def connection(request, kind: str, tmp_path: Path) -> dict:
    if kind == "duckdb":
        return {"conn_type": "duckdb", "host": str(tmp_path / "warehouse.duckdb")}
    return request.getfixturevalue("fake_snowflake").fields()


@pytest.fixture
def opened(kind: str, connection: dict) -> Callable[[], Warehouse]:
    if kind == "duckdb":
        return lambda: DuckDBWarehouse(Path(connection["host"]))
    return lambda: SnowflakeWarehouse(Connection("warehouse", **connection))


def lay(folder: Path, sources: list[str]) -> None:
    (folder / "dag_configs").mkdir(exist_ok=True)
    for name in sources:
        (folder / "dag_configs" / f"{name}.yaml").write_text(YAML.format(name))


def of_each(api: TestClient, asked: Asked, status: int = 200) -> dict[str, tuple[int, int]]:
    """How many statements are sent for each page."""
    found = {}
    for name, path in PAGES.items():
        before = len(asked.statements)
        assert api.get(path).status_code in (200, status), path
        found[name] = asked.since(before)
    return found


@pytest.mark.usefixtures("airflow_db")
def test_each_page_asks_as_often_however_many_sources_and_loads_there_are(kind, connection, opened, tmp_path):
    def statements_of_each() -> dict[str, tuple[int, int]]:
        with api_over(tmp_path, connection, ["orders"]) as api, pytest.MonkeyPatch.context() as patch:
            api.headers |= token_of("admin")
            asked = Asked(patch)
            assert api.post("/api/v1/asked").status_code == 200
            made = asked.since()
            # the loads of all tables
            assert asked.statements.count(last_loads_sql(dialect)) == 1
            return of_each(api, asked) | {"list": made}

    few, many = ["orders", "more_1"], [f"more_{number}" for number in range(2, 20)]
    lay(tmp_path, few)
    with opened() as warehouse:
        dialect = warehouse.dialect
        loads_of_days(warehouse, tmp_path / "landing", few, 3)
    assert statements_of_each() == NOTHING | ASKED[kind]
    lay(tmp_path, many)
    with opened() as warehouse:
        more_loads(warehouse, many, 40)
    assert statements_of_each() == NOTHING | ASKED[kind]


@pytest.mark.usefixtures("airflow_db")
def test_no_page_resumes_a_warehouse_of_snowflake_until_someone_asks_for_it(fake_snowflake, tmp_path, monkeypatch):
    from elt_factory.ui import picture, tables

    monkeypatch.setattr(picture, "_FRESH", -1.0)  # a list is never shown only because it is new
    monkeypatch.setattr(picture, "_SHARE", -1.0)
    lay(tmp_path, ["orders"])
    with api_over(tmp_path, fake_snowflake.fields(), ["orders"]) as api:
        api.headers |= token_of("admin")
        asked = Asked(monkeypatch)
        assert of_each(api, asked, status=503) == NOTHING
        assert "Ask the warehouse now" in api.get(PAGES["list"]).json()["copied"]["note"]
        assert api.post("/api/v1/asked").json()["note"] == ""
        assert asked.since() > (0, 0)
        of_each(api, asked)
        # the minute has passed in which it is awake anyway: what was answered is shown
        for kept in tables._kept.values():
            kept._awake_until = datetime.now(UTC)
        assert of_each(api, asked) == NOTHING
