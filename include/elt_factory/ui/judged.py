"""The state of every table, as `elt status` and `elt diagnose` judge it, from what the page has read already."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from airflow.utils.session import create_session

from elt_factory.config.loading import Folder
from elt_factory.core.project import config_folder, dbt_folder
from elt_factory.diagnosis.facts import Facts
from elt_factory.diagnosis.gather import Around, gather
from elt_factory.diagnosis.states import TableState, overview
from elt_factory.ui.estate import current_estate
from elt_factory.ui.models import Verdict
from elt_factory.ui.tables import audit_tables
from elt_factory.warehouse.base import Warehouse


def table_states() -> list[TableState]:
    """Return the state of every table. The audit tables are those that the page reads: no load waits for this."""
    around = Around(config_folder(), dbt_folder(), _warehouse, create_session, _folder)
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
