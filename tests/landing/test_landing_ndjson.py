"""Reading newline-delimited JSON: SQL text, and where numbers are long."""

import json
from pathlib import Path

import duckdb
import pytest

from elt_factory.core.sql_text import identifier
from elt_factory.landing import limits, lines, ndjson
from elt_factory.landing.file_names import PATH, ROW

PLACE = f"{identifier(PATH)}, {identifier(ROW)}"


def offered(*files):
    connection = duckdb.connect()
    lines.offer(connection, files)
    return connection


@pytest.mark.parametrize("length", [0, 1, 2**20 - 1, 2**20, 2**20 + 1, 3 * 2**20, 5 * 2**20 + 7])
@pytest.mark.parametrize("before", [b"", b"x\n", b"x\n" * 600_000])
def test_the_longest_line_of_a_file_is_never_taken_for_a_shorter_one(tmp_path, length, before):
    file = tmp_path / "f.ndjson"
    file.write_bytes(before + b"y" * length + b"\nz\n")
    with duckdb.connect() as connection:
        assert length <= lines.offer(connection, [file]).longest <= max(length, 2**20) + 2**20


LONG = ["0.1234567890123456", "1234567890.1234567", "1234567890123456e5", "-12345678901234567.5"]
SHORT = ["0.12345678", "1234567.12345", "1.5e300", "12345678901234567890", '"12345678901234567890"', "null"]


@pytest.mark.parametrize(("numbers", "long"), [(LONG, True), (SHORT, False)])
def test_long_numbers_are_told_from_others(numbers, long):
    with duckdb.connect() as connection:
        for number in numbers:
            for names in (["v", "w"], ndjson.ANY_FIELD):
                record = json.dumps(f'{{"v": {number}}}')[1:-1].replace('\\"', '"')
                found = connection.execute(
                    f"SELECT {ndjson.has_long_number(names)} FROM (SELECT ? AS json)", [record]
                ).fetchall()[0][0]
                assert found == long, number


def test_a_long_number_of_another_field_does_not_count():
    with duckdb.connect() as connection:
        record = '{"lat": 58.24591382096589, "v": 1.5}'
        condition = ndjson.has_long_number(["v", "a.b", "ü"])
        assert connection.execute(f"SELECT {condition} FROM (SELECT ? AS json)", [record]).fetchall() == [(False,)]


@pytest.mark.parametrize("gap", [0, 1, ndjson._CHUNK - 20, ndjson._CHUNK - 10, ndjson._CHUNK - 1])
def test_a_long_number_is_seen_across_the_pieces_a_file_is_read_in(tmp_path, gap):
    file = tmp_path / "f"
    file.write_bytes(b" " * gap + b"0.12345678901234567" + b" " * 50)
    assert ndjson.may_have_long_numbers([file])
    file.write_bytes(b" " * gap + b"0.12345678901234" + b" " * 50)
    assert not ndjson.may_have_long_numbers([file])


RECORDS = [
    {"t": "x", "n": 1, "j": {"a": [1.5, "1.5"]}, "b": True},
    {"t": 'q"\\u0001é', "n": None, "j": "text"},
    {"t": "0.12345678901234567", "n": -5, "j": []},
    {},
    {"t": {"nested": 1}, "n": "7", "j": None},
]


def test_exact_reading_gives_what_plain_reading_gives(tmp_path):
    file = tmp_path / "f.ndjson"
    file.write_text("".join(json.dumps(record) + "\n" for record in RECORDS))
    types = {"t": "VARCHAR", "n": "VARCHAR", "j": "JSON", "b": "VARCHAR", "absent": "VARCHAR"}
    with offered(file) as connection:
        plain = connection.execute(f"SELECT * FROM {ndjson.read_columns(types)}").fetchall()
        exact = ndjson.read_exactly(types, ndjson.ANY_FIELD, "marker")
        assert connection.execute(f"SELECT * FROM {exact}").fetchall() == plain
        assert plain[0] == ("x", "1", '{"a":[1.5,"1.5"]}', "true", None)


@pytest.mark.parametrize("size", [1, 7, 64, 2**20])
def test_lines_come_whole_in_their_order_each_with_its_file_and_its_number(tmp_path, monkeypatch, size):
    monkeypatch.setattr(lines, "BATCH_BYTES", size)
    texts = ["\ufeff1\n22\n\n   \n{}", "", "\n", "333\r\n" + "4" * 100 + "\n5\n", "6"]
    files = [tmp_path / f"{number}.ndjson" for number in range(len(texts))]
    for file, text in zip(files, texts, strict=True):
        file.write_text(text, encoding="utf-8", newline="")
    with offered(*files) as connection:
        rows = connection.execute(f"SELECT trim(json, chr(13) || chr(10)), {PLACE} FROM {lines.LINES}").fetchall()
    assert [text for text, _, _ in rows] == ["1", "22", "{}", "333", "4" * 100, "5", "6"]
    assert [Path(path) for _, path, _ in rows] == [files[i] for i in (0, 0, 0, 3, 3, 3, 4)]
    numbers = [number for _, _, number in rows]
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize("broken", [b'{"a": "\xff"}\n', b"x" * (limits.RECORD_BYTES + 1)])
def test_lines_that_are_no_text_or_too_long_are_never_shown_to_duckdb(tmp_path, broken):
    file = tmp_path / "f.ndjson"
    file.write_bytes(b"{}\n" + broken)
    with pytest.raises(lines.BrokenLinesError):
        offered(file)


def test_a_record_with_a_key_twice_or_that_is_no_object_has_no_keys(tmp_path):
    file = tmp_path / "f.ndjson"
    for line, keys in [('{"b": 1, "a": {"c": 1}}', ["b", "a"]), ("{}", []), ("[1]", [None]), ("null", [None])]:
        file.write_text(line)
        with offered(file) as connection:
            assert [row[0] for row in connection.execute(ndjson.shapes()).fetchall()] == keys
    file.write_text('{"z": 1}\n{"b": 1, "a": 2}\n{"a": 1, "a": 2}\n{"a": 1}\n')
    with offered(file) as connection:
        assert {None, "z", "b"} <= {row[0] for row in connection.execute(ndjson.shapes()).fetchall()}
