"""What `elt_maintenance` and `elt maintenance` do: remove what is past its retention, and report what is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from elt_factory.config.errors import ConfigError
from elt_factory.config.loading import config_files
from elt_factory.config.mistakes.across import LoadedConfig
from elt_factory.config.models.maintenance import Maintenance
from elt_factory.config.models.source import Source
from elt_factory.core.amount import amount
from elt_factory.core.failures import EltError
from elt_factory.dag.cleanup import Landings, Removal, remove_old
from elt_factory.dag.neighbours import Neighbours
from elt_factory.dag.runtime import ALERTS, SHARED
from elt_factory.landing.places import Place
from elt_factory.warehouse import audit
from elt_factory.warehouse.base import Warehouse
from elt_factory.warehouse.dialect import Relation
from elt_factory.warehouse.old_rows import AgeError, OldRows, delete_old_rows, old_rows, removal
from elt_factory.warehouse.removed_sources import RemovedSource, remove_state, removed_sources

_LEFT_BY_KILLED = timedelta(days=2)


@dataclass(frozen=True)
class Upkeep:
    """The configs, the warehouse and the landings of a project."""

    folder: Path
    warehouse: Warehouse
    root: Place
    project: str
    log: Callable[[str], None]
    run_id: str = ""
    moment: datetime | None = None  # by default now

    @cached_property
    def now(self) -> datetime:
        """The moment that ages are counted from, by the clock that wrote down what is old."""
        return self.moment or self.warehouse.now()

    def sources(self, name: str | None = None) -> Iterator[LoadedConfig]:
        """Yield the configs that load tables; a broken one is reported, and nothing of it is removed."""
        neighbours = Neighbours(self.folder)
        for file in config_files(self.folder):
            try:
                item = neighbours.load(file)
            except ConfigError as error:
                self.log(f"{file.name} is skipped: {error}")
                continue
            if isinstance(item.config, Source) and name in (None, item.config.name):
                yield item

    def landings(self, source: str, table: str) -> Landings:
        """Where the landings of a table are."""
        return Landings(self.root.below(source, table), self.project)

    def removed(self) -> list[RemovedSource]:
        """Return the sources without a config. A folder without any config is the wrong folder: then there are none."""
        files = config_files(self.folder)
        if not files:
            return []
        known = {*Neighbours(self.folder), *(file.stem for file in files)}
        return removed_sources(self.warehouse, known)


def remove_expired(upkeep: Upkeep, settings: Maintenance, name: str | None = None) -> tuple[list[Removal], list[str]]:
    """Remove what is past its retention, of all sources or of one; what it was, and what could not be done."""
    done: list[Removal] = []
    left: list[str] = []
    for item in upkeep.sources(name):
        for table in item.config.all_tables:
            _guarded(left, item, table, lambda i=item, t=table: done.extend(_of_table(upkeep, i, t)))  # type: ignore[misc]
    if name is None:
        _guarded(left, None, "what killed loads left", lambda: done.extend(_sweep(upkeep)))
        for source in upkeep.removed():
            if settings.removed_sources and source.loaded_at < upkeep.now - settings.removed_sources:
                _guarded(left, None, source.name, lambda s=source: done.extend(remove_source(upkeep, s, "retention")))  # type: ignore[misc]
            else:
                upkeep.log(f"{source.name} has no config; `elt maintenance remove {source.name}` removes its state")
        if settings.compact:
            _guarded(left, None, "compaction", lambda: upkeep.log(upkeep.warehouse.compact(force=False)))
    return done, left


def expired_rows(upkeep: Upkeep, name: str | None = None) -> tuple[list[tuple[str, OldRows]], list[str]]:
    """Count the rows past their retention, and remove none."""
    found: list[tuple[str, OldRows]] = []
    left: list[str] = []
    for item in upkeep.sources(name):
        for table in item.config.all_tables:
            try:
                old = old_rows(upkeep.warehouse, _source(item), table, upkeep.now)
            except EltError as error:
                left.append(_placed(item, table, error))
                continue
            if old:
                found.append((item.config.name, old))
    return found, left


def _of_table(upkeep: Upkeep, item: LoadedConfig, table: str) -> list[Removal]:
    config = _source(item)
    landings = upkeep.landings(config.name, table)
    done = remove_old(upkeep.warehouse, config, table, landings, upkeep.log, upkeep.now, upkeep.run_id)
    old = delete_old_rows(upkeep.warehouse, config, table, upkeep.now, upkeep.run_id)
    if old and old.rows:
        deleted = f"deleted {amount(old.rows, 'row')} with {old.column}"
        upkeep.log(f"{config.name}.{table}: {deleted} before {old.before.isoformat()}")
        done.append(removal(config.name, table, "rows", old.rows, before=old.before))
    return done


def _source(item: LoadedConfig) -> Source:
    if not isinstance(item.config, Source):
        raise TypeError(f"{item.config.name} loads no tables")
    return item.config


def _sweep(upkeep: Upkeep) -> list[Removal]:
    for name in (SHARED, ALERTS):
        if left := upkeep.root.below(name).sweep():
            upkeep.log(f"removed what killed processes left in {name}: {', '.join(left)}")
    before = upkeep.warehouse.now() - _LEFT_BY_KILLED
    gone = upkeep.warehouse.sweep(before)
    if not gone:
        return []
    upkeep.log(f"removed what killed loads left: {', '.join(gone)}")
    row = removal("", "", "staging", len(gone), before=before, why="left by killed loads")
    upkeep.warehouse.record("removals", [{**row, "run_id": upkeep.run_id, "removed_at": upkeep.warehouse.now()}])
    return [row]


def remove_source(upkeep: Upkeep, source: RemovedSource, why: str) -> list[Removal]:
    """Remove the landings and the state of a source without a config; its tables stay.

    The state goes last: killed in between, the next look finds the source again.
    """
    from elt_factory.landing.expiry import clear_landings

    done: list[Removal] = []
    for table in source.tables:
        gone = clear_landings(upkeep.root.below(source.name, table), upkeep.project)
        if gone:
            row = removal(source.name, table, "landings", len(gone), size=sum(gone.values()), why=why)
            moment = upkeep.warehouse.now()
            upkeep.warehouse.record("removals", [{**row, "run_id": upkeep.run_id, "removed_at": moment}])
            done.append(row)
    # or a source of the same name that comes later would hear of its end
    reported = upkeep.root.below(ALERTS, source.name)
    reported.remove(list(reported.files()))
    counts = remove_state(upkeep.warehouse, source, why, upkeep.run_id)
    done += [removal(source.name, "", table, count, why=why) for table, count in counts.items()]
    upkeep.log(f"{source.name}: removed its landings and state; its tables stay")
    return done


def _guarded(left: list[str], item: LoadedConfig | None, what: str, work: Callable[[], object]) -> None:
    """Do one part; one that fails costs no other."""
    try:
        work()
    except (EltError, OSError) as error:
        left.append(_placed(item, what, error) if item else f"{what}: {error}")


def _placed(item: LoadedConfig, table: str, error: Exception) -> str:
    """Return an error with its place in the YAML where that has to change."""
    if not isinstance(error, AgeError):
        return f"{item.config.name}.{table}: {error}"
    path = ("tables", table, "retention", "by")
    spec = item.config.all_tables[table]
    at = item.source.at(path) if spec.retention and spec.retention.by else item.source.at_key(path[:-1])
    return f"{at}: {error}"


def report(upkeep: Upkeep, name: str | None = None) -> list[dict[str, Any]]:
    """Return what is kept of each table, how old and how large it is; removed sources come last."""
    kept = [
        _kept(upkeep, item.config.name, table, _source(item))
        for item in upkeep.sources(name)
        for table in item.config.all_tables
    ]
    gone = [
        _kept(upkeep, source.name, table, None)
        for source in upkeep.removed()
        if name in (None, source.name)
        for table in source.tables
    ]
    return [*kept, *gone]


def _kept(upkeep: Upkeep, source: str, table: str, config: Source | None) -> dict[str, Any]:
    files = upkeep.root.below(source, table).files()
    moments = [entry.modified for entry in files.values() if entry.modified]
    attempts = {"/".join(path.split("/")[:2]) for path in files}
    spec = config.all_tables[table] if config else None
    rows, oldest = _rows(
        upkeep.warehouse, Relation(source, table), spec.aged_by or spec.business_date if spec else None
    )
    return {
        "source": source,
        "table": table,
        "has_config": config is not None,
        "rows": rows,
        "oldest_row": oldest,
        "landings": len(attempts),
        "landing_bytes": sum(entry.bytes for entry in files.values()),
        "oldest_landing": min(moments, default=None),
        **_logged(upkeep.warehouse, source, table),
        "keeps": _kept_for(config, table) if config else "until elt maintenance remove",
    }


def _rows(warehouse: Warehouse, table: Relation, column: str | None) -> tuple[int | None, Any]:
    columns = warehouse.columns(table)
    if columns is None:
        return None, None
    d = warehouse.dialect
    known = column if column and column.casefold() in {name.casefold() for name in columns} else None
    oldest = f"CAST(min({d.name(known)}) AS VARCHAR)" if known else "NULL"
    count, moment = warehouse.query(f"SELECT count(*), {oldest} FROM {table.sql(d)}").rows[0]
    return int(count), moment


def _logged(warehouse: Warehouse, source: str, table: str) -> dict[str, Any]:
    if warehouse.columns(audit.log("loads")) is None:
        return {"loads": 0, "rejects": 0, "oldest_reject": None}
    d = warehouse.dialect
    mine = audit.of_table(d, source, table)
    loads = warehouse.query(f"SELECT count(*) FROM {audit.log('loads').sql(d)} WHERE {mine}").rows[0][0]
    rejects, oldest = warehouse.query(
        f"SELECT count(*), CAST(min({d.name('rejected_at')}) AS VARCHAR) "
        f"FROM {audit.log('rejects').sql(d)} WHERE {mine}"
    ).rows[0]
    return {"loads": int(loads), "rejects": int(rejects), "oldest_reject": oldest}


def _kept_for(config: Source, table: str) -> str:
    from elt_factory.config.models.durations import format_duration

    spec, kept = config.all_tables[table], config.retention
    ages = {
        "rows": spec.retention.rows if spec.retention else None,
        "landings": kept.landing,
        "rejects": kept.rejects,
        "audit": kept.audit,
    }
    return ", ".join(f"{what} {format_duration(age)}" for what, age in ages.items() if age)


def totals(removals: Sequence[Removal]) -> dict[str, int]:
    """Return how much was removed of each sort."""
    found: dict[str, int] = {}
    for row in removals:
        found[str(row["what"])] = found.get(str(row["what"]), 0) + int(str(row["rows_removed"] or 0))
    return found
