"""Apache Avro: records with the types of the file's own schema."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from elt_factory.config.models.formats import FileFormat
from elt_factory.config.models.values import MAX_PRECISION, ColumnType, TypeName
from elt_factory.core.extras import needs
from elt_factory.core.failures import BadDataError
from elt_factory.formats.counting import avro_rows
from elt_factory.formats.kind import Delivered, FormatKind

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


class AvroFormat(FileFormat):
    """Apache Avro. Columns have the types of the file's schema."""

    type: Literal["avro"]


def _spooled(_: AvroFormat, files: Sequence[Delivered], workdir: Path) -> Spool:
    from elt_factory.formats.records import spool_of

    types: dict[str, ColumnType | None] = {}
    for file in files:
        for name, kind in _types(file).items():
            # what two files say differently is found in the values
            types[name] = kind if types.get(name, kind) == kind else None
    return spool_of(files, workdir, _records, {name: kind for name, kind in types.items() if kind})


def _records(file: Delivered) -> Iterator[bytes]:
    import msgspec

    for record in _read(file):
        yield msgspec.json.encode(_plain(record))


def _types(file: Delivered) -> Mapping[str, ColumnType | None]:
    """Return the types of a file's columns by its schema; None for values of several types."""
    with needs("avro", "format.type avro"):
        import fastavro
    try:
        with file.path.open("rb") as content:
            schema: Any = fastavro.reader(content).writer_schema
    except (ValueError, EOFError, KeyError, fastavro.schema.SchemaParseException) as error:
        raise BadDataError(f"{file.name} is not an Avro file, or damaged: {error}") from None
    if not isinstance(schema, Mapping) or schema.get("type") != "record":
        raise BadDataError(f"{file.name}: its values are not records")
    return {field["name"]: _type(field["type"]) for field in schema["fields"]}


def _type(schema: Any) -> ColumnType | None:
    if isinstance(schema, list):
        kinds = [one for one in schema if one != "null"]
        return _type(kinds[0]) if len(kinds) == 1 else None
    if isinstance(schema, str):
        # the name of a type that is defined before: a record, an enum or a fixed
        return ColumnType(_TYPES[schema]) if schema in _TYPES else None
    logical = schema.get("logicalType")
    if logical == "decimal":
        precision, scale = schema["precision"], schema.get("scale", 0)
        return ColumnType("decimal", precision, scale) if precision <= MAX_PRECISION else ColumnType("text")
    if logical in _LOGICAL:
        return ColumnType(_LOGICAL[logical])
    return _type(schema["type"])


def _read(file: Delivered) -> Iterator[Any]:
    import struct
    import zlib

    import fastavro

    try:
        with file.path.open("rb") as content:
            yield from fastavro.reader(content)
    except (ValueError, ArithmeticError, EOFError, LookupError, TypeError, struct.error, zlib.error) as error:
        raise BadDataError(f"{file.name} is damaged, or packed in a way that is not known: {error}") from None


def _plain(value: Any) -> Any:
    """Return a value as the landing takes it from JSON: bytes in hex, NaN and Infinity as text."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
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
