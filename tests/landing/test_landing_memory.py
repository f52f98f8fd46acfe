"""The contract's memory: what it takes for each thread is part of its limit."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from elt_factory.failures import LandingError
from elt_factory.landing import memory

LANDED = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from landing_support import Lander
from elt_factory.extract.request import Spool
folder = Path(sys.argv[2])
landed = Lander(folder / "out").land(Spool("ndjson", tuple(sorted(folder.glob("*.ndjson")))))
print(landed.manifest.rows, landed.manifest.rows_rejected)
"""


def land_in_a_process(folder: Path, **settings: str) -> str:
    environment = {**os.environ, **settings}
    command = [sys.executable, "-c", LANDED, str(Path(__file__).parent), str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()[-1].strip()  # DuckDB shows its progress before it


@pytest.mark.parametrize("threads", ["2", "16", "64"])
def test_eight_files_of_a_megabyte_are_landed_with_any_number_of_threads(tmp_path, threads):
    line = '{"id": 1, "name": "' + "x" * 200 + '"}\n'
    for number in range(8):
        (tmp_path / f"{number}.ndjson").write_text(line * (1_000_000 // len(line)))
    rows = 8 * (1_000_000 // len(line))
    assert land_in_a_process(tmp_path, ELT_CONTRACT_THREADS=threads) == f"{rows} 0"


def test_long_records_are_landed_with_sixteen_threads(tmp_path):
    for number in range(8):
        record = '{"id": 1, "a": "' + "x" * 15_000_000 + '", "b": "' + "y" * 15_000_000 + '"}\n'
        (tmp_path / f"{number}.ndjson").write_text(record)
    assert land_in_a_process(tmp_path, ELT_CONTRACT_THREADS="16") == "8 0"


@pytest.mark.parametrize(
    ("columns", "record", "threads"), [(10, 2**20, 7), (2000, 2**20, 1), (10, 64 * 2**20, 1), (10, 16 * 2**20, 2)]
)
def test_threads_are_as_many_as_the_limit_is_enough_for(columns, record, threads):
    assert memory.threads_for(1_000_000_000, 64, columns, record) == threads
    assert memory.threads_for(1_000_000_000, 1, columns, record) == 1


@pytest.mark.parametrize(("text", "size"), [("1GB", 10**9), ("512MiB", 2**29), (" 1.5 gb ", 1_500_000_000)])
def test_the_limit_is_a_size(monkeypatch, text, size):
    monkeypatch.setenv("ELT_CONTRACT_MEMORY", text)
    assert memory.limit_bytes() == size


@pytest.mark.parametrize("text", ["", "much", "1", "-1GB", "80%"])
def test_a_limit_that_is_no_size_is_an_error(monkeypatch, text):
    monkeypatch.setenv("ELT_CONTRACT_MEMORY", text)
    with pytest.raises(LandingError, match="invalid ELT_CONTRACT_MEMORY"):
        memory.limit_bytes()


def test_types_and_columns_are_those_of_all_files_however_many_there_are(lander):
    records = [f'{{"id": {number}, "code": {number}}}\n' for number in range(40)]
    records[38] = '{"id": 38, "code": "x", "late": 1.5}\n'
    landed = lander.ndjson(*records)
    assert landed.types == {"id": "integer", "code": "json", "late": "float"}
    assert sorted(landed.column("id")) == list(range(40))
