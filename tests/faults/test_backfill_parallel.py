"""2013 is backfilled by several processes while the daily load continues: the warehouse is that of a serial load.

In CI it is four days of January, `ELT_BACKFILL_DAYS=28` are more of them, and `ELT_FULL_YEAR=1` takes all of 2013.
The daily load is that of the last twelfth.
"""

import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pytest
from orphans_support import assert_nothing_orphaned
from race_support import load_alone

from elt_factory.config.loading import load_config
from elt_factory.core.failures import TransientError
from elt_factory.core.window import Window
from elt_factory.dag.operators import ExtractOperator
from elt_factory.dag.runtime import Run, landing_place, project_name
from elt_factory.warehouse.duckdb.warehouse import DuckDBWarehouse
from forked import Forked

sys.path.append(str(Path(__file__).parents[1]))
from demo.process import start, stop

YEAR = bool(os.environ.get("ELT_FULL_YEAR"))
DAYS = 365 if YEAR else int(os.environ.get("ELT_BACKFILL_DAYS", "4"))
DAILY, PROCESSES, TRIES = max(1, DAYS // 12), 2, 8
ROWS = {4: 3_614, 365: 336_776}  # of flights, by days
FAST = {"DEMO_RATE_PER_MINUTE": "60000", "DEMO_BURST": "600"}
NEW_YORK = ZoneInfo("America/New_York")
CONFIGS = {
    "flights": """
name: flights
schedule: "0 0 * * *"
start_date: 2013-01-01
timezone: America/New_York
extract:
  type: rest_api
  connection: flights_api
  auth: {type: api_key, header: X-API-Key}
  paginator: {type: cursor, cursor_path: next, cursor_param: cursor}
tables:
  flights:
    path: /v1/flights
    params: {since: "{{ window.start }}", until: "{{ window.end }}", limit: 2000}
    records: results
    primary_key: [flight_id]
    write_disposition: merge
    incremental: {cursor: updated_at, lag: 1h, initial: 2013-01-01}
    business_date: time_hour
    columns: {tail_number: {type: text, pii: hash}}
""",
    "weather": """
name: weather
schedule: "0 0 * * *"
start_date: 2013-01-01
timezone: America/New_York
extract: {type: files, connection: weather_files}
tables:
  weather:
    path: weather_%Y-%m.csv
    format: {type: csv, null_values: ["", "NA"]}
    primary_key: [origin, time_hour]
    write_disposition: merge
    columns: {time_hour: {type: timestamp}, temp: {type: float}}
""",
}
if DAYS == 4:
    # files are loaded in parallel by test_races.py
    del CONFIGS["weather"]
pytestmark = pytest.mark.timeout(7_200 if YEAR else 600)


@dataclass(frozen=True)
class Project:
    """Configs, a landing and a warehouse, over the one source."""

    folder: Path
    environment: dict[str, str]

    def load(self, days: Sequence[int]) -> None:
        """Load days one after the other, each table in turn, tried again as Airflow does."""
        os.environ |= self.environment
        for number in days:
            for name in CONFIGS:
                config = load_config(self.folder / f"{name}.yaml").config
                run = Run(f"run {number}", config, day(number), frozenset(config.all_tables), full_refresh=False)
                for table in config.all_tables:
                    tried(lambda r=run, t=table: load_alone(r, extract(r, t), t))

    @contextmanager
    def warehouse(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with duckdb.connect(str(self.folder / "warehouse.duckdb"), read_only=True) as connection:
            yield connection

    def assert_nothing_left(self) -> None:
        """What all loads have left is gone once its retention is over."""
        with pytest.MonkeyPatch.context() as patch, DuckDBWarehouse(self.folder / "warehouse.duckdb") as opened:
            for name, value in self.environment.items():
                patch.setenv(name, value)
            for name in CONFIGS:
                assert_nothing_orphaned(opened, landing_place(name, name), project_name(), name, name)


def extract(run: Run, table: str) -> dict:
    return ExtractOperator(task_id="extract", config=run.config, table=table).work(run, {})


def tried(work) -> None:
    for number in range(1, TRIES + 1):
        try:
            work()
        except TransientError:
            if number == TRIES:
                raise
            time.sleep(0.2 * 2**number)
        else:
            return


def day(number: int) -> Window:
    first = datetime(2013, 1, 1) + timedelta(days=number)  # noqa: DTZ001 - a day of New York
    start, end = (moment.replace(tzinfo=NEW_YORK).astimezone(UTC) for moment in (first, first + timedelta(days=1)))
    return Window(start, end)


@pytest.fixture
def projects(tmp_path, demo_sources, unused_port, environment_of):
    from demo.prepare import prepare

    sources = tmp_path / "sources"
    if YEAR:
        sources.mkdir()
        prepare(sources)
    else:
        shutil.copytree(demo_sources, sources)
    api = tmp_path / "api"
    start(api, unused_port, env=FAST)
    try:
        yield [made(tmp_path / name, sources, unused_port, environment_of) for name in ("parallel", "serial")]
    finally:
        stop(api)


def made(folder: Path, sources: Path, port: int, environment_of) -> Project:
    folder.mkdir()
    for name, text in CONFIGS.items():
        (folder / f"{name}.yaml").write_text(text)
    weather = {"conn_type": "fs", "extra": {"path": str(sources / "weather")}}
    return Project(folder, environment_of(folder, port, weather_files=weather) | {"ELT_PROJECT": str(folder)})


def test_a_backfill_in_parallel_with_the_daily_load_running_leaves_the_warehouse_of_a_serial_load(projects):
    parallel, serial = projects
    backfill = range(DAYS - DAILY)
    # each process has other days, the one the newest first
    shares = [range(DAYS - DAILY, DAYS), *(backfill[number::PROCESSES] for number in range(PROCESSES))]
    shares[-1] = shares[-1][::-1]
    context = Forked("duckdb", "elt_factory.dag.operators", "elt_factory.landing.land", "race_support")
    began = time.monotonic()
    processes = [context.Process(target=parallel.load, args=(share,)) for share in shares]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    at_once = time.monotonic() - began
    assert [process.exitcode for process in processes] == [0] * len(processes)
    alone = context.Process(target=serial.load, args=(range(DAYS),))
    alone.start()
    alone.join()
    assert alone.exitcode == 0
    serially = time.monotonic() - began - at_once
    sys.stdout.write(f"{DAYS} days: {at_once:.0f} s in {len(shares)} processes, {serially:.0f} s serially\n")
    with serial.warehouse() as warehouse:
        warehouse.execute(f"ATTACH '{parallel.folder / 'warehouse.duckdb'}' AS other (READ_ONLY)")
        compare(warehouse)
    for project in projects:
        project.assert_nothing_left()


def compare(warehouse: duckdb.DuckDBPyConnection) -> None:
    # of a row that two windows read, by a lag or in one file, the load that came last has it
    for table in (f"{name}.{name}" for name in CONFIGS):
        (ours,), (theirs,) = (
            warehouse.execute(f"SELECT count(*) FROM {place}{table}").fetchone() for place in ("", "other.")
        )
        assert ours == theirs, table
        both = [f"SELECT * EXCLUDE (_loaded_at, _load_id) FROM {place}{table}" for place in ("", "other.")]
        for one, another in (both, both[::-1]):
            assert warehouse.execute(f"{one} EXCEPT ALL {another}").fetchall() == [], table
    account = "source, table_name, load_id, run_id, window_start, window_end, rows_read, cursor_value"
    loads = [
        warehouse.execute(f"SELECT {account} FROM {place}_elt.loads ORDER BY ALL").fetchall()
        for place in ("", "other.")
    ]
    assert loads[0] == loads[1]
    assert len(loads[0]) == DAYS * len(CONFIGS)
    parts = "rows_loaded + rows_rejected + rows_duplicate + rows_unchanged + rows_filtered"
    for place in ("", "other."):
        assert warehouse.execute(f"SELECT count(*) FROM {place}_elt.loads WHERE rows_read <> {parts}").fetchone() == (
            0,
        )
    (flights,) = warehouse.execute("SELECT count(*) FROM flights.flights").fetchone()
    assert flights == ROWS.get(DAYS, flights) > 0
