"""Incidents that someone takes care of: entries of Airflow's own audit log, and until when each holds.

They are not in the warehouse: a DuckDB file may be with a load, a virtual warehouse suspended, and the DAG paused.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from elt_factory.diagnosis.audit_facts import Key

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from elt_factory.diagnosis.states import TableState

EVENT = "elt_acknowledge"
QUIET = frozenset({"fresh", "paused", "never loaded"})  # states in which there is nothing to take care of
_LOOK_BACK = timedelta(days=60)


@dataclass(frozen=True)
class Said:
    """Who takes care of what is wrong with a table, since when, and what they wrote. `code` is what was wrong then."""

    code: str
    who: str
    at: datetime
    why: str

    def holds(self, code: str, loaded_at: datetime | None) -> bool:
        """Whether the trouble is still that one: another one, or a load since then, needs another look."""
        return self.code == code and (loaded_at is None or loaded_at <= self.at)


def acknowledge(session: Session, key: Key, code: str, who: str, why: str) -> None:
    """Write into Airflow's audit log that someone takes care of what is wrong with a table."""
    from airflow.models.log import Log

    source, table = key
    extra = json.dumps({"table": table, "code": code, "why": why})
    session.add(Log(event=EVENT, dag_id=source, owner=who, owner_display_name=who, extra=extra))


def acknowledged(session: Session, now: datetime) -> Mapping[Key, Said]:
    """Return the newest entry of each table, in one query."""
    from airflow.models.log import Log
    from sqlalchemy import select

    wanted = select(Log.dag_id, Log.owner, Log.dttm, Log.extra).where(Log.event == EVENT, Log.dttm >= now - _LOOK_BACK)
    found: dict[Key, Said] = {}
    for source, who, at, extra in session.execute(wanted.order_by(Log.id)):
        said, moment = json.loads(str(extra)), at or now
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        key = str(source), str(said["table"])
        found[key] = Said(said["code"], str(who), moment, said["why"])
    return found


def taken_care_of(session: Session, states: Iterable[TableState], now: datetime) -> Mapping[Key, Said]:
    """Return who takes care of which table, as long as what is wrong with it is the same."""
    entries = acknowledged(session, now)
    found = {}
    for one in states:
        said = entries.get((one.source, one.table))
        if said and said.holds(one.code, one.loaded_at):
            found[one.source, one.table] = said
    return found
