"""The list as it was shown last, on disk: what an API server that has just begun shows while it reads all of it again.

To read a thousand configs and a year of loads takes longer than someone should wait for a page.
"""

from __future__ import annotations

import logging
import os
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from elt_factory.core.failures import EltError
from elt_factory.core.private import private_files

EVERY = 60.0  # seconds between two writes of it
_T = TypeVar("_T")
_log = logging.getLogger(__name__)


class KeptFile(Generic[_T]):
    """A value in a file of this user's alone, as long as it has the same shape and is of the same project.

    Args:
        kind: What the value is.
        file: Where it is.
        of: What it is of: the value of another one is not taken.
    """

    def __init__(self, kind: TypeAdapter[_T], file: Path, of: object) -> None:
        self._kind, self._file = kind, file
        self._first_line = b"%d\n" % zlib.crc32(repr((of, kind.json_schema())).encode())

    def load(self) -> tuple[_T, datetime] | None:
        """Return the value, and when it was saved; None where there is none of this shape."""
        try:
            with self._file.open("rb") as file:
                if file.readline() != self._first_line:
                    return None
                saved = datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC)
                return self._kind.validate_json(file.read()), saved
        except (OSError, ValidationError):
            return None

    def save(self, value: _T) -> None:
        """Save a value; a reader sees the one before or this one, whole.

        Raises:
            OSError: the folder cannot be written.
            EltError: the environment has a umask that is none.
        """
        partial = self._file.with_name(f"{self._file.name}.{os.getpid()}")
        with private_files():
            self._file.parent.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(self._first_line + self._kind.dump_json(value))
        partial.replace(self._file)


def keep(file: Callable[[], KeptFile[_T]], value: _T) -> None:
    """Save a value for the next process. That it cannot be kept harms no one, and the log says so."""
    try:
        file().save(value)
    except (OSError, EltError) as error:
        _log.warning("what the Sources page shows cannot be kept for the next start: %s", error)


def kept_file(kind: TypeAdapter[_T], name: str, of: object) -> KeptFile[_T]:
    """Return the file of this project in Airflow's home: an API server may write there, and perhaps nowhere else."""
    return KeptFile(kind, _folder() / f"{name}-{zlib.crc32(repr(of).encode()):08x}.json", of)


def remove_kept() -> None:
    """Remove all such files: what they tell of may have been erased.

    Raises:
        OSError: one is there and cannot be removed.
    """
    for file in _folder().glob("*.json*"):
        file.unlink(missing_ok=True)


def _folder() -> Path:
    from airflow.configuration import AIRFLOW_HOME

    return Path(AIRFLOW_HOME) / "elt_factory"
