"""Snowflake's locks, as its documentation has them, before the statements of loads into DuckDB.

UPDATE, DELETE and MERGE lock their table until the end of the transaction, and one that is no part of a transaction
until its own end. Twenty statements may wait for a lock; the next one is refused immediately with number 625. INSERT
and SELECT wait for nothing.
"""

import re
import threading
import time
from collections import defaultdict

from elt_factory.core.failures import WarehouseBusyError
from elt_factory.warehouse.duckdb.warehouse import DuckDBWarehouse

WAITERS = 20
ROUND_TRIP = 0.01  # seconds that a statement takes at least, over a network
_LOCKING = re.compile(r'(?:UPDATE|DELETE FROM|MERGE INTO) ((?:"(?:[^"]|"")+"\.?)+)')


class Locks:
    """Who has which table, and how many wait for it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._holders: dict[str, object] = {}
        self._waiting: dict[str, int] = defaultdict(int)
        self.refused: list[str] = []
        self.waited_for: set[str] = set()

    def take(self, table: str, holder: object) -> None:
        with self._changed:
            if self._holders.get(table, holder) is not holder:
                self._wait(table, holder)
            self._holders[table] = holder

    def _wait(self, table: str, holder: object) -> None:
        if self._waiting[table] >= WAITERS:
            self.refused.append(table)
            raise WarehouseBusyError(f"000625: the number of waiters for {table} exceeds the 20 statements limit")
        self.waited_for.add(table)
        self._waiting[table] += 1
        self._changed.wait_for(lambda: self._holders.get(table, holder) is holder)
        self._waiting[table] -= 1

    def release(self, holder: object) -> None:
        with self._changed:
            self._holders = {table: who for table, who in self._holders.items() if who is not holder}
            self._changed.notify_all()


class LockingWarehouse(DuckDBWarehouse):
    """A DuckDB file behind these locks."""

    def __init__(self, path, locks: Locks) -> None:
        self._locks, self._open = locks, False
        super().__init__(path, log=lambda _: None)

    def _run(self, statement):
        if statement == "BEGIN":
            self._open = True
        if locking := _LOCKING.match(statement):
            self._locks.take(locking[1], self)
        time.sleep(ROUND_TRIP)
        try:
            return super()._run(statement)
        finally:
            if statement in ("COMMIT", "ROLLBACK") or not self._open:
                self._open = False
                self._locks.release(self)
