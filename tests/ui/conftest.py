"""A project with a source of each kind of trouble, its warehouse, and the page's API over them."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from browser_support import CHROMIUM
from fastapi.testclient import TestClient
from ui_support import HIDDEN, api_over, token_of

from elt_factory.core.window import Window
from elt_factory.testing.warehouses.loader import MERGE, Loader
from elt_factory.warehouse.duckdb.warehouse import DuckDBWarehouse

ORDERS = """
name: orders
owner: shop
schedule: "0 3 * * *"
start_date: 2026-01-01
deadline: {within: 2h}
extract: {type: files, connection: inbox}
tables:
  orders: {path: orders.csv, primary_key: [id], write_disposition: merge, columns: {id: {type: integer}}}
  refunds: {path: refunds.csv, primary_key: [id], write_disposition: merge}
"""
REPORTS = """
name: reports
owner: finance
schedule: "0 4 * * *"
start_date: 2026-01-01
extract: {type: files, connection: inbox}
sensors: {before_extract: [{source: {name: orders}}]}
tables: {totals: {path: totals.csv, primary_key: [id], write_disposition: merge}}
"""
BROKEN = (
    "name: broken\nowner: shop\nschedul: daily\nextract: {type: files, connection: inbox}\ntables: {t: {path: t.csv}}\n"
)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    (folder / "dag_configs").mkdir()
    for name, text in {"orders": ORDERS, "reports": REPORTS, "broken": BROKEN}.items():
        (folder / "dag_configs" / f"{name}.yaml").write_text(text)
    fill(folder / "warehouse.duckdb", folder / "landing")
    return folder


def fill(file: Path, landing: Path, days: int = 12) -> None:
    """Twelve daily loads of orders with one missing, the last of them with rejects whose reason looks like HTML."""
    today = datetime.now(UTC).replace(hour=3, minute=0, second=0, microsecond=0)
    with DuckDBWarehouse(file) as warehouse:
        spec = MERGE | {"columns": {"id": {"type": "integer"}}}
        orders = Loader(landing, warehouse, "orders", "orders", spec)
        for ago in range(days, 0, -1):
            window = Window(today - timedelta(days=ago + 1), today - timedelta(days=ago))
            if ago == 4:
                continue
            rows = [{"id": ago * 1000 + number, "v": "x"} for number in range(100 + ago % 3)]
            rejected = [{"id": HIDDEN, "v": "y"}] * 2 if ago == 1 else []
            orders.load([*rows, *rejected], window, run_id=f"scheduled__{ago}")


@pytest.fixture
def load_again(project: Path) -> Callable[[], None]:
    """Load the last window of orders again."""
    return lambda: fill(project / "warehouse.duckdb", project / "landing", days=1)


@pytest.fixture(scope="module")
def api(airflow_db: Path, project: Path) -> Iterator[TestClient]:
    """The API over the project, whose DAGs Airflow knows; no one is logged in."""
    warehouse = {"conn_type": "duckdb", "host": f"{project}/warehouse.duckdb"}
    with api_over(project, warehouse, ("orders", "reports")) as client:
        yield client


@pytest.fixture
def login(api: TestClient) -> Callable[[str | None], dict[str, str]]:
    """Give the headers of a user with a role of Airflow's own SimpleAuthManager; None is a user without one."""
    return token_of


@pytest.fixture(scope="module")
def browser() -> Iterator:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()
