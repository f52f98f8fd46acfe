"""The whole line over one table, and what must hold of it: the names are those of docs/guarantees.md."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import proof_model as model
from proof_kinds import LAG, Kind
from proof_model import Read
from proof_source import FIRST, Row, Source
from proof_stage import Stage, Try, WatchedStorage

from elt_factory.config.window import Window, load_id
from elt_factory.failures import BadDataError, ContractError, EltError, LandingError, PermanentError
from elt_factory.landing.places import LocalPlace, Place

DAY = 24
LOADS = "_elt.loads"


class BrokenError(AssertionError):
    """A guarantee does not hold; `names` are all that do not, as far as one look shows."""

    def __init__(self, found: Sequence[tuple[str, str]], story: Sequence[str]) -> None:
        self.names = frozenset(name for name, _ in found)
        super().__init__("\n".join([*(f"[{name}] {what}" for name, what in found), "after:", *story]))


@dataclass
class Attempt:
    """A try of a run of one window, from the extract to the commit."""

    number: int
    day: int
    load_id: str
    of: Try
    read: Read | None = None
    landed: list[str] = field(default_factory=list)
    loading: str = ""
    flip: int | None = None  # the byte of its landing that changes before it is loaded
    damaged: bool = False
    committed: bool = False
    disturbed: bool = False
    newest: bool = True


class Line:
    """One table of one source, and the model of it."""

    def __init__(self, folder: Path, kind: Kind, stage: Stage) -> None:
        from elt_factory.dag.operators import ExtractOperator, LoadOperator

        self.kind, self.stage, self.folder = kind, stage, folder
        self.source = Source(folder / "source")
        self.config = kind.config()
        self.extracting = ExtractOperator(task_id="extract", config=self.config, table="tab")
        self.loading = LoadOperator(task_id="load", config=self.config, table="tab")
        self.attempts: list[Attempt] = []
        self.by_name: dict[str, tuple[Attempt, Read]] = {}
        self.commits: list[Read] = []
        self.late: set[tuple[int, int | None]] = set()
        self.history: dict[int, list[model.Seen]] = {}
        self.story: list[str] = []
        self.loads: dict[str, dict[str, Any]] = {}
        self.table: list[Any] = []
        self.broken = False

    # --- what happens

    def window(self, day: int) -> Window:
        start = FIRST + timedelta(days=day)
        return Window(start, start + timedelta(days=1))

    def begin(self, day: int) -> Attempt:
        """A new try for a day's window; it has not done anything yet."""
        wanted = load_id("src", "tab", self.window(day))
        attempt = Attempt(len(self.attempts), day, wanted, Try(self.stage, lambda _: self._work(attempt)))
        for other in self.in_flight():
            attempt.disturbed = other.disturbed = True
        for other in self.attempts:
            other.newest = other.newest and other.load_id != wanted
        self.attempts.append(attempt)
        return attempt

    def in_flight(self) -> list[Attempt]:
        return [attempt for attempt in self.attempts if not attempt.of.ended]

    def go(self, attempt: Attempt, steps: int | None = None) -> None:
        """Let a try go on, and look at what it has done."""
        attempt.of.go(steps)
        where = attempt.of.effects[-1] if attempt.of.effects else "the beginning"
        end = f"ends with {attempt.of.error!r}" if attempt.of.ended and attempt.of.error else "ends"
        self.say(f"try {attempt.number} of day {attempt.day} {end if attempt.of.ended else f'pauses at {where}'}")
        self.look(attempt)

    def kill(self, attempt: Attempt) -> None:
        """A try ends where it is."""
        self.say(f"try {attempt.number} of day {attempt.day} is killed")
        attempt.of.kill()
        self.look(attempt)

    def run(self, day: int) -> None:
        """Run a window from beginning to end."""
        self.go(self.begin(day))

    def _work(self, attempt: Attempt) -> None:
        from elt_factory.dag.runtime import Run

        run = Run(f"run-{attempt.day}", self.config, self.window(attempt.day), frozenset(["tab"]), full_refresh=False)
        told = self.extracting.work(run, {})
        self.stage.effect("the extract has ended")
        self.loading.work(run, {"ti": SimpleNamespace(xcom_pull=lambda task_ids: told)})

    def say(self, what: str) -> None:
        self.story.append(f"  {what}")

    def current(self) -> Attempt:
        return next(attempt for attempt in self.attempts if attempt.of is self.stage.current)

    # --- what the product did, as it says itself

    def is_read(self) -> None:
        """The source is read now."""
        attempt = self.current()
        start, end = attempt.day * DAY, attempt.day * DAY + DAY
        attempt.read = Read(attempt.load_id, start, end, tuple(self.wanted(attempt.load_id, start, end)))

    def is_landed(self, name: str) -> None:
        attempt = self.current()
        assert attempt.read is not None
        attempt.landed.append(name)
        self.by_name[name] = (attempt, attempt.read)

    def is_loading(self, order: Any) -> None:
        attempt = self.current()
        attempt.loading = order.manifest.attempt
        if attempt.flip is not None and order.manifest.files:
            attempt.damaged = True
            with self.stage.unseen():
                _flip(order.landing, order.manifest.files[0].path, attempt.flip)

    def wanted(self, load: str, start: int, end: int) -> Iterator[Row]:
        """The rows that a load of a window must read."""
        match self.kind.reads:
            case "all":
                yield from self.source.rows
            case "files":
                yield from self.source.delivered[start // DAY]
            case "time":
                nulls = self.kind.takes_null
                for row in self.source.rows:
                    if nulls if row.u is None else start - LAG <= row.u < end:
                        yield row
            case "number":
                after, upto = self._range(load)
                yield from (row for row in self.source.rows if after <= row.id <= upto)

    def _range(self, load: str) -> tuple[int, float]:
        """A window that was loaded reads the same again; any other from the last value on: more rows may have it."""
        ids = {read.load_id: [r.id for r in read.rows if r.good] for read in model.standing(self.commits)}
        ids = {name: found for name, found in ids.items() if found}
        others = [max(found) for name, found in ids.items() if name != load]
        if load not in ids:
            return max(others, default=0), float("inf")
        return max((last for last in others if last < min(ids[load])), default=0), max(ids[load])

    # --- what must hold

    def look(self, attempt: Attempt) -> None:
        """See what a try has done, and that all guarantees hold."""
        before, old = self.loads, self.table
        self.loads, self.table, rejects = self._warehouse()
        committed = {name: load["loaded_at"] for name, load in before.items()} != {
            name: load["loaded_at"] for name, load in self.loads.items()
        }
        again = False
        found: list[tuple[str, str]] = []
        if committed:
            owner, read = self.by_name[attempt.loading]
            again = bool(self.commits) and self.commits[-1] == read
            self.commits.append(read)
            for row in read.rows:
                self.history.setdefault(row.id, []).append(model.seen(row))
            self.say(f"committed: {[model.seen(row) for row in read.rows]}")
            found += self._whose(attempt, owner)
        elif old != self.table:
            found.append(("all-or-nothing", "the table changed and no load was committed"))
        if again and old != self.table:
            found.append(("rerun-changes-nothing", f"the same rows again: {_difference(old, self.table)}"))
        found += [*self._errors(attempt), *self._rows(), *self._accounts(committed), *self._rejects(rejects)]
        self._hold(found)

    def _hold(self, found: Sequence[tuple[str, str]]) -> None:
        if found:
            self.broken = True
            raise BrokenError(found, self.story)

    def _whose(self, attempt: Attempt, owner: Attempt) -> Iterator[tuple[str, str]]:
        """Each try loads what it landed itself, byte for byte, unless a later one of its window was loaded before."""
        newer = [other for other in self.attempts[attempt.number + 1 :] if other.load_id == attempt.load_id]
        if owner is not attempt:
            yield "own-landing", f"try {attempt.number} loaded what try {owner.number} had landed"
        if attempt.damaged:
            yield "own-landing", f"try {attempt.number} loaded a landing with another byte {attempt.flip}"
        if any(other.committed for other in newer):
            yield "newest-wins", f"try {attempt.number} took the place of a later one"
        attempt.committed = True

    def _warehouse(self) -> tuple[dict[str, dict[str, Any]], list[Any], list[tuple[str, str]]]:
        loads, rejects, rows = (_dicts(self.stage.looking, name) for name in (LOADS, "_elt.rejects", "src.tab"))
        loads = {row["load_id"]: row for row in loads}
        rejects = [(row["load_id"], row["record"]) for row in rejects]
        return loads, sorted(((_seen(row), *_validity(row), row["_load_id"]) for row in rows), key=repr), rejects

    def _errors(self, attempt: Attempt) -> Iterator[tuple[str, str]]:
        error = attempt.of.error
        if attempt.of.ended and attempt.committed and attempt.read and attempt.read.only_bad and not attempt.of.dead:
            if not isinstance(error, BadDataError):
                yield "only-rejects-fail", f"{attempt.read.rows} were read, and it ends with {error!r}"
            return
        if error is None or attempt.of.dead or (attempt.damaged and isinstance(error, LandingError)):
            return
        if not isinstance(error, EltError):
            yield "clear-errors", f"{error!r}"
        elif not attempt.disturbed:
            yield "runs-heal", f"nothing disturbed it, and it ends with {error!r}"
        elif isinstance(error, PermanentError) and attempt.newest and not isinstance(error, ContractError):
            yield "newest-wins", f"no newer try of its window is there, and it ends with {error!r}"

    def _rows(self) -> Iterator[tuple[str, str]]:
        expected, found = self.expected(), [row[: -1 if self.kind.versions else 1] for row in self.table]
        found = [row if self.kind.versions else row[0] for row in found]
        lost, more = Counter(expected) - Counter(found), Counter(found) - Counter(expected)
        if not lost and not more:
            return
        values = (lambda row: row[0]) if self.kind.versions else (lambda row: row)
        yield from self._named(list(lost.elements()), list(more.elements()), values)

    def _named(self, lost: list[Any], more: list[Any], values: Any) -> Iterator[tuple[str, str]]:
        """The guarantees that are broken by rows that are missing and rows that should not be there."""
        has, too_many = Counter(values(row)[0] for row in more), Counter(values(row)[0] for row in lost)
        if gone := [row for row in lost if not has[values(row)[0]]]:
            yield "nothing-lost", f"{gone}"
        if nulls := [row for row in lost if values(row)[1] is None]:
            yield "null-cursors-read", f"{nulls}"
        if late := [row for row in lost if values(row)[:2] in self.late]:
            yield "late-rows-found", f"{late}"
        if twice := [row for row in more if has[values(row)[0]] > too_many[values(row)[0]]]:
            yield "nothing-twice", f"{twice}"
        strange = [row for row in more if values(row) not in self.history.get(values(row)[0], [])]
        if strange:
            yield "values-as-written", f"{strange} in place of {lost}"
        elif more and lost:
            yield "any-order", f"{more} in place of {lost}"

    def expected(self) -> list[Any]:
        match self.kind.disposition, self.kind.reads:
            case "append", "number":
                return model.once(self.commits)[0]
            case "append", _:
                return model.appended(self.commits)
            case "replace", _:
                return model.replaced(self.commits)
            case "merge", reads:
                return model.merged(self.commits, None if reads == "files" else "u")
            case _, "files":
                return model.pictured(self.commits)
        return model.chained(self.commits)

    def _accounts(self, committed: bool) -> Iterator[tuple[str, str]]:
        for load in self.loads.values():
            parts = [load[f"rows_{part}"] or 0 for part in ("loaded", "rejected", "duplicate", "unchanged")]
            if load["rows_read"] != sum(parts):
                yield "every-row-accounted", f"{load['rows_read']} rows read are {parts}"
        for read in model.standing(self.commits):
            yield from self._account(read)
        yield from self._together()
        wrote = self._wrote() if committed else None
        if wrote is not None and wrote != (says := self.loads[self.commits[-1].load_id]["rows_loaded"]):
            yield "every-row-accounted", f"{wrote} rows were written and the account says {says}"

    def _account(self, read: Read) -> Iterator[tuple[str, str]]:
        load = self.loads.get(read.load_id)
        if load is None:
            yield "cursor-and-rows-together", f"{read.load_id} was committed, and no account says so"
        elif (len(read.rows), len(read.bad)) != (load["rows_read"], load["rows_rejected"]):
            says = (load["rows_read"], load["rows_rejected"])
            yield "every-row-accounted", f"{len(read.rows)} read, {len(read.bad)} bad; {read.load_id} says {says}"
            if len(read.rows) > load["rows_read"]:
                yield from _left_out(read)

    def _wrote(self) -> int | None:
        """The rows that the last commit had to write; None where history tells them together with unchanged ones."""
        last = self.commits[-1]
        match self.kind.disposition, self.kind.reads:
            case "merge", reads:
                return model.accepted(self.commits, None if reads == "files" else "u")
            case "append", "number":
                return model.once(self.commits)[1]
            case "scd2", _:
                return None
        return len(last.good(("id",), None))

    def _together(self) -> Iterator[tuple[str, str]]:
        """No row without the account of its load; no account, and no cursor, without its rows."""
        of_loads = Counter(row[-1] for row in self.table)
        if strange := set(of_loads) - set(self.loads):
            yield "cursor-and-rows-together", f"rows of {strange}, of which no account is there"
        if self.kind.disposition == "append":
            for name, load in self.loads.items():
                if of_loads[name] != load["rows_loaded"]:
                    text = (
                        f"{name} says {load['rows_loaded']} rows up to {load['cursor_value']}; there: {of_loads[name]}"
                    )
                    yield "cursor-and-rows-together", text

    def _rejects(self, rejects: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
        expected = Counter(
            (read.load_id, _raw(row.id, row.v)) for read in model.standing(self.commits) for row in read.bad
        )
        found = Counter((name, json.loads(record)["n"]) for name, record in rejects)
        if expected != found:
            yield "rejects-kept", f"missing {expected - found}, too many {found - expected}"

    # --- the end

    def settle(self) -> None:
        """What is in flight ends or dies, each window is run, and then all that the source has is there."""
        for place, attempt in enumerate(self.in_flight()):
            if place % 2:
                self.kill(attempt)
            else:
                self.go(attempt)
        # the next window is over, too: it finds what came late
        self.source.now = (self.source.now // DAY + 1) * DAY
        done = {read.start // DAY for read in self.commits}
        for day in range(self.source.now // DAY):
            if self.kind.reads == "files":
                wanted = day in self.source.delivered
            else:
                wanted = day not in done or self.kind.reads != "time"
            if wanted:
                self.run(day)
        self._complete()

    def _complete(self) -> None:
        """Every row that the source has is in the table or among the rejects, without a look at what was read."""
        days = self.source.now // DAY * DAY
        found: list[tuple[str, str]] = []
        if self.kind.reads == "time":
            rows = [r for r in self.source.rows if r.good and (r.u < days if r.u is not None else self.kind.takes_null)]
            lost = [row for row in rows if model.seen(row) not in [row[0] for row in self.table]]
            if gone := [row for row in lost if row.u is not None]:
                found.append(("nothing-lost", f"{gone}"))
            if nulls := [row for row in lost if row.u is None]:
                found.append(("null-cursors-read", f"{nulls}"))
            if late := [row for row in lost if (row.id, row.u) in self.late]:
                found.append(("late-rows-found", f"{late}"))
        elif self.kind.reads == "number":
            ids = Counter(row[0][0] for row in self.table)
            if lost := [row for row in self.source.rows if row.good and not ids[row.id]]:
                found.append(("nothing-lost", f"{lost}"))
            if twice := [key for key, count in ids.items() if count > 1]:
                found.append(("nothing-twice", f"{twice}"))
        self._hold(found)


def _left_out(read: Read) -> Iterator[tuple[str, str]]:
    """What a load that read too little may have left out."""
    if before := [row for row in read.rows if row.u is not None and row.u < read.start]:
        yield "late-rows-found", f"{before}"
    if nulls := [row for row in read.rows if row.u is None]:
        yield "null-cursors-read", f"{nulls}"


def _flip(place: Place, name: str, at: int) -> None:
    """Change one byte of a landed file, where it is."""
    content = bytearray(place.read(name))
    content[at % len(content)] ^= 1
    if isinstance(place, LocalPlace):
        (place.folder / name).write_bytes(content)
    else:
        WatchedStorage.change(f"{place.url}/{name}", bytes(content))


def _raw(key: int, v: float) -> str:
    return f"bad {key} {v}"


def _difference(old: list[Any], new: list[Any]) -> str:
    return f"gone {[r for r in old if r not in new]}, new {[r for r in new if r not in old]}"


def _seen(row: dict[str, Any]) -> model.Seen:
    u = row.get("u")
    moment = u.replace(tzinfo=u.tzinfo or UTC) if isinstance(u, datetime) else None
    hours = None if moment is None else int((moment - FIRST).total_seconds() // 3600)
    v = float(row["v"]) if row.get("v") is not None else None
    return (row["id"], hours, v, row.get("extra"))


def _validity(row: dict[str, Any]) -> tuple[Any, ...]:
    if "_valid_from" not in row:
        return ()
    ends = (row["_valid_from"], row["_valid_to"])
    return tuple(None if end is None else int((end - FIRST).total_seconds() // 3600) for end in ends)


def _dicts(connection: duckdb.DuckDBPyConnection, name: str) -> list[dict[str, Any]]:
    try:
        answer = connection.execute(f"FROM {name}")
    except duckdb.CatalogException:
        return []
    names = [column[0] for column in answer.description]
    return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]
