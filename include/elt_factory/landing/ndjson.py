"""Newline-delimited JSON in DuckDB: columns as text, numbers with all their digits, and lines that are no object.

DuckDB's JSON reader turns a number with a fraction into a double before anything else sees it, also when the column
is a decimal or text, or the number is deep inside a nested value. So numbers that a double may not hold are put in
quotes, behind a marker, before the reader meets them, and taken out again after it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

from elt_factory.extract.request import Spool
from elt_factory.sql_text import LITERAL_PATHS, file_list, identifier, text_literal

if TYPE_CHECKING:
    import duckdb

MAX_OBJECT_BYTES = 64 * 1024 * 1024
_READING = f"{LITERAL_PATHS}, format = 'newline_delimited', maximum_object_size = {MAX_OBJECT_BYTES}"

_LONG = "[0-9.]{16}[0-9.eE]"  # 16 digits and a point, or more: a double keeps 15 digits for certain
_FRACTION = r"[0-9]\.[0-9]{8}|[0-9]{8}(\.[0-9]|[eE])"  # integers of any length are kept by the reader itself
_STRING_OR_LONG = r'("(?:[^"\\]|\\.)*")|(-?(?:[0-9.]{17,}(?:[eE][+-]?[0-9]+)?|[0-9.]{16}[eE][+-]?[0-9]+))'
_LIKE_NUMBER = bytes(ord("0") if chr(byte) in "0123456789.eE" else ord(" ") for byte in range(256))
_LONG_RUN = b"0" * 17
_CHUNK = 1024 * 1024

ANY_FIELD = frozenset({"*"})  # also a field inside of another

_BOM = b"\xef\xbb\xbf"
_LINE_SHOWN = 10_000  # characters of a broken line that its reject keeps


@dataclass(frozen=True)
class Sifted:
    """Files without their broken lines, and those in a file of their own as `reason` and `record`; None without any."""

    spool: Spool
    broken: Path | None


def objects(files: Sequence[str]) -> str:
    """Files as a relation of one column `json`, each line as it was written."""
    return f"read_json_objects({file_list(files)}, {_READING})"


def read_columns(files: Sequence[str], types: Mapping[str, str]) -> str:
    """Files as a relation whose columns have the given DuckDB types (VARCHAR or JSON)."""
    columns = ", ".join(f"{text_literal(name)}: {text_literal(kind)}" for name, kind in types.items())
    return f"read_json({file_list(files)}, {_READING}, records = true, columns = {{{columns}}})"


def described(files: Sequence[str]) -> str:
    """Files as a relation with the columns and types that DuckDB finds in all of their lines."""
    return (
        f"read_json({file_list(files)}, {_READING}, sample_size = -1, "
        "map_inference_threshold = -1, field_appearance_threshold = 0)"
    )


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


def read_exactly(files: Sequence[str], types: Mapping[str, str], names: Collection[str], marker: str) -> str:
    """`read_columns`, but numbers keep all of their digits. `marker` is text that stands nowhere in the data."""
    quoted = f"CASE WHEN {has_long_number(names)} THEN {_quote_long_numbers('json', marker)} ELSE json END"
    structure = text_literal(json.dumps(dict(types), ensure_ascii=False))
    columns = ", ".join(f"{_unquote(f'record.{identifier(name)}', marker)} AS {identifier(name)}" for name in types)
    return f"(SELECT {columns} FROM (SELECT from_json({quoted}, {structure}) AS record FROM {objects(files)}))"


def _quote_long_numbers(column: str, marker: str) -> str:
    # neither control character can stand in JSON by itself
    marked = f"regexp_replace({column}, {text_literal(_STRING_OR_LONG)}, '\\1\x01\\2\x02', 'g')"
    numbers_only = f"replace({marked}, '\x01\x02', '')"
    return f"replace(replace({numbers_only}, '\x01', '\"{marker}:'), '\x02', '\"')"


def _unquote(column: str, marker: str) -> str:
    pattern = text_literal(f'"?{marker}:([-+0-9.eE]*)"?')
    bare = f"regexp_replace({column}, {pattern}, '\\1', 'g')"
    return f"CASE WHEN contains({column}, '{marker}') THEN {bare} ELSE {column} END"


def sift(connection: duckdb.DuckDBPyConnection, spool: Spool, workdir: Path) -> Sifted:
    """Copy the files without the lines that DuckDB cannot read as one object each.

    Only called when reading has failed: it costs a pass over the files, and healthy ones shall not pay for it.
    """
    folder = workdir / "sifted"
    folder.mkdir(exist_ok=True)
    target = folder / "broken.ndjson"
    clean = tuple(folder / f"{number:06}.ndjson" for number in range(len(spool.files)))
    with target.open("wb") as broken:
        for source, copy in zip(spool.files, clean, strict=True):
            _sift_file(connection, source, copy, broken)
    return Sifted(replace(spool, files=clean), target if target.stat().st_size else None)


def _sift_file(connection: duckdb.DuckDBPyConnection, source: Path, copy: Path, broken: IO[bytes]) -> None:
    import msgspec

    with source.open("rb") as lines, copy.open("wb") as clean:
        # a byte order mark is no part of the first line; DuckDB would call that line broken
        marked = lines.read(len(_BOM)) == _BOM
        lines.seek(len(_BOM) if marked else 0)
        plain = _without_mark(source, copy) if marked else source
        verdicts = _broken_ordinals(connection, plain)
        next_broken, ordinal = next(verdicts, None), 0
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            ordinal += 1
            if ordinal != next_broken:
                clean.write(line)
                continue
            next_broken = next(verdicts, None)
            reason = f"{source.name} line {number}: {why_broken(line)}"
            shown = line.decode(errors="replace").rstrip("\r\n")[:_LINE_SHOWN]
            record = msgspec.json.encode({"line": shown}).decode()
            broken.write(msgspec.json.encode({"reason": reason, "record": record}) + b"\n")


def _without_mark(source: Path, copy: Path) -> Path:
    import shutil

    plain = copy.with_suffix(".plain")
    with source.open("rb") as marked, plain.open("wb") as target:
        marked.seek(len(_BOM))
        shutil.copyfileobj(marked, target)
    return plain


def _broken_ordinals(connection: duckdb.DuckDBPyConnection, file: Path) -> Iterator[int]:
    """Which of the lines that are not blank are no object, or have a key twice, counted from 1."""
    keys = "coalesce(json_keys(json), [])"
    is_object = f"json_type(json) IN ('OBJECT', 'NULL') AND len({keys}) = len(list_distinct({keys}))"
    reading = f"read_json_objects({file_list([str(file)])}, {_READING}, ignore_errors = true)"
    cursor = connection.cursor()
    cursor.execute(
        f"SELECT ordinal FROM (SELECT row_number() OVER () AS ordinal, json FROM {reading}) "
        f"WHERE json IS NULL OR NOT ({is_object}) ORDER BY ordinal"
    )
    while rows := cursor.fetchmany(_CHUNK // 64):
        yield from (int(row[0]) for row in rows)


def why_broken(line: bytes) -> str:
    """Why a line is no record, without showing what stands in it."""
    import msgspec

    try:
        value = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return str(error) if isinstance(error, msgspec.DecodeError) else "the text is not UTF-8"
    if isinstance(value, dict):
        return "a key stands twice in the object, or a text in it is no Unicode"
    return f"there is a JSON {_JSON_NAMES.get(type(value), 'value')} where an object must stand"


_JSON_NAMES: Mapping[type, str] = {list: "array", str: "string", int: "number", float: "number", bool: "boolean"}
