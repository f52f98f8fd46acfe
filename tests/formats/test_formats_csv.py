"""CSV in every dialect: what the YAML says of it, and what `elt new` finds out by itself."""

import json
from collections import Counter

import pytest

from elt_factory.config.errors import ConfigError
from elt_factory.config.models.formats import CsvFormat
from elt_factory.core.failures import BadDataError
from elt_factory.extract.csv_text import records
from elt_factory.extract.sniffing import keys_of, sniffed
from elt_factory.formats import csv_bytes
from elt_factory.formats.csv_records import json_records, repaired
from elt_factory.testing.formats import FormatSuite
from elt_factory.testing.loads import WEEK, Line, source_of


class TestCsvInAnotherDialect(FormatSuite):
    form = {
        "type": "csv",
        "delimiter": "|",
        "quote": "'",
        "escape": "\\",
        "skip_lines": 2,
        "footer_lines": 1,
        "comment": "#",
        "trim": True,
        "skip_blank": True,
        "fill_short": True,
        "trailing_delimiter": True,
        "repair_names": True,
        "encoding": "windows-1252",
    }
    content = (
        b"Report of January\r\n|||\r\n"
        b"id | name | name ||\r\n"
        b" 1 | 'caf\xe9 \\'s | x\r\ny' | a | 1.50 |\r\n"
        b"# by hand\r\n\r\n|||\r\n"
        b"2|b\r\n"
        b"3|'c' d|e|f\r\n"
        b"4|a|b|c|d|e\r\n"
        b"id | name | name ||\r\n"
        b"total|4\r\n"
    )
    rows = [
        {"id": 1, "name": "café 's | x\r\ny", "name_2": "a", "column_4": 1.5},
        {"id": 2, "name": "b", "name_2": None, "column_4": None},
    ]
    rejected = 3
    unreadable = b"%PDF-1.7\n"
    ending = ".data"


@pytest.fixture
def line(tmp_path):
    """A line whose source is one CSV file."""

    def of(content, columns=None, **form):
        folder = tmp_path / "in"
        folder.mkdir(exist_ok=True)
        (folder / "a.csv").write_bytes(content)
        table = {"path": "a.csv", "format": {"type": "csv", **form}, "columns": columns or {}}
        config = {"name": "src", "extract": {"type": "files", "folder": "in"}, "tables": {"tab": table}}
        return Line(source_of(config, tmp_path), None, tmp_path, lambda _: None)

    return of


def loaded(line):
    line.load(WEEK)
    return sorted((tuple(row.values()) for row in line.rows()), key=repr)


@pytest.mark.parametrize(
    ("form", "content", "rows"),
    [
        ({"delimiter": "||"}, b'a||b\n1||x|y\n2||"p||q"\n', [(1, "x|y"), (2, "p||q")]),
        ({"quote": ""}, b'a,b\n1,"x\n2,y"z\n', [(1, '"x'), (2, 'y"z')]),
        ({"delimiter": " ", "trim": True}, b"a    b\n1    x\n22 y\n", [(1, "x"), (22, "y")]),
        ({"header": False, "names": ["p", "q"], "skip_lines": 1}, b"title\n1,x\n", [(1, "x")]),
        ({"header_lines": 2}, b"a,b\n,km\n1,5\n", [(1, 5)]),
        ({"encoding": "shift_jis"}, "a,b\n1,日本\n".encode("shift_jis"), [(1, "日本")]),
        ({"encoding": "utf-16", "skip_lines": 1}, "t\na,b\n1,é\n".encode("utf-16"), [(1, "é")]),
        ({"skip_lines": 1}, b'title\na,b\n1,""\n2,\n', [(1, ""), (2, None)]),
        ({"skip_lines": 1}, b"title\ra,b\r1,x\r", [(1, "x")]),
    ],
)
def test_a_dialect_is_read_as_the_yaml_says(line, form, content, rows):
    assert loaded(line(content, **form)) == rows


@pytest.mark.parametrize(
    ("form", "key", "message"),
    [
        ({"delimiter": "€"}, "delimiter", 'latin-1 has no "€"'),
        ({"quote": "‖"}, "quote", 'latin-1 has no "‖"'),
    ],
)
def test_a_sign_that_the_encoding_lacks_is_an_error_of_the_config_with_its_place(line, form, key, message):
    with pytest.raises(ConfigError, match=message) as error:
        line(b"a\n1\n", encoding="latin-1", **form)
    (problem,) = error.value.problems
    config = problem.position.file.read_text().splitlines()
    assert f"{key}:" in config[problem.position.line - 1][: problem.position.column]


def test_a_second_header_line_is_part_of_the_names(line):
    one = line(b"a,Distance\n,km\n1,5\n", header_lines=2)
    one.load(WEEK)
    assert one.rows() == [{"a": 1, "Distance km": 5}]


@pytest.mark.parametrize(
    ("form", "content", "message"),
    [
        ({"skip_lines": 1}, b"t\na,a\n1,2\n", "a.csv line 2: column a is repeated; hint: add repair_names: true"),
        ({"skip_lines": 1}, b"t\na,\n1,2\n", "a.csv line 2: column without a name; hint: add repair_names: true"),
        ({"comment": "#", "header": False, "names": ["x"]}, b"1,2\n", "a.csv line 1: 2 fields but 1 names"),
        ({"trim": True}, b'a,"b\n1,2\n', "a.csv line 1: a quoted field does not end"),
    ],
)
def test_a_header_that_is_none_is_an_error_with_its_line(line, form, content, message):
    with pytest.raises(BadDataError, match=rf"src\.tab: {message}"):
        line(content, **form).load(WEEK)


def test_a_quote_that_is_never_closed_costs_its_own_line_alone(line):
    one = line(b't\na,b\n1,"x\n' + b"2,y\n" * 20_000, skip_lines=1)
    report = one.load(WEEK)
    assert (report.rows_loaded, report.rows_rejected) == (20_000, 1)
    with one.warehouse() as warehouse:
        (reject,) = warehouse.query("SELECT reason, record FROM _elt.rejects").rows
    assert reject == ("a.csv line 3: a quoted field does not end", '{"line":"1,\\"x"}')


def test_bytes_that_are_not_of_the_encoding_cost_their_own_line_alone(line):
    report = line(b"t\na,b\n1,caf\xe9\n2,x\n", skip_lines=1).load(WEEK)
    assert (report.rows_loaded, report.rows_rejected) == (1, 1)


def test_names_are_repaired_until_each_is_its_own():
    found = repaired(["a", "A", "", "a_2", "a"])
    assert (found[0], found[2], found[3]) == ("a", "column_3", "a_2")
    assert len({name.casefold() for name in found}) == 5


@pytest.mark.parametrize("name", ["latin-1", "ISO-8859-1", "latin1", "l1"])
def test_an_encoding_has_many_names(name):
    assert CsvFormat(type="csv", encoding=name).encoding == "latin-1"


@pytest.mark.parametrize(
    ("content", "keys"),
    [
        (b"a;b\n1;x\n2;y\n", {"delimiter": ";"}),
        (b"a\tb\n1\tx\n", {"delimiter": "\t"}),
        (b"a b c\n1 2 3\n4 5 6\n", {"delimiter": " "}),
        (b"a,b\n1,'x,y'\n2,'z'\n", {"quote": "'"}),
        (b'a,b\n1,"x\\"y"\n2,"z,q"\n', {"escape": "\\"}),
        (b'a, b\n1, "x,y"\n2, "z"\n', {"trim": True}),
        (b"Report\n\na,b\n1,x\n2,y\n", {"skip_lines": 2}),
        (b"Report,,\n,,\na,b,c\n1,x,2\n2,y,3\n", {"skip_lines": 2}),
        (b"a,b,c\n1,x,2\n2,y,3\n4,z,5\nTotal 10\n", {"footer_lines": 1}),
        (b"a,b\n1,2\n,\n3,4\n", {"skip_blank": True}),
        (b"a,b\n1,2,\n3,4,\n5,6,\n", {"trailing_delimiter": True}),
        (b"a,,a\n1,2,3\n", {"repair_names": True}),
        (b"a,b,c\n1,2\n3,4,5\n6,7\n8,9,10\n", {"fill_short": True}),
        (b"1,2013-01-01\n2,2013-01-02\n", {"header": False}),
        (b"place,2012,2013\nx,1,2\ny,3,4\n", {}),
        (b"a,b\n1,caf\xe9\n", {"encoding": "latin-1"}),
        (b"a,b\n1,\x93x\x94\n", {"encoding": "cp1252"}),
        (b"a,b\n1,2\n3,caf\xe9", {"encoding": "latin-1"}),
        (b"a,Length\n,km\n1,2\n3,4\n", {"header_lines": 2}),
        # the only record, whose first field is empty
        (b"a,Length\n,km\n", {}),
    ],
)
def test_elt_new_finds_how_a_file_is_written(content, keys):
    found = keys_of(sniffed(content, whole=True).form)
    expected = {"type": "csv", "delimiter": ",", **keys}
    assert {key: found.get(key) for key in expected} == expected
    assert set(found) <= {*expected, "trim", "repair_names"}


@pytest.mark.parametrize(
    "content",
    [
        b"a,b,c\n1,2,3\n4,5,6,\n7,8,9\n",
        b"a,b,c\n1,2,3\n4,5,6\nx,y\n1,2\n3,4\n5,6\n7,8\n",
        b"a,b,c\n" + b"1,2,3\n" * 40 + b"p,q,r,s\n" + b"1,2,3,4\n" * 60,
    ],
)
def test_what_may_be_another_table_or_a_shifted_line_is_not_made_to_fit(line, content):
    form = keys_of(sniffed(content, whole=True).form)
    form.pop("type")
    try:
        report = line(content, **form).load(WEEK)
    except BadDataError:
        return
    assert report.rows_rejected


def test_a_file_in_another_dialect_than_the_yaml_says_is_an_error_with_what_to_write(line):
    content = b"Report of January\n\nid,name,n\n" + b"1,a,5\n" * 20
    with pytest.raises(BadDataError, match=r"it looks like format: {type: csv, delimiter: \",\", skip_lines: 2}"):
        line(content).load(WEEK)


@pytest.mark.parametrize(
    ("content", "what"), [(b"a,a\n1,2\n", "column a is repeated"), (b"a,\n1,2\n", "without a name")]
)
def test_names_that_are_not_names_say_how_they_are_repaired(line, content, what):
    with pytest.raises(BadDataError, match=rf"line 1: .*{what}; hint: add format.repair_names: true"):
        line(content).load(WEEK)
    assert line(content, repair_names=True).load(WEEK).rows_loaded == 1


GERMAN = b"id;amount;count;version;note\n1;1.234,50;1.000;1.2;a\n2;-0,5;12;1.3;1,x\n3;;1.234.567;1.4;b\n"


@pytest.mark.parametrize("more", [{}, {"trim": True}])
def test_numbers_have_the_signs_that_the_yaml_says(line, more):
    one = line(GERMAN, delimiter=";", decimal=",", thousands=".", **more)
    one.load(WEEK)
    rows = sorted(one.rows(), key=lambda row: row["id"])
    assert [row["amount"] for row in rows] == [1234.5, -0.5, None]
    assert [row["count"] for row in rows] == [1000, 12, 1234567]
    # what is not a number by these signs is text, and not another number
    assert [row["version"] for row in rows] == ["1.2", "1.3", "1.4"]
    assert [row["note"] for row in rows] == ["a", "1,x", "b"]


def test_a_number_with_other_signs_than_those_of_the_yaml_is_a_reject_with_its_text(line):
    content, columns = b"id;amount\n1;1,5\n2;1.5\n3;1.500\n", {"amount": {"type": "float"}}
    one = line(content, columns, delimiter=";", decimal=",", thousands=".")
    report = one.load(WEEK)
    assert (report.rows_loaded, report.rows_rejected) == (2, 1)
    assert sorted(row["amount"] for row in one.rows()) == [1.5, 1500.0]
    with one.warehouse() as warehouse:
        (reject,) = warehouse.query("SELECT reason, record FROM _elt.rejects").rows
    assert '"1.5"' in reject[0]


@pytest.mark.parametrize(
    ("content", "keys"),
    [
        (GERMAN.replace(b"1.2;", b"v;").replace(b"1.3;", b"v;").replace(b"1.4;", b"v;"), (",", ".")),
        (b"a;b\n1;2,5\n2;3,25\n", (",", None)),
        (b"a;b\n1;2.5\n2;3,25\n", (".", None)),
        (b"a;b\n1;2.500\n", (".", None)),
        (b"a,b\n1,2.5\n", (".", None)),
    ],
)
def test_elt_new_finds_the_signs_of_numbers_only_where_they_are_sure(content, keys):
    form = sniffed(content, whole=True).form
    assert (form.decimal, form.thousands) == keys


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("city", ["New York", "Boston", "Los Angeles", "Salt Lake City", "Chicago", "San Francisco", "Oslo"]),
        ("Job Title", ["Assistant", "Deputy Head", "Head of Sales", "Clerk"]),
        ("name", ["Ann Smith", "Bob Jones", "Cid Brown"]),
        ("note", ["good", "fine", "so, so", "bad; very", "none", "of use"]),
        ("v", ["01:02:03", "01:02:04", "2020-01-01 01:02:03"]),
    ],
)
@pytest.mark.parametrize("ending", [b"\n", b""])
def test_elt_new_leaves_the_values_of_one_column_whole(line, name, values, ending):
    content = "\n".join([name, *values]).encode() + ending
    one = line(content, **keys_of(sniffed(content, whole=True).form))
    assert one.load(WEEK).rows_loaded == len(values)
    assert sorted(row[name] for row in one.rows()) == sorted(values)


@pytest.mark.parametrize("names", [b"", b"a\tb\tc\n"])
def test_a_first_line_with_a_quote_that_does_not_end_is_a_record_and_no_title(line, names):
    content = names + b'1\t"so\t2\n' + b"2\tx\t3\n" * 9
    form = keys_of(sniffed(content, whole=True).form)
    report = line(content, **form).load(WEEK)
    assert report.rows_read == 10
    assert report.rows_loaded + report.rows_rejected == 10


def test_bytes_that_latin_1_has_no_characters_for_are_an_error_with_their_line(line):
    content = b"a,b\n1,caf\xe9\n2,\x83T\x81i\n"
    why = r"src\.tab: a\.csv line 3: the byte 83 is not a character of latin-1; set format\.encoding"
    with pytest.raises(BadDataError, match=why):
        line(content, **keys_of(sniffed(content, whole=True).form)).load(WEEK)


def test_a_title_with_quotes_is_left_out():
    keys = keys_of(sniffed(b'"Sales" of "all"\na,b\n' + b'1,"x"\n' * 9, whole=True).form)
    assert (keys["skip_lines"], "quote" in keys) == (1, False)


def test_a_code_with_a_leading_zero_and_spaces_around_it_keeps_its_zero(line):
    one = line(b"place;n\n 001 ;1\n 002 ;2\n", delimiter=";")
    one.load(WEEK)
    assert sorted(row["place"].strip() for row in one.rows()) == ["001", "002"]


def test_elt_new_takes_times_below_their_name_for_one_column():
    content = b"at\n" + b"2020-01-01 01:02:03\n" * 9
    assert keys_of(sniffed(content, whole=True).form) == {"type": "csv", "delimiter": ","}


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("id;note\n" + "".join(f"{n}\n" for n in range(20)) + "21;seen\n", ["id", "note"]),
        ("id\tnote\n1\n2\n3\n4\tx\n5\n", ["id", "note"]),
        ("#data\nx y z\n1 2 3\n4 5 6\n7 8 9\n", ["x", "y", "z"]),
        ("data\nx y z\n1 2 3\n4 5 6\n7 8 9\n", ["x", "y", "z"]),
        ("#data\nname city n\nann rome 1\nbob oslo 2\n", ["name", "city", "n"]),
    ],
)
def test_elt_new_finds_columns_whose_names_a_line_has(line, content, names):
    one = line(content.encode(), **keys_of(sniffed(content.encode(), whole=True).form))
    assert one.load(WEEK).rows_rejected == 0
    assert list(one.rows()[0]) == names


def test_elt_new_finds_columns_that_are_filled_up_with_spaces():
    rows = "".join(f"{n:<5}{f'a{n}':<7}{n * 2}\n" for n in range(60))
    keys = {"type": "csv", "delimiter": " ", "trim": True}
    assert keys_of(sniffed(f"id   name   n\n{rows}".encode(), whole=True).form) == keys


def test_a_short_last_record_is_no_footer():
    def keys(last):
        text = "id,name,amount\n1,a,2\n2,b,3\n4,d,5\n6,e,1\n" + last
        return keys_of(sniffed(text.encode(), whole=True).form)

    assert "footer_lines" not in keys("3,c\n")
    assert keys("Total,4\n")["footer_lines"] == 1


def test_a_line_of_delimiters_is_a_record_and_an_escape_at_the_end_is_text():
    tabs = CsvFormat(type="csv", delimiter="\t", skip_blank=False)
    assert [record.fields for record in records(["a\tb\n", "\t\n", "\n", "1\t2\n"], tabs)][1] == (None, None)
    escaped = CsvFormat(type="csv", quote="", escape="\\")
    assert [record.fields for record in records(["1,abc\\\n"], escaped)] == [("1", "abc\\")]


@pytest.mark.parametrize(
    ("content", "more", "message"),
    [
        ("a;b;c\n1;2;3\n4;5;6\n", {}, 'the whole line is a single field, but fields are separated by ";"'),
        ("1,2013-01-01,5\n2,2013-01-02,6\n", {}, "the header holds only numbers, times or addresses"),
        ("title\na,b\n1,2\n", {"skip_lines": 9}, "no header line; check skip_lines"),
    ],
)
def test_a_file_that_is_written_in_another_way_fails_in_any_dialect(tmp_path, content, more, message):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_text(content)
    with pytest.raises(BadDataError, match=message):
        list(json_records(tmp_path / "in" / "a.csv", "a.csv", CsvFormat(type="csv", trim=True, **more), Counter()))


BLOCK = 1024 * 1024 - 8  # of letters, before the return that ends the block
MIXED = {
    "a lone return in a file of line feeds": (b"a,b\n1,x\ry\n2,z\n", [(1, "x\ry"), (2, "z")]),
    "a lone return in a file of both": (b"a,b\r\n1,x\ry\r\n2,z\r\n", [(1, "x\ry"), (2, "z")]),
    "line feeds after both": (b"a,b\r\n1,x\r\n2,z\n", [(1, "x"), (2, "z")]),
    "both after line feeds": (b"a,b\n1,x\r\n2,z\n", [(1, "x"), (2, "z")]),
    "returns alone": (b"a,b\r1,x\r2,z\r", [(1, "x"), (2, "z")]),
    "both within quotes": (b'a,b\n1,"x\r\ny"\n2,z\n', [(1, "x\r\ny"), (2, "z")]),
    "a return at the end of a block": (
        b"a,b\r\n1," + b"x" * (1024 * 1024 - 9) + b"\r\n",
        [(1, "x" * (1024 * 1024 - 9))],
    ),
}


@pytest.mark.parametrize("way", MIXED)
@pytest.mark.parametrize("form", [{}, {"fill_short": True}, {"trim": True}])
def test_lines_that_end_in_several_ways_are_the_same_records_on_both_roads(line, way, form):
    content, expected = MIXED[way]
    one = line(content, **form)
    assert one.load(WEEK).rows_rejected == 0
    assert sorted((row["a"], row["b"]) for row in one.rows()) == expected


@pytest.mark.parametrize("form", [{}, {"trim": True}])
def test_a_column_may_be_called_like_a_word_for_no_value(line, form):
    one = line(b"NA,b\nNA,x\n2,y\nNA,b\n", null_values=["", "NA"], **form)
    assert one.load(WEEK).rows_rejected == 1
    assert sorted((row["b"], row["NA"]) for row in one.rows()) == [("x", None), ("y", 2)]


@pytest.mark.parametrize("form", [{}, {"trim": True}, {"comment": "#"}])
def test_a_second_table_is_an_error_on_both_roads(line, form):
    with pytest.raises(BadDataError, match=r"a\.csv line 5: another table starts here"):
        line(b"a,b\n1,x\n2,y\n\nc,d\n5,z\n", **form).load(WEEK)
    assert line(b"a,b\n1,x\n\n2,y\n\n\n3,z\n", **form).load(WEEK).rows_loaded == 3


@pytest.mark.parametrize("form", [{}, {"trim": True}])
@pytest.mark.parametrize("gap", ["\n\n", "\n,,\n", "\n\nTravel,,\n", "\n,,\nTravel,,\n"])
def test_a_second_table_of_text_is_an_error_where_a_column_has_its_name_again(line, form, gap):
    content = f"who,day,what\nx,y,z{gap}who,place,cost\nx,p,q\n".encode()
    with pytest.raises(BadDataError, match=r"a\.csv line \d: another table starts here: names of columns"):
        line(content, skip_blank=True, **form).load(WEEK)


def test_the_names_of_columns_within_a_table_are_values(line):
    content = b"kind,name\nname,x\n\nkind,5\n\nsize,y\nz,name\n"
    assert line(content, skip_blank=True).load(WEEK).rows_loaded == 4


def test_a_title_above_records_of_one_value_is_not_the_header():
    found = sniffed(b"Meetings,,\nwho,day,what\nx,Oct,z\n" + b",,q\n" * 9, whole=True).form
    assert (found.header, found.skip_lines) == (True, 1)


FOLLOWS = "text follows a quoted field; check format.quote and format.escape"
TORN = b'day,price,what,n\n1,5,"a, b",7\n2,6"c, d",8\n3,7,e,9\n'


@pytest.mark.parametrize("form", [{}, {"trim": True}])
def test_a_quoted_field_without_a_delimiter_before_it_is_a_reject(line, form):
    """`2,6"c, d",8` has as many fields as the header: `6"c` and ` d"` are two of them."""
    report = line(TORN, **form).load(WEEK)
    assert (report.rows_loaded, report.rows_rejected) == (2, 1)


@pytest.mark.parametrize("form", [{}, {"trim": True}])
def test_quotes_that_are_text_are_no_torn_field(line, form):
    one = line(b'a,b\n5" pipe,3"\n5"x3",6\n"x ""y"", z",7"\n{"k":1},"p"\n', **form)
    assert one.load(WEEK).rows_rejected == 0
    found = {(row["a"], row["b"]) for row in one.rows()}
    assert found == {('5" pipe', '3"'), ('5"x3"', "6"), ('x "y", z', '7"'), ('{"k":1}', "p")}


@pytest.mark.parametrize(
    "bad",
    [
        '2,"5" pipe","6" pipe"',
        '2,""no"",""yes""',
        '2,"he said "no" and","she "yes" too"',
        '""2"",""no"",x',
        '2, "5" p", "6" p"',
    ],
)
def test_a_reject_for_its_quotes_holds_its_own_line(line, bad):
    one = line(f'a,b,c\n1,"x, y",z\n{bad}\n3,"l\nm",z\n4, "p, q" , r\n'.encode(), {"b": {"type": "text"}})
    assert one.load(WEEK).rows_rejected == 1
    with one.warehouse() as warehouse:
        ((reason, record),) = warehouse.query("SELECT reason, record FROM _elt.rejects").rows
    assert (reason, json.loads(record)["line"]) == (f"a.csv line 3: {FOLLOWS}", bad)
    assert {(row["a"], row["b"], row["c"]) for row in one.rows()} == {
        (1, "x, y", "z"),
        (3, "l\nm", "z"),
        (4, "p, q", " r"),
    }


def test_only_a_field_that_begins_with_a_quote_and_does_not_end_with_it_needs_each_record(tmp_path, monkeypatch):
    file = tmp_path / "a.csv"
    for text in ('"a",b\n"x","y ""z"""\n', 'a,b\n5" pipe,{"k":"v"}\n', 'a,b\n 1, "x, y"  \n', '\ufeff"a",b\n5"1,2'):
        file.write_text(text)
        assert not csv_bytes.needs_each_record(file, CsvFormat(type="csv"))
    for size in (1, 2, 5, 1000):
        monkeypatch.setattr(csv_bytes, "_CHUNK", size)
        for text in (
            'a,b\n1,"5" pipe"\n',
            '"a"b,c\n',
            '\ufeff"a"b,c\n',
            'a,b\n1, "x"y\n',
            'a,b\n1,"x\n',
            'a,b\n""x,1\n',
        ):
            file.write_text(text)
            assert csv_bytes.needs_each_record(file, CsvFormat(type="csv"))


def test_a_line_of_many_thousand_fields_too_many_is_one_reject(line):
    report = line(b"a,b\n1,2\n" + b"1,abcde," * 30_000 + b"\n3,4\n").load(WEEK)
    assert (report.rows_loaded, report.rows_rejected) == (2, 1)


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_only_a_long_line_of_many_fields_too_many_needs_each_record(tmp_path, end):
    file, form = tmp_path / "a.csv", CsvFormat(type="csv")
    long, wide = b"1.25 2.5, " * 1000, b"1,a," * 1000
    for record in (b'1,"%s"' % long, b'"%s ""x"" %s",2' % (long, long), b"1," + b"x" * 5000):
        file.write_bytes(b"a,b" + end + record + end + record)
        assert not csv_bytes.needs_each_record(file, form)
    file.write_bytes(wide + end + wide)
    assert not csv_bytes.needs_each_record(file, form)
    for before in (b"1,2" + end, (b"1,x" + end) * 200_000):
        file.write_bytes(b"a,b" + end + before + wide)
        assert csv_bytes.needs_each_record(file, form)


def test_a_torn_field_is_found_wherever_a_file_is_cut_into_pieces(tmp_path, monkeypatch):
    file = tmp_path / "a.csv"
    for size in range(1, len(TORN) + 1):
        monkeypatch.setattr(csv_bytes, "_CHUNK", size)
        for ends in (b"\n", b"\r\n"):
            file.write_bytes(TORN.replace(b"\n", ends))
            assert csv_bytes.needs_each_record(file, CsvFormat(type="csv"))
            file.write_bytes(TORN.replace(b'6"c, d"', b'6,"c, d"').replace(b"\n", ends))
            assert not csv_bytes.needs_each_record(file, CsvFormat(type="csv"))


@pytest.mark.parametrize("form", [{}, {"trim": True}])
def test_a_file_of_other_columns_is_an_error_on_both_roads(line, form):
    columns = {"a": {"type": "integer"}, "b": {"type": "text"}}
    with pytest.raises(BadDataError, match=r"a\.csv line 1: no column of the table: the file has x, y"):
        line(b"x,y\n1,2\n", columns, **form).load(WEEK)


def test_lines_that_are_left_out_are_counted_and_logged(line):
    told = []
    one = line(b"Report\nof today\na,b\n1,x\n# by hand\n\n2,y\ntotal,2\n", skip_lines=2, footer_lines=1, comment="#")
    one = Line(one.source, None, one.folder, told.append)
    assert one.load(WEEK).rows_loaded == 2
    assert "src.tab: left out as the format says: 2 title lines, 1 comment, 1 footer line" in told
