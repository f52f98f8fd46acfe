"""NDJSON: one JSON object per line, read in place."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from elt_factory.config.models.formats import FileFormat
from elt_factory.formats.counting import filled_lines
from elt_factory.formats.kind import Delivered, FormatKind

if TYPE_CHECKING:
    from elt_factory.extract.request import Spool

_MARK = b"\xef\xbb\xbf"
_PIECE = 1024 * 1024


class NdjsonFormat(FileFormat):
    """One JSON object per line."""

    type: Literal["ndjson"]


def _spooled(_: NdjsonFormat, files: Sequence[Delivered], workdir: Path) -> Spool:
    from elt_factory.core.failures import BadDataError
    from elt_factory.extract.line_looks import look_at
    from elt_factory.extract.request import Spool
    from elt_factory.formats.decoding import as_texts

    texts = as_texts(files, "utf-8", workdir / "decoded", "ndjson")
    for file, text in zip(files, texts, strict=True):
        if is_array(text):
            raise BadDataError(
                f"{file.name} line 1: the file is a JSON array, but format ndjson needs one object per line; hint: "
                "write format: {type: json}"
            )
    seen = {text: look_at(text) for text in texts}
    return Spool("ndjson", texts, sum(seen[text].count for text in texts), seen=seen)


def _odd(file: Path) -> str:
    from elt_factory.formats.recognised import not_text_in

    return "JSON array; ndjson needs one object per line" if is_array(file) else not_text_in(file, "ndjson")


def is_array(file: Path) -> bool:
    """Whether a file is a JSON array and not lines; one array among other lines is that line's trouble alone."""
    begins = ends = b""
    with file.open("rb") as lines:
        # the line may be as long as the file
        pieces = iter(partial(lines.readline, _PIECE), b"")
        for piece in pieces:
            text = piece.removeprefix(_MARK).strip()
            begins, ends = begins or text[:1], text[-1:] or ends
            if begins and piece.endswith(b"\n"):
                break
        another = any(piece.strip() for piece in pieces)
    return begins == b"[" and not (another and ends == b"]")


KIND = FormatKind(
    name="ndjson",
    model=NdjsonFormat,
    spooled=_spooled,
    endings=(".ndjson", ".jsonl"),
    by_line=True,
    odd=_odd,
    count=filled_lines,
)
