"""Files on a web server on loopback: by their names, with ETags, redirects, faults."""

from __future__ import annotations

import gzip
import io
import os
import signal
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from extract_support import read_request
from stores_support import config, line, names, spool

from elt_factory.core.connection import Connection
from elt_factory.core.failures import (
    AccessDeniedError,
    BadDataError,
    BadRequestError,
    SourceNotReadyError,
    SourceUnavailableError,
)
from elt_factory.core.window import Window
from elt_factory.sources.files import fetching, web
from elt_factory.sources.read import parts, read
from elt_factory.sources.rest_api.exchange import Patience
from elt_factory.testing.loads import WEEK
from elt_factory.testing.sources import SourceSuite
from forked import Forked

pytestmark = pytest.mark.services
SECRET = "web-s3cret"
LATER = Window(WEEK.end, WEEK.end + timedelta(days=7))


@dataclass
class File:
    content: bytes
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200
    no_head: bool = False
    cut: int | None = None
    endless: bool = False  # its length is not said to a GET


@dataclass
class Web:
    files: dict[str, File] = field(default_factory=dict)
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    before: Callable[[str, str], None] = lambda *_: None
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connection(self, **given: Any) -> Connection:
        return Connection("shop", "http", **{"host": self.url, "login": "shop", "password": SECRET, **given})

    def gets(self) -> list[str]:
        return [path for method, path, _ in self.asked if method == "GET"]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    web: ClassVar[Web]

    def do_GET(self) -> None:
        web = self.web
        web.before(self.command, self.path)
        web.asked.append((self.command, self.path, dict(self.headers.items())))
        file = web.files.get(self.path, File(b"no such file", status=404))
        if self.command == "HEAD" and file.no_head:
            file = File(b"", status=405)
        self.send_response_only(file.status)
        endless = file.endless and self.command == "GET"
        for name, value in {"Content-Length": str(len(file.content)), **file.headers}.items():
            if endless and name == "Content-Length":
                continue
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(file.content[: file.cut])
            self.close_connection = self.close_connection or file.cut is not None or endless

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def served() -> Iterator[Web]:
    held = Web()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Served", (Handler,), {"web": held}))
    held.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield held
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(web, "PATIENCE", Patience(tries=3, first_wait=0.0))


class TestWeb(SourceSuite):
    config: ClassVar[dict[str, Any]] = config("exports", "one.csv", write_disposition="append")
    rows: ClassVar[list[dict[str, Any]]] = [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]

    @pytest.fixture(autouse=True)
    def there(self, served):
        type(self).web = served
        served.files["/exports/one.csv"] = File(b"a,b\n1,x\n2,y\n", {"ETag": '"1"'})

    def connection(self, folder: Path) -> Connection:
        return self.web.connection()

    def broken(self, folder: Path) -> Connection:
        return self.web.connection(host="http://127.0.0.1:1")


def test_periods_and_templates_make_the_addresses(tmp_path, served):
    for day in (1, 2, 3):
        served.files[f"/v1/2013-01-0{day}.csv?from=2013-01-01&x=a%26b"] = File(b"a\n%d\n" % day)
    given = config(f"{served.url}/v1", "%Y-%m-%d.csv?from={{ window.start | date }}&x={{ params.x }}", file_column="f")
    given |= {"params": {"x": "a&b"}}
    given["extract"].pop("connection")
    three = Window(WEEK.start, WEEK.start + timedelta(days=3))
    found = line(tmp_path, given, None)
    assert found.load(three).rows_loaded == 3
    assert sorted(row["a"] for row in found.rows()) == [1, 2, 3]
    assert found.rows()[0]["f"].startswith("2013-01-0")


def test_a_list_of_names_is_one_table(tmp_path, served):
    for number, name in enumerate(("north", "south")):
        served.files[f"/{name}.csv"] = File(b"a\n%d\n" % number)
    found = spool(tmp_path, served.url, ["south.csv", "north.csv"], None)
    assert names(found) == ["north.csv", "south.csv"]


@pytest.mark.parametrize("headers", [{"ETag": 'W/"a"'}, {"Last-Modified": "Tue, 01 Jan 2013 00:00:00 GMT"}, {}])
def test_a_file_is_loaded_once_and_again_when_its_content_changes(tmp_path, served, headers):
    served.files["/x.csv"] = File(b"a\n1\n", dict(headers))
    found = line(tmp_path, config(served.url, "x.csv", write_disposition="append"), served.connection())
    assert found.load(WEEK).rows_read == 1
    assert found.load(LATER).rows_read == 0
    changed = {"ETag": '"b"', "Last-Modified": "Wed, 02 Jan 2013 00:00:00 GMT"}
    served.files["/x.csv"] = File(b"a\n7\n", {name: changed[name] for name in headers})
    third = Window(LATER.end, LATER.end + timedelta(days=7))
    assert found.load(third).rows_read == 1
    assert found.rows() == [{"a": 7}]


def test_what_is_known_is_not_fetched_again(tmp_path, served):
    served.files["/x.csv"] = File(b"a\n1\n", {"ETag": '"a"'})
    found = line(tmp_path, config(served.url, "x.csv", write_disposition="append"), served.connection())
    found.load(WEEK)
    served.asked.clear()
    found.load(LATER)
    assert served.gets() == []


def test_a_server_without_head_is_asked_with_get(tmp_path, served):
    served.files["/x.csv"] = File(b"a\n1\n", no_head=True)
    assert names(spool(tmp_path, served.url, "x.csv", None)) == ["x.csv"]


def test_a_file_that_changes_between_its_headers_and_its_download_fails_the_try(tmp_path, served):
    served.files["/x.csv"] = File(b"a\n1\n", {"ETag": '"a"'})

    def change(method: str, path: str) -> None:
        if method == "GET":
            served.files[path] = File(b"a\n1\n2\n", {"ETag": '"b"'})

    served.before = change
    with pytest.raises(SourceNotReadyError, match=r"src\.things: x\.csv was changed or removed while it was read"):
        spool(tmp_path, served.url, "x.csv", None)


def test_a_file_that_changes_after_the_split_is_read_by_its_part_as_it_is(tmp_path, served):
    served.files["/x.csv"] = File(b"a\n1\n", {"ETag": '"a"'})
    extract, table = config(served.url, "x.csv")["extract"], {"path": "x.csv", "split": {"tasks": 2}}
    asked = read_request(tmp_path, extract, table, served.connection())
    (part,) = parts(asked, 2)
    served.files["/x.csv"] = File(b"a\n1\n2\n", {"ETag": '"b"'})
    (source,) = read(replace(asked, part=part.what)).sources
    assert (source.size, source.hash) == (6, '"b"')
    del served.files["/x.csv"]
    with pytest.raises(SourceNotReadyError, match=r"x\.csv was removed since the task split; clear the task split"):
        read(replace(asked, part=part.what, workdir=tmp_path / "other"))


def test_a_download_that_is_cut_off_is_begun_again_and_then_given_up(tmp_path, served):
    whole, cut = File(b"a\n1\n2\n"), File(b"a\n1\n2\n", cut=3)
    answers = iter([cut, whole])
    served.files["/x.csv"] = whole

    def once(method: str, path: str) -> None:
        if method == "GET":
            served.files[path] = next(answers, cut)

    served.before = once
    assert spool(tmp_path, served.url, "x.csv", None).files[0].read_bytes() == b"a\n1\n2\n"
    with pytest.raises(SourceUnavailableError, match=r"did not answer"):
        spool(tmp_path, served.url, "x.csv", None)


def test_what_head_does_not_say_is_no_change(tmp_path, served):
    served.files["/x.csv"] = File(b"a\n1\n")
    said = {"ETag": '"a"', "Last-Modified": "Tue, 01 Jan 2013 00:00:00 GMT"}
    served.before = lambda method, path: served.files[path].headers.update(said if method == "GET" else {})
    assert names(spool(tmp_path, served.url, "x.csv", None)) == ["x.csv"]


@pytest.mark.parametrize("endless", [False, True])
def test_a_length_of_zero_to_head_says_nothing(tmp_path, served, endless):
    def answer(method: str, path: str) -> None:
        served.files[path] = File(b"" if method == "HEAD" else b"a\n1\n", endless=endless)

    served.before = answer
    served.files["/x.csv"] = File(b"")
    assert spool(tmp_path, served.url, "x.csv", None).files[0].read_bytes() == b"a\n1\n"


def test_a_time_that_is_made_for_each_answer_says_nothing(tmp_path, served):
    served.files["/x.csv"] = File(b"a\n1\n")
    clock = iter(range(10, 60))
    served.before = lambda _, path: served.files[path].headers.update(
        dict.fromkeys(("Date", "Last-Modified"), f"Tue, 01 Jan 2013 00:00:{next(clock)} GMT")
    )
    found = line(tmp_path, config(served.url, "x.csv", write_disposition="append"), served.connection())
    assert found.load(WEEK).rows_read == 1
    assert found.load(LATER).rows_read == 0


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_packed_bytes_that_are_cut_off_are_refused_whatever_length_is_announced(tmp_path, served, pack):
    packed = pack(b"a\n" + b"".join(b"%d\n" % number for number in range(10_000)))
    coding = "gzip" if pack is gzip.compress else "deflate"
    served.files["/x.csv"] = File(packed, {"Content-Encoding": coding})
    assert spool(tmp_path, served.url, "x.csv", None).files[0].read_bytes().endswith(b"9999\n")
    served.files["/x.csv"] = File(packed[: len(packed) // 2], {"Content-Encoding": coding})
    with pytest.raises(SourceUnavailableError, match=r"x\.csv of http://127.*: truncated compressed response"):
        spool(tmp_path, served.url, "x.csv", None)


def test_an_encoding_that_was_not_asked_for_and_cannot_be_proven_whole_is_refused(tmp_path, served):
    served.files["/x.csv"] = File(b"a\n1\n", {"Content-Encoding": "br"})
    with pytest.raises(BadDataError, match=r'x\.csv of http://127.*: unsupported content-encoding "br"'):
        spool(tmp_path, served.url, "x.csv", None)
    assert len(served.gets()) == 1


def test_fewer_bytes_than_the_headers_said_are_refused_where_the_answer_says_no_length(tmp_path, served):
    served.files["/x.csv"] = File(b"a\n1\n2\n", endless=True)
    assert spool(tmp_path, served.url, "x.csv", None).files[0].read_bytes() == b"a\n1\n2\n"
    served.files["/x.csv"].cut = 4
    with pytest.raises(SourceUnavailableError, match=r"x\.csv of http://127.*: 4 of 6 bytes came"):
        spool(tmp_path, served.url, "x.csv", None)


def test_a_busy_server_is_asked_again(tmp_path, served):
    good, busy = File(b"a\n1\n"), File(b"", {"Retry-After": "0"}, status=503)
    answers = iter([busy, good, busy, good])
    served.before = lambda _, path: served.files.__setitem__(path, next(answers))
    assert names(spool(tmp_path, served.url, "x.csv", None)) == ["x.csv"]


def test_a_file_that_is_not_there_is_waited_for(tmp_path, served):
    with pytest.raises(SourceNotReadyError, match=r'src\.things: no file matches "x\.csv" in http://127'):
        spool(tmp_path, served.url, "x.csv", None)


@pytest.mark.parametrize(
    ("status", "kind"), [(401, AccessDeniedError), (403, AccessDeniedError), (400, BadRequestError)]
)
def test_a_refusal_is_one_clear_error_without_the_secret(tmp_path, served, status, kind):
    served.files["/x.csv"] = File(SECRET.encode(), status=status)
    with pytest.raises(kind, match=rf"src\.things: http://127.*/x\.csv returned status {status}") as caught:
        spool(tmp_path, None, "x.csv", served.connection())
    assert SECRET not in str(caught.value)


def test_login_headers_and_the_folder_of_a_connection_are_used(tmp_path, served):
    served.files["/base/in/x.csv"] = File(b"a\n1\n")
    spool(tmp_path, "in", "x.csv", served.connection(host=f"{served.url}/base", extra={"X-Of-Shop": "yes"}))
    sent = served.asked[-1][2]
    assert sent["Authorization"].startswith("Basic ")
    assert sent["X-Of-Shop"] == "yes"


def test_a_redirect_to_another_host_gets_nothing_of_the_connection(tmp_path, served):
    served.files["/x.csv"] = File(b"", {"Location": f"http://localhost:{served.port}/signed.csv?sig=abc"}, status=302)
    served.files["/signed.csv?sig=abc"] = File(b"a\n1\n")
    found = spool(tmp_path, None, "x.csv", served.connection(extra={"X-Of-Shop": "yes"}))
    assert found.files[0].read_bytes() == b"a\n1\n"
    for _, path, headers in served.asked:
        assert ("Authorization" in headers) == ("X-Of-Shop" in headers) == (path == "/x.csv")


def test_redirects_in_a_circle_end(tmp_path, served):
    served.files["/x.csv"] = File(b"", {"Location": "/x.csv"}, status=302)
    with pytest.raises(BadRequestError, match="more than 5 redirects"):
        spool(tmp_path, served.url, "x.csv", None)


def test_a_login_goes_to_the_server_of_its_connection_alone(tmp_path, served):
    with pytest.raises(BadRequestError, match=r'is on localhost, but the connection "shop" is one to 127\.0\.0\.1'):
        spool(tmp_path, f"http://localhost:{served.port}", "x.csv", served.connection())
    with pytest.raises(AccessDeniedError, match=r'has the type "sftp"; a folder in http:// needs type http or https'):
        spool(tmp_path, served.url, "x.csv", Connection("shop", "sftp"))


@pytest.mark.parametrize("path", ["*.csv", "in/**", "[ab].csv"])
def test_a_pattern_is_refused(tmp_path, served, path):
    with pytest.raises(BadRequestError, match="a web server lists no files"):
        spool(tmp_path, "in", path, served.connection())


def test_a_pattern_of_the_files_in_an_archive_is_none_of_the_server(tmp_path, served):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in ("a.csv", "b.csv", "c.txt"):
            archive.writestr(name, b"a\n1\n")
    served.files["/x.zip"] = File(packed.getvalue())
    assert names(spool(tmp_path, served.url, "x.zip/*.csv", None)) == ["x.zip/a.csv", "x.zip/b.csv"]


@pytest.mark.parametrize(("folder", "path"), [("in#y", "x.csv"), ("in?a=b", "x.csv"), ("in", "x.csv#y")])
def test_what_would_be_cut_off_of_an_address_is_refused(tmp_path, served, folder, path):
    with pytest.raises(BadRequestError, match=r"has a (query or a )?fragment"):
        spool(tmp_path, folder, path, served.connection())


def test_packed_files_and_encoded_answers_are_unpacked(tmp_path, served):
    packed = gzip.compress(b"a\n1\n", mtime=0)
    served.files["/x.csv.gz"] = File(packed, {"Content-Type": "application/gzip"})
    served.files["/y.csv"] = File(packed, {"Content-Encoding": "gzip"})
    for name in ("x.csv.gz", "y.csv"):
        assert spool(tmp_path, served.url, name, None).files[0].read_bytes() == b"a\n1\n"


def test_a_large_file_comes_in_little_memory(tmp_path, served):
    import resource

    served.files["/x.csv"] = File(b"a\n" + b"123456789\n" * 6_000_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = spool(tmp_path, served.url, "x.csv", None)
    assert found.files[0].stat().st_size == 60_000_002
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 80_000


def test_the_time_of_a_file_is_that_of_its_header(tmp_path, served):
    served.files["/x.csv"] = File(b"a\n1\n", {"Last-Modified": "Tue, 01 Jan 2013 00:00:00 GMT"})
    (source,) = spool(tmp_path, served.url, "x.csv", None).sources
    assert (source.size, source.modified_at) == (4, datetime(2013, 1, 1, tzinfo=UTC))


def _land_and_die(tmp_path: Path, given: dict[str, Any], connection: Connection, after: int) -> None:
    """Load, and die as by kill -9 when that many files, or members of an archive, have come."""
    left, fetch, members = [after], web.WebStore.fetch, fetching.members_of

    def come() -> None:
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1

    def fetched(*given: Any) -> Path:
        come()
        return fetch(*given)

    def unpacked(*given: Any) -> Iterator[tuple[str, Path]]:
        for member in members(*given):
            come()
            yield member

    web.WebStore.fetch = fetched  # type: ignore[method-assign]
    fetching.members_of = unpacked
    line(tmp_path, given, connection).load(WEEK)


@pytest.mark.parametrize("path", [[f"{number}.csv" for number in range(4)], "all.zip/*.csv"])
def test_a_task_that_is_killed_while_files_come_leaves_nothing_and_its_retry_loads_once(tmp_path, served, path):
    contents = {f"{number}.csv": b"a\n%d\n" % number for number in range(4)}
    served.files |= {f"/{name}": File(content) for name, content in contents.items()}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    served.files["/all.zip"] = File(packed.getvalue())
    given = config(served.url, path, write_disposition="append", format={"type": "csv"})
    process = Forked().Process(target=_land_and_die, args=(tmp_path, given, served.connection(), 2))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    found = line(tmp_path, given, served.connection())
    assert not (tmp_path / "landing").exists()
    for _ in range(2):
        found.load(WEEK)
    assert sorted(row["a"] for row in found.rows()) == [0, 1, 2, 3]
