"""How long the Sources page's list takes at its API, next to Airflow's own list of DAGs, in one run.

A thousand sources with a year of daily loads: 365,000 rows of audit. Both are asked in one process, in turn, of a
server that starts for the first time over these audit tables and then once more; then by a browser, as `page_seen.py`
says. It exits with status 1 when a target is missed.

    .venv/bin/python benchmarks/page.py [sources] [days]
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

ASKED = 40
TARGET_MS = 200
FIRST_MS = 2000
AGAIN = "--again"  # measures a server that was started again over what the first one has left
MEASURED = [[__file__, AGAIN], [str(Path(__file__).with_name("page_seen.py"))]]
YAML = """name: source_{0}
owner: team-{1}
tags: [group-{1}]
schedule: "0 3 * * *"
start_date: 2025-01-01
deadline: {{within: 2h}}
extract: {{type: files, connection: inbox}}
tables: {{events: {{path: events.csv, primary_key: [id], write_disposition: merge, business_date: day}}}}
"""


def main() -> int:
    if sys.argv[1:] == [AGAIN]:
        return measure()
    sources, days = (int(text) for text in (sys.argv[1:] or ["1000", "365"]))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        environment(folder)
        lay_configs(folder, sources)
        lay_audit(folder / "warehouse.duckdb", sources, days)
        lay_airflow(sources)
        client = client_of_airflow()
        first_answer(client, "first answer over audit tables that no server has read")
        wait_for_all(client)
        print_kept()
        codes = [subprocess.run([sys.executable, *command], check=False).returncode for command in MEASURED]
        return max(codes)


def environment(folder: Path) -> None:
    from elt_factory.cli.local import local_environment

    os.environ |= local_environment(folder) | {
        "ELT_PROJECT": str(folder),
        "_AIRFLOW_PROCESS_CONTEXT": "server",
        "AIRFLOW_CONN_WAREHOUSE": json.dumps({"conn_type": "duckdb", "host": str(folder / "warehouse.duckdb")}),
        "AIRFLOW__API_AUTH__JWT_SECRET": "a secret of this benchmark that is long enough for its hash, as it must be",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
    }
    from elt_factory.cli.local import migrate_database

    migrate_database()


def lay_configs(folder: Path, sources: int) -> None:
    (folder / "dag_configs").mkdir()
    for number in range(sources):
        (folder / "dag_configs" / f"source_{number}.yaml").write_text(YAML.format(number, number % 20))


def lay_audit(file: Path, sources: int, days: int) -> None:
    from elt_factory.warehouse.duckdb.warehouse import DuckDBWarehouse

    with DuckDBWarehouse(file) as warehouse:
        warehouse.prepare()
        start = f"date_trunc('day', now()) + INTERVAL 3 HOUR - to_days({days} - (i // {sources})::INTEGER)"
        warehouse.execute(
            'INSERT INTO "_elt".load_log (load_id, source, table_name, run_id, window_start, window_end, loaded_at, '
            "started_at, write_disposition, full_refresh, rows_read, rows_loaded, rows_rejected, rows_duplicate, "
            "rows_unchanged, business_date_max, turn, again, void) "
            f"SELECT md5(i::VARCHAR), 'source_' || (i % {sources}), 'events', 'scheduled__' || i, {start}, "
            f"{start} + INTERVAL 1 DAY, {start} + INTERVAL 25 HOUR, {start} + INTERVAL 24 HOUR, 'merge', FALSE, "
            f"1000 + i % 77, 1000 + i % 77, 0, 0, 0, CAST(CAST({start} AS DATE) AS VARCHAR), i // {sources} + 1, "
            f"FALSE, FALSE FROM range({sources * days}) r(i)"
        )


def lay_airflow(sources: int) -> None:
    from airflow.models.dag import DagModel
    from airflow.models.dagbundle import DagBundleModel
    from airflow.utils.session import create_session

    with create_session() as session:
        session.add(DagBundleModel(name="sources"))
        session.flush()
        for number in range(sources):
            session.add(
                DagModel(dag_id=f"source_{number}", bundle_name="sources", is_paused=False, is_stale=False, fileloc="x")
            )


def client_of_airflow() -> Any:
    """Return a client of a server that has just begun, logged in as its administrator."""
    from airflow.api_fastapi.app import create_app, get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from fastapi.testclient import TestClient

    client = TestClient(create_app(apps="core"))
    token = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username="admin", role="admin"))
    client.headers["Authorization"] = f"Bearer {token}"
    return client


def first_answer(client: Any, words: str) -> tuple[dict[str, Any], float]:
    """Ask a server for the first time, and return its answer and its milliseconds."""
    began, worked = time.perf_counter(), time.process_time()
    answer = client.get("/elt/api/v1/overview").raise_for_status()
    took, found = (time.perf_counter() - began) * 1000, answer.json()
    print(f"{words}: {took:,.0f} ms, {time.process_time() - worked:.1f} s of a core")
    print(f"{len(found['tables']):,} tables, {len(answer.content) / 1e6:.1f} MB. {found['copied']['note']}")
    return found, took


def wait_for_all(client: Any) -> None:
    """Wait until the server has read all audit tables, and has left on disk what the next one begins with."""
    began = time.perf_counter()
    while client.get("/elt/api/v1/overview").raise_for_status().json()["copied"]["note"]:
        time.sleep(0.2)
    print(f"all of it read meanwhile, after {time.perf_counter() - began:.1f} s")


def print_kept() -> None:
    """Print what is left on disk for the next server: the list, and of a warehouse that costs the facts, too."""
    from elt_factory.ui.judged import _kept as keeper
    from elt_factory.ui.kept_audit import audit_file, kept_form
    from elt_factory.ui.kept_picture import kept_folder

    audit, sources = keeper.known()
    began = time.perf_counter()
    audit_file().save(kept_form(audit, sources))
    saved = time.perf_counter() - began
    audit_file().load()
    print(f"facts are written in {saved:.1f} s, read in {time.perf_counter() - began - saved:.1f} s")
    for file in sorted(kept_folder().iterdir()):
        print(f"{file.name.partition('-')[0]}: {file.stat().st_size / 1e6:.1f} MB on disk")


def measure() -> int:
    client = client_of_airflow()
    found, first = first_answer(client, "first answer of a server that was started again")
    wait_for_all(client)
    names = cycle([row["source"] for row in found["tables"]])  # another one each time: no answer is kept
    ways: dict[str, Callable[[], Any]] = {
        "Sources, all tables": lambda: client.get("/elt/api/v1/overview"),
        "Sources, one source": lambda: client.get(f"/elt/api/v1/sources/{next(names)}"),
        "Sources, loads of a table": lambda: client.get(f"/elt/api/v1/sources/{next(names)}/tables/events/loads"),
        "Airflow's list, 50 DAGs": lambda: client.get("/ui/dags?limit=50"),
        "Airflow's API, 100 DAGs": lambda: client.get("/api/v2/dags?limit=100"),
    }
    taken: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(ASKED):
        for way, ask in ways.items():
            began = time.perf_counter()
            ask().raise_for_status()
            taken[way].append((time.perf_counter() - began) * 1000)
    missed = first > FIRST_MS
    for way, times in taken.items():
        p95 = statistics.quantiles(times, n=20)[-1]
        verdict = ""
        if way.startswith("Sources"):
            missed |= p95 > TARGET_MS
            verdict = "ok" if p95 <= TARGET_MS else "MISSED"
        print(f"{way:28} median {statistics.median(times):7.1f} ms   p95 {p95:7.1f} ms   {verdict}")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
