"""The line to a source is cut, reset, goes silent or is slow: a clear error in bounded time, and the next try is right.

A silent line is half-open: the connection is there, and nothing comes any more, as behind a firewall that has forgotten
it, or from a server that hangs.
"""

import gzip
import http.server
import io
import json
import os
import sys
import tempfile
import threading
import time
import uuid
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import sqlalchemy as sa
from whole_support import assert_whole
from wire_support import wire_to

from elt_factory.core.connection import Connection
from elt_factory.core.failures import TransientError
from elt_factory.sources.files import sftp, sftp_login, web
from elt_factory.sources.mongodb import client as mongo_client
from elt_factory.sources.rest_api import http as rest_http
from elt_factory.sources.rest_api.exchange import Patience
from elt_factory.storage import opening
from elt_factory.testing.loads import WEEK, Line, source_of

sys.path += [str(Path(__file__).parents[1] / folder) for folder in (".", "extract", "landing")]
from remote_support import SECRET as S3_SECRET
from remote_support import empty_bucket, s3_server
from sftp_support import sftp_server

from mongo_server import mongo_running

ROWS = 8_000
RECORDS = [{"id": number, "v": f"{number:07} {'abc' * 10}"} for number in range(ROWS)]
CSV = ("id,v\n" + "".join(f"{record['id']},{record['v']}\n" for record in RECORDS)).encode()
SLOW = 2  # seconds without a byte that end a read of the slow line
BOUND = 60.0  # seconds for what is limited to a second of silence a few times, on a machine that has much to do
pytestmark = pytest.mark.timeout(600)


@dataclass(frozen=True)
class Kind:
    """A source behind a port: its config, and the connection by which it is reached."""

    port: int
    extract: Mapping[str, Any]
    connection: Mapping[str, Any]
    table: Mapping[str, Any] = field(default_factory=dict)

    def line(self, folder: Path, port: int, seconds: int = 1) -> Line:
        extract = {name: value.format(port=port, seconds=seconds) for name, value in self.extract.items()} | {
            "connection": "shop"
        }
        extra = dict(self.connection.get("extra", {}))
        if "endpoint_url" in extra:
            extra["endpoint_url"] = extra["endpoint_url"].format(port=port)
        config = {"name": "src", "extract": extract, "tables": {"things": self.table}}
        host = self.connection.get("host", "127.0.0.1").format(port=port)
        return Line(
            source_of(config, folder),
            Connection("shop", **{**self.connection, "host": host, "port": port, "extra": extra}),
            folder,
            print,
        )


def skip(error: Exception) -> None:
    if os.environ.get("ELT_REQUIRE_SERVICES") == "1":
        raise error
    pytest.skip(f"no database to test with: {error}")


@contextmanager
def postgres() -> Iterator[Kind]:
    name = f"wire_{uuid.uuid4().hex[:8]}"
    try:
        database = psycopg.connect("host=127.0.0.1 user=postgres dbname=test", connect_timeout=3, autocommit=True)
    except psycopg.OperationalError as error:
        skip(error)
    with database:
        text = "lpad(n::text, 7, '0') || ' ' || repeat('abc', 10)"
        database.execute(f"CREATE TABLE {name} AS SELECT n AS id, {text} AS v FROM generate_series(0, {ROWS - 1}) n")
        try:
            reached = {"conn_type": "postgres", "schema": "test", "login": "postgres", "extra": {"connect_timeout": 2}}
            yield Kind(5432, {"type": "sql", "silence": "{seconds}s"}, reached, {"table": name})
        finally:
            database.execute(f"DROP TABLE {name}")


@contextmanager
def mariadb() -> Iterator[Kind]:
    name = f"wire_{uuid.uuid4().hex[:8]}"
    server = sa.create_engine("mysql+pymysql://root@127.0.0.1:3306/", poolclass=sa.NullPool)
    try:
        database = server.connect()
    except sa.exc.OperationalError as error:
        skip(error)
    with database:
        text = "concat(lpad(seq, 7, '0'), ' ', repeat('abc', 10))"
        for statement in (
            f"CREATE DATABASE {name}",
            f"USE {name}",
            f"CREATE TABLE {name}.things AS SELECT seq AS id, {text} AS v FROM seq_0_to_{ROWS - 1}",
        ):
            database.execute(sa.text(statement))
        try:
            reached = {"conn_type": "mysql", "schema": name, "login": "root"}
            yield Kind(3306, {"type": "sql", "silence": "{seconds}s"}, reached)
        finally:
            database.execute(sa.text(f"DROP DATABASE {name}"))


@contextmanager
def mongodb() -> Iterator[Kind]:
    with mongo_running() as server:
        server.fill("shop", "things", *({"_id": record["id"], **record} for record in RECORDS))
        reached = {"conn_type": "mongo", "schema": "shop", "extra": {"directConnection": True}}
        yield Kind(server.port, {"type": "mongodb"}, reached, {"write_disposition": "replace"})


@contextmanager
def served(path: str, content: bytes, content_type: str) -> Iterator[int]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            found = self.path == path
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(content) if found else 0))
            self.end_headers()
            if found:
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """Whoever asked is gone."""

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_port
        finally:
            server.shutdown()


@contextmanager
def web_file() -> Iterator[Kind]:
    with served("/things.csv", CSV, "text/csv") as port:
        reached = {"conn_type": "http", "host": "http://127.0.0.1:{port}"}
        yield Kind(port, {"type": "files", "folder": "http://127.0.0.1:{port}"}, reached, {"path": "things.csv"})


@contextmanager
def web_archive() -> Iterator[Kind]:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for number in range(2):
            part = RECORDS[number::2]
            archive.writestr(f"{number}.csv", "id,v\n" + "".join(f"{row['id']},{row['v']}\n" for row in part))
    with served("/things.zip", content.getvalue(), "application/zip") as port:
        reached = {"conn_type": "http", "host": "http://127.0.0.1:{port}"}
        table = {"path": "things.zip/*.csv"}
        yield Kind(port, {"type": "files", "folder": "http://127.0.0.1:{port}"}, reached, table)


@contextmanager
def web_packed() -> Iterator[Kind]:
    content = gzip.compress(CSV, 0)
    with served("/things.csv.gz", content, "application/gzip") as port:
        reached = {"conn_type": "http", "host": "http://127.0.0.1:{port}"}
        yield Kind(port, {"type": "files", "folder": "http://127.0.0.1:{port}"}, reached, {"path": "things.csv.gz"})


@contextmanager
def rest() -> Iterator[Kind]:
    with served("/things", json.dumps(RECORDS).encode(), "application/json") as port:
        table = {"path": "/things", "paginator": {"type": "single_page"}}
        yield Kind(
            port,
            {"type": "rest_api", "timeout": "{seconds}s"},
            {"conn_type": "http", "host": "http://127.0.0.1:{port}"},
            table,
        )


@contextmanager
def sftp_file() -> Iterator[Kind]:
    with tempfile.TemporaryDirectory() as folder, sftp_server(Path(folder)) as server:
        Path(folder, "things.csv").write_bytes(CSV)
        given = server.connection()
        reached = {"conn_type": "sftp", "login": given.login, "password": given.password, "extra": given.extra}
        yield Kind(server.port, {"type": "files", "folder": "sftp://127.0.0.1:{port}"}, reached, {"path": "things.csv"})


@contextmanager
def s3_object() -> Iterator[Kind]:
    with s3_server() as address:
        empty_bucket(address)
        httpx.put(f"{address}/landings/in/things.csv", content=CSV).raise_for_status()
        extra = {"endpoint_url": "http://127.0.0.1:{port}", "region_name": "us-east-1"}
        reached = {"conn_type": "aws", "login": "key", "password": S3_SECRET, "extra": extra}
        port = httpx.URL(address).port
        yield Kind(port, {"type": "files", "folder": "s3://landings/in"}, reached, {"path": "things.csv"})


KINDS = (postgres, mariadb, mongodb, web_file, web_archive, web_packed, sftp_file, s3_object, rest)


@pytest.fixture(scope="module")
def kinds():
    with ExitStack() as stack:
        yield cache(lambda made: stack.enter_context(made()))


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    """What is minutes in production is a second here."""
    for module in (web, rest_http):
        monkeypatch.setattr(module, "PATIENCE", Patience(tries=2, first_wait=0.01))
    monkeypatch.setattr(web, "_SECONDS", httpx.Timeout(1.0))
    for module, name, value in ((sftp, "_SILENCE", 1.0), (sftp, "_WAIT", 0.01), (sftp_login, "_SECONDS", 1)):
        monkeypatch.setattr(module, name, value)
    monkeypatch.setitem(opening._CLIENT, "read_timeout", "1s")
    backoff = {"init_backoff": timedelta(milliseconds=10), "max_backoff": timedelta(milliseconds=50), "base": 2}
    for name, value in (("max_retries", 1), ("backoff", backoff)):
        monkeypatch.setitem(opening._RETRIES, name, value)
    for name in ("_SILENCE_MS", "_FIND_SERVER_MS"):
        monkeypatch.setattr(mongo_client, name, 1_000)


@pytest.mark.parametrize("made", KINDS)
def test_a_line_that_fails_is_a_clear_error_in_bounded_time_and_the_next_try_is_whole(
    kinds, tmp_path, monkeypatch, made
):
    kind = kinds(made)
    with wire_to(kind.port) as wire:
        line = kind.line(tmp_path, wire.port)
        for fault in ("silent", "reset", "end"):
            # behind what logs in and describes, in the midst of the rows
            wire.disturb(fault, after=100_000)
            check_fails(line, fault)
        wire.disturb("silent", after=0)
        check_fails(line, "silent")
        assert not (tmp_path / "landing").exists()
        wire.heal()
        # what is whole has all the time that this machine takes for it
        monkeypatch.undo()
        assert_whole(kind.line(tmp_path, wire.port, seconds=60), RECORDS)


def check_fails(line: Line, fault: str) -> None:
    began = time.monotonic()
    with pytest.raises(TransientError) as caught:
        line.load(WEEK)
    assert time.monotonic() - began < BOUND
    message = str(caught.value)
    assert message.startswith("src.things: "), message
    assert "\n" not in message


@pytest.mark.parametrize("made", [postgres, rest])
def test_a_slow_line_is_read_to_its_end(kinds, tmp_path, monkeypatch, made):
    kind = kinds(made)
    with wire_to(kind.port) as wire:
        wire.fault = "slow"
        monkeypatch.undo()
        # longer in all than its silence may last; the timeout of an API is for a whole answer
        began = time.monotonic()
        assert_whole(kind.line(tmp_path, wire.port, seconds=SLOW if made is postgres else 60), RECORDS)
        assert time.monotonic() - began > SLOW


def test_a_source_that_is_gone_is_a_clear_error(kinds, tmp_path, unused_port):
    for made in KINDS:
        check_fails(kinds(made).line(tmp_path / made.__name__, unused_port), "gone")
