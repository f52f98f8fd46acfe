"""A landing that follows its read: what is read already goes through the contract in a thread of its own.

That is for records of which each can be decided alone, by what the first of them say. Where it is not so, or a record
contradicts, what was written is thrown away, and all records are landed when they are there, as ever. The scratch
database is opened while the first records are read, whatever they are.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
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

    Opened = tuple[duckdb.DuckDBPyConnection, Path]


@dataclass
class Follower:
    """Lands what a read has written so far, once that is enough.

    Args:
        request: What to land; its spool is not looked at.
        open_: Opens the scratch database and the folder of the attempt.
        parts: The name of the folder of the parts.
    """

    request: LandRequest
    open_: Callable[[], Opened]
    parts: str
    opened: Opened | None = None
    read: ReadRecords | None = None
    growing: Growing = field(init=False)
    _threads: list[Thread] = field(default_factory=list)
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
            self._join()
        finally:
            self._stop()
        if self._error is not None:
            raise self._error
        return spool

    def _begin(self) -> None:
        self._start(self._follow)

    def _start(self, work: Callable[[], None]) -> None:
        thread = Thread(target=copy_context().run, args=(self._run, work, *self._threads), name="landing", daemon=True)
        # before it begins: a signal may come between
        self._threads.append(thread)
        # where there are no more threads, all is landed when it is there
        with suppress(RuntimeError):
            thread.start()

    def _join(self, seconds: float | None = None) -> None:
        for thread in list(self._threads):
            if thread.is_alive():
                thread.join(seconds)

    def _stop(self) -> None:
        """End the threads, where they have not ended; a signal meanwhile is raised when they have.

        What they work with is closed next.
        """
        raised: BaseException | None = None
        self._is_over = True
        self.growing.fail()
        while any(thread.is_alive() for thread in list(self._threads)):
            try:
                if self.opened is not None:
                    self.opened[0].interrupt()
                self._join(1)
            except BaseException as error:  # noqa: BLE001 - raised below
                raised = error
        if raised is not None:
            raise raised

    def _run(self, work: Callable[[], None], *before: Thread) -> None:
        import duckdb

        for thread in before:
            if thread.is_alive():
                thread.join()
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
        self.opened = self.open_()

    def _follow(self) -> None:
        self.opened = self.opened or self.open_()
        connection, folder = self.opened
        self.read = stage_growing(connection, self.request, self.growing, folder / self.parts)
