"""Loads of one table at once that write the very same keys: one of them after the other, whichever was first."""

import threading

import pytest
from warehouse_support import MERGE, Loader, day

from elt_factory.failures import TransientError

SNAPSHOT = {"write_disposition": "scd2", "primary_key": ["id"]}
SPECS = {"append": {}, "merge": MERGE, "replace": {"write_disposition": "replace"}, "scd2": SNAPSHOT}
DAYS = (2, 3, 4)


def load_at_once(loader, connect, days) -> None:
    """Load landed days together, each on a connection of its own, and tried again as a task is."""
    together, failures = threading.Barrier(len(days)), []

    def load(number):
        with connect() as warehouse:
            together.wait()
            for _ in range(20):
                try:
                    return Loader(loader.base, warehouse, spec=loader.spec).warehouse.load(loader.order(day(number)))
                except TransientError:
                    continue
                except Exception as error:  # noqa: BLE001 - a thread's error is the test's
                    return failures.append(error)
            return failures.append(number)

    threads = [threading.Thread(target=load, args=(number,)) for number in days]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


@pytest.mark.parametrize("disposition", SPECS)
def test_loads_of_the_same_keys_at_once_are_as_one_after_the_other(loader, connect, disposition):
    loader.spec = SPECS[disposition]
    loader.load([{"id": key, "v": 1} for key in range(20)], day(1))
    for number in DAYS:
        loader.land([{"id": key, "v": number} for key in range(20)], day(number))
    load_at_once(loader, connect, DAYS)
    rows = loader.rows("id", "v")
    assert len(rows) == {"append": 80, "merge": 20, "replace": 20, "scd2": 80}[disposition]
    assert disposition not in ("merge", "replace") or len({value for _, value in rows}) == 1
    assert len(loader.audit("loads", "load_id")) == 1 + len(DAYS)
    if disposition == "scd2":
        moments = [day(number).end for number in (1, *DAYS)]
        ends = {*loader.rows("_valid_from", "_valid_to")}
        assert ends == set(zip(moments, [*moments[1:], None], strict=True)), "no moment has two versions, or none"


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_a_load_beside_its_own_retry_is_there_once(loader, connect, spec):
    """A task that was given up for dead goes on beside the one that takes its place."""
    loader.spec = spec
    loader.load([{"id": key, "v": 1} for key in range(20)], day(1))
    loader.land([{"id": key, "v": 2} for key in range(20, 40)] + ["{"], day(2))
    load_at_once(loader, connect, (2, 2))
    assert len(loader.rows("id")) == (20 if loader.table.write_disposition == "replace" else 40)
    assert len(loader.audit("loads", "load_id")) == 2
    assert len(loader.audit("rejects", "reason")) == 1


def test_a_load_that_another_overtakes_begins_its_transaction_again(loader, warehouse, connect, monkeypatch):
    loader.spec = SNAPSHOT
    loader.load([{"id": 1, "v": "a"}], day(1))
    loader.land([{"id": 1, "v": "b"}], day(2))
    loader.land([{"id": 1, "v": "c"}], day(3))
    real, began = type(warehouse)._write, []

    def overtaken(self, *arguments):
        report = real(self, *arguments)
        if not began:
            began.append(True)
            self.execute("ROLLBACK")
            Loader(loader.base, warehouse, spec=SNAPSHOT).warehouse.load(loader.order(day(3)))
            self.execute("BEGIN")
        return report

    monkeypatch.setattr(type(warehouse), "_write", overtaken)
    warehouse.load(loader.order(day(2)))
    moments = [day(number).end for number in (1, 2, 3)]
    assert loader.rows("v", "_valid_from", "_valid_to") == list(zip("abc", moments, [*moments[1:], None], strict=True))
