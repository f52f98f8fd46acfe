"""Servers that the imported configs are run against."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, time, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

from elt_factory.config.models.source import Config
from elt_factory.core.window import Window
from elt_factory.dag.timetables import intervals


class Api(BaseHTTPRequestHandler):
    """An API; `asked` returns status and body for a path with its parameters. `body` is what a request has sent."""

    def asked(self, path: str, params: dict[str, str]) -> tuple[int, Any]:
        raise NotImplementedError

    def do_GET(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        address = urlsplit(self.path)
        status, body = self.asked(address.path, {key: one[0] for key, one in parse_qs(address.query).items()})
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_POST = do_GET  # noqa: N815 - so http.server calls it

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving(api: type[Api]) -> Iterator[str]:
    """Serve an API, and yield its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), api)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def first_moment(config: Config) -> datetime:
    """Return where the first run of a config begins, as Airflow's timetable has it."""
    midnight = datetime.combine(config.start_date, time(), ZoneInfo(config.timezone))
    return next(intervals(config, Window(midnight, midnight + timedelta(days=400)))).start
