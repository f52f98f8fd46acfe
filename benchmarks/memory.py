"""What the contract's peak memory is for ten times the rows, by threads, files and the shape of records.

    python benchmarks/memory.py [FOLDER] [--rows 1000000]

Each landing runs in a process of its own; the peak is what the kernel counts for it. Exits with status 1 when ten times
the rows take more than 1.2 times the memory in any case.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from elt_factory.config.models.table import Table
from elt_factory.core.window import Window
from elt_factory.extract.request import Spool
from elt_factory.landing.land import land
from elt_factory.landing.places import LocalPlace
from elt_factory.landing.request import LandRequest
from elt_factory.landing.schema import KnownTable

MOST = 1.2
THREADS, FILES = (2, 4, 16), (1, 5000)
WINDOW = Window(datetime(2013, 1, 1, tzinfo=UTC), datetime(2013, 1, 2, tzinfo=UTC))
# the records of each shape for one row of the narrow one: all shapes are about as many bytes, enough that even the
# smaller landing gives each of 16 threads several row groups to write
SHAPES = {"narrow": 1.0, "csv": 3.0, "wide": 0.05, "long": 0.0005}


def record(shape: str, number: int) -> bytes:
    """One record: ten columns as JSON, seven as CSV, two hundred columns, or half a megabyte of text."""
    if shape == "wide":
        values: dict[str, object] = {f"c{column}": number * column for column in range(200)}
    elif shape == "long":
        values = {"id": number, "text": os.urandom(200_000).hex()}
    else:
        values = {
            "id": number,
            "name": f"name {number}",
            "code": f"{number % 977:06}x",
            "price": number / 8,
            "day": "2013-01-31",
            "at": "2013-01-31T10:00:00Z",
            "ok": number % 2 == 0,
            "tags": ["a", "b"],
            "count": number % 100,
            "note": "a few words of text",
        }
    if shape == "csv":
        return ",".join(map(str, [*values.values()][:7])).encode() + b"\n"
    return json.dumps(values).encode() + b"\n"


def write(folder: Path, shape: str, rows: int, files: int) -> None:
    """Write that many records, in turn to that many files."""
    folder.mkdir(parents=True)
    each = max(1, rows // files)
    for number in range(files):
        with (folder / f"{number:05}.{'csv' if shape == 'csv' else 'ndjson'}").open("wb") as out:
            if shape == "csv":
                out.write(b"id,name,code,price,day,at,ok\n")
            out.writelines(record(shape, number * each + row) for row in range(each))


def landed(folder: Path) -> None:
    """Land a folder's files and say the peak of this process, in megabytes."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        base = Path(scratch)
        files = tuple(sorted(folder.iterdir()))
        spool = Spool("csv" if files[0].suffix == ".csv" else "ndjson", files)
        place = LocalPlace(base / "landing")
        land(LandRequest(KnownTable("src", "tab", Table(), None), WINDOW, "load", spool, place, base, str))
    # not getrusage: it counts what the parent had before the program began
    status = Path("/proc/self/status").read_text()
    print(f"peak {int(status.split('VmHWM:')[1].split()[0]) // 1024}")


def peak(folder: Path, threads: int) -> int:
    """Return the peak of a landing in a process of its own."""
    command = [sys.executable, __file__, "--land", str(folder)]
    environment = {**os.environ, "ELT_CONTRACT_THREADS": str(threads)}
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    return int(said.rsplit("peak ", 1)[1])


def ratios(base: Path, rows: int) -> Iterator[float]:
    """Measure every case, and print it."""
    for shape, files in itertools.product(SHAPES, FILES):
        count = max(10, int(rows * SHAPES[shape]))
        sizes = [base / f"{shape}-{files}-{times}" for times in (1, 10)]
        for folder, times in zip(sizes, (1, 10), strict=True):
            write(folder, shape, count * times, min(files, count))
        for threads in THREADS:
            one, ten = (peak(folder, threads) for folder in sizes)
            print(
                f"{shape:7} {files:5} files {threads:3} threads: {one} MB, 10x {ten} MB, {ten / one:.2f}x", flush=True
            )
            yield ten / one
        for folder in sizes:
            shutil.rmtree(folder)


def main() -> int:
    """1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--land", type=Path)
    given = parser.parse_args()
    if given.land:
        landed(given.land)
        return 0
    with tempfile.TemporaryDirectory(dir=given.folder) as base:
        worst = max(ratios(Path(base), given.rows))
    print(f"at most {worst:.2f}x, the target is {MOST}x")
    return int(worst > MOST)


if __name__ == "__main__":
    sys.exit(main())
