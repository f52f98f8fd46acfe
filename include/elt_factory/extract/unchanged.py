"""Whether the files of a source stayed as they were while a load read them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from elt_factory.core.failures import SourceNotReadyError
from elt_factory.extract.request import SourceFile


def check_unchanged(sources: Sequence[SourceFile]) -> None:
    """Refuse a file that was written, replaced or removed since it was seen."""
    for source in sources:
        try:
            same = state_of(source.path) == source.state
        except OSError:
            same = False
        if not same:
            raise SourceNotReadyError(
                f"{source.name} was changed or removed while it was read; the next retry reads it again. Write files "
                "under another name or in another folder, and move them here when they are complete"
            )


def state_of(file: Path) -> tuple[int, ...]:
    """Return what the operating system says of a file, which changes with every write."""
    found = file.stat()
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino
