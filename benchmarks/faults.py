"""Loads are killed, as by `kill -9`, here and in dlt, at the same moments, and run again: what is lost or doubled?

`make faults` puts dlt below build/, never into .venv, and runs 200 kills of each. A kill comes at a random part of the
time that an undisturbed run takes. The retry finds the disk of the killed process, or, as on another worker, only the
warehouse. Ends with 1 where a row of ours is lost or doubled.
"""

from __future__ import annotations

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
from typing import Any

import duckdb

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "faults"))
ROWS = 1500  # of the source in each of two windows
KILLS = 200
DISPOSITIONS = ("append", "merge")
DISKS = ("same disk", "another disk")


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
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - as long as the process lives
    there.send("started")
    TOOLS[tool].run(folder, disposition, window)
    there.send("done")


def loaded(context: Any, tool: str, folder: Path, disposition: str, window: int, after: float | None = None) -> bool:
    """Run a window in a process, killed after some seconds; whether it came to its end."""
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
    return process.exitcode != -signal.SIGKILL


def damage(folder: Path, disposition: str) -> tuple[int, int]:
    """Rows that are lost, or as old as before, and rows that are there once more than they should be."""
    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as connection:
        found = Counter(connection.execute("SELECT id, v FROM src.tab").fetchall())
    expected = Counter((record["id"], record["v"]) for record in records(disposition, 2))
    return (expected - found).total(), (found - expected).total()


def kill_again_and_again(
    context: Any, tool: str, kills: int, base: Path
) -> dict[tuple[str, str], list[tuple[int, int]]]:
    """What each kill and its retry have left behind, by disposition and disk."""
    outcome: dict[tuple[str, str], list[tuple[int, int]]] = {}
    moments, seconds = random.Random(8), {}
    for disposition in DISPOSITIONS:
        begun = base / f"{disposition}-begun"
        begun.mkdir(parents=True)
        loaded(context, tool, begun, disposition, 1)
        whole = []
        for number in range(3):
            folder = base / f"{disposition}-{number}"
            shutil.copytree(begun, folder)
            start = time.monotonic()
            loaded(context, tool, folder, disposition, 2)
            whole.append(time.monotonic() - start)
            assert damage(folder, disposition) == (0, 0), f"{tool}: an undisturbed {disposition} is wrong already"
        seconds[disposition] = statistics.median(whole)
    for number in range(kills):
        disposition, disk = DISPOSITIONS[number % 2], DISKS[number // 2 % 2]
        part, folder = moments.random(), base / "killed"
        while True:
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(base / f"{disposition}-begun", folder)
            if not loaded(context, tool, folder, disposition, 2, part * seconds[disposition]):
                break
            part *= 0.8  # it was done before
        if disk == "another disk":
            TOOLS[tool].forget(folder)
        loaded(context, tool, folder, disposition, 2)
        outcome.setdefault((disposition, disk), []).append(damage(folder, disposition))
    return outcome


def main() -> int:
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else KILLS
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["dlt", "duckdb", "kill_support", "msgspec", "elt_factory.landing.remote"])
    failed = False
    print(f"{kills} kills of each, {ROWS:,} rows in each of two windows, the second one is killed and run again")
    counts = f"{'kills':>6}{'with lost rows':>16}{'with doubled rows':>19}{'lost':>8}{'doubled':>9}"
    print(f"{'':14}{'':10}{'retry on':14}{counts}")
    for tool, about in TOOLS.items():
        with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as folder:
            outcome = kill_again_and_again(context, tool, kills, Path(folder))
        for (disposition, disk), found in sorted(outcome.items()):
            lost, doubled = [loss for loss, _ in found], [more for _, more in found]
            failed |= tool == "elt" and any(lost + doubled)
            figures = (
                f"{len(found):>6}{sum(map(bool, lost)):>16}{sum(map(bool, doubled)):>19}{sum(lost):>8}{sum(doubled):>9}"
            )
            print(f"{about.name:14}{disposition:10}{disk:14}{figures}", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
