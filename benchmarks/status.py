"""What it costs to ask a warehouse for the state of its tables, with 5,256 and with 525,600 loads in its log.

525,600 is a load a minute for a year. The log is written into DuckDB files directly, one load in a hundred committed
twice and one row in a hundred with a reject. Each question is asked as its users ask it: `elt status` and a sensor's
poke in a process of their own, the interpreter's start included, and the statements alone within one.

Ends with 1 where a target is missed.
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
from datetime import UTC, datetime, timedelta
from pathlib import Path

from elt_factory.checks.freshness import Limits, fresh, window_checked
from elt_factory.core.window import Window
from elt_factory.warehouse import audit, state
from elt_factory.warehouse.duckdb.warehouse import DuckDBWarehouse
from elt_factory.warehouse.state import cursor_range

FEW, MANY = 5_256, 525_600
REPEATS = 3
START = datetime(2013, 1, 1, tzinfo=UTC)
FLAT = 1.5  # times, of a command or a poke with a hundred times the loads
SECONDS = 1.0  # at most, for the statements of one question
VALUES = {
    "source": "'src'",
    "table_name": "'tab' || (i % {tables})",
    "load_id": "'src-tab' || (i % {tables}) || '-' || (i // {tables})",
    "run_id": "'run' || (i // {tables})",
    "window_start": "TIMESTAMPTZ '2013-01-01 00:00:00+00' + INTERVAL (i // {tables}) MINUTE",
    "window_end": "TIMESTAMPTZ '2013-01-01 00:00:00+00' + INTERVAL (i // {tables} + 1) MINUTE",
    "write_disposition": "'append'",
    "full_refresh": "FALSE",
    "rows_read": "10",
    "rows_loaded": "10 - CAST(i % 100 = 0 AS INTEGER)",
    "rows_rejected": "CAST(i % 100 = 0 AS INTEGER)",
    "rows_duplicate": "0",
    "rows_unchanged": "0",
    "cursor_column": "'id'",
    "cursor_type": "'integer'",
    "cursor_min": "CAST(i * 10 AS VARCHAR)",
    "cursor_value": "CAST(i * 10 + 9 AS VARCHAR)",
    "business_date_max": "CAST(DATE '2013-01-01' + CAST(i // {tables} // 1440 AS INTEGER) AS VARCHAR)",
    "columns": """'[{{"name": "id", "type": "integer"}}, {{"name": "created_at", "type": "timestamp"}}]'""",
    "started_at": "TIMESTAMPTZ '2013-01-01 00:00:00+00' + INTERVAL (i // {tables} + 1) MINUTE",
    "loaded_at": "TIMESTAMPTZ '2013-01-01 00:00:00+00' + INTERVAL (i // {tables} + 2) MINUTE",
    "turn": "i // {tables} + 1",
    "again": "FALSE",
}
POKE = """
from datetime import datetime
from pathlib import Path
from elt_factory.checks.freshness import window_checked
from elt_factory.core.window import Window
from elt_factory.warehouse.duckdb.warehouse import DuckDBWarehouse
with DuckDBWarehouse(Path({file!r})) as warehouse:
    wanted = Window(datetime.fromisoformat({start!r}), datetime.fromisoformat({end!r}))
    assert window_checked(warehouse, "src", "tab0", wanted).holds
"""


def write_log(file: Path, loads: int, tables: int) -> None:
    """Write a warehouse with that many loads of that many tables, and the checks of each table's last run."""
    names = tuple(audit.log_columns("loads"))
    values = ", ".join(VALUES.get(name, "NULL").format(tables=tables) for name in names)
    with DuckDBWarehouse(file) as warehouse:
        warehouse.prepare()
        place = audit.log("loads").sql(warehouse.dialect)
        into = f"INSERT INTO {place} ({warehouse.dialect.names(names)})"
        warehouse.execute(f"{into} SELECT {values} FROM range({loads}) AS numbers(i)")
        again = f"SELECT * REPLACE (turn + {loads} AS turn, TRUE AS again) FROM {place} WHERE turn % 100 = 7"
        warehouse.execute(f"{into} {again}")
        checked = dict.fromkeys(audit.TABLES["quality_results"]) | {"source": "src", "kind": "check"}
        run = {"run_id": f"run{loads // tables - 1}", "status": "passed", "check_name": "row count"}
        warehouse.record("quality_results", [checked | run | {"table_name": f"tab{n}"} for n in range(tables)])


def last_window(loads: int, tables: int) -> Window:
    """Return the window of the newest load."""
    end = START + timedelta(minutes=loads // tables)
    return Window(end - timedelta(minutes=1), end)


def median(action: Callable[[], object]) -> float:
    """Seconds, the median of some runs."""
    taken = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        action()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def statements(file: Path, loads: int, tables: int) -> dict[str, float]:
    """Seconds that the statements of each question take on an open connection."""
    window, nothing = last_window(loads, tables), Limits()
    late = Window(window.end, window.end + timedelta(minutes=1))
    with DuckDBWarehouse(file) as warehouse:
        found = state.status(warehouse)
        assert [len(found), found[0].rejected_rows > 0] == [tables, True]
        assert window_checked(warehouse, "src", "tab0", window).holds
        assert not window_checked(warehouse, "src", "tab0", late).holds
        return {
            "status": median(lambda: state.status(warehouse)),
            "poke that is ready": median(lambda: window_checked(warehouse, "src", "tab0", window)),
            "poke that is not": median(lambda: window_checked(warehouse, "src", "tab0", late)),
            "freshness": median(lambda: fresh(warehouse, "src", "tab0", window, nothing, "UTC")),
            "cursor of the next load": median(lambda: cursor_range(warehouse, "src", "tab0", "next", late)),
            "sizes of seven loads": median(lambda: state.load_sizes(warehouse, "src", "tab0", late.start, 7)),
        }


def commands(project: Path, file: Path, loads: int, tables: int) -> dict[str, float]:
    """Seconds that processes of their own take."""
    connection = json.dumps({"conn_type": "duckdb", "host": str(file)})
    env = {**os.environ, "AIRFLOW_CONN_WAREHOUSE": connection, "ELT_PROJECT": str(project)}

    def run(*code: str) -> None:
        subprocess.run([sys.executable, *code], check=True, cwd=project, env=env, capture_output=True)

    window = last_window(loads, tables)
    poke = POKE.format(file=str(file), start=window.start.isoformat(), end=window.end.isoformat())
    status = "from elt_factory.cli.main import app; app(['status'])"
    return {"elt status": median(lambda: run("-c", status)), "a sensor's poke": median(lambda: run("-c", poke))}


def main() -> int:
    """Print every figure; 1 where a target is missed."""
    missed = 0
    with tempfile.TemporaryDirectory() as scratch:
        project = Path(scratch)
        (project / "dag_configs").mkdir()
        (project / "pyproject.toml").write_text("")
        for tables in (1, 100):
            few, many = project / f"few{tables}.duckdb", project / f"many{tables}.duckdb"
            write_log(few, FEW, tables)
            write_log(many, MANY, tables)
            for measure, limit in ((commands, FLAT), (statements, None)):
                given = (project,) if measure is commands else ()
                small, large = measure(*given, few, FEW, tables), measure(*given, many, MANY, tables)
                for name, seconds in large.items():
                    ratio = seconds / small[name]
                    holds = ratio <= limit if limit else seconds <= SECONDS
                    missed += not holds
                    print(
                        f"{tables:>3} tables  {name:26} {small[name] * 1000:8.0f} ms -> {seconds * 1000:8.0f} ms  "
                        f"{ratio:5.2f}x  {'ok' if holds else 'MISSED'}",
                        flush=True,
                    )
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
