"""What the list shows, kept until something has changed, and the age of it."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from threading import Lock, Thread
from typing import TYPE_CHECKING

from airflow.utils.session import create_session
from pydantic import TypeAdapter

from elt_factory.core.failures import EltError
from elt_factory.core.project import config_folder
from elt_factory.diagnosis.acknowledged import Said, acknowledged, taken_care_of
from elt_factory.diagnosis.states import TableState, worst_first
from elt_factory.ui.airflow_side import all_dags, scheduler_runs
from elt_factory.ui.checks import newest_checks
from elt_factory.ui.estate import current_estate
from elt_factory.ui.judged import AuditKeeper, states_as_known, table_states, verdicts_of
from elt_factory.ui.kept_picture import EVERY, KeptFile, keep, kept_file
from elt_factory.ui.listing import Key, last_loads
from elt_factory.ui.models import Acknowledged, BrokenFile, Copied, TableRow, Verdict
from elt_factory.ui.overview import Judgement, Seen, broken_files, table_rows
from elt_factory.ui.tables import AuditTables, audit_tables, newest_tables, warehouse_here

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_log = logging.getLogger(__name__)
_FRESH = 2.0  # seconds that a picture is shown at least
_QUICK = 0.5  # seconds that a request may wait for a newer one
# of a row: what the configs and Airflow say
_OF_NO_WAREHOUSE = (
    "acknowledged",
    "owner",
    "tags",
    "description",
    "timezone",
    "business_limit",
    "next_run_at",
    "deadline",
    "paused",
)
_JUDGED = ("state", "sentence", "deadline_at")  # what follows from all that is known, at the moment of the answer
_SHARE = 5.0  # times as long as a picture takes it is shown: making pictures never takes more than a sixth of the time


@dataclass(frozen=True)
class Picture:
    """The rows of the list as text, by source."""

    rows: Mapping[str, Sequence[str]] = field(default_factory=dict)
    verdicts: Mapping[str, Sequence[Verdict]] = field(default_factory=dict)
    worst: Mapping[str, str] = field(default_factory=dict)  # the state of a source: that of its worst table
    broken: Sequence[BrokenFile] = ()
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

    A request waits for a picture only where there is none to show, or where making one takes less than `_QUICK`.

    Args:
        kept: Gives the file in which the picture outlives this process; None where it does not.
    """

    def __init__(self, kept: Callable[[], KeptFile[Picture]] | None = None) -> None:
        self._lock = Lock()
        self._making = Lock()
        self._kept = kept
        self._picture: Picture | None = None
        self._made = self._took = self._saved = float("-inf")
        self._origin = ""  # where the picture is from, when it is not of this process or not of all loads
        self._parts: tuple[object, Seen] | None = None
        self._working = False

    def picture(self) -> Picture:
        """Return the rows as they are, or as they were a moment ago while newer ones are made."""
        with self._lock:
            age = time.monotonic() - self._made
            if self._picture is not None and age < max(_FRESH, _SHARE * self._took):
                return self._picture
            before = self._picture or self._from_before() or self._first()
            if before is None or (before is self._picture and self._took < _QUICK):
                return self._make()
            self._picture = before
            if not self._working:
                self._working = True
                Thread(target=self._meanwhile, daemon=True).start()
            return before

    def made_now(self) -> Picture:
        """Return the rows as they are now, however long it takes to make them."""
        return self._make()

    def _from_before(self) -> Picture | None:
        """Return the picture of the process before this one, which says so."""
        found = self._kept().load() if self._kept else None
        if found is None:
            return None
        picture, saved = found
        self._took = _QUICK
        self._origin = f"seen at {saved:%Y-%m-%d %H:%M} UTC, before Airflow started"
        return replace(picture, note=f"{self._origin}; being read again")

    def _first(self) -> Picture | None:
        """Return a picture of the newest windows where all of them take longer than someone should wait."""
        with suppress(EltError), newest_tables() as tables:
            if tables is not None:
                self._took = _QUICK
                states = table_states(AuditKeeper(lambda: nullcontext(tables)))
                picture = _drawn([_in_part(one, tables.part) for one in states], _audited(tables, None), tables)
                self._origin = tables.part
                return picture
        return None

    def _meanwhile(self) -> None:
        try:
            self._make()
        finally:
            self._working = False

    def _make(self) -> Picture:
        with self._making:
            began = time.monotonic()
            try:
                self._picture = self._newest()
            finally:
                self._made = time.monotonic()
                self._took = self._made - began
            return self._picture

    def _newest(self) -> Picture:
        """Return a newer picture, or where that fails the one before, which says why."""
        try:
            return self._read_again()
        except Exception as error:
            if self._picture is None:
                raise
            _log.exception("the list of the Sources page was not read again")
            return self._noted(self._picture, f"not read again: {type(error).__name__}, as the API server's log has it")

    def _read_again(self) -> Picture:
        try:
            picture = self._read()
        except EltError as error:
            return self._noted(_without_warehouse(self._picture or Picture()), str(error))
        self._origin = ""
        self._save(picture)
        return picture

    def _noted(self, picture: Picture, why: str) -> Picture:
        return replace(picture, note=f"{self._origin}; {why}" if self._origin else why)

    def _save(self, picture: Picture) -> None:
        """Leave the picture for the next process, now and then: that it cannot be kept harms no one."""
        if self._kept is None or time.monotonic() - self._saved < EVERY:
            return
        keep(self._kept, picture)
        self._saved = time.monotonic()

    def _read(self) -> Picture:
        states = table_states()
        with audit_tables() as tables:
            if self._parts is None or self._parts[0] != tables.version:
                self._parts = tables.version, _audited(tables, self._parts)
            seen, told = self._parts[1], tables
        return _drawn(states, seen, told)


def _drawn(states: Sequence[TableState], seen: Seen, told: AuditTables) -> Picture:
    """Return the picture of what was read of the audit tables, with what the configs and Airflow say now."""
    estate, now = current_estate(), datetime.now(UTC)
    with create_session() as session:
        dags, said, scheduled = all_dags(session), taken_care_of(session, states, now), scheduler_runs(session, now)
    judged = {(one.source, one.table): _judgement(one) for one in states}
    rejects = {(one.source, one.table): one.open_rejects for one in states}
    rows: dict[str, list[str]] = defaultdict(list)
    kept = {key: Acknowledged(who=one.who, at=one.at, why=one.why) for key, one in said.items()}
    for row in table_rows(estate, replace(seen, rejects=rejects, dags=dags, states=judged, acknowledged=kept)):
        rows[row.source].append(row.model_dump_json())
    return Picture(
        rows=rows,
        broken=broken_files(estate.broken, config_folder()),
        kind=told.kind,
        copied_at=told.copied_at,
        note=told.note,
        scheduled=scheduled,
        verdicts=_verdicts(states, estate.configs),
        worst=_worst(states),
    )


def _without_warehouse(before: Picture) -> Picture:
    """Return a picture with what the configs and Airflow say now, and what follows now from what was read before.

    What the audit tables say is as it was.
    """
    estate, now = current_estate(), datetime.now(UTC)
    known = {(row.source, row.table): row for row in before.all_rows()}
    states = [one for one in states_as_known() if (one.source, one.table) in known or one.source not in estate.configs]
    judged = {(one.source, one.table): _judgement(one) for one in states}
    with create_session() as session:
        dags, scheduled = all_dags(session), scheduler_runs(session, now)
        older = {key: row for key, row in known.items() if key not in judged}
        care = {**_care_as_of(session, before, older, now), **taken_care_of(session, states, now)}
    said = {key: Acknowledged(who=one.who, at=one.at, why=one.why) for key, one in care.items()}
    rows: dict[str, list[str]] = defaultdict(list)
    for new in table_rows(estate, Seen(dags=dags, states=judged, acknowledged=said)):
        key = new.source, new.table
        names = (*_OF_NO_WAREHOUSE, *(_JUDGED if key in judged else ()))
        kept = {name: getattr(new, name) for name in names}
        rows[new.source].append(known.get(key, new).model_copy(update=kept).model_dump_json())
    verdicts = {**before.verdicts, **_verdicts(states, {one.source for one in states})}
    return replace(
        before,
        rows=rows,
        broken=broken_files(estate.broken, config_folder()),
        scheduled=scheduled,
        verdicts={name: found for name, found in verdicts.items() if name in estate.configs},
        worst={name: word for name, word in before.worst.items() if name in estate.configs} | _worst(states),
    )


def _care_as_of(session: Session, before: Picture, rows: Mapping[Key, TableRow], now: datetime) -> Mapping[Key, Said]:
    """Return who takes care of what, where the states are those of the picture before."""
    codes = {(source, one.table): one.code for source, found in before.verdicts.items() for one in found}
    said = acknowledged(session, now)
    return {
        key: care for key, care in said.items() if key in rows and care.holds(codes.get(key, ""), rows[key].loaded_at)
    }


def _verdicts(states: Sequence[TableState], sources: Iterable[str]) -> dict[str, list[Verdict]]:
    return {name: list(verdicts_of(states, name)) for name in sources}


def _worst(states: Sequence[TableState]) -> dict[str, str]:
    return {one.source: one.state for one in reversed(worst_first(states))}


def _in_part(one: TableState, part: str) -> TableState:
    """Return a state as only a part of the loads shows it: what is older may say that all is not well."""
    if one.state != "fresh":
        return one
    sentence = f"{one.sentence}; {part}"
    return replace(one, sentence=sentence, verdict=replace(one.verdict, sentence=sentence))


def _judgement(one: TableState) -> Judgement:
    return Judgement(one.state, one.sentence, one.due if one.late_seconds > 0 else None)


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


def _file() -> KeptFile[Picture]:
    return kept_file(TypeAdapter(Picture), "picture", warehouse_here())


_keeper = PictureKeeper(_file)
current_picture, made_picture = _keeper.picture, _keeper.made_now
