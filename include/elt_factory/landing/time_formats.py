"""Dates and times that are written in another way than ISO 8601, as SQL of DuckDB: exactly, or not at all."""

from __future__ import annotations

from collections.abc import Mapping

from elt_factory.config.models.values import ColumnType
from elt_factory.core.sql_text import text_literal
from elt_factory.landing.casting import within_years

# digits before the point up to the year 5138, and how many microseconds one is
_EPOCHS: Mapping[str, tuple[int, int]] = {"epoch": (11, 1_000_000), "epoch_ms": (14, 1_000)}
_ZONED, _YEAR, _DAY_OF_YEAR = "%z", "%Y", "%j"


def cast_written(expression: str, column_type: ColumnType, written: str) -> str:
    """Text in a format to a date or time, NULL where it is something else."""
    return within_years(_written(expression, column_type, written), column_type)


def _written(expression: str, column_type: ColumnType, written: str) -> str:
    moment = _of_epoch(expression, *_EPOCHS[written]) if written in _EPOCHS else _of_pattern(expression, written)
    if column_type.name == "date":
        # a time of day in a date would be lost
        day = f"CAST({moment} AS DATE)"
        return day if written not in _EPOCHS else f"CASE WHEN {moment} = {day} THEN {day} END"
    return f"{moment} AT TIME ZONE 'UTC'" if column_type.name == "timestamp" else moment


def _of_epoch(expression: str, digits: int, microseconds: int) -> str:
    """Return a moment of the clock of UTC."""
    number = rf"\s*-?[0-9]{{1,{digits}}}(\.[0-9]{{0,6}}0*)?\s*"
    exact = f"CAST(TRY_CAST({expression} AS DECIMAL(38, 6)) * {microseconds} AS BIGINT)"
    return f"CASE WHEN regexp_full_match({expression}, {text_literal(number)}) THEN make_timestamp({exact}) END"


def _of_pattern(expression: str, pattern: str) -> str:
    moment = f"try_strptime({expression}, {text_literal(pattern)})"
    directives = pattern.replace("%%", "")
    if _ZONED in directives:
        moment = f"{moment} AT TIME ZONE 'UTC'"
    if _DAY_OF_YEAR in directives and _ZONED not in directives:
        # DuckDB takes the day 366 of another year for the first of the next
        before = f"try_strptime(replace({expression}, '366', '365'), {text_literal(pattern)})"
        is_beyond = f"dayofyear({moment}) = 1 AND dayofyear({before}) = 365"
        moment = f"CASE WHEN {is_beyond} THEN NULL ELSE {moment} END"
    if _YEAR not in directives:
        return moment
    # DuckDB takes 13 for the year 13
    has_four_digits = f"(year({moment}) >= 1000 OR contains({expression}, strftime({moment}, '{_YEAR}')))"
    return f"CASE WHEN {has_four_digits} THEN {moment} END"
