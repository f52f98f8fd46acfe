"""NDJSON: one JSON object per line, read in place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from elt_factory.config.models.formats import FileFormat
from elt_factory.formats.counting import filled_lines
from elt_factory.formats.kind import Delivered, FormatKind

if TYPE_CHECKING:
    from elt_factory.extract.request import Spool

_MARK = b"\xef\xbb\xbf"
_LINE_FEED = 10
_LAST_BLANK = 32  # all blanks are up to this byte, and nothing that JSON begins with is
_CHUNK = 128 * 1024  # what is looked at stays in the processor's cache


class NdjsonFormat(FileFormat):
    """One JSON object per line."""

    type: Literal["ndjson"]


def _spooled(_: NdjsonFormat, files: Sequence[Delivered], workdir: Path) -> Spool:
    from elt_factory.core.failures import BadDataError
    from elt_factory.extract.request import Spool
    from elt_factory.formats.decoding import as_texts

    texts = as_texts(files, "utf-8", workdir / "decoded", "ndjson")
    for file, text in zip(files, texts, strict=True):
        if is_array(text):
            raise BadDataError(
                f"{file.name} line 1: the file is a JSON array, but format ndjson needs one object per line; hint: "
                "write format: {type: json}"
            )
    return Spool("ndjson", texts, sum(map(_lines, texts)))


def _odd(file: Path) -> str:
    from elt_factory.formats.recognised import not_text_in

    return "JSON array; ndjson needs one object per line" if is_array(file) else not_text_in(file, "ndjson")


def is_array(file: Path) -> bool:
    """Whether a file is a JSON array and not lines; one array among other lines is that line's trouble alone."""
    with file.open("rb") as lines:
        first = next((line for raw in lines if (line := raw.removeprefix(_MARK).strip())), b"")
        another = any(raw.strip() for raw in lines)
    return first.startswith(b"[") and not (another and first.endswith(b"]"))


def _lines(file: Path) -> int:
    """Return how many lines are not blank."""
    count = _lines_without_blanks(file)
    if count is None:
        with file.open("rb") as content:
            return sum(1 for line in content if line.strip())
    return count


def _lines_without_blanks(file: Path) -> int | None:
    """Return how many lines there are; None where one begins with a blank, and so may be blank as a whole."""
    import numpy as np

    count, before, block = 0, _LINE_FEED, bytearray(_CHUNK)
    with file.open("rb") as content:
        while size := content.readinto(block):
            letters = np.frombuffer(block, np.uint8, size)
            is_end, may_be_blank = letters == _LINE_FEED, letters <= _LAST_BLANK
            if (may_be_blank[0] and before == _LINE_FEED) or (may_be_blank[1:] & is_end[:-1]).any():
                return None
            count, before = count + int(np.count_nonzero(is_end)), block[size - 1]
    return count + (before != _LINE_FEED)


KIND = FormatKind(
    name="ndjson",
    model=NdjsonFormat,
    spooled=_spooled,
    endings=(".ndjson", ".jsonl"),
    by_line=True,
    odd=_odd,
    count=filled_lines,
)
