"""What it costs to bring rows in: against dlt, connectorx and bare DuckDB, on the same rows, in one run.

    make extract-bench [CASES="rest csv"]

Each measurement is a process of its own that has imported everything before the clock starts; the median of three. The
rows are counted after each, and a wrong count ends the benchmark. `contract` means all that a load does: every value
cast or rejected with its reason, types found or declared, counts, checksums, manifest.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

REPEATS = 3
REST_ROWS, PAGE = 200_000, 1000
FILE_ROWS, SMALL_FILES = 1_000_000, 5000
DATABASE_ROWS = 2_000_000
TYPES = {
    "id": "integer",
    "name": "text",
    "code": "text",
    "price": "decimal(12,3)",
    "day": "date",
    "at": "timestamp",
    "ok": "boolean",
    "city": "text",
    "amount": "integer",
    "note": "text",
}
POSTGRES = "postgresql://postgres@127.0.0.1:5432/postgres"
DLT_ALONE = {"RUNTIME__DLTHUB_TELEMETRY": "false", "PROVIDERS__ENABLE_AIRFLOW_SECRETS": "false"}


class Cost(NamedTuple):
    """What a run takes: seconds, seconds of CPU, megabytes at its peak."""

    seconds: float
    cpu: float
    peak: float


@dataclass(frozen=True)
class Target:
    """At most that many times the rows per second of a peer, or at least."""

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


def row(number: int) -> dict[str, Any]:
    """One of the rows, the same wherever they come from."""
    return {
        "id": number,
        "name": f"customer {number}",
        "code": f"{number % 977:06}x",
        "price": number % 100_000 / 8,
        "day": f"2013-01-{number % 28 + 1:02}",
        "at": f"2013-01-{number % 28 + 1:02}T10:{number % 60:02}:00Z",
        "ok": number % 2 == 0,
        "city": ("Berlin", "Paris", "Madrid", "Rome")[number % 4],
        "amount": number % 1000,
        "note": "a few words of text",
    }


# --- sources


class Pages(BaseHTTPRequestHandler):
    """An API of pages, each written before anyone asks."""

    protocol_version = "HTTP/1.1"
    bodies: tuple[bytes, ...] = ()

    def do_GET(self) -> None:
        """Answer with a page."""
        body = self.bodies[int(parse_qs(urlsplit(self.path).query).get("cursor", ["0"])[0])]
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def serve() -> None:
    """Serve the rows until this process is killed, and say the port."""
    pages = REST_ROWS // PAGE
    Pages.bodies = tuple(
        json.dumps(
            {
                "data": [row(page * PAGE + number) for number in range(PAGE)],
                "next": str(page + 1) if page + 1 < pages else None,
            }
        ).encode()
        for page in range(pages)
    )
    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    print(server.server_port, flush=True)
    server.serve_forever()


@contextmanager
def api() -> Iterator[str]:
    """Address of an API in a process of its own."""
    with subprocess.Popen([sys.executable, __file__, "--serve"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        server.kill()


def write_files(folder: Path) -> None:
    """Write the rows as CSV and NDJSON, in one file and in many."""
    (folder / "csv").mkdir(parents=True)
    (folder / "ndjson").mkdir()
    (folder / "small").mkdir()
    header = ",".join(TYPES) + "\n"
    texts = [
        ",".join(str(value).lower() if isinstance(value, bool) else str(value) for value in row(n).values())
        for n in range(FILE_ROWS)
    ]
    (folder / "csv" / "rows.csv").write_text(header + "\n".join(texts) + "\n")
    with (folder / "ndjson" / "rows.ndjson").open("w") as out:
        out.writelines(json.dumps(row(n)) + "\n" for n in range(FILE_ROWS))
    each = FILE_ROWS // SMALL_FILES
    for number in range(SMALL_FILES):
        part = texts[number * each : (number + 1) * each]
        (folder / "small" / f"{number:05}.csv").write_text(header + "\n".join(part) + "\n")


def fill_postgres() -> None:
    """Make the table of the rows, where it is not there yet."""
    import psycopg

    with psycopg.connect(POSTGRES) as connection:
        found = connection.execute("SELECT to_regclass('elt_bench_rows')").fetchone()
        if found and found[0]:
            return
        connection.execute(
            "CREATE TABLE elt_bench_rows AS SELECT n AS id, 'customer ' || n AS name, "
            "lpad((n % 977)::text, 6, '0') || 'x' AS code, ((n % 100000) / 8.0)::numeric(12,3) AS price, "
            "DATE '2013-01-01' + (n % 28)::int AS day, "
            "TIMESTAMPTZ '2013-01-01T10:00:00Z' + (n % 60) * INTERVAL '1 minute' AS at, n % 2 = 0 AS ok, "
            "(ARRAY['Berlin', 'Paris', 'Madrid', 'Rome'])[n % 4 + 1] AS city, n % 1000 AS amount, "
            f"'a few words of text' AS note FROM generate_series(0, {DATABASE_ROWS - 1}) AS n"
        )


# --- what is measured: each takes the folder of the sources and a folder of its own, and returns the number of rows


def _line(name: str, extract: Mapping[str, Any], table: Mapping[str, Any], connection: Any, folder: Path) -> Any:
    from elt_factory.testing.loads import Line, source_of

    config = {"name": name, "start_date": "2013-01-01", "extract": dict(extract), "tables": {"rows": dict(table)}}
    return Line(source_of(config, folder), connection, folder, lambda _: None)


def _rest(given: Path, folder: Path, columns: Mapping[str, Any]) -> Callable[[], int]:
    from elt_factory.core.connection import Connection
    from elt_factory.testing.loads import WEEK

    address = urlsplit((given / "api").read_text())
    connection = Connection("api", "http", f"http://{address.hostname}", address.port)
    line = _line(
        "shop",
        {
            "type": "rest_api",
            "connection": "api",
            "paginator": {"type": "cursor", "cursor_path": "next", "cursor_param": "cursor"},
        },
        {"path": "/rows", "records": "data", "write_disposition": "replace", "columns": columns},
        connection,
        folder,
    )
    return lambda: int(line.load(WEEK).total_rows)


def rest_found(given: Path, folder: Path) -> Callable[[], int]:
    return _rest(given, folder, {})


def rest_declared(given: Path, folder: Path) -> Callable[[], int]:
    return _rest(given, folder, {name: {"type": kind} for name, kind in TYPES.items()})


def rest_dlt(given: Path, folder: Path) -> Callable[[], int]:
    import dlt
    from dlt.sources.rest_api import rest_api_source

    def run() -> int:
        source = rest_api_source(
            {
                "client": {"base_url": (given / "api").read_text()},
                "resources": [
                    {
                        "name": "rows",
                        "endpoint": {
                            "path": "rows",
                            "data_selector": "data",
                            "paginator": {"type": "cursor", "cursor_path": "next", "cursor_param": "cursor"},
                        },
                        "write_disposition": "replace",
                    }
                ],
            }
        )
        warehouse = dlt.destinations.duckdb(str(folder / "dlt.duckdb"))
        pipeline = dlt.pipeline("bench", pipelines_dir=str(folder / "dlt"), destination=warehouse, dataset_name="shop")
        pipeline.run(source, loader_file_format="parquet")
        with pipeline.sql_client() as client:
            return int(client.execute_sql("SELECT count(*) FROM rows")[0][0])

    return run


def rest_floor(given: Path, folder: Path) -> Callable[[], int]:
    """Raw records to NDJSON, with nothing looked at, and DuckDB's own reader."""
    import duckdb
    import httpx

    def run() -> int:
        file, cursor = folder / "raw.ndjson", "0"
        with httpx.Client(base_url=(given / "api").read_text()) as client, file.open("wb") as out:
            while cursor:
                body = client.get("/rows", params={"cursor": cursor}).content
                out.write(body[body.index(b"[") + 1 : body.rindex(b"]")].replace(b"}, {", b"}\n{") + b"\n")
                found = re.search(rb'"next": "(\d+)"\}$', body)
                cursor = found[1].decode() if found else ""
        with duckdb.connect(str(folder / "floor.duckdb")) as connection:
            reader = f"read_json('{file}', hive_partitioning = false, format = 'newline_delimited')"
            connection.execute(f"CREATE TABLE rows AS FROM {reader}")
            return int(connection.execute("SELECT count(*) FROM rows").fetchall()[0][0])

    return run


def _landed(extract: Mapping[str, Any], table: Mapping[str, Any], connection: Any, folder: Path) -> Callable[[], int]:
    """Run the extract task: read, contract, Parquet."""
    from elt_factory.core.window import load_id
    from elt_factory.landing.land import land
    from elt_factory.landing.places import LocalPlace
    from elt_factory.landing.request import LandRequest
    from elt_factory.landing.schema import KnownTable
    from elt_factory.testing.loads import WEEK

    line = _line("shop", extract, table, connection, folder)

    def run() -> int:
        work, contract = folder / "work", folder / "contract"
        work.mkdir()
        contract.mkdir()
        load, spec = load_id("shop", "rows", WEEK), line.source.tables["rows"]
        spool = line.read(WEEK, work)
        known = KnownTable("shop", "rows", spec, None)
        place = LocalPlace(folder / "landing").below(load)
        return int(land(LandRequest(known, WEEK, load, spool, place, contract, lambda _: None)).rows)

    return run


def _files(given: Path, folder: Path, kind: str, path: str) -> Callable[[], int]:
    from elt_factory.core.connection import Connection

    connection = Connection("files", "fs", extra={"path": str(given / kind)})
    form = "ndjson" if kind == "ndjson" else "csv"
    extract = {"type": "files", "connection": "files"}
    table = {"path": path, "write_disposition": "replace", "format": {"type": form}}
    return _landed(extract, table, connection, folder)


def _bare_duckdb(relation: str, folder: Path) -> Callable[[], int]:
    import duckdb

    def run() -> int:
        with duckdb.connect() as connection:
            copy = f"COPY (FROM {relation}) TO '{folder}/rows.parquet' (FORMAT parquet, COMPRESSION zstd)"
            return int(connection.execute(copy).fetchall()[0][0])

    return run


def postgres(_: Path, folder: Path) -> Callable[[], int]:
    from elt_factory.core.connection import Connection

    connection = Connection("db", "postgres", "127.0.0.1", 5432, "postgres", "postgres")
    return _landed(
        {"type": "sql", "connection": "db"},
        {"query": "SELECT * FROM elt_bench_rows", "write_disposition": "replace"},
        connection,
        folder,
    )


def postgres_floor(_: Path, folder: Path) -> Callable[[], int]:
    """connectorx, streaming, to Parquet."""
    import connectorx
    from pyarrow import parquet

    def run() -> int:
        batches = connectorx.read_sql(
            POSTGRES, "SELECT * FROM elt_bench_rows", return_type="arrow_stream", batch_size=65536
        )
        count = 0
        with parquet.ParquetWriter(folder / "rows.parquet", batches.schema, compression="zstd") as out:
            for batch in batches:
                out.write_batch(batch)
                count += batch.num_rows
        return count

    return run


def postgres_dlt(_: Path, folder: Path) -> Callable[[], int]:
    import dlt
    from dlt.sources.sql_database import sql_table

    def run() -> int:
        rows = sql_table(
            POSTGRES.replace("postgresql", "postgresql+psycopg"),
            "elt_bench_rows",
            backend="connectorx",
            backend_kwargs={"conn": POSTGRES, "return_type": "arrow_stream"},
            chunk_size=65536,
        )
        there = dlt.destinations.filesystem(str(folder / "out"))
        pipeline = dlt.pipeline("bench", pipelines_dir=str(folder / "dlt"), destination=there, dataset_name="shop")
        pipeline.run(rows, loader_file_format="parquet", write_disposition="replace")
        return int(pipeline.last_trace.last_normalize_info.row_counts["elt_bench_rows"])

    return run


CASES: Mapping[str, tuple[Callable[[Path, Path], Callable[[], int]], int]] = {
    "rest, floor": (rest_floor, REST_ROWS),
    "rest, types found": (rest_found, REST_ROWS),
    "rest, types declared": (rest_declared, REST_ROWS),
    "rest, dlt": (rest_dlt, REST_ROWS),
    "csv, floor": (
        lambda given, own: _bare_duckdb(f"read_csv('{given}/csv/rows.csv', hive_partitioning = false)", own),
        FILE_ROWS,
    ),
    "csv": (lambda given, own: _files(given, own, "csv", "rows.csv"), FILE_ROWS),
    "ndjson, floor": (
        lambda given, own: _bare_duckdb(f"read_json('{given}/ndjson/rows.ndjson', hive_partitioning = false)", own),
        FILE_ROWS,
    ),
    "ndjson": (lambda given, own: _files(given, own, "ndjson", "rows.ndjson"), FILE_ROWS),
    "small files, floor": (
        lambda given, own: _bare_duckdb(f"read_csv('{given}/small/*.csv', hive_partitioning = false)", own),
        FILE_ROWS,
    ),
    "small files": (lambda given, own: _files(given, own, "small", "*.csv"), FILE_ROWS),
    "postgres, floor": (postgres_floor, DATABASE_ROWS),
    "postgres": (postgres, DATABASE_ROWS),
    "postgres, dlt": (postgres_dlt, DATABASE_ROWS),
}


def run_case(name: str, given: Path) -> None:
    """Run one case in this process, and say what it took."""
    make, rows = CASES[name]
    with tempfile.TemporaryDirectory(dir=given) as folder:
        run = make(given, Path(folder))
        begun = time.monotonic(), time.process_time()
        count = run()
        seconds, cpu = time.monotonic() - begun[0], time.process_time() - begun[1]
    if count != rows:
        raise SystemExit(f"{name}: {count} rows, not {rows}")
    status = Path("/proc/self/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0]) // 1024
    print("cost", json.dumps([seconds, cpu, peak]))


def measured(name: str, given: Path, repeats: int) -> Cost:
    """Return the median of some runs, each in a process of its own."""
    costs = []
    for _ in range(repeats):
        command = [sys.executable, __file__, "--case", name, "--given", str(given)]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **DLT_ALONE}, check=False)
        if done.returncode:
            raise SystemExit(f"{name} failed:\n{done.stderr[-3000:]}")
        costs.append(Cost(*json.loads(done.stdout.rsplit("cost ", 1)[1])))
    return Cost(*(statistics.median(cost[index] for cost in costs) for index in range(3)))


def main() -> int:
    """1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", help="rest, csv, ndjson, small files, postgres; all where none is named")
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--serve", action="store_true")
    parser.add_argument("--case")
    parser.add_argument("--given", type=Path)
    given = parser.parse_args()
    if given.serve:
        serve()
    elif given.case:
        run_case(given.case, given.given)
    else:
        return compare(given.kinds, given.repeats)
    return 0


def compare(kinds: list[str], repeats: int) -> int:
    """Measure every case of some kinds, and print them side by side."""
    names = [name for name in CASES if not kinds or name.split(",")[0] in kinds]
    costs: dict[str, Cost] = {}
    with tempfile.TemporaryDirectory() as folder, api() as address:
        base = Path(folder)
        (base / "api").write_text(address)
        if any(not name.startswith(("rest", "postgres")) for name in names):
            write_files(base)
        if any(name.startswith("postgres") for name in names):
            fill_postgres()
        print(f"{'':24}{'rows/s':>10}{'seconds':>9}{'CPU s':>8}{'peak MB':>9}")
        for name in names:
            cost = costs[name] = measured(name, base, repeats)
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
