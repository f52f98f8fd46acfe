"""CSV: read by the landing in the dialect that the YAML says; what is in UTF-16 is copied as UTF-8 first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from elt_factory.config.models.formats import CsvFormat
from elt_factory.formats.counting import csv_records
from elt_factory.formats.kind import Delivered, FormatKind

if TYPE_CHECKING:
    from elt_factory.discover.found import Guess
    from elt_factory.extract.request import Spool
    from elt_factory.extract.sniffing import Sniffed

_HEAD_BYTES = 4 * 1024 * 1024


def _spooled(form: CsvFormat, files: Sequence[Delivered], workdir: Path) -> Spool:
    from elt_factory.extract.request import Spool
    from elt_factory.formats.csv_bytes import needs_each_record, refuse_controls
    from elt_factory.formats.decoding import as_texts

    texts = as_texts(files, form.encoding, workdir / "decoded", "csv")
    csv = _as_decoded(form)
    if not form.is_plain or any(needs_each_record(file, csv) for file in texts):
        from elt_factory.formats.csv_records import json_records
        from elt_factory.formats.records import spool_of

        paths, left_out = dict(zip(files, texts, strict=True)), Counter[str]()
        spool = spool_of(files, workdir, lambda file: json_records(paths[file], file.name, csv, left_out), texts=True)
        # whose numbers have the signs of the file still
        return replace(spool, csv=form, remarks=_remarks(left_out))
    if csv.encoding == "latin-1":
        for file, text in zip(files, texts, strict=True):
            refuse_controls(text, file.name)
    return Spool("csv", texts, csv=csv)


def _as_decoded(form: CsvFormat) -> CsvFormat:
    """Return the format of files that are decoded: what was of another encoding is UTF-8 by now."""
    return form if form.encoding == "latin-1" else form.model_copy(update={"encoding": "utf-8"})


def _remarks(left_out: Mapping[str, int]) -> tuple[str, ...]:
    """Say how many lines are left out, and as what; blank ones are none that anyone would miss."""
    from elt_factory.extract.csv_text import BLANK

    counts = [f"{count} {what}{'' if count == 1 else 's'}" for what, count in left_out.items() if what != BLANK]
    return (f"left out as the format says: {', '.join(counts)}",) if counts else ()


def _odd(file: Path) -> str:
    from elt_factory.formats.recognised import not_text_in

    return not_text_in(file, "csv")


def _look(files: Sequence[Delivered], workdir: Path) -> tuple[Spool, Guess]:
    from elt_factory.discover.found import Guess
    from elt_factory.extract.sniffing import in_yaml, sniffed

    newest = files[-1].path
    with newest.open("rb") as content:
        head = content.read(_HEAD_BYTES)
    found = sniffed(head, whole=len(head) == newest.stat().st_size)
    spool = _spooled(found.form, files, workdir)
    return spool, Guess(in_yaml(found.form), _why(found))


def _why(found: Sniffed) -> str:
    words = ", ".join(f"{word} in {column}" for word, column in found.null_words.items())
    seen = (
        "found a header line" if found.form.header else "the first line is a record: name the columns with names: [...]"
    )
    return f"{seen}; {words}" if words and found.form.header else seen


KIND = FormatKind(
    name="csv",
    model=CsvFormat,
    spooled=_spooled,
    endings=(".csv", ".tsv", ".txt"),
    by_line=True,
    odd=_odd,
    look=_look,
    count=csv_records,
)
