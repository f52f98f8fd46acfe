"""The whole line over one table: what happens to it, and what it says itself that it does."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import proof_model as model
from proof_kinds import Kind
from proof_model import Read
from proof_source import DAY, FIRST, Row, Source
from proof_stage import Pause, Stage, Try
from proof_tables import Tables

from elt_factory.core.window import Window
from elt_factory.landing.manifest import parse_manifest, write_manifest
from elt_factory.landing.places import LocalPlace, Place


@dataclass
class Attempt:
    """A try of a run of one window, from the extract to the commit.

    `flip` is the byte of its landing that changes before it is loaded, `foreign` what another's manifest in the place
    of its own says otherwise.
    """

    number: int
    day: int
    load_id: str
    start: int  # of its window, in hours
    of: Try
    full: bool = False
    read: Read | None = None
    loading: str = ""
    flip: int | None = None
    foreign: str | None = None
    damaged: bool = False
    committed: bool = False  # what it read is in the table
    failed: bool = False  # it read only rejects, and has said so in the warehouse
    disturbed: bool = False
    newest: bool = True

    def covers(self, other: "Attempt") -> bool:
        """Whether what it brings holds all that another one does."""
        reaches = self.start <= other.start and self.day >= other.day
        return self.load_id == other.load_id or (self.full and reaches)


class Line:
    """One table of one source, and what was committed to it."""

    def __init__(self, folder: Path, kind: Kind, stage: Stage) -> None:
        from elt_factory.dag.operators import ExtractOperator, LoadOperator

        self.kind, self.stage, self.folder = kind, stage, folder
        self.source = Source(folder / "source", kind.clock)
        self.config = kind.config()
        self.extracting = ExtractOperator(task_id="extract", config=self.config, table="tab")
        self.loading = LoadOperator(task_id="load", config=self.config, table="tab")
        self.attempts: list[Attempt] = []
        self.by_name: dict[str, tuple[Attempt, Read]] = {}
        self.commits: list[Read] = []
        self.late: set[tuple[int, int | None]] = set()
        self.history: dict[int, list[model.Seen]] = {}
        self.story: list[str] = []
        self.tables = Tables()
        self.broken = False

    # --- what happens

    def run_of(self, day: int, *, full: bool) -> Any:
        from elt_factory.dag.runtime import Run

        start = FIRST + timedelta(days=day)
        name = f"run-{day}{' full' if full else ''}"
        return Run(name, self.config, Window(start, start + timedelta(days=1)), frozenset(["tab"]), full)

    def begin(self, day: int, *, full: bool = False) -> Attempt:
        """A new try for a day's window; it has not done anything yet."""
        wanted = self.run_of(day, full=full).load_id("tab")
        start = 0 if full and not self.kind.snapshots else day * DAY
        attempt = Attempt(len(self.attempts), day, wanted, start, Try(self.stage, lambda _: self._work(attempt)), full)
        for other in self.in_flight():
            attempt.disturbed = other.disturbed = True
        for other in self.attempts:
            other.newest = other.newest and not attempt.covers(other)
        self.attempts.append(attempt)
        return attempt

    def in_flight(self) -> list[Attempt]:
        return [attempt for attempt in self.attempts if not attempt.of.ended]

    def go(self, attempt: Attempt, until: Pause = None) -> None:
        """Let a try go on, and look at what it has done."""
        attempt.of.go(until)
        where = attempt.of.effects[-1] if attempt.of.effects else "the beginning"
        end = f"ends with {attempt.of.error!r}" if attempt.of.ended and attempt.of.error else "ends"
        what = f"{'a full refresh up to' if attempt.full else 'a window,'} day {attempt.day}"
        self.say(f"try {attempt.number} of {what}, {end if attempt.of.ended else f'pauses at {where}'}")
        self.look(attempt)

    def kill(self, attempt: Attempt) -> None:
        """A try ends where it is."""
        self.say(f"try {attempt.number} is killed")
        attempt.of.kill()
        self.look(attempt)

    def run(self, day: int, *, full: bool = False) -> None:
        """Run a window from beginning to end."""
        self.go(self.begin(day, full=full))

    def _work(self, attempt: Attempt) -> None:
        run = self.run_of(attempt.day, full=attempt.full)
        told = self.extracting.work(run, {})
        if attempt.foreign:
            self._put_another_there(attempt, told["attempt"])
        self.stage.effect("the extract has ended")
        self.loading.work(run, {"ti": SimpleNamespace(xcom_pull=lambda task_ids: told)})

    def _put_another_there(self, attempt: Attempt, name: str) -> None:
        """The manifest of another's landing in the place of ours: whole, and of the same files."""
        from elt_factory.dag.runtime import landing_place

        attempt.damaged = True
        with self.stage.unseen():
            place = landing_place("src", "tab").below(attempt.load_id)
            manifest = parse_manifest(place.below(name))
            theirs = replace(manifest, **{str(attempt.foreign): "another"})
            write_manifest(_Folder(place, name), theirs)

    def say(self, what: str) -> None:
        self.story.append(f"  {what}")

    def current(self) -> Attempt:
        return next(attempt for attempt in self.attempts if attempt.of is self.stage.current)

    # --- what the product did, as it says itself

    def is_read(self) -> None:
        """The source is read now."""
        attempt, kind = self.current(), self.kind
        start, end = attempt.start, attempt.day * DAY + DAY
        read = Read(attempt.load_id, start, end, (), full=attempt.full, at=attempt.number)
        match kind.reads:
            case "all":
                read = replace(read, rows=tuple(self.source.rows))
            case "files":
                read = self._of_files(read)
            case "time":
                read = replace(read, rows=tuple(row for row in self.source.rows if self._is_in(row, start, end)))
            case "number":
                after, upto = (0, float("inf")) if attempt.full else model.numbers(self.commits, attempt.load_id)
                rows = tuple(row for row in self.source.rows if after <= row.id <= upto)
                read = replace(read, rows=rows, after=after)
        keys = frozenset(row.id for row in self.source.rows) if kind.compares else None
        attempt.read = replace(read, keys=keys)

    def _is_in(self, row: Row, start: int, end: int) -> bool:
        return self.kind.takes_null if row.u is None else start - self.kind.lag <= row.u < end

    def _of_files(self, read: Read) -> Read:
        commits = self.commits if self.kind.new_files and not read.full else ()
        delivered = self.source.delivered
        files = {file: delivered[file] for file in model.files(commits, delivered, read.start, read.end)}
        return replace(read, files=files, rows=tuple(row for rows in files.values() for row in rows))

    def is_landed(self, name: str) -> None:
        attempt = self.current()
        assert attempt.read is not None
        self.by_name[name] = (attempt, attempt.read)

    def is_loading(self, order: Any) -> None:
        attempt = self.current()
        attempt.loading = order.manifest.attempt
        if attempt.flip is not None and order.manifest.files:
            attempt.damaged = True
            with self.stage.unseen():
                _flip(order.landing, order.manifest.files[0].path, attempt.flip)

    def look(self, attempt: Attempt) -> None:
        """See what a try has done, and that all guarantees hold."""
        from proof_guarantees import Look

        before, self.tables = self.tables, self.tables.now(self.stage.looking, self.kind.clock)
        self.hold(Look(self, attempt, before).found())

    def hold(self, found: Sequence[tuple[str, str]]) -> None:
        if found:
            self.broken = True
            raise BrokenError(found, self.story)

    def has_committed(self, attempt: Attempt) -> Read:
        """What a try has read is in the warehouse now."""
        _, read = self.by_name[attempt.loading]
        if load := self.tables.loads.get(read.load_id):
            read = replace(read, began=load["started_at"], written=load["loaded_at"])
        self.commits.append(read)
        for row in read.rows:
            self.history.setdefault(row.id, []).append(model.seen(row))
        attempt.failed, attempt.committed = read.only_bad, not read.only_bad
        self.say(f"{'failed' if read.only_bad else 'committed'}: {[model.seen(row) for row in read.rows]}")
        return read

    # --- the end

    def settle(self) -> None:
        """What is in flight ends or dies, each window is run, and then all that the source has is there."""
        from proof_guarantees import complete

        for place, attempt in enumerate(self.in_flight()):
            if place % 2:
                self.kill(attempt)
            else:
                self.go(attempt)
        # the next window is over, too: it finds what came late
        self.source.now = (self.source.now // DAY + 1) * DAY
        for day in self.source.days if self.kind.reads == "files" else range(self.source.now // DAY):
            done = any(read.start <= day * DAY < read.end for read in model.live(self.commits))
            if not (done and self.kind.reads == "time"):
                self.run(day)
        if self.kind.compares:
            # what was written while keys were read is compared by the next load
            self.run(self.source.now // DAY - 1)
        self.hold([*complete(self)])


class BrokenError(AssertionError):
    """A guarantee does not hold; `names` are all that do not, as far as one look shows."""

    def __init__(self, found: Sequence[tuple[str, str]], story: Sequence[str]) -> None:
        self.names = frozenset(name for name, _ in found)
        super().__init__("\n".join([*(f"[{name}] {what}" for name, what in found), "after:", *story]))


class _Folder:
    """A place in which every attempt's manifest goes to the folder of one."""

    def __init__(self, place: Place, name: str) -> None:
        self.place, self.name = place, name

    def below(self, _: str) -> Place:
        return self.place.below(self.name)


def _flip(place: Place, name: str, at: int) -> None:
    """Change one byte of a landed file, where it is."""
    content = bytearray(place.read(name))
    content[at % len(content)] ^= 1
    if isinstance(place, LocalPlace):
        (place.folder / name).write_bytes(content)
    else:
        place.objects.change(f"{place.path}/{name}", bytes(content))
