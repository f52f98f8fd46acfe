"""What a start of Airflow's DAG processor costs for each config: by a process per file, and by one for up to 25.

Run it with `python benchmarks/parse_scale.py [configs]`. Airflow's own DAG processor reads all configs once, with the
settings that `elt up` ships and SQLite, and ends; the processor time of it and of its processes is what is counted.
A start over two configs is the base that is taken off. It exits with status 1 when a target is missed.
"""

from __future__ import annotations

import json
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from cases import result_of

TOGETHER = 25
# A process per file costs the same for each of them: a share of the files is enough to know it
PLAIN_SHARE = 4
TARGET_SECONDS = 0.05
BROKEN = ("name: [", "nmae: x\n", "name: broken_2\nextract: {type: rest}\n")


def main(count: int) -> int:
    print(f"{count:,} configs of 2 tables and 8 tasks, {len(BROKEN)} broken ones, read and stored once after a start")
    found = {}
    for together, files in ((TOGETHER, count), (1, count // PLAIN_SHARE)):
        base, full = run(2, together), run(files, together)
        found[together] = (full["cpu"] - base["cpu"]) / files
        processes = f"up to {together} files a process" if together > 1 else "one process a file"
        own, its = (full[who] / files * 1000 for who in ("manager", "children"))
        print(
            f"  {processes}, {files:,} files: {found[together] * 1000:.0f} ms of CPU for each file "
            f"(DAG processor {own:.0f} ms, its processes {its:.0f} ms, start included); "
            f"{full['seconds']:.0f} s; {full['errors']} import errors; load {os.getloadavg()[0]:.0f}"
        )
    holds = found[TOGETHER] <= TARGET_SECONDS
    print(f"  plain to together: {found[1] / found[TOGETHER]:.1f}x")
    print(f"  at most {TARGET_SECONDS * 1000:.0f} ms for each file: {'ok' if holds else 'MISSED'}")
    return not holds


def run(count: int, together: int) -> dict[str, Any]:
    """Return what one start costs, over that many configs."""
    with tempfile.TemporaryDirectory() as scratch:
        environment = _environment(Path(scratch), together)
        return result_of("parse_scale.py", "case", scratch, count, environment=environment)


def _environment(home: Path, together: int) -> dict[str, str]:
    from elt_factory.cli.local import BUNDLES, local_environment

    (bundle,) = BUNDLES
    bundle = bundle | {"kwargs": {"refresh_interval": 5, "parse_together": together}}
    return local_environment(home) | {
        "AIRFLOW_HOME": str(home / "airflow"),
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps([bundle]),
    }


def case(home: Path, count: int) -> dict[str, Any]:
    from parse_cases import write_sources

    configs = home / "dag_configs"
    configs.mkdir()
    write_sources(configs, count)
    for number, text in enumerate(BROKEN):
        (configs / f"broken_{number}.yaml").write_text(text)
    subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=True, capture_output=True)
    from airflow.dag_processing.manager import DagFileProcessorManager

    before, began = _spent(), time.monotonic()
    DagFileProcessorManager(max_runs=1).run()
    seconds = time.monotonic() - began
    manager, children = (after - then for after, then in zip(_spent(), before, strict=True))
    with closing(sqlite3.connect(home / "airflow" / "airflow.db")) as database:
        (alive,) = database.execute("select count(*) from dag where not is_stale").fetchone()
        (errors,) = database.execute("select count(*) from import_error").fetchone()
    assert (alive, errors) == (count, len(BROKEN)), (alive, errors)
    return {"cpu": manager + children, "manager": manager, "children": children, "seconds": seconds, "errors": errors}


def _spent() -> tuple[float, float]:
    """Return the CPU seconds of this process, and of those that it has forked and that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return used[0].ru_utime + used[0].ru_stime, used[1].ru_utime + used[1].ru_stime


if __name__ == "__main__":
    if sys.argv[1:2] == ["case"]:
        print("RESULT" + json.dumps(case(Path(sys.argv[2]), int(sys.argv[3]))))
    else:
        sys.exit(main(int(sys.argv[1]) if sys.argv[1:] else 1000))
