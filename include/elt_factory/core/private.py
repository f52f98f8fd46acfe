"""What is written on disk is its writer's alone: files 0600, folders 0700.

`ELT_UMASK=007` in the environment shares it with the group, for workers of several users with one landing.
"""

from __future__ import annotations

import os
import stat
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from elt_factory.core.failures import EltError, PermanentError

UMASK_VARIABLE = "ELT_UMASK"
_DEFAULT = 0o077
# of a umask: what the user must keep, and what others must not get
_DECIDED, _RIGHT = 0o707, 0o007


class UnsafeFolderError(PermanentError):
    """A folder that only this user may write to can be written to by others."""


def chosen_umask() -> int:
    """Return the umask of everything that is written.

    Raises:
        EltError: the environment has one that leaves the writer or no one without access, or is not octal.
    """
    text = os.environ.get(UMASK_VARIABLE, "")
    if not text:
        return _DEFAULT
    try:
        umask = int(text, 8)
    except ValueError:
        umask = -1
    # others get nothing in any case: the data may be personal
    if umask & _DECIDED != _RIGHT:
        raise EltError(f'invalid {UMASK_VARIABLE} "{text}"; hint: use 077 for the user only, 007 to include the group')
    return umask


@contextmanager
def private_files() -> Iterator[None]:
    """Files and folders that are made within have the modes of `chosen_umask`.

    A process has one umask: of several threads the first sets it and the last sets it back.
    """
    _umask.enter(chosen_umask())
    try:
        yield
    finally:
        _umask.leave()


class _Umask:
    """The umask of the process, while some of its threads need another one."""

    def __init__(self) -> None:
        self._lock, self._within, self._before = threading.Lock(), 0, 0

    def enter(self, wanted: int) -> None:
        with self._lock:
            previous = os.umask(wanted)
            self._before = self._before if self._within else previous
            self._within += 1

    def leave(self) -> None:
        with self._lock:
            self._within -= 1
            if not self._within:
                os.umask(self._before)


_umask = _Umask()


def own_folder(name: str) -> Path:
    """Return a folder of this user's in the machine's temporary folder, which no one else can write to or prepare.

    Raises:
        UnsafeFolderError: someone else has made it, or may write to it.
    """
    folder = own_root()
    folder.mkdir(mode=0o700, exist_ok=True)
    require_own(folder)
    below = folder / name
    below.mkdir(mode=0o700, exist_ok=True)
    return below


def own_root() -> Path:
    """Return the folder that `own_folder` makes folders in; it need not exist."""
    return Path(tempfile.gettempdir()) / f"elt-{os.geteuid()}"


def use_private_files() -> None:
    """From now on this process makes files and folders with the modes of `chosen_umask`."""
    os.umask(chosen_umask())


def require_own_way(folder: Path) -> None:
    """Refuse a folder whose files others could exchange, there or from a folder above it.

    Raises:
        UnsafeFolderError: as `require_own`, or for a folder above it.
    """
    require_own(folder)
    way = [Path(os.path.realpath(folder)), *Path(os.path.realpath(folder)).parents]
    for place, above in pairwise(way):
        about, shared = place.lstat(), _is_shared(above.lstat())
        if about.st_mode & stat.S_IWOTH and not about.st_mode & stat.S_ISVTX:
            raise UnsafeFolderError(f"{place} is writable by every user; hint: chmod o-w {place}")
        if shared and about.st_uid not in (os.geteuid(), 0):
            raise UnsafeFolderError(f"{place} belongs to another user; hint: remove it, or choose another location")


def _is_shared(about: os.stat_result) -> bool:
    """Whether this is a folder like /tmp, where everyone may make files of their own."""
    return bool(about.st_mode & stat.S_IWOTH and about.st_mode & stat.S_ISVTX)


def require_own(folder: Path) -> None:
    """Refuse a folder that others could have put files into.

    Raises:
        UnsafeFolderError: it is a link, another user's, or writable for others.
    """
    about = folder.lstat()
    others = about.st_uid not in (os.geteuid(), 0) and chosen_umask() == _DEFAULT
    if not stat.S_ISDIR(about.st_mode) or others:
        raise UnsafeFolderError(
            f"{folder} is not a folder owned by this user; hint: remove it, or choose another location"
        )
    if about.st_mode & stat.S_IWOTH:
        raise UnsafeFolderError(f"{folder} is writable by every user; hint: chmod o-w {folder}")
