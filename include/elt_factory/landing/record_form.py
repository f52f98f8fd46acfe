"""The form of NDJSON records: most APIs and exports write each one with the same keys in the same order.

A record of that form is known for what it is by putting its values back into the form: where that gives the very bytes
of the line, its keys are these and no others, each once, and its texts are texts. That costs less than to take the JSON
apart a second time, and it is as certain, because each value ends where the form says it: no text has a quote in it
where the line has no backslash, and what could be read as a text with quotes, an object or array, is left out.

The bytes also prove the types: an integer, a day, a double or a truth value that DuckDB writes as the line has it was
read exactly, whatever its reader of JSON takes for such a value elsewhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from elt_factory.core.sql_text import identifier, text_literal

if TYPE_CHECKING:
    import duckdb

_NONE: Mapping[str, str] = MappingProxyType({})
_MOST = 0.9  # of the first records, else the form costs more than it saves
_MOST_TYPED = 0.98  # of the first values, else reading others as text again costs more than it saves
# what DuckDB writes of a value where its type can be proven by the bytes; NULL where they would not be enough
_WRITTEN: Mapping[str, str] = {
    "BIGINT": "{0}",
    "BOOLEAN": "{0}",
    # NaN and the infinities are values that DuckDB reads, and no test lets them pass
    "DOUBLE": "CASE WHEN isfinite({0}) THEN {0} END",
    # others have more than ten characters, or are not days
    "DATE": "CASE WHEN {0} BETWEEN DATE '0001-01-01' AND DATE '9999-12-31' THEN {0} END",
}


@dataclass(frozen=True)
class _Field:
    name: str
    is_text: bool  # its values are in quotes
    may_be_null: bool
    kind: str | None = None  # the DuckDB type that the bytes prove; None: a text, or JSON


@dataclass(frozen=True)
class RecordForm:
    """The fields of records in their order, and what is written around them."""

    fields: tuple[_Field, ...]
    nested: bool  # some field is read as JSON: it may be an object or array
    begin: str
    colon: str
    comma: str
    end: str

    @property
    def kinds(self) -> dict[str, str]:
        """The DuckDB types of the fields whose bytes prove them."""
        return {field.name: field.kind for field in self.fields if field.kind}

    def typed(self, kinds: Mapping[str, str]) -> RecordForm:
        """Return the same form of fields that are read as values of their types."""
        return replace(self, fields=tuple(replace(field, kind=kinds.get(field.name)) for field in self.fields))

    def is_met(self, line: str, values: Mapping[str, str]) -> str:
        """Return the condition that a line is these values in this form.

        Args:
            line: SQL of the line.
            values: SQL of the value of each field as DuckDB reads it: a text, JSON, or of its kind.
        """
        pieces, before = [], self.begin
        for place, field in enumerate(self.fields):
            before += (self.comma if place else "") + json.dumps(field.name, ensure_ascii=False) + self.colon
            value, quote = values[field.name], '"' if field.is_text else ""
            text = f"CAST({_WRITTEN[field.kind].format(value)} AS VARCHAR)" if field.kind else value
            if field.may_be_null:
                bare = f"concat('\"', {text}, '\"')" if field.is_text else text
                text, quote = f"CASE WHEN {value} IS NULL THEN 'null' ELSE {bare} END", ""
            pieces += [text_literal(before + quote), text]
            before = quote
        written = ", ".join([*pieces, text_literal(before + self.end)])
        met = [f"NOT contains({line}, '\\')", *self._no_quotes(line, values), f"concat({written}) = {line}"]
        return " AND ".join(met)

    def _no_quotes(self, line: str, values: Mapping[str, str]) -> list[str]:
        """Return conditions under which the value of no field of texts is an object or array in truth."""
        if not self.nested:
            return [f"NOT contains({line}, '[')", f"NOT {line} LIKE '{{%{{%'"]
        return [
            f"NOT contains({values[field.name]}, '\"')" for field in self.fields if field.is_text and not field.kind
        ]


def form_of(
    connection: duckdb.DuckDBPyConnection, types: Mapping[str, str], lines: str, kinds: Mapping[str, str] = _NONE
) -> RecordForm | None:
    """Return the form that most lines have; None where they have no form in common.

    Args:
        connection: The connection.
        types: All keys of the records in the order of most, each with the DuckDB type as which it is read: VARCHAR, or
            JSON.
        lines: A relation of lines as `json`.
        kinds: DuckDB types of fields that are not text; those whose bytes do not prove them are left out of the form.
    """
    record = f"(SELECT json, from_json(json, {structure(dict.fromkeys(types, 'JSON'))}) AS record FROM {lines})"
    values = {name: f"record.{identifier(name)}" for name in types}
    counts = (f"count({value}), count(CASE WHEN starts_with({value}, '\"') THEN 1 END)" for value in values.values())
    looked = connection.execute(f"SELECT count(*), min(json), {', '.join(counts)} FROM {record}").fetchall()
    total, first, *found = looked[0]
    fields = []
    for place, (name, kind) in enumerate(types.items()):
        given, texts = found[2 * place : 2 * place + 2]
        if kind != "JSON" and texts not in (0, given):
            return None
        fields.append(_Field(name, kind != "JSON" and texts > 0, given < total))
    form = _around(first or "", fields, nested="JSON" in types.values())
    if form is None:
        return None
    read = f"(SELECT json, from_json(json, {structure(types)}) AS record FROM {lines})"
    looks = [f"count(CASE WHEN {form.is_met('json', values)} THEN 1 END)"]
    looks += [f"count(CASE WHEN {_proven(values[name], kind)} THEN 1 END)" for name, kind in kinds.items()]
    met, *proven = connection.execute(f"SELECT {', '.join(looks)} FROM {read}").fetchall()[0]
    typed = {name: kind for (name, kind), n in zip(kinds.items(), proven, strict=True) if n >= _MOST_TYPED * total}
    return form.typed(typed) if met >= _MOST * total else None


def _proven(text: str, kind: str) -> str:
    """Return the condition that a text is as DuckDB writes the value of a type."""
    value = _WRITTEN[kind].format(f"TRY_CAST({text} AS {kind})")
    return f"{text} IS NULL OR CAST({value} AS VARCHAR) = {text}"


def structure(types: Mapping[str, str]) -> str:
    """Return what `from_json` takes for an object of such fields."""
    return text_literal(json.dumps(dict(types), ensure_ascii=False))


def _around(line: str, fields: Sequence[_Field], *, nested: bool) -> RecordForm | None:
    """Return the form in which a line is written, as far as its first fields and its end say it."""
    keys = [re.escape(json.dumps(field.name, ensure_ascii=False)) for field in fields]
    begin = re.match(rf"(\{{\s*){keys[0]}(\s*:\s*)", line)
    comma = re.search(rf"(\s*,\s*){keys[1]}\s*:", line) if len(keys) > 1 else None
    end = re.search(r"\s*\}\s*$", line)
    if not begin or not end or (len(keys) > 1 and not comma):
        return None
    return RecordForm(tuple(fields), nested, begin[1], begin[2], comma[1] if comma else "", end[0])
