"""Loads at the same time, under the locks that Snowflake documents: see lock_support."""

import threading
from dataclasses import replace

import pytest
from lock_support import LockingWarehouse, Locks

from elt_factory.testing.warehouses.loader import MERGE, Loader, day

pytestmark = pytest.mark.duckdb

SPECS = {
    "append": {},
    "merge": MERGE,
    "replace": {"write_disposition": "replace"},
    "scd2": {"write_disposition": "scd2", "primary_key": ["id"]},
}
ROWS = [{"id": 1, "v": "a"}, "{"]


@pytest.fixture
def locks() -> Locks:
    return Locks()


@pytest.fixture
def open_one(tmp_path, locks):
    return lambda: LockingWarehouse(tmp_path / "warehouse.duckdb", locks)


def load_all(open_one, orders) -> list[Exception]:
    """Load every order on a connection of its own, all at the same time; what failed."""
    together, failures = threading.Barrier(len(orders)), []

    def load(order):
        with open_one() as warehouse:
            together.wait()
            try:
                warehouse.load(order)
            except Exception as error:  # noqa: BLE001 - a thread's error is the test's
                failures.append(error)

    threads = [threading.Thread(target=load, args=(order,)) for order in orders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures


def orders_of_many_tables(loader, count: int):
    """One landing as the landings of many tables."""
    order = loader.order()
    for number in range(count):
        manifest = replace(order.manifest, table=f"tab{number}", load_id=f"src-tab{number}-1", attempt=f"a{number}")
        yield replace(order, manifest=manifest, target=replace(order.target, name=f"tab{number}"))


@pytest.mark.parametrize("disposition", SPECS)
def test_80_loads_of_80_tables_at_once_commit_and_none_waits_for_another(open_one, locks, tmp_path, disposition):
    with open_one() as warehouse:
        loader = Loader(tmp_path / "landing", warehouse, spec=SPECS[disposition])
        loader.land(ROWS)
        warehouse.prepare()
        warehouse.create_schema("src")
        assert load_all(open_one, list(orders_of_many_tables(loader, 80))) == []
        assert warehouse.query("SELECT count(*), sum(rows_loaded), sum(rows_rejected) FROM _elt.loads").rows == [
            (80, 80, 80)
        ]
        assert warehouse.query("SELECT count(*) FROM _elt.rejects").rows == [(80,)]
    assert (locks.refused, locks.waited_for) == ([], set())


def test_60_loads_of_one_table_at_once_commit_one_after_the_other(open_one, locks, tmp_path):
    """More than may wait for a lock: those that are refused come again, after pauses that grow."""
    with open_one() as warehouse:
        loader = Loader(tmp_path / "landing", warehouse)
        loader.load(ROWS, day(1))
        order = loader.order(day(1))
        manifests = [replace(order.manifest, load_id=f"src-tab-{number}", attempt=f"a{number}") for number in range(60)]
        assert load_all(open_one, [replace(order, manifest=manifest) for manifest in manifests]) == []
        assert len(loader.rows("id")) == 61
        assert [turn for (turn,) in loader.audit("load_log", "turn")] == list(range(1, 62))
    assert locks.refused
    assert {table.split(".")[1][:10] for table in locks.refused} == {'"turn_src_'}
