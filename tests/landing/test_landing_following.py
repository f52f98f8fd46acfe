"""A landing that follows its read: the same landing as when all is there, and none where the read fails."""

import json
import random
import signal
import threading
import time
from contextlib import contextmanager
from dataclasses import replace

import duckdb
import pytest
from landing_support import WINDOW, Lander

from elt_factory.config.models.table import Table
from elt_factory.config.models.values import ColumnType
from elt_factory.core.failures import AccountingError, ContractError, SourceUnavailableError
from elt_factory.extract import growing
from elt_factory.extract.growing import Growing
from elt_factory.extract.request import NOTHING_READ, Spool
from elt_factory.landing import csv_stream, following, land, reading
from elt_factory.landing import lines as line_stream
from elt_factory.landing.places import LocalPlace
from elt_factory.landing.request import LandRequest
from elt_factory.landing.schema import KnownTable

GOOD = [{"id": number, "name": f"name {number}", "price": number / 8, "day": "2013-01-05"} for number in range(3000)]


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    """Follow what is read from the first hundred kilobytes on, in batches of a quarter of that."""
    monkeypatch.setattr(growing, "ENOUGH_BYTES", 100_000)
    monkeypatch.setattr(line_stream, "BATCH_BYTES", 25_000)


@pytest.fixture
def follows(tmp_path) -> Lander:
    return Lander(tmp_path / "follows", follows=True)


@pytest.fixture
def followed(monkeypatch) -> list[bool]:
    """Whether each landing of a test used what had gone through the contract before the read had ended."""
    used = []

    def finish(*given):
        found = original(*given)
        used.append(found is not None)
        return found

    original = reading.finish_growing
    monkeypatch.setattr(land, "finish_growing", finish)
    return used


def lines(records) -> str:
    return "".join((record if isinstance(record, str) else json.dumps(record)) + "\n" for record in records)


def changed(number: int, **values) -> list:
    return [record | values if record["id"] == number else record for record in GOOD]


def without(number: int, line: str) -> list:
    return [line if record["id"] == number else record for record in GOOD]


CASES = {
    "healthy": (GOOD, {}, True),
    "declared types, some values bad": (
        changed(2500, price="much"),
        {"columns": {"id": {"type": "integer"}, "price": {"type": "decimal(12,3)"}, "day": {"type": "date"}}},
        True,
    ),
    "a key, each once": (GOOD, {"primary_key": ["id"], "write_disposition": "merge"}, True),
    "a key that comes again": (
        [*GOOD, GOOD[7] | {"name": "newer"}],
        {"primary_key": ["id"], "write_disposition": "merge"},
        True,
    ),
    "a new column late": (changed(2900, added="here"), {}, False),
    "another type late": (changed(2900, name=7), {}, False),
    "a line that is no record late": (without(2900, "{nonsense"), {}, False),
    "a key twice late": (
        without(2900, '{"id": 2900, "id": 1, "name": "a", "price": 1, "day": "2013-01-05"}'),
        {},
        False,
    ),
    "a number of many digits late": (
        without(2900, lines([GOOD[0]]).strip().replace("0.0", "0.12345678901234567")),
        {},
        None,
    ),
    "a long record late": (changed(2900, name="x" * 300_000), {}, False),
    "a condition for rows": (GOOD, {"where": "id < 10"}, False),
    "personal data": (changed(2500, price="much"), {"columns": {"name": {"type": "text", "pii": "hash"}}}, None),
    "times of which some have a zone": (
        [record | {"at": f"2013-01-05T10:00:00{'Z' if record['id'] % 2 else ''}"} for record in GOOD],
        {},
        False,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_the_landing_of_the_same_records_that_are_all_there(lander, follows, followed, case):
    records, table, is_used = CASES[case]
    one, other = (each.ndjson(lines(records), table=table, rows_read=len(records)) for each in (lander, follows))
    assert sorted(map(repr, one.rows)) == sorted(map(repr, other.rows))
    assert sorted(one.rejects) == sorted(other.rejects)
    assert one.types == other.types
    figures = ("rows_read", "rows", "rows_rejected", "rows_duplicate", "rows_filtered", "drift", "columns")
    assert {f: getattr(one.manifest, f) for f in figures} == {f: getattr(other.manifest, f) for f in figures}
    assert is_used is None or followed == ([True] if is_used else [])


def test_a_table_that_is_there_already_keeps_its_types(lander, follows, followed):
    known = {"id": "integer", "name": "text", "price": "decimal(12,3)", "day": "date"}
    one, other = (
        each.ndjson(lines(changed(9, id="none")), existing=known, rows_read=3000) for each in (lander, follows)
    )
    assert one.types == other.types
    assert one.rejects == other.rejects
    assert followed == [True]


def test_a_frozen_table_refuses_the_same_records(lander, follows, followed):
    known = {"id": "integer", "name": "text", "price": "decimal(12,3)", "day": "date"}
    table, said = {"schema_contract": "freeze"}, []
    for each in (lander, follows):
        with pytest.raises(ContractError) as raised:
            each.ndjson(lines(changed(2900, id="none")), table=table, existing=known, rows_read=3000)
        said.append(str(raised.value))
        assert not each.folder.exists()
    assert said[0] == said[1]
    assert followed == [True]


def test_long_records_that_come_late_and_need_a_wider_type_are_read_again(lander, follows):
    long = [GOOD[0] | {"id": 3000 + number, "name": "x" * 30_000, "price": 1.23456} for number in range(60)]
    known = {"id": "integer", "name": "text", "price": "decimal(10,2)", "day": "date"}
    one, other = (each.ndjson(lines([*GOOD, *long]), existing=known, rows_read=3060) for each in (lander, follows))
    assert len(other.rows) == 3060
    assert one.types == other.types
    assert sorted(map(repr, one.rows)) == sorted(map(repr, other.rows))


def test_records_of_several_files_that_grow_at_the_same_time_are_all_landed(follows, followed):
    thirds = [lines(GOOD[start::3]) for start in range(3)]
    landed = follows.ndjson(*thirds, rows_read=3000)
    assert sorted(landed.column("id")) == list(range(3000))
    assert followed == [True]


def test_what_is_not_utf_8_is_rejected_as_ever(lander, follows):
    content = lines(GOOD[:2900]).encode() + b'{"id": 1, "name": "\xff", "price": 1.0, "day": "2013-01-05"}\n'
    one, other = (each.ndjson(content, rows_read=2901) for each in (lander, follows))
    assert len(one.rejects) == 1
    assert one.rejects == other.rejects
    assert sorted(map(repr, one.rows)) == sorted(map(repr, other.rows))


def test_a_line_that_a_follower_lost_ends_the_landing(follows, monkeypatch):
    def but_one(self, most):
        pieces = original(self, most)
        for file, piece in pieces:
            yield file, piece.replace(lines([GOOD[2900]]).encode(), b"")

    original = Growing.pieces
    monkeypatch.setattr(Growing, "pieces", but_one)
    # a second look for rejects finds none: what was lost was good
    with pytest.raises(AccountingError, match="3000 records were read"):
        follows.ndjson(lines(GOOD), rows_read=3000)
    assert not follows.folder.exists()


def request(lander: Lander) -> LandRequest:
    workdir = lander.base / "work"
    workdir.mkdir(parents=True)
    known = KnownTable("src", "tab", Table(), None)
    return LandRequest(known, WINDOW, "L1", NOTHING_READ, lander.place, workdir, lander.told.append)


class Reads:
    """A read of all good records that ends with an error, once the follower has come to its parts."""

    def __init__(self, folder, monkeypatch, error: BaseException | None = None) -> None:
        self.folder, self.error, self.writes = folder, error, threading.Event()
        monkeypatch.setattr(reading, "stage_directly", self._noted(reading.stage_directly))

    def _noted(self, original):
        def noted(*given):
            self.writes.set()
            return original(*given)

        return noted

    def __call__(self, growing: Growing) -> Spool:
        file = self.folder / "records.ndjson"
        file.write_text(lines(GOOD))
        growing.grew(file, file.stat().st_size)
        assert self.writes.wait(30)
        if self.error:
            raise self.error
        return Spool("ndjson", (file,), len(GOOD))


@pytest.mark.parametrize("error", [SourceUnavailableError("gone"), KeyboardInterrupt(), OSError("broken")])
def test_a_read_that_fails_says_its_own_error_and_leaves_nothing(tmp_path, monkeypatch, error):
    lander = Lander(tmp_path)
    with pytest.raises(type(error)) as raised:
        land.land_while_reading(request(lander), Reads(tmp_path, monkeypatch, error))
    assert raised.value is error
    assert not lander.folder.exists()
    assert sorted(path.name for path in (tmp_path / "work").iterdir()) in ([], ["spill"])
    assert not [thread for thread in threading.enumerate() if thread.name == "landing"]


def test_an_error_of_the_follower_that_no_data_can_cause_is_raised(tmp_path, monkeypatch):
    lander, reads = Lander(tmp_path), Reads(tmp_path, monkeypatch)

    def broken(*_):
        reads.writes.set()
        raise ZeroDivisionError

    monkeypatch.setattr(following, "stage_growing", broken)
    with pytest.raises(ZeroDivisionError):
        land.land_while_reading(request(lander), reads)
    assert not lander.folder.exists()


def test_what_the_follower_cannot_do_is_done_when_all_is_there(tmp_path, monkeypatch):
    lander, reads = Lander(tmp_path), Reads(tmp_path, monkeypatch)

    def refused(*_):
        reads.writes.set()
        raise duckdb.IOException("not now")

    monkeypatch.setattr(following, "stage_growing", refused)
    assert land.land_while_reading(request(lander), reads).rows == 3000


def test_a_spool_that_says_more_of_its_records_is_landed_by_what_it_says(tmp_path, monkeypatch):
    lander, reads = Lander(tmp_path), Reads(tmp_path, monkeypatch)
    types = {"id": ColumnType.parse("text")}
    manifest = land.land_while_reading(request(lander), lambda growing: replace(reads(growing), types=types))
    assert {column.name: column.type for column in manifest.columns}["id"] == "text"


def test_a_short_read_is_not_followed(tmp_path, monkeypatch):
    monkeypatch.setattr(following, "stage_growing", None)
    lander = Lander(tmp_path, follows=True)
    assert lander.ndjson(lines(GOOD[:100]), rows_read=100).manifest.rows == 100


def request_of(folder) -> LandRequest:
    work = folder / "work"
    work.mkdir(parents=True)
    known = KnownTable("src", "tab", Table(), None)
    return LandRequest(known, WINDOW, "load", NOTHING_READ, LocalPlace(folder / "landing"), work, lambda _: None)


def test_the_scratch_database_is_opened_while_the_source_is_read(tmp_path, monkeypatch):
    opened, original = threading.Event(), land._scratch

    def opening(request):
        opened.set()
        return original(request)

    def read(_: Growing) -> Spool:
        assert opened.wait(30)
        (tmp_path / "rows").write_text(lines(GOOD[:5]))
        return Spool("ndjson", (tmp_path / "rows",), 5)

    monkeypatch.setattr(land, "_scratch", opening)
    assert land.land_while_reading(request_of(tmp_path), read).rows == 5


def test_a_read_that_fails_leaves_no_scratch_database(tmp_path):
    def read(_: Growing) -> Spool:
        raise SourceUnavailableError("away")

    for number in range(20):
        request = request_of(tmp_path / str(number))
        with pytest.raises(SourceUnavailableError, match="away"):
            land.land_while_reading(request, read)
        assert list(request.workdir.iterdir()) == []
        assert not (tmp_path / str(number) / "landing").exists()
    assert not [thread for thread in threading.enumerate() if thread.name == "landing"]


def test_a_signal_while_the_scratch_database_is_opened_is_raised_when_it_is_closed(tmp_path, monkeypatch):
    class TimeIsOver(BaseException):
        """What a signal raises."""

    def over(*_) -> None:
        raise TimeIsOver

    @contextmanager
    def opening(request):
        with original(request) as opened:
            time.sleep(0.5)
            yield opened

    original = land._scratch
    monkeypatch.setattr(land, "_scratch", opening)
    request = request_of(tmp_path)
    before = signal.signal(signal.SIGALRM, over)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(TimeIsOver):
            land.land_while_reading(request, lambda _: NOTHING_READ)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert list(request.workdir.iterdir()) == []
    assert not [thread for thread in threading.enumerate() if thread.name == "landing"]


def test_without_more_threads_all_is_landed_when_it_is_there(tmp_path, monkeypatch):
    def none_left(_) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(following._Working, "start", none_left)
    assert Lander(tmp_path, follows=True).ndjson(lines(GOOD), rows_read=len(GOOD)).manifest.rows == len(GOOD)


@pytest.mark.parametrize("seed", range(3))
def test_records_in_any_order_with_any_values_make_the_same_landing(lander, follows, seed):
    values = random.Random(seed)
    odd = [None, 7, 1.5, "text", "2013-01-05", True, [1], {"a": 1}, "9" * 20, 10**18, "\u2028", '"']
    records = [record | {"name": values.choice(odd)} if values.random() < 0.002 else record for record in GOOD]
    values.shuffle(records)
    one, other = (each.ndjson(lines(records), rows_read=len(records)) for each in (lander, follows))
    assert sorted(map(repr, one.rows)) == sorted(map(repr, other.rows))
    assert sorted(one.rejects) == sorted(other.rejects)
    assert one.types == other.types


TYPES = {"id": "integer", "name": "text", "price": "decimal(12,3)", "day": "date"}


def rows_of_database(changes=(), count: int = 3000) -> str:
    """CSV as PostgreSQL writes it; a change is the number of a record and what it is."""
    rows = [f"{number},name {number} of a customer,{number / 8},2013-01-05" for number in range(count)]
    for number, row in changes:
        rows[number] = row
    return "\n".join([",".join(TYPES), *rows]) + "\n"


OF_DATABASE = {
    "healthy": ((), {}, True),
    "values that are none, and texts without a letter": ([(7, "7,,,"), (2500, '2500,"",1.5,')], {}, True),
    "texts with line breaks, quotes and commas": (
        [(2000 + n, f'{2000 + n},"a ""b""\n\n, {n}\r\n",,') for n in range(500)],
        {},
        True,
    ),
    "values that do not fit": ([(2500, "2500,a,much,2013-01-05"), (2600, "2600,b,1,infinity")], {}, True),
    "a key that comes again": ([(2500, "7,newer,1,")], {"primary_key": ["id"], "write_disposition": "merge"}, True),
    "a condition for rows": ((), {"where": "id < 10"}, False),
    "personal data": ((), {"columns": {"name": {"type": "text", "pii": "hash"}}}, True),
    "a long record late": ([(2900, f"2900,{'x' * 300_000},,")], {}, False),
    "a record that is longer than a piece late": ([(2900, f'2900,"{"x" * 20 + chr(10)}{"y" * 30_000}",,')], {}, False),
    "another type in the config": ((), {"columns": {"id": {"type": "text"}}}, True),
}


@pytest.mark.parametrize("case", OF_DATABASE)
def test_rows_of_a_database_are_those_of_the_same_file_that_is_all_there(lander, follows, followed, case):
    changes, table, is_used = OF_DATABASE[case]
    content = rows_of_database(changes)
    one, other = (each.of_database(content, types=TYPES, rows_read=3000, table=table) for each in (lander, follows))
    assert sorted(map(repr, one.rows)) == sorted(map(repr, other.rows))
    assert sorted(one.rejects) == sorted(other.rejects)
    assert one.types == other.types
    figures = ("rows_read", "rows", "rows_rejected", "rows_duplicate", "rows_filtered", "drift", "columns")
    assert {f: getattr(one.manifest, f) for f in figures} == {f: getattr(other.manifest, f) for f in figures}
    assert followed == ([True] if is_used else [])


def test_a_text_of_a_database_that_is_not_utf_8_is_rejected_as_ever(lander, follows, followed):
    content = rows_of_database().encode().replace(b"name 2900 ", b"na\xffme ")
    one, other = (each.of_database(content, types=TYPES, rows_read=3000) for each in (lander, follows))
    assert len(one.rejects) == 1
    assert one.rejects == other.rejects
    assert sorted(map(repr, one.rows)) == sorted(map(repr, other.rows))
    assert followed == []


def test_a_single_column_of_a_database_keeps_its_rows_without_a_value(lander, follows, followed):
    values = ["", '""', '"\\."', "7", '"a\nb"'] * 8000
    content = "a\n" + "".join(f"{value}\n" for value in values)
    one, other = (each.of_database(content, types={"a": "text"}, rows_read=40_000) for each in (lander, follows))
    assert sorted(map(repr, one.column("a"))) == sorted(map(repr, other.column("a")))
    assert other.column("a").count(None) == 8000
    assert followed == [True]


def test_parts_of_a_table_each_with_its_header_line_are_all_landed(follows, followed):
    names = ["id", 'a "b", c', "x;y"]
    header = 'id,"a ""b"", c",x;y\n'
    parts = [header + "".join(f'{n},"{n}\n",\n' for n in range(part, 9000, 3)) for part in range(3)]
    types = dict(zip(names, ("integer", "text", "text"), strict=True))
    landed = follows.of_database(*parts, types=types, rows_read=9000)
    assert sorted((row["id"], row[names[1]]) for row in landed.rows) == [(n, f"{n}\n") for n in range(9000)]
    assert followed == [True]


def test_a_file_with_another_header_than_its_reader_described_is_not_taken_as_followed(follows, monkeypatch):
    contents = rows_of_database().replace("id,name", "name,id", 1)
    landed = follows.of_database(contents, types=TYPES, rows_read=3000)
    # by the names of the file
    assert landed.manifest.rows == 0
    assert len(landed.rejects) == 3000


def test_a_record_that_a_follower_cuts_in_two_ends_the_landing_or_is_read_again(lander, follows, followed, monkeypatch):
    monkeypatch.setattr(csv_stream, "end_of_records", growing.end_of_lines)
    content = rows_of_database([(n, f'{n},"a\n{n},b,1,\n",,') for n in range(1000, 3000)])
    one, other = (each.of_database(content, types=TYPES, rows_read=3000) for each in (lander, follows))
    assert sorted(map(repr, one.rows)) == sorted(map(repr, other.rows))
    assert followed == []


@pytest.mark.parametrize("seed", range(4))
def test_rows_of_a_database_with_any_values_make_the_same_landing(lander, follows, seed):
    values = random.Random(seed)
    odd = [
        "",
        '""',
        '"\n"',
        '"a""b"',
        '",,"',
        "\u2028",
        " x ",
        "NULL",
        "1e5",
        "-",
        "9" * 20,
        '"\r"',
        "\\.",
        "\\N",
        "\t",
    ]
    rows = [
        ",".join(values.choice(odd) if values.random() < 0.05 else str(number) for _ in TYPES) for number in range(3000)
    ]
    content = "\n".join([",".join(TYPES), *rows]) + "\n"
    one, other = (each.of_database(content, types=TYPES, rows_read=3000) for each in (lander, follows))
    assert sorted(map(repr, one.rows)) == sorted(map(repr, other.rows))
    assert sorted(map(str, one.rejects)) == sorted(map(str, other.rejects))


@pytest.mark.parametrize(
    ("chunk", "end"),
    [(b"a,b\nc", 4), (b'a,"b\n', None), (b'a\n"b\nc', 2), (b'"a\nb"\n"c\n""\n', 6), (b'"a""\n"\nb', 7), (b"a", None)],
)
def test_pieces_of_csv_end_where_all_quotes_are_closed(chunk, end):
    if end is None:
        with pytest.raises(line_stream.BrokenLinesError):
            csv_stream.end_of_records(chunk)
    else:
        assert csv_stream.end_of_records(chunk) == end
