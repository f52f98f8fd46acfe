"""A SQL condition holds for every row of the load. `elt validate` has it read by DuckDB's parser."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from elt_factory.checks.counting import breaking
from elt_factory.checks.kind import OF_ROWS, Checking, Look, TableCheckKind, counted, scanned
from elt_factory.config.errors import MistakeError
from elt_factory.config.models.column_rules import undeclared
from elt_factory.config.models.schema_patterns import CONDITION, NO_TEMPLATE
from elt_factory.config.models.sql_rules import asks_other_rows, without_unseen
from elt_factory.config.models.table import Table
from elt_factory.config.models.values import Condition

# Snowflake understands these, and DuckDB's parser does not
_SNOWFLAKE_ALONE = re.compile(r"(?<!:):(?![:=])|\b(?:rlike|regexp)\b|\bi?like\s+(?:any|all)\b", re.IGNORECASE)
_BEGIN = "SELECT 1 FROM t WHERE (\n"


def _look(condition: str, checking: Checking) -> Look:
    if checking.rows is None:
        return None
    if asks_other_rows(condition):
        # not every warehouse takes a subquery within an aggregate
        failing = breaking(checking.rows, _condition(condition))
        return counted(checking, f"SELECT count(*) {failing}", failing=failing)
    return scanned(checking, _condition(condition))


def _condition(condition: str) -> str:
    return f"({condition}\n)"


def _words(condition: str) -> str:
    return condition


def _label(condition: str) -> str:
    return f"expression {condition}"


def _sql_mistakes(condition: str, table: Table) -> Iterator[MistakeError]:
    yield from condition_mistakes("expression", condition, table)


def condition_mistakes(key: str, condition: str, table: Table) -> Iterator[MistakeError]:
    """Yield what is wrong with a condition: no SQL, or columns that its table cannot have."""
    wrong = list(not_condition(key, condition))
    yield from wrong
    if wrong or _SNOWFLAKE_ALONE.search(without_unseen(condition)):
        return
    if table.schema_contract == "evolve" or not table.columns:
        return
    declared = {name.casefold() for name in table.columns}
    for column in dict.fromkeys(_columns(_parsed(f"{_BEGIN}{condition}\n)"))):
        if column.casefold() not in declared and not column.startswith("_"):
            yield undeclared(column, table, ())


def not_condition(key: str, condition: str) -> Iterator[MistakeError]:
    """Yield the mistake of a text that no parser reads as a condition."""
    hint = "write a condition on the columns, like arr_delay >= -120"
    yield from not_sql(key, condition, f"{_BEGIN}{condition}\n)", hint)


def not_sql(key: str, text: str, statement: str, hint: str) -> Iterator[MistakeError]:
    """Yield the mistake of a text that makes a statement what no parser reads; of Snowflake's own SQL nothing."""
    if _SNOWFLAKE_ALONE.search(without_unseen(text)):
        return
    tree = _parsed(statement)
    if tree.get("error"):
        what = "query is not a SELECT" if key == "query" else f"{key} is not a condition"
        near = str(tree.get("error_message", "")).splitlines()[0]
        yield MistakeError(f"the {what} in SQL: {near}", hint, code="not-sql")


def not_duckdb(key: str, condition: str) -> Iterator[MistakeError]:
    """Yield the mistake of a condition that only Snowflake reads, where DuckDB asks it: of rows before their load."""
    tree = _parsed(f"{_BEGIN}{condition}\n)") if _SNOWFLAKE_ALONE.search(without_unseen(condition)) else {}
    if tree.get("error"):
        near = str(tree.get("error_message", "")).splitlines()[0]
        message = (
            f"severity: quarantine has DuckDB look at rows before they are loaded, which reads no such {key}: {near}"
        )
        yield MistakeError(message, "write it in the SQL of DuckDB, or severity: warn", code="not-sql")


def _parsed(statement: str) -> Mapping[str, Any]:
    """DuckDB's tree of a statement, or what its parser says: `error`, `error_message`."""
    import duckdb

    with duckdb.connect() as connection:
        text = connection.execute("SELECT json_serialize_sql($1)", [statement]).fetchall()[0][0]
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
    options=OF_ROWS,
    condition=_condition,
)
