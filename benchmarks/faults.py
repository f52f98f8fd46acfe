"""Loads are killed, as by `kill -9`, here and in dlt, at the same moments, and run again: what is lost or doubled?

`make faults` puts dlt below build/, never into .venv, and runs 200 kills of each. A kill comes at a random part of the
time that an undisturbed run takes. The retry finds the disk of the killed process, or, as on another worker, only the
warehouse. Time and CPU are those of an undisturbed run in a process that has everything imported already. Ends with 1
where a row of ELT Factory is lost or doubled.
"""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(TESTS / "faults"), str(TESTS)]
ROWS = 1500  # of the source in each of two windows
KILLS = 200
DISPOSITIONS = ("append", "merge")
# dlt asks each variable of an Airflow that it can import: 14 seconds of CPU for a run, which are not its own
DLT_ALONE = {"RUNTIME__DLTHUB_TELEMETRY": "false", "PROVIDERS__ENABLE_AIRFLOW_SECRETS": "false"}
OF_DLT = ("dlt", "dlt._workspace.cli", "dlt.sources.helpers.requests", "dlt.destinations.insert_job_client")
DISKS = ("same disk", "another disk")


class Cost(NamedTuple):
    """What a run takes."""

    seconds: float
    cpu: float


@dataclass(frozen=True)
class Outcome:
    """What an undisturbed run takes, and for each kill the rows that are lost and doubled after its retry."""

    cost: Cost
    damages: list[tuple[int, int]]

    def __str__(self) -> str:
        lost, doubled = (sum(counts) for counts in zip(*self.damages, strict=True))
        harmed = sum(any(damage) for damage in self.damages)
        return f"{lost:>8}{doubled:>9}{harmed:>10}{self.cost.seconds:>10.2f}{self.cost.cpu:>8.2f} "


@dataclass(frozen=True)
class Tool:
    """One of the two: `run` loads a window in this process, `forget` leaves nothing but the warehouse."""

    name: str
    run: Callable[[Path, str, int], None]
    forget: Callable[[Path], None]


def records(disposition: str, window: int) -> Iterator[dict[str, Any]]:
    """All that the source has at the end of a window; in the second one half of what a merge knew has changed."""
    for number in range(1, window * ROWS + 1):
        changed = disposition == "merge" and window > 1 and ROWS // 2 < number <= ROWS
        day = 2 if changed or number > ROWS else 1
        yield {"id": number, "u": f"2013-01-0{day}T00:00:00Z", "v": number * 7 + day}


def run_dlt(folder: Path, disposition: str, window: int) -> None:
    import dlt

    incremental = dlt.sources.incremental("id" if disposition == "append" else "u")

    @dlt.resource(name="tab", write_disposition=disposition, primary_key="id")
    def tab(_: Any = incremental) -> Iterator[list[dict[str, Any]]]:
        yield list(records(disposition, window))

    warehouse = dlt.destinations.duckdb(str(folder / "warehouse.duckdb"))
    state = str(folder / "disk")
    dlt.pipeline("faults", pipelines_dir=state, destination=warehouse, dataset_name="src").run(tab())


def run_elt(folder: Path, disposition: str, window: int) -> None:
    from kill_support import Task

    class Plain(Task):
        """The source of the comparison: every record is good."""

        def records(self, number: int) -> Iterator[str]:
            yield lines[number]

        def ids(self, warehouse: Any) -> range:
            asked = super().ids(warehouse)
            # a merge is asked for what has changed since the window began
            return (
                asked if self.name == "append" else range(1 if self.number == 1 else ROWS // 2 + 1, window * ROWS + 1)
            )

    lines = {record["id"]: json.dumps(record) for record in records(disposition, window)}
    Plain(folder, disposition, window).run()


def forget_dlt(folder: Path) -> None:
    shutil.rmtree(folder / "disk", ignore_errors=True)


def forget_elt(folder: Path) -> None:
    for name in ("landing", "work"):
        shutil.rmtree(folder / name, ignore_errors=True)


TOOLS = {"dlt": Tool("dlt", run_dlt, forget_dlt), "elt": Tool("ELT Factory", run_elt, forget_elt)}


def told(tool: str, folder: Path, disposition: str, window: int, there: Any) -> None:
    sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - as long as the process lives
    there.send("started")
    begun = time.monotonic(), time.process_time()
    TOOLS[tool].run(folder, disposition, window)
    there.send(Cost(time.monotonic() - begun[0], time.process_time() - begun[1]))


def loaded(
    context: Any, tool: str, folder: Path, disposition: str, window: int, after: float | None = None
) -> Cost | None:
    """Run a window in a process, killed after some seconds; what it took, where it came to its end."""
    here, there = context.Pipe()
    process = context.Process(target=told, args=(tool, folder, disposition, window, there))
    process.start()
    here.recv()
    if after is not None:
        time.sleep(after)
        process.kill()
    process.join()
    if after is None and process.exitcode != 0:
        raise RuntimeError(f"{tool}: an undisturbed run of {disposition} fails: {process.exitcode}")
    return here.recv() if process.exitcode != -signal.SIGKILL else None


def damage(folder: Path, disposition: str) -> tuple[int, int]:
    """Rows that are lost, or as old as before, and rows that are there once more than they should be."""
    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as connection:
        found = Counter(connection.execute("SELECT id, v FROM src.tab").fetchall())
    expected = Counter((record["id"], record["v"]) for record in records(disposition, 2))
    return (expected - found).total(), (found - expected).total()


def undisturbed(context: Any, tool: str, disposition: str, base: Path) -> Cost:
    """Return what the second window takes, after the first one; the median of three. `base` keeps the first one."""
    begun = base / f"{disposition}-begun"
    begun.mkdir(parents=True)
    loaded(context, tool, begun, disposition, 1)
    costs = []
    for number in range(3):
        folder = base / f"{disposition}-{number}"
        shutil.copytree(begun, folder)
        costs.append(loaded(context, tool, folder, disposition, 2))
        if damage(folder, disposition) != (0, 0):
            raise RuntimeError(f"{tool}: an undisturbed {disposition} is wrong already")
    whole = [cost for cost in costs if cost]
    return Cost(*(statistics.median(getattr(cost, name) for cost in whole) for name in ("seconds", "cpu")))


def kill_again_and_again(context: Any, tool: str, kills: int, base: Path) -> dict[tuple[str, str], Outcome]:
    """Return what the kills and their retries have left behind, by disposition and disk."""
    costs = {disposition: undisturbed(context, tool, disposition, base) for disposition in DISPOSITIONS}
    outcomes = {(disposition, disk): Outcome(costs[disposition], []) for disposition in DISPOSITIONS for disk in DISKS}
    moments = random.Random(8)
    for number in range(kills):
        disposition, disk = DISPOSITIONS[number % 2], DISKS[number // 2 % 2]
        part, folder = moments.random(), base / "killed"
        while True:
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(base / f"{disposition}-begun", folder)
            if not loaded(context, tool, folder, disposition, 2, part * costs[disposition].seconds):
                break
            part *= 0.8  # it was done before
        if disk == "another disk":
            TOOLS[tool].forget(folder)
        loaded(context, tool, folder, disposition, 2)
        outcomes[disposition, disk].damages.append(damage(folder, disposition))
    return outcomes


def main() -> int:
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else KILLS
    os.environ |= DLT_ALONE
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*OF_DLT, "duckdb", "kill_support", "msgspec", "elt_factory.landing.remote"])
    print(f"{kills} kills of each, {ROWS:,} rows in each of two windows, the second one is killed and run again")
    outcomes = {}
    for tool, about in TOOLS.items():
        begun = time.monotonic()
        with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as folder:
            outcomes[tool] = kill_again_and_again(context, tool, kills, Path(folder))
        print(f"{about.name}: done after {time.monotonic() - begun:.0f} s", flush=True)
    print(f"{'':10}{'':14}{'':7}" + "".join(f"{about.name:^46}" for about in TOOLS.values()))
    columns = f"{'lost':>8}{'doubled':>9}{'in kills':>10}{'seconds':>10}{'CPU s':>8} "
    print(f"{'':10}{'retry on':14}{'kills':>7}" + columns * len(TOOLS))
    for disposition, disk in itertools.product(DISPOSITIONS, DISKS):
        rows = [outcomes[tool][disposition, disk] for tool in TOOLS]
        print(f"{disposition:10}{disk:14}{len(rows[0].damages):>7}" + "".join(map(str, rows)))
    return int(any(lost or doubled for one in outcomes["elt"].values() for lost, doubled in one.damages))


if __name__ == "__main__":
    sys.exit(main())
