"""A table of PostgreSQL in parts: conditions of which each row meets exactly one."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, cast

from elt_factory.config.models.table import source_name
from elt_factory.config.models.values import ColumnType
from elt_factory.core.extras import needs
from elt_factory.core.failures import BadRequestError
from elt_factory.extract.label import TableLabel
from elt_factory.extract.request import ReadRequest
from elt_factory.sources.sql.key_range import KeyRange

with needs("postgres", "a connection of type postgres"):
    from psycopg import sql

if TYPE_CHECKING:
    import psycopg

    _Whole = int | Decimal | None


def whole_key(request: ReadRequest, types: Mapping[str, ColumnType], label: TableLabel) -> str:
    """Return the column that the parts are ranges of.

    Raises:
        BadRequestError: it is not a whole number.
    """
    name = source_name(request.source.all_tables[request.table].primary_key[0])
    kind = types.get(name)
    if kind is None or kind.name not in ("integer", "decimal") or kind.scale:
        text = f"partitions needs a whole number as the first column of primary_key, and {name} is {kind or 'unknown'}"
        raise label.error(BadRequestError, text, "remove partitions")
    return name


def ranges_of(
    database: psycopg.Connection[tuple[object, ...]], place: sql.Composable, name: str, parts: int
) -> list[sql.Composable]:
    """Return conditions of which each row meets one: ranges of equal width, the first and the last open."""
    key = sql.Identifier(name)
    query = sql.SQL("SELECT min({0}), max({0}) FROM {1}").format(key, place)
    low, high = cast("tuple[_Whole, _Whole]", database.execute(query).fetchone())
    if not all(value is None or Decimal(value).is_finite() for value in (low, high)):
        # NaN and the infinities of a numeric are before all other numbers or after them: in an open range
        finite = sql.SQL(" WHERE {}::text NOT IN ('NaN', 'Infinity', '-Infinity')").format(key)
        low, high = cast("tuple[_Whole, _Whole]", database.execute(query + finite).fetchone())
    if low is None or high is None:
        return [sql.SQL("TRUE")]
    width = -(-(int(high) - int(low) + 1) // parts)
    cuts = [sql.Literal(int(low) + width * number) for number in range(1, parts)]
    first = sql.SQL("({0} < {1} OR {0} IS NULL)").format(key, cuts[0])
    middle = [sql.SQL("{0} >= {1} AND {0} < {2}").format(key, one, other) for one, other in pairwise(cuts)]
    return [first, *middle, sql.SQL("{0} >= {1}").format(key, cuts[-1])]


def in_part(found: KeyRange | None) -> sql.Composable:
    """Return the condition of the rows of one part of a split; empty where the table is read whole."""
    if found is None or (found.start is None and found.end is None):
        return sql.SQL("")
    key, ends = sql.Identifier(found.key), []
    if found.start is not None:
        ends.append(sql.SQL("{} >= {}").format(key, sql.Literal(found.start)))
    if found.end is not None:
        # rows without a key are in the first part
        below = sql.SQL("{0} < {1}") if ends else sql.SQL("({0} < {1} OR {0} IS NULL)")
        ends.append(below.format(key, sql.Literal(found.end)))
    return sql.SQL(" AND ").join(ends)


def both(where: sql.Composable, part: sql.Composable) -> sql.Composable:
    """Return a WHERE for a part alone; each of the two may be empty."""
    if part == sql.SQL(""):
        return where
    joined = " AND ({})" if where != sql.SQL("") else " WHERE ({})"
    return where + sql.SQL(joined).format(part)


def value_behind(
    database: psycopg.Connection[tuple[object, ...]],
    place: sql.Composable,
    name: str,
    where: sql.Composable,
    after: object,
    behind: int,
) -> object:
    """Return the value of a column that many rows behind the first that is greater than another (None: any of them)."""
    column = sql.Identifier(name)
    further = where if after is None else both(where, sql.SQL("{} > {}").format(column, sql.Literal(after)))
    query = sql.SQL("SELECT {0} FROM {1}{2} ORDER BY {0} LIMIT 1 OFFSET {3}")
    row = database.execute(query.format(column, place, further, sql.Literal(behind))).fetchone()
    return row[0] if row else None
