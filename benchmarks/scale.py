"""What one more source costs, to read, to schedule and to load, and what a second worker gives.

`python benchmarks/scale.py [PARTS] [--sources 10,100,300]`: parts are parse, schedule, load, workers. Two sizes take
some minutes on a quiet machine. Each case runs in a process of its own. Figures are CPU seconds, which a busy machine
changes less than wall time, and the peak memory that the kernel counts. It exits with status 1 when the cost per source
grows by more than half from the fewest to the most, or when two workers give neither 1.7 times the loads a second nor
the same CPU per load.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic
from typing import Any

from cases import result_of

SOURCES = (10, 100, 300)
LOADS = 60
GROWTH, SPEED, FLAT = 1.5, 1.7, 1.25


def main(parts: list[str], sources: tuple[int, ...]) -> int:
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # it takes minutes: told as it is found
    missed = []
    for part in parts:
        missed += workers() if part == "workers" else growing(part, sources)
    print(f"\n{'missed: ' + ', '.join(missed) if missed else 'every target holds'}; load {os.getloadavg()[0]:.0f}")
    return bool(missed)


def growing(part: str, sources: tuple[int, ...]) -> list[str]:
    """Return the cost per source of a part, with few and with many sources."""
    print(f"\n{part}: CPU for each source, {WHAT[part]}")
    found = {}
    for count in sources:
        result = run(part, count)
        found[count] = result["cpu"] / result["of"]
        told = "".join(f", {name} {value:,.0f}" for name, value in result.items() if name not in ("cpu", "of", "mb"))
        print(f"{count:6} sources: {found[count] * 1000:7.1f} ms, peak {result['mb']:.0f} MB{told}")
    return target(f"{part}: most to fewest sources", found[sources[-1]] / found[sources[0]], GROWTH)


WHAT = {
    "parse": "Airflow's DAG processor, 8 tasks a DAG, what two sources cost taken off",
    "schedule": "Airflow's scheduler, a run of 8 tasks that do nothing",
    "load": "1,000 rows of 10 columns: contract, landing, load, of the last loads",
}


def workers() -> list[str]:
    """Return the same loads by one process and by two, each with a DuckDB file of its own."""
    print(f"\nworkers: {LOADS} loads of 1,000 rows by one process and by two")
    taken = {}
    for count in (1, 2):
        began = monotonic()
        with ThreadPoolExecutor(count) as pool:
            results = list(pool.map(lambda _, share=LOADS // count: run("load", share), range(count)))
        # the start of a process is none of a load's
        seconds = max(result["seconds"] for result in results)
        taken[count] = LOADS / seconds, sum(result["all"] for result in results) / LOADS
        told = f"{taken[count][0]:.2f} loads/s, {taken[count][1] * 1000:.0f} ms of CPU a load"
        print(f"{count} worker(s): {told}; {monotonic() - began:.0f} s with their start")
    speed, flat = taken[2][0] / taken[1][0], taken[2][1] / taken[1][1]
    print(f"  speed {speed:.2f}x (target {SPEED}); CPU per load {flat:.2f}x (at most {FLAT} where cores are taken)")
    return [] if speed >= SPEED or flat <= FLAT else ["workers"]


def target(what: str, found: float, limit: float) -> list[str]:
    """Say whether a target holds; its name where it does not."""
    holds = found <= limit
    print(f"  {what}: {found:.2f} (at most {limit}) {'ok' if holds else 'MISSED'}")
    return [] if holds else [what]


def run(part: str, count: int) -> dict[str, Any]:
    """Return the result of a case in a process of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        return result_of("scale_cases.py", part, scratch, count, environment=_environment(Path(scratch)))


def _environment(home: Path) -> dict[str, str]:
    from elt_factory.cli.local import local_environment

    return local_environment(home) | {
        "AIRFLOW_HOME": str(home / "airflow"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db?timeout=120",
        "AIRFLOW__CORE__EXECUTOR": "scale_executor.DoneExecutor",
        "AIRFLOW__CORE__PARALLELISM": "64",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
        "AIRFLOW_CONN_WAREHOUSE": json.dumps({"conn_type": "duckdb", "host": str(home / "warehouse.duckdb")}),
    }


if __name__ == "__main__":
    given = sys.argv[1:]
    counts = SOURCES
    if "--sources" in given:
        place = given.index("--sources")
        counts = tuple(int(count) for count in given[place + 1].split(","))
        del given[place : place + 2]
    sys.exit(main(given or ["parse", "schedule", "load", "workers"], counts))
