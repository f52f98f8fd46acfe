"""What the bytes of a file say before it is read: how many lines have something in them, and how they end."""

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from elt_factory.formats import csv_bytes, ndjson

SAME = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
CONTENT = st.lists(st.sampled_from([b"\n", b"\r", b"\r\n", b" ", b"\t\v\f", b"{}", b"a", b"\xef\xbb\xbf"]), max_size=12)


@SAME
@given(CONTENT, st.integers(1, 5))
def test_lines_that_are_not_blank_are_counted(tmp_path, monkeypatch, parts, chunk):
    monkeypatch.setattr(ndjson, "_CHUNK", chunk)
    file = tmp_path / "a.ndjson"
    file.write_bytes(b"".join(parts))
    with file.open("rb") as content:
        assert ndjson._lines(file) == sum(1 for line in content if line.strip())


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
    ("content", "count"), [(b"{}", 1), (b"{}\n", 1), (b"{}\n\n{}\n", 2), (b"\n", 0), (b"", 0), (b" {}\n \n", 1)]
)
def test_only_where_a_line_begins_with_a_blank_each_is_looked_at(tmp_path, content, count):
    file = tmp_path / "a.ndjson"
    file.write_bytes(content)
    assert ndjson._lines(file) == count
    assert ndjson._lines_without_blanks(file) == (None if re.search(rb"^\s", content) or b"\n\n" in content else count)
