"""How many CSV files of the Pollock benchmark are read right by what `elt new` writes, and by DuckDB's sniffer.

    python benchmarks/csv_dialects.py FOLDER [SAMPLE]

FOLDER is a checkout of HPI-Information-Systems/Pollock: it has `survey_sample` (files from open data) and
`polluted_files` (one file, damaged in many ways), each with `csv`, `clean` and `parameters`. SAMPLE is how many of the
files with one damaged row are read; files damaged as a whole are all read. A file is right where every record of its
clean form is there, cell by cell, empty records apart; it is said where it is not read, or has rejects; it is wrong
where neither is so. A word that the format takes for no value is nothing in both. Where a clean form has a cell that is
nowhere in the file, the benchmark's own form is wrong, and the file is left out.
"""

from __future__ import annotations

import csv
import io
import json
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import yaml

from elt_factory.config.models.formats import FORMATS
from elt_factory.core.failures import EltError
from elt_factory.formats.kind import Delivered
from elt_factory.testing.loads import WEEK, Line, source_of

Rows = Counter[tuple[str, ...]]
KINDS = ("right", "said", "wrong")


@dataclass(frozen=True)
class Read:
    """What was read of a file, why it is not or not all, and the words that stand for no value."""

    rows: Rows | None
    why: str = ""
    words: tuple[str, ...] = ()


TARGET = 75  # files of the survey that are read right


def clean_rows(file: Path) -> Rows:
    """Return the records that a file has, without its header."""
    csv.field_size_limit(sys.maxsize)
    text = file.read_bytes().decode("utf-8-sig", errors="replace")
    parameters = json.loads((file.parents[1] / "parameters" / f"{file.name}_parameters.json").read_text())
    rows = list(csv.reader(io.StringIO(text, newline="")))
    # a file without a header has one in its clean form that the benchmark made, but for one file
    begin = (file.parents[1] / "csv" / file.name).read_bytes().split(b"\n")[0].decode("latin-1")
    has_names = int(parameters["header_lines"]) or any(cell.strip() not in begin for row in rows[:1] for cell in row)
    return counted(rows[1:] if has_names else rows)


def without(words: Iterable[str], rows: Rows) -> Rows:
    """Return rows in which words that stand for no value are nothing."""
    nothing = {*words}
    return counted([["" if cell in nothing else cell for cell in row] for row in rows.elements()])


def cell_of_no_file(clean: Rows, file: Path) -> str:
    """Return a cell of a clean form that is nowhere in the file, which then is not the file's form."""
    text = " ".join(file.read_bytes().decode("latin-1").split())
    cells = {cell for row in clean for cell in row if cell.isascii() and "\\" in cell and '"' not in cell}
    return next((cell for cell in cells if cell not in text), "")


def counted(rows: list[list[Any]]) -> Rows:
    """Return rows as text, without spaces around cells and without cells that are empty at the end."""
    texts = [["" if cell is None else " ".join(_seen(str(cell)).split()) for cell in row] for row in rows]
    ends = [max((number for number, cell in enumerate(row, 1) if cell), default=0) for row in texts]
    return Counter(tuple(row[:end]) for row, end in zip(texts, ends, strict=True) if end)


def _seen(text: str) -> str:
    """Return a text with windows-1252's signs where it has the control characters of the same numbers."""
    return "".join(
        bytes([ord(sign)]).decode("cp1252", "replace") if 0x80 <= ord(sign) < 0xA0 else sign for sign in text
    )


def ours(file: Path) -> Read:
    """Return what is loaded with the format that `elt new` writes, and why it is not or not all."""
    with tempfile.TemporaryDirectory() as scratch:
        folder, looked = Path(scratch), Path(scratch, "looked")
        looked.mkdir()
        (folder / "in").mkdir()
        (folder / "in" / "x.csv").write_bytes(file.read_bytes())
        try:
            _, guess = FORMATS.get("csv").look_at([Delivered("x.csv", folder / "in" / "x.csv")], looked)
            form = yaml.safe_load(guess.value)
            # texts are compared: a word that stands for nothing in one column may be a text in another
            rows, why = loaded(folder, {**form, "null_values": [""]})
            return Read(rows, why, tuple(form.get("null_values", ())))
        except EltError as error:
            return Read(None, str(error)[:160])


def line_of(folder: Path, form: dict[str, Any], columns: dict[str, Any]) -> Line:
    """Return a source of one file."""
    table = {"path": "x.csv", "format": form, "columns": columns}
    config = {"name": "src", "extract": {"type": "files", "folder": "in"}, "tables": {"tab": table}}
    return Line(source_of(config, folder), None, folder, lambda _: None)


def loaded(folder: Path, form: dict[str, Any]) -> tuple[Rows | None, str]:
    """Load the file with every column as text."""
    with tempfile.TemporaryDirectory(dir=folder) as workdir:
        names = columns_of(line_of(folder, form, {}), Path(workdir))
    line = line_of(folder, form, {name: {"type": "text"} for name in names})
    report = line.load(WEEK)
    rows = counted([[row[name] for name in names] for row in line.rows()])
    return rows, f"{report.rows_rejected} rejects" if report.rows_rejected else ""


def columns_of(line: Line, workdir: Path) -> list[str]:
    """Return the names of the file's columns."""
    from elt_factory.discover.sample import sample_of

    return list(sample_of(line.read(WEEK, workdir)).types)


def sniffed(file: Path) -> Read:
    """Return what DuckDB reads by itself."""
    with duckdb.connect() as connection:
        try:
            found = connection.execute(
                "FROM read_csv(?, all_varchar = true, hive_partitioning = false)", [str(file)]
            ).fetchall()
        except duckdb.Error as error:
            return Read(None, str(error).splitlines()[0][:160])
    return Read(counted([list(row) for row in found]))


def verdict(read: Read, clean: Rows) -> str:
    """Say whether a file was read right, wrong, or whether something was said."""
    if read.rows is None or read.why:
        return "said"
    return "right" if without(read.words, read.rows) == without(read.words, clean) else "wrong"


def difference(found: Rows, clean: Rows) -> str:
    """Say how many records are not in the other."""
    return f"{(found - clean).total()} more, {(clean - found).total()} fewer"


def _is_wrong(counts: dict[str, Counter[str]]) -> bool:
    return counts["ours"]["wrong"] > 0


def main() -> None:
    """Print a table, with -v also every file that is not read right; exit with 1 where a target is missed."""
    folder, sample = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 200
    sets = {"survey": sorted((folder / "survey_sample" / "csv").iterdir())}
    polluted = sorted((folder / "polluted_files" / "csv").iterdir())
    sets["whole file"] = [file for file in polluted if not file.name.startswith("row_")]
    rows = [file for file in polluted if file.name.startswith("row_")]
    sets["one row"] = random.Random(1).sample(rows, min(sample, len(rows)))
    missed = False
    for name, files in sets.items():
        counts = {who: Counter[str]() for who in ("ours", "DuckDB")}
        for file in files:
            clean_file = file.parents[1] / "clean" / file.name
            if not clean_file.is_file():
                continue
            clean = clean_rows(clean_file)
            if cell := cell_of_no_file(clean, file):
                print(f"  left out: {file.name}: its clean form has the cell {cell}, which the file does not have")
                continue
            for who, read in (("ours", ours), ("DuckDB", sniffed)):
                found = read(file)
                said = verdict(found, clean)
                counts[who][said] += 1
                if "-v" in sys.argv and who == "ours" and said != "right":
                    print(f"  {said}: {file.name}: {found.why} {difference(found.rows or Rows(), clean)}")
        missed = missed or (name == "survey" and (counts["ours"]["right"] < TARGET or _is_wrong(counts)))
        for who, counter in counts.items():
            print(f"{name:11} {who:7} " + " ".join(f"{kind} {counter[kind]:4}" for kind in KINDS))
    sys.exit(missed)


if __name__ == "__main__":
    main()
