"""The files of a load, shared out among several tasks: each file is in one part, with all that is taken of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from elt_factory.extract.request import Part
from elt_factory.sources.files.source_files import Chosen


def by_bytes(chosen: Sequence[Chosen], most: int) -> list[Part]:
    """Return the files in at most that many parts, each of about as many bytes as the others; at least one part.

    Parts follow each other as the files do, so that of two rows with one key the later one is in the later part, too.
    """
    # several patterns may take members of one archive
    whole = [list(same) for _, same in groupby(chosen, lambda one: one.found.name)]
    sizes = [max(same[0].found.size, 1) for same in whole]
    total, before = sum(sizes), 0
    shares: dict[int, list[Chosen]] = {}
    for same, size in zip(whole, sizes, strict=True):
        # a file is where its middle is
        number = (2 * before + size) * most // (2 * total)
        shares.setdefault(number, []).extend(same)
        before += size
    return [_part(shares[number]) for number in sorted(shares)] or [_part([])]


def _part(chosen: Sequence[Chosen]) -> Part:
    import msgspec

    names = list(dict.fromkeys(one.found.name for one in chosen))
    size = sum({one.found.name: max(one.found.size, 0) for one in chosen}.values())
    first = f", from {names[0]}" if names else ""
    files = f"{len(names):,} file{'' if len(names) == 1 else 's'}"
    return Part({"files": msgspec.to_builtins(list(chosen))}, f"{files}, {size / 1e6:,.1f} MB{first}")


def files_of_part(part: Mapping[str, Any]) -> list[Chosen]:
    """Return the files that a task has to read, as the split found them."""
    import msgspec

    return msgspec.convert(part["files"], list[Chosen])
