"""Snowflake's names, types and literals, and the statements that only Snowflake needs: pure functions.

A name is quoted and in capitals: as Snowflake itself folds a name that people and dbt write without quotes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from elt_factory.config.models.values import ColumnType, TypeName
from elt_factory.core.sql_text import Value, identifier, literal, text_literal
from elt_factory.core.window import iso_utc
from elt_factory.landing.manifest import LandedFile
from elt_factory.warehouse.dialect import Dialect, Relation
from elt_factory.warehouse.statement import Statement

NOW = "SELECT CURRENT_TIMESTAMP()"
PARALLEL = 16  # files, and parts of a file, that one PUT sends at a time

_TYPES: Mapping[TypeName, str] = {
    "text": "VARCHAR",
    "integer": "NUMBER(19, 0)",
    "float": "FLOAT",
    "decimal": "NUMBER",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "time": "TIME",
    "timestamp": "TIMESTAMP_TZ",
    "datetime": "TIMESTAMP_NTZ",
    "json": "VARIANT",
    "binary": "BINARY",
}
# what Snowflake makes of a time where no session says it, as none did
_EARLIER: Mapping[TypeName, str] = {
    "time": "HH24:MI:SS",
    "datetime": "YYYY-MM-DD HH24:MI:SS.FF3",
    "timestamp": "YYYY-MM-DD HH24:MI:SS.FF3 TZHTZM",
}
_INTEGER_DIGITS = 19
_NUMBER = re.compile(r"NUMBER\((\d+),\s*(\d+)\)")
_FOUND: Mapping[str, TypeName] = {
    "VARCHAR": "text",
    "FLOAT": "float",
    "BOOLEAN": "boolean",
    "DATE": "date",
    "TIME": "time",
    "TIMESTAMP_TZ": "timestamp",
    "TIMESTAMP_LTZ": "timestamp",
    "TIMESTAMP_NTZ": "datetime",
    "VARIANT": "json",
    "OBJECT": "json",
    "ARRAY": "json",
    "BINARY": "binary",
}


def name(text: str) -> str:
    """Return a name in capitals and in double quotes."""
    return identifier(text.upper())


def text(value: str) -> str:
    """Text as a literal: Snowflake reads a backslash as the beginning of an escape."""
    return text_literal(value.replace("\\", "\\\\"))


def value(value: Value) -> str:
    """Return a value as SQL text; moments are of a type that no session setting changes."""
    if isinstance(value, str):
        return text(value)
    if isinstance(value, datetime):
        return f"CAST('{iso_utc(value)}' AS TIMESTAMP_TZ)" if value.tzinfo else f"CAST('{value}' AS TIMESTAMP_NTZ)"
    return literal(value)


def alters_type(old: ColumnType, new: ColumnType) -> bool:
    """Whether ALTER TABLE can widen a type: it adds digits before the point to a NUMBER, and can do nothing else."""
    return new.name == "decimal" and old.name in ("integer", "decimal") and new.scale == old.scale


DIALECT = Dialect(
    name=name,
    types=_TYPES,
    literal=value,
    json_value=lambda column: f"PARSE_JSON({column})",
    json_text=lambda column: f"TO_JSON({column})",
    json_element=lambda column, place: f"CAST(GET_PATH(PARSE_JSON({column}), '[{place}]') AS VARCHAR)",
    to_hex=lambda column: f"HEX_ENCODE({column})",
    from_hex=lambda column: f"TRY_TO_BINARY({column}, 'HEX')",
    # an object has its keys in order, whatever the order in which they were written
    same_json=lambda one, other: f"TO_JSON({one}) IS NOT DISTINCT FROM TO_JSON({other})",
    # its REGEXP_LIKE asks for the whole text
    matches=lambda column, pattern: f"REGEXP_INSTR(CAST({column} AS VARCHAR), {pattern}) > 0",
    # what shows UTC is cast in the session's zone, which is UTC
    instant=lambda column, zone: (
        f"CAST(CONVERT_TIMEZONE({text(zone)}, 'UTC', CAST({column} AS TIMESTAMP_NTZ)) AS TIMESTAMP_TZ)"
    ),
    earlier_text=lambda column, kind: (
        f"TO_VARCHAR({column}, '{_EARLIER[kind.name]}')" if kind.name in _EARLIER else f"CAST({column} AS VARCHAR)"
    ),
    alters_type=alters_type,
    stores_options=True,
)


def from_snowflake_type(described: str) -> ColumnType:
    """Our type for what DESCRIBE TABLE says; text for what we never make ourselves."""
    number = _NUMBER.fullmatch(described)
    if number is None:
        return ColumnType(_FOUND.get(described.partition("(")[0], "text"))
    precision, scale = int(number[1]), int(number[2])
    whole = (precision, scale) == (_INTEGER_DIGITS, 0)
    return ColumnType("integer") if whole else ColumnType("decimal", precision, scale)


@dataclass(frozen=True)
class StageFolder:
    """A folder of a stage, or a file; `path` needs no quotes, and that of a folder ends with a slash."""

    stage: Relation
    path: str

    def sql(self) -> str:
        """As COPY, PUT and REMOVE name it."""
        return f"@{self.stage.sql(DIALECT)}/{self.path}"

    def below(self, folder: str) -> StageFolder:
        """Return a folder in this one."""
        return StageFolder(self.stage, self.path + safe_path(folder))


def safe_path(*parts: str) -> str:
    """Parts as a folder below a stage. Other characters than letters, digits, _ and - become -."""
    return "".join(re.sub(r"[^A-Za-z0-9_-]", "-", part) + "/" for part in parts)


def use_warehouse(warehouse: str) -> str:
    """USE WAREHOUSE: the virtual warehouse that the statements after it run on."""
    return f"USE WAREHOUSE {name(warehouse)}"


def describe_table(table: Relation) -> str:
    """DESCRIBE TABLE: a row per column."""
    return f"DESCRIBE TABLE {table.sql(DIALECT)}"


def table_comment(table: Relation) -> str:
    """SELECT of a table's comment."""
    return (
        "SELECT comment FROM information_schema.tables "
        f"WHERE table_schema = {text(table.schema.upper())} AND table_name = {text(table.name.upper())}"
    )


def describe_schema(schema: str) -> str:
    """DESCRIBE SCHEMA: fails where it is not there."""
    return f"DESCRIBE SCHEMA {name(schema)}"


def describe_stage(stage: Relation) -> str:
    """DESCRIBE STAGE: fails where it is not there."""
    return f"DESCRIBE STAGE {stage.sql(DIALECT)}"


def create_stage(stage: Relation) -> Statement:
    """CREATE STAGE, internal, where it is not there yet."""
    return Statement(f"CREATE STAGE IF NOT EXISTS {stage.sql(DIALECT)}", "if it does not exist")


def create_external_stage(stage: Relation, url: str, integration: str) -> Statement:
    """CREATE STAGE over a URL, opened by a storage integration, where it is not there yet."""
    return Statement(
        f"{create_stage(stage)} URL = {text(url)} STORAGE_INTEGRATION = {name(integration)}", "if it does not exist"
    )


def create_staging(table: Relation, columns: Mapping[str, ColumnType]) -> Statement:
    """CREATE TRANSIENT TABLE for landed rows as the files have them: JSON is text there. Sent twice it is as once."""
    kinds = {column: ColumnType("text") if kind.name == "json" else kind for column, kind in columns.items()}
    listed = ", ".join(f"{name(column)} {DIALECT.type(kind)}" for column, kind in kinds.items())
    # what lives for minutes needs no time travel, which would be paid for a day
    return Statement(
        f"CREATE TRANSIENT TABLE IF NOT EXISTS {table.sql(DIALECT)} ({listed}) DATA_RETENTION_TIME_IN_DAYS = 0",
        "under a name unique to this load",
    )


def drop_table(table: Relation) -> Statement:
    """DROP TABLE where it is there."""
    return Statement(f"DROP TABLE IF EXISTS {table.sql(DIALECT)}", "remove the staged rows")


def wildcard(landing: Path, files: Sequence[LandedFile]) -> Path:
    """One path that means all files of a folder of the landing, as PUT reads it: the file itself where it is one."""
    folders = {(landing / file.path).parent for file in files}
    return (folders.pop() / "*.parquet") if len(files) > 1 else landing / files[0].path


def put(files: Path, to: StageFolder) -> Statement:
    """PUT of all files that a path with a wildcard means, many at a time."""
    source = text(f"file://{files.as_posix()}")
    return Statement(
        f"PUT {source} {to.sql()} PARALLEL = {PARALLEL} AUTO_COMPRESS = FALSE OVERWRITE = TRUE",
        "all landed files in one statement",
    )


def copy_into(table: Relation, source: StageFolder) -> Statement:
    """COPY of a folder's Parquet files into a staging table, by column name.

    All or nothing: a row that cannot be read fails the statement. Bytes stay bytes. Without NULL_IF a text of a
    backslash and an N would be NULL, in Parquet too. INCLUDE_METADATA stays out: it writes over a column of the source
    that has the name it is given.
    """
    file_format = "TYPE = PARQUET USE_LOGICAL_TYPE = TRUE BINARY_AS_TEXT = FALSE NULL_IF = ()"
    return Statement(
        f"COPY INTO {table.sql(DIALECT)} FROM {source.sql()} FILE_FORMAT = ({file_format}) "
        f"MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE ON_ERROR = ABORT_STATEMENT",
        "count its rows per file",
    )


def list_files(stage: Relation) -> str:
    """LIST of a stage's files, with their names."""
    return f"LIST @{stage.sql(DIALECT)}"


def remove(folder: StageFolder) -> Statement:
    """REMOVE of a folder's files."""
    return Statement(f"REMOVE {folder.sql()}", "remove the files on the stage")


def staging_tables(schema: str, prefix: str) -> str:
    """SELECT of the names of the tables that begin with a prefix."""
    return (
        "SELECT table_name FROM information_schema.tables "
        f"WHERE table_schema = {text(schema.upper())} AND STARTSWITH(table_name, {text(prefix.upper())}) "
        "ORDER BY table_name"
    )
