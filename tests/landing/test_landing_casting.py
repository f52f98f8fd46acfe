"""Casts from text: a value is taken as it stands, or not at all."""

from datetime import UTC, date, datetime, time
from decimal import Decimal
from random import Random

import duckdb
import pyarrow as pa
import pytest

from elt_factory.config.models.values import ColumnType
from elt_factory.core.sql_text import text_literal
from elt_factory.landing import casting
from elt_factory.landing.casting import (
    bound_text,
    cast_text,
    duckdb_type,
    from_duckdb_type,
    is_usual,
    plain_cast,
)

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def database():
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


def cast(database, text, kind):
    statement = f"SELECT {cast_text('t.x', ColumnType.parse(kind))} FROM (SELECT {text_literal(text)} AS x) t"
    return database.execute(statement).fetchall()[0][0]


GOOD = [
    ("integer", "0", 0),
    ("integer", "-9223372036854775808", -(2**63)),
    ("integer", "9223372036854775807", 2**63 - 1),
    ("integer", " 12 ", 12),
    ("integer", "+7", 7),
    ("integer", "7.0", 7),
    ("integer", "007", 7),
    ("float", "1.5", 1.5),
    ("float", "1e3", 1000.0),
    ("float", "1.7976931348623157e308", 1.7976931348623157e308),
    ("float", "-0.1", -0.1),
    ("float", "inf", float("inf")),
    ("float", "-Infinity", float("-inf")),
    ("decimal(38,0)", "9" * 38, Decimal("9" * 38)),
    ("decimal(38,19)", "0.1234567890123456789", Decimal("0.1234567890123456789")),
    ("decimal(18,2)", "-1.50", Decimal("-1.50")),
    ("decimal(18,2)", "1.5000", Decimal("1.50")),
    ("decimal(18,2)", ".5", Decimal("0.50")),
    ("decimal(18,2)", "1.5e3", Decimal("1500.00")),
    ("decimal(38,9)", "1.2e-7", Decimal("1.2e-7")),
    ("boolean", "true", True),
    ("boolean", "False", False),
    ("boolean", "1", True),
    ("date", "2013-01-31", date(2013, 1, 31)),
    ("date", "0001-01-01", date(1, 1, 1)),
    ("date", "9999-12-31", date(9999, 12, 31)),
    ("date", "2013-01-31T00:00:00Z", date(2013, 1, 31)),
    ("datetime", "9999-12-31T23:59:59.999999-01:00", datetime(9999, 12, 31, 23, 59, 59, 999999)),  # noqa: DTZ001
    ("timestamp", "0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
    ("timestamp", "9999-12-31T23:59:59.999999Z", datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)),
    ("date", "2013-01-31 00:00:00.000", date(2013, 1, 31)),
    ("date", "2013/01/31", date(2013, 1, 31)),
    ("time", "23:59:59.999999", time(23, 59, 59, 999999)),
    *(("time", text, time(9, 5)) for text in ("9:05", "09:05:00", " 09:05:00. ", "09:05:00Z", "09:05:00+02:00")),
    *(("time", text, time(9, 5)) for text in ("09:05:00 UTC", "09:05:00 GMT", "09:05:00 am")),
    *(("time", text, time(12, 5)) for text in ("12:05:00", "12:05:00 PM")),
    ("datetime", "2013-01-31 12:00:00.0 pm", datetime(2013, 1, 31, 12)),  # noqa: DTZ001 - a wall-clock time
    ("decimal(18,2)", "1.25E+003", Decimal(1250)),
    ("timestamp", "2013-01-31T10:00:00Z", datetime(2013, 1, 31, 10, tzinfo=UTC)),
    ("timestamp", "2013-01-31T10:00:00+02:00", datetime(2013, 1, 31, 8, tzinfo=UTC)),
    ("timestamp", "2013-01-31 10:00:00.123456", datetime(2013, 1, 31, 10, 0, 0, 123456, tzinfo=UTC)),
    ("datetime", "2013-01-31 10:00:00", datetime(2013, 1, 31, 10)),  # noqa: DTZ001 - a wall-clock time
    ("datetime", "2013-01-31T10:00:00+02:00", datetime(2013, 1, 31, 10)),  # noqa: DTZ001 - a wall-clock time
    ("json", '{"a": [1, null]}', '{"a": [1, null]}'),
    ("json", '"text"', '"text"'),
    ("binary", "00ff", b"\x00\xff"),
    ("binary", "", b""),
    ("text", "  as it is ", "  as it is "),
    ("text", "", ""),
]


@pytest.mark.parametrize(("kind", "text", "value"), GOOD)
def test_a_value_of_the_type_is_taken(database, kind, text, value):
    assert cast(database, text, kind) == value


BAD = [
    *(("integer", text) for text in ("1.5", "1e400", "1e3", "0x10", "1_000", "9223372036854775808", "", "x", "1 2")),
    # such a number has been through a double, and may have been its odd neighbour
    ("integer", "9007199254740992.0"),
    *(("float", text) for text in ("1e400", "-1e400", "1_000", "0x10", "", "x", "1,5")),
    *(("decimal(18,2)", text) for text in ("1.239", "1e-3", "1_000", "x", "", "1e400", "99999999999999999", "nan")),
    ("decimal(38,9)", "1.2345678901234568e9"),
    ("boolean", "2"),
    ("boolean", "ja"),
    *(("date", text) for text in ("infinity", "-infinity", "epoch", "2013-02-30", "2013-01-31 10:30:00", "20130131")),
    *(("date", text) for text in ("5000000-01-01", "10000-01-01", "0000-01-01", "0-1-1", "000/12/31", "-0001-01-01")),
    *(("date", text) for text in ("01-02-13", "31-12-13", "1/2/3", "13-1-2 00:00:00")),
    *((kind, text) for kind in ("datetime", "timestamp") for text in ("01-02-13", "1/2/13 10:00:00", "2-6-2 00:00Z")),
    *(("datetime", text) for text in ("0000-12-31 23:59:59", "10000-01-01 00:00:00", "-0001-01-01 00:00:00")),
    *(("timestamp", text) for text in ("0000-01-01 00:00:00Z", "0001-01-01 00:00:00+01", "10000-01-01T00:00:00Z")),
    ("timestamp", "9999-12-31T23:59:59-01:00"),
    *(("time", text) for text in ("24:00:00", "25:00", "2013-01-31 10:00:00", "x")),
    # DuckDB ignores what follows
    *(("time", text) for text in ("05:00:00 PM", "05:00:00pm", "12:00:00 am", "05:00:00,5", "05:00:00 x")),
    *(("datetime", text) for text in ("2013-01-31 05:00:00 PM", "2013-01-31 12:00 am", "2013-01-31 05:00:00.5 pm ")),
    # the nearest double is zero
    ("decimal(18,2)", "1e-400"),
    *(("timestamp", text) for text in ("infinity", "-infinity", "epoch", "290000-01-01 00:00:00", "2013-13-01", "now")),
    *(("datetime", text) for text in ("infinity", "epoch", "2013-01-31 25:00:00", "x")),
    *(("json", text) for text in ("{", "", "nope", "{'a': 1}")),
    *(("binary", text) for text in ("abc", "zz", "0xab")),
]


@pytest.mark.parametrize(("kind", "text"), BAD)
def test_a_value_that_the_type_cannot_hold_exactly_is_none(database, kind, text):
    assert cast(database, text, kind) is None


def test_nan_is_a_float(database):
    assert str(cast(database, "NaN", "float")) == "nan"


@pytest.mark.parametrize(
    ("kind", "name"),
    [("text", "VARCHAR"), ("decimal(18,2)", "DECIMAL(18, 2)"), ("timestamp", "TIMESTAMPTZ"), ("json", "VARCHAR")],
)
def test_a_type_has_its_name_in_duckdb(kind, name):
    assert duckdb_type(ColumnType.parse(kind)) == name


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ('"NULL"', None),
        ("DECIMAL(18,2)", "decimal(18,2)"),
        ("STRUCT(a BIGINT)", "json"),
        ("BIGINT[]", "json"),
        ("MAP(VARCHAR, BIGINT)", "json"),
        ("UBIGINT", "decimal(20,0)"),
        ("UUID", "text"),
        ("TIMESTAMP_NS", "datetime"),
        ("TIMESTAMP WITH TIME ZONE", "timestamp"),
    ],
)
def test_a_duckdb_type_is_one_of_ours(name, kind):
    found = from_duckdb_type(name)
    assert (None if found is None else str(found)) == kind


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("timestamp", "TIMESTAMPTZ '2013-01-31 10:00:00+02'", "2013-01-31T08:00:00.000000Z"),
        ("datetime", "TIMESTAMP '2013-01-31 10:00:00.5'", "2013-01-31T10:00:00.500000"),
        ("date", "DATE '2013-01-31'", "2013-01-31"),
        ("integer", "42", "42"),
    ],
)
def test_a_bound_is_text_that_sorts_as_it_counts(database, kind, value, text):
    assert database.execute(f"SELECT {bound_text(value, ColumnType(kind))}").fetchall()[0][0] == text


# what appears in the gaps of a form, and around numbers
ODD = "0123456789" * 4 + " BCbc()+-.:TZ/_eEinfa\t\u00e9"
KINDS = ["integer", "decimal(6,2)", "date", "float", "timestamp", "datetime"]


def in_form(random: Random, kind: str) -> str:
    """A text that is nearly of a kind."""
    if kind not in ("timestamp", "datetime"):
        sample = random.choice({"date": ["2013-01-31", "0044-03-15 (BC)"]}.get(kind, ["-12.50", "1e5", "70"]))
        return "".join(random.choice(ODD) if random.random() < 0.2 else sign for sign in sample)
    form = random.choice(casting._INSTANTS if kind == "timestamp" else casting._CLOCKS)
    often = random.choice([0.02, 0.1, 1])
    full = "2013-01-31T10:59:58.123456"
    signs = zip(form, full + "0" * len(form), strict=False)
    return "".join(
        sign if sign != "_" else random.choice(ODD) if random.random() < often else usual for sign, usual in signs
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_usual_text_has_the_same_value_by_duckdbs_own_cast(database, kind):
    column_type, random = ColumnType.parse(kind), Random(7)
    texts = pa.table({"x": pa.array([in_form(random, kind) for _ in range(20_000)], pa.string())})
    database.register("texts", texts)
    plain = f"SELECT x, {plain_cast('x', column_type)} AS v FROM texts"
    usual = (
        f"SELECT x, v, {cast_text('x', column_type)} AS exact FROM ({plain}) WHERE {is_usual('x', 'v', column_type)}"
    )
    different = "count(CASE WHEN v IS DISTINCT FROM exact THEN 1 END)"
    count, other = database.execute(f"SELECT count(v), {different} FROM ({usual})").fetchall()[0]
    assert (count > 0, other) == (True, 0)
