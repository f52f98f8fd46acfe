"""Lines of NDJSON that are not records: found, and put aside with the reason, so that the others can be read.

It costs a pass over the files, so it is done only where reading has failed; healthy files do not pay for it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

from elt_factory.core.failures import BadDataError
from elt_factory.core.sql_text import identifier, text_literal
from elt_factory.extract.request import Spool
from elt_factory.landing import limits
from elt_factory.landing.file_names import ROW
from elt_factory.landing.lines import BOM, LINES, offer
from elt_factory.landing.schema import NAME, can_name

if TYPE_CHECKING:
    import duckdb

_NO_RECORD = b"0\n"  # stands in for a line that DuckDB shall not see
_CHUNK = 1024 * 1024
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', re.DOTALL)
_REPEATED_KEY = "a key is repeated in the object"
_NOT_UNICODE = "invalid Unicode in a text of the record: half of a surrogate pair"
_UNFIT_KEY = (
    "a key is not a valid column name: it is empty, longer than 255 characters, or contains a control character"
)
_JSON_NAMES: Mapping[type, str] = {
    list: "array",
    str: "string",
    int: "number",
    float: "number",
    bool: "boolean",
    type(None): "null",
}


@dataclass(frozen=True)
class Sifted:
    """Files without their broken lines, and those in a file of their own as `reason` and `record`, where there are."""

    spool: Spool
    broken: Sequence[Path]


def sift(connection: duckdb.DuckDBPyConnection, spool: Spool, workdir: Path) -> Sifted:
    """Copy the files without the lines that cannot be read as one object each.

    Raises:
        BadDataError: a file is a JSON array, which has no line for each record.
    """
    folder = workdir / "sifted"
    folder.mkdir(exist_ok=True)
    target = folder / "broken.ndjson"
    clean = tuple(folder / f"{number:06}.ndjson" for number in range(len(spool.files)))
    with target.open("wb") as broken:
        for source, copy in zip(spool.files, clean, strict=True):
            _sift_file(connection, source, copy, broken)
            _refuse_array(source, copy)
        _add_rejects(spool, dict(zip(map(str, spool.files), map(str, clean), strict=True)), broken)
    return Sifted(replace(spool, files=clean, rejects=None), [target] if target.stat().st_size else [])


def _add_rejects(spool: Spool, copies: Mapping[str, str], broken: IO[bytes]) -> None:
    """Add the records that the reader could not read, each with the copy of its file."""
    import msgspec

    if spool.rejects is None:
        return
    with spool.rejects.open("rb") as lines:
        for line in lines:
            reject = msgspec.json.decode(line)
            broken.write(msgspec.json.encode({**reject, "file": copies[reject["file"]]}) + b"\n")


def _sift_file(connection: duckdb.DuckDBPyConnection, source: Path, copy: Path, broken: IO[bytes]) -> None:
    import msgspec

    plain = copy.with_suffix(".plain")
    _write_plain(source, plain)
    verdicts = _broken_ordinals(connection, plain)
    next_broken, ordinal = next(verdicts, None), 0
    with copy.open("wb") as clean:
        for number, line in _lines(source):
            ordinal += 1
            if ordinal != next_broken:
                clean.write(line)
                continue
            next_broken = next(verdicts, None)
            reason = f"{source.name} line {number}: {why_broken(line)}"
            shown = line[: 4 * limits.KEPT_LINE_CHARACTERS].decode(errors="replace").rstrip("\r\n")
            record = msgspec.json.encode({"line": shown[: limits.KEPT_LINE_CHARACTERS]}).decode()
            broken.write(msgspec.json.encode({"reason": reason, "record": record, "file": str(copy)}) + b"\n")
    plain.unlink()


def _lines(source: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that are not blank, with their numbers; of one that is too long the first bytes.

    A byte order mark is not part of the first line.
    """
    with source.open("rb") as lines:
        lines.seek(len(BOM) if lines.read(len(BOM)) == BOM else 0)
        number = 0
        while line := lines.readline(limits.RECORD_BYTES + 1):
            number += 1
            rest = line
            while len(line) > limits.RECORD_BYTES and rest and not rest.endswith(b"\n"):
                rest = lines.readline(_CHUNK)
            if line.strip():
                yield number, line


def _write_plain(source: Path, plain: Path) -> None:
    """Copy the lines, with something else in place of those that DuckDB would fail on as a whole."""
    with plain.open("wb") as target:
        for _, line in _lines(source):
            harmful = len(line) > limits.RECORD_BYTES or too_deep(line) or not _is_text(line)
            target.write(_NO_RECORD if harmful else line)


def _is_text(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _broken_ordinals(connection: duckdb.DuckDBPyConnection, file: Path) -> Iterator[int]:
    """Find the lines that are not objects, repeat a key, or have one that is not a column name, counted from 1."""
    keys = "json_keys(json)"
    fit = f"len(list_filter({keys}, lambda key: NOT regexp_full_match(key, {text_literal(NAME)}))) = 0"
    is_object = f"json_type(json) = 'OBJECT' AND len({keys}) = len(list_distinct({keys})) AND {fit}"
    offer(connection, [file])
    number = identifier(ROW)
    connection.execute(
        f"SELECT {number} + 1 FROM {LINES} WHERE NOT CASE WHEN json_valid(json) THEN {is_object} ELSE FALSE END "
        f"ORDER BY {number}"
    )
    while rows := connection.fetchmany(_CHUNK // 64):
        yield from (int(row[0]) for row in rows)


def _refuse_array(source: Path, clean: Path) -> None:
    """Refuse a file that is one array over many lines, or whose lines are arrays and never a record."""
    first = next((line for _, line in _lines(source)), b"")
    if first.lstrip().startswith(b"[") and not (clean.stat().st_size and first.rstrip().endswith(b"]")):
        raise BadDataError(
            f"{source.name} is a JSON array, and format ndjson needs one JSON object on each line; write the file "
            "that way"
        )


def too_deep(line: bytes) -> bool:
    """Whether objects and arrays are within each other more often than any warehouse takes."""
    if line.count(b"[") + line.count(b"{") <= limits.JSON_DEPTH:
        return False
    depth = 0
    for token in _TOKEN.finditer(line):
        first = token.group()[:1]
        if first in b"[{":
            depth += 1
            if depth > limits.JSON_DEPTH:
                return True
        elif first in b"]}":
            depth -= 1
    return False


def why_broken(line: bytes) -> str:
    """Why a line is not a record, without showing what it holds."""
    import msgspec

    if len(line) > limits.RECORD_BYTES:
        return f"the line is longer than {limits.RECORD_BYTES:,} bytes"
    if too_deep(line):
        return f"the record is nested deeper than {limits.JSON_DEPTH} levels"
    try:
        value = msgspec.json.decode(line)
    except UnicodeDecodeError:
        return "the text is not UTF-8"
    except msgspec.DecodeError as error:
        return _NOT_UNICODE if _has_lone_surrogate(line) else str(error)
    if isinstance(value, dict):
        return _why_unfit(line, value)
    return f"expected a JSON object, got a JSON {_JSON_NAMES.get(type(value), 'value')}"


def _why_unfit(line: bytes, record: Mapping[str, object]) -> str:
    if not all(map(can_name, record)):
        return _UNFIT_KEY
    return _REPEATED_KEY if _repeats_a_key(line) else "the record cannot be read"


def _has_lone_surrogate(line: bytes) -> bool:
    try:
        json.dumps(json.loads(line), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    except ValueError:
        return False
    return False


def _repeats_a_key(line: bytes) -> bool:
    outermost: list[tuple[str, object]] = []

    def keep(pairs: list[tuple[str, object]]) -> None:
        outermost[:] = pairs  # the outermost object is complete last

    json.loads(line, object_pairs_hook=keep)
    return len(outermost) != len({key for key, _ in outermost})
