"""A shop whose orders have lines, over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import unquote, urlsplit


@dataclass
class Shop:
    """`asked` are the paths that were asked for; while it is `busy`, it asks once to wait for that many seconds."""

    url: str = ""
    orders: list[dict] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    busy: int = 0

    def answer(self, path: str) -> list[dict]:
        parts = path.split("/")[1:]
        if len(parts) == 1:
            return self.orders
        of = unquote(parts[1])
        return [{"no": no, "of": of} for no in (1, 2)] if parts[2] == "lines" else [{"id": f"n-{of}", "of": of}]


@contextmanager
def shop_api() -> Iterator[Shop]:
    shop = Shop()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            path = urlsplit(self.path).path
            shop.asked.append(path)
            busy, shop.busy = shop.busy, 0
            body = json.dumps(shop.answer(path)).encode()
            self.send_response(429 if busy else 200)
            self.send_header("Retry-After", str(busy))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    shop.url = f"http://127.0.0.1:{server.server_port}"
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield shop
    finally:
        server.shutdown()
        server.server_close()
