"""What `extract.py` measures: each case takes the folder of the sources and one of its own, and returns what is timed.

That returns the number of rows. What a case imports at its top is not timed; what ELT Factory imports where it needs
it, is, but for the libraries that `extract.py` imports for every case.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from extract_sources import DATABASE_ROWS, FILE_ROWS, POSTGRES, REST_ROWS, TYPES


def _line(name: str, extract: Mapping[str, Any], table: Mapping[str, Any], connection: Any, folder: Path) -> Any:
    from elt_factory.testing.loads import Line, source_of

    config = {"name": name, "start_date": "2013-01-01", "extract": dict(extract), "tables": {"rows": dict(table)}}
    return Line(source_of(config, folder), connection, folder, lambda _: None)


def _rest(given: Path, folder: Path, columns: Mapping[str, Any]) -> Callable[[], int]:
    # a worker has imported it before its tasks, and dlt's is imported before the clock starts, too
    import elt_factory.sources.rest_api.reader  # noqa: F401
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
    from elt_factory.extract.request import NOTHING_READ
    from elt_factory.landing.land import land_while_reading
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
        known = KnownTable("shop", "rows", spec, None)
        place = LocalPlace(folder / "landing").below(load)
        request = LandRequest(known, WEEK, load, NOTHING_READ, place, contract, lambda _: None)
        return int(land_while_reading(request, lambda growing: line.read(WEEK, work, growing=growing)).rows)

    return run


def _files(given: Path, folder: Path, kind: str, path: str) -> Callable[[], int]:
    # as above: what a worker has imported before its tasks
    import elt_factory.formats.every
    import elt_factory.sources.files.reader  # noqa: F401
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
