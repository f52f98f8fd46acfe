"""Zip archives of several files: `orders.zip/*.csv` means members of an archive, each of them a file."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path, PurePosixPath

from elt_factory.core.failures import BadDataError, BadRequestError
from elt_factory.formats.packed import copied, damage_named, is_of_system
from elt_factory.sources.files.periods import has_periods
from elt_factory.sources.files.store import is_match, there

_ENDING = ".zip"


def split(pattern: str) -> tuple[str, str]:
    """Return the pattern of archives and that of their members; "" where a pattern means files themselves."""
    parts = pattern.split("/")
    at = next((number for number, part in enumerate(parts[:-1], 1) if part.lower().endswith(_ENDING)), len(parts))
    archive, members = "/".join(parts[:at]), "/".join(parts[at:])
    if has_periods(members):
        raise BadRequestError(f'path "{pattern}" has a period within an archive; hint: write it in the archive\'s name')
    return archive, members.replace("%%", "%")


def members_of(archive: Path, name: str, pattern: str, folder: Path, limit: int) -> Iterator[tuple[str, Path]]:
    """Yield the name and a copy of each member that a pattern matches, in the order of names.

    Args:
        archive: The archive.
        name: What people call it.
        pattern: The pattern of its members.
        folder: Where copies go; nothing else is there.
        limit: How many bytes one may have.

    Raises:
        BadDataError: it is not an archive, a member is damaged or too large, or none matches.
    """
    with damage_named(name):
        if not zipfile.is_zipfile(archive):
            raise BadDataError(f"{name} is not a zip archive, or was cut off")
        with zipfile.ZipFile(archive) as opened:
            there_are = [one for one in opened.infolist() if not one.is_dir() and not is_of_system(one.filename)]
            found = sorted((one for one in there_are if is_match(one.filename, pattern)), key=lambda one: one.filename)
            if not found:
                hint = there([one.filename for one in there_are], pattern)
                raise BadDataError(f'no file in {name} matches "{pattern}"; {hint}')
            twice = [one.filename for one, other in pairwise(found) if one.filename == other.filename]
            if twice:
                raise BadDataError(f"{name} has two files {twice[0]}; hint: deliver each under a name of its own")
            for number, one in enumerate(found):
                member = f"{name}/{one.filename}"
                if one.flag_bits & 1:
                    raise BadDataError(f"{member} is encrypted; hint: deliver it without a password")
                # a member's own folders lead anywhere
                target = folder / f"{number:06}" / (PurePosixPath(one.filename).name or "member")
                target.parent.mkdir(parents=True)
                with opened.open(one) as content, target.open("wb") as copy:
                    copied(content, copy, member, limit)
                yield one.filename, target
