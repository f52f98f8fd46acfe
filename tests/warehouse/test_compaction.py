"""What no view shows any more goes by its age; every view shows the same before and after it."""

from datetime import UTC, datetime, timedelta

import pytest

from elt_factory.checks.run import Result, keep
from elt_factory.core.failures import BadDataError
from elt_factory.testing.warehouses.loader import Loader, day, everything
from elt_factory.warehouse import compaction
from elt_factory.warehouse.compaction import compact

LATER = datetime.now(UTC) + timedelta(days=1)
LOGS = ("load_log", "reject_log", "schema_change_log", "quality_log")


@pytest.fixture(autouse=True)
def enough(monkeypatch):
    monkeypatch.setattr(compaction, "ENOUGH", 1)


def sizes(warehouse) -> dict[str, int]:
    return {log: warehouse.query(f"SELECT count(*) FROM _elt.{log}").rows[0][0] for log in LOGS}


def results(*checks):
    return [Result("check", "tab", check, "error", "passed", 0, "m", 0.1) for check in checks]


@pytest.fixture
def history(loader, warehouse) -> Loader:
    """A refresh whose own window is loaded again, windows that are loaded three times, checks of two tries."""
    for number in (1, 2):
        loader.load([{"id": number}, "{"], day(number))
    loader.load([{"id": 3}, "{"], day(3), full_refresh=True)
    for number in (3, 4, 4, 4, 5):
        loader.load([{"id": number, f"new{number}": 1}, "{"], day(number))
    for checks in (("a", "b"), ("a",)):
        keep(warehouse, "src", "run1", "quality.tab", results(*checks))
    keep(warehouse, "src", "run2", "quality.tab", results("a"))
    return loader


def test_views_show_the_same_after_what_they_do_not_show_is_gone(history, warehouse):
    other = Loader(history.base, warehouse, name="other")
    for _ in range(2):
        other.load([{"id": 1}, "{"], day(1))
    shown, before = everything(warehouse, history.target), sizes(warehouse)
    checks = warehouse.query("SELECT run_id, check_name FROM _elt.quality_results ORDER BY 1").rows
    assert compact(warehouse, "src", "tab", LATER) > 0
    assert everything(warehouse, history.target) == shown
    assert warehouse.query("SELECT run_id, check_name FROM _elt.quality_results ORDER BY 1").rows == checks
    # two tries of day 4, three rejects that the refresh replaced and two of day 4's tries, two results of the first try
    assert {log: before[log] - count for log, count in sizes(warehouse).items()} == {
        "load_log": 2,
        "reject_log": 5,
        "schema_change_log": 0,
        "quality_log": 2,
    }
    assert compact(warehouse, "src", "tab", LATER) == 0


def test_the_newest_full_refresh_stays_although_its_window_was_loaded_again(history, warehouse):
    compact(warehouse, "src", "tab", LATER)
    refresh = history.load_id(day(3))
    replaced = dict(history.audit("loads", "load_id", "replaced_by"))
    assert replaced[history.load_id(day(1))] == replaced[history.load_id(day(2))] == refresh
    assert replaced[refresh] is None


def test_a_commit_stays_that_loads_of_only_rejects_came_after(loader, warehouse):
    for _ in range(2):
        loader.load([{"id": 1}, "1"], day(1))
    for record in ("2", "3"):
        with pytest.raises(BadDataError):
            loader.load([record], day(1))
    shown = everything(warehouse, loader.target)
    assert compact(warehouse, "src", "tab", LATER) == 2  # the first commit and its reject
    assert everything(warehouse, loader.target) == shown
    assert loader.audit("rejects", "record") == [('{"line":"1"}',), ('{"line":"3"}',)]


def test_what_is_younger_stays_and_few_rows_are_left_alone(history, warehouse, monkeypatch):
    before = sizes(warehouse)
    assert compact(warehouse, "src", "tab", datetime(2013, 1, 1, tzinfo=UTC)) == 0
    monkeypatch.setattr(compaction, "ENOUGH", 1000)
    assert compact(warehouse, "src", "tab", LATER) == 0
    assert sizes(warehouse) == before


def test_a_load_that_commits_between_the_statements_of_it_is_shown(history, warehouse, connect, monkeypatch):
    real, loaded = warehouse.execute, []
    for number in (4, 6):
        history.land([{"id": number * 10}, "{"], day(number))

    def execute(statement):
        if statement.startswith("DELETE") and len(loaded) < 2:
            with connect() as other:
                window = day((4, 6)[len(loaded)])
                loaded.append(Loader(history.base, other).warehouse.load(history.order(window)))
        return real(statement)

    monkeypatch.setattr(warehouse, "execute", execute)
    compact(warehouse, "src", "tab", LATER)
    assert len(loaded) == 2
    standing = {load for load, gone in history.audit("loads", "load_id", "replaced_by") if gone is None}
    assert standing == {history.load_id(day(number)) for number in (3, 4, 5, 6)}
    assert len(history.audit("rejects", "record")) == 4
