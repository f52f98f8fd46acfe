"""Incidents that someone takes care of: entries of Airflow's own audit log, and until when each holds.

They are not in the warehouse: a DuckDB file may be with a load, a virtual warehouse suspended, and the DAG paused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from elt_factory.ui.listing import Key
from elt_factory.ui.models import Acknowledged

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

EVENT = "elt_acknowledge"
QUIET = frozenset({"fresh", "paused", "never loaded"})  # states in which there is nothing to take care of
_LOOK_BACK = timedelta(days=60)


@dataclass(frozen=True)
class Entry:
    """What someone wrote of a table: `code` is what was wrong with it then."""

    code: str
    said: Acknowledged

    def holds(self, code: str, loaded_at: datetime | None) -> bool:
        """Whether the trouble is still that one: another one, or a load since then, needs another look."""
        return self.code == code and (loaded_at is None or loaded_at <= self.said.at)


def acknowledge(session: Session, key: Key, code: str, who: str, why: str) -> None:
    """Write into Airflow's audit log that someone takes care of what is wrong with a table."""
    from airflow.models.log import Log

    source, table = key
    extra = json.dumps({"table": table, "code": code, "why": why})
    session.add(Log(event=EVENT, dag_id=source, owner=who, owner_display_name=who, extra=extra))


def acknowledged(session: Session, now: datetime) -> Mapping[Key, Entry]:
    """Return the newest entry of each table, in one query."""
    from airflow.models.log import Log
    from sqlalchemy import select

    wanted = select(Log.dag_id, Log.owner, Log.dttm, Log.extra).where(Log.event == EVENT, Log.dttm >= now - _LOOK_BACK)
    found: dict[Key, Entry] = {}
    for source, who, at, extra in session.execute(wanted.order_by(Log.id)):
        said, moment = json.loads(str(extra)), at or now
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        key = str(source), str(said["table"])
        found[key] = Entry(said["code"], Acknowledged(who=str(who), at=moment, why=said["why"]))
    return found
