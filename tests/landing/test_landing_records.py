"""What counts as a record: broken lines, odd files, none at all; and that the numbers always add up."""

import csv as csv_module
import io
import itertools
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from landing_support import Lander, columns, lines

from elt_factory.core.failures import AccountingError, BadDataError, EltError
from elt_factory.extract.request import Spool
from elt_factory.landing import limits

# NDJSON


def test_a_first_load_without_records_and_columns_says_that_there_is_no_table(lander):
    lander.land(Spool("ndjson", (), 0))
    [said] = lander.told
    assert said.startswith(
        "src.tab: no record has come and no column is known, so there is no table yet; hint: declare"
    )
    lander.land(Spool("ndjson", (), 0), columns(a="integer"))
    lander.land(Spool("ndjson", (), 0), existing={"a": "integer"})
    assert len(lander.told) == 1


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ('{"a": ', "Input data was truncated"),
        ('{"a": 1', "Input data was truncated"),
        ("nonsense", "JSON is malformed: invalid character (byte 4)"),
        ('{"a": 1} {"a": 2}', "JSON is malformed: trailing characters (byte 10)"),
        ("[1, 2]", "expected a JSON object, got a JSON array"),
        ('"text"', "expected a JSON object, got a JSON string"),
        ("5", "expected a JSON object, got a JSON number"),
        ("true", "expected a JSON object, got a JSON boolean"),
        ('{"a": 1, "a": 2}', "a key is repeated in the object"),
        ('{"a": "\\ud800"}', "invalid Unicode in a text of the record: half of a surrogate pair"),
        ('{"\\udc00": 1}', "invalid Unicode in a text of the record: half of a surrogate pair"),
        ('{"a": "x\x01y"}', "JSON is malformed: invalid character (byte 8)"),
        ('{"a": ' + "[" * 128 + "]" * 128 + "}", "the record is nested deeper than 128 levels"),
        ('{"a": ' + '{"b": ' * 5000 + "1" + "}" * 5001, "the record is nested deeper than 128 levels"),
        (b'{"a": "\xff"}', "the text is not UTF-8"),
    ],
)
def test_a_broken_line_is_rejected_with_its_place_and_cause(lander, broken, why):
    line = broken if isinstance(broken, bytes) else broken.encode()
    landed = lander.ndjson(b'{"a": 1}\n\n' + line + b'\n{"a": 3}\n', rows_read=3)
    assert landed.column("a") == [1, 3]
    [(reason, record)] = landed.rejects
    assert reason == f"file0.ndjson line 3: {why}"
    assert json.loads(record) == {"line": line.decode(errors="replace")[:10_000]}


def test_a_key_that_is_repeated_is_found_also_where_every_digit_of_a_number_counts(lander):
    table = columns(a="decimal(20,18)", b="text")
    landed = lander.ndjson(lines('{"a": 0.123456789012345678}', '{"a": 1, "b": "x", "b": "y"}'), table=table)
    assert [str(value) for value in landed.column("a")] == ["0.123456789012345678"]
    assert landed.reasons == ["file0.ndjson line 2: a key is repeated in the object"]


def test_broken_lines_are_told_of_while_landing(lander):
    lander.ndjson('{"a": 1}\n{\n')
    assert lander.told == ["src.tab: some lines are not JSON objects; reading again without them"]
    lander.ndjson('{"a": 1}\n')
    assert len(lander.told) == 1


def test_broken_lines_of_several_files_are_all_rejected(lander):
    landed = lander.ndjson('{"a": 1}\n{\n', "\n\n]\n", '{"a": 2}', rows_read=4)
    assert landed.column("a") == [1, 2]
    assert [reason.partition(":")[0] for reason in landed.reasons] == ["file0.ndjson line 2", "file1.ndjson line 3"]


def test_a_file_of_only_broken_lines_is_all_rejects(lander):
    landed = lander.ndjson("x\ny\n", table=columns(a="integer"), rows_read=2)
    assert (landed.rows, landed.manifest.rows_rejected) == ([], 2)


def test_many_broken_lines_stay_with_their_numbers(lander):
    content = lines(*(f'{{"a": {number}}}' if number % 3 else "{" for number in range(1, 100_001)))
    landed = lander.ndjson(content, rows_read=100_000)
    assert landed.column("a") == [number for number in range(1, 100_001) if number % 3]
    assert [int(reason.split()[2].rstrip(":")) for reason in landed.reasons] == list(range(3, 100_001, 3))


def test_a_broken_line_is_kept_up_to_ten_thousand_characters(lander):
    [(_, record)] = lander.ndjson("{" + "x" * 20_000 + '\n{"a": 1}\n').rejects
    assert len(json.loads(record)["line"]) == 10_000


@pytest.mark.parametrize(
    "content", ['{"a": 1}\r\n\r\n{"a": 2}\r\n', '\ufeff{"a": 1}\n{"a": 2}', '{"a": 1}\n  \n\t\n{"a": 2}']
)
def test_line_ends_blank_lines_and_byte_order_marks_are_no_records(lander, content):
    landed = lander.ndjson(content, rows_read=2)
    assert (landed.column("a"), landed.rejects) == ([1, 2], [])


def test_a_byte_order_mark_before_a_broken_line_hides_nothing(lander):
    landed = lander.ndjson('\ufeff{\n{"a": 2}\n', rows_read=2)
    assert (landed.column("a"), len(landed.rejects)) == ([2], 1)


def test_records_without_any_value_are_rejected(lander):
    assert lander.ndjson("{}\n{}\n", rows_read=2).reasons == ["no column has a value"] * 2
    assert lander.ndjson('{"p": 1}\n', table={"columns": {"p": {"pii": "drop"}}}).reasons == ["no column has a value"]


def test_a_key_without_any_value_is_a_column_of_text(lander):
    landed = lander.ndjson('{"a": 1, "b": null}\n{"b": null}\n')
    assert (landed.rows, landed.types) == ([{"a": 1, "b": None}, {"a": None, "b": None}], {"a": "integer", "b": "text"})
    assert lander.ndjson('{"a": null}\n').types == {"a": "text"}


@pytest.mark.parametrize("table", [{}, columns(a="integer"), {"primary_key": ["a"]}])
def test_a_line_that_is_null_is_one_reject(lander, table):
    landed = lander.ndjson('{"a": 1}\n null\n', table=table, rows_read=2)
    assert landed.column("a") == [1]
    assert landed.rejects == [("file0.ndjson line 2: expected a JSON object, got a JSON null", '{"line":" null"}')]


def test_an_empty_file_among_others_is_no_record(lander):
    assert lander.ndjson("", '{"a": 1}\n', "\n", rows_read=1).column("a") == [1]


def test_an_empty_record_among_others_is_a_row_of_nulls(lander):
    assert lander.ndjson('{}\n{"a": 1}\n').column("a") == [None, 1]


@pytest.mark.parametrize("line", ['"text"', "5", "true"])
def test_lines_that_are_all_something_else_than_objects_keep_line_and_reason(lander, line):
    landed = lander.ndjson(lines(line, line), rows_read=2)
    assert [json.loads(record) for _, record in landed.rejects] == [{"line": line}] * 2
    assert all("expected a JSON object" in reason for reason in landed.reasons)


@pytest.mark.parametrize(
    "content", ['[{"a": 1}, {"a": 2}]', '[\n {"a": 1},\n {"a": 2}\n]\n', '\ufeff  [{"a": 1}]', "[]"]
)
def test_a_json_array_is_an_error_that_says_so(lander, content):
    with pytest.raises(BadDataError, match=r"file0\.ndjson is a JSON array, and format ndjson needs one JSON object"):
        lander.ndjson(content)


def test_a_record_that_is_nested_128_levels_deep_is_read(lander):
    value = "[" * 127 + "]" * 127
    assert lander.ndjson(f'{{"a": {value}}}\n', table=columns(a="json")).column("a") == [value]


def test_brackets_in_texts_are_no_levels(lander):
    text = "[" * 500
    assert lander.ndjson(lines(f'{{"a": "{text}"}}', "{")).column("a") == [text]


def test_a_line_that_is_too_long_is_one_reject(lander, monkeypatch):
    monkeypatch.setattr(limits, "RECORD_BYTES", 3_000_000)
    long = '{"a": "' + "x" * 3_000_000 + '"}'
    landed = lander.ndjson(lines('{"a": "1"}', long, '{"a": "2"}') + long, rows_read=4)
    assert landed.column("a") == ["1", "2"]
    assert landed.reasons == [f"file0.ndjson line {line}: the line is longer than 3,000,000 bytes" for line in (2, 4)]
    assert {json.loads(record)["line"] for _, record in landed.rejects} == {long[:10_000]}


def test_a_record_of_many_megabytes_is_read(lander):
    text = "x" * 16_000_000  # Snowflake holds no longer one than 16 MiB
    assert lander.ndjson(f'{{"a": "{text}"}}\n').column("a") == [text]


def test_a_count_that_is_not_the_readers_lands_nothing(lander):
    with pytest.raises(AccountingError, match="3 records were read from the source but 1 reached the contract"):
        lander.ndjson('{"a": 1}\n', rows_read=3)
    assert not lander.folder.exists()


# CSV


def test_lines_of_too_few_or_too_many_fields_are_rejected(lander):
    landed = lander.csv("a,b\n1,2\n3\n4,5,6\n7,8\n")
    assert landed.rows == [{"a": 1, "b": 2}, {"a": 7, "b": 8}]
    assert landed.rejects == [
        ("file0.csv line 3: Expected Number of Columns: 2 Found: 1", '{"line":"3"}'),
        ("file0.csv line 4: Expected Number of Columns: 2 Found: 3", '{"line":"4,5,6"}'),
    ]


def test_a_line_of_bad_quotes_is_rejected(lander):
    landed = lander.csv('a,b\n"x"y,1\n"open,2\n')
    assert landed.rows == []
    assert landed.reasons == [f"file0.csv line {line}: Value with unterminated quote found." for line in (2, 3)]


def test_quoted_newlines_and_quotes_belong_to_the_value(lander):
    landed = lander.csv('a,b\n"x\ny",1\n"say ""hi""",2\r\n'.replace("\r\n", "\n"))
    assert landed.column("a") == ["x\ny", 'say "hi"']


def test_an_unquoted_empty_field_is_null_and_a_quoted_one_is_text(lander):
    landed = lander.csv('a,b\n,1\n"",2\nNA,3\n"NA",4\n', null_values=("", "NA"))
    assert landed.column("a") == [None, "", None, "NA"]
    assert lander.csv('a,b\n,1\n"",2\nx,\n', null_values=()).column("a") == ["", "", "x"]


def test_files_of_different_headers_are_matched_by_name(lander):
    landed = lander.csv("a,b\n1,2\n", "b,a\n3,4\n", "b,c\n5,6\n")
    # parts have no order
    found = sorted(landed.rows, key=lambda row: row["b"])
    assert found == [{"a": 1, "b": 2, "c": None}, {"a": 4, "b": 3, "c": None}, {"a": None, "b": 5, "c": 6}]


def test_broken_lines_of_files_of_different_headers_are_all_found(lander):
    landed = lander.csv("a,b\n1\n", "b,a\n2\n3,4\n", "a,b\n5\n")
    assert landed.rows == [{"a": 4, "b": 3}]
    assert sorted(reason.partition(":")[0] for reason in landed.reasons) == [f"file{n}.csv line 2" for n in range(3)]


@pytest.mark.parametrize(
    "content",
    ["\ufeffa,b\n1,2\n3,4\n", "a,b\r\n1,2\r\n\r\n3,4", "a,b\n1,2\n\n3,4\n\n\n", "a,b\r1,2\r3,4\r", '"a",b\n1,2\n3,4'],
)
def test_byte_order_marks_line_ends_and_blank_lines_make_no_difference(lander, content):
    landed = lander.csv(content)
    assert (landed.rows, landed.rejects) == ([{"a": 1, "b": 2}, {"a": 3, "b": 4}], [])


def test_a_header_alone_is_no_rows_and_its_columns_are_text(lander):
    landed = lander.csv("a,b\n")
    assert (landed.manifest.rows_read, landed.types) == (0, {"a": "text", "b": "text"})


def test_a_column_of_a_file_without_any_value_is_text(lander):
    assert lander.csv("a,b\n1,\n2,\n").types == {"a": "integer", "b": "text"}
    assert lander.csv("a,b\n1,\n", "b,a\n7,2\n").types == {"a": "integer", "b": "integer"}


def test_a_header_alone_beside_a_full_file_is_fine(lander):
    assert lander.csv("a,b\n", "a,b\n1,2\n").rows == [{"a": 1, "b": 2}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,a\n1,2\n", "column a is repeated"),
        ("a,,b\n1,2,3\n", "column without a name"),
        ("", "missing header line"),
        ("\n\na,b\n", "missing header line"),
        (b"\xff\xfe,b\n1,2\n", "the text is not valid utf-8; set format.encoding"),
        ("x" * 200_000 + "\n1\n", "cannot be read as utf-8: field larger than field limit"),
    ],
)
def test_a_header_that_names_no_columns_is_an_error_with_the_file(lander, content, message):
    with pytest.raises(BadDataError, match=rf"file0\.csv line 1: .*{message}"):
        lander.csv(content)


@pytest.mark.parametrize("first", ['"id","b c"', '"id",b c', 'id,"b c"'])
def test_a_mark_before_a_name_in_quotes_is_no_part_of_the_name(lander, first):
    landed = lander.csv(f"\ufeff{first}\n1,2\n", table={"primary_key": ["id"]})
    assert (landed.rows, landed.rejects) == ([{"id": 1, "b c": 2}], [])


def test_files_without_a_header_line_have_the_names_that_the_config_gives_or_numbers(lander):
    content = "17/3/2013,5\n18/3/2013,6\n"
    named = lander.csv(content, header=False, names=("day", "n"))
    assert named.rows == [{"day": "17/3/2013", "n": 5}, {"day": "18/3/2013", "n": 6}]
    assert lander.csv("\ufeff" + content, content, header=False).column("column_2") == [5, 6, 5, 6]
    with pytest.raises(BadDataError, match=r"line 1: 2 fields but 3 names"):
        lander.csv(content, header=False, names=("a", "b", "c"))


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_other_encodings_are_read(lander, encoding):
    assert lander.csv("ä,b\né,1\n".encode(encoding), encoding=encoding).rows == [{"ä": "é", "b": 1}]


def test_a_line_of_another_encoding_is_rejected(lander):
    landed = lander.csv(b"a,b\n\xe9,1\nx,2\n")
    assert landed.column("a") == ["x"]
    assert "not utf-8 encoded" in landed.reasons[0]


def test_other_delimiters_and_quotes_are_read(lander):
    assert lander.csv("a;b\n'x;y';1\n", delimiter=";", quote="'").rows == [{"a": "x;y", "b": 1}]


def test_mixed_line_ends_change_no_value(lander):
    try:
        landed = lander.csv("a,b\nx,y\r\nz,w\n")
    except BadDataError:
        return
    assert landed.rows == [{"a": "x", "b": "y"}, {"a": "z", "b": "w"}]


# Nothing


@pytest.mark.parametrize("form", ["ndjson", "csv", "parquet"])
def test_no_files_are_an_empty_landing(lander, form):
    landed = lander.land(Spool(form, (), 0), {"primary_key": ["id"], "incremental": {"cursor": "u"}})
    assert (landed.manifest.files, landed.manifest.rejects, landed.manifest.rows_read) == ((), None, 0)


def test_empty_files_are_an_empty_landing(lander):
    assert lander.ndjson("", "\n", table={"primary_key": ["id"]}, rows_read=0).manifest.rows_read == 0


def test_no_rows_keep_the_columns_that_are_known(lander):
    landed = lander.ndjson("", table=columns(a="integer"), existing={"a": "integer"})
    assert landed.types == {"a": "integer"}


def test_a_parquet_file_that_is_none_is_bad_data(lander):
    with pytest.raises(BadDataError, match="cannot read the records"):
        lander.land(Spool("parquet", lander.files("no parquet", suffix="parquet")))


# Whatever comes

RUNS = itertools.count()
CELL = st.text(st.characters(codec="utf-8", exclude_characters="\x00\r"), max_size=6)
CELLS = st.lists(CELL, min_size=2, max_size=2)
KINDS = st.sampled_from(
    ["text", "integer", "float", "decimal(9,2)", "boolean", "date", "timestamp", "json", "binary", None]
)
TABLE = st.fixed_dictionaries(
    {
        "schema_contract": st.sampled_from(["evolve", "discard_row", "discard_value"]),
        "primary_key": st.sampled_from([[], ["a"], ["a", "b"]]),
        "columns": st.fixed_dictionaries(
            {name: KINDS.map(lambda kind: {"type": kind} if kind else {}) for name in ("a", "b")}
        ),
    }
)
BREAKAGE = st.sampled_from(["", "", "", "x", "1,2,3", "{", "[]", '"', '"a"b,c', '{"a":1,"a":2}', "nul", "\ufffd"])
# few landings of many records: a landing costs a hundred times what a record does
RELAXED = settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def land_or_say_why(lander: Lander, form: str, content: str, table) -> None:
    try:
        landed = getattr(lander, form)(content, table=table)
    except EltError:
        return
    manifest = landed.manifest
    assert manifest.rows == len(landed.rows)
    assert manifest.rows_rejected == len(landed.rejects)
    assert all(landed.reasons)


@RELAXED
@given(rows=st.lists(st.tuples(CELLS, BREAKAGE), max_size=16), table=TABLE)
def test_csv_numbers_add_up_whatever_is_broken(tmp_path, rows, table):
    text = io.StringIO()
    writer = csv_module.writer(text, lineterminator="\n")
    writer.writerow(["a", "b"])
    for cells, broken in rows:
        writer.writerow(cells)
        text.write(broken + "\n" if broken else "")
    land_or_say_why(Lander(tmp_path / str(next(RUNS))), "csv", text.getvalue(), table)


@RELAXED
@given(rows=st.lists(CELLS, max_size=40))
def test_healthy_csv_rows_come_out_as_they_went_in(tmp_path, rows):
    text = io.StringIO()
    writer = csv_module.writer(text, lineterminator="\n", quoting=csv_module.QUOTE_ALL)
    writer.writerows([["a", "b"], *rows])
    landed = Lander(tmp_path / str(next(RUNS))).csv(text.getvalue(), table=columns(a="text", b="text"))
    assert [[row["a"], row["b"]] for row in landed.rows] == rows


def nested(floats):
    return st.recursive(
        st.none() | st.booleans() | st.integers() | floats | CELL,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(CELL, inner, max_size=3),
        max_leaves=5,
    )


VALUE = nested(st.floats())
# NaN and infinity are no JSON: their rows are rejected
HELD = nested(st.floats(allow_nan=False, allow_infinity=False))
RECORD = st.dictionaries(st.sampled_from(["a", "b", "c", "long name"]), VALUE, max_size=4)


@RELAXED
@given(rows=st.lists(st.tuples(RECORD, BREAKAGE), max_size=16), table=TABLE)
def test_ndjson_numbers_add_up_whatever_is_broken(tmp_path, rows, table):
    content = "".join(json.dumps(record) + "\n" + (broken + "\n" if broken else "") for record, broken in rows)
    land_or_say_why(Lander(tmp_path / str(next(RUNS))), "ndjson", content, table)


@RELAXED
@given(rows=st.lists(st.dictionaries(st.sampled_from(["a", "b"]), HELD, min_size=1), min_size=1, max_size=16))
def test_json_columns_hold_what_was_sent(tmp_path, rows):
    content = "".join(json.dumps(record) + "\n" for record in rows)
    landed = Lander(tmp_path / str(next(RUNS))).ndjson(content, table=columns(a="json", b="json"))
    found = [{name: None if text is None else json.loads(text) for name, text in row.items()} for row in landed.rows]
    assert repr([[row["a"], row["b"]] for row in found]) == repr(
        [[record.get("a"), record.get("b")] for record in rows]
    )
