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
    with file.open("rb") as lines:
        first = next((line for raw in lines if (line := raw.removeprefix(_MARK).strip())), b"")
        another = any(raw.strip() for raw in lines)
    return first.startswith(b"[") and not (another and first.endswith(b"]"))


KIND = FormatKind(
    name="ndjson",
    model=NdjsonFormat,
    spooled=_spooled,
    endings=(".ndjson", ".jsonl"),
    by_line=True,
    odd=_odd,
    count=filled_lines,
)
