"""`rejects-come-back`: loads, replays, people and kills in random order, against a model of a few lines.

A rule of the YAML goes and comes back: while it holds, records without a value are rejected.
"""

import os
import tempfile
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from elt_factory.testing.warehouses.loader import MERGE, Crash, Loader, day
from elt_factory.testing.warehouses.replays import replayed
from elt_factory.warehouse import replaying
from elt_factory.warehouse.duckdb.warehouse import DuckDBWarehouse
from elt_factory.warehouse.rejects import dismiss, rejected_loads

KINDS = {"merge by cursor": {"incremental": {"cursor": "u"}}, "merge": {}}

RECORDS = st.tuples(st.integers(1, 4), st.integers(0, 5), st.booleans())  # key, cursor, and whether it is valid


@dataclass
class Reject:
    key: int
    u: int
    w: int
    at: int
    state: str = "open"


@dataclass
class Model:
    """`table` has of each key its cursor, its mark, and the number of the commit that wrote it."""

    by_cursor: bool
    table: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    rejects: dict[int, list[Reject]] = field(default_factory=dict)  # of the newest load of each window
    commits: int = 0

    def newest(self, rows):
        found = {}
        for key, u, w, *_ in rows:
            if key not in found or not self.by_cursor or u >= found[key][0]:
                found[key] = (u, w)
        return found

    def load(self, window: int, rows, strict: bool) -> None:
        self.commits += 1
        good = self.newest(row for row in rows if row[3] or not strict)
        if rows and not good:
            raise NotImplementedError("the machine draws no load that fails for its rejects")
        for key, (u, w) in good.items():
            there = self.table.get(key)
            if there is None or not self.by_cursor or there[0] <= u:
                self.table[key] = (u, w, self.commits)
        for other, rejects in self.rejects.items():
            for one in rejects:
                came = good.get(one.key)
                if other != window and one.state == "open" and came and (not self.by_cursor or came[0] >= one.u):
                    one.state = "healed"
        bad = [row for row in rows if strict and not row[3]]
        self.rejects[window] = [Reject(key, u, w, self.commits) for key, u, w, _ in bad]

    def replay(self) -> None:
        for rejects in sorted(self.rejects.values(), key=lambda some: min((one.at for one in some), default=0)):
            opened = [one for one in rejects if one.state == "open"]
            self.commits += bool(opened)
            for key, (u, w) in self.newest((one.key, one.u, one.w) for one in opened).items():
                there = self.table.get(key)
                stays = there and (
                    (there[0] > u or (there[0] == u and there[2] >= opened[0].at))
                    if self.by_cursor
                    else there[2] >= opened[0].at
                )
                if not stays:
                    self.table[key] = (u, w, self.commits)
            for one in opened:
                one.state = "healed"


class RejectsMachine(RuleBasedStateMachine):
    kind = "merge by cursor"

    @initialize()
    def start(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        base = Path(self.folder.name)
        self.warehouse = DuckDBWarehouse(base / "warehouse.duckdb")
        self.loader = Loader(base / "landing", self.warehouse)
        self.model = Model(by_cursor="cursor" in self.kind)
        self.strict, self.mark = True, 0
        self.obey()

    def obey(self) -> None:
        columns = {"v": {"type": "integer", "nullable": not self.strict}}
        self.loader.spec = {**MERGE, **KINDS[self.kind], "columns": columns, "rejects": {"max": "100%"}}

    @rule(
        window=st.integers(1, 3),
        drawn=st.lists(st.tuples(st.integers(1, 4), st.integers(0, 5), st.booleans()), max_size=5),
    )
    def load(self, window: int, drawn) -> None:
        self.mark += 10
        # one record is good, so that no load fails
        rows = [(key, u, self.mark + place, good) for place, (key, u, good) in enumerate([(9, 0, True), *drawn])]
        records = [
            {"id": key, "u": (day(1).start + timedelta(hours=u)).isoformat(), "w": w, "v": 1 if good else None}
            for key, u, w, good in rows
        ]
        self.loader.load(records, day(window))
        self.model.load(window, rows, self.strict)

    @rule()
    def change_the_yaml(self) -> None:
        self.strict = not self.strict
        self.obey()

    @rule(at=st.integers(0, 40))
    def replay(self, at: int) -> None:
        """It is killed at one of its statements, where `at` is one, and run again."""
        real, seen = DuckDBWarehouse.execute, []

        def execute(warehouse, statement):
            seen.append(statement)
            if len(seen) == at:
                raise Crash
            return real(warehouse, statement)

        DuckDBWarehouse.execute = execute
        try:
            replayed(self.loader)
        except Crash:
            pass
        finally:
            DuckDBWarehouse.execute = real
        replayed(self.loader)
        if not self.strict:
            self.model.replay()
        rows = self.rows()
        assert all(one.healed == 0 for one in replayed(self.loader))
        assert self.rows() == rows

    @rule()
    def dismiss(self) -> None:
        dismiss(self.warehouse, "src", "tab", None, who="ann", why="because")
        for one in (one for rejects in self.model.rejects.values() for one in rejects if one.state == "open"):
            one.state = "dismissed"

    def rows(self):
        return self.loader.rows("id", "w") if self.loader.columns else []

    @invariant()
    def the_table_and_the_states_are_those_of_the_model(self) -> None:
        if not hasattr(self, "model"):
            return
        assert self.rows() == sorted(((key, w) for key, (_, w, _) in self.model.table.items()), key=repr)
        found: dict[str, int] = {}
        for load in rejected_loads(self.warehouse):
            found[load.state] = found.get(load.state, 0) + load.rows
        opened = sum(one.state == "open" for rejects in self.model.rejects.values() for one in rejects)
        assert found.get("open", 0) == opened
        if self.loader.columns:
            parts = ("read", "loaded", "rejected", "duplicate", "filtered")
            for read, *rest in self.loader.audit("loads", *(f"rows_{part}" for part in parts)):
                assert read == sum(rest)

    def teardown(self) -> None:
        if hasattr(self, "warehouse"):
            self.warehouse.close()
            self.folder.cleanup()


EXAMPLES = int(os.environ.get("ELT_PROOF", "5"))
BOUNDED = settings(
    max_examples=EXAMPLES, stateful_step_count=10, deadline=None, suppress_health_check=list(HealthCheck)
)


@pytest.mark.parametrize("kind", KINDS)
def test_rejects_come_back_once_and_never_over_a_newer_row(kind):
    machine = type(f"Rejects of {kind}", (RejectsMachine,), {"kind": kind})
    run_state_machine_as_test(machine, settings=BOUNDED)


def test_a_replay_that_takes_the_place_of_newer_rows_is_found(monkeypatch):
    monkeypatch.setattr(replaying, "_is_newer", lambda *_: "FALSE")
    machine = RejectsMachine()
    machine.start()
    try:
        machine.load(1, [(1, 3, False)])
        machine.load(2, [(1, 2, True)])
        machine.change_the_yaml()
        machine.load(1, [])
        machine.change_the_yaml()
        machine.load(3, [(1, 1, False)])
        machine.change_the_yaml()
        machine.replay(0)
        with pytest.raises(AssertionError):
            machine.the_table_and_the_states_are_those_of_the_model()
    finally:
        machine.teardown()
