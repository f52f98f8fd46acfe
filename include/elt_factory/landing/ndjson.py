"""Newline-delimited JSON in DuckDB: columns as text, numbers with all their digits, and lines that are not objects.

DuckDB's JSON reader turns a number with a fraction into a double before anything else sees it, also when the column
is a decimal or text, or the number is deep inside a nested value. So numbers that a double may not hold are put in
quotes, behind a marker, before the reader meets them, and taken out again after it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

from elt_factory.core.sql_text import identifier, text_list, text_literal
from elt_factory.landing import json_rules, limits
from elt_factory.landing.file_names import MET, ROW, proven_name
from elt_factory.landing.lines import LINES
from elt_factory.landing.presumption import Presumption, confirmed_condition, confirmed_record, confirmed_text
from elt_factory.landing.record_form import RecordForm, structure

_LONG = "[0-9.]{16}[0-9.eE]"  # 16 digits and a point, or more: a double keeps 15 digits for certain
_FRACTION = r"[0-9]\.[0-9]{8}|[0-9]{8}(\.[0-9]|[eE])"  # integers of any length are kept by the reader itself
_STRING_OR_LONG = r'("(?:[^"\\]|\\.)*")|(-?(?:[0-9.]{17,}(?:[eE][+-]?[0-9]+)?|[0-9.]{16}[eE][+-]?[0-9]+))'
_LIKE_NUMBER = bytes(ord("0") if chr(byte) in "0123456789.eE" else ord(" ") for byte in range(256))
_LONG_RUN = b"0" * 17
_CHUNK = 1024 * 1024

# the kinds of a field's values, as bits
TEXT, NESTED, BOOLEAN, INTEGER, NUMBER = 1, 2, 4, 8, 16

ANY_FIELD = frozenset({"*"})  # also a field inside of another


_NOTHING = Presumption()


def read_columns(
    types: Mapping[str, str], more: Sequence[str] = (), name: str = LINES, presumed: Presumption = _NOTHING
) -> str:
    """Offered files as a relation whose columns have the given DuckDB types (VARCHAR or JSON).

    `more` are columns of theirs that are passed on.
    """
    values = {column: f"record.{identifier(column)}" for column in types}
    return _columns(confirmed_keys("json", presumed), types, _confirmed(values, presumed), more, name)


def shapes(longest: int | None = None) -> str:
    """SELECT of the keys of all records, in the order in which they come; NULL where a line is not a record.

    That is an object without a key twice that is not nested too deep. The keys of one record, its shape, are looked at
    once for all records, of which none has more bytes than the longest.
    """
    other = "CASE WHEN len(keys) = 0 THEN json_type(json) <> 'OBJECT' ELSE FALSE END"
    shape = (
        f"SELECT keys, min({identifier(ROW)}) AS begins, "
        f"bool_or({other} OR {_too_deep('json', longest)}) OR len(keys) <> list_unique(keys) AS broken "
        f"FROM (SELECT *, json_keys(json) AS keys FROM {LINES}) GROUP BY keys"
    )
    each = "SELECT begins, unnest(CASE WHEN broken THEN [NULL] ELSE keys END) AS key, unnest(range(len(keys))) AS place"
    return f"SELECT key FROM ({each} FROM ({shape})) GROUP BY key ORDER BY min((begins, place))"


def _may_be_deep(text: str) -> str:
    opened = f"2 * strlen({text}) - strlen(replace({text}, '[', '')) - strlen(replace({text}, '{{', ''))"
    return f"CASE WHEN strlen({text}) > {2 * limits.JSON_DEPTH} THEN {opened} > {limits.JSON_DEPTH} ELSE FALSE END"


def _too_deep(text: str, longest: int | None) -> str:
    if longest is not None and longest < json_rules.SHORTEST_DEEP:
        # to compile the pattern for depth takes several milliseconds in each statement, whether it is used or not
        return "FALSE"
    return f"CASE WHEN {_may_be_deep(text)} THEN {json_rules.too_deep(text)} ELSE FALSE END"


def confirmed_keys(text: str, presumed: Presumption) -> str:
    """Return the JSON text of a record, if it is an object that has none but the presumed keys, each once.

    What has no keys at all may be something else.
    """
    if not presumed.keys:
        return text
    return confirmed_record(text, _has_only(text, presumed))


def _has_only(text: str, presumed: Presumption) -> str:
    found, known = f"json_keys({text})", text_list(presumed.keys)
    others = f"len({found}) > 0 AND len({found}) = list_unique({found}) AND list_has_all({known}, {found})"
    shape = f"CASE WHEN {found} = {known} THEN TRUE ELSE {others} END"
    return f"{shape} AND NOT {_too_deep(text, presumed.longest)}"


def kinds(names: Sequence[str], relation: str) -> str:
    """SELECT of what values fields have: per field the bits of their kinds, the least and greatest, the longest.

    Values are as JSON writes them, so texts have quotes.

    Args:
        names: The fields.
        relation: The records, with the fields as JSON.
    """
    values = ", ".join(f"nullif(CAST({identifier(name)} AS VARCHAR), 'null') AS v{n}" for n, name in enumerate(names))
    tests = (f"bit_or({_kind(f'v{n}')}), min(v{n}), max(v{n}), max(strlen(v{n}))" for n, _ in enumerate(names))
    return f"SELECT {', '.join(tests)} FROM (SELECT {values} FROM {relation})"


def _kind(value: str) -> str:
    number = f"CASE WHEN regexp_full_match({value}, '-?[0-9]+') THEN {INTEGER} ELSE {NUMBER} END"
    return (
        f"CASE WHEN {value} IS NULL THEN NULL WHEN starts_with({value}, '\"') THEN {TEXT} "
        f"WHEN starts_with({value}, '[') OR starts_with({value}, '{{') THEN {NESTED} "
        f"WHEN {value} IN ('true', 'false') THEN {BOOLEAN} ELSE {number} END"
    )


def may_have_long_numbers(files: Sequence[Path]) -> bool:
    """Whether any run of digits is long enough to be looked at; a few milliseconds for a million bytes."""
    return any(_LONG_RUN in piece for file in files for piece in _pieces(file))


def may_begin_with_long_numbers(files: Sequence[Path]) -> bool:
    """Whether that is so in the first bytes."""
    return any(_LONG_RUN in piece for file in files[:1] for piece in islice(_pieces(file), 1))


def _pieces(file: Path) -> Iterator[bytes]:
    with file.open("rb") as source:
        rest = b""
        while chunk := source.read(_CHUNK):
            piece = rest + chunk.translate(_LIKE_NUMBER)
            yield piece
            rest = piece[-len(_LONG_RUN) :]


def has_long_number(names: Collection[str]) -> str:
    """Condition over `json`: one of these fields may have a number that a double does not hold."""
    conditions = [f"regexp_matches(json, {text_literal(pattern)})" for pattern in (_LONG, _FRACTION)]
    if ANY_FIELD.isdisjoint(names):
        keys = "|".join(re.escape(json.dumps(name, ensure_ascii=False)) for name in names)
        field = f"(?:{keys})\\s*:\\s*-?{_LONG}"
        # a name can be written with escapes, which this pattern does not know
        conditions.insert(0, f"(regexp_matches(json, {text_literal(field)}) OR contains(json, '\\'))")
    return " AND ".join(conditions)


def read_exactly(
    types: Mapping[str, str],
    names: Collection[str],
    marker: str,
    more: Sequence[str] = (),
    presumed: Presumption = _NOTHING,
) -> str:
    """`read_columns`, but numbers keep all of their digits. `marker` is text that does not appear in the data."""
    record = confirmed_keys("json", presumed)
    quoted = f"CASE WHEN {has_long_number(names)} THEN {_quote_long_numbers(record, marker)} ELSE {record} END"
    values = {name: _unquote(f"record.{identifier(name)}", marker) for name in types}
    return _columns(quoted, types, _confirmed(values, presumed), more, LINES)


def read_by_form(
    types: Mapping[str, str],
    form: RecordForm,
    more: Sequence[str] = (),
    presumed: Presumption = _NOTHING,
    exact: Collection[str] = (),
) -> str:
    """`read_columns`, of records that have a form for the most part: only others are taken apart a second time.

    `types` are of all keys. Of a record of the form the fields that it proves have their values as columns of
    `proven_name`, and as text no more than something or NULL; MET says which records these are. In no other record a
    number of the `exact` fields may be one that a double does not hold.
    """
    values = {column: f"record.{identifier(column)}" for column in types}
    columns = [
        _unproven(name, value) if name in form.kinds else f"{value} AS {identifier(name)}"
        for name, value in values.items()
    ]
    columns += [f"{values[name]} AS {identifier(proven_name(name))}" for name in form.kinds]
    passed = [MET, *more] if form.kinds else more
    is_so = confirmed_condition(f"{identifier(MET)} OR {_is_presumed('json', presumed, exact)}")
    records = f"SELECT *, from_json(json, {structure({**types, **form.kinds})}) AS record FROM {LINES}"
    judged = f"SELECT *, {form.is_met('json', values)} AS {identifier(MET)} FROM ({records})"
    if form.kinds:
        texts = structure(dict.fromkeys(form.kinds, "VARCHAR"))
        judged = f"SELECT *, CASE WHEN NOT {identifier(MET)} THEN from_json(json, {texts}) END AS other FROM ({judged})"
    return f"(SELECT {', '.join([*columns, *map(identifier, passed)])} FROM ({judged}) WHERE {is_so})"


def _unproven(name: str, value: str) -> str:
    something = f"CASE WHEN {value} IS NOT NULL THEN '' END"
    return f"CASE WHEN {identifier(MET)} THEN {something} ELSE other.{identifier(name)} END AS {identifier(name)}"


def _is_presumed(text: str, presumed: Presumption, exact: Collection[str]) -> str:
    """Return the condition that a record has no other keys, values of the kinds that are presumed, no long numbers."""
    kinds = {name: f"json_type({text}, {text_literal(json_rules.pointer_to(name))})" for name in presumed.keys}
    texts = (f"coalesce({kind} IN ('VARCHAR', 'NULL'), TRUE)" for name, kind in kinds.items() if name in presumed.texts)
    others = (f"coalesce({kind} <> 'VARCHAR', TRUE)" for name, kind in kinds.items() if name in presumed.in_json)
    short = [f"NOT ({has_long_number(exact)})"] if exact else []
    return " AND ".join([_has_only(text, presumed), *texts, *others, *short])


def _confirmed(values: Mapping[str, str], presumed: Presumption) -> list[str]:
    return [_as_text(name, value, presumed) for name, value in values.items()]


def _as_text(name: str, value: str, presumed: Presumption) -> str:
    if name in presumed.texts:
        return confirmed_text(value)
    return f"CAST({value} AS VARCHAR)" if name in presumed.in_json else value


def _columns(json_text: str, types: Mapping[str, str], values: Sequence[str], more: Sequence[str], lines: str) -> str:
    columns = ", ".join(f"{value} AS {identifier(name)}" for name, value in zip(types, values, strict=True))
    passed = "".join(f", {identifier(name)}" for name in more)
    records = f"SELECT from_json({json_text}, {structure(types)}) AS record{passed} FROM {lines}"
    return f"(SELECT {columns}{passed} FROM ({records}))"


def _quote_long_numbers(column: str, marker: str) -> str:
    # neither control character can appear in JSON by itself
    marked = f"regexp_replace({column}, {text_literal(_STRING_OR_LONG)}, '\\1\x01\\2\x02', 'g')"
    numbers_only = f"replace({marked}, '\x01\x02', '')"
    return f"replace(replace({numbers_only}, '\x01', '\"{marker}:'), '\x02', '\"')"


def _unquote(column: str, marker: str) -> str:
    pattern = text_literal(f'"?{marker}:([-+0-9.eE]*)"?')
    bare = f"regexp_replace({column}, {pattern}, '\\1', 'g')"
    return f"CASE WHEN contains({column}, '{marker}') THEN {bare} ELSE {column} END"
