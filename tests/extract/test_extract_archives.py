"""Archives of several files, each of them a file of its own; and how much may be unpacked."""

from __future__ import annotations

import bz2
import gzip
import io
import os
import time
import warnings
import zipfile
from datetime import timedelta

import pytest
from stores_support import config, line, names, spool

from elt_factory.core.connection import Connection
from elt_factory.core.failures import BadDataError, BadRequestError, SourceNotReadyError
from elt_factory.core.window import Window
from elt_factory.testing.loads import WEEK

LATER = Window(WEEK.end, WEEK.end + timedelta(days=7))
AFTER = Window(LATER.end, LATER.end + timedelta(days=7))


@pytest.fixture
def put(tmp_path):
    def write(name: str, members: dict[str, bytes], seconds: int = 0) -> None:
        file = tmp_path / "in" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for member, content in members.items():
                archive.writestr(member, content)
        os.utime(file, (time.time() + seconds, time.time() + seconds))

    return write


def local(path: str, **table: object) -> dict[str, object]:
    given = config("in", path, **table)
    given["extract"] = {"type": "files", "folder": "in"}
    return given


@pytest.mark.duckdb
def test_each_member_that_the_pattern_matches_is_a_file(tmp_path, put):
    members = {"b.csv": b"a\n2\n", "a.csv": b"a\n1\n", "notes.txt": b"x", "sub/c.csv": b"a\n3\n"}
    put("orders.zip", {**members, "__MACOSX/._a.csv": b"\0"})
    found = line(tmp_path, local("orders.zip/*.csv", file_column="f"), None)
    assert found.load(WEEK).rows_loaded == 2
    rows = sorted((row["f"], row["a"]) for row in found.rows())
    assert rows == [("orders.zip/a.csv", 1), ("orders.zip/b.csv", 2)]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("*.zip/*.csv", ["x.zip/a.csv", "y.zip/a.csv"]),
        ("x.zip/**/*.csv", ["x.zip/a.csv", "x.zip/sub/b.csv"]),
        ("x.zip/sub/b.csv", ["x.zip/sub/b.csv"]),
        ("X_%Y.ZIP/*", ["X_2013.ZIP/a.csv"]),
    ],
)
def test_patterns_of_archives_and_of_members_go_together(tmp_path, put, path, expected):
    put("x.zip", {"a.csv": b"a\n1\n", "sub/b.csv": b"a\n2\n"})
    put("y.zip", {"a.csv": b"a\n3\n"})
    put("X_2013.ZIP", {"a.csv": b"a\n4\n"})
    found = line(tmp_path, local(path), None)
    workdir = tmp_path / "read"
    workdir.mkdir()
    assert names(found.read(WEEK, workdir)) == expected


@pytest.mark.duckdb
def test_an_archive_is_taken_once_and_of_a_new_one_what_is_new(tmp_path, put):
    put("x.zip", {"a.csv": b"a\n1\n", "b.csv": b"a\n2\n"})
    found = line(tmp_path, local("*.zip/*.csv", write_disposition="append", file_column="f"), None)
    assert found.load(WEEK).rows_read == 2
    assert found.load(LATER).rows_read == 0
    put("x.zip", {"a.csv": b"a\n1\n", "b.csv": b"a\n7\n", "c.csv": b"a\n3\n"}, seconds=5)
    assert found.load(AFTER).rows_read == 2
    assert sorted((row["f"][-5], row["a"]) for row in found.rows()) == [("a", 1), ("b", 7), ("c", 3)]
    found.load(WEEK)  # again
    assert len(found.rows()) == 3


@pytest.mark.duckdb
def test_a_wider_pattern_takes_the_members_that_the_narrower_one_left(tmp_path, put):
    put("x.zip", {"a.csv": b"a\n1\n", "b.csv": b"a\n2\n"})
    line(tmp_path, local("x.zip/a*.csv", write_disposition="append"), None).load(WEEK)
    found = line(tmp_path, local("x.zip/*.csv", write_disposition="append"), None)
    assert found.load(LATER).rows_read == 1
    assert sorted(row["a"] for row in found.rows()) == [1, 2]
    assert found.load(AFTER).rows_read == 0


@pytest.mark.duckdb
@pytest.mark.parametrize("way", ["append", "replace"])
def test_a_member_that_two_patterns_mean_is_read_once(tmp_path, put, way):
    put("x.zip", {"a.csv": b"a\n1\n", "b.csv": b"a\n2\n"})
    given = local("x.zip/a*.csv", write_disposition=way)
    given["tables"]["things"]["path"] = ["x.zip/a*.csv", "x.zip/*.csv"]
    found = line(tmp_path, given, None)
    assert found.load(WEEK).rows_read == 2
    assert found.load(LATER).rows_read == (2 if way == "replace" else 0)
    assert sorted(row["a"] for row in found.rows()) == [1, 2]


@pytest.mark.duckdb
def test_a_member_that_is_packed_itself_is_unpacked(tmp_path, put):
    put("x.zip", {"a.csv.gz": gzip.compress(b"a\n1\n")})
    found = line(tmp_path, local("x.zip/*.gz", write_disposition="replace"), None)
    found.load(WEEK)
    assert found.rows() == [{"a": 1}]


def test_a_member_whose_name_points_anywhere_stays_in_the_scratch_folder(tmp_path, put):
    put("x.zip", {"../../../evil.csv": b"a\n1\n"})
    found = line(tmp_path, local("x.zip/**"), None)
    workdir = tmp_path / "read"
    workdir.mkdir()
    with pytest.raises(BadDataError, match=r'no file in x\.zip matches "\*\*"'):
        found.read(WEEK, workdir)
    assert not list(tmp_path.parent.glob("evil.csv"))


@pytest.mark.duckdb
def test_what_is_wrong_with_an_archive_names_it(tmp_path, put):
    put("x.zip", {"a.csv": b"a\n1\n"})
    with pytest.raises(BadDataError, match=r'src\.things: no file in x\.zip matches "b\.csv"; did you mean "a\.csv"'):
        line(tmp_path, local("x.zip/b.csv"), None).load(WEEK)
    (tmp_path / "in" / "y.zip").write_bytes(b"a\n1\n")
    with pytest.raises(BadDataError, match=r"src\.things: y\.zip is not a zip archive"):
        line(tmp_path, local("y.zip/*.csv"), None).load(WEEK)
    with pytest.raises(SourceNotReadyError, match=r'no file matches "z\.zip"'):
        line(tmp_path, local("z.zip/*.csv"), None).load(WEEK)
    content = (tmp_path / "in" / "x.zip").read_bytes()
    (tmp_path / "in" / "w.zip").write_bytes(content[:-40])
    with pytest.raises(BadDataError, match=r"src\.things: w\.zip is"):
        line(tmp_path, local("w.zip/*.csv"), None).load(WEEK)


def bomb(way: str) -> tuple[str, bytes]:
    content = b"a\n" + b"0\n" * 1_000_000
    if way == "zip":
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.csv", content)
        return "x.zip", target.getvalue()
    return "x", {"gzip": gzip.compress, "bzip2": bz2.compress}[way](content)


@pytest.mark.duckdb
@pytest.mark.parametrize("path", ["x*", "x.zip/*"])
@pytest.mark.parametrize("way", ["gzip", "bzip2", "zip"])
def test_more_than_may_be_unpacked_is_one_clear_error_and_leaves_no_more_than_that(tmp_path, way, path):
    name, content = bomb(way)
    if "/" in path and way != "zip":
        pytest.skip("a member of an archive alone")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / name).write_bytes(content)
    given = local(path)
    given["extract"]["max_unpacked_mb"] = 1
    found = line(tmp_path, given, None)
    workdir = tmp_path / "read"
    workdir.mkdir()
    with pytest.raises(BadDataError, match=r"has more than 1 MB unpacked; hint: if that is correct, raise max_"):
        found.read(WEEK, workdir)
    assert sum(file.stat().st_size for file in workdir.rglob("*") if file.is_file()) <= 1_000_000
    given["extract"]["max_unpacked_mb"] = 3
    assert line(tmp_path, given, None).load(WEEK).rows_loaded == 1_000_000


def test_a_period_within_an_archive_is_refused(tmp_path):
    from elt_factory.sources.files.archives import split

    with pytest.raises(BadRequestError, match="has a period within an archive"):
        split("x.zip/%Y.csv")
    assert split("a/x_%Y.zip/100%%.csv") == ("a/x_%Y.zip", "100%.csv")
    assert split("a/x.zip") == ("a/x.zip", "")


@pytest.mark.services
def test_archives_in_a_bucket_are_the_same(tmp_path):
    from moto.server import ThreadedMotoServer

    served = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    served.start()
    try:
        import boto3

        from elt_factory.core.connection import Connection

        address = "http://{}:{}".format(*served.get_host_and_port())
        client = boto3.client(
            "s3", endpoint_url=address, aws_access_key_id="k", aws_secret_access_key="s", region_name="us-east-1"
        )
        client.create_bucket(Bucket="shop")
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w") as archive:
            archive.writestr("a.csv", b"a\n1\n")
            archive.writestr("b.csv", b"a\n2\n")
        client.put_object(Bucket="shop", Key="in/x.zip", Body=target.getvalue())
        extra = {"endpoint_url": address, "region_name": "us-east-1"}
        given = Connection("shop", "aws", login="k", password="s", extra=extra)
        assert names(spool(tmp_path, "s3://shop/in", "*.zip/*.csv", given)) == ["x.zip/a.csv", "x.zip/b.csv"]
        found = line(tmp_path, config("s3://shop/in", "*.zip/*.csv", write_disposition="append"), given)
        assert [found.load(window).rows_read for window in (WEEK, LATER)] == [2, 0]
    finally:
        served.stop()


def test_two_members_of_one_name_are_an_error_since_only_one_would_be_read(tmp_path):
    file = tmp_path / "in" / "x.zip"
    file.parent.mkdir()
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(file, "w") as archive:
        for name, content in (("a.csv", "a\n1\n"), ("a.csv", "a\n2\n"), ("b.csv", "a\n3\n")):
            archive.writestr(name, content)
    connection = Connection("shop", "fs", extra={"path": str(tmp_path / "in")})
    with pytest.raises(BadDataError, match=r"x\.zip has two files a\.csv; hint: deliver each under a name of its own"):
        spool(tmp_path, None, "x.zip/*.csv", connection)
    assert names(spool(tmp_path, None, "x.zip/b*.csv", connection)) == ["x.zip/b.csv"]
