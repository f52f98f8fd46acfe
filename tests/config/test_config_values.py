"""Durations, rates, shares, column types, windows, load ids: what goes in comes out."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, get_args
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from elt_factory.config.models.durations import format_duration, parse_duration
from elt_factory.config.models.source import SOURCES, TransformOnly
from elt_factory.config.models.sql_rules import check_condition
from elt_factory.config.models.values import MAX_PRECISION, ColumnType, Rate, RequestRate, Share, Type, TypeName
from elt_factory.config.synonyms import near_word
from elt_factory.core.window import Window, load_id

MOMENTS = st.datetimes(min_value=datetime(1950, 1, 1), max_value=datetime(2150, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,10}", fullmatch=True)
rate, share, column_type = TypeAdapter(RequestRate), TypeAdapter(Share), TypeAdapter(Type)


@given(st.integers(min_value=0, max_value=36500 * 86400))
def test_a_duration_comes_back(seconds: int):
    value = timedelta(seconds=seconds)
    assert parse_duration(format_duration(value)) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("90s", timedelta(seconds=90)),
        ("1h30m", timedelta(minutes=90)),
        ("2d", timedelta(days=2)),
        ("1w", timedelta(days=7)),
        ("0s", timedelta()),
        ("1h1h", timedelta(hours=2)),
    ],
)
def test_durations(text: str, value: timedelta):
    assert parse_duration(text) == value


@pytest.mark.parametrize(
    "text", ["", "1", "h", "1 h", "-1h", "1.5h", "1H", "1h\n", "1y", "\uff11h", "36501d", "9" * 99 + "w"]
)
def test_no_durations(text: str):
    with pytest.raises(ValueError, match=r"invalid duration|is too long"):
        parse_duration(text)


@given(st.integers(1, 10**9), st.sampled_from(["second", "minute", "hour"]), st.sampled_from(["/", " / ", "/ "]))
def test_rates(count: int, unit: str, slash: str):
    seconds = {"second": 1, "minute": 60, "hour": 3600}[unit]
    assert rate.validate_python(f"{count}{slash}{unit}") == Rate(count, seconds)


@pytest.mark.parametrize(
    "text", ["0/second", "00/hour", "5", "5/day", "5/seconds", "-5/second", "5 / second\n", 5, None, "9" * 30 + "/hour"]
)
def test_no_rates(text: Any):
    with pytest.raises(ValidationError, match="invalid rate"):
        rate.validate_python(text)


@given(st.integers(0, 100_000).map(lambda hundredths: hundredths / 100))
def test_shares(percent: float):
    assert share.validate_python(f"{percent}%") == pytest.approx(percent / 100)


@pytest.mark.parametrize("value", [0.0, 0.2, 1.0])
def test_a_share_may_be_written_as_a_fraction(value: float):
    assert share.validate_python(value) == value


@pytest.mark.parametrize("text", ["20", "%", "-5%", "20 percent", 20, 1.5, True, None, ["20%"], "9" * 500 + "%"])
def test_no_shares(text: Any):
    with pytest.raises(ValidationError, match="invalid percentage"):
        share.validate_python(text)


@given(
    st.one_of(
        st.sampled_from([ColumnType(name) for name in get_args(TypeName) if name != "decimal"]),
        st.integers(1, MAX_PRECISION).flatmap(
            lambda precision: st.integers(0, precision).map(lambda scale: ColumnType("decimal", precision, scale))
        ),
    )
)
def test_a_column_type_comes_back(value: ColumnType):
    assert ColumnType.parse(str(value)) == value
    assert column_type.validate_python(f" {str(value).upper()} ") == value
    assert column_type.dump_python(value) == str(value)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("integr", "integer"),
        ("int", "integer"),
        ("BIGINT", "integer"),
        ("varchar(255)", "text"),
        ("numeric(18, 2)", "decimal"),
        ("timestamptz", "timestamp"),
        ("timestamp with time zone", "timestamp"),
        ("jsonb", "json"),
        ("bool", "boolean"),
        ("text(10)", "write text"),
    ],
)
def test_a_near_column_type_is_named(text: str, hint: str):
    with pytest.raises(ValueError, match=re.escape(hint)):
        ColumnType.parse(text)


@pytest.mark.parametrize(
    "text", ["", "decimal(0,0)", "decimal(39,0)", "decimal(5,6)", "decimal()", "decimal(5", 5, None]
)
def test_no_column_types(text: Any):
    with pytest.raises(ValidationError):
        column_type.validate_python(text)


def test_a_decimal_has_room_without_numbers():
    assert str(ColumnType.parse("decimal")) == "decimal(38,9)"
    assert str(ColumnType.parse("decimal(10)")) == "decimal(10,0)"


def test_other_tools_words_lead_to_ours():
    assert near_word("upsert", ["append", "merge", "replace"]) == 'did you mean "merge"?'
    assert near_word("Rest-API", ["rest_api", "sql"]) == 'did you mean "rest_api"?'
    assert near_word("upsert", ["x", "y"]) == "use one of: x, y"


@given(MOMENTS, MOMENTS)
def test_a_window_ends_after_it_starts(start: datetime, end: datetime):
    if start < end:
        assert Window(start, end).reach_back(timedelta(hours=1)) == Window(start - timedelta(hours=1), end)
    else:
        with pytest.raises(ValueError, match="empty"):
            Window(start, end)


def test_a_window_knows_its_zone():
    naive = datetime(2013, 1, 1)  # noqa: DTZ001
    with pytest.raises(ValueError, match="time zone"):
        Window(naive, datetime(2013, 1, 2, tzinfo=UTC))
    assert str(Window(datetime(2013, 1, 1, tzinfo=ZoneInfo("America/New_York")), datetime(2013, 1, 2, tzinfo=UTC))) == (
        "[2013-01-01T05:00:00Z, 2013-01-02T00:00:00Z)"
    )


@given(NAMES, NAMES, MOMENTS, st.integers(1, 10**8), st.integers(-14, 14))
def test_a_load_id_depends_on_source_table_and_window_alone(
    source: str, table: str, start: datetime, width: int, hours: int
):
    window = Window(start, start + timedelta(seconds=width))
    zone = timezone(timedelta(hours=hours))
    elsewhere = Window(window.start.astimezone(zone), window.end.astimezone(zone))
    found = load_id(source, table, window)
    assert found == load_id(source, table, elsewhere)
    assert re.fullmatch(r"\d{8}T\d{6}(\.\d{6})?Z-\d{8}T\d{6}(\.\d{6})?Z-[0-9a-f]{8}", found)


@given(st.lists(st.tuples(NAMES, NAMES, st.integers(0, 5), st.integers(1, 3)), min_size=2, max_size=20, unique=True))
def test_load_ids_are_distinct(loads: list[tuple[str, str, int, int]]):
    first = datetime(2013, 1, 1, tzinfo=UTC)
    ids = [
        load_id(source, table, Window(first + timedelta(days=day), first + timedelta(days=day + days)))
        for source, table, day, days in loads
    ]
    assert len(set(ids)) == len(ids)


def test_a_load_id_parts_source_and_table():
    window = Window(datetime(2013, 1, 1, tzinfo=UTC), datetime(2013, 1, 2, tzinfo=UTC))
    assert load_id("a_b", "c", window) != load_id("a", "b_c", window)
    assert load_id("flights", "flights", window) == load_id("flights", "flights", window)
    assert load_id("flights", "flights", window).startswith("20130101T000000Z-20130102T000000Z-")


@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=10, unique=True))
def test_load_ids_sort_by_time(minutes: list[int]):
    first = datetime(2013, 1, 1, tzinfo=UTC)
    starts = [first + timedelta(minutes=minute) for minute in sorted(minutes)]
    ids = [load_id("s", "t", Window(start, start + timedelta(days=1))) for start in starts]
    assert ids == sorted(ids)


@pytest.mark.parametrize(
    "model", [*(kind.config for kind in SOURCES.all()), TransformOnly], ids=lambda model: model.__name__
)
def test_every_model_has_a_json_schema(model: Any):
    schema = model.model_json_schema()
    assert schema["additionalProperties"] is False
    assert schema["properties"]["name"]["pattern"] == "^[a-z][a-z0-9_]{0,62}$"


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("status <> 'draft';", "status <> 'draft'"),
        ("status <> 'a;b' ; ;", "status <> 'a;b'"),
        ("x = 1; -- why", "x = 1"),
        ("x = 'y' -- why", "x = 'y' -- why"),
        ('a = "b"', 'a = "b"'),
    ],
)
def test_the_semicolon_at_the_end_goes_and_the_text_before_it_stays(written, kept):
    assert check_condition(written) == kept
