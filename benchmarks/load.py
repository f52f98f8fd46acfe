"""A load through the whole path, against DuckDB's own INSERT of the same files (the floor); and the contract before it.

Run it with `python benchmarks/load.py [FOLDER]`: in some twelve minutes on a quiet machine it writes 5 GB below FOLDER
and removes them again. Each case runs in a process of its own, the ways that are compared in turn. It exits with 1
when a target is missed.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from cases import result_of

FEW, MANY = 1_000_000, 10_000_000
ROUNDS = 3
WAYS = ("bare", "append", "replace", "merge")
SPEED, GROWTH = 0.7, 1.3  # the targets
LITTLE = "200MB"
CONTRACT_MB, BESIDE_MB = 1000, 150  # what DuckDB may take in the contract, and what the process takes next to it


def main(base: str | None = None) -> int:
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # it takes minutes: told as it is found
    missed = []
    with tempfile.TemporaryDirectory(dir=base) as scratch:
        folders = {rows: Path(scratch) / str(rows) for rows in (FEW, MANY)}
        missed += contract(folders)
        missed += speed(folders)
        missed += memory(folders)
    print(f"\n{'missed: ' + ', '.join(missed) if missed else 'every target holds'}")
    return bool(missed)


def contract(folders: dict[int, Path]) -> list[str]:
    """Return records to a landing: rows a second, peak memory, and the sizes of the parts."""
    print("the contract: NDJSON to Parquet parts")
    for rows, folder in folders.items():
        folder.mkdir()
        run("records", folder, rows)
        found = run("land", folder, rows)
        parts = [path.stat().st_size / 1e6 for path in sorted((folder / "landing").glob("*/data/*.parquet"))]
        sizes = ", ".join(f"{size:.0f}" for size in parts)
        print(f"{rows:11,} rows: {rows / found['seconds']:9,.0f} rows/s, {found['mb']:5.0f} MB; parts of {sizes} MB")
    return target("contract's peak MB at ten million rows", found["mb"], CONTRACT_MB + BESIDE_MB)


def speed(folders: dict[int, Path]) -> list[str]:
    """Return loads into a new table next to the bare INSERT."""
    missed = []
    for rows, folder in folders.items():
        print(f"\nloads of {rows:,} rows: median of {ROUNDS}, the best, CPU seconds, peak memory")
        found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
        for _ in range(ROUNDS):
            for way in WAYS:
                found[way].append(run(way, folder, rows))
        for way in WAYS:
            seconds, best, cpu, mb = (figure(found[way], *of) for of in FIGURES)
            floor, floor_best, floor_cpu, _ = (figure(found["bare"], *of) for of in FIGURES)
            print(
                f"  {way:8} {rows / seconds:11,.0f} rows/s {floor / seconds:5.2f}x, best {rows / best:11,.0f} "
                f"{floor_best / best:5.2f}x, CPU {cpu:5.1f} s {floor_cpu / cpu:5.2f}x, {mb:5.0f} MB"
            )
            if rows == MANY and way in ("append", "replace"):
                missed += target(f"{way} to bare INSERT", floor / seconds, SPEED, at_least=True)
    return missed


FIGURES = (("seconds", statistics.median), ("seconds", min), ("cpu", statistics.median), ("mb", max))


def figure(runs: list[dict[str, float]], name: str, of: Any) -> float:
    return float(of([one[name] for one in runs]))


def memory(folders: dict[int, Path]) -> list[str]:
    """Return what a load needs: where DuckDB has more memory it keeps blocks in it, which are no need."""
    print(f"\npeak memory of an append with ELT_WAREHOUSE_MEMORY={LITTLE}")
    peaks = {}
    for rows, folder in folders.items():
        found = run("append", folder, rows, ELT_WAREHOUSE_MEMORY=LITTLE)
        peaks[rows] = found["mb"]
        print(f"{rows:11,} rows: {rows / found['seconds']:9,.0f} rows/s, {found['mb']:5.0f} MB")
    return target("memory at ten million rows to that at one", peaks[MANY] / peaks[FEW], GROWTH)


def target(what: str, found: float, limit: float, *, at_least: bool = False) -> list[str]:
    """Say whether a target holds; its name where it does not."""
    holds = found >= limit if at_least else found <= limit
    print(f"  {what}: {found:.2f} ({'at least' if at_least else 'at most'} {limit}) {'ok' if holds else 'MISSED'}")
    return [] if holds else [what]


def run(case: str, folder: Path, rows: int, **environment: str) -> dict[str, float]:
    """Return the result of a case in a process of its own."""
    return result_of("load_cases.py", case, folder, rows, environment=environment)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
