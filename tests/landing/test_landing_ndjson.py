"""Reading newline-delimited JSON: SQL text, and where numbers are long."""

import json

import duckdb
import pytest

from elt_factory.landing import ndjson
from elt_factory.landing.ndjson import Lines, longest_line

READING = "hive_partitioning = false, format = 'newline_delimited', compression = 'none', maximum_object_size = 1048576"


def test_objects_are_read_as_they_were_written():
    assert ndjson.objects(Lines(("a", "b[1]"), 5)) == f"read_json_objects(['a', 'b[[]1]'], {READING})"


def test_columns_are_read_as_text():
    assert ndjson.read_columns(Lines(("a",), 5), {"x'y": "VARCHAR", "j": "JSON"}) == (
        f"read_json(['a'], {READING}, records = true, columns = {{'x''y': 'VARCHAR', 'j': 'JSON'}})"
    )


@pytest.mark.parametrize("length", [0, 1, 2**20 - 1, 2**20, 2**20 + 1, 3 * 2**20, 5 * 2**20 + 7])
@pytest.mark.parametrize("before", [b"", b"x\n", b"x\n" * 600_000])
def test_the_longest_line_of_a_file_is_never_taken_for_a_shorter_one(tmp_path, length, before):
    file = tmp_path / "f.ndjson"
    file.write_bytes(before + b"y" * length + b"\nz\n")
    assert length <= longest_line(file) <= max(length, 2**20) + 2**20


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


def test_exact_reading_gives_what_plain_reading_gives(tmp_path):
    records = [
        {"t": "x", "n": 1, "j": {"a": [1.5, "1.5"]}, "b": True},
        {"t": 'q"\\u0001é', "n": None, "j": "text"},
        {"t": "0.12345678901234567", "n": -5, "j": []},
        {},
        {"t": {"nested": 1}, "n": "7", "j": None},
    ]
    file = tmp_path / "f.ndjson"
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    types = {"t": "VARCHAR", "n": "VARCHAR", "j": "JSON", "b": "VARCHAR", "absent": "VARCHAR"}
    with duckdb.connect() as connection:
        plain = connection.execute(f"SELECT * FROM {ndjson.read_columns(Lines.of([file]), types)}").fetchall()
        exact = ndjson.read_exactly(ndjson.objects(Lines.of([file])), types, ndjson.ANY_FIELD, "marker")
        assert connection.execute(f"SELECT * FROM {exact}").fetchall() == plain
