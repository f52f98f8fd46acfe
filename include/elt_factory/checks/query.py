"""A query of your own that finds no row. `elt validate` has it read by DuckDB's parser."""

from __future__ import annotations

from collections.abc import Iterator

from elt_factory.checks.counting import LoadedRows
from elt_factory.checks.expression import not_sql
from elt_factory.checks.kind import MAX_FAILING, Checking, Outcome, TableCheckKind, counted
from elt_factory.config.errors import MistakeError
from elt_factory.config.models.schema_patterns import NO_TEMPLATE, READS_ROWS
from elt_factory.config.models.table import Table
from elt_factory.config.models.values import PlainQuery

LOADED = "loaded"
_SHOWN = 60


def _look(query: str, checking: Checking) -> Outcome | None:
    return None if checking.rows is None else counted(checking, found_rows(checking.rows, query))


def found_rows(rows: LoadedRows, query: str) -> str:
    """SELECT of how many rows a query finds. In it `loaded` means the rows of the load."""
    d = rows.dialect
    loaded = f"SELECT * FROM {rows.table.sql(d)} WHERE {rows.own}"
    return f"WITH {d.name(LOADED)} AS ({loaded}) SELECT count(*) FROM (\n{query}\n) AS found"


def _words(query: str) -> str:
    text = " ".join(query.split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _label(query: str) -> str:
    return f"query {_words(query)}"


def _sql_mistakes(query: str, _table: Table) -> Iterator[MistakeError]:
    yield from not_sql("query", query, f"SELECT 1 FROM (\n{query}\n) AS found", "write a SELECT that finds bad rows")


KIND = TableCheckKind(
    name="query",
    model=PlainQuery,
    description=(
        "SELECT that must find no row, over any tables of the warehouse. `loaded` is a table with the rows of the load."
    ),
    examples=("SELECT flight_id FROM loaded GROUP BY flight_id HAVING count(*) > 1",),
    words=_words,
    label=_label,
    look=_look,
    sql_mistakes=_sql_mistakes,
    schema_patterns=(READS_ROWS, NO_TEMPLATE),
    options=frozenset({MAX_FAILING}),
)
