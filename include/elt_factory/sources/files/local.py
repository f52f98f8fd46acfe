"""A folder of this machine: where it is, and which of its files a pattern means."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from elt_factory.core.connection import Connection
from elt_factory.core.failures import BadRequestError
from elt_factory.sources.files.store import Found, Store, outside, removed

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def source_folder(connection: Connection | None, folder: str | None, project: Path) -> Path:
    """Return the folder of a source: the connection's path (extra "path"), then `folder`, below the project.

    Raises:
        BadRequestError: `folder` points outside the connection's path or the project.
    """
    base = project / str(connection.extra.get("path") or "") if connection else project
    below = Path(folder or "")
    if below.is_absolute() or ".." in below.parts:
        raise BadRequestError(f'folder "{folder}" points outside {base}; hint: choose a folder below it')
    return base / below


class LocalStore(Store):
    """A folder of this machine. Files are read where they are."""

    at_once = 1

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._real = folder.resolve()

    def __str__(self) -> str:
        return str(self.folder)

    def there(self) -> bool:
        """Whether the folder is there."""
        return self.folder.is_dir()

    def look(self, name: str) -> Found | None:
        """Return the file of a name."""
        return self._found(name, name) if (self.folder / name).is_file() else None

    def matches(self, pattern: str) -> Iterator[Found]:
        """Yield the files that a pattern matches, by their real names."""
        return (self._found(name, pattern) for name in named(self.folder, pattern))

    def names(self, folder: str) -> list[str]:
        """Return what is in a folder."""
        place = self.folder / folder
        return [entry.name for entry in place.iterdir()] if place.is_dir() else []

    def fetch(self, found: Found, folder: Path, most: int | None = None) -> Path:  # noqa: ARG002
        """Return the file itself."""
        return self._real / found.name

    def now(self, found: Found) -> Found:
        """Return a file as it is now: it may have grown since it was found."""
        return self._found(found.name, found.name)

    def _found(self, name: str, pattern: str) -> Found:
        file = (self.folder / name).resolve()
        if not file.is_relative_to(self._real):
            raise outside(pattern, self)
        try:
            about = file.stat()
        except FileNotFoundError:
            raise removed(name) from None
        # in microseconds, as warehouses keep it
        modified = _EPOCH + timedelta(microseconds=about.st_mtime_ns // 1000)
        return Found(file.relative_to(self._real).as_posix(), about.st_size, modified)


def named(folder: Path, pattern: str) -> list[str]:
    """Return the names below the folder of the files that a pattern matches, wherever links lead."""
    # unlike Path.glob, it leaves hidden files alone
    below = glob.iglob(pattern, root_dir=folder, recursive=True)  # noqa: PTH207
    return [name for name in below if (folder / name).is_file()]
