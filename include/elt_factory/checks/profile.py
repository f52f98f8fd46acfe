"""The distribution of every column of a load, and the checks that follow from it. Personal values are never read."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from elt_factory.checks.counting import LoadedRows, scan
from elt_factory.checks.distribution import QUANTILES, aggregates, categories
from elt_factory.config.models.table import Table
from elt_factory.config.models.values import ColumnType
from elt_factory.warehouse import remote
from elt_factory.warehouse.base import Warehouse
from elt_factory.warehouse.dialect import Dialect, Relation
from elt_factory.warehouse.statements import LOAD_ID

BARS = 12
_TOP = 5
_NUMBERS = ("integer", "float", "decimal")
_NOT_COMPARED = ("json", "binary")
_FEW, _ENOUGH = 12, 50  # values that may be all there are, among that many rows


@dataclass(frozen=True)
class ColumnProfile:
    """What the values of a column in a load are like.

    Args:
        name: Its name.
        type: Its type in the warehouse.
        rows: Rows of the load.
        values: Those that are not NULL.
        distinct: Different ones; None where values are not compared.
        low: The least one, as text; None where it is personal or there is none.
        high: The greatest one.
        quantiles: Of numbers, by name.
        bars: Of numbers, how many are in each of equal parts between the least and the greatest.
        top: Of others, the most frequent ones with their number.
        personal: Whether no value is shown.
    """

    name: str
    type: str
    rows: int
    values: int
    distinct: int | None = None
    low: str | None = None
    high: str | None = None
    quantiles: Mapping[str, float] | None = None
    bars: tuple[int, ...] = ()
    top: tuple[tuple[str, int], ...] = ()
    personal: bool = False

    @property
    def nulls(self) -> int:
        """Rows without a value."""
        return self.rows - self.values


def profiled(warehouse: Warehouse, source: str, name: str, table: Table, load_id: str) -> list[ColumnProfile]:
    """Return the profile of every column that a table has, but for those of ELT Factory itself."""
    target = Relation.of(source, name, table)
    known = warehouse.columns(target) or {}
    rows = LoadedRows(warehouse.dialect, target, known, load_id)
    if table.stored_in:
        rows = replace(rows, remote=remote.own_rows(warehouse, known, load_id))
    found: list[ColumnProfile] = []
    for column, kind in known.items():
        declared = table.columns.get(column.lower()) or table.columns.get(column)
        if not column.lower().startswith("_"):
            found.append(_profile(warehouse, rows, column, kind, personal=bool(declared and declared.pii)))
    return found


def _profile(warehouse: Warehouse, rows: LoadedRows, name: str, kind: ColumnType, *, personal: bool) -> ColumnProfile:
    column = rows.column(name)
    if kind.name in _NOT_COMPARED:
        total, values = warehouse.query(scan(rows, ("count(*)", f"count({column})"))).rows[0]
        return ColumnProfile(name, str(kind), int(total), int(values), personal=personal)
    numeric = kind.name in _NUMBERS and not personal
    asked = aggregates(rows, column, of_numbers=numeric)
    ends = () if personal else (f"CAST(min({column}) AS VARCHAR)", f"CAST(max({column}) AS VARCHAR)")
    total, values, distinct, *more = warehouse.query(scan(rows, (*asked, *ends))).rows[0]
    low, high = (None, None) if personal else more[-2:]
    of_numbers = zip(QUANTILES, more if numeric else (), strict=False)
    quantiles = {key: float(value) for key, value in of_numbers if value is not None}
    known = numeric and low is not None and high is not None
    bars = _bars(warehouse, rows, column, float(low or 0), float(high or 0)) if known else ()
    top = () if personal or numeric or distinct == values else _top(warehouse, rows, column)
    shown = (quantiles if numeric and values else None, bars, top, personal)
    return ColumnProfile(name, str(kind), int(total), int(values), int(distinct), low, high, *shown)


def _bars(warehouse: Warehouse, rows: LoadedRows, column: str, low: float, high: float) -> tuple[int, ...]:
    if not (math.isfinite(low) and math.isfinite(high)) or low == high:
        return ()
    counted = warehouse.query(scan(rows, bar_aggregates(rows.dialect, column, low, high))).rows[0]
    return tuple(int(count) for count in counted)


def bar_aggregates(dialect: Dialect, column: str, low: float, high: float) -> tuple[str, ...]:
    """Return the aggregates of how many numbers are in each of equal parts; the greatest is in the last one."""
    edges = [low + (high - low) * place / BARS for place in range(1, BARS)]
    value, written = f"CAST({column} AS DOUBLE)", [dialect.literal(edge) for edge in edges]
    inside = [f"{value} < {written[0]}"]
    inside += [f"{value} >= {one} AND {value} < {other}" for one, other in pairwise(written)]
    inside.append(f"{value} >= {written[-1]}")
    return tuple(f"count(CASE WHEN {condition} THEN 1 END)" for condition in inside)


def _top(warehouse: Warehouse, rows: LoadedRows, column: str) -> tuple[tuple[str, int], ...]:
    found = warehouse.query(categories(rows, column, _FEW + 1)).rows
    return tuple((str(value), int(count)) for value, count in found)


def shown_top(profile: ColumnProfile) -> tuple[tuple[str, int], ...]:
    """Return the most frequent values to show."""
    return profile.top[:_TOP]


def newest_load(warehouse: Warehouse, source: str, name: str, table: Table | None = None) -> str | None:
    """Return the load id of the rows that a table took last; None where it has none."""
    if table is not None and table.stored_in:
        return remote.newest_load(warehouse, source, name)
    target = Relation(source, name)
    if warehouse.columns(target) is None:
        return None
    d = warehouse.dialect
    load, at = d.name(LOAD_ID), d.name("_loaded_at")
    rows = warehouse.query(f"SELECT max_by({load}, {at}) FROM {target.sql(d)}").rows
    return None if not rows or rows[0][0] is None else str(rows[0][0])


def proposed(profiles: Sequence[ColumnProfile], table: Table) -> dict[str, list[dict[str, Any]]]:
    """Return checks that the load fulfils, by column: what held once is a guess, for people to keep or to remove."""
    found = {profile.name: list(_proposed(profile, table)) for profile in profiles}
    return {name: checks for name, checks in found.items() if checks}


def _proposed(profile: ColumnProfile, table: Table) -> Iterator[dict[str, Any]]:
    if not profile.values:
        return
    if not profile.nulls:
        yield {"not_null": True}
    if profile.distinct == profile.values and table.primary_key == (profile.name,):
        yield {"unique": True}
    if not profile.personal:
        yield from _of_values(profile)


def _of_values(profile: ColumnProfile) -> Iterator[dict[str, Any]]:
    if profile.quantiles and profile.low is not None and profile.high is not None:
        yield {"between": [_outward(float(profile.low), math.floor), _outward(float(profile.high), math.ceil)]}
    elif _are_few(profile):
        yield {"accepted_values": sorted(value for value, _ in profile.top)}
    if profile.nulls:
        yield {"distribution": {"nulls": "10%"}, "severity": "warn"}


def _are_few(profile: ColumnProfile) -> bool:
    """Whether a text has a few values, each of them many times."""
    few = profile.distinct is not None and profile.distinct <= _FEW and len(profile.top) == profile.distinct
    return few and profile.type == "text" and profile.values >= _ENOUGH


def _outward(value: float, rounded: Any) -> int | float:
    """Return a number of two digits beyond one: a limit that the next load need not meet exactly."""
    if value == 0:
        return 0
    size = 10.0 ** (math.floor(math.log10(abs(value))) - 1)
    outward = rounded(value / size) * size
    return int(outward) if float(outward).is_integer() else float(f"{outward:.6g}")
