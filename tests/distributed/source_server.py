"""The source, and the receiver of messages, in a process of its own: a port as its argument.

Every table of every source has the same few rows of each day, made from their names; who asked when is kept.
"""

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

from estate import PAGE, rows_of


class Handler(BaseHTTPRequestHandler):
    """GET /rows/<source>/<table>, POST /hook, GET /seen."""

    protocol_version = "HTTP/1.1"
    messages: ClassVar[list[str]] = []
    asked: ClassVar[list[tuple[float, str, str]]] = []

    workers: ClassVar[set[str]] = set()
    both: ClassVar[Event] = Event()

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/seen":
            return self._answer({"messages": self.messages, "asked": self.asked})
        _, _, source, table = url.path.split("/")
        self.asked.append((time.time(), source, self.headers.get("X-Worker", "")))
        if source == "limited":
            self._meet(self.headers["X-Worker"])
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        page = int(query.get("page", 0))
        rows = rows_of(source, table, query["since"][:10])
        begins, ends = page * PAGE, (page + 1) * PAGE
        return self._answer({"rows": rows[begins:ends], "next": page + 1 if ends < len(rows) else None})

    def _meet(self, worker: str) -> None:
        """Answer the first worker when the second asks: so both ask from then on, whichever began first."""
        self.workers.add(worker)
        if len(self.workers) > 1:
            self.both.set()
        self.both.wait(60)

    def do_POST(self) -> None:
        self.messages.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self._answer({})

    def _answer(self, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
