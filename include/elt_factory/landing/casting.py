"""Text to typed values in DuckDB, and back. A value that a type cannot hold exactly is not valid.

DuckDB's own casts are generous: 1.5 becomes the integer 2, 1.239 the decimal 1.24, 10:30 is cut off a date, `infinity`
is a day. Each cast here has a guard, so that a value is taken as it appears or not at all. What remains by design: a
float is the nearest double, fractions of a second beyond microseconds are cut where they are text (Parquet has types of
nanoseconds: see `has_nanoseconds`), and a `datetime` drops the offset it is written with.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from elt_factory.config.models.values import MAX_PRECISION, ColumnType
from elt_factory.core.sql_text import text_literal
from elt_factory.landing import json_rules, limits

WIDE_INTEGER = f"decimal({MAX_PRECISION},0)"

_DUCKDB_TYPES: Mapping[str, str] = {
    "text": "VARCHAR",
    "integer": "BIGINT",
    "float": "DOUBLE",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "time": "TIME",
    "timestamp": "TIMESTAMPTZ",
    "datetime": "TIMESTAMP",
    "json": "VARCHAR",
    "binary": "BLOB",
}
_FROM_DUCKDB: Mapping[str, str] = {
    "BOOLEAN": "boolean",
    "TINYINT": "integer",
    "SMALLINT": "integer",
    "INTEGER": "integer",
    "BIGINT": "integer",
    "UTINYINT": "integer",
    "USMALLINT": "integer",
    "UINTEGER": "integer",
    "UBIGINT": "decimal(20,0)",
    "HUGEINT": "decimal(38,0)",
    "FLOAT": "float",
    "DOUBLE": "float",
    "DATE": "date",
    "TIME": "time",
    "TIMESTAMP": "datetime",
    "TIMESTAMP_S": "datetime",
    "TIMESTAMP_MS": "datetime",
    "TIMESTAMP_NS": "datetime",
    "TIMESTAMP WITH TIME ZONE": "timestamp",
    "TIMESTAMPTZ_NS": "timestamp",
    "TIME_NS": "time",
    "BLOB": "binary",
    "JSON": "json",
}
_NESTED = re.compile(r"^(STRUCT|MAP|UNION|VARIANT)\b|\]$")

# a fraction next to 16 digits or more has been through a double, which cannot tell such integers apart
_INTEGER = r"\s*[+-]?([0-9]+|[0-9]{1,15}\.0*)\s*"
# a year has four digits: 01-02-13 is a day of the year 1 to DuckDB alone
_DATE = r"\s*[0-9]{4}[-/][0-9]{1,2}[-/][0-9]{1,2}([ T]00?:00(:00(\.0*)?)?(Z|[+-][0-9:]+)?)?\s*"
_YEAR_FIRST = r"^\s*[0-9]{4}[-/]"  # neither infinity nor a year that other systems cannot hold
# what every system has: 0000-01-01 would be a day before Christ, and an offset can make it the year 10000
_YEARS: Mapping[str, tuple[str, str]] = {
    "date": ("DATE '0001-01-01'", "DATE '10000-01-01'"),
    "datetime": ("TIMESTAMP '0001-01-01'", "TIMESTAMP '10000-01-01'"),
    "timestamp": ("TIMESTAMPTZ '0001-01-01 00:00:00+00'", "TIMESTAMPTZ '10000-01-01 00:00:00+00'"),
}
# an hour that AM or PM makes another one: without it, 11 AM and 12 PM are the same
_OTHERWISE = r"(?i)\bBC\b|(^|[T ])((0?[0-9]|1[01]):.*[^A-Z]PM|(1[2-9]|2[0-3]):.*[^A-Z]AM)\b"
_TIME = r"(?i)\s*([01]?[0-9]|2[0-3]):[0-9]{1,2}(:[0-9]{1,2}(\.[0-9]*)?)?\s*(Z|UTC|GMT|[AP]M|[+-][0-9:]+)?\s*"
_SAME_CLOCK = r"(?i):[0-9.]+ *(Z|(Etc/)?(UTC|GMT)|[+-]00(:?00)?|[AP]M) *$"
BEHIND_CLOCK = ":[0-9.]+( *[^0-9.: ]| +[^ ])"
_NANOSECONDS = r"\.[0-9]{6}[0-9]*[1-9]"
# how moments are written most, as patterns of LIKE; what may appear in the gaps is left to the cast
_DAY_AND_TIME = "____-__-_____:__:__"
_CLOCKS = (_DAY_AND_TIME, f"{_DAY_AND_TIME}.___", f"{_DAY_AND_TIME}.______")
_INSTANTS = tuple(clock + zone for clock in _CLOCKS for zone in ("Z", "+00", "+00:00"))
_EXACT_DIGITS = 15  # a decimal number of that many digits survives the way through a double
_EXACT_WHOLE = 2**53  # a double holds every whole number below
_MOST_DIGITS = 800  # no double has more, written out whole
_PLAIN_NUMBER = r"\s*[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)\s*"


def has_nanoseconds(expression: str) -> str:
    """Return the condition that a time as text says more than microseconds."""
    return f"regexp_matches({expression}, {text_literal(_NANOSECONDS)})"


def has_offset(expression: str) -> str:
    """Return the condition that a time as text has something behind its clock: an offset, or the name of a zone."""
    return f"regexp_matches({expression}, {text_literal(BEHIND_CLOCK)})"


def is_of_another_clock(expression: str) -> str:
    """Return the condition that a time as text is lost without what is behind its clock: it is not UTC."""
    return f"{has_offset(expression)} AND NOT regexp_matches({expression}, {text_literal(_SAME_CLOCK)})"


def is_of_nanoseconds(kind: str) -> bool:
    """Whether values of a DuckDB type can hold more than microseconds."""
    return kind.endswith("_NS")


def duckdb_type(column_type: ColumnType) -> str:
    """DuckDB's name of a type."""
    if column_type.name == "decimal":
        return f"DECIMAL({column_type.precision}, {column_type.scale})"
    return _DUCKDB_TYPES[column_type.name]


def from_duckdb_type(text: str) -> ColumnType | None:
    """Our type for a DuckDB type name; None when no value was seen, so that nothing is known yet."""
    if text.strip('"') == "NULL":
        return None
    if _NESTED.search(text):
        return ColumnType("json")
    if text.startswith("DECIMAL"):
        return ColumnType.parse(text.lower())
    return ColumnType.parse(_FROM_DUCKDB.get(text, "text"))


def cast_text(expression: str, column_type: ColumnType) -> str:
    """Text to a type, NULL where the text is not such a value."""
    cast = f"TRY_CAST({expression} AS {duckdb_type(column_type)})"
    guard = _guard(expression, column_type)
    match column_type.name:
        case "text":
            cast = expression
        case "json":
            cast = f"CAST({expression} AS VARCHAR)"
        case "binary":
            # bytes of a source that has text in the column, too
            cast = f"TRY(from_hex(regexp_replace({expression}, '^\\\\x', '')))"
        case "date" | "datetime" | "timestamp":
            cast = within_years(cast, column_type)
    return f"CASE WHEN {guard} THEN {cast} END" if guard else cast


def has_usual_year(value: str, column_type: ColumnType) -> str:
    """Return the condition that a date or a time is one of the years 1 to 9999."""
    first, beyond = _YEARS[column_type.name]
    return f"{value} >= {first} AND {value} < {beyond}"


def within_years(value: str, column_type: ColumnType) -> str:
    """Return a date or a time, NULL where other systems do not have its year."""
    return f"CASE WHEN {has_usual_year(value, column_type)} THEN {value} END"


def is_plain_number(text: str) -> str:
    """Return the condition that a text is a number without an exponent."""
    return f"regexp_full_match({text}, {text_literal(_PLAIN_NUMBER)})"


def digits_of(text: str) -> tuple[str, str]:
    """Return SQL for how many digits a plain number has before and after the point."""
    plain = f"ltrim(trim({text}), '+-')"
    whole = f"length(ltrim(split_part({plain}, '.', 1), '0'))"
    scale = f"length(rtrim(split_part({plain}, '.', 2), '0'))"
    return whole, scale


def fits_a_double(text: str, value: str) -> str:
    """Return the condition that a number is small, or what some program writes for a double: it loses nothing as one.

    What a small number loses is far behind its point: a source that writes 0.33333333333333333333 has divided.
    `value` is the nearest double, which is written with as many digits. Of most numbers a cheaper look says it.
    """
    digits = _digits(f"regexp_extract({text}, '^[^eE]*')")
    most = f"greatest(0, least(length({digits}), {_MOST_DIGITS}) - 1)"
    again = _digits(f"regexp_extract(format('{{:.{{}}e}}', {value}, {most}), '^[^e]*')")
    return (
        f"CASE WHEN strlen({text}) <= {_EXACT_DIGITS} THEN TRUE WHEN abs({value}) < {_EXACT_WHOLE} THEN TRUE "
        f"WHEN CAST({value} AS VARCHAR) = {text} THEN TRUE ELSE {again} = {digits} END"
    )


def _digits(number: str) -> str:
    return f"trim(regexp_replace({number}, '[^0-9]', '', 'g'), '0')"


def plain_cast(expression: str, column_type: ColumnType) -> str:
    """Text to a type by DuckDB's own cast, which is exact where `is_usual` says so."""
    return f"TRY_CAST({expression} AS {duckdb_type(column_type)})"


def is_usual(text: str, value: str, column_type: ColumnType) -> str:
    """Return a condition that most values meet and that costs less than a guard; empty where there is none.

    `value` is DuckDB's own cast of the text: the same as that of `cast_text` where the condition holds.
    """
    written = f"CAST({value} AS VARCHAR)"
    conditions: Mapping[str, str] = {
        "integer": f"{written} = {text}",
        # written out it only has zeros more than the text: what is cut off or rounded has no such beginning
        "decimal": f"starts_with({written}, {text})",
        "date": f"strlen({text}) = 10 AND {written} = {text}",
        "float": f"isfinite({value}) AND NOT contains({text}, '_')",
        # a space in the place of a digit would make the year an earlier one
        "timestamp": f"{_of_form(text, _INSTANTS)} AND {value} >= TIMESTAMPTZ '1000-01-01 00:00:00+00'",
        # .123+02 is as long as a fraction of six digits
        "datetime": (
            f"{_of_form(text, _CLOCKS)} AND {value} >= TIMESTAMP '1000-01-01' "
            f"AND NOT regexp_matches(substr({text}, 20), '[^.0-9]')"
        ),
    }
    return conditions.get(column_type.name, "")


def _of_form(text: str, forms: Sequence[str]) -> str:
    likes: dict[int, list[str]] = {}
    for form in forms:
        likes.setdefault(len(form), []).append(f"{text} LIKE {text_literal(form)}")
    whens = " ".join(f"WHEN {length} THEN {' OR '.join(same)}" for length, same in likes.items())
    return f"CASE strlen({text}) {whens} ELSE FALSE END"


def _guard(expression: str, column_type: ColumnType) -> str:
    """Return the condition under which DuckDB's cast of a text is exact; empty where it always is."""
    whole = {"integer": _INTEGER, "date": _DATE, "time": _TIME}
    name = column_type.name
    if name in whole:
        fits = f"regexp_full_match({expression}, {text_literal(whole[name])})"
        return f"{fits} AND NOT {_means_otherwise(expression)}" if name == "time" else fits
    if name in ("timestamp", "datetime"):
        fits = f"regexp_matches({expression}, {text_literal(_YEAR_FIRST)})"
        return f"{fits} AND NOT {_means_otherwise(expression)}"
    if name == "decimal":
        return _decimal_guard(expression, column_type)
    if name == "float":
        # 1_000 is DuckDB's own way to write numbers; 1e400 is not an infinity unless it says so
        infinite = f"isinf(TRY_CAST({expression} AS DOUBLE)) AND NOT contains(lower({expression}), 'inf')"
        return f"NOT contains({expression}, '_') AND NOT ({infinite})"
    return _size_guard(expression, column_type)


def _means_otherwise(expression: str) -> str:
    # DuckDB ignores a word at the end: a time before Christ would be one after, and one of the afternoon of the night
    seldom = f"(contains(lower({expression}), 'bc') OR contains(lower({expression}), 'm'))"
    return f"CASE WHEN {seldom} THEN regexp_matches({expression}, {text_literal(_OTHERWISE)}) ELSE FALSE END"


def _size_guard(expression: str, column_type: ColumnType) -> str:
    match column_type.name:
        case "text":
            return f"strlen({expression}) <= {limits.TEXT_BYTES}"
        case "binary":
            return f"strlen({expression}) % 2 = 0 AND strlen({expression}) <= {2 * limits.BINARY_BYTES}"
        case "json":
            return json_rules.fits(expression)
    return ""


def _decimal_guard(expression: str, column_type: ColumnType) -> str:
    plain = rf"\s*[+-]?[0-9]*(\.[0-9]{{0,{column_type.scale}}}0*)?\s*"
    # few digits with an exponent, as doubles are written: exact when a double sees no difference, and it is not so
    # small that the double is zero
    short = rf"\s*[+-]?[0-9.]{{1,{_EXACT_DIGITS + 1}}}[eE][+-]?0*[0-9]{{1,2}}\s*"
    same = (
        f"TRY_CAST(TRY_CAST({expression} AS {duckdb_type(column_type)}) AS DOUBLE) = TRY_CAST({expression} AS DOUBLE)"
    )
    return (
        f"CASE WHEN regexp_full_match({expression}, {text_literal(plain)}) THEN TRUE "
        f"WHEN regexp_full_match({expression}, {text_literal(short)}) THEN {same} ELSE FALSE END"
    )


def bound_text(expression: str, kind: ColumnType) -> str:
    """Return a typed value as text that sorts as it counts: times in ISO 8601, bytes in hex digits."""
    if kind.name == "timestamp":
        return f"strftime({expression} AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ')"
    if kind.name == "datetime":
        return f"strftime({expression}, '%Y-%m-%dT%H:%M:%S.%f')"
    if kind.name == "binary":
        return f"lower(hex({expression}))"
    return f"CAST({expression} AS VARCHAR)"
