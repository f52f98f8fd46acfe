"""Files of a store brought to this machine, unpacked: a few at a time, each as it was found."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from elt_factory.core.clock import Clock
from elt_factory.core.disk import free_bytes
from elt_factory.core.failures import DiskFullError, SourceNotReadyError
from elt_factory.extract.request import SourceFile
from elt_factory.extract.unchanged import state_of
from elt_factory.formats.kind import Delivered, FormatKind
from elt_factory.formats.packed import LIMIT, unpacked
from elt_factory.sources.files.archives import members_of
from elt_factory.sources.files.source_files import OF_MEMBER, Chosen, pattern_hash
from elt_factory.sources.files.store import UNKNOWN_SIZE, Found, Store, removed, removed_since_split

_LARGE = 4 * 1024 * 1024  # bytes; a smaller file is hashed faster than a thread is begun


@dataclass(frozen=True)
class Fetched:
    """A file as the ledger keeps it, and where its bytes are, unpacked; the hash of a large one may be on its way."""

    found: SourceFile
    file: Delivered


def fetched(
    store: Store,
    chosen: Sequence[Chosen],
    kind: FormatKind,
    workdir: Path,
    clock: Clock,
    limit: int = LIMIT,
    *,
    found_by_split: bool = False,
) -> list[Fetched]:
    """Return what was chosen, in its order, without what turns out to be known.

    Args:
        store: Where they are.
        chosen: The files.
        kind: Their format.
        workdir: An empty folder for copies.
        clock: The one that says what was seen later.
        limit: How many bytes one may have, unpacked.
        found_by_split: Whether another task has found them, some time ago: one that was written since is read as it is.

    Raises:
        SourceNotReadyError: a file was changed or removed since it was found.
        DiskFullError: they have more bytes than the disk has free.
        BadDataError: what is packed is damaged, or too large.
    """
    if store.at_once > 1:
        _check_room(store, chosen, workdir)

    hashes = ThreadPoolExecutor(1, thread_name_prefix="hash")

    def fetch(numbered: tuple[int, Chosen]) -> list[Fetched]:
        number, one = numbered
        folders = workdir / "fetched" / f"{number:06}", workdir / "unpacked" / f"{number:06}"
        way = _Fetch(store, kind, limit, *folders, clock, hashes, found_by_split)
        try:
            return list(way.of(one))
        except FileNotFoundError:
            raise way.gone(one.found.name) from None

    try:
        return [found for each in _each(store.at_once, fetch, list(enumerate(chosen))) for found in each]
    except BaseException:
        hashes.shutdown(wait=False, cancel_futures=True)
        raise
    finally:
        # what it has begun it ends, while the files are read and landed
        hashes.shutdown(wait=False)


def _each(
    at_once: int, work: Callable[[tuple[int, Chosen]], list[Fetched]], items: Sequence[tuple[int, Chosen]]
) -> Iterable[list[Fetched]]:
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


@dataclass(frozen=True)
class _Fetch:
    """One file on its way: `copies` is for what comes from a store, `folder` for what is unpacked."""

    store: Store
    kind: FormatKind
    limit: int
    copies: Path
    folder: Path
    clock: Clock
    hashes: Executor
    found_by_split: bool = False

    def gone(self, name: str) -> SourceNotReadyError:
        """Return the error for a file that was there when it was found."""
        return (removed_since_split if self.found_by_split else removed)(name)

    def _hash_of(self, name: str, path: Path) -> str:
        try:
            return content_hash(path)
        except FileNotFoundError:
            raise self.gone(name) from None

    def of(self, one: Chosen) -> Iterator[Fetched]:
        """Yield the file, or the members of an archive."""
        seen_at = self.clock.now()
        found, path = self._copied(one.found)
        state = state_of(path)
        found = self.store.now(found)
        size = path.stat().st_size if found.size == UNKNOWN_SIZE else found.size
        source = SourceFile(found.name, path, size, found.modified or seen_at, found.tag, seen_at, state)
        if one.members:
            yield from self._members(one, source)
            self._let_go(path)
            return
        if not found.tag and not one.unless and size >= _LARGE and not self._is_copy(path):
            # no one asks what is in it before it is landed
            source = replace(source, hashed=self.hashes.submit(self._hash_of, found.name, path))
            yield self._as_delivered(source, Delivered(found.name, path), self.folder)
            return
        source = replace(source, hashed=found.tag or content_hash(path))
        if one.unless == source.hash:
            self._let_go(path)
            return
        yield self._as_delivered(source, Delivered(found.name, path), self.folder)

    def _copied(self, found: Found) -> tuple[Found, Path]:
        """Return a file with its copy: as it was found, or as the store has it since."""
        try:
            return found, self.store.fetch(found, self.copies)
        except SourceNotReadyError:
            if not self.found_by_split:
                raise
        now = self.store.look(found.name)
        if now is None:
            raise removed_since_split(found.name)
        return now, self.store.fetch(now, self.copies / "again")

    def _members(self, one: Chosen, archive: SourceFile) -> Iterator[Fetched]:
        below, taken = self.folder / "members", f"{archive.hash}{OF_MEMBER}{pattern_hash(one.members)}"
        for name, path in members_of(archive.path, archive.name, one.members, below, self.limit):
            member = f"{archive.name}{OF_MEMBER}{name}"
            content = content_hash(path)
            if one.known.get(member) == content:
                path.unlink()
                continue
            source = replace(archive, name=member, hashed=f"{taken}{OF_MEMBER}{content}")
            yield self._as_delivered(source, Delivered(member, path), path.parent / "unpacked")

    def _as_delivered(self, source: SourceFile, file: Delivered, folder: Path) -> Fetched:
        unpacked_file = unpacked(file, self.kind, folder, limit=self.limit)
        if unpacked_file.path != file.path:
            self._let_go(file.path)
        if self._is_copy(source.path):
            source = replace(source, path=unpacked_file.path, state=state_of(unpacked_file.path))
        return Fetched(source, unpacked_file)

    def _is_copy(self, path: Path) -> bool:
        return self.copies in path.parents or self.folder in path.parents

    def _let_go(self, path: Path) -> None:
        """Remove a copy that is not needed any more."""
        if self._is_copy(path):
            path.unlink()


def content_hash(file: Path) -> str:
    """Return what the ledger keeps of a file's bytes, where the store has no name for them."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _check_room(store: Store, chosen: Sequence[Chosen], workdir: Path) -> None:
    needed, free = sum(max(one.found.size, 0) for one in chosen), free_bytes(workdir)
    if needed > free:
        raise DiskFullError(
            f"{len(chosen)} files of {store} have {needed / 1e6:,.1f} MB, but {workdir} has {free / 1e6:,.1f} MB free; "
            "free some space, or choose fewer files with path"
        )
