"""A SQL condition holds for every row of the load. `elt validate` has it read by DuckDB's parser."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from elt_factory.checks.counting import breaking_rows
from elt_factory.checks.kind import Checking, Outcome, TableCheckKind, counted
from elt_factory.config.errors import MistakeError
from elt_factory.config.models.column_rules import undeclared
from elt_factory.config.models.schema_patterns import CONDITION, NO_TEMPLATE
from elt_factory.config.models.sql_rules import without_unseen
from elt_factory.config.models.table import Table
from elt_factory.config.models.values import Condition

# Snowflake understands these, and DuckDB's parser does not
_SNOWFLAKE_ALONE = re.compile(r"(?<!:):(?![:=])|\b(?:rlike|regexp)\b|\bi?like\s+(?:any|all)\b", re.IGNORECASE)
_BEGIN = "SELECT 1 FROM t WHERE (\n"


def _look(condition: str, checking: Checking) -> Outcome | None:
    if checking.rows is None:
        return None
    return counted(checking, breaking_rows(checking.rows, f"({condition}\n)"))


def _words(condition: str) -> str:
    return condition


def _label(condition: str) -> str:
    return f"expression {condition}"


def _sql_mistakes(condition: str, table: Table) -> Iterator[MistakeError]:
    """Yield what is wrong with a condition: no SQL, or columns that its table cannot have."""
    if _SNOWFLAKE_ALONE.search(without_unseen(condition)):
        return
    tree = _parsed(condition)
    if tree.get("error"):
        near = str(tree.get("error_message", "")).splitlines()[0]
        hint = "write a condition on the columns, like arr_delay >= -120"
        yield MistakeError(f"the expression is not a condition in SQL: {near}", hint, code="not-sql")
        return
    if table.schema_contract == "evolve" or not table.columns:
        return
    declared = {name.casefold() for name in table.columns}
    for column in dict.fromkeys(_columns(tree)):
        if column.casefold() not in declared and not column.startswith("_"):
            yield undeclared(column, table, ())


def _parsed(condition: str) -> Mapping[str, Any]:
    """DuckDB's tree of a condition, or what its parser says: `error`, `error_message`."""
    import duckdb

    with duckdb.connect() as connection:
        text = connection.execute("SELECT json_serialize_sql($1)", [f"{_BEGIN}{condition}\n)"]).fetchall()[0][0]
    tree: Mapping[str, Any] = json.loads(text)
    return tree


def _columns(tree: Any) -> Iterator[str]:
    """Yield the columns of the condition itself; those of a subquery may be another table's."""
    if isinstance(tree, list):
        for item in tree:
            yield from _columns(item)
    elif isinstance(tree, dict):
        if tree.get("class") == "COLUMN_REF":
            yield str(tree["column_names"][-1])
        elif tree.get("class") != "SUBQUERY":
            yield from _columns(list(tree.values()))


KIND = TableCheckKind(
    name="expression",
    model=Condition,
    description="SQL condition that must hold for every row of the load.",
    examples=("arr_delay >= -120",),
    words=_words,
    label=_label,
    look=_look,
    sql_mistakes=_sql_mistakes,
    schema_patterns=(CONDITION, NO_TEMPLATE),
)
