"""The rows of `extract.py`, from an API, from files and from PostgreSQL."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

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


class Pages(BaseHTTPRequestHandler):
    """An API of pages, each written before anyone asks."""

    protocol_version = "HTTP/1.1"
    bodies: tuple[bytes, ...] = ()

    def do_GET(self) -> None:
        """Answer with a page."""
        self.send(self.bodies[int(parse_qs(urlsplit(self.path).query).get("cursor", ["0"])[0])])

    def send(self, body: bytes) -> None:
        """Answer with JSON."""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def serve(rows: int) -> None:
    """Serve some rows until this process is killed, and say the port."""
    pages = rows // PAGE
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
def api(rows: int = REST_ROWS) -> Iterator[str]:
    """Address of an API in a process of its own."""
    with subprocess.Popen([sys.executable, __file__, str(rows)], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
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


@contextmanager
def in_postgres() -> Iterator[None]:
    """Make the table of the rows in PostgreSQL, and drop it in the end."""
    import psycopg

    with psycopg.connect(POSTGRES, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS elt_bench_rows")
        connection.execute(
            "CREATE TABLE elt_bench_rows AS SELECT n AS id, 'customer ' || n AS name, "
            "lpad((n % 977)::text, 6, '0') || 'x' AS code, ((n % 100000) / 8.0)::numeric(12,3) AS price, "
            "DATE '2013-01-01' + (n % 28)::int AS day, "
            "TIMESTAMPTZ '2013-01-01T10:00:00Z' + (n % 60) * INTERVAL '1 minute' AS at, n % 2 = 0 AS ok, "
            "(ARRAY['Berlin', 'Paris', 'Madrid', 'Rome'])[n % 4 + 1] AS city, n % 1000 AS amount, "
            f"'a few words of text' AS note FROM generate_series(0, {DATABASE_ROWS - 1}) AS n"
        )
        try:
            yield
        finally:
            connection.execute("DROP TABLE elt_bench_rows")


if __name__ == "__main__":
    serve(int(sys.argv[1]))
