"""A few files of a store, on this machine, for `elt new` to look at."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from elt_factory.core.failures import SourceNotReadyError
from elt_factory.core.stores import address_of
from elt_factory.discover.periods import grouped
from elt_factory.formats.kind import FormatKind
from elt_factory.formats.packed import ENDINGS
from elt_factory.sources.files.store import Found, Store

_NEWEST = 5  # files of a pattern
_BYTES = 64 * 1024 * 1024
_HEAD_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class Place:
    """A URL taken apart: the folder, and which files in it."""

    folder: str
    pattern: str


def place_of(url: str) -> Place:
    """Return what a URL means: `s3://bucket/orders/*.csv` is files of a folder, `s3://bucket/orders` all of them."""
    address = address_of(url)
    parts = [part for part in address.path.split("/") if part]
    is_file = bool(parts) and not url.endswith("/") and "." in parts[-1]
    # on a web server a ? begins a query
    magic = (lambda _: False) if address.scheme.startswith("http") else glob.has_magic
    fixed = next((index for index, part in enumerate(parts) if magic(part)), len(parts) - is_file)
    return Place(f"{address.scheme}://{'/'.join([address.host, *parts[:fixed]])}", "/".join(parts[fixed:]) or "*")


def bring_sample(store: Store, pattern: str, folder: Path, kind_of: Callable[[str], FormatKind | None]) -> None:
    """Copy the newest files of every pattern of names into a folder, under their names, a little of large ones.

    Raises:
        SourceNotReadyError: there are no files.
    """
    found = {file.name: file for file in store.find(pattern)}
    if not found:
        store.needed(pattern)
    known = [name for name in found if kind_of(name)]
    if not known:
        raise SourceNotReadyError(f"no file in {store} has an ending of a known format, such as {min(found)}")
    for number, names in enumerate(grouped(known).values()):
        for one, file in enumerate(_newest([found[name] for name in names])):
            kind = kind_of(file.name)
            most = _HEAD_BYTES if kind and kind.by_line and not _is_packed(file.name) and file.size > _BYTES else None
            copy = store.fetch(file, folder.parent / "copies" / f"{number}-{one}", most)
            target = folder / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            copy.replace(target)
            if most:
                _cut(target)


def _newest(files: Sequence[Found]) -> Iterator[Found]:
    size = 0
    for file in files[: -_NEWEST - 1 : -1]:
        size += file.size
        if size > _BYTES and file is not files[-1]:
            return
        yield file


def _is_packed(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in ENDINGS


def _cut(file: Path) -> None:
    """Leave only whole lines."""
    with file.open("r+b") as content:
        content.truncate(content.read().rfind(b"\n") + 1)
