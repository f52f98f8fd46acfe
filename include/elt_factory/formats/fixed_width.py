"""Text whose fields have fixed widths, a record a line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from elt_factory.config.models.formats import Count, Encoding, FileFormat
from elt_factory.config.models.values import ColumnName, Flag, Whole
from elt_factory.formats.kind import Delivered, FormatKind

if TYPE_CHECKING:
    from elt_factory.extract.request import Spool
    from elt_factory.formats.records import Bad

_Width = Annotated[Whole, Field(gt=0)]


class FixedWidthFormat(FileFormat):
    """Lines whose fields have fixed widths. Spaces around a value are not part of it."""

    type: Literal["fixed_width"]
    fields: dict[ColumnName, _Width] = Field(
        min_length=1,
        description="Column names with their widths in characters, in order.",
        examples=[{"id": 8, "name": 20}],
    )
    skip_lines: Count = Field(0, description="Lines before the first record.", examples=[1])
    trimmed: Flag = Field(
        False,
        description=(
            "Whether spaces at the end of lines may have been cut off. If false, a line of another length is rejected."
        ),
        examples=[True],
    )
    null_values: tuple[str, ...] = Field(
        ("",), description="Texts to read as NULL, without the spaces around them.", examples=[["", "NA"]]
    )
    encoding: Encoding = Field("utf-8", description="Character encoding.", examples=["latin-1"])


def _spooled(form: FixedWidthFormat, files: Sequence[Delivered], workdir: Path) -> Spool:
    from elt_factory.formats.decoding import as_texts
    from elt_factory.formats.records import spool_of

    texts = dict(zip(files, as_texts(files, form.encoding, workdir / "decoded", "fixed_width"), strict=True))
    encoding = "latin-1" if form.encoding == "latin-1" else "utf-8-sig"
    return spool_of(files, workdir, lambda file: _records(form, texts[file], encoding), texts=True)


def _records(form: FixedWidthFormat, file: Path, encoding: str) -> Iterator[bytes | Bad]:
    import msgspec

    from elt_factory.extract.bounded_lines import CutLine, bounded_lines
    from elt_factory.formats.records import Bad
    from elt_factory.landing import limits

    ends = list(accumulate(form.fields.values()))
    places = list(zip(form.fields, [0, *ends], ends, strict=False))
    null, width = frozenset(form.null_values), ends[-1]
    # what is not of the encoding stays a sign that no text has, and its line is rejected
    with file.open(encoding=encoding, errors="surrogateescape", newline="") as lines:
        for number, raw in enumerate(bounded_lines(lines, limits.RECORD_BYTES), 1):
            line = raw.rstrip("\r\n")
            # a line of spaces that is as long as a record is one without values
            if number <= form.skip_lines or (len(line) < width and not line.strip(" ")):
                continue
            too_long = f"longer than any record may be, expected {width} characters"
            why = too_long if isinstance(raw, CutLine) else _why_bad(line, width, trimmed=form.trimmed)
            if why:
                yield Bad(f"line {number}: {why}", line.encode(errors="replace").decode())
                continue
            values = {name: line[start:end].strip(" ") for name, start, end in places}
            yield msgspec.json.encode({name: None if value in null else value for name, value in values.items()})


def _why_bad(line: str, width: int, *, trimmed: bool) -> str:
    # spaces that fill a line up are not part of the last field
    if line[width:].strip(" ") or (len(line) < width and not trimmed):
        return f"{len(line)} characters, expected {width}"
    return "" if line.isprintable() or _is_text(line) else "the text is not of the encoding"


def _is_text(line: str) -> bool:
    try:
        line.encode()
    except UnicodeEncodeError:
        return False
    return True


KIND = FormatKind(name="fixed_width", model=FixedWidthFormat, spooled=_spooled)
