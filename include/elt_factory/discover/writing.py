"""The YAML text of what was found, every guess with a comment of what it was seen from."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from elt_factory.config.yaml.variables import BEGIN
from elt_factory.core.amount import amount
from elt_factory.discover.found import Beginning, ColumnFound, Guess, SourceFound, TableFound

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WORDS = ("null", "true", "false", "yes", "no", "on", "off", "y", "n")
_COMMENT_AT = 46


def yaml_of(name: str, found: SourceFound, defaults: Mapping[str, Any], schema: str = "source.schema.json") -> str:
    """Return a whole config. What the folder's defaults set already is a comment."""
    return "\n".join([f"# yaml-language-server: $schema={schema}", *_lines(name, found, defaults)]) + "\n"


def quoted(text: str) -> str:
    """Return a text as YAML reads it back: plain where that is safe."""
    return text if _PLAIN.fullmatch(text) and text.lower() not in _WORDS else json.dumps(text, ensure_ascii=False)


def listed(names: Sequence[str]) -> str:
    """Names as a YAML list on one line."""
    return f"[{', '.join(map(quoted, names))}]"


def _lines(name: str, found: SourceFound, defaults: Mapping[str, Any]) -> Iterator[str]:
    sampled = any(table.rows is not None for table in found.tables)
    seen = "a sample of real records" if sampled else "what the source says of its tables"
    yield f"# Written by `elt new` from {seen}: read the comments and keep what fits."
    yield f"name: {name}"
    yield '# description: "What it is, for people"'
    yield _setting("owner", Guess("data-platform", "owner shown in Airflow"), defaults)
    yield _setting("schedule", found.schedule, defaults)
    if found.first_day:
        # the defaults' day may be meant for every source
        yield _setting("start_date", Guess(found.first_day, "first day in the sample"), defaults)
    yield _setting(
        "timezone",
        Guess("UTC", "time zone of the schedule and its days; a timestamp without an offset is UTC"),
        defaults,
    )
    yield _setting("deadline", Guess("{within: 2h}", 'time by which a run must finish; or {by: "06:00"}'), defaults)
    yield "extract:"
    for key, guess in found.extract.items():
        yield _line(f"  {key}", guess)
    yield "tables:"
    for table in found.tables:
        yield from _table(table)
    for skipped in found.skipped:
        yield f"  # skipped {quoted(skipped.name)}: {' '.join(skipped.reason.split())}"
    yield "quality:"
    for table in found.tables:
        yield from _checks(table)


def _setting(key: str, guess: Guess, defaults: Mapping[str, Any]) -> str:
    """Return a line of the config; a comment where the folder's defaults say it, with what they say."""
    if key not in defaults:
        return _line(key, guess)
    said = json.dumps(defaults[key], ensure_ascii=False, default=str)
    return _commented(f"# {key}: {said}", "set in this folder's defaults")


def _table(table: TableFound) -> Iterator[str]:
    sampled = [] if table.rows is None else [f"{amount(table.rows, 'record')} sampled"]
    yield _commented(f"  {quoted(table.name)}:", ", ".join([*sampled, *([table.seen] if table.seen else [])]))
    yield '    # description: "What one row is"'
    for key, guess in table.lines.items():
        yield _line(f"    {key}", guess)
    if table.key:
        yield _line("    primary_key", Guess(listed(table.key.columns), table.key.why))
    else:
        none = "no key is named" if table.rows is None else "no column or pair is unique and never empty in the sample"
        yield f"    # primary_key: [id]    {none}"
    for other in table.other_keys:
        yield f"    # primary_key: {listed(other)}    also unique"
    yield _line("    write_disposition", table.disposition)
    yield from _times(table)
    if table.columns:
        yield from _columns(table.columns, "described" if table.rows is None else "sampled")


def _checks(table: TableFound) -> Iterator[str]:
    yield f"  {quoted(table.name)}:"
    yield _commented("    - row_count: {min: 1}", "reports windows without records")
    yield _commented("      severity: warn", "error would fail the run")
    if table.business_date:
        yield _commented("    # - freshness: {business_date_within: 26h}", "maximum age of the newest record")


def _times(table: TableFound) -> Iterator[str]:
    if table.cursor:
        begins = table.beginning or Beginning("", "1h")
        initial = f", initial: {begins.initial}" if begins.initial else ""
        cursor = f"{{cursor: {quoted(table.cursor.value)}, lag: {begins.lag}{initial}}}"
        yield _line("    incremental", Guess(cursor, table.cursor.why))
    if table.deleted:
        deleted = quoted(table.deleted)
        yield f"    # deletes: {{column: {deleted}}}    the source seems to keep rows that are deleted"
    for other in table.other_cursors:
        yield f"    # incremental: {{cursor: {quoted(other)}}}    also changes with updates"
    if table.business_date:
        yield _line("    business_date", Guess(quoted(table.business_date.value), table.business_date.why))
    for other in table.other_dates:
        yield f"    # business_date: {quoted(other)}    also a time"


def _columns(columns: Any, how: str) -> Iterator[str]:
    if any(column.type for column in columns):
        yield _commented("    columns:", f"types as {how}; records that do not fit are rejected and stored")
    for column in columns:
        yield _column(column)


def _column(column: ColumnFound) -> str:
    if column.type is None and column.pii:
        return f"      # {quoted(column.name)}: {{pii: hash}}    {column.pii}; with its type, when records show it"
    if column.type is None:
        return f"      # {quoted(column.name)}: no value in the sample; its type is inferred later"
    if column.secret:
        return _commented(f"      {quoted(column.name)}: {{type: {_type(str(column.type))}, pii: drop}}", column.secret)
    if column.pii:
        return _commented(f"      {quoted(column.name)}: {{type: {_type(str(column.type))}, pii: hash}}", column.pii)
    # a comma inside a flow mapping would end the type
    return _commented(f"      {quoted(column.name)}: {{type: {_type(str(column.type))}}}", column.why)


def _type(text: str) -> str:
    return f'"{text}"' if "," in text else text


def _line(key: str, guess: Guess) -> str:
    # what a source or a user calls ${NAME} is that text, and never a variable of the environment
    return _commented(f"{key}: {guess.value.replace(BEGIN, '$' + BEGIN)}", guess.why)


def _commented(text: str, why: str) -> str:
    plain = " ".join(why.split())
    return f"{text.ljust(_COMMENT_AT)}  # {plain}" if plain else text
