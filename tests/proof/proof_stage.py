"""Tries of a run, each in a thread of its own: they stop at every effect, go on when they are let, or die.

An effect is a file of a landing that is written, renamed or removed (Python's audit events, so whatever the product
calls), a request to object storage, and a statement that changes the warehouse. One try runs at a time. One that was
killed has no further effect, not even that of cleaning up: as after `kill -9`.
"""

import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self

import duckdb
from obstore.store import MemoryStore

from elt_factory.core.stores import address_of
from elt_factory.storage.objects import Entry, Objects

Pause = int | str | None  # after so many effects, at the first one whose name holds a text, or not at all
PATIENCE = 60  # seconds, for a try that should have come to its next effect
_PATHS = frozenset({"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate", "shutil.rmtree"})
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_LOOKS = ("SELECT", "SET", "DROP VIEW", "CREATE OR REPLACE TEMP VIEW", "FROM", "WITH", "DESCRIBE", "PRAGMA")


class Kill(BaseException):
    """As sudden as a kill."""


class Try:
    """One try, which is let go until it comes to a pause, or to its end."""

    def __init__(self, stage: "Stage", work: Callable[["Try"], Any]) -> None:
        self.stage, self.work = stage, work
        self.until: Pause = None
        self.dead = self.ended = False
        self.effects: list[str] = []
        self.error: BaseException | None = None
        self.answer: Any = None
        self._back, self._on = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def go(self, until: Pause = None) -> bool:
        """Let it go on; whether it has ended then."""
        if self.ended:
            return True
        self.until, self.stage.current = until, self
        if self._thread.ident is None:
            self._thread.start()
        else:
            self._on.release()
        if not self._back.acquire(timeout=PATIENCE):
            raise TimeoutError(f"a try hangs after {self.effects[-3:]}")
        self.stage.current = None
        return self.ended

    def kill(self) -> None:
        """It does nothing more from here on."""
        self.dead = True
        self.go()

    def effect(self, what: str) -> None:
        """Come to an effect: pause where that is meant, raise where the try is dead."""
        if self.dead:
            raise Kill
        self.effects.append(what)
        if self.until == 0 or (isinstance(self.until, str) and self.until in what):
            self._back.release()
            self._on.acquire()
            if self.dead:
                raise Kill
        elif isinstance(self.until, int):
            self.until -= 1

    def _run(self) -> None:
        try:
            self.answer = self.work(self)
        except BaseException as error:  # noqa: BLE001 - whatever it is, who let it run looks at it
            self.error = error
        self.ended = True
        self._back.release()


class Stage:
    """Where tries run, one at a time; `folder` is what they change."""

    def __init__(self, folder: Path) -> None:
        self.folder = f"{folder}/"
        self.current: Try | None = None
        self.looking: duckdb.DuckDBPyConnection  # at the warehouse, as anybody may

    def effect(self, what: str) -> None:
        if self.current is not None:
            self.current.effect(what)

    @contextmanager
    def unseen(self) -> Iterator[None]:
        """What the test itself does is no effect of a try."""
        acting, self.current = self.current, None
        try:
            yield
        finally:
            self.current = acting


_here: Stage | None = None


def _watch(event: str, about: tuple[Any, ...]) -> None:
    stage = _here
    if stage is None or stage.current is None:
        return
    changes = event in _PATHS or (event == "open" and isinstance(about[2], int) and about[2] & _WRITING)
    if changes and isinstance(about[0], str | os.PathLike) and os.fspath(about[0]).startswith(stage.folder):
        stage.effect(f"{event} {os.fspath(about[0]).removeprefix(stage.folder)}")


class WatchedConnection:
    """A connection to the warehouse whose statements are effects, each with a moment before and one after it."""

    def __init__(self, real: duckdb.DuckDBPyConnection, stage: Stage) -> None:
        self._real, self._stage = real, stage

    def execute(self, statement: str, *given: Any) -> Any:
        if self._stage.current is not None and self._stage.current.dead:
            raise Kill
        changes = not statement.lstrip().upper().startswith(_LOOKS)
        if changes:
            self._stage.effect(statement[:80])
        answer = self._real.execute(statement, *given)
        if changes:
            self._stage.effect(f"after {statement[:80]}")
        return answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._real.close()


class WatchedStorage(Objects):
    """Object storage whose requests are effects: an object is there whole, or not at all."""

    kept: ClassVar[MemoryStore] = MemoryStore()

    @classmethod
    def at(cls, url: str) -> Self:
        address = address_of(url)
        return cls(url, f"{address.host}/{address.path}", cls.kept)

    def upload(self, file: Path, name: str) -> None:
        _effect(f"put {self.url}/{name}")
        super().upload(file, name)

    def write(self, name: str, content: bytes) -> None:
        _effect(f"put {self.url}/{name}")
        super().write(name, content)

    def change(self, name: str, content: bytes) -> None:
        """Other bytes of an object that is there."""
        super().write(name, content)

    def remove(self, names: Sequence[str]) -> None:
        # one request takes many away, and a kill may come among them
        for name in names:
            _effect(f"remove {self.url}/{name}")
            super().remove([name])

    def _entry(self, found: Any) -> Entry:
        # without ETags, so that a change is found by the checksum
        return replace(super()._entry(found), etag="")


def _effect(what: str) -> None:
    if _here is not None:
        _here.effect(what)


_installed: list[bool] = []


@contextmanager
def staged(folder: Path, warehouse: Path) -> Iterator[Stage]:
    """A stage over a folder; the warehouse's file stays open meanwhile, which spares each task the opening."""
    global _here
    if not _installed:
        sys.addaudithook(_watch)
        _installed.append(True)
    stage, real = Stage(folder), duckdb.connect

    def connect(database: Any = ":memory:", *args: Any, **kwargs: Any) -> Any:
        if str(database) == str(warehouse):
            return WatchedConnection(real(database), stage)
        # what is scratch of the contract may be in memory; a few rows need no threads
        where = ":memory:" if Path(str(database)).name.startswith("contract-") else database
        return real(where, *args, config={"threads": 1}, **kwargs)

    stage.looking = keeper = real(str(warehouse))
    keeper.execute("SET threads = 1; SET TimeZone = 'UTC'")
    duckdb.connect, _here = connect, stage
    WatchedStorage.kept = MemoryStore()
    try:
        yield stage
    finally:
        duckdb.connect, _here = real, None
        keeper.close()
