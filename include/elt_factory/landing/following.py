"""A landing that follows its read: what is read already goes through the contract in a thread of its own.

That is for records of which each can be decided alone, by what the first of them say. Where it is not so, or a record
contradicts, what was written is thrown away, and all records are landed when they are there, as ever. The scratch
database is opened while the first records are read, whatever they are. Readers that are followed write NDJSON, or CSV
of which they know the types.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextvars import copy_context
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from elt_factory.core.failures import EltError
from elt_factory.extract.growing import Growing
from elt_factory.extract.request import Spool
from elt_factory.landing.reading import ReadRecords, stage_growing
from elt_factory.landing.request import LandRequest

if TYPE_CHECKING:
    import duckdb


_PAUSE = 0.002  # seconds; what is waited for is mostly done already


class _Working(Thread):
    """A thread that says by itself when it is done.

    Where a signal comes while Python waits for a thread, it takes it for ended (CPython's issue 89437).
    """

    is_done = False

    def run(self) -> None:
        """Work."""
        try:
            super().run()
        finally:
            self.is_done = True


@dataclass
class Follower:
    """Lands what a read has written so far, once that is enough.

    Args:
        request: What to land; its spool is not looked at.
        scratch: Opens the scratch database.
        folder: Makes the folder of the attempt; not before there is something to put into it.
        parts: The name of the folder of the parts.
    """

    request: LandRequest
    scratch: Callable[[], duckdb.DuckDBPyConnection]
    folder: Callable[[], Path]
    parts: str
    connection: duckdb.DuckDBPyConnection | None = None
    made: Path | None = None
    read: ReadRecords | None = None
    growing: Growing = field(init=False)
    _threads: list[_Working] = field(default_factory=list)
    _error: BaseException | None = None
    _is_over: bool = False

    def __post_init__(self) -> None:
        self.growing = Growing(self._begin)

    def follow(self, read: Callable[[Growing], Spool]) -> Spool:
        """Read the records in this thread, and return what was read when all of it was followed.

        Raises as `read` does.
        """
        try:
            self._start(self._open)
            spool = read(self.growing)
            self.growing.end()
            _wait_for(self._threads)
        finally:
            self._stop()
        if self._error is not None:
            raise self._error
        return spool

    def _begin(self) -> None:
        self._start(self._follow)

    def _start(self, work: Callable[[], None]) -> None:
        before = tuple(self._threads)
        thread = _Working(target=copy_context().run, args=(self._run, work, before), name="landing", daemon=True)
        try:
            self._threads.append(thread)
            thread.start()
        except RuntimeError:
            # where there are no more threads, all is landed when it is there
            thread.is_done = True
        except BaseException:
            # by a signal: one that has not begun will not, or sees that all is over
            self._is_over = True
            thread.is_done = thread.is_done or thread.ident is None
            raise

    def _stop(self) -> None:
        """End the threads, where they have not ended; a signal meanwhile is raised when they have.

        What they work with is closed next.
        """
        raised: BaseException | None = None
        self._is_over = True
        self.growing.fail()
        while not all(thread.is_done for thread in self._threads):
            try:
                if self.connection is not None:
                    self.connection.interrupt()
                _wait_for(self._threads, seconds=1)
            except BaseException as error:  # noqa: BLE001 - raised below
                raised = error
        if raised is not None:
            raise raised

    def _run(self, work: Callable[[], None], before: Sequence[_Working]) -> None:
        import duckdb

        _wait_for(before)
        if self._is_over:
            return
        try:
            work()
        except (duckdb.Error, EltError, OSError):
            # whatever it is, what is landed when all is there meets it too, and says it
            pass
        except BaseException as error:  # noqa: BLE001 - raised in the thread that waits
            self._error = error

    def _open(self) -> None:
        self.connection = self.scratch()

    def _follow(self) -> None:
        self.connection = self.connection or self.scratch()
        self.made = self.folder()
        self.read = stage_growing(self.connection, self.request, self.growing, self.made / self.parts)


def _wait_for(threads: Sequence[_Working], seconds: float = float("inf")) -> None:
    """Wait until threads are done, at most so long; without a lock, which a signal could leave taken."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and not all(thread.is_done for thread in threads):
        time.sleep(_PAUSE)
