"""What a text that is not a valid date or time has that its column does not take, and what to write for it."""

from __future__ import annotations

from collections.abc import Iterator

from elt_factory.config.models.values import ColumnType
from elt_factory.core.sql_text import text_literal
from elt_factory.landing.casting import cast_text, has_offset

_SHORT_YEAR = r"^\s*[0-9]{1,3}[-/][0-9]{1,2}[-/][0-9]{1,2}([^0-9]|$)"
_AM_OR_PM = r"(?i):[0-9.]+ *[AP]\.?M\b"
_OFFSET = r"[+-][0-9:]+\s*$"

_TEXT = "write type: text under columns: to keep it, after a full refresh"
_DROP = "write type: datetime under columns: to drop it, or type: {} to keep it, after a full refresh"
_FORMAT = 'write type: {} and format: under columns:, such as "{}"'


def why_no_time(text: str, kind: ColumnType, *, found: bool) -> str:
    """Return SQL for what is said of a bad value, NULL where nothing of this kind is known.

    `found`: the column was found to have times without an offset, and no one has said so.
    """
    whens = " ".join(f"WHEN {when} THEN {text_literal(f'{said}: ')}" for when, said in _causes(text, kind, found))
    return f"CASE {whens} END"


def _causes(text: str, kind: ColumnType, found: bool) -> Iterator[tuple[str, str]]:
    if kind.name == "time":
        yield _has(text, _AM_OR_PM), f"has AM or PM ({_TEXT})"
        yield has_offset(text), f"has something behind the time, such as the name of a zone ({_TEXT})"
        return
    yield _has(text, _SHORT_YEAR), f"has a year without four digits ({_FORMAT.format(kind, '%d-%m-%y')})"
    yield _has(text, _AM_OR_PM), f"has AM or PM ({_FORMAT.format(kind, '%Y-%m-%d %I:%M:%S %p')})"
    if found:
        is_time = f"{cast_text(text, kind)} IS NOT NULL"
        without = "and the column has times without one"
        yield f"{is_time} AND {_has(text, _OFFSET)}", f"has an offset, {without} ({_DROP.format('timestamp')})"
        yield is_time, f"has the name of a zone or another word behind the time ({_DROP.format('text')})"


def _has(text: str, pattern: str) -> str:
    return f"regexp_matches({text}, {text_literal(pattern)})"
