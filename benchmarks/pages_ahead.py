"""What pages that are fetched ahead save: an API that takes a while for each page, read here and with dlt, in one run.

    make extract-bench CASES=none && PYTHONPATH=build/extract .venv/bin/python benchmarks/pages_ahead.py

The API answers with pages by number and the number of all pages, after 50 ms each. The rows of every case are counted;
each is a process of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from extract_sources import Pages, row

PAGES, ROWS, SECONDS = 100, 200, 0.05
CASES = ("dlt", "1", "4", "16")


class SlowPages(Pages):
    """An API that takes its time."""

    def do_GET(self) -> None:  # noqa: N802 - the name that http.server calls
        """Answer with a page."""
        page = int(parse_qs(urlsplit(self.path).query)["page"][0])
        body = json.dumps({"data": [row(page * ROWS + number) for number in range(ROWS)], "pages": PAGES}).encode()
        time.sleep(SECONDS)
        self.send(body)


@contextmanager
def api() -> Iterator[int]:
    """Serve the API in a process of its own, and say its port."""
    with subprocess.Popen([sys.executable, __file__, "serve"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        try:
            yield int(server.stdout.readline())
        finally:
            server.kill()


def here(port: int, folder: Path, concurrency: int) -> int:
    """Load with that many pages at the same time; return the rows."""
    from elt_factory.core.connection import Connection
    from elt_factory.testing.loads import WEEK, Line, source_of

    config = {
        "name": "shop",
        "start_date": "2013-01-01",
        "extract": {
            "type": "rest_api",
            "connection": "api",
            "paginator": {"type": "page_number", "total_pages": "pages"},
        },
        "tables": {
            "rows": {"path": "/rows", "records": "data", "write_disposition": "replace", "concurrency": concurrency}
        },
    }
    line = Line(source_of(config, folder), Connection("api", "http", "http://127.0.0.1", port), folder, lambda _: None)
    return int(line.load(WEEK).total_rows)


def dlt(port: int, folder: Path) -> int:
    """Load with dlt; return the rows."""
    import dlt as library
    from dlt.sources.rest_api import rest_api_source

    paginator = {"type": "page_number", "base_page": 1, "total_path": "pages"}
    endpoint = {"path": "rows", "data_selector": "data", "paginator": paginator}
    resources = [{"name": "rows", "endpoint": endpoint, "write_disposition": "replace"}]
    warehouse = library.destinations.duckdb(str(folder / "dlt.duckdb"))
    pipeline = library.pipeline("bench", pipelines_dir=str(folder / "dlt"), destination=warehouse, dataset_name="shop")
    pipeline.run(rest_api_source({"client": {"base_url": f"http://127.0.0.1:{port}"}, "resources": resources}))
    with pipeline.sql_client() as client:
        return int(client.execute_sql("SELECT count(*) FROM rows")[0][0])


def run_case(name: str, port: int) -> None:
    """Load by one case, and say how long that took."""
    with tempfile.TemporaryDirectory() as folder:
        begun = time.monotonic(), time.process_time()
        rows = dlt(port, Path(folder)) if name == "dlt" else here(port, Path(folder), int(name))
        print("cost", time.monotonic() - begun[0], time.process_time() - begun[1])
    if rows != PAGES * ROWS:
        raise SystemExit(f"{name}: {rows} rows, not {PAGES * ROWS}")


def main() -> None:
    """Measure each case, or be one of them."""
    if sys.argv[1:] == ["serve"]:
        server = ThreadingHTTPServer(("127.0.0.1", 0), SlowPages)
        print(server.server_port, flush=True)
        server.serve_forever()
    if len(sys.argv) > 1:
        return run_case(sys.argv[1], int(sys.argv[2]))
    with api() as port:
        for name in CASES:
            command = [sys.executable, __file__, name, str(port)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            seconds, cpu = map(float, done.stdout.rsplit("cost ", 1)[1].split())
            print(f"{name if name == 'dlt' else name + ' at a time':16}{seconds:8.2f} s{cpu:8.2f} s of CPU", flush=True)
    return None


if __name__ == "__main__":
    main()
