"""Which of a folder's files a load takes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from elt_factory.core.failures import SourceNotReadyError
from elt_factory.core.window import Window
from elt_factory.extract.request import KnownFile, Ledger, SourceFile
from elt_factory.extract.unchanged import state_of
from elt_factory.sources.files.folder import matches, matching_files
from elt_factory.sources.files.periods import every_period, has_periods, period_of

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Chooser:
    """The files of one pattern for one load.

    Args:
        folder: The folder of the source.
        pattern: The name pattern, with globs and periods.
        zone: The zone whose clock the periods are on.
        ledger: What was loaded before; None where a load takes everything that is meant.
    """

    def __init__(self, folder: Path, pattern: str, zone: str, ledger: Ledger | None) -> None:
        self._folder = folder
        self._pattern = pattern
        self._zone = zone
        self._ledger = ledger

    def choose(self, window: Window, load_id: str) -> list[SourceFile]:
        """Return the files that a load takes, by their paths.

        Of a pattern with periods: those of the window, and of the windows loaded before those that are new or changed.
        Of any other: those that are new or changed, and those that the same load had taken before.

        Raises:
            SourceNotReadyError: no folder, a period of the window without a file, no file, a file that goes away.
            BadRequestError: as `matching_files`.
        """
        if has_periods(self._pattern):
            own = matching_files(self._folder, self._pattern, window, self._zone)
            return self._seen([*own, *self._late(set(own))])
        if self._ledger is None or not self._ledger.files:
            return self._seen(matching_files(self._folder, self._pattern, window, self._zone))
        try:
            found = matching_files(self._folder, self._pattern, window, self._zone)
        except SourceNotReadyError:
            # what was loaded may be moved away; but the folder has to be there
            if not self._folder.is_dir():
                raise
            return []
        return self._seen(file for file in found if self._is_open(file, load_id))

    def name(self, file: Path) -> str:
        """Return the name of a file below the folder."""
        return file.relative_to(self._folder.resolve()).as_posix()

    def _late(self, own: set[Path]) -> Iterator[Path]:
        """Files of windows that were loaded before: new ones and changed ones."""
        if self._ledger is None or not self._ledger.windows:
            return
        for file in sorted(set(matches(self._folder, every_period(self._pattern))) - own):
            period = period_of(self.name(file), self._pattern, self._zone)
            if period and any(_touch(period, window) for window in self._ledger.windows) and self._is_open(file, ""):
                yield file

    def _is_open(self, file: Path, load_id: str) -> bool:
        """Whether a file is still to be loaded, or was loaded by this very load."""
        known = self._ledger.files.get(self.name(file)) if self._ledger else None
        return known is None or known.load_id == load_id or _changed(file, known)

    def _seen(self, files: Iterable[Path]) -> list[SourceFile]:
        return [_seen(file, self.name(file)) for file in sorted(files)]


def _seen(file: Path, name: str) -> SourceFile:
    try:
        now, state, (size, modified_at), content = datetime.now(UTC), state_of(file), _size_and_time(file), _hash(file)
    except FileNotFoundError:
        raise SourceNotReadyError(
            f"{name} was removed while it was read; the next retry reads the remaining files"
        ) from None
    return SourceFile(name, file, size, modified_at, content, now, state)


def _changed(file: Path, known: KnownFile) -> bool:
    """Whether a file's content is another than the one that was loaded; it is read only where its time is another."""
    if not file.exists():
        return True
    size, modified_at = _size_and_time(file)
    if size != known.size:
        return True
    return modified_at != known.modified_at and _hash(file) != known.hash


def _touch(one: Window, other: Window) -> bool:
    return one.start < other.end and other.start < one.end


def _size_and_time(file: Path) -> tuple[int, datetime]:
    found = file.stat()
    # in microseconds, as warehouses keep it
    return found.st_size, _EPOCH + timedelta(microseconds=found.st_mtime_ns // 1000)


def _hash(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
