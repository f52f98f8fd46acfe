"""The conditions of quality checks, read by DuckDB's parser: `elt validate` does this, reading a DAG does not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from elt_factory.config.across import LoadedConfig
from elt_factory.config.errors import Problem, near_name
from elt_factory.config.sql_rules import without_unseen
from elt_factory.config.table import Path, Table

# Snowflake understands these, and DuckDB's parser does not
_SNOWFLAKE_ALONE = re.compile(r"(?<!:):(?![:=])|\b(?:rlike|regexp)\b|\bi?like\s+(?:any|all)\b", re.IGNORECASE)
_BEGIN = "SELECT 1 FROM t WHERE (\n"


def expression_problems(item: LoadedConfig) -> Iterator[Problem]:
    """What is wrong with the conditions of a config: no SQL, or columns that its table cannot have."""
    for name, checks in item.config.quality.items():
        for index, check in enumerate(checks):
            if check.expression and name in item.config.all_tables:
                at = ("quality", name, index, "expression")
                yield from _problems(item, at, check.expression, item.config.all_tables[name])


def _problems(item: LoadedConfig, at: Path, condition: str, table: Table) -> Iterator[Problem]:
    if _SNOWFLAKE_ALONE.search(without_unseen(condition)):
        return
    tree = _parsed(condition)
    if tree.get("error"):
        near = str(tree.get("error_message", "")).splitlines()[0]
        position, said = item.source.at(at), f"the expression is not a condition in SQL: {near}"
        yield Problem(position, "not-sql", said, "write a condition over the columns, like arr_delay >= -120")
        return
    if table.schema_contract == "evolve" or not table.columns:
        return
    declared = {name.casefold() for name in table.columns}
    for column in dict.fromkeys(_columns(tree)):
        if column.casefold() not in declared and not column.startswith("_"):
            near = near_name(column, table.columns)
            hint = near if near.startswith("did you mean") else f"declare {column}: under columns:"
            message = f'"{column}" is not declared, and schema_contract: {table.schema_contract} accepts no others'
            yield Problem(item.source.at(at), "unknown-column", message, hint)


def _parsed(condition: str) -> Mapping[str, Any]:
    """DuckDB's tree of a condition, or what its parser says: `error`, `error_message`."""
    import duckdb

    with duckdb.connect() as connection:
        text = connection.execute("SELECT json_serialize_sql($1)", [f"{_BEGIN}{condition}\n)"]).fetchall()[0][0]
    tree: Mapping[str, Any] = json.loads(text)
    return tree


def _columns(tree: Any) -> Iterator[str]:
    """The columns of the condition itself; those of a subquery may be another table's."""
    if isinstance(tree, list):
        for item in tree:
            yield from _columns(item)
    elif isinstance(tree, dict):
        if tree.get("class") == "COLUMN_REF":
            yield str(tree["column_names"][-1])
        elif tree.get("class") != "SUBQUERY":
            yield from _columns(list(tree.values()))
