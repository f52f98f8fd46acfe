"""What a low-code manifest costs to read: compiled here, and by airbyte-cdk, from one API on loopback, in one run.

    make connectors-bench

The same text of a manifest is read by both: here `elt import airbyte` makes a config of it. airbyte-cdk is in an
environment of its own below build/, never in .venv. Each run is a process; of what it takes, that for a tenth of the
rows is taken off, so that the ratio is of records and not of imports. The records of each run are counted, and a wrong
count ends the benchmark. Exits with 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from extract_sources import REST_ROWS, api

REPEATS = 3
LEAST = 10.0
FEW = REST_ROWS // 10
PEER = "airbyte-cdk, reading"
TARGETS = ("compiled, reading", "compiled, into DuckDB")
STREAM: Mapping[str, Any] = {
    "type": "DeclarativeStream",
    "name": "rows",
    "primary_key": "id",
    "schema_loader": {"type": "InlineSchemaLoader", "schema": {"type": "object", "properties": {}}},
    "retriever": {
        "type": "SimpleRetriever",
        "requester": {
            "type": "HttpRequester",
            "url_base": "{{ config['address'] }}",
            "path": "rows",
            "http_method": "GET",
            "authenticator": {"type": "BearerAuthenticator", "api_token": "{{ config['key'] }}"},
        },
        "paginator": {
            "type": "DefaultPaginator",
            "page_token_option": {
                "type": "RequestOption",
                "inject_into": "request_parameter",
                "field_name": "cursor",
            },
            "pagination_strategy": {
                "type": "CursorPagination",
                "cursor_value": "{{ response.next }}",
                "stop_condition": "{{ not response.next }}",
            },
        },
        "record_selector": {"type": "RecordSelector", "extractor": {"type": "DpathExtractor", "field_path": ["data"]}},
    },
}
SETTINGS = {"address": {"type": "string"}, "key": {"type": "string", "airbyte_secret": True}}


class Cost(NamedTuple):
    """What a run takes: seconds, and seconds of CPU of the process and of what it starts."""

    seconds: float
    cpu: float

    def without(self, other: Cost) -> Cost:
        """Return what this takes more than another."""
        return Cost(self.seconds - other.seconds, self.cpu - other.cpu)


def manifest() -> dict[str, Any]:
    """Return the manifest, as both read it."""
    return {
        "version": "6.1.0",
        "type": "DeclarativeSource",
        "check": {"type": "CheckStream", "stream_names": ["rows"]},
        "streams": [dict(STREAM)],
        "spec": {"type": "Spec", "connection_specification": {"type": "object", "properties": SETTINGS}},
    }


def read_here(address: str, folder: Path, *, into_table: bool) -> int:
    """Read with what the manifest compiles to, as far as NDJSON or into a table; return the rows."""
    from elt_factory.core.connection import Connection
    from elt_factory.importing.manifest.compiling import compiled
    from elt_factory.testing.loads import WEEK, Line, source_of

    connection = Connection("bench_api", "http", host=address, password="secret")
    line = Line(source_of(compiled(manifest(), "bench").config, folder), connection, folder, lambda _: None)
    return line.load(WEEK).rows_loaded if into_table else line.read(WEEK, folder).rows_read


def read_by_cdk(python: Path, address: str, folder: Path) -> int:
    """Read with airbyte-cdk, which prints its messages into a file; return the records in it."""
    stream = {"name": "rows", "json_schema": {"type": "object"}, "supported_sync_modes": ["full_refresh"]}
    configured = {"stream": stream, "sync_mode": "full_refresh", "destination_sync_mode": "append"}
    given = {
        "config": json.dumps({"address": address, "key": "secret"}),
        "catalog": json.dumps({"streams": [configured]}),
        "manifest-path": yaml.safe_dump(manifest()),
    }
    for name, text in given.items():
        (folder / name).write_text(text)
    command = python.parent / "source-declarative-manifest"
    flags = [part for name in given for part in (f"--{name}", str(folder / name))]
    with (folder / "out").open("wb") as out:
        subprocess.run([command, "read", *flags], stdout=out, check=True)
    with (folder / "out").open("rb") as lines:
        return sum(b'"type":"RECORD"' in line for line in lines)


def run_case(name: str, address: str, python: Path) -> None:
    """Run one case in this process, and say how many records it has read."""
    with tempfile.TemporaryDirectory() as scratch:
        if name == PEER:
            count = read_by_cdk(python, address, Path(scratch))
        else:
            count = read_here(address, Path(scratch), into_table=name.endswith("DuckDB"))
    print("RESULT", count)


def measured(name: str, rows: int, address: str, python: Path) -> Cost:
    """Return what one run takes, in a process of its own.

    Raises:
        SystemExit: it fails, or its records are not as many as the API has.
    """
    command = [sys.executable, __file__, "--case", name, "--address", address, "--python", str(python)]
    began, before = time.monotonic(), os.times()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    after, seconds = os.times(), time.monotonic() - began
    if done.returncode or int(done.stdout.rpartition("RESULT")[2] or -1) != rows:
        raise SystemExit(f"{name}: not {rows} records:\n{done.stdout[-500:]}{done.stderr[-3000:]}")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Cost(seconds, cpu)


def compare(repeats: int, python: Path) -> int:
    """Measure every case, print them side by side; 1 when a target is missed."""
    costs: dict[str, Cost] = {}
    print(f"{'':24}{'records/s':>11}{'by CPU':>10}{'seconds':>9}{'CPU s':>8}{'at the start':>14}")
    with api() as many, api(FEW) as few:
        for name in (*TARGETS, PEER):
            runs = [(measured(name, REST_ROWS, many, python), measured(name, FEW, few, python)) for _ in range(repeats)]
            spent = [whole.without(part) for whole, part in runs]
            cost = costs[name] = Cost(*(statistics.median(one[index] for one in spent) for index in (0, 1)))
            whole, records = runs[0][0], REST_ROWS - FEW
            print(
                f"{name:24}{records / cost.seconds:>11,.0f}{records / cost.cpu:>10,.0f}{whole.seconds:>9.1f}"
                f"{whole.cpu:>8.1f}{runs[0][1].cpu - cost.cpu * FEW / records:>14.1f}",
                flush=True,
            )
    missed = 0
    for name in TARGETS:
        ratio, by_cpu = costs[PEER].seconds / costs[name].seconds, costs[PEER].cpu / costs[name].cpu
        missed += name == TARGETS[0] and by_cpu < LEAST
        word = f"; the target is {LEAST:.0f}x: {'met' if by_cpu >= LEAST else 'MISSED'}" if name == TARGETS[0] else ""
        print(f"{name} against {PEER}: {ratio:.1f}x, {by_cpu:.1f}x by CPU{word}")
    return int(missed > 0)


def main() -> int:
    """1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", type=Path, required=True, help="that of an environment with airbyte-cdk")
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--case")
    parser.add_argument("--address", default="")
    given = parser.parse_args()
    if not given.case:
        return compare(given.repeats, given.python)
    run_case(given.case, given.address, given.python)
    return 0


if __name__ == "__main__":
    sys.exit(main())
