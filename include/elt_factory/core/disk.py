"""This machine's disk: scratch folders of tasks, what killed tasks left, and errors which mean that it is full."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from elt_factory.core.failures import DiskFullError

PREFIX = "elt-"
LOCK = ".elt-factory-scratch"
_YOUNG = 60  # seconds that a task may take from making its folder to locking it
_FULL = (errno.ENOSPC, errno.EDQUOT)
_SAYS_FULL = re.compile(r"no space left on device|disk quota exceeded|max_temp_directory_size", re.IGNORECASE)


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Provide an empty folder for one task, removed at its end, or by a later task where this one is killed.

    The kernel holds a lock in it for as long as the process lives, however it ends.
    """
    sweep()
    with tempfile.TemporaryDirectory(prefix=PREFIX) as made, (Path(made) / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        folder = Path(made) / "work"
        folder.mkdir()
        yield folder


def sweep() -> list[Path]:
    """Remove the scratch folders of tasks of the same user that do not live any more; those that are gone."""
    found = Path(tempfile.gettempdir()).glob(f"{PREFIX}*")
    return [folder for folder in found if _swept(folder)]


def _swept(folder: Path) -> bool:
    """Whether a folder is gone now. Only what has our lock is a scratch folder, whatever its name."""
    with suppress(OSError):
        if folder.is_symlink() or folder.lstat().st_uid != os.getuid():
            return False
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_NOFOLLOW)
        try:
            if time.time() - os.fstat(descriptor).st_mtime < _YOUNG:
                return False
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
            return not folder.exists()
        finally:
            os.close(descriptor)
    return False


@contextmanager
def naming_a_full_disk(what: str, paths: Sequence[Path]) -> Iterator[None]:
    """DiskFullError in place of any error that a full disk led to; `paths` are where the block writes."""
    try:
        yield
    except DiskFullError:
        raise
    except Exception as error:
        if not is_full(error):
            raise
        raise disk_full(what, paths) from error


def is_full(error: BaseException) -> bool:
    """Whether an error, or one that led to it, says that a disk is full or a quota used up."""
    cause: BaseException | None = error
    while cause is not None:
        if (isinstance(cause, OSError) and cause.errno in _FULL) or _SAYS_FULL.search(str(cause)):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def disk_full(what: str, paths: Sequence[Path]) -> DiskFullError:
    """Return the error, with the paths that were written to and what is free there, the fullest disk first."""
    free = sorted((free_bytes(path), str(path)) for path in paths)
    places = ", ".join(f"{path} ({bytes_free / 1e6:,.1f} MB free now)" for bytes_free, path in free)
    return DiskFullError(f"{what}: disk full or quota exceeded: {places}; free some space")


def free_bytes(path: Path) -> int:
    """Return what is free on the disk of a path, which need not exist yet."""
    return shutil.disk_usage(nearest(path)).free


def nearest(path: Path) -> Path:
    """Return the path, or the nearest folder above it that exists."""
    return next(parent for parent in (path, *path.absolute().parents) if parent.exists())
