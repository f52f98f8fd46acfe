"""Snowflake is killed, slow, or gone after it was told to commit: one load, or none and its retry is right.

The line is TCP, the server a process; only when a statement is sent decides when they fail.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Timer

import pytest
from orphans_support import assert_nothing_orphaned
from snowflake.connector.cursor import SnowflakeCursor
from wire_support import Wire, wire_to

from elt_factory.core.connection import Connection
from elt_factory.core.failures import WarehouseUnavailableError
from elt_factory.landing.places import LocalPlace
from elt_factory.testing.warehouses.loader import MERGE, PROJECT, Loader, day
from elt_factory.warehouse.snowflake.warehouse import SnowflakeWarehouse

sys.path.append(str(Path(__file__).parents[1]))
from fakesnow_server import FakeSnowflake, fakesnow_running
from live_support import free_port

ROWS = 50
pytestmark = pytest.mark.timeout(300)


class Account:
    """A server that keeps what is committed, and can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.kept = folder / "kept"
        self.kept.mkdir()
        self._running = ExitStack()
        self.server: FakeSnowflake | None = None

    def start(self) -> None:
        self._running.close()
        self.server = self._running.enter_context(fakesnow_running(self.folder / "server", self.port, self.kept))

    def kill(self) -> None:
        os.kill(self.server.pid, signal.SIGKILL)

    def end(self) -> None:
        self._running.close()

    def connection(self, database: str, port: int | None = None) -> Connection:
        found = Connection("warehouse", **self.server.fields(database))
        return Connection("warehouse", **(self.server.fields(database, port=port or found.extra["port"])))


@pytest.fixture(scope="module")
def account(tmp_path_factory) -> Iterator[Account]:
    made = Account(tmp_path_factory.mktemp("account"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SNOWFLAKE_DISABLE_PLATFORM_DETECTION", "true")
        made.start()
        yield made
        made.end()


@pytest.fixture
def wire(account) -> Iterator[Wire]:
    with wire_to(account.port) as made:
        yield made


class When:
    """Does something each time that a statement is sent, until it was sent, and something once it was answered."""

    def __init__(self, monkeypatch, statement: str, before: Callable[[], object], after: Callable[[], object]) -> None:
        self.sent = 0
        real = SnowflakeCursor.execute

        def execute(cursor, command, *args, **kwargs):
            if self.sent or not command.startswith(statement):
                return real(cursor, command, *args, **kwargs)
            self.sent += 1
            before()
            try:
                return real(cursor, command, *args, **kwargs)
            finally:
                after()

        monkeypatch.setattr(SnowflakeCursor, "execute", execute)


def check_once(connection: Connection, folder: Path, versions: dict[int, str]) -> None:
    """Each row is there once, every window has one account that is exact, and nothing is left that no load owns."""
    with SnowflakeWarehouse(connection) as opened:
        loader = Loader(folder, opened, spec=MERGE)
        assert sorted(loader.rows("id", "v")) == sorted(versions.items())
        parts = ("rows_loaded", "rows_rejected", "rows_duplicate", "rows_unchanged")
        for read, *found in loader.audit("loads", "rows_read", *parts):
            assert read == sum(found)
        assert len(loader.audit("loads", "load_id")) == len(set(loader.audit("loads", "load_id")))
        assert_nothing_orphaned(opened, LocalPlace(folder).below("src", "tab"), PROJECT)


@pytest.mark.parametrize("fault", ["reset", "silent"])
def test_a_commit_whose_answer_never_comes_is_one_load(account, wire, tmp_path, monkeypatch, fault):
    connection, told = account.connection(f"COMMIT_{fault}", wire.port), []
    with SnowflakeWarehouse(connection, log=told.append) as warehouse:
        loader = Loader(tmp_path, warehouse, spec=MERGE)
        loader.load([{"id": n, "v": "old"} for n in range(ROWS)], day(1))
        when = When(monkeypatch, "COMMIT", lambda: wire.disturb(fault, after=0), wire.heal)
        report = loader.load([{"id": n, "v": "new"} for n in range(10, ROWS)], day(2))
    assert when.sent == 1
    assert told == ["lost the connection to Snowflake during the commit; the commit succeeded"]
    assert (report.rows_read, report.rows_loaded, report.total_rows) == (ROWS - 10, ROWS - 10, ROWS)
    check_once(connection, tmp_path, {n: "new" if n >= 10 else "old" for n in range(ROWS)})


@pytest.mark.parametrize("statement", ["COPY", "INSERT INTO", "COMMIT"])
def test_a_server_that_is_killed_in_the_midst_of_a_load_has_all_of_it_or_nothing(
    account, tmp_path, monkeypatch, statement
):
    connection = account.connection(f"KILLED_{statement[:4]}")
    with SnowflakeWarehouse(connection) as warehouse:
        Loader(tmp_path, warehouse, spec=MERGE).load([{"id": n, "v": "old"} for n in range(ROWS)], day(1))
    with SnowflakeWarehouse(connection) as warehouse:
        loader = Loader(tmp_path, warehouse, spec=MERGE)
        loader.land([{"id": n, "v": "new"} for n in range(10, ROWS)], day(2))
        When(monkeypatch, statement, Timer(0.005, account.kill).start, account.start)
        # a commit may be answered before the server dies, or turn out to have happened
        with pytest.raises(WarehouseUnavailableError) if statement != "COMMIT" else suppress(WarehouseUnavailableError):
            warehouse.load(loader.order(day(2)))
    with SnowflakeWarehouse(connection) as warehouse:
        retry = Loader(tmp_path, warehouse, spec=MERGE)
        assert sorted(retry.rows("id", "v")) in (
            [(n, "old") for n in range(ROWS)],
            [(n, "new" if n >= 10 else "old") for n in range(ROWS)],
        )
        report = warehouse.load(retry.order(day(2)))
        assert (report.rows_read, report.total_rows) == (ROWS - 10, ROWS)
    check_once(connection, tmp_path, {n: "new" if n >= 10 else "old" for n in range(ROWS)})


def test_a_server_that_is_slow_is_waited_for(account, wire, tmp_path):
    connection = account.connection("SLOW", wire.port)
    wire.fault = "slow"
    with SnowflakeWarehouse(connection) as warehouse:
        Loader(tmp_path, warehouse, spec=MERGE).load([{"id": n, "v": "a"} for n in range(ROWS)], day(1))
    wire.heal()
    check_once(connection, tmp_path, dict.fromkeys(range(ROWS), "a"))
