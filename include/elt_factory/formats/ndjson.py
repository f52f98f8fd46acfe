"""NDJSON: one JSON object per line, read in place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from elt_factory.config.models.formats import FileFormat
from elt_factory.formats.kind import Delivered, FormatKind

if TYPE_CHECKING:
    from elt_factory.extract.request import Spool

_MARK = b"\xef\xbb\xbf"
_BLANKS = tuple(b" \t\n\r\v\f")
_CHUNK = 1024 * 1024


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
    count, parts = 0, []
    with file.open("rb") as content:
        while chunk := content.read(_CHUNK):
            last = chunk.rfind(b"\n") + 1
            parts.append(chunk[:last] if last else chunk)
            if last:
                count += _whole_lines(b"".join(parts))
                parts = [chunk[last:]]
    return count + bool(b"".join(parts).strip())


def _whole_lines(block: bytes) -> int:
    import numpy as np

    letters = np.frombuffer(block, np.uint8)
    is_end = letters == ord("\n")
    begins = letters[1:][is_end[:-1]]
    # what begins with a blank may be blank as a whole
    if letters[0] in _BLANKS or np.isin(begins, _BLANKS).any():
        return sum(1 for line in block.split(b"\n") if line.strip())
    return int(np.count_nonzero(is_end))


KIND = FormatKind(
    name="ndjson",
    model=NdjsonFormat,
    spooled=_spooled,
    endings=(".ndjson", ".jsonl"),
    by_line=True,
    odd=_odd,
)
