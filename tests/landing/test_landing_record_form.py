"""Records that are written alike are known by their form, and what is written in another way is looked at itself."""

import json
from typing import Any

import pytest
from landing_support import columns, lines
from test_landing_direct import few, never, outcome, with_care

from elt_factory.landing import lines as line_stream
from elt_factory.landing import reading, record_form
from elt_factory.landing.record_form import RecordForm, form_of

__all__ = ["few"]
ROW = {"a": 1, "b": "x", "c": 1.5}
# each is written after records of a form, and is not one of them
OTHERS = [
    '{"a": 2, "b": "y", "c": 2.5, "a": 3}',
    '{"a": 2, "b": "y", "c": 2.5, "c": 2.5}',
    '{"a": 2, "b": "y", "c": 2.5, "d": 4}',
    '{"b": "y", "a": 2, "c": 2.5}',
    '{"a": 2, "b": "y"}',
    '{"a": 2, "b": 7, "c": 2.5}',
    '{"a": "2", "b": "y", "c": 2.5}',
    '{"a": 2, "b": "y", "c": "2.5"}',
    '{"a": 2, "b": {"q": 1, "b": "y"}, "c": 2.5}',
    '{"a": 2, "b": ["y"], "c": 2.5}',
    '{"a": 2, "b": "y", "c": [2.5]}',
    '{"a": 2, "b": "[", "b": ["",""], "c": 2.5}',
    '{"a": 2, "b": "{",":":5,"}":"y", "c": 2.5}',
    '{"a": 2, "b": "y\\", \\"c\\": \\"z", "c": 2.5}',
    '{"a": 2, "b": "\\u0079", "c": 2.5}',
    '{"a": 2, "b": "é", "c": 2.5}',
    '{"a": 2, "b": "", "c": 2.5}',
    '{"a": 2, "b": null, "c": null}',
    '{"a": null, "b": "null", "c": 2.5}',
    '{"a": true, "b": "true", "c": 2.5}',
    '{"a": 2.0, "b": "y", "c": 2}',
    '{"a": 2, "b": "y", "c": 2.50}',
    '{"a": 2, "b": "y", "c": 1e400}',
    '{"a": 2, "b": "y", "c": NaN}',
    '{"a": 12345678901234567890, "b": "y", "c": 0.1234567890123456789}',
    '{ "a":2,"b":"y","c":2.5 }',
    '{"a": 2, "b": "y", "c": 2.5} ',
    '{"a": 2, "b": "y", "c": 2.5}{"a": 2, "b": "y", "c": 2.5}',
    '[{"a": 2, "b": "y", "c": 2.5}]',
    '{"a": 2, "b": "y", "c": 2.5',
]
TABLES: list[dict[str, Any]] = [
    {},
    columns(a="integer", b="text", c="decimal(6,2)"),
    {"columns": {"b": {"type": "json"}, "a": {"pii": "hash"}, "c": {"pii": "drop"}}},
]


# the values of a record of the form, and others as JSON writes them, which the bytes must not take for those
TYPED = {"i": 1, "f": 1.5, "d": "2013-01-31", "t": True, "q": "7"}
ODD = {
    "i": ["null", "-0", "1.0", "1e0", '"1"', "true", "9223372036854775807", "9223372036854775808", "[1]"],
    "f": ["null", "1", "1.50", "-0.0", "1e400", "1e+20", "NaN", "nan", "inf", "0.30000000000000004", "1e-7", '"inf"'],
    "d": ["null", '"null"', '"infinity"', '"epoch"', '"0001-01-01"', '"9999-12-31"',
          '"2013-1-31"', '"2013-02-30"', '"2013-01-31T00:00"', '"0044-03-15 (BC)"', "2013"],
    "t": ["null", "false", '"true"', '"TRUE"', "1", "0", '"t"'],
    "q": ["null", '"07"', '"+7"', '" 7"', "7", '"7.0"', '"-7"', '"x"'],
}  # fmt: skip
DECLARED = columns(i="integer", f="float", d="date", t="boolean", q="integer") | {"primary_key": ["i"]}


def spaced(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False)


def tight(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False, separators=(",", ":"))


@pytest.mark.parametrize("table", TABLES)
def test_a_record_of_another_form_comes_out_as_if_it_were_read_with_care(tmp_path, few, table):
    first = [spaced(ROW | {"a": number}) for number in range(4)]
    for number, other in enumerate(OTHERS):
        content = [lines(*first, other)]
        fast = outcome(tmp_path / f"{number}fast", "ndjson", content, table=table)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(reading, "presumed_columns", with_care)
            assert fast == outcome(tmp_path / f"{number}careful", "ndjson", content, table=table), other


@pytest.mark.parametrize("name", ODD)
def test_a_value_has_the_type_that_its_bytes_prove_or_is_cast_as_with_care(tmp_path, few, name):
    first = [spaced(TYPED | {"i": number}) for number in range(4)]
    usual = json.dumps(TYPED[name])
    others = [spaced(TYPED | {"i": 5}).replace(f'"{name}": {5 if name == "i" else usual}', f'"{name}": {odd}')
              for odd in ODD[name]]  # fmt: skip
    for number, (content, table) in enumerate([(lines(*first, *others), DECLARED)] + [
        (lines(*first, other), {}) for other in others
    ]):  # fmt: skip
        fast = outcome(tmp_path / f"{number}fast", "ndjson", [content], table=table)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(reading, "presumed_columns", with_care)
            assert fast == outcome(tmp_path / f"{number}careful", "ndjson", [content], table=table), content


def test_values_of_records_of_the_form_are_not_read_as_text(lander, monkeypatch):
    # what is read as text ends the fast road, and then the records would be looked at with care
    monkeypatch.setattr("elt_factory.landing.direct_sql.plain_cast", lambda *_: "error('read as text')")
    monkeypatch.setattr(reading, "find_columns", never)
    rows = [TYPED | {"i": n, "f": None if n % 3 else n / 8} for n in range(20)]
    found = lander.ndjson(lines(*map(spaced, rows)), table=DECLARED)
    assert sorted(found.column("i")) == list(range(20))
    assert found.types == {"i": "integer", "f": "float", "d": "date", "t": "boolean", "q": "integer"}


def test_fields_may_be_called_as_the_steps_of_the_statement_are(lander, monkeypatch):
    monkeypatch.setattr(reading, "find_columns", never)
    names = ["other", "record", "json", "met", "r0", "t0", "p0", "c0", "raw", "staged", "lines"]
    rows = [{name: n * len(names) + place for place, name in enumerate(names)} for n in range(20)]
    # what is not of the form is read as text
    found = lander.ndjson(lines(*map(spaced, rows), tight({name: -place for place, name in enumerate(names)})))
    for place, name in enumerate(names):
        assert sorted(found.column(name)) == [-place, *(n * len(names) + place for n in range(20))]


@pytest.mark.parametrize("written", [spaced, tight])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_healthy_records_of_one_form_are_not_taken_apart_again(lander, monkeypatch, written, end):
    # what is not of the form would be looked at by its keys
    monkeypatch.setattr("elt_factory.landing.ndjson._is_presumed", lambda *_: "error('not of the form')")
    monkeypatch.setattr(reading, "find_columns", never)
    rows = [ROW | {"a": n, "n": None if n % 3 else "é", "tags": [1, {"x": "[y]"}], "ok": n > 5} for n in range(20)]
    found = lander.ndjson(end.join(map(tight if written is tight else spaced_outside, rows)) + end)
    assert sorted(found.column("a")) == list(range(20))
    assert found.types == {
        "a": "integer", "b": "text", "c": "float", "n": "text", "tags": "json", "ok": "boolean",
    }  # fmt: skip


def spaced_outside(row: dict[str, Any]) -> str:
    """Spaces between the fields alone: nested values are compared as DuckDB writes them."""
    return "{" + ", ".join(f'"{name}": {tight(value)}' for name, value in row.items()) + "}"


def form_in(content: str, types: dict[str, str], tmp_path) -> RecordForm | None:
    import duckdb

    file = tmp_path / "a.ndjson"
    file.write_text(content)
    with duckdb.connect() as connection:
        line_stream.offer(connection, [file])
        return form_of(connection, types, line_stream.LINES)


def test_there_is_no_form_where_records_differ(tmp_path):
    types = {"a": "VARCHAR", "b": "VARCHAR"}
    one, other = '{"a": 1, "b": "x"}', '{"b": "x", "a": 1}'
    assert form_in(lines(*[one] * 9, other), types, tmp_path)
    assert form_in(lines(*[one] * 8, other, other), types, tmp_path) is None
    assert form_in(lines(one, '{"a": 1, "b": 2}'), types, tmp_path) is None
    assert form_in(lines('{"a": 1}', '{"a": 2}'), types, tmp_path) is None
    assert form_in("", types, tmp_path) is None


def test_a_form_that_lets_other_records_pass_is_found_by_the_comparison(tmp_path, few, monkeypatch):
    content = [lines(*[spaced(ROW)] * 4, OTHERS[5])]
    careful = outcome(tmp_path / "right", "ndjson", content)
    monkeypatch.setattr(record_form.RecordForm, "is_met", lambda *_: "TRUE")
    assert outcome(tmp_path / "wrong", "ndjson", content) != careful
