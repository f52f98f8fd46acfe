"""CSV files that are not what they seem: shifted lines, header lines again, another delimiter, another table."""

import csv as csv_module
import io
import itertools
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from landing_support import Lander, columns
from test_landing_files import read_files

from elt_factory.core.failures import BadDataError

RUNS = itertools.count()
LINE_ENDS = st.sampled_from(["\n", "\r\n"])


@pytest.mark.parametrize(
    ("content", "form", "bad"),
    [
        ("a,b\n1,2\n3,4,\n5,6\n", {}, ["3,4,"]),
        ("a,b\n1,2\n3,,4,,,\n5,6\n", {}, ["3,,4,,,"]),
        ("a,b\r\n1,2\r\n3,4,NA\r\n\r\n5,6", {"null_values": ("", "NA")}, ["3,4,NA"]),
        ('\ufeffa,b\n1,2\n"x\n""y",4,\n5,6\n7,"8,",\n', {}, ['"x\n""y",4,', '7,"8,",']),
        ("a\tb\n1\t2\n3\té\t\n5\t6\n".encode("latin-1"), {"encoding": "latin-1", "delimiter": "\t"}, ["3\té\t"]),
        ("1,2\n3,4,\n5,6\n", {"header": False, "names": ("a", "b")}, ["3,4,"]),
    ],
)
def test_a_line_with_a_field_too_many_is_rejected_also_where_it_is_empty(lander, content, form, bad):
    landed = lander.csv(content, **form)
    assert landed.rows == [{"a": 1, "b": 2}, {"a": 5, "b": 6}]
    assert [json.loads(record)["line"] for _, record in landed.rejects] == bad
    assert all("Expected Number of Columns: 2 Found: " in reason for reason in landed.reasons)


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
@pytest.mark.parametrize(
    "text", ["y" * 20_000, "漢" * 4_000, '"' + 'y,""\n' * 4_000 + '"', 'y"' * 6_000 + "z", ' "y,"  ']
)
def test_a_line_with_a_field_too_many_is_one_reject_however_long_it_is(lander, text, end):
    text = text.replace("\n", end)
    content = end.join(["a,b", "1,2", f"9,{text},", "3,4", f"{text},5,", "6,7"])
    landed = lander.csv(f"\ufeff{content}")
    assert landed.rows == [{"a": 1, "b": 2}, {"a": 3, "b": 4}, {"a": 6, "b": 7}]
    assert len(landed.rejects) == 2


def test_a_field_too_many_of_the_only_column_is_rejected_in_its_file(lander):
    landed = lander.csv("a\n1\n2,\n", "a\n3\n4,5\n", "a\n6\n")
    assert sorted(landed.column("a")) == [1, 3, 6]
    assert landed.reasons == [f"file{n}.csv line 3: Expected Number of Columns: 1 Found: 2" for n in (0, 1)]


def test_quoted_fields_and_empty_last_fields_are_no_surplus(lander):
    assert lander.csv('a,b\n"1,2,3",\n"4\n,5",\n').rejects == []


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.lists(st.text("a, \n\"'", max_size=3), min_size=1, max_size=4), max_size=8), end=LINE_ENDS)
def test_the_good_lines_are_those_of_as_many_fields_as_columns(tmp_path, rows, end):
    text = io.StringIO()
    csv_module.writer(text, lineterminator=end).writerows([["a", "b"], *rows])
    lander = Lander(tmp_path / str(next(RUNS)))
    landed = lander.csv(text.getvalue(), table=columns(a="text", b="text"))
    good = [[value or None for value in row] for row in rows if len(row) == 2 and row != ["a", "b"]]
    assert [[row["a"], row["b"]] for row in landed.rows] == good
    assert len(landed.rejects) == len(rows) - len(good)


@pytest.mark.parametrize("again", ["a,b", '"a", b', "\ufeffa,b"])
def test_a_header_line_again_is_a_reject_and_no_value_of_its_columns(lander, again):
    landed = lander.csv(f"a,b\n1,2\n{again}\n3,4\n")
    assert landed.rows == [{"a": 1, "b": 2}, {"a": 3, "b": 4}]
    assert landed.reasons == ["the line repeats the header"]


def test_a_header_line_is_that_of_its_own_file_and_without_one_there_is_none(lander):
    landed = lander.csv("a,b\nb,a\n", "b,a\na,b\nb,a\n")
    assert (landed.rows, landed.reasons) == (
        [{"a": "b", "b": "a"}, {"a": "b", "b": "a"}],
        ["the line repeats the header"],
    )
    assert len(lander.csv("x,y\nx,y\n", header=False).rows) == 2


@pytest.mark.parametrize("name", ["a", "long"])
def test_a_header_line_again_is_known_by_the_words_for_no_value_too(lander, name):
    landed = lander.csv(f"{name},NA\n1,NA\n{name},NA\n{name},2\n", null_values=("", "NA"), table=columns(NA="text"))
    assert (landed.column(name), landed.column("NA"), len(landed.rejects)) == (["1", name], [None, "2"], 1)


@pytest.mark.parametrize(
    ("content", "form", "found"),
    [
        ("a;b\n1;2\n", {}, ";"),
        ("a;b\n", {}, ";"),
        ("a\tb\n1\t2\n", {}, '"\\t"'),
        ("a,b\n1,2\n", {"delimiter": ";"}, ","),
        ("1|x\n2|y\n", {"header": False}, "|"),
    ],
)
def test_a_file_whose_lines_are_single_fields_names_the_delimiter_that_it_has(lander, content, form, found):
    with pytest.raises(BadDataError, match=r"file0\.csv line 1: .* write delimiter: ") as caught:
        lander.csv(content, **form)
    assert found in str(caught.value).partition("write delimiter: ")[2]


@pytest.mark.parametrize(
    ("content", "form"),
    [
        ('"last, first"\n"x, y"\nz\n', {"delimiter": ";"}),
        ("place, town\nHill 5\nA, B, C\n", {"delimiter": ";"}),
        ("Hill 5, B\nLane 6, C\n", {"delimiter": ";", "header": False, "names": ("place",)}),
    ],
)
def test_a_single_column_may_hold_the_signs_of_other_delimiters(lander, content, form):
    assert len(lander.csv(content, **form).rows) == 2


def put(project: Path, name: str, content: str) -> None:
    (project / "in").mkdir(exist_ok=True)
    (project / "in" / name).write_text(content)


def test_a_file_of_which_all_lines_have_another_delimiter_is_an_error_that_names_it(tmp_path):
    put(tmp_path, "a.csv", "a, in EUR;b\n1;x\n2;y\n")
    with pytest.raises(BadDataError, match=r'src\.tab: a\.csv: all of its 2 records .* write delimiter: ";"'):
        Lander(tmp_path / "land").land(read_files(tmp_path, "a.csv"))


@pytest.mark.parametrize(("good", "loads"), [(9, False), (10, True)])
def test_a_file_of_which_more_than_half_of_the_lines_are_no_records_is_an_error(tmp_path, good, loads):
    put(tmp_path, "a.csv", "a,b\n" + "1,2\n" * good + "x\n" * 10)
    put(tmp_path, "b.csv", "a,b\n" + "1,2\n" + "x\n" * 9)
    lander = Lander(tmp_path / "land")
    if loads:
        assert len(lander.land(read_files(tmp_path, "*.csv")).rows) == 11
        return
    with pytest.raises(BadDataError, match=r"a\.csv: 10 of its 19 records are rejected; .* a\.csv line \d+: Expected"):
        lander.land(read_files(tmp_path, "*.csv"))


def test_a_file_of_other_quotes_is_an_error_that_names_them(tmp_path):
    put(tmp_path, "a.csv", "a,b\n" + "1,'x,y'\n" * 10 + "1,'z'\n" * 5)
    with pytest.raises(BadDataError, match=r"10 of its 15 .* fields are enclosed in ', .* write quote: "):
        Lander(tmp_path / "land").land(read_files(tmp_path, "a.csv"))


@pytest.mark.parametrize("first", ["28/01/2018,$74.69", "1.5,2", "7,8", "a@b.example,2018-01-01"])
def test_a_header_line_that_is_a_record_is_an_error(lander, first):
    with pytest.raises(BadDataError, match=r"file0\.csv line 1: the header holds only numbers.*header: false"):
        lander.csv(f"{first}\n1,2\n")
    assert lander.csv("0,1\n5,6\n").rows == [{"0": 5, "1": 6}]
    assert lander.csv("town,2018\n5,6\n").rows == [{"town": 5, "2018": 6}]


def test_a_space_before_a_name_in_quotes_is_no_part_of_the_name(lander):
    assert lander.csv('a, "b c", d\n1, "x", y\n').rows == [{"a": 1, "b c": "x", "d": " y"}]


def test_values_that_their_columns_cannot_hold_never_fail_a_file_that_has_a_good_row(tmp_path):
    put(tmp_path, "a.csv", "a,b\n1,2\n" + "x,2\n" * 30)
    landed = Lander(tmp_path / "land").land(read_files(tmp_path, "a.csv"), columns(a="integer"))
    assert (len(landed.rows), len(landed.rejects)) == (1, 30)


def test_a_second_table_below_the_first_is_an_error_with_its_line(lander):
    with pytest.raises(BadDataError, match=r"file0\.csv line 6: another table starts here"):
        lander.csv('a,b\n1,"x\n\ny"\n\nname,town\nz,2013-01-01\n')


@pytest.mark.parametrize(
    "content",
    [
        'a,b\n1,"x\n\nname,town\nz,2"\n',  # within a text
        "a,b\n1,x\n\n2,y\n\n",  # records on both sides
        "a,b\n1,x\n\nname,town\n",  # nothing below it
        "a,b\nx,y\n\nname,town\nz,2\n",  # all text above, so that names cannot be told from it
    ],
)
def test_a_blank_line_alone_makes_no_second_table(lander, content):
    assert lander.csv(content).rejects == []


def test_a_file_with_none_of_the_tables_columns_is_an_error(lander):
    message = r"file1\.csv line 1: no column of the table: the file has x, y, and the table has a, b"
    with pytest.raises(BadDataError, match=message):
        lander.csv("a,b\n1,2\n", "x,y\n1,2\n", table=columns(a="integer", b="integer"))
    with pytest.raises(BadDataError, match="no column of the table"):
        lander.csv("x,y\n1,2\n", existing={"a": "integer", "b": "text"})
    assert lander.csv("x,a\n1,2\n", table=columns(a="integer", b="integer")).column("a") == [2]
