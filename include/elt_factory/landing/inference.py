"""The narrowest type that holds every value of a column of text.

Which one that is follows from all values, and asking each value about every type is dear. So some records say what the
type can be: text for certain, whatever follows, or a type whose usual form every other value is then asked for, by one
test. Where a value has another form, the column's values are asked about every type.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from elt_factory.config.models.values import ColumnType
from elt_factory.config.models.widening import decimal_for
from elt_factory.core.sql_text import identifier, identifiers, text_literal
from elt_factory.landing.casting import (
    WIDE_INTEGER,
    cast_text,
    digits_of,
    fits_a_double,
    has_offset,
    has_usual_year,
    is_plain_number,
    is_usual,
    plain_cast,
)
from elt_factory.landing.presumption import tested

if TYPE_CHECKING:
    import duckdb

INFERRED_WIDTH = 10
_DIGITS_WIDTH = 3
_UNASKED = (0, 0, 0)
_SOME = 2000  # records that say what a type can be

_WHOLE = r"\s*[+-]?[0-9]+\s*"
_ISO_DATE = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_ZONE = ":[0-9.]+ ?(Z|UTC|GMT|[+-][0-9]{2}(:?[0-9]{2})?)$"
_CLOCK = f"{_ISO_DATE}[ T][0-9]{{2}}:[0-9]{{2}}:[0-9.]+"
_OFFSET = "(Z|[+-][0-9]{2}(:?[0-9]{2})?)"
_TOO_MANY = 999  # digits, for what is not a plain number
_NUMBER = r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?"


def _of_clock(zone: str) -> str:
    years = has_usual_year("#", ColumnType("timestamp" if zone else "datetime"))
    return f"TRY_CAST($ AS TIMESTAMP) IS NOT NULL AND {years} AND regexp_full_match($, '{_CLOCK}{zone}')"


# the usual form of a type, of a value $ and DuckDB's own cast # of it: each is of the type, and of none that comes
# before it in `fitting_type` where some records had a value that is not; and DuckDB's own cast of it is exact
USUAL: Mapping[str, str] = {
    "integer": is_usual("$", "#", ColumnType("integer")),
    "float": f"regexp_full_match($, '{_NUMBER}') AND {fits_a_double('$', '#')}",
    "boolean": "# IS NOT NULL AND ($ IN ('true', 'false') OR lower($) IN ('true', 'false'))",
    "date": is_usual("$", "#", ColumnType("date")),
    "timestamp": f"# IS NOT NULL AND ({is_usual('$', '#', ColumnType('timestamp'))} OR {_of_clock(_OFFSET)})",
    "datetime": f"# IS NOT NULL AND ({is_usual('$', '#', ColumnType('datetime'))} OR {_of_clock('')})",
}


Answers = dict[str, Sequence[int | bool | None]]


def types_of_text(
    connection: duckdb.DuckDBPyConnection, names: Sequence[str], relation: str
) -> dict[str, ColumnType | None]:
    """Return the narrowest type of each column of a relation of text; None for a column without a value."""
    some = answers_of_some(connection, names, relation)
    guesses = {name: fitting_type(answer) for name, answer in some.items()}
    found: dict[str, ColumnType | None] = {
        name: ColumnType("text") for name, answer in some.items() if is_text_for_certain(answer)
    }
    usual = {name: kind for name, kind in guesses.items() if name not in found and kind and kind.name in USUAL}
    found |= {name: usual[name] for name in of_usual_form(connection, usual, relation)}
    rest = [name for name in names if name not in found]
    if rest:
        found |= {name: fitting_type(answer) for name, answer in _answers(connection, rest, relation).items()}
    return found


def answers_of_some(connection: duckdb.DuckDBPyConnection, names: Sequence[str], relation: str) -> Answers:
    """Return for some records what `fitting_type` and its like read, by column."""
    return _answers(connection, names, f"(SELECT {identifiers(names)} FROM {relation} LIMIT {_SOME})")


def _answers(connection: duckdb.DuckDBPyConnection, names: Sequence[str], relation: str) -> Answers:
    kinds = _kinds(connection, names, relation)
    # asked of every column, it would take as much memory as all else
    numbers = [name for name, (total, _, _, integer, _, number, *_) in kinds.items() if integer != total == number]
    digits = _digits(connection, numbers, relation) if numbers else {}
    return {name: (*kind, *digits.get(name, _UNASKED)) for name, kind in kinds.items()}


def _kinds(connection: duckdb.DuckDBPyConnection, names: Sequence[str], relation: str) -> Answers:
    raw = f"WITH raw AS (SELECT {identifiers(names)} FROM {relation}) {infer_text_type(names)}"
    answer = connection.execute(raw).fetchall()[0]
    return {name: answer[n * INFERRED_WIDTH : (n + 1) * INFERRED_WIDTH] for n, name in enumerate(names)}


def _digits(connection: duckdb.DuckDBPyConnection, names: Sequence[str], relation: str) -> Answers:
    tests = ", ".join(test for name in names for test in _of_digits(identifier(name)))
    answer = connection.execute(f"SELECT {tests} FROM {relation}").fetchall()[0]
    return {name: answer[n * _DIGITS_WIDTH : (n + 1) * _DIGITS_WIDTH] for n, name in enumerate(names)}


def of_usual_form(connection: duckdb.DuckDBPyConnection, kinds: Mapping[str, ColumnType], relation: str) -> list[str]:
    """Return the columns of which every value has the usual form of a type."""
    if not kinds:
        return []
    columns = {
        identifier(name): tested(USUAL[kind.name], identifier(name), plain_cast(identifier(name), kind))
        for name, kind in kinds.items()
    }
    tests = ", ".join(f"count({column}) = {_count(usual)}" for column, usual in columns.items())
    answer = connection.execute(f"SELECT {tests} FROM {relation}").fetchall()[0]
    return [name for name, usual in zip(kinds, answer, strict=True) if usual]


def is_text_for_certain(answer: Sequence[int | bool | None]) -> bool:
    """Whether a column is text whatever values follow: one is of no other type, or all are numbers and one is a code.

    A code, like 007, is of no type but text and number.
    """
    total, leading_zero, boolean, _, _, number, moment, *_ = answer
    is_code = bool(leading_zero) and number == total
    return bool(total) and (is_code or all(fits != total for fits in (boolean, number, moment)))


def is_no_moment(answer: Sequence[int | bool | None]) -> bool:
    """Whether some value is not a date or time, so that the column is of no such type whatever follows."""
    total, *_ = answer
    return answer[6] != total


def infer_text_type(columns: Sequence[str]) -> str:
    """SELECT over a relation `raw` of text: per column how many values there are and how many fit each type.

    `fitting_type` reads a column's part of the answer, `INFERRED_WIDTH` values.
    """
    tests = []
    for name in columns:
        column = identifier(name)
        tests.append(f"count({column})")
        tests.append(f"bool_or(regexp_matches({column}, '^\\s*[+-]?0[0-9]'))")
        tests.append(_count(f"lower({column}) IN ('true', 'false')"))
        kinds = ("integer", WIDE_INTEGER, "float")
        tests.extend(f"count({cast_text(column, ColumnType.parse(kind))})" for kind in kinds)
        tests.append(_count(_is_moment(column)))
        tests.append(_count(f"regexp_full_match({column}, {text_literal(_WHOLE)})"))
        tests.append(_count(f"regexp_full_match({column}, '{_ISO_DATE}')"))
        tests.append(_count(_is_instant(column)))
    return f"SELECT {', '.join(tests)} FROM raw"


def _of_digits(column: str) -> list[str]:
    """Return how many values lose nothing as doubles, and the most digits before and after the point."""
    double = cast_text(column, ColumnType("float"))
    of_doubles = _count(f"CASE WHEN {double} IS NOT NULL THEN {fits_a_double(column, double)} END")
    plain = is_plain_number(column)
    most = (
        f"CASE WHEN {plain} THEN {digits} WHEN {column} IS NOT NULL THEN {_TOO_MANY} END"
        for digits in digits_of(column)
    )
    return [of_doubles, *(f"max({digits})" for digits in most)]


def _is_moment(column: str) -> str:
    """Return the condition for a date or time, with an offset or without one.

    As a time without one it would lose another word behind the clock, such as the name of a zone.
    """
    on_clock = cast_text(column, ColumnType("datetime"))
    return f"{on_clock} IS NOT NULL AND (NOT {has_offset(column)} OR {_is_instant(column)})"


def _is_instant(column: str) -> str:
    """Return the condition for a time with an offset."""
    return f"regexp_matches({column}, '{_ZONE}') AND {cast_text(column, ColumnType('timestamp'))} IS NOT NULL"


def _count(condition: str) -> str:
    # with FILTER each aggregate would have buffers for all the others' values
    return f"count(CASE WHEN {condition} THEN TRUE END)"


def fitting_type(answer: Sequence[int | bool | None]) -> ColumnType | None:
    """Return the narrowest type that holds all values, from one column's part of the answer to `infer_text_type`.

    Numbers with a leading zero are codes and stay text, and so do those of more digits than any type has. None: the
    column has no value at all.
    """
    total, leading_zero, boolean, integer, wide, number, moment, whole, date, zoned, of_doubles, *digits = answer
    if not total:
        return None
    exact = decimal_for(*(most or 0 for most in digits)) or "text"
    fitting = (
        ("text", bool(leading_zero) and number == total),
        ("integer", integer == total),
        (WIDE_INTEGER, wide == total and whole == total),
        ("text", whole == total),
        ("float", of_doubles == total),
        (str(exact), number == total),
        ("boolean", boolean == total),
        ("date", date == total and moment == total),
        ("timestamp", moment == total and zoned == total),
        ("datetime", moment == total and not zoned),
    )
    return ColumnType.parse(next((kind for kind, fits in fitting if fits), "text"))
