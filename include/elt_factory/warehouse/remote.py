"""Tables that other systems load: whether what they loaded is there, counted where it is, and recorded as a load.

What is not known is not claimed: `rows_read` and `rows_loaded` are the rows that are newer than before the job, and
everything else is 0. `write_disposition` of such a row in `_elt.loads` is `remote`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from elt_factory.config.errors import near_name
from elt_factory.config.models.durations import format_duration
from elt_factory.config.models.values import ColumnType
from elt_factory.core.failures import AccountingError, BadDataError, NotMovedError
from elt_factory.core.sql_text import Value
from elt_factory.core.window import Window, iso_utc
from elt_factory.landing.manifest import LandedColumn, Manifest
from elt_factory.warehouse import audit
from elt_factory.warehouse.base import LoadReport, Warehouse
from elt_factory.warehouse.dialect import Dialect, Relation
from elt_factory.warehouse.patience import retrying

REMOTE = "remote"
_TICK = timedelta(microseconds=1)  # what a driver may cut off of a time is less


@dataclass(frozen=True)
class Watched:
    """A table that another system loads.

    Args:
        source: The config.
        table: Its name there.
        relation: Where it is.
        loaded_at: The column that says when a row was loaded.
        business_date: The column that says when it happened; None for none.
        within: How far the business date may be behind the end of the window; None where it has to move.
        may_stay: Whether a job that changes nothing is right.
        zone: The zone of the config.
    """

    source: str
    table: str
    relation: Relation
    loaded_at: str
    business_date: str | None = None
    within: timedelta | None = None
    may_stay: bool = False
    zone: str = "UTC"

    @property
    def label(self) -> str:
        """source.table, for messages."""
        return f"{self.source}.{self.table}"


@dataclass(frozen=True)
class Reached:
    """The newest values of a table as texts: when it was loaded, and when it happened."""

    loaded_at: str | None = None
    business_date: str | None = None


@dataclass(frozen=True)
class Verifying:
    """A load of another system to look at: its window, its run, and what the table had reached before the job."""

    load_id: str
    window: Window
    run_id: str
    before: Reached
    started: datetime


@dataclass(frozen=True)
class _Found:
    rows: int
    first: str | None
    last: str | None
    oldest: str | None
    newest: str | None
    total: int


def reached(warehouse: Warehouse, watched: Watched) -> Reached:
    """Return what a table has reached. One that is not there has reached nothing.

    Raises:
        BadDataError: the table lacks a column.
    """
    columns = warehouse.columns(watched.relation)
    if columns is None:
        return Reached()
    _require(watched, columns)
    d = warehouse.dialect
    date_ = f"max({d.name(watched.business_date)})" if watched.business_date else "NULL"
    query = f"SELECT max({d.name(watched.loaded_at)}), {date_} FROM {watched.relation.sql(d)}"
    loaded, happened = warehouse.query(query).rows[0]
    return Reached(_text(loaded), _text(happened))


def verify(warehouse: Warehouse, watched: Watched, asked: Verifying) -> tuple[LoadReport, Manifest]:
    """Count what a job has loaded, and record it as a load of its window.

    Raises:
        NotMovedError: the table is not there, or shows nothing new.
        BadDataError: it lacks a column.
    """
    warehouse.prepare()
    return retrying(partial(_verify, warehouse, watched, asked))


def _verify(warehouse: Warehouse, watched: Watched, asked: Verifying) -> tuple[LoadReport, Manifest]:
    d, now = warehouse.dialect, warehouse.now()
    warehouse.execute(audit.create_turn(d, watched.source, watched.table))
    with warehouse.transaction(lambda: audit.count_load(d, asked.load_id, now)):
        if not warehouse.execute(audit.take_turn(d, watched.source, watched.table, f"{asked.load_id} {now}")):
            turn = audit.turn(watched.source, watched.table).sql(d)
            raise AccountingError(
                f"{watched.label}: {turn} has no row; drop that table, and the next load recreates it"
            )
        now = warehouse.moment_after(audit.newest_commit(d, watched.source, watched.table))
        columns = warehouse.columns(watched.relation)
        if columns is None:
            raise NotMovedError(f"{watched.label}: the job has succeeded, but {_named(watched)} is not there")
        _require(watched, columns)
        found = _count(warehouse, watched, asked, columns)
        wrong = complaint(watched, asked, found.rows, found.newest, _earlier(warehouse, watched, asked))
        if wrong:
            raise NotMovedError(f"{watched.label}: the job has succeeded, but {wrong}")
        manifest = _manifest(watched, asked, found, columns)
        row = audit.load_row(
            manifest,
            run_id=asked.run_id,
            write_disposition=REMOTE,
            full_refresh=False,
            written=audit.Written(found.rows),
            loaded_at=now,
        )
        warehouse.execute(audit.insert_load(d, row))
    return LoadReport(found.rows, found.rows, 0, 0, found.total), manifest


def complaint(
    watched: Watched, asked: Verifying, rows: int, newest: str | None, earlier: tuple[str | None, bool]
) -> str | None:
    """Return what a table does not show after its job; None where it shows what it should.

    Args:
        watched: The table.
        asked: The load.
        rows: How many rows are new.
        newest: Their newest business date.
        earlier: The newest business date that windows before this one have brought, and whether this window was
            committed already.
    """
    if not rows:
        since = f" since {asked.before.loaded_at}" if asked.before.loaded_at else ""
        new = f"{_named(watched)} has no new rows{since} (by {watched.loaded_at})"
        return None if watched.may_stay else new
    if watched.business_date is None:
        return None
    if newest is None:
        return f"its {rows:,} new rows in {_named(watched)} have no {watched.business_date}"
    if watched.within is not None:
        gap = asked.window.end - _moment(newest, watched.zone, day_ends=True)
        late = (
            f"{watched.business_date} of {_named(watched)} ends at {newest}, {format_duration(_whole(gap))} before the "
        )
        return f"{late}window's end; {format_duration(watched.within)} is allowed" if gap > watched.within else None
    known, again = earlier
    limit = known if known is not None or again else asked.before.business_date
    if watched.may_stay or limit is None or _moment(newest, watched.zone) > _moment(limit, watched.zone):
        return None
    return (
        f"{watched.business_date} of {_named(watched)} has not moved: it ends at {newest}, as it did before ({limit})"
    )


def own_rows(warehouse: Warehouse, columns: Mapping[str, ColumnType], load_id: str) -> str:
    """Return the condition for the rows of a load that another system has made."""
    d = warehouse.dialect
    names = d.names(("cursor_column", "cursor_min"))
    query = (
        f"SELECT {names} FROM {audit.relation('loads').sql(d)} WHERE {d.name('load_id')} = {d.literal(load_id)} "
        f"AND {d.name('write_disposition')} = {d.literal(REMOTE)}"
    )
    found = warehouse.query(query).rows
    if not found or found[0][1] is None:
        return "FALSE"
    column, first = str(found[0][0]), str(found[0][1])
    return f"{d.name(column)} >= {_literal(d, first, columns.get(column))}"


def newest_load(warehouse: Warehouse, source: str, table: str) -> str | None:
    """Return the load id of the newest load that another system has made of a table; None where there is none."""
    if warehouse.columns(audit.relation("loads")) is None:
        return None
    d = warehouse.dialect
    query = (
        f"SELECT {d.name('load_id')} FROM {audit.relation('loads').sql(d)} WHERE {audit.of_table(d, source, table)} "
        f"AND {d.name('cursor_value')} IS NOT NULL ORDER BY {d.name('loaded_at')} DESC LIMIT 1"
    )
    rows = warehouse.query(query).rows
    return str(rows[0][0]) if rows else None


def _count(warehouse: Warehouse, watched: Watched, asked: Verifying, columns: Mapping[str, ColumnType]) -> _Found:
    d = warehouse.dialect
    at = d.name(watched.loaded_at)
    new = f"{at} IS NOT NULL"
    if asked.before.loaded_at is not None:
        new = _newer(d, at, asked.before.loaded_at, columns.get(watched.loaded_at))
    happened = d.name(watched.business_date) if watched.business_date else "NULL"
    mine = [f"{what}(CASE WHEN {new} THEN {column} END)" for what, column in _wanted(at, happened)]
    query = f"SELECT {', '.join(mine)}, count(*) FROM {watched.relation.sql(d)}"
    rows, first, last, oldest, newest, total = warehouse.query(query).rows[0]
    return _Found(int(rows), _text(first), _text(last), _text(oldest), _text(newest), int(total))


def _wanted(loaded: str, happened: str) -> Sequence[tuple[str, str]]:
    return (("count", "1"), ("min", loaded), ("max", loaded), ("min", happened), ("max", happened))


def _newer(d: Dialect, column: str, before: str, kind: ColumnType | None) -> str:
    value = _value(before, kind)
    if isinstance(value, datetime):
        return f"{column} >= {d.literal(value + _TICK)}"
    return f"{column} > {_literal(d, before, kind)}"


def _literal(d: Dialect, text: str, kind: ColumnType | None) -> str:
    value = _value(text, kind)
    return d.literal(value)


def _value(text: str, kind: ColumnType | None) -> Value:
    """Return a value of a column out of its text."""
    name = kind.name if kind else "text"
    if name in ("timestamp", "datetime"):
        return datetime.fromisoformat(text)
    if name == "date":
        return date.fromisoformat(text)
    if name == "integer":
        return int(text)
    return text


def _earlier(warehouse: Warehouse, watched: Watched, asked: Verifying) -> tuple[str | None, bool]:
    d = warehouse.dialect
    name = d.name
    query = (
        f"SELECT max(CASE WHEN {name('window_end')} <= {d.literal(asked.window.start)} "
        f"THEN {name('business_date_max')} END), "
        f"count(CASE WHEN {name('load_id')} = {d.literal(asked.load_id)} THEN 1 END) "
        f"FROM {audit.relation('loads').sql(d)} WHERE {audit.of_table(d, watched.source, watched.table)}"
    )
    known, again = warehouse.query(query).rows[0]
    return (None if known is None else str(known)), bool(again)


def _manifest(watched: Watched, asked: Verifying, found: _Found, columns: Mapping[str, ColumnType]) -> Manifest:
    kind = columns.get(watched.loaded_at)
    return Manifest(
        source=watched.source,
        table=watched.table,
        load_id=asked.load_id,
        window_start=iso_utc(asked.window.start),
        window_end=iso_utc(asked.window.end),
        columns=tuple(LandedColumn(name, str(type_)) for name, type_ in columns.items()),
        files=(),
        rejects=None,
        rows_read=found.rows,
        rows=found.rows,
        rows_rejected=0,
        rows_duplicate=0,
        values_discarded=0,
        drift=(),
        cursor_column=watched.loaded_at,
        cursor_type=str(kind) if kind else None,
        cursor_after=asked.before.loaded_at,
        cursor_min=found.first,
        cursor_max=found.last,
        business_date_min=found.oldest,
        business_date_max=found.newest,
        started_at=iso_utc(asked.started),
        attempt="",
    )


def _require(watched: Watched, columns: Mapping[str, ColumnType]) -> None:
    there = {name.casefold() for name in columns}
    for key, name in (("loaded_at", watched.loaded_at), ("business_date", watched.business_date)):
        if name and name.casefold() not in there:
            hint = near_name(name, columns)
            raise BadDataError(f"{watched.label}: {_named(watched)} has no column {name} ({key}); hint: {hint}")


def _named(watched: Watched) -> str:
    return f"{watched.relation.schema}.{watched.relation.name}"


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, datetime):
        return iso_utc(value) if value.tzinfo else value.isoformat()
    return value.isoformat() if isinstance(value, date) else str(value)


def _moment(text: str, zone: str, *, day_ends: bool = False) -> datetime:
    """Return a business date as an instant.

    Raises:
        BadDataError: it is not a date.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise BadDataError(f'the business date "{text}" is not a date or a time') from None
    if day_ends and len(text) == len("2013-01-01"):
        found += timedelta(days=1)
    return (found if found.tzinfo else found.replace(tzinfo=ZoneInfo(zone))).astimezone(UTC)


def _whole(gap: timedelta) -> timedelta:
    return timedelta(seconds=max(int(gap.total_seconds()), 1))
