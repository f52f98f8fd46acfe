"""A source with a clock of its own, behind the real readers: SQLite, files in a folder, a JSON API on loopback."""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

FIRST = datetime(2013, 1, 1, tzinfo=UTC)
DAY = 24  # hours
PAGE = 3
_INSTANT, _WALL_CLOCK = "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%S"


@dataclass(frozen=True)
class Row:
    """One row of the source; `u` is when it was changed, in hours since the first day, and may be missing."""

    id: int
    u: int | None
    v: float
    good: bool = True
    extra: str | None = None

    def record(self, with_extra: bool, form: str = _INSTANT, clock: str = "UTC") -> dict[str, Any]:
        moment = None if self.u is None else (FIRST + timedelta(hours=self.u)).astimezone(ZoneInfo(clock))
        u = moment and moment.strftime(form)
        record = {"id": self.id, "u": u, "v": self.v, "n": "7" if self.good else f"bad {self.id} {self.v}"}
        return record | ({"extra": self.extra} if with_extra else {})


File = tuple[int, str]  # a day's part


@dataclass
class Source:
    """Rows as they are now, and files as they were delivered; `now` is the source's clock in hours."""

    folder: Path
    clock: str = "UTC"  # of the times in the database
    now: int = 24
    drifted: bool = False
    rows: list[Row] = field(default_factory=list)
    delivered: dict[File, tuple[Row, ...]] = field(default_factory=dict)

    def publish(self) -> None:
        """Make the database say what the rows are, in one transaction."""
        with closing(sqlite3.connect(self.database)) as database, database:
            columns = ["id INTEGER", "u DATETIME", "v", "n TEXT", *(["extra TEXT"] if self.drifted else [])]
            database.execute("DROP TABLE IF EXISTS tab")
            database.execute(f"CREATE TABLE tab ({', '.join(columns)})")
            records = [row.record(self.drifted, _WALL_CLOCK, self.clock) for row in self.rows]
            marks = ", ".join("?" * len(columns))
            database.executemany(f"INSERT INTO tab VALUES ({marks})", [tuple(r.values()) for r in records])

    @property
    def database(self) -> Path:
        return self.folder / "source.sqlite"

    @property
    def days(self) -> list[int]:
        """The days of which a file is there."""
        return sorted({day for day, _ in self.delivered})

    def deliver(self, day: int, part: str, rows: list[Row]) -> None:
        """Put a part of a day's files there, or another in its place, whole."""
        lines = [json.dumps(row.record(row.extra is not None)) for row in rows]
        name = f"{FIRST + timedelta(days=day):%Y-%m-%d}-{part}.ndjson"
        temporary = self.folder / f".{name}"
        temporary.write_text("".join(f"{line}\n" for line in lines))
        temporary.replace(self.folder / name)
        self.delivered[day, part] = tuple(rows)


@contextmanager
def api(source: Source) -> Iterator[int]:
    """The port of an API that answers the source's rows, a few a page."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
            body = json.dumps(_page(source, asked)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def _page(source: Source, asked: Mapping[str, str]) -> dict[str, Any]:
    since, until = ((datetime.fromisoformat(asked[end]) - FIRST).total_seconds() / 3600 for end in ("since", "until"))
    rows = [row for row in source.rows if row.u is not None and since <= row.u < until]
    first = int(asked.get("cursor", 0))
    records = [row.record(source.drifted) for row in rows[first : first + PAGE]]
    after = first + PAGE
    return {"items": records, "next": str(after) if after < len(rows) else None}
