"""What is read from a database: a table or a query, and its keys."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from elt_factory.config.errors import near_name
from elt_factory.config.models.table import source_name
from elt_factory.config.models.templates import Typed, Use, query_parts, typed
from elt_factory.config.models.values import MAX_PRECISION, ColumnType
from elt_factory.core.failures import BadRequestError
from elt_factory.extract.label import TableLabel, source_of
from elt_factory.extract.request import ReadRequest
from elt_factory.extract.templating import values_of
from elt_factory.sources.sql.model import SqlSource


@dataclass(frozen=True)
class Given:
    """A value that a template in a query stands for; it never becomes text of the query."""

    value: Typed


@dataclass(frozen=True)
class Origin:
    """A table or view, or a query in its place: pieces of SQL, and the values between them; no semicolon at its end."""

    table: str
    schema: str | None = None
    query: tuple[str | Given, ...] | None = None


def relation_of(request: ReadRequest, source: SqlSource) -> Origin:
    """Return what the config says to read."""
    table = source.tables[request.table]
    query = _query(table.query, request) if table.query else None
    return Origin(table.table or request.table, source.extract.schema_name, query)


def _query(text: str, request: ReadRequest) -> tuple[str | Given, ...]:
    values = values_of(request)
    parts = query_parts(text.strip().rstrip(";").rstrip())
    return tuple(
        Given(typed(part, values, request.source.timezone)) if isinstance(part, Use) else part for part in parts
    )


def only_postgres(request: ReadRequest, label: TableLabel) -> None:
    """Refuse what no other database can do.

    Raises:
        BadRequestError: the table asks for it.
    """
    table = source_of(request, SqlSource).tables[request.table]
    if table.partitions > 1:
        text = "partitions needs PostgreSQL: other databases do not share one moment between connections"
        raise label.error(BadRequestError, text, "remove it")
    if table.incremental and table.incremental.late_commits == "wait":
        raise label.error(BadRequestError, "late_commits: wait needs PostgreSQL", "remove it, and set a lag")


def keys_of(request: ReadRequest, columns: Iterable[str], label: TableLabel) -> tuple[str, ...]:
    """Return the source's names of the primary key, where its values of all rows are to be read; else none.

    Raises:
        BadRequestError: one of them is not a column of what is read.
    """
    table, there = request.source.all_tables[request.table], list(columns)
    if not (table.follows_deletes and table.follows_deletes.compare):
        return ()
    names = tuple(map(source_name, table.primary_key))
    for name in names:
        if name not in there:
            raise label.error(BadRequestError, f'unknown column "{name}" in primary_key', near_name(name, there))
    return names


def decimal_of(precision: int, scale: int) -> ColumnType:
    """Return the decimal type; decimal(38,9) when none is declared or it has more digits than the warehouse's.

    Found in the data, the type would be that of the first load's values: whole numbers at first, and every price
    after them rejected; or a float, and amounts inexact.
    """
    if 1 <= precision <= MAX_PRECISION and 0 <= scale <= precision:
        return ColumnType("decimal", precision, scale)
    if 1 <= precision < scale <= MAX_PRECISION:  # numeric(3,5) of PostgreSQL: 0.00123
        return ColumnType("decimal", scale, scale)
    if scale < 0 and precision - scale <= MAX_PRECISION:  # numeric(3,-2): 12300
        return ColumnType("decimal", precision - scale, 0)
    return ColumnType.parse("decimal")
