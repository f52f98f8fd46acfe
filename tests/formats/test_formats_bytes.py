"""What the bytes of a file say before it is read: how many lines have something in them, and how they end."""

import re
import tracemalloc
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from elt_factory.config.models.formats import CsvFormat
from elt_factory.extract import line_looks
from elt_factory.extract.line_looks import LONG, LineLook, look_at
from elt_factory.formats import csv_bytes, ndjson
from elt_factory.formats.csv_records import json_records
from elt_factory.formats.fixed_width import FixedWidthFormat
from elt_factory.formats.fixed_width import _records as fixed_width_records
from elt_factory.landing import limits

SAME = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
CONTENT = st.lists(st.sampled_from([b"\n", b"\r", b"\r\n", b" ", b"\t\v\f", b"{}", b"a", b"\xef\xbb\xbf"]), max_size=12)


@SAME
@given(CONTENT, st.integers(1, 5), st.integers(1, 30))
def test_one_look_at_a_file_counts_lines_that_are_not_blank_and_finds_the_longest(
    tmp_path, monkeypatch, parts, block, stretch
):
    monkeypatch.setattr(line_looks, "_BLOCK", block)
    monkeypatch.setattr(line_looks, "_STRETCH", stretch)
    file = tmp_path / "a.ndjson"
    content = b"".join(parts)
    file.write_bytes(content)
    lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    count, longest = sum(1 for line in lines if line.strip()), max(map(len, lines))
    is_text = content.decode(errors="replace").encode() == content
    assert look_at(file) == LineLook(count, longest, are_long=False, is_text=is_text)


@pytest.mark.parametrize("piece", ["x", "\u00e9", "\U0001f600", b"\xc3", b"\xff"])
@pytest.mark.parametrize("block", [1, 2, 3, 7])
def test_a_look_at_a_file_finds_what_is_not_text_over_its_blocks(tmp_path, monkeypatch, piece, block):
    monkeypatch.setattr(line_looks, "_BLOCK", block)
    file = tmp_path / "a.ndjson"
    for content in (b"{}\n%s\n", b"a%s", b"%s", b"%sx\n"):
        file.write_bytes(content % (piece.encode() if isinstance(piece, str) else piece))
        assert look_at(file).is_text is isinstance(piece, str)


@pytest.mark.parametrize(("length", "are_long"), [(LONG // 2, False), (2 * LONG, True)])
def test_lines_are_long_where_a_stretch_has_few_of_them(tmp_path, length, are_long):
    file = tmp_path / "a.ndjson"
    file.write_bytes(b"{}\n" * 500_000 + (b"x" * (length - 1) + b"\n") * (2**22 // length) + b"{}\n" * 500_000)
    assert look_at(file).are_long is are_long
    # one among others is not
    file.write_bytes(b"{}\n" * 500_000 + b"x" * 2**18 + b"{}\n" * 500_000)
    assert not look_at(file).are_long


@SAME
@given(CONTENT, st.integers(1, 5))
def test_a_file_has_mixed_ends_where_it_has_two_of_them(tmp_path, monkeypatch, parts, chunk):
    monkeypatch.setattr(csv_bytes, "_CHUNK", chunk)
    file = tmp_path / "a.csv"
    content = b"".join(parts)
    file.write_bytes(content)
    ends = set(re.findall(b"\r\n|\r|\n", content))
    # a return at the very end may be half of an end
    undecided = content.endswith(b"\r") and b"\r" not in set(re.findall(b"\r\n|\r|\n", content[:-1]))
    assert csv_bytes._has_mixed_ends(file) == (len(ends - {b"\r"} if undecided else ends) > 1)


@pytest.mark.parametrize(
    ("content", "count", "looks_again"),
    [
        (b"{}", 1, False),
        (b"{}\n", 1, False),
        (b"{}\n\n{}\n", 2, True),
        (b"\n", 0, True),
        (b"", 0, False),
        (b" {}\n \n", 1, True),
    ],
)
def test_only_where_a_line_begins_with_a_blank_each_is_looked_at(tmp_path, monkeypatch, content, count, looks_again):
    file, asked = tmp_path / "a.ndjson", []
    filled = line_looks._filled
    monkeypatch.setattr(line_looks, "_filled", lambda file: asked.append(file) or filled(file))
    file.write_bytes(content)
    assert look_at(file).count == count
    assert bool(asked) is looks_again


@pytest.mark.parametrize("blanks", ["\n", "\r\n", "  \n\n", ""])
def test_a_line_of_nothing_but_a_byte_order_mark_is_blank(tmp_path, blanks):
    file = tmp_path / "a.ndjson"
    file.write_bytes(b"\xef\xbb\xbf" + blanks.encode() + b'{"a": 1}\n')
    assert look_at(file).count == 1


@pytest.fixture
def one_line(tmp_path, monkeypatch):
    """A file of which the second of three lines has 20 MB, where a record may have one."""
    monkeypatch.setattr(limits, "RECORD_BYTES", 1024 * 1024)
    file = tmp_path / "a.txt"
    with file.open("wb") as content:
        content.write(b"000,1\n345,2")
        for _ in range(20):
            content.write(b",34567" * 174_763)
        content.write(b"\n888,9")
    return file


def csv_by_record(file):
    form = CsvFormat(type="csv", trim=True, header=False)
    return [getattr(record, "why", "") for record in json_records(file, "a.txt", form, Counter())]


def fixed_width(file):
    form = FixedWidthFormat(type="fixed_width", fields={"a": 5})
    return [getattr(record, "why", "") for record in fixed_width_records(form, file, "utf-8")]


@pytest.mark.parametrize(
    ("read", "found"),
    [
        (csv_by_record, ["", "line 2: a line is longer than any record may be", ""]),
        (fixed_width, ["", "line 2: longer than any record may be, expected 5 characters", ""]),
        (ndjson.is_array, False),
    ],
)
def test_a_line_that_is_as_long_as_the_file_takes_no_more_memory_than_a_record(one_line, read, found):
    tracemalloc.start()
    try:
        assert read(one_line) == found
        assert tracemalloc.get_traced_memory()[1] < 10 * 1024 * 1024
    finally:
        tracemalloc.stop()
