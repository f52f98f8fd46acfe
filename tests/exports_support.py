"""An API of exports: jobs that are busy for some looks, then done with one file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


@dataclass
class Exports:
    """`busy` looks are answered with queued; `broken` downloads with 500; `files` has those that are not as others."""

    url: str = ""
    busy: int = 2
    broken: int = 0
    state: str = "finished"
    asked: list[str] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)

    @property
    def started(self) -> int:
        return self.asked.count("POST /exports")

    def answer(self, method: str, path: str) -> tuple[int, bytes]:
        self.asked.append(f"{method} {path}")
        if method == "POST":
            return 202, json.dumps({"id": self.started}).encode()
        if method == "DELETE":
            return 204, b""
        if path.endswith("/file"):
            self.broken -= 1
            return (500, b"no disk") if self.broken >= 0 else (200, self.files.get(path, b"id,name\n1,a\n2,b\n"))
        self.busy -= 1
        return 200, json.dumps({"state": "queued" if self.busy >= 0 else self.state}).encode()


@contextmanager
def exports_api() -> Iterator[Exports]:
    api = Exports()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, body = api.answer(self.command, self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_DELETE = do_GET  # noqa: N815

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    api.url = f"http://127.0.0.1:{server.server_port}"
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
