"""SELECTs as text, for databases that their own driver reads into Arrow: names quoted, values bound as `?`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from zoneinfo import ZoneInfo

from elt_factory.config.models.values import ColumnType
from elt_factory.extract.bounds import bounds, wall_clock
from elt_factory.extract.request import ReadRequest
from elt_factory.sources.sql.key_range import KeyRange, has_null_cursors
from elt_factory.sources.sql.origin import Given, Origin


@dataclass(frozen=True)
class Sql:
    """A piece of SQL with the values of its `?`."""

    text: str
    values: tuple[object, ...] = ()

    def __add__(self, other: Sql | str) -> Sql:
        """Return both, one after the other."""
        more = Sql(other) if isinstance(other, str) else other
        return Sql(self.text + more.text, (*self.values, *more.values))


@dataclass(frozen=True)
class Speech:
    """How a database writes a name, and what it calls an instant and a time without a zone."""

    name: Callable[[str], str]
    instant: str
    wall_clock: str

    def value(self, value: datetime | date | object) -> Sql:
        """Return a bound value; a time says its type, since it is bound as text."""
        if isinstance(value, datetime):
            kind = self.instant if value.tzinfo else self.wall_clock
            return Sql(f"CAST(? AS {kind})", (value.isoformat(),))
        return Sql("CAST(? AS DATE)", (value.isoformat(),)) if isinstance(value, date) else Sql("?", (value,))


@dataclass(frozen=True)
class Column:
    """A column: what is selected of it, its type, and the database's word for a text that is written in its own way."""

    expression: str
    type: ColumnType
    form: str = ""


def place_of(speech: Speech, relation: Origin, clock: str = "UTC") -> Sql:
    """Return what is read, as FROM takes it; instants in a query are as the clock shows them."""
    if relation.query is None:
        return Sql(".".join(speech.name(name) for name in (relation.schema, relation.table) if name))
    place = Sql("(")
    for piece in relation.query:
        place += _given(speech, piece, ZoneInfo(clock)) if isinstance(piece, Given) else piece
    # the query may end in a comment
    return place + "\n) AS q"


def _given(speech: Speech, given: Given, zone: ZoneInfo) -> Sql:
    value = given.value
    return speech.value(wall_clock(value, zone) if isinstance(value, datetime) else value)


def selected(columns: Mapping[str, Column], place: Sql, conditions: Iterable[Sql] = (), most: int | None = None) -> Sql:
    """Return a SELECT of columns, each under the name that it has in the mapping."""
    items = ", ".join(f"{column.expression} AS {quoted(name)}" for name, column in columns.items())
    return Sql(f"SELECT {items} FROM ") + place + where(conditions) + ("" if most is None else f" LIMIT {most}")


def where(conditions: Iterable[Sql]) -> Sql:
    """Return a WHERE of all conditions, which are in brackets where they have an OR; empty for none."""
    found = Sql("")
    for number, condition in enumerate(conditions):
        found += Sql(" AND " if number else " WHERE ") + condition
    return found


def quoted(name: str) -> str:
    """Return a name exactly as it is, in quotes."""
    return '"' + name.replace('"', '""') + '"'


def in_part(speech: Speech, request: ReadRequest) -> list[Sql]:
    """Return the condition of the rows of one part of a split; none where the table is read whole."""
    found = KeyRange.of(request)
    if found is None:
        return []
    name, conditions = speech.name(found.key), []
    if found.start is not None:
        conditions.append(Sql(f"{name} >= ") + speech.value(found.start))
    if found.end is not None:
        below = Sql(f"{name} < ") + speech.value(found.end)
        # rows without a key are in the first part
        conditions.append(below if found.start is not None else Sql("(") + below + f" OR {name} IS NULL)")
    return conditions


def in_window(speech: Speech, request: ReadRequest, types: Mapping[str, ColumnType]) -> list[Sql]:
    """Return the condition of the rows that a load reads; none where the table has no cursor."""
    table = request.source.all_tables[request.table]
    if table.incremental is None:
        return []
    name = speech.name(table.incremental.cursor)
    inside = Sql(f"{name} IS NOT NULL")
    for end in bounds(request, table.incremental, types.get(table.incremental.cursor)):
        inside += Sql(f" AND {name} {end.operator} ") + speech.value(end.value)
    includes = table.null_cursor == "include" and has_null_cursors(request)
    null = f" OR {name} IS NULL" if includes else ""
    return [replace(inside, text=f"(({inside.text}){null})")]
