"""The list as it was shown last, on disk: what an API server that has just begun shows while it reads all of it again.

To read a thousand configs and a year of loads takes longer than someone should wait for a page.
"""

from __future__ import annotations

import logging
import os
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from elt_factory.core.failures import EltError
from elt_factory.core.private import private_files

EVERY = 60.0  # seconds between two writes of it
MOST_BYTES = 32 * 1024 * 1024  # of a file: three times what a thousand tables with half a year of daily loads take
MOST_FILES = 4  # of a kind: of the projects and warehouses that were seen last
_LEFT_OVER = 600.0  # seconds after which what was half written is of a process that has ended
_T = TypeVar("_T")
_log = logging.getLogger(__name__)


class TooLargeError(EltError):
    """A value is larger than a file of it may be."""


class KeptFile(Generic[_T]):
    """A value in a file of this user's alone, as long as it has the same shape and is of the same project.

    Args:
        kind: What the value is.
        file: Where it is.
        of: What it is of: the value of another one is not taken.
        others: Pattern of the files next to it that are of its kind: only the newest are kept.
    """

    def __init__(self, kind: TypeAdapter[_T], file: Path, of: object, others: str = "") -> None:
        self._kind, self._file, self._others = kind, file, others
        self._first_line = b"%d\n" % zlib.crc32(repr((of, kind.json_schema())).encode())

    def load(self) -> tuple[_T, datetime] | None:
        """Return the value, and when it was saved; None where there is none of this shape."""
        try:
            with self._file.open("rb") as file:
                if file.readline() != self._first_line:
                    return None
                saved = datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC)
                return self._kind.validate_json(zlib.decompress(file.read())), saved
        except (OSError, ValidationError, zlib.error):
            return None

    def save(self, value: _T) -> None:
        """Save a value; a reader sees the one before or this one, whole.

        Raises:
            OSError: the folder cannot be written.
            EltError: the environment has a umask that is none, or the value is too large to be kept.
        """
        content = self._first_line + zlib.compress(self._kind.dump_json(value), 1)
        if len(content) > MOST_BYTES:
            raise TooLargeError(f"{len(content):,} bytes are more than {MOST_BYTES:,}")
        partial = self._file.with_name(f"{self._file.name}.{os.getpid()}")
        try:
            with private_files():
                self._file.parent.mkdir(parents=True, exist_ok=True)
                partial.write_bytes(content)
            partial.replace(self._file)
        finally:
            partial.unlink(missing_ok=True)
        self._tidy()

    def _tidy(self) -> None:
        """Remove what killed processes have left of this kind, and files of projects and warehouses of long ago."""
        if not self._others:
            return
        folder, now = self._file.parent, time.time()
        written = {file: at for file in folder.glob(self._others) if (at := _written(file)) is not None}
        newest = sorted(written, key=lambda file: (file == self._file, written[file]), reverse=True)
        halves = (
            file
            for file in folder.glob(f"{self._others}.*")
            if (at := _written(file)) is not None and now - at > _LEFT_OVER
        )
        for file in (*newest[MOST_FILES:], *halves):
            file.unlink(missing_ok=True)


def _written(file: Path) -> float | None:
    """Return when a file was written; None where another process has just removed it."""
    with suppress(FileNotFoundError):
        return file.stat().st_mtime
    return None


def keep(file: Callable[[], KeptFile[_T]], value: _T) -> None:
    """Save a value for the next process. That it cannot be kept harms no one, and the log says so."""
    try:
        file().save(value)
    except (OSError, EltError) as error:
        _log.warning("what the Sources page shows cannot be kept for the next start: %s", error)


def kept_file(kind: TypeAdapter[_T], name: str, of: object) -> KeptFile[_T]:
    """Return the file of this project in Airflow's home: an API server may write there, and perhaps nowhere else."""
    file = kept_folder() / f"{name}-{zlib.crc32(repr(of).encode()):08x}.json"
    return KeptFile(kind, file, of, others=f"{name}-*.json")


def remove_kept() -> None:
    """Remove all such files: what they tell of may have been erased.

    Raises:
        OSError: one is there and cannot be removed.
    """
    for file in kept_folder().glob("*.json*"):
        file.unlink(missing_ok=True)


def kept_folder() -> Path:
    """Return the folder of all such files."""
    from airflow.configuration import AIRFLOW_HOME

    return Path(AIRFLOW_HOME) / "elt_factory"
