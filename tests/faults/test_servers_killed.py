"""The server of a source is killed as a process, in the midst of an answer: a clear error, and the retry is whole.

Databases and SFTP servers have tests of their own: test_database_killed.py, tests/extract/test_stores_sftp.py.
"""

import http.server
import json
import os
import signal
import socketserver
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from whole_support import assert_whole

from elt_factory.core.connection import Connection
from elt_factory.core.failures import SourceUnavailableError
from elt_factory.sources.files import web
from elt_factory.sources.rest_api import http as rest_http
from elt_factory.sources.rest_api.exchange import Patience
from elt_factory.storage import opening
from elt_factory.testing.loads import WEEK, Line, source_of
from forked import Forked

ROWS, PAGE = 60_000, 3_000
RECORDS = [{"id": number, "v": f"{number:07} {'abc' * 10}"} for number in range(ROWS)]
CSV = ("id,v\n" + "".join(f"{record['id']},{record['v']}\n" for record in RECORDS)).encode()
ALL = json.dumps(RECORDS).encode()
pytestmark = pytest.mark.timeout(300)


class Api(http.server.BaseHTTPRequestHandler):
    """Records in pages or in one answer, or as a file."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        asked = {name: int(value) for name, (value,) in parse_qs(address.query).items()}
        page = asked.get("page", 1)
        part = RECORDS[(page - 1) * PAGE : page * PAGE]
        paged = {"records": part, "pages": ROWS // PAGE, "next": page + 1 if page * PAGE < ROWS else None}
        content = {"/all": ALL, "/things.csv": CSV}.get(address.path) or json.dumps(paged).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else content)

    do_HEAD = do_GET  # noqa: N815 - a method that is found by the name of the request's

    def log_message(self, *_: object) -> None:
        pass


def serve_http(port: int, most: int | None, ready: Pipe) -> None:
    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """The client has hung up."""

    with Server(("127.0.0.1", port), Api) as server:
        die_after(most)
        ready.send("ready")
        server.serve_forever()


def serve_s3(port: int, most: int | None, ready: Pipe) -> None:
    from moto.server import ThreadedMotoServer

    # what it has is in its memory, and is gone with it
    server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    server.start()
    bucket = f"http://127.0.0.1:{port}/shop"
    httpx.put(bucket, timeout=60).raise_for_status()
    lines = CSV.splitlines(keepends=True)
    for number in range(3):
        content = lines[0] + b"".join(lines[1:][number::3])
        httpx.put(f"{bucket}/in/{number}.csv", content=content, timeout=60).raise_for_status()
    die_after(most)
    ready.send("ready")
    threading.Event().wait()


def die_after(most: int | None) -> None:
    """Let this process send so many bytes of answers, and die as by kill -9 within the one that has more."""
    real, left = socketserver._SocketWriter.write, [most]

    def write(self: Any, content: Any) -> int:
        if left[0] is not None:
            if len(content) > left[0]:
                real(self, content[: left[0]])
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= len(content)
        return real(self, content)

    socketserver._SocketWriter.write = write


@contextmanager
def serving(serve: Callable[..., None], port: int, most: int | None = None) -> Iterator[Any]:
    """A server as a process of its own, until the block ends or it has sent so many bytes."""
    context = Forked("elt_factory.sources.read", "moto.server")
    here, there = context.Pipe()
    process = context.Process(target=serve, args=(port, most, there))
    process.start()
    try:
        assert here.poll(60)
        yield process
    finally:
        process.kill()
        process.join(60)


@dataclass(frozen=True)
class Kind:
    """How a source is read from a server, and how many bytes this has sent when it dies."""

    serve: Callable[..., None]
    most: int
    extract: Mapping[str, Any]
    table: Mapping[str, Any]
    conn_type: str = "http"

    def line(self, folder: Path, port: int) -> Line:
        address = f"http://127.0.0.1:{port}"
        web_server = self.conn_type == "http"
        fields = {"host": address} if web_server else {"login": "key", "password": "s3-secret-that-never-shows"}
        extra = {} if web_server else {"endpoint_url": address, "region_name": "us-east-1"}
        extract = {name: value.format(address=address) for name, value in self.extract.items()}
        config = {"name": "src", "extract": {**extract, "connection": "shop"}, "tables": {"things": self.table}}
        return Line(source_of(config, folder), Connection("shop", self.conn_type, **fields, extra=extra), folder, print)


PAGES, API = len(ALL) * 2 // 3, {"type": "rest_api"}
PAGED = {"path": "/pages", "records": "records"}
BY_CURSOR = {"type": "cursor", "cursor_path": "next", "cursor_param": "page"}
KINDS = {
    "pages one after the other": Kind(
        serve_http,
        PAGES,
        API,
        {**PAGED, "paginator": BY_CURSOR},
    ),
    "pages ahead": Kind(
        serve_http, PAGES, API, {**PAGED, "paginator": {"type": "page_number", "total_pages": "pages"}}
    ),
    "a large answer": Kind(serve_http, PAGES, API, {"path": "/all", "paginator": {"type": "single_page"}}),
    "a file": Kind(serve_http, PAGES, {"type": "files", "folder": "{address}"}, {"path": "things.csv"}),
    "objects": Kind(
        serve_s3, len(CSV) // 2, {"type": "files", "folder": "s3://shop/in"}, {"path": "*.csv"}, conn_type="aws"
    ),
}


@pytest.fixture
def hurried(monkeypatch):
    """What is minutes in production is a second here."""
    for module in (web, rest_http):
        monkeypatch.setattr(module, "PATIENCE", Patience(tries=2, first_wait=0.01))
    for name, value in (("max_retries", 1), ("backoff", BACKOFF)):
        monkeypatch.setitem(opening._RETRIES, name, value)


BACKOFF = {"init_backoff": timedelta(milliseconds=10), "max_backoff": timedelta(milliseconds=50), "base": 2}


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_server_that_is_killed_while_it_answers_fails_the_try_and_the_next_one_is_whole(tmp_path, unused_port, kind):
    line = kind.line(tmp_path, unused_port)
    with serving(kind.serve, unused_port, kind.most) as killed:
        with pytest.raises(SourceUnavailableError, match=r"^src\.things: .*127\.0\.0\.1") as caught:
            line.load(WEEK)
        killed.join(60)
        assert killed.exitcode == -signal.SIGKILL
    assert "\n" not in str(caught.value)
    assert "s3-secret" not in str(caught.value)
    assert not (tmp_path / "landing").exists()
    with serving(kind.serve, unused_port):
        assert_whole(line, RECORDS)


@pytest.mark.parametrize("name", ["pages ahead", "a file"])
def test_a_read_waits_for_a_server_that_is_killed_and_comes_back(tmp_path, unused_port, monkeypatch, name):
    for module in (web, rest_http):
        monkeypatch.setattr(module, "PATIENCE", Patience(tries=400, first_wait=0.05, longest_wait=0.25))
    kind = KINDS[name]
    over, killed = threading.Event(), []

    def restart() -> None:
        with serving(kind.serve, unused_port, kind.most) as first:
            first.join(60)
            killed.append(first.exitcode)
        with serving(kind.serve, unused_port):
            over.wait(60)

    restarting = threading.Thread(target=restart)
    restarting.start()
    try:
        assert_whole(kind.line(tmp_path, unused_port), RECORDS)
    finally:
        over.set()
        restarting.join()
    assert killed == [-signal.SIGKILL]
