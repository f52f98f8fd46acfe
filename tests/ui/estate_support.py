"""Sources of each kind of trouble, with weeks of real loads: what the live page is held against, and its pictures."""

import json
import math
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from elt_factory.core.window import Window
from elt_factory.testing.warehouses.loader import MERGE, Loader
from elt_factory.warehouse import audit
from elt_factory.warehouse.duckdb.warehouse import DuckDBWarehouse

ROOT = Path(__file__).parents[2]
DEFAULTS = """
owner: data-platform
timezone: UTC
start_date: 2026-01-01
schedule: "0 3 * * *"
deadline: {within: 2h}
retries: {count: 0}
"""
CONFIGS: Mapping[str, str] = {
    "_defaults": DEFAULTS,
    "orders": """
name: orders
description: What customers of the shop bought, from its database
owner: shop
tags: [sales]
extract: {type: files, connection: inbox}
tables:
  orders:
    description: One line of an order
    path: orders.csv
    primary_key: [id]
    write_disposition: merge
    business_date: day
    columns:
      id: {type: integer, description: Number of the line}
      day: {type: date}
      email: {pii: hash, description: Who ordered}
quality: {orders: [{freshness: {business_date_within: 26h}}, {row_count: {min: 1}}]}
""",
    "payments": """
name: payments
description: Payments, from the provider's nightly export
owner: finance
tags: [sales, finance]
extract: {type: files, connection: inbox}
tables:
  payments:
    description: One payment or refund
    path: payments.csv
    primary_key: [id]
    write_disposition: merge
    columns: {id: {type: integer}, amount: {type: "decimal(12,2)"}}
""",
    "customers": """
name: customers
description: Customers, from the CRM
owner: crm
extract: {type: files, connection: inbox}
tables: {customers: {path: customers.csv, primary_key: [id], write_disposition: merge}}
""",
    "inventory": """
name: inventory
description: Stock in the warehouses, a file a night
owner: logistics
tags: [logistics]
timezone: Asia/Tokyo
schedule: "0 12 * * *"
extract: {type: files, connection: inbox}
tables: {stock: {path: stock_%Y-%m-%d.csv, primary_key: [id], write_disposition: merge}}
""",
    "reports": """
name: reports
description: Revenue by customer
owner: finance
tags: [finance]
deadline: {within: null, by: "23:59"}
extract: {type: files, connection: inbox}
sensors: {before_extract: [{source: {name: customers}}, {source: {name: orders}}]}
tables: {revenue: {path: revenue.csv, primary_key: [id], write_disposition: merge}}
""",
    "clicks": """
name: clicks
description: Clicks in the shop, not loaded yet
owner: shop
schedule: null
extract: {type: files, connection: inbox}
tables: {clicks: {path: clicks.csv, primary_key: [id], write_disposition: merge}}
""",
    "broken": """name: returns
owner: shop
extract: {type: files, connection: inbox}
tables:
  returns: {path: returns.csv, primary_keys: [id]}
""",
}
TABLES = {
    "orders": "orders",
    "payments": "payments",
    "customers": "customers",
    "inventory": "stock",
    "reports": "revenue",
}


def lay_estate(folder: Path) -> None:
    """A project with its configs, connections and a warehouse in which weeks are loaded."""
    for name in ("dags", "plugins"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "airflow_settings.yaml", folder)
    (folder / "include").mkdir()
    (folder / "include" / "elt_factory").symlink_to(ROOT / "include" / "elt_factory")
    (folder / "inbox").mkdir()
    (folder / "dag_configs").mkdir()
    for name, text in CONFIGS.items():
        (folder / "dag_configs" / f"{name}.yaml").write_text(text)
    for name in ("orders", "payments", "customers", "revenue", "clicks"):
        (folder / "inbox" / f"{name}.csv").write_text("id,amount\n1,2.5\n")
    lay_warehouse(folder)


def settings(folder: Path) -> dict[str, str]:
    """The connections of the project, in the environment."""
    connections = {
        "warehouse": {"conn_type": "duckdb", "host": str(folder / "data" / "warehouse.duckdb")},
        "inbox": {"conn_type": "fs", "extra": {"path": str(folder / "inbox")}},
    }
    return {f"AIRFLOW_CONN_{name.upper()}": json.dumps(fields) for name, fields in connections.items()}


def windows(days: int, upto: int = 0) -> list[Window]:
    """The daily windows that end at three o'clock, of so many days until some days ago."""
    now = datetime.now(UTC)
    end = now.replace(hour=3, minute=0, second=0, microsecond=0) - timedelta(days=upto + (now.hour < 3))
    return [Window(end - timedelta(days=ago + 1), end - timedelta(days=ago)) for ago in reversed(range(days))]


def lay_warehouse(folder: Path) -> None:
    (folder / "data").mkdir()
    with DuckDBWarehouse(folder / "data" / "warehouse.duckdb") as warehouse:

        def loader(source: str, **spec: object) -> Loader:
            return Loader(folder / "data" / "history", warehouse, source, TABLES[source], MERGE | spec)

        _orders(loader("orders", business_date="day", columns={"id": {"type": "integer"}, "email": {"pii": "hash"}}))
        _payments(loader("payments", columns={"id": {"type": "integer"}, "amount": {"type": "decimal(12,2)"}}))
        for source, days, upto in (("customers", 6, 3), ("inventory", 6, 1), ("reports", 6, 1)):
            one = loader(source)
            for number, window in enumerate(windows(days, upto)):
                rows = [{"id": place, "v": number} for place in range(40 + number)]
                one.load(rows, window, run_id=f"scheduled__{window.end.isoformat()}")
        _results(warehouse)


def _orders(orders: Loader) -> None:
    for number, window in enumerate(windows(32)):
        if number == 17:
            continue
        size = round(90 + 25 * math.sin(number * 0.9) - (35 if window.start.weekday() > 4 else 0))
        size = 12 if number == 27 else size
        day = window.start.date().isoformat()
        rows = [{"id": number * 1000 + place, "day": day, "email": f"{place}@example.org"} for place in range(size)]
        if number > 22:
            rows = [row | {"channel": "web"} for row in rows]
        orders.load(rows, window, run_id=f"scheduled__{window.end.isoformat()}")


def commit_orders(folder: Path, rows: int) -> None:
    """Load the last window of orders again, by hand."""
    with DuckDBWarehouse(folder / "data" / "warehouse.duckdb") as warehouse:
        spec = MERGE | {"business_date": "day", "columns": {"id": {"type": "integer"}, "email": {"pii": "hash"}}}
        window = windows(1)[0]
        day = window.start.date().isoformat()
        found = [{"id": 900_000 + place, "day": day, "email": f"{place}@example.org"} for place in range(rows)]
        Loader(folder / "data" / "history", warehouse, "orders", "orders", spec).load(found, window, run_id="by hand")


def _payments(payments: Loader) -> None:
    for number, window in enumerate(windows(30)):
        rows: list[dict[str, object]] = [
            {"id": number * 1000 + place, "amount": "12.50"} for place in range(70 + number % 9)
        ]
        if number > 26:
            rows += [{"id": number * 1000 + 900 + place, "amount": "12,50"} for place in range(number % 3 + 2)]
            rows += [{"id": "<b>none</b>", "amount": "1"}]
        payments.load(rows, window, run_id=f"scheduled__{window.end.isoformat()}")


def _results(warehouse: DuckDBWarehouse) -> None:
    """Results of checks of the last days, one of them a warning."""
    rows = []
    for number, window in enumerate(windows(20)):
        checked = window.end + timedelta(minutes=4)
        for check, worst in (("row count", number == 13), ("freshness", False)):
            rows.append(
                {
                    "source": "orders",
                    "run_id": f"scheduled__{window.end.isoformat()}",
                    "task_id": "quality.orders",
                    "kind": "check",
                    "table_name": "orders",
                    "check_name": check,
                    "severity": "warn" if check == "row count" else "error",
                    "status": "warned" if worst else "passed",
                    "failing_rows": None,
                    "message": "12 rows, of 60 to 140 that are usual" if worst else "holds",
                    "seconds": 0.1,
                    "checked_at": checked,
                    "kept_at": checked,
                }
            )
    with warehouse.transaction():
        warehouse.execute(audit.insert_rows(warehouse.dialect, "quality_results", rows))
    missed = windows(2)[0].end + timedelta(hours=2)
    row = {"source": "customers", "run_id": "scheduled__late", "deadline": missed, "noticed_at": missed}
    warehouse.record("deadline_misses", [row])
