"""How landed files become rows that a load's statements read, for each kind of warehouse, as a plan shows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from elt_factory.config.values import ColumnType
from elt_factory.sql_text import Value
from elt_factory.warehouse import audit, snowflake_sql, statements
from elt_factory.warehouse import duckdb as in_duckdb
from elt_factory.warehouse.dialect import Dialect, Relation
from elt_factory.warehouse.history import Step
from elt_factory.warehouse.snowflake_sql import StageFolder

Columns = Mapping[str, ColumnType]


_DELIVERED = Relation("temp", "files")


@dataclass(frozen=True)
class Staging:
    """The staged rows and rejects by name, and what is sent before and after the transaction."""

    dialect: Dialect
    rows: Relation
    rejects: Relation
    before: tuple[Step, ...] = ()
    after: tuple[Step, ...] = ()
    delivered: Relation = _DELIVERED


def in_duckdb_file(_: str, __: Columns) -> Staging:
    """Return the landed files as views, in the worker's own process."""
    dialect, rows = in_duckdb.DIALECT, Relation("temp", "landed")
    count = Step("read the landed files as temp.landed, and count them", statements.count_rows(dialect, rows))
    return Staging(dialect, rows, Relation("temp", "rejects"), (count,))


def in_snowflake(load: str, columns: Columns) -> Staging:
    """Return the landed files on a stage and in a transient table, whose name no other load has."""
    stage, rows = Relation(audit.SCHEMA, "landing"), Relation(audit.SCHEMA, "staged")
    rejects = Relation(audit.SCHEMA, "staged_rejects")
    folder = StageFolder(stage, snowflake_sql.safe_path(*load.split("/")))
    data = folder.below("data")
    return Staging(
        snowflake_sql.DIALECT,
        rows,
        rejects,
        (
            Step("if it does not exist", snowflake_sql.create_stage(stage)),
            Step("under a name unique to this load", snowflake_sql.create_staging(rows, columns)),
            Step("all landed files in one statement", snowflake_sql.put(Path("landed/*.parquet"), data)),
            Step("count its rows per file; the rejects likewise", snowflake_sql.copy_into(rows, data)),
        ),
        (
            Step("remove the staged rows", snowflake_sql.drop_table(rows)),
            Step("remove the files on the stage", snowflake_sql.remove(folder)),
        ),
        Relation(audit.SCHEMA, "staged_files"),
    )


KINDS: Mapping[str, Callable[[str, Columns], Staging]] = {"duckdb": in_duckdb_file, "snowflake": in_snowflake}


def spoken(dialect: Dialect, words: Mapping[Value, str]) -> Callable[[Value], str]:
    """Return a dialect's literals, with words for values that only a run knows."""
    return lambda value: words.get(value) or dialect.literal(value)
