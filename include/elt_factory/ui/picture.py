"""What the list shows, kept until something has changed, and the age of it."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from threading import Lock, Thread

from airflow.utils.session import create_session

from elt_factory.core.failures import EltError
from elt_factory.diagnosis.states import TableState, worst_first
from elt_factory.ui.acknowledged import Entry, acknowledged
from elt_factory.ui.airflow_side import all_dags, scheduler_runs
from elt_factory.ui.checks import newest_checks
from elt_factory.ui.estate import Estate, current_estate
from elt_factory.ui.judged import table_states, verdicts_of
from elt_factory.ui.listing import Key, last_loads
from elt_factory.ui.models import Acknowledged, Copied, TableRow, Verdict
from elt_factory.ui.overview import Judgement, Seen, table_rows
from elt_factory.ui.tables import AuditTables, audit_tables

_FRESH = 2.0  # seconds that a picture is shown at least
_QUICK = 0.5  # seconds that a request may wait for a newer one
_SHARE = 5.0  # times as long as a picture takes it is shown: making pictures never takes more than a sixth of the time


@dataclass(frozen=True)
class Picture:
    """The rows of the list as text, by source."""

    rows: Mapping[str, Sequence[str]] = field(default_factory=dict)
    verdicts: Mapping[str, Sequence[Verdict]] = field(default_factory=dict)
    worst: Mapping[str, str] = field(default_factory=dict)  # the state of a source: that of its worst table
    kind: str = ""
    copied_at: datetime | None = None
    note: str = ""
    scheduled: bool = True  # whether a scheduler runs

    def all_rows(self) -> list[TableRow]:
        """Return the rows of all sources."""
        return [TableRow.model_validate_json(row) for rows in self.rows.values() for row in rows]

    def copied_now(self) -> Copied:
        """Return how old the picture is."""
        return self.copied(datetime.now(UTC))

    def copied(self, now: datetime) -> Copied:
        """Return how old the picture is at a moment."""
        age = (now - self.copied_at).total_seconds() if self.copied_at else None
        return Copied(at=self.copied_at, age=age, warehouse=self.kind, note=self.note)


class PictureKeeper:
    """Makes the picture again when what it shows has changed: while someone waits where that is quick, else meanwhile.

    A request never waits for more than the first picture, or for one that takes no longer than `_QUICK` seconds.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._picture: Picture | None = None
        self._made = self._took = 0.0
        self._seen: tuple[object, Estate] | None = None
        self._parts: tuple[object, Seen] | None = None
        self._working = False

    def picture(self) -> Picture:
        """Return the rows as they are, or as they were a moment ago while newer ones are made."""
        with self._lock:
            age = time.monotonic() - self._made
            if self._picture is not None and age < max(_FRESH, _SHARE * self._took):
                return self._picture
            if self._picture is None or self._took < _QUICK:
                return self._make()
            if not self._working:
                self._working = True
                Thread(target=self._meanwhile, daemon=True).start()
            return self._picture

    def _meanwhile(self) -> None:
        try:
            self._make()
        finally:
            self._working = False

    def _make(self) -> Picture:
        began = time.monotonic()
        try:
            self._picture = self._read()
        except EltError as error:
            self._picture = replace(self._picture or Picture(), note=str(error))
        self._made = time.monotonic()
        self._took = self._made - began
        return self._picture

    def _read(self) -> Picture:
        estate, states = current_estate(), table_states()
        with audit_tables() as tables:
            if self._parts is None or self._parts[0] != tables.version:
                self._parts = tables.version, _audited(tables, self._parts)
            seen, told = self._parts[1], tables
        with create_session() as session:
            now = datetime.now(UTC)
            dags, entries, scheduled = all_dags(session), acknowledged(session, now), scheduler_runs(session, now)
        judged = {(one.source, one.table): _judgement(one) for one in states}
        rejects = {(one.source, one.table): one.open_rejects for one in states}
        rows: dict[str, list[str]] = defaultdict(list)
        kept = dict(_acknowledged(states, entries))
        for row in table_rows(estate, replace(seen, rejects=rejects, dags=dags, states=judged, acknowledged=kept)):
            rows[row.source].append(row.model_dump_json())
        verdicts = {name: list(verdicts_of(states, name)) for name in estate.configs}
        worst = {one.source: one.state for one in reversed(worst_first(states))}
        return Picture(rows, verdicts, worst, told.kind, told.copied_at, told.note, scheduled)


def _judgement(one: TableState) -> Judgement:
    return Judgement(one.state, one.sentence, one.due if one.late_seconds > 0 else None)


def _acknowledged(states: Sequence[TableState], entries: Mapping[Key, Entry]) -> Iterator[tuple[Key, Acknowledged]]:
    """Yield the incidents that someone takes care of, as long as they are the same ones."""
    for one in states:
        entry = entries.get((one.source, one.table))
        if entry and entry.holds(one.code, one.loaded_at):
            yield (one.source, one.table), entry.said


def _audited(tables: AuditTables, before: tuple[object, Seen] | None) -> Seen:
    """Return what the audit tables say, read again of the sources of which something has changed."""
    changed = tables.changed_since(before[0]) if before else None
    loads, checks = last_loads(tables.warehouse, changed), newest_checks(tables.warehouse, changed)
    if before is None or changed is None:
        return Seen(loads, checks=checks)
    again = set(changed)
    kept = {key: value for key, value in before[1].loads.items() if key[0] not in again}
    same = {key: value for key, value in before[1].checks.items() if key[0] not in again}
    return Seen({**kept, **loads}, checks={**same, **checks})


current_picture = PictureKeeper().picture
