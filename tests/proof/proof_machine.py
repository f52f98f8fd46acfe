"""What may happen to a line, in any order: hypothesis draws it, and makes a failure as short as it can be."""

import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from proof_kinds import KINDS, LAG, Kind
from proof_line import Attempt, Line
from proof_setting import line
from proof_source import DAY, Row
from proof_stage import Pause

from elt_factory.warehouse.duckdb.warehouse import DuckDBWarehouse

DAYS = 5
PARTS = "ab"  # of the files of a day
STEPS = 32  # effects of one try, at most
# where a try is worth a look: by a word of an effect
MOMENTS = ("manifest.json", "the extract has ended", "BEGIN", 'INSERT INTO "src"', "COMMIT", "after COMMIT")
ids, days = st.integers(1, 5), st.integers(0, DAYS - 1)
pauses = st.one_of(st.sampled_from(MOMENTS), st.integers(0, STEPS))
agos, goods = st.sampled_from([0, 0, 1, LAG]), st.sampled_from([True, True, True, False])
seldom = st.sampled_from([False, False, False, True])


@cache
def used_warehouse() -> bytes:
    """The file of a warehouse that has seen loads of other tables."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "warehouse.duckdb"
        with DuckDBWarehouse(file) as warehouse:
            warehouse.prepare()
        return file.read_bytes()


class Machine(RuleBasedStateMachine):
    """Sources change, windows run, tries die and come back."""

    kind: Kind

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.line: Line

    @initialize(remotely=st.booleans(), is_new=seldom)
    def start(self, remotely: bool, is_new: bool) -> None:
        memory = Path("/dev/shm")
        folder = tempfile.mkdtemp(dir=memory if memory.is_dir() else None, prefix="elt-proof-")
        self.stack.callback(shutil.rmtree, folder, ignore_errors=True)
        # nothing may be taken from a path that looks like a partition's
        where = Path(folder) / "tenant=acme" / "id=99" / "v=1"
        where.mkdir(parents=True)
        if not is_new:
            (where / "warehouse.duckdb").write_bytes(used_warehouse())
        self.line = self.stack.enter_context(line(where, self.kind, remotely))
        self.value = 0
        self.begin_with_something()

    def teardown(self) -> None:
        with self.stack:
            if hasattr(self, "line") and not self.line.broken:
                self.line.settle()

    # --- the source

    @property
    def source(self):
        return self.line.source

    def next_value(self) -> float:
        self.value += 1
        return self.value + (0.5 if self.source.drifted else 0)

    def begin_with_something(self) -> None:
        """Two days are over; a row of the second one changed at the very moment that it began."""
        self.source.now = 2 * DAY
        if self.kind.reads == "files":
            for day in (0, 1):
                self.source.deliver(day, "a", [self.file_row(key, day) for key in (1, 2 + day)])
            return
        self.source.rows = [Row(key, u, self.next_value(), good=key != 4) for key, u in enumerate((3, 20, DAY, 30), 1)]
        self.source.publish()

    @precondition(lambda self: self.kind.reads != "files")
    @rule(changes=st.lists(st.tuples(ids, agos, goods), min_size=1, max_size=3), hours=st.sampled_from([0, 1, 12, 24]))
    def change_rows(self, changes: list[tuple[int, int, bool]], hours: int) -> None:
        """Rows are new or change; some are there hours later than they say, since their transactions took so long."""
        for key, ago, good in changes:
            self.change_row(key, ago if self.kind.lag else 0, good)
        self.publish()
        self.source.now = min(self.source.now + hours, DAYS * DAY)
        self.line.say(f"it is {self.source.now} o'clock")

    def change_row(self, key: int, ago: int, good: bool) -> None:
        source = self.source
        u = max(0, source.now - ago)
        if self.kind.reads == "number":
            key, u = max((row.id for row in source.rows), default=0) + 1, source.now
        old = [row.u for row in source.rows if row.id == key and row.u is not None]
        if old and max(old) >= u:
            # clocks do not run backwards for one row
            key = max(row.id for row in source.rows) + 1
        row = Row(key, u, self.next_value(), good, f"x{self.value}" if source.drifted else None)
        if ago:
            self.line.late.add((key, u))
        source.rows = [other for other in source.rows if self.kind.events or other.id != key] + [row]
        self.line.say(f"source: {row}")

    @precondition(lambda self: self.kind.takes_null)
    @rule(key=st.integers(11, 12))
    def change_a_row_without_cursor(self, key: int) -> None:
        row = Row(key, None, self.next_value())
        self.source.rows = [other for other in self.source.rows if other.id != key] + [row]
        self.line.say(f"source: {row}")
        self.publish()

    @precondition(
        lambda self: self.kind.reads in ("all", "time") and not self.kind.events and len(self.source.rows) > 3
    )
    @rule(place=st.integers(0, 9))
    def delete_a_row(self, place: int) -> None:
        gone = self.source.rows.pop(place % len(self.source.rows))
        self.line.say(f"source: {gone} is deleted")
        self.publish()

    @precondition(lambda self: not self.source.drifted)
    @rule()
    def drift(self) -> None:
        """There is a new column, and numbers have digits after the point."""
        self.source.drifted = True
        self.line.say("source: there is a new column")
        self.publish()

    def publish(self) -> None:
        if self.kind.reads != "files":
            self.source.publish()

    @precondition(lambda self: self.kind.reads == "files")
    @rule(
        day=days, part=st.sampled_from(PARTS), kept=st.sets(ids, max_size=4), bad=seldom, twice=st.booleans()
    )  # fmt: skip
    def deliver(self, day: int, part: str, kept: set[int], bad: bool, twice: bool) -> None:
        """A part of a day's files comes, or comes again otherwise."""
        rows = [self.file_row(key, day) for key in sorted(kept)]
        if twice and rows:
            rows.append(self.file_row(rows[0].id, day))
        if bad or not rows:
            rows.append(Row(9, day * DAY, self.next_value(), good=False))
        self.source.deliver(day, part, rows)
        self.line.say(f"file {part} of day {day}: {rows}")

    def file_row(self, key: int, day: int) -> Row:
        v = float(key) if self.kind.versions and (day + key) % 2 else self.next_value()
        return Row(key, day * DAY, v, extra=f"x{self.value}" if self.source.drifted else None)

    # --- runs

    def ready(self, day: int) -> int | None:
        """A day whose window has ended and whose files are there; None while enough is going on."""
        if len(self.line.in_flight()) > 2:
            return None
        if self.kind.reads == "files":
            there = self.source.days
            return there[day % len(there)]
        return day % (self.source.now // DAY)

    def whole(self, day: int) -> int | None:
        """A day up to which there is a file of every day."""
        ready = self.ready(day)
        if ready is None or self.kind.reads != "files" or self.kind.snapshots:
            return ready
        return next((last for last in range(ready, -1, -1) if set(range(last + 1)) <= set(self.source.days)), None)

    def begun(self, day: int, full: bool = False) -> Attempt | None:
        there = self.whole(day) if full else self.ready(day)
        return None if there is None else self.line.begin(there, full=full)

    @rule(day=days)
    def run(self, day: int) -> None:
        """A window is run, for the first time or again."""
        if attempt := self.begun(day):
            self.line.go(attempt)

    @rule(ago=st.sampled_from([1, 1, 1, 2]))
    def refresh(self, ago: int) -> None:
        """The table is loaded anew, from its beginning to the end of the last day, or of one before it."""
        if attempt := self.begun(self.last_day() + 1 - ago, full=True):
            self.line.go(attempt)

    def last_day(self) -> int:
        return len(self.source.days) - 1 if self.kind.reads == "files" else self.source.now // DAY - 1

    @rule(day=days, at=pauses, full=seldom)
    def run_killed(self, day: int, at: Pause, full: bool) -> None:
        """A run is killed at one of its effects."""
        if attempt := self.begun(day, full):
            self.line.go(attempt, at)
            if not attempt.of.ended:
                self.line.kill(attempt)

    @rule(day=days, byte=st.integers(0, 5000))
    def run_damaged(self, day: int, byte: int) -> None:
        """A byte of a landing changes before it is loaded."""
        if attempt := self.begun(day):
            attempt.flip = byte
            self.line.go(attempt)

    @rule(day=days, whose=st.sampled_from(["project", "source", "table", "load_id", "attempt"]))
    def run_foreign(self, day: int, whose: str) -> None:
        """Another's manifest takes the place of ours before the load reads it."""
        if attempt := self.begun(day):
            attempt.foreign = whose
            self.line.go(attempt)

    @rule(day=days, at=pauses, full=seldom)
    def begin(self, day: int, at: Pause, full: bool = False) -> None:
        """A run begins, and pauses at one of its effects while others go on."""
        if attempt := self.begun(day, full):
            self.line.go(attempt, at)

    @precondition(lambda self: self.line.in_flight())
    @rule(which=st.integers(0, 2), at=pauses)
    def go_on(self, which: int, at: Pause) -> None:
        self.line.go(self.flying(which), at)

    @precondition(lambda self: self.line.in_flight())
    @rule(which=st.integers(0, 2))
    def finish(self, which: int) -> None:
        self.line.go(self.flying(which))

    @precondition(lambda self: self.line.in_flight())
    @rule(which=st.integers(0, 2))
    def kill(self, which: int) -> None:
        self.line.kill(self.flying(which))

    def flying(self, which: int) -> Attempt:
        flying = self.line.in_flight()
        return flying[which % len(flying)]


def machine(name: str) -> Callable[[], Machine]:
    """The machine for one kind of table."""
    return type(f"Machine of {name}", (Machine,), {"kind": KINDS[name]})


def play(name: str, story: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
    """Let these events happen to a kind of table, one after the other."""
    played = machine(name)()
    try:
        played.start(remotely=False, is_new=False)
        for event, about in story:
            getattr(played, event)(**about)
    finally:
        played.teardown()
