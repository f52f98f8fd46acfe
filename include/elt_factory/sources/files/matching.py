"""Which files of a store a pattern with periods means for a window."""

from __future__ import annotations

from pathlib import PurePosixPath

from elt_factory.core.failures import BadRequestError, SourceNotReadyError
from elt_factory.core.window import Window
from elt_factory.sources.files.local import LocalStore
from elt_factory.sources.files.periods import expand_pattern
from elt_factory.sources.files.store import Found, Store, there


def matching_files(store: Store, pattern: str, window: Window, zone: str) -> list[Found]:
    """Return the files that a pattern means for a window, sorted, each once.

    The errors name folder and pattern; who asks adds for whom.

    Raises:
        SourceNotReadyError: no folder, or a period of the window without a file.
        BadRequestError: a pattern or a link that points outside the folder, an unknown %-directive.
    """
    expanded = expanded_pattern(store, pattern, window, zone)
    found = {file.name: file for one in expanded for file in store.needed(one)}
    return [found[name] for name in sorted(found)]


def expanded_pattern(store: Store, pattern: str, window: Window, zone: str) -> tuple[str, ...]:
    """Return the pattern once for every period of the window; the errors are those of `matching_files`."""
    try:
        expanded = expand_pattern(pattern, window, zone)
    except ValueError as error:
        raise BadRequestError(str(error)) from None
    if PurePosixPath(pattern).is_absolute() or ".." in PurePosixPath(pattern).parts:
        raise BadRequestError(f'path "{pattern}" points outside the folder; hint: write a pattern below {store}')
    if isinstance(store, LocalStore) and not store.there():
        parent = store.folder.parent
        names = [entry.name for entry in parent.iterdir()] if parent.is_dir() else []
        raise SourceNotReadyError(f"folder {store} does not exist; {there(names, store.folder.name)}")
    return expanded
