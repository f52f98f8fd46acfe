"""Rejects put once more through the contract, as the config has it now; what is good now is loaded, and healed.

A replay is a load like any other: a landing with an owner and a manifest, staged, counted, and one transaction with the
rows, their account and the states of the rejects. Its id follows from the rejects that it brings, so that a replay that
was killed is the same when it is run again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from elt_factory.config.models.source import Source
from elt_factory.config.models.table import Table
from elt_factory.core.amount import amount
from elt_factory.core.disk import scratch_folder
from elt_factory.core.window import Window, iso_utc
from elt_factory.landing.attempt import Attempt
from elt_factory.landing.land import land
from elt_factory.landing.manifest import MANIFEST_FILE, Manifest, Owner, Replays, read_manifest
from elt_factory.landing.places import Place
from elt_factory.landing.request import LandRequest
from elt_factory.landing.schema import KnownTable
from elt_factory.warehouse import audit
from elt_factory.warehouse.dialect import Relation
from elt_factory.warehouse.order import LoadOrder
from elt_factory.warehouse.reject_states import RejectsChangedError, replayed
from elt_factory.warehouse.replay_ids import is_replay, replay_id
from elt_factory.warehouse.replay_records import Kept, lost_columns, spooled
from elt_factory.warehouse.replaying import SNAPSHOT

if TYPE_CHECKING:
    from elt_factory.warehouse.base import Warehouse

MOST = 20_000  # rejects that one landing brings
_TRIES = 5  # while others close rejects


@dataclass(frozen=True)
class Replaying:
    """Whose rejects are replayed, where landings of the table are, and what the run is called."""

    config: Source
    table: str
    place: Place
    project: str
    run_id: str
    log: Callable[[str], None]

    @property
    def spec(self) -> Table:
        """What the YAML says of the table."""
        return self.config.all_tables[self.table]

    @property
    def label(self) -> str:
        """source.table, for messages."""
        return f"{self.config.name}.{self.table}"


@dataclass(frozen=True)
class Replayed:
    """What became of the open rejects of one load: `open` are left, and `reason` says why, or is one of their reasons.

    `healed == loaded + duplicates + filtered`: rows that are loaded now, those of a key that the table has in a newer
    version, and those that `where` leaves out.
    """

    table: str
    load_id: str
    healed: int = 0
    loaded: int = 0
    open: int = 0
    reason: str = ""


@dataclass(frozen=True)
class _Open:
    """The open rejects of one commit of a load."""

    load_id: str
    turn: int | None
    count: int
    whole: int
    rejected_at: datetime
    window: Window
    started_at: datetime | None = None
    failed: bool = False
    withheld: int = 0


def replay(warehouse: Warehouse, asked: Replaying, load_id: str | None = None) -> list[Replayed]:
    """Replay a table's open rejects, of all its loads or of one, oldest first.

    Raises:
        RejectsChangedError: other loads closed rejects of the same load each time.
    """
    warehouse.prepare()
    found = [
        _replay_load(warehouse, asked, load)
        for load in _open_loads(warehouse, asked)
        if load_id in (None, load.load_id)
    ]
    return [*found, *(gone for gone in _removed(warehouse, asked) if load_id in (None, gone.load_id))]


def _replay_load(warehouse: Warehouse, asked: Replaying, load: _Open) -> Replayed:
    result = Replayed(asked.table, load.load_id, open=load.count)
    if problem := _why_not(warehouse, asked, load):
        return replace(result, reason=problem)
    after = 0
    while True:
        part = _retried(warehouse, asked, load, after)
        if part is None:
            break
        after, done, reason = part
        result = replace(
            result,
            healed=result.healed + done.healed,
            loaded=result.loaded + done.loaded,
            open=result.open - done.healed,
            reason=reason or result.reason,
        )
    if load.count > load.whole and not result.reason:
        return replace(result, reason=f"{load.count - load.whole} are not complete records; {_run_again(asked, load)}")
    return result


def _why_not(warehouse: Warehouse, asked: Replaying, load: _Open) -> str:
    """Return why none of a load's rejects can be replayed, with what to do instead; empty where they can."""
    spec = asked.spec
    if load.turn is None or not load.whole:
        return f"they are lines or parts of records, or were kept by an older version; {_run_again(asked, load)}"
    if load.failed:
        kept = f", and its {load.withheld:,} good rows are not loaded either" if load.withheld else ""
        return f"the load failed for its rejects{kept}; {_run_again(asked, load)}"
    if spec.write_disposition == "scd2" and spec.incremental is None:
        return f"{SNAPSHOT}; {_run_again(asked, load)}"
    if spec.write_disposition == "append" and not spec.of_files and not (spec.incremental and spec.primary_key):
        for (later,) in warehouse.query(_later_loads(warehouse, asked, load)).rows:
            return f"the later load {later} has read a part of the window as well; {_run_again(asked, load)}"
    return ""


def _run_again(asked: Replaying, load: _Open) -> str:
    window = f"--start {iso_utc(load.window.start)} --end {iso_utc(load.window.end)}"
    return f"run the window again: elt run {asked.config.name} --table {asked.table} {window}"


def _retried(warehouse: Warehouse, asked: Replaying, load: _Open, after: int) -> tuple[int, Replayed, str] | None:
    for left in reversed(range(_TRIES)):
        try:
            return _replay_part(warehouse, asked, load, after)
        except RejectsChangedError:
            if not left:
                raise
    return None


def _replay_part(warehouse: Warehouse, asked: Replaying, load: _Open, after: int) -> tuple[int, Replayed, str] | None:
    """Replay the next rejects of a load: the number of the last one, what became of them, and why some are left.

    None where there are no more.
    """
    kept = _kept(warehouse, asked, load, after)
    if not kept:
        return None
    last = max(one.ordinal for one in kept)
    lost = sorted({name for one in kept[:1] for name in lost_columns(one, asked.spec)})
    if lost:
        why = f"{', '.join(lost)} was kept hashed or not at all, and the YAML now says otherwise"
        return last, Replayed(asked.table, load.load_id), f"{why}; {_run_again(asked, load)}"
    replays = Replays(load.load_id, int(load.turn or 0), after, last, load.rejected_at.isoformat())
    name = replay_id(load.load_id, replays.turn, (one.ordinal for one in kept))
    manifest, place, reason = _landed(warehouse, asked, load, kept, replays, name)
    nothing = Replayed(asked.table, load.load_id)
    if manifest.rows_rejected == manifest.rows_read:
        _forget(place, manifest)
        return last, nothing, reason
    owner = Owner(asked.project, asked.config.name, asked.table, name, manifest.attempt)
    order = LoadOrder.of(asked.config, asked.table, read_manifest(place, owner), place, asked.run_id)
    report = warehouse.load(order)
    healed = manifest.rows_read - manifest.rows_rejected
    asked.log(
        f"{asked.label}: {amount(healed, 'reject')} of the load {load.load_id} healed, "
        f"{amount(report.rows_loaded, 'row')} loaded"
    )
    return last, replace(nothing, healed=healed, loaded=report.rows_loaded), reason


def _landed(
    warehouse: Warehouse, asked: Replaying, load: _Open, kept: list[Kept], replays: Replays, name: str
) -> tuple[Manifest, Place, str]:
    """Land rejects by the config's contract as it is now, with a reason where some are rejected again."""
    target = Relation(asked.config.name, asked.table)
    known = KnownTable.of(asked.config, asked.table, warehouse.columns_as(target, asked.spec.types))
    place = asked.place.below(name)
    # the records are as old as the load that read them
    attempt = Attempt.begin(load.started_at)
    with scratch_folder() as workdir:
        spool = spooled(kept, asked.spec, workdir)
        request = LandRequest(known, load.window, name, spool, place, workdir, asked.log, asked.project, attempt)
        manifest = land(replace(request, zone=asked.config.timezone, replays=replays))
    return manifest, place, _a_reason(place, manifest)


def _a_reason(place: Place, manifest: Manifest) -> str:
    from pyarrow import parquet

    if manifest.rejects is None:
        return ""
    with place.fetched([manifest.rejects.path]) as folder:
        found = parquet.read_table(folder / manifest.rejects.path, columns=["reason"])
    return str(found.column("reason")[0].as_py())


def _forget(place: Place, manifest: Manifest) -> None:
    """Remove a landing that brings nothing; without its manifest none of its files counts."""
    names = [MANIFEST_FILE, *(file.path.removeprefix(f"{manifest.attempt}/") for file in manifest.all_files)]
    place.below(manifest.attempt).remove(names)


def _kept(warehouse: Warehouse, asked: Replaying, load: _Open, after: int) -> list[Kept]:
    """Return the next open rejects of a load, in the order in which they are spooled."""
    d = warehouse.dialect
    every = Replays(load.load_id, int(load.turn or 0), after, 2**62, "")
    columns = ", ".join(f"r.{d.name(name)}" for name in ("file", "ordinal", "record", "protected"))
    query = (
        f"SELECT {columns} FROM {replayed(d, asked.config.name, asked.table, every)} "
        f"ORDER BY r.{d.name('ordinal')} LIMIT {MOST}"
    )
    found = [
        Kept(file or "", int(ordinal), record, protected)
        for file, ordinal, record, protected in warehouse.query(query).rows
    ]
    return sorted(found, key=lambda one: (one.file.encode(), one.ordinal))


def _open_loads(warehouse: Warehouse, asked: Replaying) -> Iterator[_Open]:
    """Yield the commits that have open rejects, the oldest first."""
    d, name = warehouse.dialect, warehouse.dialect.name
    mine = audit.of_table(d, asked.config.name, asked.table)
    turn, at = name("turn"), name("rejected_at")
    counted = (
        f"SELECT {name('load_id')}, {turn}, count(*) AS n, max({at}) AS moment, "
        f"count(CASE WHEN {name('whole')} AND {name('ordinal')} IS NOT NULL THEN 1 END) AS good "
        f"FROM {audit.relation('rejects').sql(d)} WHERE {mine} AND {name('state')} = 'open' "
        f"GROUP BY {name('load_id')}, {turn}"
    )
    loads = f"SELECT * FROM {audit.log('loads').sql(d)} WHERE {mine}"
    columns = ", ".join(f"l.{name(one)}" for one in ("window_start", "window_end", "started_at", "rows_withheld"))
    rows = warehouse.query(
        f"SELECT c.{name('load_id')}, c.{turn}, c.n, c.good, c.moment, {columns}, {audit.brought_good(d, 'l')} "
        f"FROM ({counted}) AS c JOIN ({loads}) AS l ON l.{name('load_id')} = c.{name('load_id')} "
        f"AND l.{name('loaded_at')} = c.moment ORDER BY c.moment, c.{name('load_id')}"
    ).rows
    yield from map(_opened, rows)


def _opened(row: tuple[Any, ...]) -> _Open:
    load_id, turn, count, whole, moment, start, end, started, withheld, good = row
    window = Window(_utc(start), _utc(end))
    began = _utc(started) if started else None
    number = None if turn is None else int(turn)
    return _Open(load_id, number, int(count), int(whole), _utc(moment), window, began, not good, int(withheld or 0))


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _later_loads(warehouse: Warehouse, asked: Replaying, load: _Open) -> str:
    """SELECT of a load that was committed later and has read a part of the same window."""
    d, name = warehouse.dialect, warehouse.dialect.name
    start, end = (d.literal(moment) for moment in (load.window.start, load.window.end))
    return (
        f"SELECT {name('load_id')} FROM {audit.log('loads').sql(d)} AS l "
        f"WHERE {audit.of_table(d, asked.config.name, asked.table)} AND {name('turn')} > {load.turn} "
        f"AND {name('load_id')} <> {d.literal(load.load_id)} AND NOT {is_replay(d)} AND {audit.brought_good(d)} "
        f"AND {name('window_start')} < {end} AND {name('window_end')} > {start} LIMIT 1"
    )


def _removed(warehouse: Warehouse, asked: Replaying) -> Iterator[Replayed]:
    """Yield the loads of which `retention.rejects` has removed rejects that nothing had closed."""
    d, name = warehouse.dialect, warehouse.dialect.name
    mine = audit.of_table(d, asked.config.name, asked.table)

    def counted(table: str, more: str) -> str:
        # all rejects of one commit are of one moment, and are removed together
        return (
            f"(SELECT count(*) FROM {table} AS k WHERE k.{name('load_id')} = l.{name('load_id')} AND {mine} AND {more})"
        )

    logged = counted(audit.log("rejects").sql(d), f"k.{name('rejected_at')} = l.{name('loaded_at')}")
    closed = counted(audit.relation("reject_states").sql(d), f"k.{name('changed_at')} >= l.{name('loaded_at')}")
    columns = ", ".join(f"l.{name(one)}" for one in ("load_id", "window_start", "window_end", "loaded_at"))
    rows = warehouse.query(
        f"SELECT * FROM (SELECT {columns}, l.{name('rows_rejected')} - {closed} AS gone, {logged} AS logged "
        f"FROM {audit.relation('loads').sql(d)} AS l WHERE {mine} AND {name('replaced_by')} IS NULL "
        f"AND {name('rows_rejected')} > 0 AND NOT {is_replay(d)} AND {name('write_disposition')} <> 'replace') AS g "
        "WHERE logged = 0 AND gone > 0"
    ).rows
    for load_id, start, end, loaded, count, _ in rows:
        load = _Open(load_id, None, int(count), 0, _utc(loaded), Window(_utc(start), _utc(end)))
        removed = amount(int(count), "reject was", "rejects were")
        why = f"{removed} removed by retention.rejects; {_run_again(asked, load)}"
        yield Replayed(asked.table, load_id, reason=why)
