"""Files in S3, against a server of its protocol on loopback."""

from __future__ import annotations

import gzip
import os
import signal
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
from stores_support import config, line, names, spool

from elt_factory.core.connection import Connection
from elt_factory.core.failures import (
    AccessDeniedError,
    BadRequestError,
    DiskFullError,
    SourceNotReadyError,
    SourceUnavailableError,
)
from elt_factory.sources.files import fetching
from elt_factory.sources.files.opening import open_store
from elt_factory.storage import opening
from elt_factory.storage.objects import Objects
from elt_factory.testing.loads import WEEK, Line
from elt_factory.testing.sources import SourceSuite
from forked import Forked

pytestmark = pytest.mark.services
SECRET = "s3-secret-that-never-shows"
ROOT = "s3://shop/orders"


@pytest.fixture(scope="module")
def server():
    from moto.server import ThreadedMotoServer

    served = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    served.start()
    host, port = served.get_host_and_port()
    yield f"http://{host}:{port}"
    served.stop()


@pytest.fixture
def client(server):
    import boto3

    httpx.post(f"{server}/moto-api/reset", timeout=60).raise_for_status()
    made = boto3.client(
        "s3", endpoint_url=server, aws_access_key_id="k", aws_secret_access_key="s", region_name="us-east-1"
    )
    made.create_bucket(Bucket="shop")
    return made


@pytest.fixture
def put(client):
    def put_object(name: str, content: bytes = b"a\n1\n", folder: str = "orders/") -> None:
        client.put_object(Bucket="shop", Key=folder + name, Body=content)

    return put_object


def aws(address: str) -> Connection:
    extra = {"endpoint_url": address, "region_name": "us-east-1"}
    return Connection("shop", "aws", login="key", password=SECRET, extra=extra)


@pytest.fixture
def connection(server):
    return aws(server)


class TestS3(SourceSuite):
    config: ClassVar[dict[str, Any]] = config(ROOT, "**/*.csv", write_disposition="append")
    rows: ClassVar[list[dict[str, Any]]] = [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}, {"a": 3, "b": "z"}]

    @pytest.fixture(autouse=True)
    def served(self, server, put):
        type(self).address = server
        put("one.csv", b"a,b\n1,x\n2,y\n")
        put("more/two.csv", b"a,b\n3,z\n")

    def connection(self, folder: Path) -> Connection:
        return aws(self.address)

    def broken(self, folder: Path) -> Connection:
        return aws("http://127.0.0.1:1")

    @pytest.fixture(autouse=True)
    def impatient(self, monkeypatch):
        monkeypatch.setitem(opening._RETRIES, "max_retries", 0)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.csv", ["100%.csv", "a b.csv", "h#x?.csv", "ü+.csv"]),
        ("**/*.csv", ["100%.csv", "a b.csv", "h#x?.csv", "sub/deep/x.csv", "sub/x.csv", "ü+.csv"]),
        ("sub/*", ["sub/x.csv"]),
        ("sub/**", ["sub/deep/x.csv", "sub/x.csv"]),
        ("*/x.csv", ["sub/x.csv"]),
        (".*", [".hidden.csv"]),
        ("a b.csv", ["a b.csv"]),
        ("[a-b] b.csv", ["a b.csv"]),
        ("h#x?.csv", ["h#x?.csv"]),
    ],
)
def test_a_pattern_means_what_it_means_in_a_folder(tmp_path, put, connection, pattern, expected):
    for name in (
        "100%.csv",
        "a b.csv",
        "h#x?.csv",
        "ü+.csv",
        ".hidden.csv",
        "sub/x.csv",
        "sub/deep/x.csv",
        "sub/.y.csv",
    ):
        put(name)
    put("x.csv", folder="orders-of-others/")
    path = pattern.replace("%", "%%")
    assert names(spool(tmp_path, ROOT, path, connection)) == expected


def test_more_objects_than_one_page_lists_are_all_found(tmp_path, put, connection):
    from moto.s3.models import s3_backends

    for number in range(1100):
        s3_backends["123456789012"]["aws"].put_object("shop", f"orders/{number:04}.csv", b"a\n1\n")
    with open_store(ROOT, connection, tmp_path) as store:
        assert len(store.find("*.csv")) == 1100


def test_what_a_console_makes_in_place_of_a_folder_is_no_file(tmp_path, put, connection):
    put("sub/", b"")
    put("x.csv")
    assert names(spool(tmp_path, ROOT, "*", connection)) == ["x.csv"]


def test_every_format_and_compression_is_read(tmp_path, put, connection):
    put("x.csv.gz", gzip.compress(b"a\n1\n2\n"))
    found = line(tmp_path, config(ROOT, "x.csv.gz", write_disposition="replace"), connection)
    found.load(WEEK)
    assert sorted(row["a"] for row in found.rows()) == [1, 2]


def test_a_file_is_loaded_once_and_again_when_its_content_changes(tmp_path, put, connection):
    put("x.csv", b"a\n1\n")
    put("y.csv", b"a\n2\n")
    found = line(tmp_path, config(ROOT, "*.csv", write_disposition="append", file_column="f"), connection)
    assert found.load(WEEK).rows_read == 2
    put("x.csv", b"a\n7\n")  # of the same size, within the same second
    put("z.csv", b"a\n3\n")
    later = WEEK.__class__(WEEK.end, WEEK.end + (WEEK.end - WEEK.start))
    assert found.load(later).rows_read == 2
    assert sorted((row["f"], row["a"]) for row in found.rows()) == [("x.csv", 7), ("y.csv", 2), ("z.csv", 3)]


def test_an_object_that_is_written_between_the_list_and_its_download_fails_the_try(
    tmp_path, put, connection, monkeypatch
):
    put("x.csv", b"a\n1\n")
    real = Objects.download

    def late(self, name, target, etag="", most=None):
        put("x.csv", b"a\n1\n2\n")
        real(self, name, target, etag, most)

    monkeypatch.setattr(Objects, "download", late)
    with pytest.raises(SourceNotReadyError, match=r"src\.things: x\.csv was changed or removed while it was read"):
        spool(tmp_path, ROOT, "*.csv", connection)


def test_an_object_that_is_removed_before_its_download_fails_the_try(tmp_path, put, connection, monkeypatch, client):
    put("x.csv")
    real = Objects.download

    def late(self, name, target, etag="", most=None):
        client.delete_object(Bucket="shop", Key="orders/x.csv")
        real(self, name, target, etag, most)

    monkeypatch.setattr(Objects, "download", late)
    with pytest.raises(SourceNotReadyError, match=r"x\.csv was changed or removed"):
        spool(tmp_path, ROOT, "*.csv", connection)


@pytest.mark.parametrize("name", ["../b.csv", "./b.csv"])
def test_a_name_that_is_not_a_path_is_one_clear_error(tmp_path, put, connection, name):
    put("x.csv")
    put(name)
    with pytest.raises(
        BadRequestError, match=r"s3://shop/orders has an object with a name that is not a path: .*orders/\.\.?/"
    ):
        spool(tmp_path, ROOT, "*.csv", connection)


def test_a_name_that_is_not_a_path_is_skipped_where_the_pattern_does_not_reach_it(tmp_path, put, connection, caplog):
    for name in ("x.csv", "in/y.csv", "in/z.txt", "old//a.csv", "old/deep/./b.csv"):
        put(name)
    assert names(spool(tmp_path, ROOT, "*.csv", connection)) == ["x.csv"]
    assert "a name that is not a path, which may be skipped" in caplog.text
    assert names(spool(tmp_path, ROOT, "i*/*.csv", connection)) == ["in/y.csv"]
    for pattern in ("*/*.csv", "**/*.csv", "old/*.csv"):
        with pytest.raises(BadRequestError, match="has an object with a name that is not a path"):
            spool(tmp_path, ROOT, pattern, connection)


def test_a_file_is_waited_for_also_where_a_name_is_not_a_path(tmp_path, put, connection):
    put("old//a.csv")
    with pytest.raises(SourceNotReadyError, match=r'no file matches "old/x\.csv" .*names that are not paths'):
        spool(tmp_path, ROOT, "old/x.csv", connection)


def test_no_file_says_what_is_there(tmp_path, put, connection):
    put("order_1.csv")
    with pytest.raises(SourceNotReadyError) as caught:
        spool(tmp_path, ROOT, "orders_1.csv", connection)
    assert str(caught.value) == (
        'src.things: no file matches "orders_1.csv" in s3://shop/orders; did you mean "order_1.csv"?'
    )


def test_a_bucket_that_is_not_there_is_one_clear_error(tmp_path, connection):
    with pytest.raises(BadRequestError) as caught:
        spool(tmp_path, "s3://nowhere-at-all/x", "*.csv", connection)
    assert str(caught.value) == (
        "src.things: s3://nowhere-at-all/x: NoSuchBucket: The specified bucket does not exist; "
        "hint: check the name of the bucket, and the connection's account"
    )


def test_a_key_that_is_not_known_is_one_clear_error_without_it(tmp_path, put, server, connection):
    put("x.csv")
    checking = f"{server}/moto-api/reset-auth"
    httpx.post(checking, content="0").raise_for_status()
    try:
        with pytest.raises(AccessDeniedError, match=r"src\.things: s3://shop/orders denied access: ") as caught:
            spool(tmp_path, ROOT, "*.csv", connection)
    finally:
        httpx.post(checking, content="inf").raise_for_status()
    assert SECRET not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("ExpiredToken", 400, AccessDeniedError),
        ("AccessDenied", 403, AccessDeniedError),
        ("AuthorizationHeaderMalformed", 400, BadRequestError),
        ("PermanentRedirect", 301, BadRequestError),
        ("SlowDown", 503, SourceUnavailableError),
    ],
)
def test_what_a_storage_answers_is_one_of_our_errors(tmp_path, monkeypatch, code, status, kind):
    from extract_support import Reply, serving

    monkeypatch.setitem(opening._RETRIES, "max_retries", 1)
    body = f"<Error><Code>{code}</Code><Message>as told\nand more</Message></Error>".encode()
    with serving(lambda _: Reply(body, status)) as server, pytest.raises(kind) as caught:
        spool(tmp_path, ROOT, "*.csv", aws(server.url))
    said = "configured region" if status == 301 else f"{code}: as told"
    assert said in str(caught.value)
    assert "Debug" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_server_that_is_down_is_tried_again_later(tmp_path, monkeypatch):
    monkeypatch.setitem(opening._RETRIES, "max_retries", 0)
    with pytest.raises(SourceUnavailableError, match=r"src\.things: s3://shop/orders did not answer"):
        spool(tmp_path, ROOT, "*.csv", aws("http://127.0.0.1:1"))


@pytest.mark.parametrize("kind", ["google_cloud_platform", "fs", "sftp"])
def test_a_connection_of_another_type_is_refused_with_the_right_one(tmp_path, kind):
    with pytest.raises(AccessDeniedError, match=rf'has the type "{kind}"; a folder in s3:// needs type aws'):
        spool(tmp_path, ROOT, "*.csv", Connection("shop", kind))


def test_files_that_the_disk_has_no_room_for_are_not_begun(tmp_path, put, connection, monkeypatch):
    put("x.csv", b"a\n" + b"1\n" * 1000)
    monkeypatch.setattr(fetching, "free_bytes", lambda _: 1000)
    with pytest.raises(DiskFullError, match=r"1 files of s3://shop/orders have 0\.0 MB, but .* free some space"):
        spool(tmp_path, ROOT, "*.csv", connection)


def test_a_large_object_comes_in_little_memory(tmp_path, put, connection):
    import resource

    put("x.csv", b"a\n" + b"123456789\n" * 6_000_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = spool(tmp_path, ROOT, "*.csv", connection)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert found.files[0].stat().st_size == 60_000_002
    assert grown < 40_000  # KB; the server in this process has the 60 MB, too, and before


def _land_and_die(tmp_path: Path, given: dict[str, Any], connection: Connection, after: int) -> None:
    left, real = [after], Objects.download

    def download(*args: Any) -> None:
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1
        real(*args)

    Objects.download = download  # type: ignore[method-assign]
    line(tmp_path, given, connection).load(WEEK)


@pytest.mark.parametrize("after", [0, 2])
def test_a_task_that_is_killed_while_files_come_leaves_nothing_and_its_retry_loads_once(
    tmp_path, put, connection, after
):
    for number in range(4):
        put(f"{number}.csv", b"a\n%d\n" % number)
    given = config(ROOT, "*.csv", write_disposition="append")
    process = Forked().Process(target=_land_and_die, args=(tmp_path, given, connection, after))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    found: Line = line(tmp_path, given, connection)
    assert not (tmp_path / "landing").exists()
    assert found.load(WEEK).rows_loaded == 4
    assert sorted(row["a"] for row in found.rows()) == [0, 1, 2, 3]
