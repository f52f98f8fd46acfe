"""A reader who polls a table while it grows sees no error, no column missing and no column half filled."""

import threading
import time
from dataclasses import replace

import pytest

from elt_factory.core.failures import AccountingError, WarehouseUnavailableError
from elt_factory.testing.warehouses.loader import Loader, day
from elt_factory.warehouse.duckdb.warehouse import DuckDBWarehouse
from elt_factory.warehouse.snowflake import awake

BETWEEN_LOOKS = 0.02  # seconds


class Reader(threading.Thread):
    """Reads the same columns again and again on a connection of its own."""

    def __init__(self, connect, loader, columns) -> None:
        super().__init__()
        self.connect, self.loader, self.columns = connect, loader, columns
        self.stop, self.looks, self.wrong = threading.Event(), 0, []

    def run(self) -> None:
        with self.connect() as warehouse:
            d = warehouse.dialect
            # as text: the stand-in looks the types of a result up after its rows
            columns = ", ".join(f"CAST({d.name(name)} AS VARCHAR)" for name in ("id", *self.columns))
            statement = f"SELECT {columns} FROM {self.loader.target.sql(d)}"
            while not self.stop.is_set():
                try:
                    rows = warehouse.query(statement).rows
                    self.wrong += [row for row in rows if {str(value) for value in row} != {str(row[0])}]
                except Exception as error:  # noqa: BLE001 - any error is what no reader may see
                    self.wrong.append(error)
                self.looks += 1
                time.sleep(BETWEEN_LOOKS)


def grow(loader, columns, changes: int) -> None:
    """Load after load: in each a column becomes text, or a column is new; rows are id in every column."""
    kinds = dict.fromkeys(columns, "integer")
    for number in range(changes):
        if number % 2:
            kinds[f"new{number}"] = "integer"
        else:
            kinds[columns[number // 2]] = "text"
        loader.spec = {"columns": {name: {"type": kind} for name, kind in kinds.items()}}
        loader.load([dict.fromkeys(("id", *kinds), number + 2)], day(number + 2))


@pytest.mark.parametrize("altered", [True, False], ids=["altered", "rebuilt"])
def test_a_reader_sees_every_column_whole_through_all_changes(loader, warehouse, connect, altered):
    here = isinstance(warehouse, DuckDBWarehouse)
    changes = 16 if here else 4
    columns = tuple(f"c{number}" for number in range(changes // 2))
    if not altered:
        warehouse.dialect = replace(warehouse.dialect, alters_type=lambda _old, _new: False)
    loader.spec = {"columns": {name: {"type": "integer"} for name in columns}}
    loader.load([dict.fromkeys(("id", *columns), number) for number in range(-500, 1)], day(1))
    reader = Reader(connect, Loader(loader.base, warehouse), columns)
    reader.start()
    try:
        grow(loader, columns, changes)
    finally:
        reader.stop.set()
        reader.join()
    assert reader.wrong == []
    assert reader.looks > changes
    assert len(loader.audit("schema_changes", "column_name")) == changes
    assert len(loader.rows("id")) == 501 + changes


def test_rows_that_are_loaded_while_a_table_is_rebuilt_are_not_lost(loader, warehouse, connect):
    """The load that rebuilds has the table's turn: another load's rows come before it or after it."""
    warehouse.dialect = replace(warehouse.dialect, alters_type=lambda _old, _new: False)
    loader.load([{"id": 1, "n": 1}], day(1))
    loader.land([{"id": 2, "n": 2.5}], day(2))
    loader.land([{"id": 3, "n": 3}], day(3))
    real, other, failures = warehouse.execute, [], []

    def load_other():
        try:
            with connect() as opened:
                Loader(loader.base, opened).warehouse.load(loader.order(day(3)))
        except Exception as error:  # noqa: BLE001 - a thread's error is the test's
            failures.append(error)

    def execute(statement):
        if statement.startswith("CREATE OR REPLACE TABLE"):
            other.append(threading.Thread(target=load_other))
            other[0].start()
            other[0].join(0.5 if isinstance(warehouse, DuckDBWarehouse) else 60)
        return real(statement)

    warehouse.execute = execute
    order = loader.order(day(2))
    warehouse.load(order)
    other[0].join()
    assert failures == []
    assert [(row, float(value)) for row, value in loader.rows("id", "n")] == [(1, 1), (2, 2.5), (3, 3)]


def test_a_load_fails_where_the_turn_was_lost_while_its_table_was_rebuilt(loader, warehouse, connect):
    """As where Snowflake rolls the transaction back: what another load has committed may be lost, and that is said."""
    warehouse.dialect = replace(warehouse.dialect, alters_type=lambda _old, _new: False)
    loader.load([{"id": 1, "n": 1}], day(1))
    loader.land([{"id": 2, "n": 2.5}], day(2))
    loader.land([{"id": 3, "n": 3}], day(3))
    real, second = warehouse.execute, []

    def another():
        second.append(connect())
        return second[0]

    def execute(statement):
        if statement.startswith("CREATE OR REPLACE TABLE"):
            second[0].execute("ROLLBACK")
            with connect() as opened:
                opened.load(loader.order(day(3)))
            second[0].execute("BEGIN")
        return real(statement)

    warehouse.another, warehouse.execute = another, execute
    with pytest.raises(AccountingError, match="kept other loads of the table waiting has ended too early"):
        warehouse.load(loader.order(day(2)))


@pytest.mark.parametrize("fails", [True, False])
def test_a_transaction_that_others_wait_for_is_kept_awake_until_it_ends(monkeypatch, fails):
    monkeypatch.setattr(awake, "PAUSE", 0.01)
    sent = []

    def send():
        sent.append(threading.current_thread().name)
        if fails:
            raise WarehouseUnavailableError("lost")

    with awake.kept_awake(send):
        time.sleep(0.3)
    count = len(sent)
    time.sleep(0.05)
    assert len(sent) == count
    assert count == 1 if fails else count > 3
