"""What the warehouse knows of tables: the audit tables, and the tables as they are."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from elt_factory.config.models.source import Config
from elt_factory.core.window import Window
from elt_factory.diagnosis import audit_sql
from elt_factory.diagnosis.facts import CheckFact, DriftFact, LoadFact, RejectFact, WarehouseProblem
from elt_factory.warehouse.dialect import Relation

if TYPE_CHECKING:
    from elt_factory.warehouse.base import Rows, Warehouse

Key = tuple[str, str]  # source and table
MOST_LOADS = 200  # of a table: half a year of days, a week of hours
_LOOK_BACK = timedelta(days=60)
_SPACED_OFFSET = re.compile(r" (?=[+-]\d{2}:?\d{2}$)")


class ModelRun(NamedTuple):
    """When a dbt model of a config was built last."""

    config: str
    model: str
    started_at: datetime
    ended_at: datetime
    run_id: str
    good: bool


@dataclass(frozen=True)
class Audit:
    """What was found, by source and table. `problem` says why nothing could be read.

    `asked_at` is when the warehouse was asked, where that was not just now.
    """

    loads: Mapping[Key, Sequence[LoadFact]] = field(default_factory=dict)
    last: Mapping[Key, LoadFact] = field(default_factory=dict)
    dates: Mapping[Key, str] = field(default_factory=dict)
    rows: Mapping[Key, int] = field(default_factory=dict)
    rejects: Mapping[Key, Sequence[RejectFact]] = field(default_factory=dict)
    drift: Mapping[Key, Sequence[DriftFact]] = field(default_factory=dict)
    checks: Mapping[Key, Sequence[CheckFact]] = field(default_factory=dict)
    models: Sequence[ModelRun] = ()
    misses: Mapping[str, Sequence[datetime]] = field(default_factory=dict)
    problem: WarehouseProblem | None = None
    asked_at: datetime | None = None


def read_audit(warehouse: Warehouse, configs: Sequence[Config], now: datetime) -> Audit:
    """Read everything about the configs' tables, in a few statements however many tables there are."""
    from elt_factory.warehouse import audit, state

    sources = {config.name for config in configs}
    if not sources or not state.audited(warehouse):
        return Audit()
    d, since = warehouse.dialect, now - _LOOK_BACK
    known = set(warehouse.columns(audit.log("loads")) or ())
    zones = {config.name: config.timezone for config in configs}
    results = warehouse.query(audit_sql.newest_results(d, sources, since)).dicts()
    dates, rows = _tables_now(warehouse, configs)
    return Audit(
        loads=_loads(warehouse.query(audit_sql.newest_loads(d, sources, known, MOST_LOADS)), zones),
        last={
            key: found[-1]
            for key, found in _loads(warehouse.query(audit_sql.last_commits(d, sources, known)), zones).items()
        },
        dates=dates,
        rows=rows,
        rejects=_rejects(warehouse, sources),
        drift=_drift(warehouse.query(audit_sql.drift_since(d, sources, since)).rows),
        checks=_checks(results),
        models=_models(results),
        misses=_misses(warehouse.query(audit_sql.misses_since(d, sources, since)).rows),
    )


@lru_cache(maxsize=4096)
def business_moment(text: str | None, zone: str) -> datetime | None:
    """Return a business date's text as an instant, a day at its end; None where it is none."""
    from elt_factory.checks.freshness import business_instant

    if not text:
        return None
    try:
        return business_instant(_SPACED_OFFSET.sub("", text.strip()), zone).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _loads(found: Rows, zones: Mapping[str, str]) -> dict[Key, list[LoadFact]]:
    """Return the loads of each table, the newest window last."""
    loads: dict[Key, list[LoadFact]] = defaultdict(list)
    for row in found.rows:
        entry = dict(zip(audit_sql.LOAD_COLUMNS, row, strict=True))
        loads[entry["source"], entry["table_name"]].append(_load(entry, zones[entry["source"]]))
    return {
        key: sorted(of_table, key=lambda load: (load.window.end, load.loaded_at)) for key, of_table in loads.items()
    }


def _load(entry: Mapping[str, Any], zone: str) -> LoadFact:
    count = {name: int(entry[f"rows_{name}"] or 0) for name in ("read", "loaded", "unchanged", "rejected", "duplicate")}
    return LoadFact(
        load_id=entry["load_id"],
        run_id=entry["run_id"],
        window=Window(entry["window_start"], entry["window_end"]),
        started_at=entry["started_at"],
        loaded_at=entry["loaded_at"],
        rows_read=count["read"],
        rows_loaded=count["loaded"],
        rows_rejected=count["rejected"],
        rows=count["loaded"] + count["unchanged"],
        bytes=int(entry["bytes"] or 0),
        business_date=business_moment(entry["business_date_max"], zone),
        full_refresh=bool(entry["full_refresh"]),
        failed=bool(count["rejected"]) and not (count["loaded"] or count["unchanged"] or count["duplicate"]),
    )


def _tables_now(warehouse: Warehouse, configs: Sequence[Config]) -> tuple[dict[Key, str], dict[Key, int]]:
    """Return the newest business date and the number of rows of the tables that are there."""
    tables = {(config.name, table): spec for config in configs for table, spec in config.all_tables.items()}
    d = warehouse.dialect
    there: dict[Key, set[str]] = defaultdict(set)
    places = {key: Relation.of(*key, spec) for key, spec in tables.items()}
    schemas = {place.schema for place in places.values()} or {""}
    for schema, table, column in warehouse.query(audit_sql.columns_there(d, schemas)).rows:
        there[str(schema), str(table)].add(str(column))
    wanted: dict[Key, tuple[Relation, str | None]] = {}
    for key, spec in tables.items():
        columns = there.get((places[key].schema.lower(), places[key].name.lower()))
        if columns:
            date = spec.business_date
            wanted[key] = places[key], date if date and date.lower() in columns else None
    if not wanted:
        return {}, {}
    found = warehouse.query(audit_sql.tables_now(d, wanted)).rows
    dates = {(source, table): str(newest) for source, table, _, newest in found if newest is not None}
    return dates, {(source, table): int(count) for source, table, count, _ in found}


def _rejects(warehouse: Warehouse, sources: Collection[str]) -> dict[Key, list[RejectFact]]:
    from elt_factory.warehouse.rejects import rejected_loads

    one = next(iter(sources)) if len(sources) == 1 else None
    found: dict[Key, list[RejectFact]] = defaultdict(list)
    for load in rejected_loads(warehouse, one):
        fact = RejectFact(load.load_id, load.rows, load.reason, load.rejected_at)
        found[load.source, load.table].append(fact)
    return dict(found)


def _drift(rows: Iterable[Sequence[Any]]) -> dict[Key, list[DriftFact]]:
    found: dict[Key, list[DriftFact]] = defaultdict(list)
    for source, table, column, change, old, new, at in rows:
        found[source, table].append(DriftFact(column, change, old, new, at))
    return dict(found)


def _checks(results: Sequence[Mapping[str, Any]]) -> dict[Key, list[CheckFact]]:
    """Return what did not pass, of the newest run of each: a check that was removed since says nothing any more.

    dbt's results are those of the config that ran it, of no single table: their key has no table.
    """
    newest: dict[tuple[str, str, str], Mapping[str, Any]] = {}
    for row in results:
        group = _group(row)
        if group not in newest or row["checked_at"] > newest[group]["checked_at"]:
            newest[group] = row
    found: dict[Key, list[CheckFact]] = defaultdict(list)
    for row in results:
        if row["status"] == "passed" or row["run_id"] != newest[_group(row)]["run_id"]:
            continue
        status: Literal["warned", "failed"] = "failed" if row["status"] == "failed" else "warned"
        name = row["check_name"]
        fact = CheckFact(row["kind"], name, status, row["message"] or "", row["run_id"], row["checked_at"])
        found[_group(row)[:2]].append(fact)
    return dict(found)


def _group(row: Mapping[str, Any]) -> tuple[str, str, str]:
    of_dbt = str(row["kind"]).startswith("dbt")
    return row["source"], "" if of_dbt else row["table_name"], "dbt" if of_dbt else row["kind"]


def _models(results: Sequence[Mapping[str, Any]]) -> list[ModelRun]:
    return [
        ModelRun(
            row["source"],
            row["check_name"],
            row["checked_at"] - timedelta(seconds=float(row["seconds"] or 0)),
            row["checked_at"],
            row["run_id"],
            row["status"] == "passed",
        )
        for row in results
        if row["kind"] == "dbt_model"
    ]


def _misses(rows: Iterable[Sequence[Any]]) -> dict[str, list[datetime]]:
    found: dict[str, list[datetime]] = defaultdict(list)
    for source, _, deadline in rows:
        found[source].append(deadline)
    return dict(found)
