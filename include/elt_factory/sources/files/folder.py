"""A folder with files: where it is, and which of its files a pattern means."""

from __future__ import annotations

import glob
import textwrap
from collections.abc import Iterator
from pathlib import Path

from elt_factory.config.errors import near_name
from elt_factory.core.connection import Connection
from elt_factory.core.failures import BadRequestError, SourceNotReadyError
from elt_factory.core.window import Window
from elt_factory.sources.files.periods import expand_pattern

_HINT_LENGTH = 300


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


def matching_files(folder: Path, pattern: str, window: Window, zone: str) -> tuple[Path, ...]:
    """Return the real paths of the files that a pattern means for a window, sorted, each once.

    The errors name folder and pattern; who asks adds for whom.

    Raises:
        SourceNotReadyError: no folder, or a period of the window without a file.
        BadRequestError: a pattern or a link that points outside the folder, an unknown %-directive.
    """
    expanded = expanded_pattern(folder, pattern, window, zone)
    return tuple(sorted({file for one in expanded for file in _needed(folder, one)}))


def expanded_pattern(folder: Path, pattern: str, window: Window, zone: str) -> tuple[str, ...]:
    """Return the pattern once for every period of the window; the errors are those of `matching_files`."""
    try:
        expanded = expand_pattern(pattern, window, zone)
    except ValueError as error:
        raise BadRequestError(str(error)) from None
    if Path(pattern).is_absolute() or ".." in Path(pattern).parts:
        raise BadRequestError(f'path "{pattern}" points outside the folder; hint: write a pattern below {folder}')
    if not folder.is_dir():
        raise SourceNotReadyError(f"folder {folder} does not exist; {_there(folder.parent, folder.name)}")
    return expanded


def matches(folder: Path, pattern: str) -> list[Path]:
    """Return the real paths of the files that a glob pattern matches, or the one file that is called like it.

    A name that begins with a dot is only matched by a pattern that does so, too.

    Raises:
        BadRequestError: a link that points outside the folder, or a pattern that is a file's name and matches others.
    """
    found = [(folder / name).resolve() for name in named(folder, pattern)]
    for file in found:
        if not file.is_relative_to(folder.resolve()):
            raise BadRequestError(f'a link that matches "{pattern}" points outside the folder {folder}')
    return found


def named(folder: Path, pattern: str) -> list[str]:
    """Return the names below the folder of the files that a pattern matches, as `matches` does, wherever links lead."""
    # unlike Path.glob, it leaves hidden files alone
    below = glob.iglob(pattern, root_dir=folder, recursive=True)  # noqa: PTH207
    names = [name for name in below if (folder / name).is_file()]
    if glob.has_magic(pattern) and (folder / pattern).is_file():
        return _literal(folder, pattern, names)
    return names


def _literal(folder: Path, pattern: str, names: list[str]) -> list[str]:
    """Return the name alone of a file that is called as the pattern is written."""
    others = sorted(set(names) - {pattern})
    if others and pattern not in names:
        raise BadRequestError(
            f'path "{pattern}" is the name of a file in {folder}, but as a pattern it matches {others[0]}; '
            f'hint: write "{glob.escape(pattern)}" for the file of that name'
        )
    # a name such as *.csv is matched by itself, and so are the others
    return names or [pattern]


def _needed(folder: Path, pattern: str) -> Iterator[Path]:
    found = matches(folder, pattern)
    if not found:
        place = (folder / pattern).parent
        raise SourceNotReadyError(f'no file matches "{pattern}" in {folder}; {_there(place, Path(pattern).name)}')
    return iter(found)


def _there(folder: Path, wanted: str) -> str:
    """Return what is there instead, the nearest name first of all."""
    names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
    return textwrap.shorten(near_name(wanted, names) or "the folder is empty", _HINT_LENGTH, placeholder=" ...")
