"""Files of a store brought to this machine, unpacked: a few at a time, each as it was found."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from elt_factory.core.disk import free_bytes
from elt_factory.core.failures import DiskFullError
from elt_factory.extract.request import SourceFile
from elt_factory.extract.unchanged import state_of
from elt_factory.formats.kind import Delivered, FormatKind
from elt_factory.formats.packed import unpacked
from elt_factory.sources.files.source_files import Chosen
from elt_factory.sources.files.store import UNKNOWN_SIZE, Store, removed


@dataclass(frozen=True)
class Fetched:
    """A file as the ledger keeps it, and where its bytes are, unpacked."""

    source: SourceFile
    file: Delivered


def fetched(store: Store, chosen: Sequence[Chosen], kind: FormatKind, workdir: Path) -> list[Fetched]:
    """Return what was chosen, in its order, without what turns out to be known.

    Raises:
        SourceNotReadyError: a file was changed or removed since it was found.
        DiskFullError: they have more bytes than the disk has free.
    """
    if store.at_once > 1:
        _check_room(store, chosen, workdir)

    def fetch(numbered: tuple[int, Chosen]) -> Fetched | None:
        number, one = numbered
        folders = workdir / "fetched" / f"{number:06}", workdir / "unpacked" / f"{number:06}"
        try:
            return _fetched(store, one, kind, folders)
        except FileNotFoundError:
            raise removed(one.found.name) from None

    return [found for found in _each(store.at_once, fetch, list(enumerate(chosen))) if found]


def _each(
    at_once: int, work: Callable[[tuple[int, Chosen]], Fetched | None], items: Sequence[tuple[int, Chosen]]
) -> Iterable[Fetched | None]:
    if at_once == 1:
        return map(work, items)
    with ThreadPoolExecutor(at_once) as pool:
        running = [pool.submit(work, item) for item in items]
        try:
            return [future.result() for future in running]
        except BaseException:
            # those that have not begun need not
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _fetched(store: Store, one: Chosen, kind: FormatKind, folders: tuple[Path, Path]) -> Fetched | None:
    seen_at = datetime.now(UTC)
    path = store.fetch(one.found, folders[0])
    state = state_of(path)
    found = store.now(one.found)
    content = found.tag or _hash(path)
    is_copy = folders[0] in path.parents
    if one.unless == content:
        if is_copy:
            path.unlink()
        return None
    size = path.stat().st_size if found.size == UNKNOWN_SIZE else found.size
    file = unpacked(Delivered(found.name, path), kind, folders[1])
    if is_copy and file.path != path:
        path.unlink()
        path, state = file.path, state_of(file.path)
    source = SourceFile(found.name, path, size, found.modified or seen_at, content, seen_at, state)
    return Fetched(source, file)


def _hash(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _check_room(store: Store, chosen: Sequence[Chosen], workdir: Path) -> None:
    needed, free = sum(max(one.found.size, 0) for one in chosen), free_bytes(workdir)
    if needed > free:
        raise DiskFullError(
            f"{len(chosen)} files of {store} have {needed / 1e6:,.1f} MB, but {workdir} has {free / 1e6:,.1f} MB free; "
            "free some space, or choose fewer files with path"
        )
