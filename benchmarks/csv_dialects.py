"""How many CSV files of the Pollock benchmark are read right by what `elt new` writes, and by DuckDB's sniffer.

    python benchmarks/csv_dialects.py FOLDER [SAMPLE]

FOLDER is a checkout of HPI-Information-Systems/Pollock: it has `survey_sample` (files from open data) and
`polluted_files` (one file, damaged in many ways), each with `csv`, `clean` and `parameters`. SAMPLE is how many of the
files with one damaged row are read; files damaged as a whole are all read. A file is right where every record of its
clean form is there, cell by cell, empty records apart; it is said where it is not read, or has rejects; it is wrong
where neither is so.
"""

from __future__ import annotations

import csv
import io
import json
import random
import sys
import tempfile
from collections import Counter
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
TARGET = 75  # files of the survey that are read right


def clean_rows(file: Path) -> Rows:
    """Return the records that a file has, without its header."""
    csv.field_size_limit(sys.maxsize)
    text = file.read_bytes().decode("utf-8-sig", errors="replace")
    parameters = json.loads((file.parents[1] / "parameters" / f"{file.name}_parameters.json").read_text())
    rows = list(csv.reader(io.StringIO(text, newline="")))
    return counted(rows[1:] if parameters["header_lines"] else rows)


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


def ours(file: Path) -> tuple[Rows | None, str]:
    """Return what is loaded with the format that `elt new` writes, and why it is not or not all."""
    with tempfile.TemporaryDirectory() as scratch:
        folder, looked = Path(scratch), Path(scratch, "looked")
        looked.mkdir()
        (folder / "in").mkdir()
        (folder / "in" / "x.csv").write_bytes(file.read_bytes())
        try:
            _, guess = FORMATS.get("csv").look_at([Delivered("x.csv", folder / "in" / "x.csv")], looked)
            # texts are compared: no word of a file stands for nothing
            form = {**yaml.safe_load(guess.value), "null_values": [""]}
            return loaded(folder, form)
        except EltError as error:
            return None, str(error)[:160]


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


def sniffed(file: Path) -> tuple[Rows | None, str]:
    """Return what DuckDB reads by itself."""
    with duckdb.connect() as connection:
        try:
            found = connection.execute(
                "FROM read_csv(?, all_varchar = true, hive_partitioning = false)", [str(file)]
            ).fetchall()
        except duckdb.Error as error:
            return None, str(error).splitlines()[0][:160]
    return counted([list(row) for row in found]), ""


def verdict(rows: Rows | None, why: str, clean: Rows) -> str:
    """Say whether a file was read right, wrong, or whether something was said."""
    if rows is not None and not why:
        return "right" if rows == clean else "wrong"
    return "said"


def _is_worse(counts: dict[str, Counter[str]]) -> bool:
    return counts["ours"]["wrong"] >= counts["DuckDB"]["wrong"]


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
            for who, read in (("ours", ours), ("DuckDB", sniffed)):
                found, why = read(file)
                said = verdict(found, why, clean)
                counts[who][said] += 1
                if "-v" in sys.argv and who == "ours" and said != "right":
                    difference = (
                        f"{sum((found - clean).values())} more, {sum((clean - found).values())} fewer" if found else ""
                    )
                    print(f"  {said}: {file.name}: {why} {difference}")
        missed = missed or (name == "survey" and (counts["ours"]["right"] < TARGET or _is_worse(counts)))
        for who, counter in counts.items():
            print(f"{name:11} {who:7} " + " ".join(f"{kind} {counter[kind]:4}" for kind in KINDS))
    sys.exit(missed)


if __name__ == "__main__":
    main()
