"""What a database says of a table or query before a row is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from elt_factory.config.models.values import ColumnType
from elt_factory.sources.sql.values_as_text import text_column


@dataclass(frozen=True)
class Read:
    """How one column is read: the expression of the SELECT, and its values as a column of text.

    `bound` is what the column is compared with, from an end of a cursor as a load has kept it.
    """

    expression: sa.ColumnElement[Any]
    as_text: Callable[[Sequence[Any]], pa.Array]
    bound: Callable[[Any], Any] = lambda value: value


@dataclass(frozen=True)
class Described:
    """What a SELECT can be made of: the FROM part, its columns, and the types that are known of them.

    `forms` are the database's own words for columns that are text, where those of another word are written otherwise.
    """

    place: sa.FromClause
    columns: Mapping[str, Read]
    types: Mapping[str, ColumnType]
    forms: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Listed:
    """A table or view as the catalogue lists it, with its primary key."""

    name: str
    key: tuple[str, ...] = ()
    is_view: bool = False


# what a SELECT asks for
Chosen = sa.TextClause | sa.ColumnElement[Any]
# the least and the greatest value of a column, as text; None without a value
Ends = tuple[str | None, str | None]


def plain(place: sa.FromClause, columns: Sequence[str], types: Mapping[str, ColumnType]) -> Described:
    """Every column as it appears, its values as their type is written."""
    return Described(
        place, {name: Read(sa.column(name), partial(text_column, kind=types.get(name))) for name in columns}, types
    )
