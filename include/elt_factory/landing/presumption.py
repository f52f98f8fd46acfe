"""What is presumed of all records, and the SQL that asks each of them.

A value that contradicts ends the statement with an error, and the records are read with care.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from elt_factory.core.sql_text import text_literal

_CONTRADICTED = f"error({text_literal('the first records say otherwise')})"


@dataclass(frozen=True)
class Presumption:
    """What is presumed, by the names of columns.

    `tests` are conditions on a raw value $ and DuckDB's own cast # of it, which has the presumed type then and is none
    of another type. Of NDJSON:
    `in_json` are the columns that are tested as JSON writes them, `texts` those whose values are all texts, and `keys`
    are all keys that records have, in the order of most; no record has more bytes than the `longest`, where that is
    known.
    """

    tests: Mapping[str, str] = field(default_factory=dict)
    in_json: frozenset[str] = frozenset()
    texts: frozenset[str] = frozenset()
    keys: tuple[str, ...] = ()
    longest: int | None = None

    def renamed(self, rename: Callable[[str], str]) -> Presumption:
        """Return the same for columns of other names; keys are always those of the source."""
        return replace(
            self,
            tests={rename(name): test for name, test in self.tests.items()},
            in_json=frozenset(map(rename, self.in_json)),
            texts=frozenset(map(rename, self.texts)),
        )


def confirmed(raw: str, value: str, test: str) -> str:
    """Return SQL for DuckDB's own cast of a raw value, if that meets a test under which the cast is exact."""
    return f"CASE WHEN {tested(test, raw, value)} THEN {value} WHEN {raw} IS NULL THEN NULL ELSE {_CONTRADICTED} END"


def tested(test: str, raw: str, value: str) -> str:
    """Return SQL for a test of a raw value, whose cast is `value`."""
    return re.sub("[$#]", lambda sign: raw if sign[0] == "$" else value, test)


def confirmed_text(json: str) -> str:
    """Return SQL for the text that a JSON value is."""
    text = f"starts_with({json}, '\"') THEN json_extract_string({json}, '$')"
    return f"CASE WHEN {json} IS NULL THEN NULL WHEN {text} ELSE {_CONTRADICTED} END"


def confirmed_record(json: str, condition: str) -> str:
    """Return SQL for the text of a record that meets a condition."""
    return f"CASE WHEN {condition} THEN {json} ELSE {_CONTRADICTED} END"


def confirmed_condition(condition: str) -> str:
    """Return SQL for a condition that every record meets."""
    return f"CASE WHEN {condition} THEN TRUE ELSE {_CONTRADICTED} END"
