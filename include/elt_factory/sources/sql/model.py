"""The language of SQL databases: `extract:` and what its tables add."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from elt_factory.config.errors import KEY, MistakeError
from elt_factory.config.models.cursor_rules import NUMBERS, TIMES
from elt_factory.config.models.database_table import DatabaseTable
from elt_factory.config.models.deletes import BY_KEY, SCHEMA_RULES
from elt_factory.config.models.durations import PositiveDuration
from elt_factory.config.models.schema_patterns import NO_TEMPLATE, QUERY_TEMPLATES, READS_ROWS, both
from elt_factory.config.models.source import Extract, Source
from elt_factory.config.models.split import DatabaseSplit
from elt_factory.config.models.table import Path
from elt_factory.config.models.templates import Use, query_uses
from elt_factory.config.models.values import (
    ConnectionId,
    Name,
    Query,
    Text,
    Whole,
)

# where there is no config: discovery, sensors
SILENCE = timedelta(hours=1)
_GIVEN: dict[str, Any] = {"not": {"type": "null"}}
_BY_CURSOR: dict[str, Any] = {"type": "object", "required": ["by"], "properties": {"by": {"const": "cursor"}}}
_CONNECTION = "Airflow connection that holds the address and credentials."


class Sql(Extract):
    """A SQL database: PostgreSQL, SQLite, MySQL, MariaDB, SQL Server, Oracle, Snowflake, others by SQLAlchemy."""

    type: Literal["sql"]
    connection: ConnectionId = Field(description=_CONNECTION, examples=["fleet_db"])
    schema_name: Text | None = Field(
        None,
        alias="schema",
        description="Schema of the tables, for databases that have schemas.",
        examples=["public"],
    )
    fetch_rows: Whole = Field(50_000, gt=0, description="Rows per fetch.", examples=[10_000])
    silence: PositiveDuration = Field(
        "1h",
        validate_default=True,
        description=(
            "Maximum time without a byte from the server, after which the read fails and is retried. PostgreSQL, "
            "MySQL, MariaDB and Oracle; of others, the driver's own limits apply."
        ),
        examples=["10m"],
    )


class SqlTable(DatabaseTable):
    """A table, view or query of a SQL database."""

    schema_patterns: ClassVar[Mapping[str, Sequence[str]]] = {
        "query": (READS_ROWS, QUERY_TEMPLATES),
        "table": (NO_TEMPLATE,),
    }
    schema_rules: ClassVar[Sequence[dict[str, Any]]] = (
        both("table", "query"),
        {"not": {"required": ["split", "query"], "properties": {"split": _GIVEN, "query": _GIVEN}}},
        {"not": {"required": ["split", "deletes"], "properties": {"split": _GIVEN, "deletes": BY_KEY}}},
        {"if": {"required": ["split"], "properties": {"split": _BY_CURSOR}}, "then": {"required": ["incremental"]}},
        *SCHEMA_RULES,
    )

    table: Text | None = Field(
        None, description="Name of the table in the source. By default, the same name as here.", examples=["planes"]
    )
    query: Query | None = Field(
        None,
        description="SELECT statement to read instead of a table. Templates are bound as values: do not quote them.",
        examples=["select * from planes where seats > {{ params.seats }}"],
    )

    partitions: Whole = Field(
        1,
        ge=1,
        le=32,
        description=(
            "Parts of the table that are read concurrently, by ranges of the first column of the primary key, which "
            "is a whole number. All are of one moment. PostgreSQL only."
        ),
        examples=[8],
    )

    split: DatabaseSplit | None = Field(
        None,
        description=(
            "Spread over several tasks by ranges of the first column of the primary key, which is a whole number, or "
            "of the cursor. Each range is read at a moment of its own; all are loaded together. For large tables, of "
            "any database."
        ),
        examples=[{"tasks": 8, "pool": "fleet_db"}, {"tasks": 8, "by": "cursor"}],
    )

    @property
    def in_parts(self) -> DatabaseSplit | None:
        """How the table is spread over tasks."""
        return self.split

    @property
    def parts_by_key(self) -> bool:
        """Whether two parts of a split have no key in common: of a range of the cursor, a row may move to another."""
        return self.split is None or self.split.by == "primary_key"

    @property
    def templates(self) -> Mapping[Path, Sequence[Use]]:
        """The templates in each of the table's texts, by the text's path below the table."""
        return {("query",): [*query_uses(self.query or "")]}

    @property
    def _cursor_kind(self) -> str | None:
        """The name of the cursor's type, where the config says it."""
        kind = self.types.get(self.incremental.cursor) if self.incremental else None
        return kind.name if kind else None

    @model_validator(mode="after")
    def _parted_by_key(self) -> Self:
        if self.partitions > 1 and not self.primary_key:
            message = "partitions are ranges of the primary_key, which is missing"
            raise MistakeError(message, "add primary_key:", at=("partitions",), code="conflict")
        if self.partitions > 1 and self.query is not None:
            # with a LIMIT, or a number that rows get in no certain order, parts would not fit together
            message = "partitions are of a table: each part would run the query again, and may get other rows"
            raise MistakeError(message, "write table:, or remove partitions", at=("partitions",), code="conflict")
        return self

    @model_validator(mode="after")
    def _split_of_table(self) -> Self:
        if self.split is None:
            return self
        by_cursor = self.split.by == "cursor"
        add_key = f"add primary_key:{', or by: cursor' if self.incremental else ''}"
        refused = {
            "split is by ranges of the primary_key, which is missing": (not (self.primary_key or by_cursor), add_key),
            "split is by the cursor, and incremental: is missing": (
                by_cursor and self.incremental is None,
                "add incremental:, or split by primary_key",
            ),
            "split is by the cursor, which is neither a time nor a number": (
                by_cursor and self._cursor_kind not in (None, *NUMBERS, *TIMES),
                "split by primary_key, or remove split",
            ),
            "split is of a table: each task would run the query again": (self.query, "write table:, or remove split"),
            "split and partitions exclude each other": (self.partitions > 1, "keep split to use several workers"),
            "deletes: compare needs all rows and keys of one moment, and each part of a split has its own": (
                self.deletes and self.deletes.compare,
                "remove split, or follow deletes by a column",
            ),
        }
        for message, (broken, hint) in refused.items():
            if broken:
                raise MistakeError(message, hint, at=("split", KEY), code="conflict")
        return self

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if self.table is not None and self.query is not None:
            raise MistakeError(
                "`table` and `query` exclude each other", "keep one of them", at=("query", KEY), code="conflict"
            )
        return self


class SqlSource(Source):
    """Tables from a SQL database."""

    extract: Sql = Field(description="How to read the source.", examples=[{"type": "sql", "connection": "fleet_db"}])
    tables: dict[Name, SqlTable] = Field(
        min_length=1,
        description="Tables to load.",
        examples=[{"planes": {"write_disposition": "replace"}}],
    )
