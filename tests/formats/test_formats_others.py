# ruff: noqa: DTZ001 - workbooks, ORC and Parquet have times without a zone
"""Formats whose files other tools write: Excel by openpyxl, Avro by Apache's own package, ORC by pyarrow, XML, text."""

import io
import json
import subprocess
import sys
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import avro.datafile
import avro.io
import avro.schema
import fastavro
import openpyxl
import pyarrow as pa
import pytest
from pyarrow import orc

from elt_factory.core.extras import MissingExtraError
from elt_factory.core.failures import BadDataError
from elt_factory.testing.formats import FormatSuite
from elt_factory.testing.loads import WEEK, Line, source_of


@pytest.fixture
def line(tmp_path):
    """A line whose source is the files of a folder."""

    def of(form, content, **table):
        folder = tmp_path / "in"
        folder.mkdir(exist_ok=True)
        (folder / "a").write_bytes(content)
        spec = {"path": "*", "format": form, **table}
        config = {"name": "src", "extract": {"type": "files", "folder": "in"}, "tables": {"tab": spec}}
        return Line(source_of(config, tmp_path), None, tmp_path, lambda _: None)

    return of


# Excel


def workbook(*rows, title="Sheet", merged=(), more=()):
    book, target = openpyxl.Workbook(), io.BytesIO()
    sheet = book.active
    sheet.title = title
    for row in rows:
        sheet.append(row)
    for cells in merged:
        sheet.merge_cells(cells)
    for name in more:
        book.create_sheet(name)
    book.save(target)
    return target.getvalue()


class TestExcel(FormatSuite):
    form = {"type": "excel"}
    content = workbook(
        ["id", "code", "amount", "day", "at", "clock", "flag"],
        [1, "007", 1.5, date(2013, 1, 1), datetime(2013, 1, 1, 10, 30), time(9, 5), True],
        [],
        [2, "x", 2, date(2013, 1, 2), datetime(2013, 1, 2), time(0, 0), False],
        [3, None, None, None, None, None, None, "lost"],
        [4],
    )
    rows = [
        {
            "id": 1,
            "code": "007",
            "amount": 1.5,
            "day": date(2013, 1, 1),
            "at": datetime(2013, 1, 1, 10, 30),
            "clock": time(9, 5),
            "flag": True,
        },
        {
            "id": 2,
            "code": "x",
            "amount": 2.0,
            "day": date(2013, 1, 2),
            "at": datetime(2013, 1, 2),
            "clock": time(0, 0),
            "flag": False,
        },
        {"id": 4, "code": None, "amount": None, "day": None, "at": None, "clock": None, "flag": None},
    ]
    columns = {"clock": {"type": "time"}, "at": {"type": "datetime"}}
    rejected = 1
    unreadable = content[:500]
    ending = ".xlsx"


def test_a_sheet_and_a_range_of_a_workbook_are_read(line):
    content = workbook(
        ["Report of January"],
        [None, "id", "name", None, "note"],
        [None, 1, "a"],
        [None, 2, "b", None, "x"],
        ["total", 3],
        title="Orders",
        more=["Other"],
    )
    form = {"type": "excel", "sheet": "Orders", "range": "B2:C4"}
    one = line(form, content)
    assert one.load(WEEK).rows_loaded == 2
    assert sorted((row["id"], row["name"]) for row in one.rows()) == [(1, "a"), (2, "b")]


def test_names_over_two_rows_are_joined_and_a_merged_cell_names_each_of_its_columns(line):
    content = workbook(["id", "Sales", None], [None, "2012", 2013], [1, 5, 6], merged=["B1:C1", "A1:A2"])
    one = line({"type": "excel", "header_rows": 2}, content)
    one.load(WEEK)
    assert one.rows() == [{"id": 1, "Sales 2012": 5, "Sales 2013": 6}]


def test_a_workbook_without_a_header_has_the_names_of_the_yaml(line):
    one = line({"type": "excel", "header_rows": 0, "names": ["a", "b"]}, workbook([1, "x"], [2, "y"]))
    one.load(WEEK)
    assert sorted(row["a"] for row in one.rows()) == [1, 2]


@pytest.mark.parametrize(
    ("form", "content", "message"),
    [
        ({"sheet": "Ordrs"}, workbook(["id"], title="Orders"), 'a has no sheet "Ordrs"; did you mean "Orders"'),
        ({}, workbook(["id", "id"], [1, 2]), "a row 1: column id is repeated"),
        ({}, b"id,name\n1,a\n", "a is not a workbook, or damaged"),
        ({"range": "F1:G9"}, workbook(["id"], [1]), "a row 1: no column has a name"),
        ({"header_rows": 0, "names": ["x"]}, workbook([1, 2]), "a: 2 columns but 1 names in format.names"),
        ({"header_rows": 3}, workbook(["id"], [1]), "a: no header: the sheet, or the range, has 2 rows"),
    ],
)
def test_a_workbook_that_is_not_what_the_yaml_says_is_an_error(line, form, content, message):
    with pytest.raises(BadDataError, match=rf"src\.tab: {message}"):
        line({"type": "excel", **form}, content).load(WEEK)


def test_without_calamine_the_error_says_what_to_install(line, monkeypatch):
    one = line({"type": "excel"}, workbook(["id"], [1]))
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    with pytest.raises(MissingExtraError, match=r'format.type excel needs .*pip install "elt-factory\[excel\]"'):
        one.load(WEEK)


# Avro

SCHEMA = {
    "type": "record",
    "name": "thing",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "name", "type": ["null", "string"]},
        {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 3}},
        {"name": "day", "type": {"type": "int", "logicalType": "date"}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "clock", "type": {"type": "long", "logicalType": "time-micros"}},
        {"name": "share", "type": "double"},
        {"name": "raw", "type": "bytes"},
        {"name": "kind", "type": {"type": "enum", "name": "kind", "symbols": ["A", "B"]}},
        {"name": "tags", "type": {"type": "array", "items": "string"}},
    ],
}
RECORDS = [
    {
        "id": 2**62,
        "name": "007",
        "price": Decimal("12345678901234567.125"),
        "day": date(2013, 1, 31),
        "at": datetime(2013, 1, 31, 10, 0, 0, 123456, tzinfo=UTC),
        "clock": time(23, 59, 59, 999999),
        "share": float("inf"),
        "raw": b"\x00\xff",
        "kind": "B",
        "tags": ["a", "é"],
    },
    {
        "id": 1,
        "name": None,
        "price": Decimal("-0.001"),
        "day": date(1960, 1, 1),
        "at": datetime(1960, 1, 1, tzinfo=UTC),
        "clock": time(0),
        "share": 0.1,
        "raw": b"",
        "kind": "A",
        "tags": [],
    },
]


def apache_avro(codec="deflate") -> bytes:
    target = io.BytesIO()
    schema = avro.schema.parse(json.dumps(SCHEMA))
    writer = avro.datafile.DataFileWriter(target, avro.io.DatumWriter(), schema, codec=codec)
    for record in RECORDS:
        writer.append(record)
    writer.flush()
    return target.getvalue()


def loaded(record):
    tags = json.dumps(record["tags"], ensure_ascii=False, separators=(",", ":"))
    return {**record, "tags": tags}


class TestAvro(FormatSuite):
    form = {"type": "avro"}
    content = apache_avro()
    rows = [loaded(record) for record in RECORDS]
    unreadable = content[:-30]
    ending = ".avro"


@pytest.mark.parametrize("codec", ["null", "deflate", "bzip2", "xz", "snappy", "zstandard"])
def test_each_packing_of_avro_is_read(line, codec):
    target = io.BytesIO()
    fastavro.writer(target, SCHEMA, RECORDS, codec=codec)
    assert line({"type": "avro"}, target.getvalue()).load(WEEK).rows_loaded == 2


def test_values_of_several_types_have_the_type_that_holds_them(line):
    schema = {"type": "record", "name": "r", "fields": [{"name": "v", "type": ["null", "long", "string"]}]}
    target = io.BytesIO()
    fastavro.writer(target, schema, [{"v": 1}, {"v": "x"}, {"v": None}])
    one = line({"type": "avro"}, target.getvalue())
    one.load(WEEK)
    assert sorted(str(row["v"]) for row in one.rows()) == ['"x"', "1", "None"]


def avro_file(fields, *records) -> bytes:
    target = io.BytesIO()
    named = [{"name": name, "type": kind} for name, kind in fields.items()]
    fastavro.writer(target, {"type": "record", "name": "r", "fields": named}, records)
    return target.getvalue()


def test_a_time_of_avro_that_no_calendar_has_rejects_its_own_row(line):
    times = {
        "day": {"type": "int", "logicalType": "date"},
        "at": {"type": "long", "logicalType": "timestamp-millis"},
        "part": ["null", {"type": "record", "name": "p", "fields": [{"name": "at", "type": "long"}]}],
    }
    good = {"day": 0, "at": 0, "part": None}
    one = line({"type": "avro"}, avro_file(times, good, {**good, "at": 2**55}, good, {**good, "day": 2**31 - 1}, good))
    report = one.load(WEEK)
    assert (report.rows_read, report.rows_loaded, report.rows_rejected) == (5, 3, 2)
    with one.warehouse() as warehouse:
        assert sorted(row[0] for row in warehouse.query("SELECT reason FROM _elt.rejects").rows) == [
            f'at is not a valid timestamp: "{2**55} ms since 1970"',
            f'day is not a valid date: "{2**31 - 1} days since 1970"',
        ]
    # no other use of the library has other readers
    assert isinstance(next(fastavro.reader(io.BytesIO(avro_file(times, good))))["at"], datetime)


@pytest.mark.parametrize("more", [{}, {"where": "n >= 0", "file_column": "_file"}])
@pytest.mark.parametrize(
    ("kind", "loaded"),
    [("binary", [b"", b"12", b"\xff\xfe", b'{"a": 1}']), ("text", ["", "12", '{"a": 1}']), ("integer", [12]),
     ("json", ["12", '{"a": 1}'])],
)  # fmt: skip
def test_bytes_of_avro_are_what_they_say_as_text_where_the_column_is_another(line, kind, loaded, more):
    values = (b"12", b"", b"\xff\xfe", b'{"a": 1}', None)
    records = [{"b": value, "n": number} for number, value in enumerate(values)]
    content = avro_file({"b": ["null", "bytes"], "n": "int"}, *records)
    one = line({"type": "avro"}, content, columns={"b": {"type": kind}}, **more)
    assert one.load(WEEK).rows_rejected == len(values) - 1 - len(loaded)
    assert sorted(row["b"] for row in one.rows() if row["b"] is not None) == sorted(loaded)
    with one.warehouse() as warehouse:
        undecoded = "SELECT count(*) FROM _elt.rejects WHERE reason LIKE '%bytes that are not UTF-8 text%'"
        assert warehouse.query(undecoded).rows[0][0] == (kind != "binary")


def test_a_named_type_of_avro_is_the_same_where_it_is_used_again(line):
    decimal = {"type": "fixed", "name": "money", "size": 8, "logicalType": "decimal", "precision": 18, "scale": 2}
    kind = {"type": "enum", "name": "kind", "symbols": ["true"]}
    fields = {"hash": {"type": "fixed", "name": "md", "size": 4}, "other": ["null", "md"], "a": decimal, "b": "money"}
    record = {"hash": b"\0\1\2\3", "other": b"\x20\x20\1\1", "a": Decimal("1.50"), "b": Decimal("2.50")}
    one = line(
        {"type": "avro"}, avro_file({**fields, "k": kind, "l": "kind"}, {**record, **dict.fromkeys("kl", "true")})
    )
    one.load(WEEK)
    assert one.rows() == [{**record, "k": "true", "l": "true"}]


def test_nan_within_a_value_of_avro_is_a_bad_value_and_in_a_column_it_is_none(line):
    fields = {"id": "int", "f": "double", "l": {"type": "array", "items": "double"}}
    bad = [{"id": 2, "f": 0.5, "l": [float(value)]} for value in ("nan", "inf", "-inf")]
    one = line({"type": "avro"}, avro_file(fields, {"id": 1, "f": float("inf"), "l": [1.5]}, *bad))
    assert one.load(WEEK).rows_rejected == 3
    assert one.rows() == [{"id": 1, "f": float("inf"), "l": "[1.5]"}]


def test_bytes_of_avro_are_text_where_the_column_has_texts_too(line):
    values = [b"hi", "6869", b"\xff", None]
    one = line({"type": "avro"}, avro_file({"v": ["null", "bytes", "string"]}, *({"v": value} for value in values)))
    assert one.load(WEEK).rows_rejected == 1
    assert sorted(str(row["v"]) for row in one.rows()) == ["6869", "None", "hi"]
    with one.warehouse() as warehouse:
        ((reason,),) = warehouse.query("SELECT reason FROM _elt.rejects").rows
    assert reason == "a record 3: v has bytes that are not UTF-8 text"


def test_numbers_of_several_types_of_avro_keep_all_of_their_digits(line):
    money = {"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 2}
    fields = {"a": ["long", "double"], "b": ["null", "double", money], "c": ["long", money]}
    records = [
        {"a": 2**53 + 1, "b": Decimal("123456789012345678.91"), "c": 5},
        {"a": 0.5, "b": 0.5, "c": Decimal("1.25")},
    ]
    one = line({"type": "avro"}, avro_file(fields, *records))
    one.load(WEEK)
    assert sorted(one.rows(), key=lambda row: row["a"]) == [
        {"a": Decimal("0.5"), "b": Decimal("0.5"), "c": 1.25},
        {"a": Decimal(2**53 + 1), "b": Decimal("123456789012345678.91"), "c": 5.0},
    ]


def test_avro_without_a_record_makes_the_columns_of_its_schema(line):
    one = line({"type": "avro"}, avro_file({"a": "long", "b": ["null", "string"]}))
    assert one.load(WEEK).rows_read == 0
    with one.warehouse() as warehouse:
        found = warehouse.columns_as(one.target, {})
    assert [str(found[name]) for name in ("a", "b")] == ["integer", "text"]


def test_avro_values_that_are_no_records_are_an_error(line):
    target = io.BytesIO()
    fastavro.writer(target, "string", ["a"])
    with pytest.raises(BadDataError, match=r"src\.tab: a: its values are not records"):
        line({"type": "avro"}, target.getvalue()).load(WEEK)


# ORC


def orc_file(table) -> bytes:
    target = io.BytesIO()
    orc.write_table(table, target)
    return target.getvalue()


class TestOrc(FormatSuite):
    form = {"type": "orc"}
    content = orc_file(
        pa.table(
            {
                "id": pa.array([1, 2]),
                "name": ["007", None],
                "price": pa.array([Decimal("1.250"), None], pa.decimal128(20, 3)),
                "day": pa.array([date(2013, 1, 31), None]),
                "at": pa.array([datetime(2013, 1, 31, 10, 0, 0, 123456), None], pa.timestamp("us")),
            }
        )
    )
    rows = [
        {
            "id": 1,
            "name": "007",
            "price": Decimal("1.250"),
            "day": date(2013, 1, 31),
            "at": datetime(2013, 1, 31, 10, 0, 0, 123456),
        },
        {"id": 2, "name": None, "price": None, "day": None, "at": None},
    ]
    unreadable = content[:-30]
    ending = ".orc"


@pytest.mark.parametrize(
    ("kind", "value"),
    [(pa.timestamp("us"), datetime(9999, 12, 31)), (pa.list_(pa.timestamp("us")), [datetime(1, 1, 1)])],
)
def test_a_time_that_orc_has_and_its_reader_has_not_is_named_with_its_column(line, kind, value):
    content = orc_file(pa.table({"id": [1], "to": pa.array([value], kind)}))
    day = "0001-01-01" if isinstance(value, list) else "9999-12-31"
    with pytest.raises(BadDataError, match=rf"src\.tab: a: column to has the time {day} 00:00:00, and times of ORC"):
        line({"type": "orc"}, content).load(WEEK)


def test_orc_files_of_other_types_are_read_by_the_types_of_their_own(line, tmp_path):
    one = line({"type": "orc"}, orc_file(pa.table({"id": [2**53 + 1]})), columns={"id": {"type": "text"}})
    (tmp_path / "in" / "b").write_bytes(orc_file(pa.table({"id": [1.5]})))
    one.load(WEEK)
    assert sorted(row["id"] for row in one.rows()) == ["1.5", str(2**53 + 1)]


# XML


class TestXml(FormatSuite):
    form = {"type": "xml", "records": "Catalog.Books.Book", "lists": ["author"]}
    content = b"""<?xml version="1.0" encoding="windows-1252"?>
    <c:Catalog xmlns:c="urn:x" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><Book id="0"/><c:Books>
      <c:Book id="1"><title>Caf\xe9 &amp; b&#233;</title><author>A</author><price>1.10</price></c:Book>
      <Book id="2"><author>A</author><author>B</author><price xsi:nil="true"/><title/></Book>
      <Book>nothing</Book>
    </c:Books></c:Catalog>"""
    rows = [
        {"id": 1, "title": "Café & bé", "author": '["A"]', "price": Decimal("1.10")},
        {"id": 2, "title": None, "author": '["A","B"]', "price": None},
    ]
    columns = {"id": {"type": "integer"}, "price": {"type": "decimal(9,2)"}}
    rejected = 1
    unreadable = b"<Catalog><Books><Book id='1'/><Books></Catalog>"
    ending = ".xml"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<a><b x='1'/></c>", "a line 1 column .*: not XML: mismatched tag"),
        (b"<a>\n<b x='1'/>", "a line 2 column .*: not XML: no element found"),
        (b"<!DOCTYPE a [<!ENTITY x 'y'>]><a><b>&x;</b></a>", "a line 1: declares entities, which are not read"),
        (b"<!DOCTYPE a SYSTEM 'x.dtd'><a><b>&x;</b></a>", "a line 1: declares entities, which are not read"),
        (b"<c><b x='1'/></c>", "a: no element a; the root is c"),
        (b'{"a": 1}', "a line 1 column 1: not XML"),
    ],
)
def test_what_is_not_the_xml_of_the_yaml_is_an_error_with_its_place(line, content, message):
    with pytest.raises(BadDataError, match=rf"src\.tab: {message}"):
        line({"type": "xml", "records": "a.b"}, content).load(WEEK)


def test_records_by_another_name_are_no_empty_document(line):
    form = {"type": "xml", "records": "shop.book"}
    with pytest.raises(BadDataError, match=r"src\.tab: a: no element shop\.book; did you mean Books\?"):
        line(form, b"<shop><total>1</total><Books id='1'/></shop>").load(WEEK)
    assert line(form, b"<shop><total>0</total></shop>").load(WEEK).rows_loaded == 0


def test_an_element_with_text_and_more_keeps_both(line):
    one = line({"type": "xml", "records": "a.b"}, b"<a><b x='1'>t<c>u</c><d y='2'>v</d></b></a>")
    one.load(WEEK)
    assert one.rows() == [{"x": 1, "c": "u", "d": '{"y":"2","text":"v"}', "text": "t"}]


# Fixed width


class TestFixedWidth(FormatSuite):
    form = {
        "type": "fixed_width",
        "fields": {"id": 3, "name": 6, "amount": 5},
        "skip_lines": 1,
        "encoding": "latin-1",
        "null_values": ["", "-"],
    }
    content = b"ID NAME  AMOUN\n  1caf\xe9   1.50\r\n  2-      2.5   \n\n  3cut\n  4too long  2.50\n  5             \n"
    rows = [
        {"id": 1, "name": "café", "amount": 1.5},
        {"id": 2, "name": None, "amount": 2.5},
        {"id": 5, "name": None, "amount": None},
    ]
    columns = {"id": {"type": "integer"}, "amount": {"type": "float"}}
    rejected = 2
    unreadable = b"\x1f\x8b\x08 not a packed file"
    ending = ".txt"


def test_lines_whose_spaces_were_cut_off_are_records_where_the_yaml_says_so(line):
    form = {"type": "fixed_width", "fields": {"id": 3, "name": 6, "note": 9}, "trimmed": True}
    one = line(form, b"001abc   ok\n002\n003longerxxxxxxxxxxxx\n")
    report = one.load(WEEK)
    assert (report.rows_loaded, report.rows_rejected) == (2, 1)


def test_a_line_of_another_encoding_is_one_reject(line):
    one = line({"type": "fixed_width", "fields": {"id": 1, "name": 4}}, b"1caf\xc3\xa9\n2caf\xe9\n3abcd\n")
    report = one.load(WEEK)
    assert (report.rows_loaded, report.rows_rejected) == (2, 1)


def test_excel_durations_over_a_day_keep_their_hours():
    from elt_factory.formats.workbook_rows import plain

    assert plain(timedelta(hours=30, minutes=5)) == "30:05:00"


@pytest.mark.services
def test_an_xml_document_that_is_ten_times_as_long_takes_no_more_memory(tmp_path):
    """Peak memory of a process of its own that reads 4 and 40 MB."""
    program = (
        "import sys; from pathlib import Path; from elt_factory.formats.xml_stream import records; "
        "n = sum(1 for _ in records(Path(sys.argv[1]), 'x', ['a', 'b'], ())); "
        "print(n, Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
    )
    peaks = []
    for rows in (40_000, 400_000):
        file = tmp_path / f"{rows}.xml"
        file.write_text("<a>" + f"<b id='1'><text>{'x' * 80}</text></b>\n" * rows + "</a>")
        out = subprocess.run([sys.executable, "-c", program, str(file)], check=True, capture_output=True, text=True)
        count, peak = map(int, out.stdout.split())
        assert count == rows
        peaks.append(peak)
    assert peaks[1] < 1.2 * peaks[0]


def test_durations_in_excel_keep_their_sign_and_what_there_is_of_a_second():
    from elt_factory.formats.workbook_rows import plain

    spans = {
        timedelta(hours=30, minutes=5): "30:05:00",
        timedelta(milliseconds=250): "0:00:00.250",
        timedelta(seconds=59, milliseconds=999): "0:00:59.999",
        -timedelta(hours=1, minutes=30): "-1:30:00",
        -timedelta(milliseconds=1500): "-0:00:01.500",
        timedelta(microseconds=1): "0:00:00",
        -timedelta(microseconds=1): "0:00:00",
    }
    assert {span: plain(span) for span in spans} == spans


def test_an_xml_element_that_is_nil_keeps_its_attributes(line):
    content = (
        b'<r xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><o id="1"><p xsi:nil="true" why="none"/></o>'
        b'<o id="2"><p xsi:nil="true"/></o><o id="3" xsi:nil="true"/></r>'
    )
    one = line({"type": "xml", "records": "r.o"}, content)
    assert one.load(WEEK).rows_rejected == 0
    found = {row["id"]: row["p"] for row in one.rows()}
    assert {key: found[key] for key in found} == {1: '{"why":"none"}', 2: None, 3: None}


def test_attributes_of_one_name_in_several_namespaces_are_all_there(line):
    content = b'<c xmlns:a="u:a" xmlns:b="u:b"><r a:id="1" b:id="2" id="3" xml:lang="de"><v>4</v></r></c>'
    one = line({"type": "xml", "records": "c.r"}, content)
    one.load(WEEK)
    (row,) = one.rows()
    assert (json.loads(row["id"]), row["v"]) == (["1", "2", "3"], 4)


def test_of_fields_of_a_width_only_spaces_are_no_part_of_a_value(line):
    form = {"type": "fixed_width", "fields": {"id": 2, "name": 4}}
    content = "1 \u00a0a b\n\n  \n      \n3 \u3000\tc \n".encode()
    one = line(form, content, write_disposition="append", columns={"id": {"type": "text"}})
    assert one.load(WEEK).rows_loaded == 3
    assert {(row["id"], row["name"]) for row in one.rows()} == {
        ("1", "\u00a0a b"),
        (None, None),
        ("3", "\u3000\tc"),
    }


def test_a_csv_file_of_which_no_row_meets_the_condition_is_read(line):
    one = line({"type": "csv"}, b"id,status\n1,draft\n2,draft\n", where="status = 'new'")
    report = one.load(WEEK)
    assert (report.rows_read, report.rows_loaded, report.rows_filtered) == (2, 0, 2)
    (one.folder / "in" / "b").write_bytes(b"id,status\n3,new\n")
    assert one.load(WEEK).rows_loaded == 1
