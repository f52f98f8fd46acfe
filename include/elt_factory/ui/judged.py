"""The state of every table, as `elt status` and `elt diagnose` judge it, from what the page has read already."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from threading import Lock
from typing import NamedTuple, TypeVar

from airflow.utils.session import create_session

from elt_factory.config.loading import Folder
from elt_factory.config.models.source import Config
from elt_factory.core.failures import EltError
from elt_factory.core.project import config_folder, dbt_folder
from elt_factory.diagnosis.audit_facts import Audit, read_audit
from elt_factory.diagnosis.facts import Facts
from elt_factory.diagnosis.gather import Around, gather, unread
from elt_factory.diagnosis.states import TableState, overview
from elt_factory.ui.estate import current_estate
from elt_factory.ui.kept import AsleepError
from elt_factory.ui.kept_audit import KeptAudit, audit_file, kept_form
from elt_factory.ui.kept_picture import EVERY, KeptFile, keep
from elt_factory.ui.models import Verdict
from elt_factory.ui.tables import AuditTables, audit_tables
from elt_factory.warehouse.base import Warehouse

_K = TypeVar("_K")
_V = TypeVar("_V")
_WHOLE = 6 * 3600.0  # seconds after which all is read again: what is old leaves


class Known(NamedTuple):
    """What is known of some sources, and of which."""

    audit: Audit
    sources: Collection[str]


class AuditKeeper:
    """What the audit tables say of all tables: of a source it is read again when something of it has changed.

    Args:
        opened: Opens the audit tables.
        kept: Gives the file in which what a warehouse that costs has said outlives this process; None where none does.
    """

    def __init__(
        self,
        opened: Callable[[], AbstractContextManager[AuditTables]] = audit_tables,
        kept: Callable[[], KeptFile[KeptAudit]] | None = None,
    ) -> None:
        self._opened, self._kept = opened, kept
        self._lock = Lock()
        self._audit = Audit()
        self._configs: Mapping[str, Config] = {}
        self._version: object = None
        self._began = self._saved = float("-inf")
        self._news = False  # whether the file has not what was read last
        self._before: Known | None = None  # what the process before this one knew

    def audit(self, configs: Sequence[Config], now: datetime) -> Audit:
        """Return what is known of the tables of configs.

        Raises:
            AsleepError: the warehouse would be resumed only for this.
            EltError: it cannot be read.
        """
        with self._lock, self._opened() as tables:
            found = self._read(tables, configs, now)
        self._save()
        return found

    def _read(self, tables: AuditTables, configs: Sequence[Config], now: datetime) -> Audit:
        costs = tables.kind != "duckdb"
        # a warehouse that costs is asked for nothing but news
        whole = not costs and time.monotonic() - self._began > _WHOLE
        changed = None if whole else tables.changed_since(self._version)
        wanted = [
            one for one in configs if changed is None or one.name in changed or self._configs.get(one.name) is not one
        ]
        try:
            new = read_audit(tables.warehouse, wanted, now) if wanted else Audit()
        except AsleepError:
            # a config that has changed: what was loaded by it is known, and what Airflow says is newer. Where a run
            # has ended since, all of it is old, and the picture says so
            if changed is not None and all(one.name in self._configs for one in wanted):
                return self._audit
            raise
        names = {one.name: one for one in configs}
        if wanted or self._configs.keys() - names:
            asked = now if changed is None else self._audit.asked_at
            merged = _merged(self._audit, new, {one.name for one in wanted}, names)
            self._audit, self._news = replace(merged, asked_at=asked if costs else None), costs
        if changed is None:
            self._began = time.monotonic()
        self._configs, self._version = names, tables.version
        return self._audit

    def known(self) -> Known:
        """Return what was known last, by this process or the one before, and of which sources."""
        with self._lock:
            if self._configs:
                return Known(self._audit, self._configs.keys())
            if self._before is None and self._kept is not None and (found := self._kept().load()) is not None:
                self._before = Known(found[0].audit(), frozenset(found[0].sources))
            return self._before or Known(Audit(), ())

    def _save(self) -> None:
        """Leave what is known for the next process, now and then: no one who asks what is known waits for it."""
        with self._lock:
            if self._kept is None or not self._news or time.monotonic() - self._saved < EVERY:
                return
            self._news, self._saved, self._before = False, time.monotonic(), None
            audit, names = self._audit, self._configs.keys()
        keep(self._kept, kept_form(audit, names))


def _merged(old: Audit, new: Audit, read: Collection[str], there: Collection[str]) -> Audit:
    """Return what is known of the sources that are there, of which some were read again."""
    same = set(there) - set(read)
    return Audit(
        loads=_together(old.loads, new.loads, same, read),
        last=_together(old.last, new.last, same, read),
        dates=_together(old.dates, new.dates, same, read),
        rows=_together(old.rows, new.rows, same, read),
        rejects=_together(old.rejects, new.rejects, same, read),
        drift=_together(old.drift, new.drift, same, read),
        checks=_together(old.checks, new.checks, same, read),
        models=[run for run in old.models if run.config in same] + [run for run in new.models if run.config in read],
        misses=_together(old.misses, new.misses, same, read),
    )


def _together(old: Mapping[_K, _V], new: Mapping[_K, _V], same: Collection[str], read: Collection[str]) -> dict[_K, _V]:
    kept = {key: value for key, value in old.items() if _source(key) in same}
    return kept | {key: value for key, value in new.items() if _source(key) in read}


def _source(key: object) -> object:
    return key[0] if isinstance(key, tuple) else key


_kept = AuditKeeper(kept=audit_file)


def table_states(keeper: AuditKeeper = _kept) -> list[TableState]:
    """Return the state of every table. The audit tables are those that the page reads: no load waits for this.

    Raises:
        AsleepError: the warehouse would be resumed only for this, which is not what is wrong with a table.
    """
    folder, now = _folder(), datetime.now(UTC)
    try:
        audit = keeper.audit([item.config for item in folder.configs], now)
    except AsleepError:
        raise
    except EltError as error:
        audit = unread(error)
    return _states(folder, audit, now)


def states_as_known(keeper: AuditKeeper = _kept) -> list[TableState]:
    """Return the state now of every table of which something was read, and of configs that cannot be used."""
    folder, known = _folder(), keeper.known()
    if not known.sources:
        folder = Folder((), folder.errors)
    unknown = {item.config.name for item in folder.configs} - set(known.sources)
    return [one for one in _states(folder, known.audit, datetime.now(UTC)) if one.source not in unknown]


def _states(folder: Folder, audit: Audit, now: datetime) -> list[TableState]:
    around = Around(config_folder(), dbt_folder(), _warehouse, create_session, lambda: folder, lambda *_: audit)
    return overview(_dated(facts) for facts in gather(around, now=now))


def _folder() -> Folder:
    estate = current_estate()
    return Folder(tuple(estate.configs.values()), estate.broken)


@contextmanager
def _warehouse() -> Iterator[Warehouse]:
    with audit_tables() as tables:
        yield tables.warehouse


def _dated(facts: Facts) -> Facts:
    """Return the facts with the business date that the loads brought, where the table itself cannot be asked."""
    if facts.business_date is not None:
        return facts
    return replace(facts, business_date=max(filter(None, (load.business_date for load in facts.loads)), default=None))


def verdicts_of(states: Sequence[TableState], source: str) -> Iterator[Verdict]:
    """Yield the verdicts on the tables of a source."""
    for one in (state.verdict for state in states if state.source == source):
        yield Verdict(
            table=one.table,
            code=one.code,
            state=one.state,
            whose=one.whose,
            sentence=one.sentence,
            evidence=list(one.evidence),
            next=one.next,
            also=list(one.also),
        )
