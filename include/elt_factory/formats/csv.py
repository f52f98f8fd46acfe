"""CSV: read by the landing in the dialect that the YAML says; what is in UTF-16 is copied as UTF-8 first."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from elt_factory.config.models.formats import CsvFormat
from elt_factory.formats.kind import Delivered, FormatKind

if TYPE_CHECKING:
    from elt_factory.discover.found import Guess
    from elt_factory.extract.dialect import Dialect
    from elt_factory.extract.request import Spool

_HEAD_BYTES = 4 * 1024 * 1024


def _spooled(form: CsvFormat, files: Sequence[Delivered], workdir: Path) -> Spool:
    from elt_factory.extract.request import Spool
    from elt_factory.formats.decoding import as_texts

    texts = as_texts(files, form.encoding, workdir / "decoded", "csv")
    # what was UTF-16 is UTF-8 by now
    csv = form.model_copy(update={"encoding": "utf-8"}) if form.encoding == "utf-16" else form
    return Spool("csv", texts, csv=csv)


def _odd(file: Path) -> str:
    from elt_factory.formats.recognised import not_text_in

    return not_text_in(file, "csv")


def _look(files: Sequence[Delivered], workdir: Path) -> tuple[Spool, Guess]:
    from elt_factory.discover.found import Guess
    from elt_factory.extract.dialect import dialect_of, has_header
    from elt_factory.extract.request import Spool
    from elt_factory.formats.decoding import as_utf8

    with files[-1].path.open("rb") as newest:
        head = newest.read(_HEAD_BYTES)
    dialect = dialect_of(head)
    lines = head.decode(dialect.encoding, errors="replace").lstrip("\ufeff").splitlines()[:1]
    header = has_header(lines, dialect.delimiter, dialect.quote)
    shape = CsvFormat.model_validate(
        {
            "type": "csv",
            "header": header,
            "delimiter": dialect.delimiter,
            "quote": dialect.quote,
            "encoding": "utf-8" if dialect.encoding == "utf-16" else dialect.encoding,
            "null_values": ["", *dialect.null_words],
        }
    )
    texts = tuple(
        as_utf8(file.path, "utf-8", workdir / "decoded" / f"{number:06}") for number, file in enumerate(files)
    )
    return Spool("csv", texts, csv=shape), Guess(_flow(dialect, header), _why(dialect, header))


def _flow(dialect: Dialect, header: bool) -> str:
    parts = ["type: csv", *([] if header else ["header: false"]), f"delimiter: {json.dumps(dialect.delimiter)}"]
    if dialect.quote != '"':
        parts.append(f"quote: {json.dumps(dialect.quote)}")
    if dialect.encoding != "utf-8":
        parts.append(f"encoding: {dialect.encoding}")
    if dialect.null_words:
        parts.append(f"null_values: {json.dumps(['', *dialect.null_words])}")
    return "{" + ", ".join(parts) + "}"


def _why(dialect: Dialect, header: bool) -> str:
    words = ", ".join(f"{word} in {column}" for word, column in dialect.null_words.items())
    seen = "found a header line" if header else "the first line is a record: name the columns with names: [...]"
    return f"{seen}; {words}" if words and header else seen


KIND = FormatKind(
    name="csv",
    model=CsvFormat,
    spooled=_spooled,
    endings=(".csv", ".tsv", ".txt"),
    by_line=True,
    odd=_odd,
    look=_look,
)
