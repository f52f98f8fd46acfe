"""Where a landing lives: a folder of this machine here, a URL of object storage in `remote`."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from elt_factory.core.failures import LandingError

CLOCK_FILE = "clock"
_TRIES = 10  # to make a folder
_UNFINISHED = re.compile(r"\..+\.[0-9a-f]{32}")  # a file that is to take the place of another
_LEFT_AFTER = 3600.0  # seconds: a process is between writing a file and renaming it for a moment
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_NO_LINKS = (errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EMLINK)
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP)  # Lustre and NFS can be mounted without


@dataclass(frozen=True)
class Entry:
    """A file as it is in its place: its size, when it was put there and its ETag, where the place says."""

    bytes: int
    modified: datetime | None
    etag: str = ""


class Place(ABC):
    """A folder for files that never change, each there whole or not at all; names are below it, with `/`.

    `is_local` says that it is a LocalPlace, whose `folder` any program of this machine can read. Any other is a
    RemotePlace with a `url`, which is its `path` below the `root` that all landings are in.
    """

    is_local: bool

    @abstractmethod
    def below(self, *names: str) -> Place:
        """Return a place below this one."""

    @abstractmethod
    def writing(self, name: str, workdir: Path) -> AbstractContextManager[Path]:
        """Return a new folder of this machine to write files into.

        When the block ends well, all of them are below `name`; when it fails, none need be.
        """

    @abstractmethod
    def fetched(self, names: Iterable[str]) -> AbstractContextManager[Path]:
        """Return a folder of this machine that has these files under their names, as long as the block lasts."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """Return the content of a file.

        Raises:
            FileNotFoundError: it is not there.
        """

    @abstractmethod
    def write(self, name: str, content: bytes) -> None:
        """Put a small file there, whole or not at all, in place of one that is there already."""

    @abstractmethod
    def change(self, name: str, change: Callable[[bytes], bytes]) -> None:
        """Put in place of a small file what `change` makes of its content, which is empty where there is none.

        It is there whole or not at all. No other change comes between; where one was faster, `change` is asked again.
        """

    @abstractmethod
    def exchange(self, name: str, change: Callable[[bytes], bytes]) -> None:
        """Change a small file as `change` does, and as `write` puts one there: whole or not at all, for all to see.

        In a place that knows no conditions the last one counts.
        """

    @abstractmethod
    def changed(self, name: str) -> datetime:
        """Return when a file was last changed, by the clock of the place."""

    def now(self) -> datetime:
        """Return the moment by the clock of the place, which all share who reach it; some say whole seconds.

        It is that of a small file, which is written.
        """
        self.write(CLOCK_FILE, b"")
        return self.changed(CLOCK_FILE)

    @abstractmethod
    def files(self) -> Mapping[str, Entry]:
        """All files here and below."""

    @abstractmethod
    def remove(self, names: Sequence[str]) -> None:
        """Remove these files, the first one first, and the folders that are then empty.

        Raises:
            LandingError: a name points outside this place; nothing is removed.
        """

    def sweep(self) -> list[str]:
        """Remove small files, here and below, whose writers were killed before these had their names; return them.

        There are none where a file is put by one request.
        """
        return []


@dataclass(frozen=True)
class LocalPlace(Place):
    """A folder of this machine, or one that all workers share."""

    folder: Path
    is_local = True

    def __str__(self) -> str:
        return str(self.folder)

    def below(self, *names: str) -> LocalPlace:  # noqa: D102
        return LocalPlace(self.folder.joinpath(*names))

    @contextmanager
    def writing(self, name: str, workdir: Path) -> Iterator[Path]:  # noqa: ARG002
        """Provide the folder itself: what has no manifest does not count, so it may grow where it stays."""
        folder = _made(self.folder / name)
        try:
            yield folder
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            with suppress(OSError):
                # where it has other attempts it stays
                self.folder.rmdir()
            raise

    @contextmanager
    def fetched(self, names: Iterable[str]) -> Iterator[Path]:  # noqa: ARG002
        """Provide the folder itself."""
        yield self.folder

    def read(self, name: str) -> bytes:  # noqa: D102
        return (self.folder / name).read_bytes()

    def write(self, name: str, content: bytes) -> None:
        """Put a small file there by rename, which also outlives a power cut."""
        while not _moved(self._written(name, content), self.folder / name):
            pass

    def _written(self, name: str, content: bytes, *, lasting: bool = True) -> Path:
        """Return a file with a name that no other has, on whatever machine: it takes the place of its target whole.

        One that was written by a process that was killed then is removed when another is written in the folder an hour
        later; should its process have been stopped only, that writes it again.
        """
        temporary, now = self._begun(name, content, lasting=lasting)
        _LEFTOVERS.sweep(self.folder, now)
        return temporary

    def _begun(self, name: str, content: bytes, *, lasting: bool) -> tuple[Path, float]:
        """Write a file under a name that no other has; with the moment, by the folder's clock."""
        temporary = _made(self.folder) / f".{name}.{uuid.uuid4().hex}"
        # the moments of a pace are in a folder that every user of the machine may list
        mode = 0o666 if lasting else 0o600
        try:
            with os.fdopen(os.open(temporary, _NEW, mode), "wb") as file:
                file.write(content)
                file.flush()
                if lasting:
                    os.fsync(file.fileno())
                return temporary, os.fstat(file.fileno()).st_mtime
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def change(self, name: str, change: Callable[[bytes], bytes]) -> None:
        """Change a small file as `exchange` does, many times a second: after a power cut it may be the one before."""
        while not self._exchanged(self.folder / name, change, lasting=False):
            pass

    def exchange(self, name: str, change: Callable[[bytes], bytes]) -> None:
        """Put the new file there by link where there is none, else by rename under a lock of the one it follows."""
        while not self._exchanged(self.folder / name, change):
            pass

    def _exchanged(self, target: Path, change: Callable[[bytes], bytes], *, lasting: bool = True) -> bool:
        """Whether it was done; else another one was faster."""
        try:
            found = os.open(target, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return _linked(self._written(target.name, change(b""), lasting=lasting), target)
        with os.fdopen(found, "rb") as file:
            _lock(found)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(found), target.stat(follow_symlinks=False)):
                    return _moved(self._written(target.name, change(file.read()), lasting=lasting), target)
        return False

    def changed(self, name: str) -> datetime:  # noqa: D102
        return datetime.fromtimestamp((self.folder / name).stat(follow_symlinks=False).st_mtime, UTC)

    def files(self) -> dict[str, Entry]:  # noqa: D102
        found = {}
        for parent, _, names in os.walk(self.folder):
            for path in (Path(parent, name) for name in names):
                # others may remove files meanwhile
                with suppress(FileNotFoundError):
                    about = path.stat(follow_symlinks=False)
                    moment = datetime.fromtimestamp(about.st_mtime, UTC)
                    found[path.relative_to(self.folder).as_posix()] = Entry(about.st_size, moment)
        return found

    def remove(self, names: Sequence[str]) -> None:  # noqa: D102
        check_inside(self, names)
        here = self.folder.resolve()
        for path in (self.folder / name for name in names):
            # a folder that is a link may be anywhere
            if not path.parent.resolve().is_relative_to(here):
                raise LandingError(f"{path} points outside the landing {self}")
            path.unlink(missing_ok=True)
            for folder in path.relative_to(self.folder).parents:
                with suppress(OSError):
                    (self.folder / folder).rmdir()

    def sweep(self) -> list[str]:
        """Remove what has waited for its name for an hour, by the clock of this folder; not another user's."""
        if not self.folder.is_dir():
            return []
        try:
            newest, now = self._begun(CLOCK_FILE, b"", lasting=False)
        except PermissionError:
            return []
        newest.unlink()
        removed = [path for folder, _, _ in os.walk(self.folder) for path in _remove_left(Path(folder), now)]
        return sorted(path.relative_to(self.folder).as_posix() for path in removed)


def _remove_left(folder: Path, now: float) -> list[Path]:
    """Remove what has waited in a folder for its name for an hour, at a moment of the folder's clock; return it."""
    removed = list[Path]()
    # another one may be faster, and another user's files may be there, too
    with suppress(OSError), os.scandir(folder) as found:
        for entry in found:
            if _UNFINISHED.fullmatch(entry.name):
                with suppress(OSError):
                    if entry.stat(follow_symlinks=False).st_mtime < now - _LEFT_AFTER:
                        Path(entry.path).unlink()
                        removed.append(Path(entry.path))
    return removed


def _lock(found: int) -> None:
    """Lock an open file; where the file system knows no locks, the last one to exchange it counts."""
    try:
        fcntl.flock(found, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise


def _linked(temporary: Path, target: Path) -> bool:
    """Whether a file took a name that no other had; where the file system knows no links, the last one counts."""
    try:
        os.link(temporary, target)
    except (FileExistsError, FileNotFoundError):
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return _moved(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    return True


def _moved(temporary: Path, target: Path) -> bool:
    """Whether a file took the place of another; it is gone where it was taken for what a killed process left."""
    try:
        temporary.replace(target)
    except FileNotFoundError:
        return False
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return True


class _Leftovers:
    """What killed processes have left in folders, for which this process looks into each of its own once an hour.

    Not each time it writes there: a limit of requests changes a file many times a second.
    """

    def __init__(self) -> None:
        self._looked: dict[Path, float] = {}

    def sweep(self, folder: Path, now: float) -> None:
        """Remove it from a folder, where it is old at a moment of the folder's clock."""
        if time.monotonic() - self._looked.get(folder, -_LEFT_AFTER) < _LEFT_AFTER:
            return
        self._looked[folder] = time.monotonic()
        _remove_left(folder, now)


_LEFTOVERS = _Leftovers()


def _made(folder: Path) -> Path:
    """Return a folder that is there.

    Also where a load that removes what is old takes an empty parent away meanwhile.
    """
    for _ in range(_TRIES - 1):
        with suppress(FileNotFoundError):
            folder.mkdir(parents=True, exist_ok=True)
            return folder
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def check_inside(place: Place, names: Iterable[str]) -> None:
    """Refuse a name that points outside a place."""
    for name in names:
        if ".." in PurePosixPath(name).parts or PurePosixPath(name).is_absolute():
            raise LandingError(f"{name} points outside the landing {place}")
