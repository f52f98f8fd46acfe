"""Of which tier a test is, that a test of the tier `unit` starts no process, and which land or load."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest

TIERS = {
    "unit": "needs nothing but this process and its files, and no database file of DuckDB",
    "duckdb": "lands records, or loads them into the embedded warehouse: the suite that every warehouse passes",
    "services": "asks other processes: databases, object storage, servers, git, dbt",
    "fakesnow": "asks the stand-in for Snowflake",
    "live": "runs DAGs or commands with an Airflow of its own, or a whole Airflow, or installs the wheel",
    "proof": "goes through random sequences of loads, faults and kills",
}
# the first that fits: a mark, a folder, a fixture that is asked for, directly or by another
FOLDERS = {"end_to_end": "live", "faults": "proof", "package": "live", "proof": "proof"}
FIXTURES = {
    "airflow_template": "live",
    "fake_snowflake": "fakesnow",
    "built": "services",
    "demo_api": "services",
    "loaded": "services",
    "postgres": "services",
    "s3_server": "services",
    "shop": "services",
    "opened": "duckdb",
}
# where nothing else fits
ELSE = {"formats": "duckdb", "landing": "duckdb"}
WAREHOUSES = ("fakesnow", "duckdb")
STARTS_A_PROCESS = ("subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system")

_running: list[pytest.Item | None] = []


def tier_of(item: pytest.Item) -> str:
    """The tier of a test."""
    marked = {mark.name for mark in item.iter_markers() if mark.name in TIERS}
    if len(marked) > 1:
        raise pytest.UsageError(f"{item.nodeid} is of more than one tier: {', '.join(sorted(marked))}")
    # the checkout itself may be in a folder of such a name
    path = item.nodeid.partition("::")[0].split("/")
    folders = [FOLDERS[name] for name in path if name in FOLDERS]
    asked = getattr(item, "fixturenames", ())
    by_fixture = [tier for fixture, tier in FIXTURES.items() if fixture in asked]
    # a warehouse is asked for by a parameter
    by_parameter = [name for name in WAREHOUSES if hasattr(item, "callspec") and name in item.callspec.id]
    otherwise = [ELSE[name] for name in path if name in ELSE]
    return next(iter([*marked, *folders, *by_parameter, *by_fixture, *otherwise]), "unit")


def mark_tiers(items: list[pytest.Item]) -> None:
    """Give each test the mark of its tier."""
    for item in items:
        tier = tier_of(item)
        if item.get_closest_marker(tier) is None:
            item.add_marker(tier)


def is_elsewhere(folder: Path, expression: str) -> bool:
    """Whether a folder has no test of the only tier that is asked for, so that its modules need not be imported."""
    return expression in TIERS and FOLDERS.get(folder.name, expression) != expression


def watch_unit_tests() -> None:
    """Let a unit test that starts a process fail, and warn of one that opens a database file of DuckDB."""
    import croniter  # noqa: F401 - when it is imported it runs `file` on Python itself

    sys.addaudithook(_refuse_processes)
    connect = duckdb.connect

    def watched(database: str | Path = ":memory:", *arguments: Any, **named: Any) -> duckdb.DuckDBPyConnection:
        if str(database) not in ("", ":memory:"):
            _warn_of_a_database()
        return connect(database, *arguments, **named)

    duckdb.connect = watched


def _refuse_processes(event: str, _: object) -> None:
    if event in STARTS_A_PROCESS and (test := _unit_test()):
        raise AssertionError(f"{test} is of the tier unit and starts a process: give it another mark")


def _warn_of_a_database() -> None:
    if test := _unit_test():
        text = f"{test} is of the tier unit and opens a database file: mark it duckdb, to keep this tier quick"
        warnings.warn(pytest.PytestWarning(text), stacklevel=3)


def _unit_test() -> str:
    """Return the name of the test that runs, if it is of the tier `unit`."""
    is_unit = _running and _running[-1] and _running[-1].get_closest_marker("unit")
    return _running[-1].nodeid if is_unit else ""


@contextmanager
def running(item: pytest.Item | None) -> Iterator[None]:
    """Note which test runs, from its first fixture to its last; None for what is made once for whoever needs it."""
    _running.append(item)
    try:
        yield
    finally:
        _running.pop()
