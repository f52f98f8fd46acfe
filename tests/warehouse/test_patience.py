"""What is sent again in place, after which pauses, and what is not."""

import pytest
from snowflake.connector import errors

from elt_factory.core.failures import (
    EltError,
    WarehouseBusyError,
    WarehouseCancelledError,
    WarehouseTimeoutError,
    WarehouseUnavailableError,
)
from elt_factory.testing.warehouses.loader import Loader, day
from elt_factory.warehouse import patience
from elt_factory.warehouse.duckdb.warehouse import DuckDBWarehouse
from elt_factory.warehouse.snowflake.errors import translated


@pytest.fixture
def pauses(monkeypatch) -> list[float]:
    found = []
    monkeypatch.setattr(patience.time, "sleep", found.append)
    return found


@pytest.fixture
def loader(tmp_path):
    with DuckDBWarehouse(tmp_path / "warehouse.duckdb") as warehouse:
        yield Loader(tmp_path / "landing", warehouse)


def refusing(loader, monkeypatch, number: int, times: int) -> list[str]:
    """Let the first statement of the load's transaction fail as Snowflake's does; the list has each time it is sent."""
    real, sent = loader.warehouse.execute, []

    def execute(statement):
        if statement.startswith("UPDATE"):
            sent.append(statement)
            if len(sent) <= times:
                with translated():
                    raise errors.ProgrammingError("refused", errno=number)
        return real(statement)

    monkeypatch.setattr(loader.warehouse, "execute", execute)
    return sent


@pytest.mark.duckdb
@pytest.mark.parametrize(
    ("number", "kind"),
    [(630, WarehouseTimeoutError), (604, WarehouseCancelledError), (603, WarehouseUnavailableError)],
)
def test_a_statement_that_timed_out_or_was_cancelled_is_sent_once(loader, monkeypatch, pauses, number, kind):
    loader.land([{"id": 1}])
    sent = refusing(loader, monkeypatch, number, 1)
    with pytest.raises(kind):
        loader.warehouse.load(loader.order())
    assert (len(sent), pauses) == (1, [])


@pytest.mark.duckdb
def test_too_many_waiters_are_waited_out(loader, monkeypatch, pauses):
    loader.land([{"id": 1}], day(1))
    sent = refusing(loader, monkeypatch, 625, 12)
    loader.warehouse.load(loader.order(day(1)))
    assert len(set(sent)) == 13, "each try is a transaction of its own"
    assert len(pauses) == 12
    assert loader.rows("id") == [(1,)]


def test_pauses_grow_up_to_a_limit_and_differ(pauses):
    def busy():
        raise WarehouseBusyError("000625")

    with pytest.raises(WarehouseBusyError, match="000625"):
        patience.retrying(busy)
    longest = [min(0.05 * 2**number, patience.LONGEST_PAUSE) for number in range(patience.TRIES - 1)]
    assert len(pauses) == len(longest)
    assert all(limit / 2 <= found <= limit for found, limit in zip(pauses, longest, strict=True))
    assert len({patience.pause(5) for _ in range(20)}) > 1


def test_after_ten_minutes_no_try_begins(monkeypatch, pauses):
    clock = iter(range(0, 10_000, 250))
    monkeypatch.setattr(patience.time, "monotonic", lambda: float(next(clock)))
    tries = []

    def busy():
        tries.append(True)
        raise WarehouseBusyError("000625")

    with pytest.raises(EltError):
        patience.retrying(busy)
    assert len(tries) == 3
