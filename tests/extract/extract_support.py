"""What the readers' tests share: requests made short, and an HTTP server that answers as it is told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from elt_factory.config.models.source import SOURCES
from elt_factory.core.connection import Connection
from elt_factory.core.window import Window
from elt_factory.extract.request import CursorRange, ReadRequest

SECRET = "s3cr3t/key+1"
WEEK = Window(datetime(2013, 1, 1, tzinfo=UTC), datetime(2013, 1, 8, tzinfo=UTC))


def read_request(
    folder: Path,
    extract: Mapping[str, Any],
    table: Mapping[str, Any],
    connection: Connection | None = None,
    window: Window = WEEK,
    cursor: CursorRange | None = None,
    timezone: str = "UTC",
    log: Callable[[str], None] = lambda _: None,
    defaults: Mapping[str, Any] | None = None,
    **given: Any,
) -> ReadRequest:
    config = {
        "name": "src",
        "timezone": timezone,
        "params": dict(defaults or {}),
        "extract": dict(extract),
        "tables": {"things": dict(table)},
    }
    workdir = folder / "work"
    workdir.mkdir(exist_ok=True)
    return ReadRequest(
        source=SOURCES.get(extract["type"]).config.model_validate(config),
        table="things",
        window=window,
        load_id="load-1",
        connection=connection,
        workdir=workdir,
        project=folder,
        log=log,
        cursor=cursor or CursorRange(),
        **given,
    )


@dataclass(frozen=True)
class Asked:
    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    target: str
    method: str = "GET"
    body: bytes = b""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    pause: float = 0.0


def reply(value: Any, status: int = 200, **headers: str) -> Reply:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Reply(json.dumps(value).encode(), status, named)


@dataclass
class Server:
    """Answers with what `answer` returns; `asked` holds every request in order."""

    answer: Callable[[Asked], Reply]
    port: int = 0
    asked: list[Asked] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connection(self, **fields: Any) -> Connection:
        return Connection(**{"conn_id": "api", "conn_type": "http", "host": self.url, **fields})


@contextmanager
def serving(answer: Callable[[Asked], Reply]) -> Iterator[Server]:
    server = Server(answer)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            params, headers = dict(parse_qsl(parts.query)), dict(self.headers.items())
            asked = Asked(parts.path, params, headers, self.path, self.command, body)
            server.asked.append(asked)
            given = server.answer(asked)
            if given.status == 0:
                self.close_connection = True
                return
            self.send_response(given.status)
            for name, value in {"Content-Length": str(len(given.body)), **given.headers}.items():
                if value:
                    self.send_header(name, value)
            self.end_headers()
            self.close_connection = "Content-Length" in given.headers
            for start in range(0, len(given.body), 10 if given.pause else 1_000_000_000):
                self.wfile.write(given.body[start : start + 10] if given.pause else given.body)
                time.sleep(given.pause)

        do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815

        def log_message(self, *_):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    server.port = http.server_port
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


def in_turn(replies: Sequence[Reply]) -> Callable[[Asked], Reply]:
    """Each reply once, in order, the last one for ever."""
    left = list(replies)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


def spooled(files: Sequence[Path]) -> list[Any]:
    return [json.loads(line) for file in files for line in file.read_bytes().splitlines()]
