"""What reading DAGs costs in CPU time: against hand-written DAGs (the floor), dag-factory, and plain Cosmos.

Run it with `make bench`, which installs the peers of the dependency group `bench` separately. Each case runs in
a process of its own, the ways that are compared in turn in one process. It exits with status 1 when a target is missed.
"""

from __future__ import annotations

import importlib.util
import statistics
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cases import result_of

COUNTS = (10, 100, 1000)
WORKER_RUNS = 9
GROUPS = 100


@dataclass
class Report:
    """Lines for people, and the targets that were missed."""

    missed: list[str] = field(default_factory=list)

    def target(self, what: str, ratio: float, limit: float, *, at_least: bool = False) -> None:
        """Hold a ratio against its target."""
        holds = ratio >= limit if at_least else ratio <= limit
        print(
            f"  {what}: {ratio:.2f}x ({'at least' if at_least else 'at most'} {limit}x) {'ok' if holds else 'MISSED'}"
        )
        if not holds:
            self.missed.append(what)


def main() -> int:
    report = Report()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # it takes minutes: told as it is found
    ways = ["floor", "floor_without_form", "ours"]
    if importlib.util.find_spec("dagfactory"):
        ways.append("dag_factory")
    else:
        print("dag-factory is not there: `make bench` brings it; compared with the floor alone\n")
        report.missed.append("dag-factory, which is not there")
    dags(report, ways)
    workers(report)
    dbt_groups(report)
    print(f"\n{'missed: ' + ', '.join(report.missed) if report.missed else 'every target holds'}")
    return bool(report.missed)


def dags(report: Report, ways: list[str]) -> None:
    print("milliseconds of CPU per DAG of 8 tasks, reading and validating YAML included (median); peak MB of a process")
    for count in COUNTS:
        taken = run(",".join(ways), count)["ms"]
        memory = {way: run(way, count)["mb"] for way in ways}
        told = ", ".join(f"{way} {taken[way]:.2f} ms {memory[way]:.0f} MB" for way in ways)
        print(f"{count:5} DAGs: {told}")
        report.target(f"{count} DAGs, ours to the floor", taken["ours"] / taken["floor"], 1.5)
        spared = taken["ours"] / taken["floor_without_form"]
        print(f"  {count} DAGs, ours to a floor that has no trigger form: {spared:.2f}x")
        if "dag_factory" in taken:
            ratio = taken["dag_factory"] / taken["ours"]
            report.target(f"{count} DAGs, dag-factory to ours", ratio, 3, at_least=True)


def workers(report: Report) -> None:
    print("\nmilliseconds of CPU until a worker has the DAG of its task, our imports included, Airflow's not (median)")
    for case, way in (("worker", "by dags/sources.py"), ("bundle_worker", "by the bundle")):
        taken: dict[int, list[dict[str, float]]] = {1: [], 1000: []}
        for _ in range(WORKER_RUNS):
            for count, runs in taken.items():
                runs.append(run(case, count))
        one, many = (statistics.median(found["ms"] for found in runs) for runs in taken.values())
        memory = [statistics.median(found["mb"] for found in runs) for runs in taken.values()]
        print(f"{way}: 1 config {one:.0f} ms {memory[0]:.0f} MB, 1,000 configs {many:.0f} ms {memory[1]:.0f} MB")
        report.target(f"worker {way}, 1,000 configs to 1", many / one, 1.2)


def dbt_groups(report: Report) -> None:
    found = run("dbt_groups", GROUPS)
    taken = found["ms"]
    memory = {way: run(f"dbt_groups:{way}", GROUPS)["mb"] for way in taken}
    print(f"\n{GROUPS} dbt groups on one manifest of 500 nodes ({found['manifest_mb']:.1f} MB), graphs equal (median)")
    told = ", ".join(f"{way} {taken[way]:.2f} ms a group {memory[way]:.0f} MB" for way in taken)
    print(told)
    report.target("dbt groups, plain Cosmos to ours", taken["cosmos"] / taken["ours"], 10, at_least=True)


def run(case: str, count: int) -> dict[str, Any]:
    """Return the result of a case in a process of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        quiet = {
            "AIRFLOW_HOME": f"{scratch}/airflow",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__COSMOS__ENABLE_TELEMETRY": "False",
            "AIRFLOW__COSMOS__CACHE_DIR": f"{scratch}/cosmos",
            "AIRFLOW__DAG_FACTORY__ENABLE_TELEMETRY": "False",
        }
        folder = Path(scratch) / "case"
        folder.mkdir()
        return result_of("parse_cases.py", case, folder, count, environment=quiet)


if __name__ == "__main__":
    sys.exit(main())
