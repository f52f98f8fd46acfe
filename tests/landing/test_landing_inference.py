"""The narrowest type that holds every value of a column of text."""

import json

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from elt_factory.core.sql_text import text_literal
from elt_factory.landing import inference, ndjson
from elt_factory.landing.found import JsonKind
from elt_factory.landing.inference import fitting_type, types_of_text

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def database():
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


def rows(values):
    return ", ".join(f"({'NULL' if value is None else text_literal(value)})" for value in values)


def infer(database, *values):
    listed = rows(values)
    found = fitting_type(inference._answers(database, ["x"], f"(VALUES {listed}) v(x)")["x"])
    return None if found is None else str(found)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (("1", "-2", None), "integer"),
        (("1.5", "2"), "float"),
        (("1.5", str(2**53 + 1)), "decimal(38,9)"),
        (("1.5", str(2**53 + 2)), "float"),
        (("1" * 38 + ".5",), "text"),
        (("1" * 2000 + ".5",), "text"),
        (("1e3",), "float"),
        (("01", "2"), "text"),
        (("0", "0.5"), "float"),
        (("9223372036854775808", "1"), "decimal(38,0)"),
        (("1" * 39,), "text"),
        (("true", "FALSE"), "boolean"),
        (("1", "true"), "text"),
        (("2013-01-31",), "date"),
        (("2013-01-31", "2013-02-30"), "text"),
        (("2013-01-31 10:00:00",), "datetime"),
        (("2013-01-31", "2013-01-31 10:00:00"), "datetime"),
        (("2013-01-31T10:00:00Z", "2013-01-31 10:00:00+02"), "timestamp"),
        (("2013-01-31 10:00:00", "2013-01-31 10:00:00.123+02"), "text"),
        (("2013-01-31 10:00:00", "2013-01-31 10:00:00.12Z"), "text"),
        # which of the two kinds of time is meant cannot be said
        (("2013-01-31T10:00:00Z", "2013-01-31 10:00:00"), "text"),
        (("infinity",), "float"),
        (("10:00:00",), "text"),
        # DuckDB reads the time and ignores the word
        (("2013-01-31 05:00:00 PM", "2013-01-31 06:00 AM"), "text"),
        (("2013-01-31 05:00:00 EST", "2013-07-31 05:00:00 America/New_York"), "text"),
        (("2013-01-31 05:00:00+02:00:15",), "text"),
        (("2013-01-31 05:00:00 UTC", "2013-01-31 05:00:00.5Z"), "timestamp"),
        (("2013-01-31 05:00:00 Z",), "text"),  # DuckDB does not read it as an instant
        (("x", ""), "text"),
        (("",), "text"),
        ((None, None), None),
    ],
)
def test_the_type_found_is_the_narrowest_that_holds_every_value(database, values, kind):
    assert infer(database, *values) == kind


VALUES = st.sampled_from(
    [
        *(
            "0",
            "1",
            "-2",
            "+3",
            "007",
            "0.5",
            "1.0",
            "1.5",
            "-0",
            "1e3",
            "1e400",
            "1_000",
            "9" * 18,
            "9" * 19,
            "9" * 39,
            str(2**53 + 1),
            "0.1234567890123456789",
        ),
        *("true", "FALSE", "t", "x", "", " 1", "nan", "inf", "infinity", "0x1", "1.", ".5", "12345678901234567.0"),
        *("2013-01-31", "2013-1-31", "2013-02-30", "2013-01-31 10:00:00", "2013-01-31T10:00:00Z", "0044-03-15 (BC)"),
        *("2013-01-31 10:00:00+02", "2013-01-31T25:00:00Z", "10:00:00", "2013-01-31T10:00:00.5+02:00", "0000-01-01"),
        None,
    ]
)


@settings(max_examples=200, deadline=None)
@example(values=["1", "007"], some=1)
@example(values=["007", "x"], some=1)
@example(values=["1.5", "1_0"], some=1)
@example(values=["2013-01-31 10:00:00", "2013-01-31 10:00:00.123+02"], some=1)
@example(values=["2013-01-31 10:00:00", "2013-01-31 05:00:00 PM"], some=1)
@example(values=["2013-01-31T10:00:00Z", "2013-01-31T10:00:00"], some=1)
@given(values=st.lists(VALUES, min_size=1, max_size=6), some=st.integers(1, 6))
def test_whatever_the_first_records_have_the_type_is_that_of_all_values(database, values, some):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inference, "_SOME", some)
        found = types_of_text(database, ["x"], f"(VALUES {rows(values)}) AS v(x)")["x"]
    assert (None if found is None else str(found)) == infer(database, *values)


def test_columns_of_usual_forms_are_asked_about_one_type(database, monkeypatch):
    asked = []
    real = inference.infer_text_type
    monkeypatch.setattr(inference, "infer_text_type", lambda names: asked.append(list(names)) or real(names))
    values = ", ".join(f"('{n}', 'name {n}', '{n / 8 + 0.01}', '2013-01-0{n}')" for n in range(1, 9))
    found = types_of_text(database, ["a", "b", "c", "d"], f"(VALUES {values}) AS v(a, b, c, d)")
    assert {name: str(kind) for name, kind in found.items()} == {"a": "integer", "b": "text", "c": "float", "d": "date"}
    assert asked == [["a", "b", "c", "d"]]  # the first records alone


_SIGNS = st.sampled_from([*'0123456789-/: +.TZ\t\n\\"\u0663', "BC", "epoch", "infinity", "now"])
_DAYS = st.sampled_from(["2013-01-01", "1-1-1", "13/1/1", " 2013-1-1", "2013-01-01T10:00:00Z", "12013-01-01", "x"])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.one_of(_DAYS, st.lists(_SIGNS, max_size=12).map("".join)), min_size=50, max_size=200))
def test_a_text_that_does_not_begin_like_a_year_is_never_a_moment(database, texts):
    written = {text: json.dumps(text) for text in texts}
    others = [text for text, form in written.items() if not JsonKind(ndjson.TEXT, form, form, 9).may_be_moments]
    test = f"SELECT x FROM (VALUES {rows([*others, None])}) v(x) WHERE {inference._is_moment('x')}"
    assert database.execute(test).fetchall() == []
