"""Which of a store's files a load takes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from elt_factory.core.failures import SourceNotReadyError
from elt_factory.core.window import Window
from elt_factory.extract.request import KnownFile, Ledger
from elt_factory.sources.files.archives import split
from elt_factory.sources.files.matching import matching_files
from elt_factory.sources.files.periods import PeriodsLoaded, every_period, has_periods
from elt_factory.sources.files.store import UNKNOWN_SIZE, Found, Store

OF_MEMBER = "/"  # between what an archive is, the pattern of its members, and what a member is


@dataclass(frozen=True)
class Chosen:
    """A file that a load takes. With `unless` only if its content is another than that: the store does not say so.

    Of an archive `members` is the pattern of what is taken of it, and `known` the content of those that are loaded.
    """

    found: Found
    unless: str = ""
    members: str = ""
    known: Mapping[str, str] = field(default_factory=dict)


class Chooser:
    """The files of one pattern for one load.

    Args:
        store: The folder of the source.
        pattern: The name pattern, with globs and periods.
        zone: The zone whose clock the periods are on.
        ledger: What was loaded before; None where a load takes everything that is meant.
    """

    def __init__(self, store: Store, pattern: str, zone: str, ledger: Ledger | None) -> None:
        self._store = store
        self._pattern, self._members = split(pattern)
        self._zone = zone
        self._ledger = ledger

    def choose(self, window: Window, load_id: str) -> list[Chosen]:
        """Return the files that a load takes, by their names.

        Of a pattern with periods: those of the window, and of the windows loaded before those that are new or changed.
        Of any other: those that are new or changed, and those that the same load had taken before.

        Raises:
            SourceNotReadyError: no folder, a period of the window without a file, no file.
            BadRequestError: as `matching_files`.
        """
        if has_periods(self._pattern):
            own = matching_files(self._store, self._pattern, window, self._zone)
            return _in_order([*map(self._whole, own), *self._late({file.name for file in own})])
        if self._ledger is None or not self._ledger.files:
            return [*map(self._whole, matching_files(self._store, self._pattern, window, self._zone))]
        try:
            found = matching_files(self._store, self._pattern, window, self._zone)
        except SourceNotReadyError:
            # what was loaded may be moved away; but the folder has to be there
            if not self._store.there():
                raise
            return []
        return _in_order(one for file in found for one in self._open(file, load_id))

    def _whole(self, file: Found) -> Chosen:
        return Chosen(file, members=self._members)

    def _late(self, own: set[str]) -> Iterator[Chosen]:
        """Files of windows that were loaded before: new ones and changed ones."""
        if self._ledger is None or not self._ledger.windows or not self._store.lists:
            return
        loaded = PeriodsLoaded(self._pattern, self._zone, self._ledger.windows)
        for file in self._store.find(every_period(self._pattern)):
            if file.name not in own and loaded.have(file.name):
                yield from self._open(file, "")

    def _open(self, file: Found, load_id: str) -> Iterator[Chosen]:
        """Yield a file that is still to be loaded, or was loaded by this very load."""
        if self._members:
            yield from self._open_archive(file, load_id)
            return
        known = self._ledger.files.get(file.name) if self._ledger else None
        if known is None or known.load_id == load_id:
            yield Chosen(file)
        elif not is_as_loaded(file, known):
            # of a size that is not said, only its content tells
            yield Chosen(file, "" if file.tag or file.size not in (known.size, UNKNOWN_SIZE) else known.hash)

    def _open_archive(self, file: Found, load_id: str) -> Iterator[Chosen]:
        """Yield an archive that has members still to be loaded, as far as the store says it."""
        files = self._ledger.files if self._ledger else {}
        loaded = {name: known for name, known in files.items() if name.startswith(f"{file.name}/")}
        # of a member the ledger has what its archive is, the pattern that took it, and its own content
        states = [known.hash.rpartition(OF_MEMBER)[0].rpartition(OF_MEMBER) for known in loaded.values()]
        as_archive = [replace(known, hash=state[0]) for known, state in zip(loaded.values(), states, strict=True)]
        # another pattern may mean members that were not loaded
        asked = any(pattern == pattern_hash(self._members) for _, _, pattern in states)
        if asked and all(is_as_loaded(file, known) and known.load_id != load_id for known in as_archive):
            return
        kept = {name: known.hash.rpartition(OF_MEMBER)[2] for name, known in loaded.items() if known.load_id != load_id}
        yield Chosen(file, members=self._members, known=kept)


def pattern_hash(members: str) -> str:
    """Return what the ledger keeps of a pattern of members."""
    return hashlib.sha256(members.encode()).hexdigest()[:16]


def _in_order(chosen: Iterable[Chosen]) -> list[Chosen]:
    return sorted(chosen, key=lambda one: one.found.name)


def is_as_loaded(file: Found, known: KnownFile) -> bool:
    """Whether a store says that a file is as it was loaded."""
    if file.tag:
        return file.tag == known.hash
    return file.size == known.size and file.modified is not None and file.modified == known.modified_at
