"""What values become on their way through a landing: typed, whole, or rejected with a reason."""

import datetime as dt
import json
from decimal import Decimal

import pytest
from landing_support import columns, lines

from elt_factory.config.models.table import Table
from elt_factory.landing import found
from elt_factory.landing.inference import types_of_text

UTC = dt.UTC
VALUES = {
    "text": ['"x"', '""', '"ä\\n\\"☃\\u0000"', '"🎉"', "null", '" "'],
    "integer": ["0", "-9223372036854775808", "9223372036854775807", "null", '"5"'],
    "float": ["1.5", "-0.1", "1e-300", "null", "1.7976931348623157e308"],
    "decimal(38,9)": ['"12345678901234567890123456789.123456789"', "-1.5", "null"],
    "boolean": ["true", "false", "null"],
    "date": ['"0001-01-01"', '"9999-12-31"', "null"],
    "time": ['"00:00:00"', '"23:59:59.999999"', "null"],
    "timestamp": ['"2013-01-01T10:00:00Z"', '"2013-01-01T10:00:00.5-05:00"', "null"],
    "datetime": ['"2013-01-01 10:00:00"', '"9999-12-31T23:59:59.999999"', "null"],
    "json": ['{"a":[1,{"b":null}]}', '"text"', "5", "[]", "null"],
    "binary": ['"00ff"', '""', "null"],
}
EXPECTED = {
    "text": ["x", "", 'ä\n"☃\0', "🎉", None, " "],
    "integer": [0, -(2**63), 2**63 - 1, None, 5],
    "float": [1.5, -0.1, 1e-300, None, 1.7976931348623157e308],
    "decimal(38,9)": [Decimal("12345678901234567890123456789.123456789"), Decimal("-1.5"), None],
    "boolean": [True, False, None],
    "date": [dt.date(1, 1, 1), dt.date(9999, 12, 31), None],
    "time": [dt.time(0), dt.time(23, 59, 59, 999999), None],
    "timestamp": [
        dt.datetime(2013, 1, 1, 10, tzinfo=UTC),
        dt.datetime(2013, 1, 1, 15, 0, 0, 500000, tzinfo=UTC),
        None,
    ],
    "datetime": [dt.datetime(2013, 1, 1, 10), dt.datetime(9999, 12, 31, 23, 59, 59, 999999), None],  # noqa: DTZ001 - a wall-clock time
    "json": ['{"a":[1,{"b":null}]}', '"text"', "5", "[]", None],
    "binary": [b"\x00\xff", b"", None],
}


@pytest.mark.parametrize("kind", VALUES)
def test_json_values_are_typed(lander, kind):
    landed = lander.ndjson(lines(*(f'{{"v": {value}}}' for value in VALUES[kind])), table=columns(v=kind))
    assert (landed.types, landed.rejects) == ({"v": kind}, [])
    assert landed.column("v") == EXPECTED[kind]


@pytest.mark.parametrize("kind", [kind for kind in VALUES if kind not in ("text", "json", "binary")])
def test_csv_values_are_typed(lander, kind):
    texts = ["" if value == "null" else json.loads(value) for value in VALUES[kind]]
    landed = lander.csv("v,n\n" + lines(*(f"{text},1" for text in texts)), table=columns(v=kind))
    assert landed.rejects == []
    assert landed.column("v") == EXPECTED[kind]


@pytest.mark.parametrize(
    "number",
    [
        "0.1234567890123456789",
        "12345678901234567.890123456789",
        "1234567890123456.5",
        "-99999999999999999999.9999999999999999",
        "0.1000000000000000055",
        "9007199254740993.0000000001",
    ],
)
def test_a_json_number_keeps_every_digit_in_a_decimal_column(lander, number):
    landed = lander.ndjson(f'{{"d": {number}, "t": "{number}"}}\n', table=columns(d="decimal(38,18)", t="text"))
    if Decimal(number).as_tuple().exponent < -18:
        assert landed.reasons == [f'd is not a valid decimal(38,18): "{number}"']
    else:
        assert landed.rows == [{"d": Decimal(number), "t": number}]


def test_a_json_integer_keeps_38_digits(lander):
    landed = lander.ndjson(f'{{"d": {"9" * 38}}}\n{{"d": -{"8" * 38}}}\n', table=columns(d="decimal(38,0)"))
    assert landed.column("d") == [Decimal("9" * 38), Decimal("-" + "8" * 38)]


def test_a_long_json_number_is_kept_in_text_columns_and_deep_inside_of_json(lander):
    long = "12345678901234567890.123456789"
    record = f'{{"t": {long}, "j": {{"a": [{long}, "say \\"{long}\\"", 1.5]}}, "s": "x:{long}"}}\n'
    landed = lander.ndjson(record, table=columns(t="text", j="json", s="text"))
    [row] = landed.rows
    assert row["t"] == long
    assert f"[{long}," in row["j"]
    assert json.loads(row["j"], parse_float=Decimal) == {"a": [Decimal(long), f'say "{long}"', Decimal("1.5")]}
    assert row["s"] == f"x:{long}"


def test_a_long_json_number_in_a_float_column_is_the_nearest_double(lander):
    record = '{"f": 0.30000000000000004441, "d": 0.12345678901234567891}\n'
    landed = lander.ndjson(record, table=columns(f="float", d="decimal(38,20)"))
    assert landed.rows == [{"f": 0.30000000000000004, "d": Decimal("0.12345678901234567891")}]


def test_an_escaped_field_name_does_not_hide_a_long_number(lander):
    landed = lander.ndjson('{"\\u0064": 0.12345678901234567891}\n', table=columns(d="decimal(38,20)"))
    assert landed.column("d") == [Decimal("0.12345678901234567891")]


def test_a_json_number_that_only_seems_an_integer_is_rejected(lander):
    numbers = (
        "9007199254740993.0",
        "1.00000000000000000001",
        "1.5",
        "1e400",
        "18446744073709551616",
        '"0x10"',
        '"1_0"',
    )
    landed = lander.ndjson(lines(*(f'{{"n": {number}}}' for number in numbers)), table=columns(n="integer"))
    assert landed.manifest.rows_rejected == len(numbers)
    assert landed.reasons[0] == 'n is not a valid integer: "9007199254740993.0"'


def test_integers_of_20_digits_are_found_as_decimals_not_as_floats(lander):
    big = 123456789012345678901234567890
    landed = lander.ndjson(f'{{"n": {big}}}\n{{"n": 1}}\n')
    assert landed.types == {"n": "decimal(38,0)"}
    assert landed.column("n") == [big, 1]
    assert lander.csv(f"n\n{big}\n1\n").column("n") == [big, 1]


@pytest.mark.parametrize("before", [0, 3000])  # more than the first look sees
@pytest.mark.parametrize("written", ["json", "followed", "csv"])
@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (("9007199254740993", "1.5"), "decimal(38,9)"),
        (("12345678901234567.89", "-0.1"), "decimal(38,9)"),
        (("12345678901234567.1234567890123456789", "2"), "decimal(38,19)"),
        (("9007199254740993", "1e-05"), "text"),  # no type of numbers has both
        # what programs write for doubles
        (("9007199254740992", "1e22", "10000000000000000000000", "-1.5"), "float"),
        (("0.30000000000000004", "0.10000000000000000555", "1.2345678901234568E-5"), "float"),
        # what others have of a division: a later number may have any exponent
        (("0.33333333333333333333", "-9007199254740991.3", "1.2345678901234567e-05"), "float"),
    ],
)
def test_numbers_that_no_double_holds_keep_their_digits_next_to_doubles(lander, values, kind, written, before):
    every = ["0.25"] * before + list(values)
    lander.follows = written == "followed"
    if written == "csv":
        landed = lander.csv("n\n" + "".join(f"{value}\n" for value in every))
    else:
        landed = lander.ndjson(lines(*(f'{{"n": {value}}}' for value in every)), rows_read=len(every))
    read = {"float": float, "text": str}.get(kind, Decimal)
    assert (landed.types, landed.reasons) == ({"n": kind}, [])
    assert landed.column("n") == list(map(read, every))


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (("9007199254740993", "-0.0", "1e2"), "integer"),
        (("9223372036854775807", "1.0"), "integer"),
        (("123456789012345.0", "1.0"), "float"),
        (("9007199254740992", "1.0"), "float"),
    ],
)
def test_whole_numbers_of_json_with_a_point_are_floats_where_floats_hold_all(lander, values, kind):
    landed = lander.ndjson(lines(*(f'{{"n": {value}}}' for value in values)))
    assert (landed.types, landed.reasons) == ({"n": kind}, [])
    assert [Decimal(value) for value in landed.column("n")] == [Decimal(value) for value in values]


_SAME_CLOCK = ("", "Z", " Z", " UTC", " utc", " GMT", " Etc/UTC", "+00", "+00:00", "-0000", " AM")


@pytest.mark.parametrize("follows", [False, True])
@pytest.mark.parametrize("kind", ["datetime", "date", "time"])
def test_a_time_of_utc_stays_one_of_a_column_that_was_found_without_offsets(lander, follows, kind):
    lander.follows = follows
    clock = {"date": "2013-01-01 00:00:00", "time": "10:00:00", "datetime": "2013-01-01 10:00:00"}[kind]
    behind = {"date": ("", "Z", "+00:00"), "time": ("", "Z", " UTC", " GMT", " AM", "+02"), "datetime": _SAME_CLOCK}[
        kind
    ]
    records = lines(*(f'{{"at": "{clock}{word}"}}' for word in behind))
    landed = lander.ndjson(records, existing={"at": kind}, rows_read=len(behind))
    assert (len(set(landed.column("at"))), len(landed.rows), landed.reasons) == (1, len(behind), [])


_FORMAT = "(write type: {} and format: under columns:, such as "
_DROP = "(write type: datetime under columns: to drop it, or type: "
_REFRESH = "to keep it, after a full refresh): "
_TEXT = f"(write type: text under columns: {_REFRESH}"
_HAS_OFFSET = f"has an offset, and the column has times without one {_DROP}timestamp {_REFRESH}"
_HAS_ZONE = f"has the name of a zone or another word behind the time {_DROP}text {_REFRESH}"
_HAS_AM_OR_PM = f'has AM or PM {_FORMAT}"%Y-%m-%d %I:%M:%S %p"): '
_HAS_SHORT_YEAR = f'has a year without four digits {_FORMAT}"%d-%m-%y"): '


@pytest.mark.parametrize("follows", [False, True])
@pytest.mark.parametrize(
    ("kind", "text", "why"),
    [
        ("datetime", "2013-01-01 10:00:00.123+02", _HAS_OFFSET),
        ("datetime", "2013-01-01 10:00:00 UTC+2", _HAS_OFFSET),
        ("datetime", "2013-01-01 10:00:00 EST", _HAS_ZONE),
        ("datetime", "2013-01-01 10:00:00 Europe/Berlin", _HAS_ZONE),
        ("datetime", "2013-01-01 05:00:00 PM", _HAS_AM_OR_PM),
        ("datetime", "2013-01-01 12:30:00 am", _HAS_AM_OR_PM),
        ("datetime", "31-12-13", _HAS_SHORT_YEAR),
        ("date", "1/2/13", _HAS_SHORT_YEAR),
        ("date", "2013-02-30", "is not a valid date: "),
        ("datetime", "2013-02-30 10:00:00 EST", "is not a valid datetime: "),
        ("time", "05:00:00 PM", f"has AM or PM {_TEXT}"),
        ("time", "05:00:00 EST", f"has something behind the time, such as the name of a zone {_TEXT}"),
        ("time", "25:00:00", "is not a valid time: "),
    ],
)
def test_a_time_that_would_be_another_one_is_rejected_with_its_cause(lander, follows, kind, text, why):
    lander.follows = follows
    landed = lander.ndjson(lines(f'{{"at": "{text}"}}', '{"id": 1}'), existing={"at": kind}, rows_read=2)
    assert landed.reasons == [f'at {why.format(kind)}"{text}"']


def test_what_the_reasons_of_times_ask_for_loads_them(lander):
    at = ["2013-01-01 10:00:00+02", "2013-01-01 10:00:00 EST"]
    records, existing = lines(*(f'{{"at": "{text}"}}' for text in at)), {"at": "datetime"}
    declared = lander.ndjson(records, existing=existing, table=columns(at="datetime"), rows_read=2)
    assert declared.column("at") == [dt.datetime(2013, 1, 1, 10)] * 2  # noqa: DTZ001 - a wall-clock time
    table = {"columns": {"at": {"type": "datetime", "format": "%Y-%m-%d %I:%M:%S %p"}}}
    declared = lander.ndjson(lines('{"at": "2013-01-01 05:00:00 PM"}'), existing=existing, table=table, rows_read=1)
    assert declared.column("at") == [dt.datetime(2013, 1, 1, 17)]  # noqa: DTZ001 - a wall-clock time


def test_files_with_other_headers_have_a_type_for_all_of_their_values(lander):
    landed = lander.csv("n,m\n1.5,\n", "m,n\n1,9007199254740993\n", "n\n2\n")
    assert landed.types == {"n": "decimal(38,9)", "m": "integer"}
    assert landed.column("n") == [Decimal("1.5"), 2**53 + 1, 2]
    assert lander.csv("n\n1\n", "n,m\nx,1\n").column("n") == ["1", "x"]


def test_a_column_of_files_with_other_headers_is_looked_at_once(lander, monkeypatch):
    looked = []

    def noted(connection, names, relation):
        looked.extend(names)
        return types_of_text(connection, names, relation)

    monkeypatch.setattr(found, "types_of_text", noted)
    landed = lander.csv(*(f"n,m,o{number}\n{number}.5,1,x\n{number},,y\n" for number in range(5)))
    assert (landed.types["n"], landed.types["m"]) == ("float", "integer")
    assert sorted(looked) == ["m", "n", *(f"o{number}" for number in range(5))]


def test_types_are_found_in_all_values_of_json(lander):
    first = (
        '{"i": 1, "f": 1, "b": true, "d": "2013-01-31", "z": "2013-01-31T10:00:00+02:00", "w": "2013-01-31 10:00:00"'
    )
    second = (
        '{"i": 2, "f": 1.5, "b": null, "d": "2013-02-01", "z": "2013-02-01T10:00:00Z", "w": "2013-02-01 10:00:00.5"'
    )
    landed = lander.ndjson(lines(f'{first}, "s": "1", "o": {{"a": 1}}, "l": []}}', f'{second}, "s": "x", "x": "inf"}}'))
    assert landed.types == {
        "i": "integer",
        "f": "float",
        "b": "boolean",
        "d": "date",
        "z": "timestamp",
        "w": "datetime",
        "s": "text",
        "o": "json",
        "l": "json",
        "x": "text",
    }
    assert landed.column("z")[0] == dt.datetime(2013, 1, 31, 8, tzinfo=UTC)


def test_a_json_text_that_is_now_and_then_infinity_is_no_date(lander):
    landed = lander.ndjson('{"d": "2013-01-31"}\n{"d": "infinity"}\n')
    assert (landed.types, landed.column("d")) == ({"d": "text"}, ["2013-01-31", "infinity"])


def test_floats_that_happen_to_be_whole_stay_floats(lander):
    assert lander.ndjson('{"f": 1.0}\n{"f": 2.0}\n').types == {"f": "float"}


def test_a_field_of_several_kinds_is_json(lander):
    landed = lander.ndjson('{"v": 1}\n{"v": "x"}\n{"v": {"a": 1}}\n')
    assert landed.types == {"v": "json"}
    assert landed.column("v") == ["1", '"x"', '{"a":1}']


def test_parquet_values_keep_their_types(lander):
    landed = lander.parquet(
        "SELECT 1::INTEGER i, 1.5::DECIMAL(10,3) d, 'x' t, TIMESTAMPTZ '2013-01-01 10:00:00+02' z, [1, 2] l, "
        "'\\xAB'::BLOB b, 0.1::FLOAT f, 18446744073709551615::UBIGINT u, DATE '2013-01-31' y, TIME '10:00' h"
    )
    assert landed.types == {
        "i": "integer",
        "d": "decimal(10,3)",
        "z": "timestamp",
        "l": "json",
        "b": "binary",
        "f": "float",
        "u": "decimal(20,0)",
        "y": "date",
        "h": "time",
        "t": "text",
    } or set(landed.types) == set("idzlbfuyht")
    [row] = landed.rows
    assert (row["d"], row["b"], row["u"], row["l"]) == (Decimal("1.500"), b"\xab", 2**64 - 1, "[1,2]")
    assert row["z"] == dt.datetime(2013, 1, 1, 8, tzinfo=UTC)


def test_parquet_files_of_different_columns_are_one_table(lander):
    landed = lander.parquet("SELECT 1 AS a, 'x' AS b", "SELECT 'y' AS b, 2 AS c")
    # the parts of a landing have no order
    rows = sorted(landed.rows, key=lambda row: row["b"])
    assert rows == [{"a": 1, "b": "x", "c": None}, {"a": None, "b": "y", "c": 2}]


@pytest.mark.parametrize("kind", ["timestamp", "date"])
def test_a_parquet_infinity_is_rejected(lander, kind):
    sql = {"timestamp": "TIMESTAMPTZ", "date": "DATE"}[kind]
    landed = lander.parquet(f"SELECT 'infinity'::{sql} AS v")
    assert landed.reasons == [f'v is not a valid {kind}: "infinity"']


@pytest.mark.parametrize(
    ("kind", "written", "bad"),
    [
        ("date", None, "0000-01-01"),
        ("date", "%d.%m.%Y", "01.01.0000"),
        ("timestamp", None, "9999-12-31T23:59:59-01:00"),
        ("timestamp", "%Y-%m-%d %H:%M:%S%z", "0001-01-01 00:00:00+0100"),
        ("datetime", "epoch", "-99999999999"),
    ],
)
def test_a_year_that_other_systems_do_not_have_is_rejected_with_its_reason(lander, kind, written, bad):
    table = Table(columns={"v": {"type": kind, "format": written} if written else {"type": kind}})
    landed = lander.ndjson(f'{{"id": 1, "v": "{bad}"}}\n{{"id": 2}}\n', table=table)
    assert [reason.partition(":")[0] for reason in landed.reasons] == [f"v is not a valid {kind}"]
    assert bad in landed.reasons[0]


@pytest.mark.parametrize("bad", ["0000-01-01", "0001-01-01T00:00:00+05:00", "9999-12-31 23:59:59-05"])
def test_a_column_with_a_year_that_other_systems_do_not_have_is_text(lander, bad):
    usual = bad.replace("0001", "2013").replace("9999", "2014").replace("0000", "2015")
    landed = lander.ndjson(f'{{"v": "{usual}"}}\n{{"v": "{bad}"}}\n')
    assert (landed.types, landed.column("v")) == ({"v": "text"}, [usual, bad])


@pytest.mark.parametrize("value", ["DATE '0001-01-01 (BC)'", "DATE '10000-01-01'", "TIMESTAMPTZ '10000-01-01'"])
def test_a_year_of_a_parquet_value_that_other_systems_do_not_have_is_rejected(lander, value):
    (reason,) = lander.parquet(f"SELECT {value} AS v").reasons
    assert reason.startswith("v is not a valid ")


def test_a_declared_type_beats_what_the_data_look_like(lander):
    landed = lander.csv("zip,n\n01234,1\n99999,2\n", table=columns(zip="text", n="decimal(10,2)"))
    assert landed.rows == [{"zip": "01234", "n": Decimal("1.00")}, {"zip": "99999", "n": Decimal("2.00")}]


def test_the_type_of_the_table_beats_what_the_data_look_like(lander):
    landed = lander.csv("n\n1\n2\n", existing={"n": "float"})
    assert (landed.types, landed.column("n")) == ({"n": "float"}, [1.0, 2.0])


def test_types_that_the_source_declares_are_taken(lander):
    from elt_factory.config.models.values import ColumnType

    landed = lander.csv("a,b\n1,2\n", types={"a": ColumnType.parse("decimal(10,2)")})
    assert landed.types == {"a": "decimal(10,2)", "b": "integer"}


def test_small_json_integers_of_both_signs_are_integers(lander):
    landed = lander.ndjson('{"delay": -3}\n{"delay": 7}\n')
    assert (landed.types, landed.column("delay")) == ({"delay": "integer"}, [-3, 7])


@pytest.mark.parametrize("text", ["cafe", "123456", "no digits"])
def test_text_of_a_database_is_never_taken_for_the_digits_of_bytes(lander, text):
    given = {"types": {"id": "integer", "a": "text"}, "rows_read": 2}
    landed = lander.of_database(f"id,a\n1,{text}\n2,\n", existing={"id": "integer", "a": "binary"}, **given)
    assert landed.rows == [{"id": 2, "a": None}]
    assert [reject[0] for reject in landed.rejects] == [f'a is not binary in the source: "{text}"']
    # who writes the type means the digits
    landed = lander.of_database("id,a\n1,cafe\n2,\n", table=columns(a="binary"), existing=None, **given)
    assert landed.rows == [{"id": 1, "a": b"\xca\xfe"}, {"id": 2, "a": None}]


def test_bytes_of_a_database_among_texts_say_that_they_are_bytes(lander):
    given = {"types": {"id": "integer", "a": "binary"}, "rows_read": 2}
    landed = lander.of_database("id,a\n1,00ff\n2,\n", existing={"id": "integer", "a": "text"}, **given)
    assert landed.rows == [{"id": 1, "a": r"\x00ff"}, {"id": 2, "a": None}]
    landed = lander.of_database("id,a\n1,00ff\n2,\n", table=columns(a="text"), **given)
    assert landed.rows == [{"id": 1, "a": "00ff"}, {"id": 2, "a": None}]
