"""What a workbook has that is not a plain value: errors, formulas without a result, odd days, hidden sheets."""

import io
import zipfile
from datetime import date, time

import openpyxl
import pytest

from elt_factory.core.failures import BadDataError
from elt_factory.formats.workbook_parts import Marks, column_letters, column_number
from elt_factory.formats.workbook_rows import Reading
from elt_factory.sources.files.discovery import FilesToLookAt, look_at_files
from elt_factory.testing.loads import WEEK, Line, source_of

_NAMES = (
    'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
    'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" '
    'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" '
    'xmlns:calcext="urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0"'
)
_TYPE = "application/vnd.oasis.opendocument.spreadsheet"


@pytest.fixture
def logs():
    return []


@pytest.fixture
def line(tmp_path, logs):
    def of(content, form=(), extract=(), **table):
        folder = tmp_path / "in"
        folder.mkdir(exist_ok=True)
        (folder / "a").write_bytes(content)
        spec = {"path": "*", "format": {"type": "excel", **dict(form)}, **table}
        config = {"name": "src", "extract": {"type": "files", "folder": "in", **dict(extract)}, "tables": {"tab": spec}}
        return Line(source_of(config, tmp_path), None, tmp_path, logs.append)

    return of


def workbook(*rows, formats=()):
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    for cell, shown in formats:
        book.active[cell].number_format = shown
    return saved(book)


def saved(book):
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


def ods(*rows):
    table = "".join(f"<table:table-row>{''.join(row)}</table:table-row>" for row in rows)
    content = (
        f"<office:document-content {_NAMES}><office:body><office:spreadsheet>"
        f'<table:table table:name="S">{table}</table:table></office:spreadsheet></office:body>'
        "</office:document-content>"
    )
    manifest = (
        '<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0">'
        f'<manifest:file-entry manifest:full-path="/" manifest:media-type="{_TYPE}"/></manifest:manifest>'
    )
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as parts:
        parts.writestr("mimetype", _TYPE)
        parts.writestr("META-INF/manifest.xml", manifest)
        parts.writestr("content.xml", content)
    return target.getvalue()


def text(value):
    return f'<table:table-cell office:value-type="string"><text:p>{value}</text:p></table:table-cell>'


def span(value):
    return (
        f'<table:table-cell office:value-type="time" office:time-value="{value}"><text:p>x</text:p></table:table-cell>'
    )


ERROR = (
    '<table:table-cell table:formula="of:=1/0" office:value-type="string" office:string-value="" '
    'calcext:value-type="error"><text:p>#DIV/0!</text:p></table:table-cell>'
)


def rows(one):
    return sorted(one.rows(), key=str)


def rejects(one):
    with one.warehouse() as warehouse:
        return warehouse.query("SELECT reason, record FROM _elt.rejects ORDER BY reason").rows


def test_a_row_of_nothing_but_errors_is_a_row_without_values(line):
    one = line(workbook(["id", "v"], [1, "x"], ["#N/A", "#N/A"], [None, None], ["#REF!", None], [2, "y"]))
    assert one.load(WEEK).rows_read == 4
    empty = {"id": None, "v": None}
    assert rows(one) == sorted([{"id": 1, "v": "x"}, empty, empty, {"id": 2, "v": "y"}], key=str)


def test_a_row_of_nothing_but_errors_is_a_reject_where_a_value_is_needed(line):
    one = line(
        workbook(["id", "v"], [1, "x"], ["#N/A", "#N/A"], [2, "y"]),
        columns={"id": {"type": "integer", "nullable": False}},
    )
    assert one.load(WEEK).rows_rejected == 1
    assert rejects(one)[0][0] == "id has no value"


def test_an_error_in_a_column_without_a_name_does_not_make_a_row(line):
    one = line(workbook(["id"], [1], [None, "#N/A"], [2]))
    assert one.load(WEEK).rows_read == 2


def test_what_only_looks_like_an_error_or_a_formula_in_a_text_is_text(line):
    one = line(workbook(["id", "v"], [1, 't="e"'], [2, "<f>A1</f></c>"]))
    one.load(WEEK)
    assert [row["v"] for row in rows(one)] == ['t="e"', "<f>A1</f></c>"]


def test_a_row_of_nothing_but_errors_in_an_opendocument_sheet_is_a_row(line):
    one = line(ods([text("a"), text("b")], [text("x"), text("y")], [ERROR, ERROR], [text(""), text("")], [ERROR]))
    assert one.load(WEEK).rows_read == 3


def test_formulas_without_a_result_are_logged_with_their_cells(line, logs):
    one = line(workbook(["id", "v"], [1, "=1+1"], ["=A2+1", None], [3, "=A2"], ["=A3+1", "=A2"]))
    assert one.load(WEEK).rows_read == 2
    assert "src.tab: a: formulas without a result are NULL: B2, B4; hint: open the workbook in a" in "\n".join(logs)
    assert "src.tab: a: rows with nothing but formulas without a result are left out: 3, 5; hint" in "\n".join(logs)


def test_formulas_below_the_range_are_not_logged(line, logs):
    one = line(workbook(["id"], [1], [2], ["=A2"]), {"range": "A1:A3"})
    assert one.load(WEEK).rows_read == 2
    assert not [entry for entry in logs if "formulas" in entry]


def test_a_formula_whose_result_is_an_empty_text_has_a_result(line, logs):
    content = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(workbook(["id", "v"], [1, "=A1"]))) as parts, zipfile.ZipFile(content, "w") as made:
        for name in parts.namelist():
            written = parts.read(name)
            if name.endswith("sheet1.xml"):
                formula = b'<c r="B2"><f>A1</f><v /></c>'
                assert formula in written
                written = written.replace(formula, b'<c r="B2" t="str"><f>A1</f><v></v></c>')
            made.writestr(name, written)
    line(content.getvalue()).load(WEEK)
    assert not [entry for entry in logs if "formulas" in entry]


def test_a_workbook_with_more_bytes_than_a_piece_has_all_its_marks(line):
    filler = [[number, "x" * 100] for number in range(6_000)]
    one = line(workbook(["id", "v"], *filler, ["#N/A", "#N/A"], *filler, ["#N/A", None]))
    assert one.load(WEEK).rows_read == 12_002


def test_rows_without_a_value_are_logged_where_errors_cannot_be_seen(tmp_path):
    (tmp_path / "a.xls").write_bytes(b"\xd0\xcf\x11\xe0")
    reading = Reading(["id"], 0, None, Marks(tmp_path / "a.xls", "S", negative=False))
    assert [reading.record(number, [cell]) for number, cell in ((2, 1.0), (3, ""), (4, 2.0), (5, ""))] == [
        b'{"id":1}',
        None,
        b'{"id":2}',
        None,
    ]
    assert [*reading.remarks()] == ["rows without a value are left out, also where cells have errors: 3"]


def test_a_value_without_a_name_is_not_shown_where_a_column_is_personal(line, tmp_path):
    one = line(
        workbook(["id", "email"], [1, "anna@x.com"], [2, None, "anna@shifted.com"]),
        columns={"email": {"type": "text", "pii": "hash"}},
    )
    one.load(WEEK)
    assert rejects(one) == [("a row 3: column C has a value and no name", None)]
    written = [file for file in tmp_path.rglob("*") if file.is_file() and file.parent.name != "in"]
    assert written
    assert not [file for file in written if b"shifted.com" in file.read_bytes()]


def test_a_day_before_the_calendar_is_a_reject_and_not_a_time(line):
    one = line(
        workbook(["id", "at", "n"], [1, -400, 1], [2, 0.25, -5], formats=[("B2", "yyyy-mm-dd"), ("B3", "hh:mm")]),
    )
    assert one.load(WEEK).rows_rejected == 1
    assert rejects(one)[0][0] == "a row 2: column B has a day before the calendar of the workbook"
    assert one.rows() == [{"id": 2, "at": time(6).isoformat(), "n": -5}]


def test_a_duration_that_is_longer_than_any_can_be_is_an_error_with_the_file(line):
    with pytest.raises(BadDataError, match="a: a cell has a duration of more than a billion days"):
        line(workbook(["id"], [1e9], formats=[("A2", "[h]:mm")])).load(WEEK)


def test_parts_that_only_calamine_can_read_are_not_looked_into(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.xlsx", "w") as parts:
        parts.writestr("xl/workbook.xml", "<workbook><sheets>")
        parts.writestr("xl/_rels/workbook.xml.rels", "<Relationships/>")
    marks = Marks(tmp_path / "a.xlsx", "S", negative=False)
    assert marks.blind
    assert not marks.of(1).errors


def test_durations_of_an_opendocument_sheet_are_written_as_those_of_excel_are(line):
    spans = ["PT30H05M06S", "PT720H00M00.250S", "-PT01H30M00S"]
    one = line(ods([text("a"), text("b")], *([span(value), text("PT99H00M00S")] for value in spans)))
    one.load(WEEK)
    assert sorted(row["a"] for row in one.rows()) == ["-1:30:00", "30:05:06", "720:00:00.250"]
    assert {row["b"] for row in one.rows()} == {"PT99H00M00S"}


def test_the_first_sheet_that_is_not_hidden_is_read_and_logged(line, logs):
    book = openpyxl.Workbook()
    book.active.append(["secret"])
    book.active.sheet_state = "hidden"
    shown = book.create_sheet("Data")
    shown.append(["id"])
    shown.append([1])
    book.active = 1
    one = line(saved(book))
    one.load(WEEK)
    assert one.rows() == [{"id": 1}]
    assert 'src.tab: a: the sheet "Data" is read, the first that is not hidden' in logs


def test_a_workbook_that_is_larger_than_allowed_unpacked_is_not_opened(line):
    content = workbook(["id", "v"], *([number, "x" * 100] for number in range(9_000)))
    assert len(content) < 1_000_000
    one = line(content, extract={"max_unpacked_mb": 1})
    with pytest.raises(BadDataError, match="a has more than 1 MB unpacked; hint: if that is correct, raise max_unp"):
        one.load(WEEK)


def test_columns_are_called_as_in_a_spreadsheet():
    names = ["A", "Z", "AA", "AZ", "BA", "ZZ", "AAA", "XFD"]
    assert [column_letters(column_number(name)) for name in names] == names


def test_a_column_with_numbers_and_texts_is_text_without_quotes(line):
    one = line(workbook(["part", "n"], ["150-031260", 1], [1625593500, 2], [0.5, 3], [True, 4], [date(2013, 1, 2), 5]))
    one.load(WEEK)
    values = ["150-031260", "1625593500", "0.5", "true", "2013-01-02"]
    assert rows(one) == sorted([{"part": part, "n": n} for n, part in enumerate(values, 1)], key=str)


def test_a_column_with_truth_values_and_numbers_is_text(line):
    one = line(workbook(["v"], [True], [2]))
    one.load(WEEK)
    assert rows(one) == [{"v": "2"}, {"v": "true"}]


def test_elt_new_says_that_a_column_with_numbers_and_texts_is_text(tmp_path):
    (tmp_path / "parts.xlsx").write_bytes(workbook(["part", "n"], ["A-1", 1], [2, 2]))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    (table,) = look_at_files(FilesToLookAt(tmp_path, "*.xlsx", {}), scratch).tables
    assert {column.name: str(column.type) for column in table.columns} == {"part": "text", "n": "integer"}


def test_a_header_alone_leaves_the_types_to_the_first_rows(line):
    assert line(workbook(["id", "v", "paid"]), where="v > 2").load(WEEK).rows_read == 0
    one = line(workbook(["id", "v", "paid"], [1, 2.5, True]))
    one.load(WEEK)
    assert one.rows() == [{"id": 1, "v": 2.5, "paid": True}]
