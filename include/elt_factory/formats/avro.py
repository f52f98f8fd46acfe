"""Apache Avro: records with the types of the file's own schema."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from elt_factory.config.models.formats import FileFormat
from elt_factory.config.models.values import MAX_PRECISION, ColumnType, TypeName
from elt_factory.core.extras import needs
from elt_factory.core.failures import BadDataError
from elt_factory.extract.json_numbers import json_number
from elt_factory.formats.counting import avro_rows
from elt_factory.formats.kind import Delivered, FormatKind
from elt_factory.formats.records import Bad, spool_of

if TYPE_CHECKING:
    from elt_factory.extract.request import Spool

_TYPES: Mapping[str, TypeName] = {
    "boolean": "boolean",
    "int": "integer",
    "long": "integer",
    "float": "float",
    "double": "float",
    "string": "text",
    "enum": "text",
    "bytes": "binary",
    "fixed": "binary",
    "array": "json",
    "map": "json",
    "record": "json",
}
_LOGICAL: Mapping[str, TypeName] = {
    "date": "date",
    "time-millis": "time",
    "time-micros": "time",
    "timestamp-millis": "timestamp",
    "timestamp-micros": "timestamp",
    "local-timestamp-millis": "datetime",
    "local-timestamp-micros": "datetime",
    "uuid": "text",
}
_NUMBERS: frozenset[TypeName] = frozenset({"integer", "decimal", "float"})
_NAMED = ("record", "enum", "fixed")  # types that are defined once and named where they are used again
# what the numbers of times count, of which Python has those of the years 1 to 9999
_COUNTED = {
    "date": "days since 1970",
    "time-millis": "ms since midnight",
    "time-micros": "µs since midnight",
    "timestamp-millis": "ms since 1970",
    "timestamp-micros": "µs since 1970",
    "local-timestamp-millis": "ms since 1970",
    "local-timestamp-micros": "µs since 1970",
}
_NO_NUMBERS = {"nan": b"NaN", "inf": b"Infinity", "-inf": b"-Infinity"}


class AvroFormat(FileFormat):
    """Apache Avro. Columns have the types of the file's schema."""

    type: Literal["avro"]


def _spooled(_: AvroFormat, files: Sequence[Delivered], workdir: Path) -> Spool:
    kinds: dict[str, set[ColumnType]] = {}
    for file in files:
        for name, found in _kinds(file).items():
            kinds.setdefault(name, set()).update(found)
    # what is not said, or said differently, is found in the values
    types = {name: next(iter(found)) for name, found in kinds.items() if len(found) == 1}
    texts = frozenset(name for name, found in kinds.items() if found >= {ColumnType("binary"), ColumnType("text")})
    numbers = frozenset(name for name, found in kinds.items() if {kind.name for kind in found} <= _NUMBERS)
    return spool_of(files, workdir, partial(_records, texts, numbers - types.keys()), types)


def _records(texts: frozenset[str], numbers: frozenset[str], file: Delivered) -> Iterator[bytes | Bad]:
    """Yield the records.

    In columns of `texts` bytes are what they say in UTF-8, as texts are there, too; in those of `numbers`, which are of
    several types, decimals are numbers of JSON.
    """
    import msgspec

    for number, record in enumerate(_read(file), 1):
        decimals = [name for name in numbers if isinstance(record.get(name), Decimal)]
        record |= {name: json_number(format(record[name], "f")) for name in decimals}
        there = [name for name in texts if isinstance(record.get(name), bytes)]
        try:
            record |= {name: record[name].decode() for name in there}
        except UnicodeDecodeError:
            kept = msgspec.json.encode(_plain(record)).decode()
            yield Bad(f"record {number}: {' or '.join(there)} has bytes that are not UTF-8 text", kept)
            continue
        yield msgspec.json.encode(_plain(record))


def _kinds(file: Delivered) -> Mapping[str, set[ColumnType]]:
    """Return the types of the values of a file's columns by its schema."""
    with needs("avro", "format.type avro"):
        import fastavro
    try:
        with file.path.open("rb") as content:
            schema: Any = fastavro.reader(content).writer_schema
    except (ValueError, EOFError, KeyError, fastavro.schema.SchemaParseException) as error:
        raise BadDataError(f"{file.name} is not an Avro file, or damaged: {error}") from None
    if not isinstance(schema, Mapping) or schema.get("type") != "record":
        raise BadDataError(f"{file.name}: its values are not records")
    named = {one["name"]: one for one in _parts(schema) if "name" in one and one.get("type") in _NAMED}
    return {field["name"]: set(_types(field["type"], named)) for field in schema["fields"]}


def _parts(schema: Any) -> Iterator[dict[str, Any]]:
    """Yield a schema and those within it, each where it is defined."""
    if isinstance(schema, list):
        for one in schema:
            yield from _parts(one)
    elif isinstance(schema, dict):
        yield schema
        for key in ("fields", "items", "values", "type"):
            yield from _parts(schema.get(key))


def _types(schema: Any, named: Mapping[str, Any]) -> Iterator[ColumnType]:
    """Yield the types of the values of a schema; `named` are the schemas that others name."""
    if isinstance(schema, list):
        for one in schema:
            yield from _types(one, named)
    elif isinstance(schema, str):
        if schema in _TYPES:
            yield ColumnType(_TYPES[schema])
        elif schema in named:
            yield from _types(named[schema], named)
    else:
        logical = _logical_type(schema)
        if logical:
            yield logical
        else:
            yield from _types(schema["type"], named)


def _logical_type(schema: Mapping[str, Any]) -> ColumnType | None:
    logical = str(schema.get("logicalType"))
    if logical == "decimal":
        precision, scale = schema["precision"], schema.get("scale", 0)
        return ColumnType("decimal", precision, scale) if precision <= MAX_PRECISION else ColumnType("text")
    return ColumnType(_LOGICAL[logical]) if logical in _LOGICAL else None


def _read(file: Delivered) -> Iterator[dict[str, Any]]:
    import struct
    import zlib

    read = 0
    try:
        try:
            for record in _decoded(file):
                yield record
                read += 1
        except (ValueError, ArithmeticError):
            # a time that Python does not have; a damaged file is read to the same place again
            yield from islice(_decoded(file, with_care=True), read, None)
    except (ValueError, ArithmeticError, EOFError, LookupError, TypeError, struct.error, zlib.error) as error:
        raise BadDataError(f"{file.name} is damaged, or packed in a way that is not known: {error}") from None


def _decoded(file: Delivered, *, with_care: bool = False) -> Iterator[Any]:
    """Yield the records of a file; with care a time that Python does not have is a text that says so."""
    import fastavro

    with file.path.open("rb") as content:
        records = fastavro.reader(content)
        if with_care:
            for schema in _parts(records.writer_schema):
                _take_care(schema)
        yield from records


def _take_care(schema: dict[str, Any]) -> None:
    """Let the values of a logical type be read by a reader of its own name, which no other use of fastavro has."""
    from fastavro.read import LOGICAL_READERS

    logical = schema.get("logicalType")
    plain = LOGICAL_READERS.get(f"{schema.get('type')}-{logical}")
    if plain is None or logical not in _COUNTED:
        return

    def careful(value: Any, writer: Any, reader: Any) -> Any:
        try:
            return plain(value, writer, reader)
        except (ValueError, ArithmeticError):
            return f"{value} {_COUNTED[logical]}"

    schema["logicalType"] = f"elt-factory-{logical}"
    LOGICAL_READERS[f"{schema['type']}-{schema['logicalType']}"] = careful


def _plain(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record as the landing takes it from JSON: bytes in hex, NaN and Infinity of a column as text."""
    return {
        name: str(value) if isinstance(value, float) and not math.isfinite(value) else _within(value)
        for name, value in record.items()
    }


def _within(value: Any) -> Any:
    import msgspec

    if isinstance(value, dict):
        return {name: _within(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_within(part) for part in value]
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, float) and not math.isfinite(value):
        # no JSON has it, and the contract says so of the value
        return msgspec.Raw(_NO_NUMBERS[str(value)])
    return value


KIND = FormatKind(
    name="avro",
    extra="avro",
    model=AvroFormat,
    spooled=_spooled,
    endings=(".avro",),
    signs={b"Obj\x01": "an Avro file"},
    count=avro_rows,
)
