"""Newline-delimited JSON in DuckDB: columns as text, numbers with all their digits, and lines that are no object.

DuckDB's JSON reader turns a number with a fraction into a double before anything else sees it, also when the column
is a decimal or text, or the number is deep inside a nested value. So numbers that a double may not hold are put in
quotes, behind a marker, before the reader meets them, and taken out again after it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from elt_factory.sql_text import LITERAL_PATHS, file_list, identifier, text_literal

_LONG = "[0-9.]{16}[0-9.eE]"  # 16 digits and a point, or more: a double keeps 15 digits for certain
_FRACTION = r"[0-9]\.[0-9]{8}|[0-9]{8}(\.[0-9]|[eE])"  # integers of any length are kept by the reader itself
_STRING_OR_LONG = r'("(?:[^"\\]|\\.)*")|(-?(?:[0-9.]{17,}(?:[eE][+-]?[0-9]+)?|[0-9.]{16}[eE][+-]?[0-9]+))'
_LIKE_NUMBER = bytes(ord("0") if chr(byte) in "0123456789.eE" else ord(" ") for byte in range(256))
_LONG_RUN = b"0" * 17
_CHUNK = 1024 * 1024

ANY_FIELD = frozenset({"*"})  # also a field inside of another


@dataclass(frozen=True)
class Lines:
    """NDJSON files, and the bytes that their longest line may have at most.

    DuckDB makes each thread a buffer of twice the longest record that it is to expect, whatever there is.
    """

    files: tuple[str, ...]
    longest: int

    @classmethod
    def of(cls, files: Sequence[Path]) -> Lines:
        """The files with their longest line."""
        return cls(tuple(map(str, files)), max(map(longest_line, files), default=0))

    @property
    def object_bytes(self) -> int:
        """The record that DuckDB is to expect: whole megabytes, so that a few bytes make no other statement."""
        return (self.longest // _CHUNK + 1) * _CHUNK

    @property
    def reading(self) -> str:
        """The files as the first arguments of DuckDB's readers."""
        form = f"format = 'newline_delimited', compression = 'none', maximum_object_size = {self.object_bytes}"
        return f"{file_list(self.files)}, {LITERAL_PATHS}, {form}"


def longest_line(file: Path) -> int:
    """An upper bound of the bytes of a file's longest line; it is a megabyte where all lines are shorter."""
    size = file.stat().st_size
    if size <= _CHUNK:
        return size
    longest, since_break = _CHUNK, 0
    with file.open("rb") as source:
        while chunk := source.read(_CHUNK):
            first = chunk.find(b"\n")
            if first < 0:
                since_break += len(chunk)
                continue
            longest = max(longest, since_break + first)
            since_break = len(chunk) - chunk.rfind(b"\n")
    return max(longest, since_break)


def objects(lines: Lines) -> str:
    """Files as a relation of one column `json`, each line as it was written."""
    return f"read_json_objects({lines.reading})"


def read_columns(lines: Lines, types: Mapping[str, str]) -> str:
    """Files as a relation whose columns have the given DuckDB types (VARCHAR or JSON)."""
    columns = ", ".join(f"{text_literal(name)}: {text_literal(kind)}" for name, kind in types.items())
    return f"read_json({lines.reading}, records = true, columns = {{{columns}}})"


def described(lines: Lines) -> str:
    """Files as a relation with the columns and types that DuckDB finds in all of their lines."""
    return f"read_json({lines.reading}, sample_size = -1, map_inference_threshold = -1, field_appearance_threshold = 0)"


def may_have_long_numbers(files: Sequence[Path]) -> bool:
    """Whether any run of digits is long enough to be looked at; a few milliseconds for a million bytes."""
    return any(_LONG_RUN in piece for file in files for piece in _pieces(file))


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
    objects: str, types: Mapping[str, str], names: Collection[str], marker: str, more: Sequence[str] = ()
) -> str:
    """`read_columns`, but numbers keep all of their digits. `marker` is text that does not appear in the data.

    `objects` is a relation as `objects` gives it; `more` are columns of it that are passed on.
    """
    quoted = f"CASE WHEN {has_long_number(names)} THEN {_quote_long_numbers('json', marker)} ELSE json END"
    structure = text_literal(json.dumps(dict(types), ensure_ascii=False))
    columns = ", ".join(f"{_unquote(f'record.{identifier(name)}', marker)} AS {identifier(name)}" for name in types)
    passed = "".join(f", {identifier(name)}" for name in more)
    record = f"from_json({quoted}, {structure}) AS record"
    return f"(SELECT {columns}{passed} FROM (SELECT {record}{passed} FROM {objects}))"


def _quote_long_numbers(column: str, marker: str) -> str:
    # neither control character can stand in JSON by itself
    marked = f"regexp_replace({column}, {text_literal(_STRING_OR_LONG)}, '\\1\x01\\2\x02', 'g')"
    numbers_only = f"replace({marked}, '\x01\x02', '')"
    return f"replace(replace({numbers_only}, '\x01', '\"{marker}:'), '\x02', '\"')"


def _unquote(column: str, marker: str) -> str:
    pattern = text_literal(f'"?{marker}:([-+0-9.eE]*)"?')
    bare = f"regexp_replace({column}, {pattern}, '\\1', 'g')"
    return f"CASE WHEN contains({column}, '{marker}') THEN {bare} ELSE {column} END"
