"""One task's work, extract to load, as a process that is killed: at a statement of its load, or at any moment."""

import json
import os
import random
import shutil
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Timer
from typing import Any, Literal
from unittest.mock import patch

from elt_factory.config.models.table import Table
from elt_factory.core.window import Window, load_id
from elt_factory.extract import growing as growing_files
from elt_factory.extract.growing import Growing
from elt_factory.extract.request import NOTHING_READ, Spool
from elt_factory.landing import lines as line_stream
from elt_factory.landing.land import land_while_reading
from elt_factory.landing.places import LocalPlace
from elt_factory.landing.request import LandRequest
from elt_factory.landing.schema import KnownTable
from elt_factory.testing.warehouses.loader import newest
from elt_factory.warehouse.base import LoadOrder
from elt_factory.warehouse.dialect import Relation, TableOptions
from elt_factory.warehouse.duckdb.warehouse import DuckDBWarehouse
from elt_factory.warehouse.state import cursor_range

TARGET = Relation("src", "tab")
FIRST_DAY = datetime(2013, 1, 1, tzinfo=UTC)
ROWS = 1500  # records of the source that a window asks for
BAD = 100  # in a source with mistakes every so many records there is one that is rejected, and one that comes twice

Moment = Literal["before", "while", "after"]


@dataclass(frozen=True)
class Scenario:
    """A table, and how its second window is loaded."""

    spec: Mapping[str, Any]
    mistakes: bool = True
    full_refresh: bool = False


def by_key(disposition: str, **more: Any) -> dict[str, Any]:
    return {"write_disposition": disposition, "primary_key": ["id"], **more}


SCENARIOS: Mapping[str, Scenario] = {
    "append": Scenario(by_key("append", incremental={"cursor": "id"})),
    "merge": Scenario(by_key("merge", incremental={"cursor": "u"})),
    "replace": Scenario(by_key("replace")),
    "full refresh": Scenario(by_key("merge", incremental={"cursor": "u"}), full_refresh=True),
    # what is gone ends only where no record was rejected
    "scd2 by snapshot": Scenario(by_key("scd2"), mistakes=False),
    "scd2 by cursor": Scenario(by_key("scd2", incremental={"cursor": "u"})),
}


@dataclass(frozen=True)
class Task:
    """The work of one window in a folder that has a warehouse and the landings."""

    folder: Path
    name: str
    number: int

    @property
    def scenario(self) -> Scenario:
        return SCENARIOS[self.name]

    @property
    def window(self) -> Window:
        start = FIRST_DAY + timedelta(days=self.number - 1)
        return Window(start, start + timedelta(days=1))

    @property
    def load_id(self) -> str:
        return load_id("src", "tab", self.window)

    @property
    def table(self) -> Table:
        columns = {"n": {"type": "integer"}}
        if self.number > 1:
            # said of the columns that are there and of the one that comes
            columns |= {"v": {"description": "the value"}, "extra": {"description": "since the second day"}}
        return Table.model_validate({**self.scenario.spec, "columns": columns})

    @property
    def landing(self) -> LocalPlace:
        return LocalPlace(self.folder / "landing" / self.load_id)

    def open(self) -> DuckDBWarehouse:
        return DuckDBWarehouse(self.folder / "warehouse.duckdb", patience=30)

    def run(self) -> None:
        """Extract, land and load, as the tasks of a run do."""
        self.land()
        self.load()

    def land(self) -> None:
        workdir = self.folder / "work" / self.load_id
        workdir.mkdir(parents=True, exist_ok=True)
        with self.open() as warehouse:
            existing = warehouse.columns(TARGET)
            ids = self.ids(warehouse)
        file, known = workdir / "records.ndjson", KnownTable("src", "tab", self.table, existing)
        request = LandRequest(known, self.window, self.load_id, NOTHING_READ, self.landing, workdir, print)

        def read(growing: Growing) -> Spool:
            rows = 0
            with file.open("wb") as out:
                for number in ids:
                    lines = [f"{line}\n".encode() for line in self.records(number)]
                    out.writelines(lines)
                    rows += len(lines)
                    out.flush()
                    growing.grew(file, out.tell())
            return Spool("ndjson", (file,), rows)

        # a process may be killed while what it has read already is landed
        with patch.object(growing_files, "ENOUGH_BYTES", 8_000), patch.object(line_stream, "BATCH_BYTES", 2_000):
            land_while_reading(request, read)

    def load(self) -> None:
        with self.open() as warehouse:
            warehouse.load(self.order())

    def order(self) -> LoadOrder:
        full_refresh, options = self.scenario.full_refresh and self.number > 1, TableOptions.of(self.table)
        return LoadOrder(
            newest(self.landing),
            self.landing,
            TARGET,
            self.table.write_disposition,
            ("id",),
            "run",
            full_refresh,
            options,
        )

    def ids(self, warehouse: DuckDBWarehouse) -> range:
        """The records that the source has for the window: after the cursor, or half of them known from the last one."""
        if self.name != "append":
            return range((self.number - 1) * ROWS // 2, (self.number + 1) * ROWS // 2)
        wanted = cursor_range(warehouse, "src", "tab", self.load_id, self.window)
        return range(int(wanted.after or 0) + 1, int(wanted.upto or self.number * ROWS) + 1)

    def records(self, number: int) -> Iterator[str]:
        """The lines of the source about one number: a record, now and then beside one that is bad and a copy.

        Of what the second window brings anew a third is as it was, a third has a value that makes its column wider and
        a new column, and some is older than what the table has.
        """
        changed = self.number > 1 and number % 3
        hour = 24 * (self.number - 1) if changed else 0
        moment = FIRST_DAY + timedelta(hours=-1 if changed and number % 10 == 0 else hour)
        record = {"id": number, "v": number * 7, "n": number, "u": moment.isoformat(), "doc": {"text": f"no {number}"}}
        if changed:
            record |= {"v": number * 7 + 0.5, "extra": f"extra {number}"}
        line = json.dumps(record)
        yield line
        if self.scenario.mistakes and number % BAD == 1:
            yield json.dumps(record | {"n": "bad"})
            yield line


def run_told(task: Task, there: Connection) -> None:
    """The work, after it has been said that it begins now."""
    there.send("started")
    task.run()


class Tripwire:
    """A connection whose process ends, as by `kill -9`, at the statement number `at`; `sent` are those it was given."""

    def __init__(self, connection: Any, at: int = 0, moment: Moment = "before") -> None:
        self.connection, self.at, self.moment = connection, at, moment
        self.sent: list[str] = []

    def execute(self, statement: str) -> Any:
        self.sent.append(statement)
        here = len(self.sent) == self.at
        if here and self.moment == "before":
            die()
        if here and self.moment == "while":
            # the statement runs without Python's lock
            Timer(random.uniform(0, 0.003), die).start()
        answer = self.connection.execute(statement)
        if here and self.moment == "after":
            die()
        return answer

    def close(self) -> None:
        self.connection.close()


def load_until(task: Task, at: int, moment: Moment) -> None:
    """The load alone, which comes to its statement number `at` and no further."""
    with task.open() as warehouse:
        warehouse._connection = Tripwire(warehouse._connection, at, moment)
        warehouse.load(task.order())
        die()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def statements_of(task: Task) -> list[str]:
    """The statements of the load, which runs to its end."""
    with task.open() as warehouse:
        wire = warehouse._connection = Tripwire(warehouse._connection)
        warehouse.load(task.order())
        return wire.sent


def copied(task: Task, folder: Path) -> Task:
    """The same work in a copy of the folder, in place of what is there."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(task.folder, folder)
    return Task(folder, task.name, task.number)


def state(task: Task) -> dict[str, list[Any]]:
    """What users see: the table's rows and what `_elt` says of its loads, whatever DDL was done already."""
    with task.open() as warehouse:
        return {
            "tab": everything(warehouse, "src.tab"),
            "loads": everything(warehouse, "_elt.loads"),
            "rejects": everything(warehouse, "_elt.rejects"),
        }


def everything(warehouse: DuckDBWarehouse, table: str) -> list[Any]:
    """All rows as names and values, without what is NULL and without moments of our own clock."""
    answer = warehouse.query(f"SELECT * FROM {table}")
    clocks = ("_loaded_at", "loaded_at", "rejected_at", "changed_at", "started_at", "bytes", "files", "turn")
    rows = [
        {name: value for name, value in row.items() if value is not None and name not in clocks}
        for row in answer.dicts()
    ]
    return sorted((sorted(row.items()) for row in rows), key=repr)


def schema(task: Task) -> tuple[Any, ...]:
    """The table's columns and comments, and the changes that were written down."""
    with task.open() as warehouse:
        changes = everything(warehouse, "_elt.schema_changes")
        return dict(warehouse.columns(TARGET) or {}), dict(warehouse.comments(TARGET)), changes
