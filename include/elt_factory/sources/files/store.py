"""Where the files of a source are: a folder, of this machine or of a store, which names them and hands them out."""

from __future__ import annotations

import glob
import textwrap
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from elt_factory.config.errors import near_name
from elt_factory.core.failures import BadRequestError, SourceNotReadyError

_HINT_LENGTH = 300
UNKNOWN_SIZE = -1


@dataclass(frozen=True)
class Found:
    """A file as its store names it.

    `tag` is what the store calls its content and changes with every write, "" where it has no such thing; `modified` is
    None where it does not say when the file was written, `size` UNKNOWN_SIZE where it does not say that.

    Raises:
        BadRequestError: the name is not text, so that no ledger could hold it.
    """

    name: str
    size: int
    modified: datetime | None
    tag: str = ""

    def __post_init__(self) -> None:
        try:
            self.name.encode()
        except UnicodeEncodeError:
            shown = self.name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
            raise BadRequestError(f"the name of the file {shown} is not UTF-8; hint: rename it") from None


class Store(ABC):
    """A folder; the names of files are below it, with `/`. Use it in a `with`. Its errors name the folder.

    `at_once` is how many files may be fetched at the same time, `lists` whether it can say which files there are.
    """

    at_once: ClassVar[int] = 4
    lists: ClassVar[bool] = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def __str__(self) -> str:
        """Return where it is, for people."""

    @abstractmethod
    def look(self, name: str) -> Found | None:
        """Return the file of a name; None where there is none."""

    def called(self, pattern: str) -> Found | None:
        """Return the file whose name is a pattern, to the letter; None where there is none."""
        return self.look(pattern)

    @abstractmethod
    def matches(self, pattern: str) -> Iterable[Found]:
        """Return the files that a glob pattern matches, as the shell takes it. `*` does not match a hidden name."""

    @abstractmethod
    def names(self, folder: str) -> Sequence[str]:
        """Return names of what is in a folder below this one, not all where there are many; for hints."""

    @abstractmethod
    def fetch(self, found: Found, folder: Path, most: int | None = None) -> Path:
        """Return a file of this machine with what was found, as it was then.

        Args:
            found: The file.
            folder: An empty folder for a copy, where one is needed.
            most: How many bytes to take at most, for a look.

        Raises:
            SourceNotReadyError: it was changed or removed since.
        """

    def now(self, found: Found) -> Found:
        """Return a file that was fetched, as it is."""
        return found

    def close(self) -> None:  # noqa: B027 - not every store has something to close
        """Let go what is open."""

    def there(self) -> bool:
        """Whether the folder itself can be asked for files."""
        return True

    def find(self, pattern: str) -> list[Found]:
        """Return the files that a pattern matches, or the one that is called like it, by their names.

        Raises:
            BadRequestError: a pattern that is a file's name and matches others.
        """
        found = {one.name: one for one in self.matches(pattern)} if glob.has_magic(pattern) else {}
        own = self.called(pattern) if glob.has_magic(pattern) else self.look(pattern)
        if own is None or own.name in found:
            # a name such as *.csv is matched by itself, and so are the others
            return [found[name] for name in sorted(found)]
        if found:
            raise BadRequestError(
                f'path "{pattern}" is the name of a file in {self}, but as a pattern it matches {min(found)}; '
                f'hint: write "{glob.escape(pattern)}" for the file of that name'
            )
        return [own]

    def needed(self, pattern: str) -> list[Found]:
        """Return what `find` does, at least one.

        Raises:
            SourceNotReadyError: there is none; says what is there.
        """
        found = self.find(pattern)
        if not found:
            folder, _, wanted = pattern.rpartition("/")
            raise SourceNotReadyError(f'no file matches "{pattern}" in {self}; {there(self.names(folder), wanted)}')
        return found


def removed(name: str) -> SourceNotReadyError:
    """Return the error for a file that was there a moment ago."""
    return SourceNotReadyError(f"{name} was removed while it was read; the next retry reads the remaining files")


def removed_since_split(name: str) -> SourceNotReadyError:
    """Return the error for a file that a part of a load has to read, and that no retry of it will find."""
    return SourceNotReadyError(f"{name} was removed since the task split; clear the task split to read what is there")


def changed(name: str) -> SourceNotReadyError:
    """Return the error for a file that is not what was found any more."""
    return SourceNotReadyError(f"{name} was changed or removed while it was read; the next retry reads it again")


def outside(pattern: str, store: Store) -> BadRequestError:
    """Return the error for a link that escapes from a folder."""
    return BadRequestError(f'a link that matches "{pattern}" points outside the folder {store}')


def there(names: Sequence[str], wanted: str) -> str:
    """Return what is there instead, the nearest name first of all."""
    return textwrap.shorten(near_name(wanted, names) or "the folder is empty", _HINT_LENGTH, placeholder=" ...")


def is_match(name: str, pattern: str) -> bool:
    """Whether a glob pattern matches a name below a folder."""
    return _match(name.split("/"), pattern.split("/"))


def matches_part(name: str, form: str) -> bool:
    """Whether one part of a pattern matches one part of a name; `**` any that is not hidden."""
    return (not name.startswith(".") or form.startswith(".")) and fnmatchcase(name, form)


def fixed_folder(pattern: str) -> str:
    """Return the folder that a pattern names without any sign of a pattern: what has to be listed is in it."""
    parts = pattern.split("/")[:-1]
    fixed = next((index for index, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    return "/".join(parts[:fixed])


def _match(parts: Sequence[str], forms: Sequence[str]) -> bool:
    if not forms:
        return not parts
    if forms[0] != "**":
        return bool(parts) and matches_part(parts[0], forms[0]) and _match(parts[1:], forms[1:])
    if len(forms) > 1 and _match(parts, forms[1:]):
        return True
    below = bool(parts) and not parts[0].startswith(".")
    return below and ((len(forms) == 1 and len(parts) == 1) or _match(parts[1:], forms))
