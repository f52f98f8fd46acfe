"""The records of CSV files by their bytes: what DuckDB must hold at once, and what it must not lose."""

import csv as csv_module
import io
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from landing_support import columns

from elt_factory.config.models.formats import CsvFormat
from elt_factory.core.failures import AccountingError, BadDataError
from elt_factory.extract.request import Spool
from elt_factory.landing import csv_records, csv_sifting
from elt_factory.landing.csv_records import measured

FIELDS = st.text('a,\n\r" é', max_size=6)


def measure(tmp_path, content, form=None):
    file = tmp_path / "a.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    spool = measured(Spool("csv", (file,), csv=CsvFormat(type="csv", **(form or {}))))
    return spool.longest, spool.counted


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(FIELDS, FIELDS), max_size=6),
    end=st.sampled_from(["\n", "\r\n"]),
    last=st.booleans(),
    chunk=st.integers(3, 9),
)
def test_the_bytes_of_any_file_say_what_a_parser_of_csv_finds(tmp_path, monkeypatch, rows, end, last, chunk):
    monkeypatch.setattr(csv_records, "_CHUNK", chunk)
    lines = []
    for row in [("a", "b"), *rows]:
        text = io.StringIO()
        csv_module.writer(text, lineterminator="\r\n").writerow(row)
        lines.append(text.getvalue().removesuffix("\r\n"))
    content = end.join(lines) + (end if last else "")
    assert measure(tmp_path, content) == (max(len(line.encode()) for line in lines), len(rows))
    form = CsvFormat(type="csv", null_values=("", "a"))
    spool = measured(Spool("csv", (tmp_path / "a.csv",), csv=form))
    looks = csv_sifting._look(tmp_path / "a.csv", 2, form)
    # within quotes the look finds what is none
    assert not spool.tidy or '"' in content or not (looks.surplus or looks.gap)


@pytest.mark.parametrize(
    ("content", "tidy"),
    [
        ("a,b\n1,2\n", True),
        ("a,b\n1,2", True),
        ('a,b\n1,"x,\n\ny"\n', True),
        ("a,b\n1,\n", False),
        ("a,b\n1,", False),
        ("a,b\n\n1,2\n", False),
        ("a,b\n1,NA\n", False),
        ("a,b\r\n1,2\r\n", False),
    ],
)
def test_a_tidy_file_needs_no_other_look(tmp_path, monkeypatch, content, tidy):
    file = tmp_path / "a.csv"
    file.write_text(content, newline="")
    for chunk in (1, 3, 1000):
        monkeypatch.setattr(csv_records, "_CHUNK", chunk)
        assert measured(Spool("csv", (file,), csv=CsvFormat(type="csv", null_values=("", "NA")))).tidy is tidy


@pytest.mark.parametrize("content", ['a,b\n1,2"\n', 'a,b\n"1"x,2\n', 'a,b\n1,"2\n', 'a,b\n1,x""y\n', 'a,b\n1, "2"\n'])
def test_where_a_quote_does_not_enclose_a_whole_field_the_bytes_say_nothing(tmp_path, content):
    assert measure(tmp_path, content) == (None, None)


@pytest.mark.parametrize(
    ("content", "form", "found"),
    [
        ("a,b\n\n1,2\r\n3,4\n", {}, (3, None)),  # some lines end in another way than the others
        ("a\n1\n\n2\n", {}, (1, None)),  # of a single column a blank line is a record
        ("a,b\n\n1,2\n\n\n", {}, (3, 1)),
        ("1,2\r3,4\r", {"header": False}, (3, 2)),
        ("a;b\n1;'x\n;y'\n", {"delimiter": ";", "quote": "'"}, (8, 1)),
        ("é,b\n1,2\n".encode("latin-1"), {"encoding": "latin-1"}, (3, 1)),
        ('\ufeff"a",b\n1,2\n', {}, (5, 1)),
    ],
)
def test_records_are_counted_as_the_file_is_written(tmp_path, content, form, found):
    assert measure(tmp_path, content, form) == found


def test_a_record_that_is_lost_on_the_way_is_an_error_and_nothing_is_landed(lander, monkeypatch):
    content = "a,b\n1,2\n3," + "x" * 12_000_000 + "\n5,6\n"
    assert lander.csv(content, table=columns(a="integer", b="text")).manifest.rows == 3
    # DuckDB passes over a record that is longer than its buffer, and says nothing
    monkeypatch.setattr("elt_factory.landing.land.measured", lambda spool: replace(measured(spool), longest=10))
    with pytest.raises(AccountingError, match="3 records were in the files but 2 reached the contract"):
        lander.csv(content, table=columns(a="integer", b="text"))


def test_a_quote_that_takes_the_rest_of_a_file_is_an_error_and_not_one_reject(lander):
    lines = "".join(f"{number},x\n" for number in range(20_000))
    with pytest.raises(BadDataError, match="a quoted field does not end, and the last"):
        lander.csv(f'a,b\n0,q\n1,"x\n{lines}')
    assert lander.csv('a,b\n0,q\n1,"x\n2,y\n').manifest.rows_rejected == 1
