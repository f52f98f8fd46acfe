"""What it costs to bring rows in: against dlt, connectorx and bare DuckDB, on the same rows, in one run.

    make extract-bench [CASES="rest csv"]

Each measurement is a process of its own, the cases of a kind take turns, and the figure is the median of three. DuckDB,
httpx, connectorx and pyarrow are imported before the clock starts, for every case; what else one needs is timed. The
rows are counted after each, and a wrong count ends the benchmark. Ours does all that a load does: every value cast or
rejected with its reason, types found or declared, counts, checksums, manifest.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from extract_cases import CASES
from extract_sources import api, in_postgres, write_files

REPEATS = 3
DLT_ALONE = {"RUNTIME__DLTHUB_TELEMETRY": "false", "PROVIDERS__ENABLE_AIRFLOW_SECRETS": "false"}


class Cost(NamedTuple):
    """What a run takes: seconds, seconds of CPU, megabytes at its peak."""

    seconds: float
    cpu: float
    peak: float


@dataclass(frozen=True)
class Target:
    """The rows per second of a case, at least that many times those of a peer."""

    case: str
    peer: str
    least: float


TARGETS = (
    Target("rest, types found", "rest, dlt", 10.0),
    Target("rest, types found", "rest, floor", 0.6),
    Target("rest, types declared", "rest, floor", 0.75),
    Target("csv", "csv, floor", 0.6),
    Target("ndjson", "ndjson, floor", 0.6),
    Target("small files", "small files, floor", 0.5),
    Target("postgres", "postgres, floor", 0.85),
    Target("postgres", "postgres, dlt", 1.0),
)


def run_case(name: str, given: Path) -> None:
    """Run one case in this process, and say what it took."""
    # libraries of one side or the other: each case begins with all of them, and with no more garbage than the others
    import connectorx  # noqa: F401
    import duckdb  # noqa: F401
    import httpx  # noqa: F401
    from pyarrow import parquet  # noqa: F401

    make, rows = CASES[name]
    with tempfile.TemporaryDirectory(dir=given) as folder:
        run = make(given, Path(folder))
        gc.collect()
        gc.freeze()
        begun = time.monotonic(), time.process_time()
        count = run()
        seconds, cpu = time.monotonic() - begun[0], time.process_time() - begun[1]
    if count != rows:
        raise SystemExit(f"{name}: {count} rows, not {rows}")
    status = Path("/proc/self/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0]) // 1024
    print("cost", json.dumps([seconds, cpu, peak]))


def measured(names: Sequence[str], given: Path, repeats: int) -> dict[str, Cost]:
    """Return the median of some runs of each case, each in a process of its own; the cases take turns."""
    costs: dict[str, list[Cost]] = {name: [] for name in names}
    for _ in range(repeats):
        for name in names:
            command = [sys.executable, __file__, "--case", name, "--given", str(given)]
            done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **DLT_ALONE}, check=False)
            if done.returncode:
                raise SystemExit(f"{name} failed:\n{done.stderr[-3000:]}")
            costs[name].append(Cost(*json.loads(done.stdout.rsplit("cost ", 1)[1])))
    return {name: Cost(*map(statistics.median, zip(*found, strict=True))) for name, found in costs.items()}


def main() -> int:
    """1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", help="rest, csv, ndjson, small files, postgres; all where none is named")
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--case")
    parser.add_argument("--given", type=Path)
    given = parser.parse_args()
    if given.case:
        run_case(given.case, given.given)
    else:
        return compare(given.kinds, given.repeats)
    return 0


def compare(kinds: list[str], repeats: int) -> int:
    """Measure every case of some kinds, and print them side by side."""
    names = [name for name in CASES if not kinds or name.split(",")[0] in kinds]
    costs: dict[str, Cost] = {}
    database = in_postgres() if any(name.startswith("postgres") for name in names) else nullcontext()
    with tempfile.TemporaryDirectory() as folder, api() as address, database:
        base = Path(folder)
        (base / "api").write_text(address)
        if any(not name.startswith(("rest", "postgres")) for name in names):
            write_files(base)
        print(f"{'':24}{'rows/s':>10}{'seconds':>9}{'CPU s':>8}{'peak MB':>9}")
        for kind in dict.fromkeys(name.split(",")[0] for name in names):
            costs |= measured([name for name in names if name.split(",")[0] == kind], base, repeats)
        for name, cost in costs.items():
            speed = CASES[name][1] / cost.seconds
            print(f"{name:24}{speed:>10,.0f}{cost.seconds:>9.2f}{cost.cpu:>8.2f}{cost.peak:>9.0f}", flush=True)
    missed = 0
    for target in TARGETS:
        if target.case in costs and target.peer in costs:
            ratio = costs[target.peer].seconds / costs[target.case].seconds
            by_cpu = costs[target.peer].cpu / costs[target.case].cpu
            word = "met" if ratio >= target.least else "MISSED"
            missed += ratio < target.least
            print(
                f"{target.case} against {target.peer}: {ratio:.2f}x, {by_cpu:.2f}x by CPU; "
                f"the target is {target.least}x: {word}"
            )
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
