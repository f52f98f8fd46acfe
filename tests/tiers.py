"""Of which tier a test is, and that a test of the tier `unit` starts no process."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

TIERS = {
    "unit": "needs nothing but this process and its files",
    "duckdb": "loads into the embedded warehouse: the suite that every warehouse passes",
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
}
WAREHOUSES = ("fakesnow", "duckdb")
STARTS_A_PROCESS = ("subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system")

_running: list[pytest.Item | None] = []


def tier_of(item: pytest.Item) -> str:
    """The tier of a test."""
    marked = {mark.name for mark in item.iter_markers() if mark.name in TIERS}
    if len(marked) > 1:
        raise pytest.UsageError(f"{item.nodeid} is of more than one tier: {', '.join(sorted(marked))}")
    # the checkout itself may be in a folder of such a name
    folders = [FOLDERS[name] for name in item.nodeid.partition("::")[0].split("/") if name in FOLDERS]
    asked = getattr(item, "fixturenames", ())
    by_fixture = [tier for fixture, tier in FIXTURES.items() if fixture in asked]
    # a warehouse is asked for by a parameter
    by_parameter = [name for name in WAREHOUSES if hasattr(item, "callspec") and name in item.callspec.id]
    return next(iter([*marked, *folders, *by_parameter, *by_fixture]), "unit")


def mark_tiers(items: list[pytest.Item]) -> None:
    """Give each test the mark of its tier."""
    for item in items:
        tier = tier_of(item)
        if item.get_closest_marker(tier) is None:
            item.add_marker(tier)


def watch_processes() -> None:
    """Let a test of the tier `unit` that starts a process fail."""
    import croniter  # noqa: F401 - when it is imported it runs `file` on Python itself

    sys.addaudithook(_refuse)


def _refuse(event: str, _: object) -> None:
    if event in STARTS_A_PROCESS and _running and _running[-1] and _running[-1].get_closest_marker("unit"):
        raise AssertionError(f"{_running[-1].nodeid} is of the tier unit and starts a process: give it another mark")


@contextmanager
def running(item: pytest.Item | None) -> Iterator[None]:
    """Note which test runs, from its first fixture to its last; None for what is made once for whoever needs it."""
    _running.append(item)
    try:
        yield
    finally:
        _running.pop()
