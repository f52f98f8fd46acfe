"""The state of every table, as `elt status` and `elt diagnose` judge it, from what the page has read already."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from threading import Lock
from typing import TypeVar

from airflow.utils.session import create_session

from elt_factory.config.loading import Folder
from elt_factory.config.models.source import Config
from elt_factory.core.project import config_folder, dbt_folder
from elt_factory.diagnosis.audit_facts import Audit, read_audit
from elt_factory.diagnosis.facts import Facts
from elt_factory.diagnosis.gather import Around, gather
from elt_factory.diagnosis.states import TableState, overview
from elt_factory.ui.estate import current_estate
from elt_factory.ui.models import Verdict
from elt_factory.ui.tables import audit_tables
from elt_factory.warehouse.base import Warehouse

_K = TypeVar("_K")
_V = TypeVar("_V")
_WHOLE = 6 * 3600.0  # seconds after which all is read again: what is old leaves


class AuditKeeper:
    """What the audit tables say of all tables: of a source it is read again when something of it has changed."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._audit = Audit()
        self._configs: Mapping[str, Config] = {}
        self._version: object = None
        self._began = float("-inf")

    def audit(self, configs: Sequence[Config], now: datetime) -> Audit:
        """Return what is known of the tables of configs."""
        with self._lock, audit_tables() as tables:
            # a warehouse that costs is asked for nothing but news
            whole = tables.kind == "duckdb" and time.monotonic() - self._began > _WHOLE
            changed = None if whole else tables.changed_since(self._version)
            wanted = [
                one
                for one in configs
                if changed is None or one.name in changed or self._configs.get(one.name) is not one
            ]
            if wanted:
                self._audit = _merged(self._audit, read_audit(tables.warehouse, wanted, now), wanted)
            if changed is None:
                self._began = time.monotonic()
            self._configs, self._version = {one.name: one for one in configs}, tables.version
            return self._audit


def _merged(old: Audit, new: Audit, read: Sequence[Config]) -> Audit:
    """Return what is known of all sources, of which some were read again."""
    names = {config.name for config in read}
    models = [run for run in old.models if run.config not in names] + [run for run in new.models if run.config in names]
    return Audit(
        loads=_together(old.loads, new.loads, names),
        last=_together(old.last, new.last, names),
        dates=_together(old.dates, new.dates, names),
        rows=_together(old.rows, new.rows, names),
        rejects=_together(old.rejects, new.rejects, names),
        drift=_together(old.drift, new.drift, names),
        checks=_together(old.checks, new.checks, names),
        models=models,
        misses=_together(old.misses, new.misses, names),
    )


def _together(old: Mapping[_K, _V], new: Mapping[_K, _V], names: Collection[str]) -> dict[_K, _V]:
    kept = {key: value for key, value in old.items() if _source(key) not in names}
    return kept | {key: value for key, value in new.items() if _source(key) in names}


def _source(key: object) -> object:
    return key[0] if isinstance(key, tuple) else key


_kept = AuditKeeper()


def table_states(keeper: AuditKeeper = _kept) -> list[TableState]:
    """Return the state of every table. The audit tables are those that the page reads: no load waits for this."""
    around = Around(config_folder(), dbt_folder(), _warehouse, create_session, _folder, keeper.audit)
    return overview(_dated(facts) for facts in gather(around))


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
