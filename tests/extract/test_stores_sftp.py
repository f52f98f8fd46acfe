"""Files on an SFTP server: another implementation than the client's, on loopback."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar

import asyncssh
import pytest
from sftp_support import SECRET, SftpServer, sftp_server
from stores_support import config, line, names, spool

from elt_factory.core.connection import Connection
from elt_factory.core.failures import AccessDeniedError, BadRequestError, SourceNotReadyError, SourceUnavailableError
from elt_factory.sources.files import sftp
from elt_factory.sources.files.kind import KIND
from elt_factory.sources.files.sftp import SftpStore
from elt_factory.sources.kind import Wish
from elt_factory.testing.loads import WEEK
from elt_factory.testing.sources import SourceSuite
from forked import Forked

pytestmark = pytest.mark.services
LATER = WEEK.__class__(WEEK.end, WEEK.end + (WEEK.end - WEEK.start))


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with sftp_server(tmp_path_factory.mktemp("sftp")) as server:
        yield server


@pytest.fixture
def server(served):
    import shutil

    for entry in served.files.iterdir():
        shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    served.opening.clear()
    return served


@pytest.fixture
def put(server):
    def write(name: str, content: bytes = b"a\n1\n") -> Path:
        file = server.files / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return file

    return write


def url(server, folder: str = "/in") -> str:
    return f"sftp://127.0.0.1:{server.port}{folder}"


class TestSftp(SourceSuite):
    config: ClassVar[dict[str, Any]] = config("in", "**/*.csv", write_disposition="append")
    rows: ClassVar[list[dict[str, Any]]] = [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}, {"a": 3, "b": "z"}]

    @pytest.fixture(autouse=True)
    def there(self, server, put, monkeypatch):
        type(self).server = server
        put("in/one.csv", b"a,b\n1,x\n2,y\n")
        put("in/more/two.csv", b"a,b\n3,z\n")
        monkeypatch.setattr(sftp, "_WAIT", 0.0)

    def connection(self, folder: Path) -> Connection:
        return self.server.connection()

    def broken(self, folder: Path) -> Connection:
        return Connection("shop", "sftp", "127.0.0.1", 1, login="shop", password=SECRET)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.csv", ["100%.csv", "a b.csv", "ü.csv"]),
        ("**/*.csv", ["100%.csv", "a b.csv", "sub/deep/x.csv", "sub/x.csv", "ü.csv"]),
        ("sub/*", ["sub/x.csv"]),
        ("sub/**", ["sub/deep/x.csv", "sub/x.csv"]),
        ("*/x.csv", ["sub/x.csv"]),
        ("**/x.csv", ["sub/deep/x.csv", "sub/x.csv"]),
        (".*", [".hidden.csv"]),
        ("a b.csv", ["a b.csv"]),
        ("sub/x.csv", ["sub/x.csv"]),
    ],
)
def test_a_pattern_means_what_it_means_in_a_folder(tmp_path, server, put, pattern, expected):
    for name in ("100%.csv", "a b.csv", "ü.csv", ".hidden.csv", "sub/x.csv", "sub/deep/x.csv", "sub/.y.csv"):
        put(f"in/{name}")
    put("x.csv")
    assert names(spool(tmp_path, url(server), pattern.replace("%", "%%"), server.connection())) == expected


@pytest.mark.parametrize(
    ("folder", "path"),
    [("in", None), ("/in", None), (None, "in"), ("in", "/"), (None, "/in"), (".in", None), (None, "./.in")],
)
def test_a_folder_is_below_that_of_the_connection_and_of_the_login(tmp_path, server, put, folder, path):
    put(".in/x.csv" if ".in" in (folder or path) else "in/x.csv")
    extra = {"path": path} if path else {}
    if folder == "/in":
        folder = url(server)
    assert names(spool(tmp_path, folder, "*.csv", server.connection(**extra))) == ["x.csv"]


def test_a_file_is_loaded_once_and_again_when_its_content_changes(tmp_path, server, put):
    first = put("in/x.csv", b"a\n1\n")
    put("in/y.csv", b"a\n2\n")
    given = config(url(server), "*.csv", write_disposition="append", file_column="f")
    found = line(tmp_path, given, server.connection())
    assert found.load(WEEK).rows_read == 2
    os.utime(first, (time.time() + 5, time.time() + 5))  # touched: its content is the same
    put("in/z.csv", b"a\n3\n")
    assert found.load(LATER).rows_read == 1
    first.write_bytes(b"a\n7\n")
    os.utime(first, (time.time() + 9, time.time() + 9))
    assert found.load(WEEK.__class__(LATER.end, LATER.end + (WEEK.end - WEEK.start))).rows_read == 1
    assert sorted((row["f"], row["a"]) for row in found.rows()) == [("x.csv", 7), ("y.csv", 2), ("z.csv", 3)]


@pytest.mark.parametrize("change", ["grows", "is rewritten", "is removed"])
def test_a_file_that_changes_while_it_is_read_fails_the_try(tmp_path, server, put, change):
    file = put("in/x.csv", b"a\n1\n")

    def write(_: str) -> None:
        if change == "grows":
            file.write_bytes(b"a\n1\n2\n")
        elif change == "is removed":
            file.rename(file.with_suffix(".done"))
        else:
            file.write_bytes(b"a\n7\n")
            os.utime(file, (1, 1))

    server.opening.append(write)
    with pytest.raises(SourceNotReadyError, match=r"src\.things: .*x\.csv was changed or removed|was removed while"):
        spool(tmp_path, url(server), "*.csv", server.connection())


def test_links_are_followed_within_the_folder_and_each_file_is_read_once(tmp_path, server, put):
    put("in/a/x.csv")
    (server.files / "in" / "link.csv").symlink_to("a/x.csv")
    (server.files / "in" / "b").symlink_to("a")
    assert names(spool(tmp_path, url(server), "*.csv", server.connection())) == ["a/x.csv"]
    for pattern in ("*/x.csv", "b/*.csv", "**/*.csv"):
        assert names(spool(tmp_path, url(server), pattern, server.connection())) == ["a/x.csv"]


@pytest.mark.parametrize("pattern", ["link.csv", "*.csv", "dir/*.csv", "*/secret.csv", "dir/secret.csv"])
def test_a_link_that_leaves_the_folder_is_refused(tmp_path, server, put, pattern):
    put("out/secret.csv")
    put("in/good/x.csv")
    (server.files / "in" / "link.csv").symlink_to("../out/secret.csv")
    (server.files / "in" / "dir").symlink_to("../out")
    with pytest.raises(BadRequestError, match=r"src\.things: a link that matches .* points outside the folder sftp://"):
        spool(tmp_path, url(server), pattern, server.connection())


def test_a_file_that_is_called_like_a_pattern_is_found(tmp_path, server, put):
    put("in/data[1].csv")
    assert names(spool(tmp_path, url(server), "data[1].csv", server.connection())) == ["data[1].csv"]
    put("in/data1.csv")
    with pytest.raises(BadRequestError, match=r"as a pattern it matches data1\.csv"):
        spool(tmp_path, url(server), "data[1].csv", server.connection())


def test_a_server_is_looked_at_and_its_config_is_written(tmp_path, server, put):
    put("orders_2013-01-01.csv", b"id,amount\n1,2.5\n2,3.5\n")
    put("orders_2013-01-02.csv", b"id,amount\n3,2.5\n")
    put("readme.md")
    wish = Wish("shop", server.connection(), None, (), None, tmp_path, lambda _: "")
    found = KIND.discover(wish, tmp_path)
    assert {name: guess.value for name, guess in found.extract.items()} == {"type": "files", "connection": "shop"}
    (table,) = found.tables
    assert (table.name, table.rows, table.lines["path"].value) == ("orders", 3, '"orders_%Y-%m-%d.csv"')


def test_no_file_says_what_is_there(tmp_path, server, put):
    put("in/order_1.csv")
    with pytest.raises(SourceNotReadyError, match=r'no file matches "orders_1\.csv" in sftp.*; did you mean "order_1'):
        spool(tmp_path, url(server), "orders_1.csv", server.connection())
    with pytest.raises(SourceNotReadyError, match=r"folder sftp://127\.0\.0\.1:\d+/nowhere does not exist"):
        spool(tmp_path, url(server, "/nowhere"), "*.csv", server.connection())


def test_a_host_key_that_is_not_known_is_refused_with_what_it_is(tmp_path, server, put, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(AccessDeniedError) as caught:
        spool(tmp_path, url(server), "*.csv", server.connection(host_key=None, no_host_key_check="true"))
    assert "the host key of [127.0.0.1]:" in str(caught.value)
    assert f'"host_key": "{server.host_key}"' in str(caught.value)


def test_a_host_key_in_known_hosts_is_known(tmp_path, server, put, monkeypatch):
    put("in/x.csv")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "known_hosts").write_text(f"[127.0.0.1]:{server.port} {server.host_key}\n")
    assert names(spool(tmp_path, url(server), "*.csv", server.connection(host_key=None))) == ["x.csv"]


def test_another_host_key_than_the_known_one_is_refused(tmp_path, server, put):
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    with pytest.raises(AccessDeniedError, match=r"shows another host key than the one that is known"):
        spool(tmp_path, url(server), "*.csv", server.connection(host_key=other))


def test_a_login_that_is_refused_is_one_clear_error_without_the_password(tmp_path, server):
    given = server.connection()
    wrong = Connection("shop", "sftp", given.host, given.port, login="other", password=SECRET, extra=given.extra)
    with pytest.raises(AccessDeniedError, match=r"src\.things: 127\.0\.0\.1 refuses the login") as caught:
        spool(tmp_path, url(server), "*.csv", wrong)
    assert SECRET not in str(caught.value)


def test_a_key_in_the_connection_logs_in(tmp_path, server, put):
    put("in/x.csv")
    key = asyncssh.generate_private_key("ssh-ed25519")
    server.public_keys.append(key.convert_to_public())
    text = key.export_private_key("openssh", passphrase="locked").decode()
    extra = {"host_key": server.host_key, "private_key": text, "private_key_passphrase": "locked"}
    given = Connection("shop", "ssh", "127.0.0.1", server.port, login="shop", extra=extra)
    assert names(spool(tmp_path, url(server), "*.csv", given)) == ["x.csv"]
    (tmp_path / "key").write_text(text)
    filed = {"host_key": server.host_key, "key_file": str(tmp_path / "key"), "private_key_passphrase": "locked"}
    given = Connection("shop", "ssh", "127.0.0.1", server.port, login="shop", extra=filed)
    assert names(spool(tmp_path, url(server), "*.csv", given)) == ["x.csv"]


@pytest.mark.parametrize("name", ["private_key", "host_key"])
def test_a_key_that_is_none_is_an_error_that_names_its_place(tmp_path, server, name):
    with pytest.raises(BadRequestError, match=rf'the {name} of the connection "shop"') as caught:
        spool(tmp_path, url(server), "*.csv", server.connection(**{name: "no key " + SECRET}))
    assert SECRET not in str(caught.value)


def test_a_name_that_is_not_utf_8_is_one_clear_error(tmp_path, server, put):
    put("in/x.csv")
    Path(os.fsdecode(os.fsencode(server.files) + b"/in/\xff.csv")).write_bytes(b"a\n1\n")
    with pytest.raises(BadRequestError, match=r"has a name that is not UTF-8; hint: rename it"):
        spool(tmp_path, url(server), "*.csv", server.connection())


def test_the_url_of_a_server_may_be_an_ipv6_address():
    place = sftp.place_of("[::1]:2222", "/in", Connection("shop", "sftp", "::1"))
    assert (place.host, place.port, str(place)) == ("::1", 2222, "sftp://[::1]:2222/in")


def test_a_login_goes_to_the_server_of_its_connection_alone(tmp_path, server):
    with pytest.raises(BadRequestError, match=r'is on other\.example\.com, but the connection "shop" is one to 127'):
        spool(tmp_path, "sftp://other.example.com/in", "*.csv", server.connection())


def test_a_server_that_is_down_is_tried_again_later(tmp_path, monkeypatch):
    monkeypatch.setattr(sftp, "_WAIT", 0.0)
    with pytest.raises(SourceUnavailableError, match=r"src\.things: 127\.0\.0\.1:1 cannot be reached"):
        spool(tmp_path, "sftp://127.0.0.1:1/in", "*.csv", Connection("shop", "sftp", "127.0.0.1", login="x"))


def test_a_connection_has_to_be_of_type_sftp_or_ssh(tmp_path):
    with pytest.raises(AccessDeniedError, match=r'has the type "aws"; a folder in sftp:// needs type sftp or ssh'):
        spool(tmp_path, "sftp://127.0.0.1/in", "*.csv", Connection("shop", "aws"))


def test_a_large_file_comes_in_little_memory_and_many_come_at_a_time(tmp_path, server, put):
    import resource

    put("in/x.csv", b"a\n" + b"123456789\n" * 6_000_000)
    for number in range(30):
        put(f"in/{number}.csv")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = spool(tmp_path, url(server), "*.csv", server.connection())
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert len(found.files) == 31
    assert max(file.stat().st_size for file in found.files) == 60_000_002
    assert grown < 60_000  # KB, the server's in this process with it


def _land_and_die(tmp_path: Path, given: dict[str, Any], connection: Connection, after: int) -> None:
    left, real = [after], SftpStore.fetch

    def fetch(self: Any, found: Any, folder: Path, most: int | None = None) -> Path:
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1
        return real(self, found, folder, most)

    SftpStore.fetch = fetch  # type: ignore[method-assign]
    line(tmp_path, given, connection).load(WEEK)


def test_a_task_that_is_killed_while_files_come_leaves_nothing_and_its_retry_loads_once(tmp_path, server, put):
    for number in range(4):
        put(f"in/{number}.csv", b"a\n%d\n" % number)
    given = config(url(server), "*.csv", write_disposition="append")
    process = Forked().Process(target=_land_and_die, args=(tmp_path, given, server.connection(), 2))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    found = line(tmp_path, given, server.connection())
    assert not (tmp_path / "landing").exists()
    assert found.load(WEEK).rows_loaded == 4
    assert sorted(row["a"] for row in found.rows()) == [0, 1, 2, 3]


def _serve(folder: Path, port: int, key: bytes, pieces: int) -> None:
    """Serve until that many pieces of files were sent, and die as by kill -9."""
    sent = iter(range(pieces))

    def count() -> None:
        if next(sent, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)

    with sftp_server(folder, port, key) as server:
        server.reading.append(count)
        threading.Event().wait()


@contextmanager
def serving_process(folder: Path, port: int, key: bytes, pieces: int = 10**9) -> Iterator[Any]:
    process = Forked().Process(target=_serve, args=(folder, port, key, pieces))
    process.start()
    try:
        for _ in range(600):
            with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.1)
        yield process
    finally:
        process.kill()
        process.join(60)


# before the first piece, and within those on their way
@pytest.mark.parametrize("pieces", [0, 40])
def test_a_server_that_is_killed_while_it_sends_a_file_fails_the_try_and_the_next_one_is_exact(
    tmp_path, unused_port, pieces
):
    files, key = tmp_path / "served", asyncssh.generate_private_key("ssh-ed25519")
    (files / "in").mkdir(parents=True)
    (files / "in" / "x.csv").write_bytes(b"a\n" + b"".join(b"%9d\n" % number for number in range(300_000)))
    connection = SftpServer(files, key, unused_port).connection()
    found = line(tmp_path, config("in", "*.csv", write_disposition="append"), connection)
    private = key.export_private_key()
    with serving_process(files, unused_port, private, pieces) as killed:
        with pytest.raises(SourceUnavailableError) as caught:
            found.load(WEEK)
        killed.join(60)
        assert killed.exitcode == -signal.SIGKILL
    where = f"sftp://127.0.0.1:{unused_port}/in"
    assert str(caught.value) == f"src.things: {where} broke off: Server connection dropped"
    assert not (tmp_path / "landing").exists()
    with serving_process(files, unused_port, private):
        assert found.load(WEEK).rows_loaded == 300_000
    with found.warehouse() as opened:
        whole = opened.query(f"SELECT count(*), count(DISTINCT a), max(a) FROM {found.target.sql(opened.dialect)}").rows
    assert whole == [(300_000, 300_000, 299_999)]
