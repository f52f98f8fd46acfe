"""The contract's memory: what it takes for each thread is part of its limit."""

import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from elt_factory.core.failures import LandingError
from elt_factory.extract.request import Spool
from elt_factory.landing import memory
from elt_factory.landing.reading import useful_threads

LANDED = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from landing_support import Lander
from elt_factory.extract.request import Spool
folder, form = Path(sys.argv[2]), sys.argv[3]
landed = Lander(folder / "out").land(Spool(form, tuple(sorted(folder.glob("*." + form)))))
# not getrusage: it counts what the parent had before the program began
[peak] = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(landed.manifest.rows, landed.manifest.rows_rejected, int(peak) // 1024)
"""


def land_in_a_process(folder: Path, form: str = "ndjson", **settings: str) -> tuple[int, int, int]:
    """The rows, the rejects, and the peak of the memory in megabytes."""
    environment = {**os.environ, **settings}
    command = [sys.executable, "-c", LANDED, str(Path(__file__).parent), str(folder), form]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    rows, rejected, peak = done.stdout.splitlines()[-1].split()[-3:]  # DuckDB shows its progress before it
    return int(rows), int(rejected), int(peak)


@pytest.mark.services
@pytest.mark.parametrize("threads", ["2", "16", "64"])
def test_eight_files_of_a_megabyte_are_landed_with_any_number_of_threads(tmp_path, threads):
    line = '{"id": 1, "name": "' + "x" * 200 + '"}\n'
    for number in range(8):
        (tmp_path / f"{number}.ndjson").write_text(line * (1_000_000 // len(line)))
    rows = 8 * (1_000_000 // len(line))
    assert land_in_a_process(tmp_path, ELT_CONTRACT_THREADS=threads)[:2] == (rows, 0)


@pytest.mark.services
def test_long_records_are_landed_with_sixteen_threads(tmp_path):
    for number in range(8):
        record = '{"id": 1, "a": "' + "x" * 15_000_000 + '", "b": "' + "y" * 15_000_000 + '"}\n'
        (tmp_path / f"{number}.ndjson").write_text(record)
    assert land_in_a_process(tmp_path, ELT_CONTRACT_THREADS="16")[:2] == (8, 0)


@pytest.mark.parametrize(
    ("columns", "record", "threads"),
    [(10, 2**20, 17), (200, 2**20, 9), (2000, 2**20, 1), (10, 64 * 2**20, 1), (10, 16 * 2**20, 2)],
)
def test_threads_are_as_many_as_the_limit_is_enough_for(columns, record, threads):
    assert memory.threads_for(1_000_000_000, 64, columns, record) == threads
    assert memory.threads_for(1_000_000_000, 1, columns, record) == 1


@pytest.mark.parametrize(
    ("form", "sizes", "threads"),
    [
        ("ndjson", [1000], 1),
        ("ndjson", [500_000, 500_000], 1),
        ("ndjson", [500_000, 600_000], None),
        ("csv", [1_000_000], 1),
        ("csv", [3_000_000], None),
        ("csv", [200_000] * 20, 1),
        ("csv", [300_000] * 20, None),
        ("parquet", [1000], None),
    ],
)
def test_what_is_one_batch_has_one_thread(tmp_path, form, sizes, threads):
    files = [tmp_path / str(number) for number, _ in enumerate(sizes)]
    for file, size in zip(files, sizes, strict=True):
        with file.open("wb") as sparse:
            sparse.truncate(size)
    assert useful_threads(Spool(form, tuple(files))) == threads


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


def last_of_each_key(landed):
    assert landed.manifest.rows_duplicate == 300_000 - 100
    return {row["id"]: row["v"] for row in landed.rows}


@pytest.mark.parametrize("threads", ["1", "4"])
def test_of_one_key_the_last_record_stays_whatever_reads_and_stages_them(lander, monkeypatch, threads):
    monkeypatch.setenv("ELT_CONTRACT_THREADS", threads)
    table = {"primary_key": ["id"]}
    expected = {number: 299_900 + number for number in range(100)}
    rows = [(number % 100, number) for number in range(300_000)]
    csv = ["id,v\n" + "".join(f"{k},{v}\n" for k, v in rows[:250_000])]
    csv += ["v,id\n" + "".join(f"{v},{k}\n" for k, v in rows[250_000:])]  # a header of its own
    assert last_of_each_key(lander.csv(*csv, table=table)) == expected
    ndjson = ["".join(f'{{"id":{k},"v":{v}}}\n' for k, v in rows[n : n + 150_000]) for n in (0, 150_000)]
    assert last_of_each_key(lander.ndjson(*ndjson, table=table)) == expected
    query = "SELECT range % 100 AS id, range AS v FROM range({}, {})"
    parquet = (query.format(0, 150_000), query.format(150_000, 300_000))
    assert last_of_each_key(lander.parquet(*parquet, table=table)) == expected


def test_nothing_of_the_staged_records_is_left_behind(lander):
    lander.ndjson('{"id": 1}\nno record\n')
    lander.csv("id\n1\n2,3\n")
    assert list(lander.base.glob("work*/staged-*")) == []


@pytest.mark.services
def test_types_of_many_csv_columns_take_memory_in_proportion(tmp_path):
    names = [f"c{number}" for number in range(300)]
    line = ",".join(map(str, range(300))) + "\n"
    (tmp_path / "wide.csv").write_text(",".join(names) + "\n" + line * 2000)
    rows, rejected, peak = land_in_a_process(tmp_path, "csv", ELT_CONTRACT_THREADS="2")
    # with buffers of each aggregate for all the others it was 2,700
    assert (rows, rejected, peak < 700) == (2000, 0, True), peak


@pytest.mark.services
def test_long_records_are_staged_and_landed_below_the_limit(tmp_path):
    text = os.urandom(200_000).hex()
    (tmp_path / "long.ndjson").write_text("".join(f'{{"id": {n}, "text": "{text}"}}\n' for n in range(1500)))
    rows, rejected, peak = land_in_a_process(tmp_path, ELT_CONTRACT_THREADS="4", ELT_CONTRACT_MEMORY="500MB")
    # staged in a table they needed more than 1 GB
    assert (rows, rejected, peak < 650) == (1500, 0, True), peak


def test_what_threads_freed_goes_back_and_does_not_add_up_from_step_to_step():
    statements = []

    class Recorded:
        def __init__(self, connection):
            self._connection = connection

        def execute(self, statement):
            statements.append(statement)
            return self._connection.execute(statement)

    with duckdb.connect() as connection:
        memory.set_limit(connection)
        kept = "SELECT value FROM duckdb_settings() WHERE name LIKE 'allocator%threshold'"
        assert {value for (value,) in connection.execute(kept).fetchall()} <= {"1MB", "976.5 KiB"}
        memory.set_threads(Recorded(connection), 10)
        memory.set_threads(Recorded(connection), 10)
    # as many as before or not, each step has threads of its own: the allocator gives back what those of the last kept
    assert [
        statement.startswith("SET threads = 1; SET threads = ") for statement in statements if "SET" in statement
    ] == [True] * 2


@pytest.mark.parametrize("threads", [1, 2, 4, 16])
def test_while_csv_is_read_there_is_room_for_a_row_group_of_each_thread_and_no_more_than_the_limit(threads):
    with duckdb.connect() as connection:
        connection.execute(f"SET threads = {threads}")
        each = memory.row_group_bytes(connection) + 2 * 4_000_000
    limit = memory.limit_bytes()
    assert threads * each < memory.reading_limit(limit, threads, 10, 100, 4_000_000) < limit
    assert memory.reading_limit(50_000_000, threads, 10, 100, 4_000_000) == 50_000_000


def test_where_less_than_the_limit_is_not_enough_for_csv_it_is_read_with_all_of_it(lander, monkeypatch):
    limits = []

    def limit(whole, *_):
        limits.append(whole)
        return 1_000_000  # enough for nothing

    monkeypatch.setattr(memory, "reading_limit", limit)
    landed = lander.csv("a,b\n" + "".join(f"{number},x{number}\n" for number in range(200_000)) + "1,2,3\n")
    assert (landed.manifest.rows, landed.manifest.rows_rejected) == (200_000, 1)
    assert limits


FAILING_COPY = """
import sys, duckdb
from elt_factory.landing import memory
select = "select repeat('x', 200) as a, if(range = 290000, cast('q' || range as int), 1) as b from range(300000)"
for number in range(30):
    with duckdb.connect() as connection:
        memory.set_limit(connection)
        try:
            options = "FORMAT parquet, FILE_SIZE_BYTES '1MB', ROW_GROUP_SIZE 2048"
            connection.execute(f"COPY ({select}) TO '{sys.argv[1]}/{number}' ({options})")
        except duckdb.ConversionException:
            continue
        raise SystemExit("the COPY did not fail")
"""


@pytest.mark.services
def test_a_copy_that_fails_ends(tmp_path):
    """With DuckDB 2.0.0's own writers one in a few never did."""
    subprocess.run([sys.executable, "-c", FAILING_COPY, str(tmp_path)], check=True, timeout=60)
