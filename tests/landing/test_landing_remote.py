"""Landings in object storage, against a real S3 server on loopback."""

import errno
import fcntl
import json
import os
import resource
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from obstore import exceptions
from obstore.store import MemoryStore
from remote_support import SECRET, URL, empty_bucket, land_records, land_until, s3_connection, s3_server

from elt_factory.core.connection import Connection
from elt_factory.core.extras import MissingExtraError
from elt_factory.core.failures import AccessDeniedError, LandingChangedError, LandingError, LandingUnavailableError
from elt_factory.landing import remote
from elt_factory.landing.checksums import proven
from elt_factory.landing.expiry import clean_landings
from elt_factory.landing.manifest import Owner, read_manifest, write_manifest
from elt_factory.landing.places import LocalPlace
from elt_factory.landing.remote import RemotePlace, open_place
from elt_factory.storage import opening
from elt_factory.storage.objects import Objects
from elt_factory.testing.warehouses.loader import newest
from elt_factory.warehouse.base import LoadOrder
from elt_factory.warehouse.dialect import Relation
from elt_factory.warehouse.duckdb.warehouse import DuckDBWarehouse
from forked import Forked

pytestmark = pytest.mark.services

ROWS = 300_000


@pytest.fixture(scope="module")
def server():
    with s3_server() as served:
        yield served


@pytest.fixture
def address(server):
    empty_bucket(server)
    return server


@pytest.fixture
def place(address):
    return open_place(URL + "/", s3_connection(address)).below("src", "tab", "L1")


@pytest.fixture(params=["s3", "memory"])
def any_place(request):
    if request.param == "s3":
        return request.getfixturevalue("place")
    return RemotePlace(Objects("memory://landings", "", MemoryStore()), "src/tab/L1")


@pytest.fixture
def records(tmp_path):
    file = tmp_path / "records.ndjson"
    lines = [f'{{"id": {i}, "h": "{i * 7919 * 104729 % 2**61}"}}\n' for i in range(ROWS)]
    file.write_text("".join([*lines, "no record\n"]))
    return file


def files_of(manifest) -> set[str]:
    return {f"{manifest.attempt}/manifest.json", *(file.path for file in manifest.all_files)}


def order_of(place) -> LoadOrder:
    return LoadOrder(newest(place), place, Relation("src", "tab"), "append", (), "run")


def test_parts_rejects_and_manifest_lie_below_the_url(any_place, records, tmp_path):
    manifest = land_records(any_place, records, tmp_path / "work", part_bytes=100_000)
    assert len(manifest.files) > 1
    assert (manifest.rows, manifest.rows_rejected) == (ROWS, 1)
    assert read_manifest(any_place, manifest.owner) == manifest
    sizes = {name: entry.bytes for name, entry in any_place.files().items() if not name.endswith("/manifest.json")}
    assert sizes == {file.path: file.bytes for file in manifest.all_files}
    assert all(entry.modified and entry.modified.tzinfo for entry in any_place.files().values())
    assert list((tmp_path / "work").glob("parts-*")) == []


def test_a_place_says_what_an_external_stage_needs(place):
    assert (place.is_local, place.root, place.path) == (False, URL, "src/tab/L1")
    assert place.url == str(place) == f"{URL}/src/tab/L1"


def test_every_attempt_has_a_landing_of_its_own_and_leaves_the_others_whole(any_place, records, tmp_path):
    first = land_records(any_place, records, tmp_path / "work", part_bytes=100_000)
    beside = replace(any_place, path="src/tab/L10")
    beside.write("kept", b"x")
    one = tmp_path / "one.ndjson"
    one.write_text('{"id": 1}\n')
    manifest = land_records(any_place, one, tmp_path / "work", part_bytes=100_000)
    assert {read_manifest(any_place, found.owner) for found in (first, manifest)} == {first, manifest}
    assert set(any_place.files()) == {*files_of(first), *files_of(manifest)}
    assert list(beside.files()) == ["kept"]


def test_duckdb_loads_what_lies_in_object_storage(place, records, tmp_path):
    land_records(place, records, tmp_path / "work", part_bytes=100_000)
    with DuckDBWarehouse(tmp_path / "warehouse.duckdb") as warehouse:
        report = warehouse.load(order_of(place))
        assert warehouse.query("SELECT count(*), count(DISTINCT id) FROM src.tab").rows == [(ROWS, ROWS)]
    assert (report.rows_read, report.rows_loaded, report.rows_rejected) == (ROWS + 1, ROWS, 1)


@pytest.fixture(scope="module")
def processes():
    """Processes that begin with everything imported and nothing open."""
    return Forked("remote_support", "duckdb", "msgspec", "obstore")


@pytest.mark.parametrize("uploads", range(5))
def test_a_task_that_is_killed_while_files_go_up_leaves_the_landing_before_it(
    processes, address, place, records, tmp_path, uploads
):
    one = tmp_path / "one.ndjson"
    one.write_text('{"id": 1}\n')
    before = land_records(place, one, tmp_path / "work", part_bytes=100_000)
    process = processes.Process(target=land_until, args=(address, records, tmp_path / "killed", uploads))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    assert newest(place) == before
    assert len({name.partition("/")[0] for name in place.files()}) == (2 if uploads else 1)
    manifest = land_records(place, records, tmp_path / "work", part_bytes=100_000)
    assert newest(place) == manifest
    assert files_of(before) | files_of(manifest) <= set(place.files())


@pytest.mark.parametrize("damage", ["missing", "changed", "flipped"])
def test_a_part_that_is_missing_or_changed_is_an_error(place, records, tmp_path, damage):
    manifest = land_records(place, records, tmp_path / "work", part_bytes=100_000)
    part = manifest.files[1].path
    if damage == "missing":
        place.remove([part])
    elif damage == "flipped":
        content = bytearray(place.read(part))
        content[len(content) // 2] ^= 1
        place.write(part, bytes(content))
        with (
            pytest.raises(LandingError, match="has changed since the extract task wrote it"),
            proven(place, manifest.files),
        ):
            pass
    else:
        place.write(part, b"x")
    with pytest.raises(LandingError, match=f"{part} is missing or changed; run the extract task again"):
        read_manifest(place, manifest.owner)


def test_without_a_manifest_there_is_no_landing(any_place):
    with pytest.raises(LandingError, match=r"no landing in .*: run the extract task first"):
        read_manifest(any_place, Owner("", "src", "tab", "L1", "0123456789ab"))


def test_a_bucket_that_is_not_there_is_said(address, tmp_path, records):
    nowhere = open_place("s3://nowhere", s3_connection(address))
    with pytest.raises(LandingError, match=r"s3://nowhere.*bucket does not exist"):
        land_records(nowhere, records, tmp_path / "work", part_bytes=100_000)


def test_a_storage_that_does_not_answer_is_tried_again_later(monkeypatch):
    monkeypatch.setitem(opening._RETRIES, "max_retries", 1)
    gone = open_place(URL, s3_connection("http://127.0.0.1:1"))
    with pytest.raises(LandingUnavailableError, match="s3://landings/elt returned an unexpected error"):
        gone.write("x", b"")


def test_a_file_that_leads_out_of_the_landing_is_never_fetched(place):
    with pytest.raises(LandingError, match="points outside the landing"), place.fetched(["../../x"]):
        pass


def test_no_secret_is_in_the_manifest_or_in_words(place, records, tmp_path):
    manifest = land_records(place, records, tmp_path / "work", part_bytes=10**9)
    assert SECRET not in json.dumps(asdict(manifest)) + repr(place) + str(place)

    class Broken:
        def get(self, _):
            raise RuntimeError(f"denied for {SECRET}")

    with pytest.raises(LandingUnavailableError) as caught:
        replace(place, objects=replace(place.objects, store=Broken())).read("x")
    assert SECRET not in str(caught.value)
    assert "***" in str(caught.value)


@pytest.mark.parametrize(
    ("url", "kind", "message"),
    [
        ("ftp://host/x", "ftp", ": use a folder, or a URL that starts with s3://, gs://"),
        ("s3://bucket", "google_cloud_platform", 'has the type "google_cloud_platform"; a landing in s3:// .* aws'),
    ],
)
def test_a_url_or_connection_that_does_not_fit_is_refused(url, kind, message):
    with pytest.raises(AccessDeniedError, match=message):
        open_place(url, Connection("landing", kind))


@pytest.mark.parametrize(
    ("url", "extra"), [("gs://bucket", "gcs"), ("abfss://files@acc.dfs.core.windows.net", "azure")]
)
def test_a_package_that_is_missing_is_named_with_its_extra(monkeypatch, url, extra):
    monkeypatch.setattr(opening, "missing", lambda asked: f"package_of_{asked}")
    with pytest.raises(MissingExtraError, match=rf'package_of_{extra}, .* pip install "elt-factory\[{extra}\]"'):
        open_place(url, None)


def test_the_task_finds_the_place_by_variable_and_connection(monkeypatch, address):
    from elt_factory.dag.runtime import landing_place

    given = s3_connection(address)
    fields = {"conn_type": "aws", "login": given.login, "password": given.password, "extra": given.extra}
    monkeypatch.setenv("AIRFLOW_VAR_ELT_LANDING", URL)
    monkeypatch.setenv("AIRFLOW_CONN_LANDING", json.dumps(fields))
    place = landing_place("src", "tab")
    place.below("L1").write("x", b"1")
    assert (str(place), list(place.files())) == (f"{URL}/src/tab", ["L1/x"])


def test_old_landings_are_removed_from_object_storage(any_place, records, tmp_path):
    manifest = land_records(any_place, records, tmp_path / "work", part_bytes=100_000)
    landings = replace(any_place, path="src/tab")
    landings.below("killed").write("attempt/data/part-0.parquet", b"x")
    landings.below("earlier").write("manifest.json", b"of an earlier version")
    write_manifest(landings.below("unloaded"), manifest)
    foreign = replace(manifest, project="another", attempt="0123456789ab")
    write_manifest(any_place, foreign)
    begun, later = datetime.fromisoformat(manifest.started_at), datetime.now(UTC) + timedelta(days=1)
    assert clean_landings(landings, "", dict, datetime.now(UTC) - timedelta(days=1)) == {}
    assert list(clean_landings(landings, "", lambda: {"L1": begun - timedelta(seconds=1)}, later)) == [
        "earlier",
        "killed/attempt",
    ]
    assert read_manifest(any_place, manifest.owner) == manifest
    assert list(clean_landings(landings, "", lambda: {"L1": begun}, later)) == [f"L1/{manifest.attempt}"]
    assert set(landings.files()) == {
        f"unloaded/{manifest.attempt}/manifest.json",
        f"L1/{foreign.attempt}/manifest.json",
    }
    with pytest.raises(LandingError, match="points outside the landing"):
        landings.remove(["../other/x"])


def test_a_refused_access_names_the_place_and_the_connection(place):
    class Refusing:
        def get(self, _):
            raise PermissionError(f"Forbidden for {SECRET}")

    with pytest.raises(AccessDeniedError) as caught:
        replace(place, objects=replace(place.objects, store=Refusing())).read("x")
    assert str(caught.value) == (
        "the landing s3://landings/elt denied access: Forbidden for ***; check the connection landing"
    )


def test_a_key_that_the_storage_does_not_know_is_refused(place, address):
    checking = f"{address}/moto-api/reset-auth"
    httpx.post(checking, content="0").raise_for_status()
    try:
        with pytest.raises(AccessDeniedError, match=r"s3://landings/elt denied access.*check the connection"):
            place.write("x", b"")
    finally:
        httpx.post(checking, content="inf").raise_for_status()


def added(content: bytes) -> bytes:
    return str(int(content or b"0") + 1).encode()


def test_a_small_file_is_changed_by_one_after_the_other(any_place, tmp_path):
    faster = [3]

    def slowly(content: bytes) -> bytes:
        if faster[0]:
            faster[0] -= 1
            any_place.change("turns", added)
        return added(content)

    for _ in range(2):
        any_place.change("turns", slowly)
    assert any_place.read("turns") == b"5"
    assert any_place.changed("turns") == any_place.files()["turns"].modified
    local = LocalPlace(tmp_path / "landing")
    with ThreadPoolExecutor(4) as workers:
        list(workers.map(lambda _: local.change("turns", added), range(20)))
    assert local.read("turns") == b"20"


def test_a_small_file_is_exchanged_whole_by_one_after_the_other(any_place, tmp_path):
    for place, tasks in ((any_place, 4), (LocalPlace(tmp_path / "landing"), 40)):
        seen = []

        def longer(content: bytes) -> bytes:
            return content + b"x" * 1000

        def look(_: object, place=place, seen=seen) -> None:
            place.exchange("manifest", longer)
            seen.append(len(place.read("manifest")))

        with ThreadPoolExecutor(4) as workers:
            list(workers.map(look, range(tasks)))
        assert len(place.read("manifest")) == 1000 * tasks
        assert all(size and size % 1000 == 0 for size in seen)
        assert list(place.files()) == ["manifest"]


def test_what_refuses_an_exchange_leaves_the_file_as_it_is(any_place, tmp_path):
    def refused(content: bytes) -> bytes:
        raise LandingChangedError(f"there is {content.decode()}")

    for place in (any_place, LocalPlace(tmp_path / "landing")):
        for was in (b"", b"another"):
            if was:
                place.write("manifest", was)
            with pytest.raises(LandingChangedError, match=f"^there is {was.decode()}$"):
                place.exchange("manifest", refused)
            assert list(place.files()) == (["manifest"] if was else [])
        assert place.read("manifest") == b"another"


def test_a_folder_that_knows_no_links_has_files_exchanged_all_the_same(tmp_path, monkeypatch):
    def without_links(*_: object) -> None:
        raise OSError(errno.EPERM, "not here")

    monkeypatch.setattr(os, "link", without_links)
    place = LocalPlace(tmp_path)
    for _ in range(2):
        place.exchange("manifest", added)
    assert (place.read("manifest"), list(place.files())) == (b"2", ["manifest"])


@pytest.mark.parametrize("refusal", [errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP])
def test_a_folder_that_knows_no_locks_has_files_exchanged_all_the_same(refusal, tmp_path, monkeypatch):
    def without_locks(*_: object) -> None:
        raise OSError(refusal, "not here")

    monkeypatch.setattr(fcntl, "flock", without_locks)
    place = LocalPlace(tmp_path)
    for _ in range(2):
        place.exchange("manifest", added)
    assert (place.read("manifest"), list(place.files())) == (b"2", ["manifest"])


def test_a_lock_that_fails_otherwise_leaves_the_file_as_it_is(tmp_path, monkeypatch):
    def broken(*_: object) -> None:
        raise OSError(errno.EIO, "broken")

    place = LocalPlace(tmp_path)
    place.exchange("manifest", added)
    monkeypatch.setattr(fcntl, "flock", broken)
    with pytest.raises(OSError, match="broken"):
        place.exchange("manifest", added)
    assert (place.read("manifest"), list(place.files())) == (b"1", ["manifest"])


class WithoutConditions(MemoryStore):
    def put(self, path, file, *, mode=None, **given):
        if mode:
            raise NotImplementedError(f"status code: 501 {mode}")
        return super().put(path, file, **given)


def test_in_a_storage_without_conditions_the_last_change_counts():
    place = RemotePlace(Objects("memory://landings", "", WithoutConditions()), "x")
    for _ in range(3):
        place.change("turns", added)
    assert place.read("turns") == b"3"


def test_a_small_file_that_others_change_all_the_time_is_given_up(monkeypatch):
    class Busy(MemoryStore):
        def put(self, *_, **__):
            raise exceptions.PreconditionError("someone was faster")

    monkeypatch.setattr(remote, "_CHANGES", 3)
    with pytest.raises(LandingUnavailableError, match="others changed x/turns 3 times"):
        RemotePlace(Objects("memory://landings", "", Busy()), "x").change("turns", added)


def _change_without_room(place: LocalPlace, most: int) -> None:
    """Fail within a write, as on a disk that gets full there."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    with pytest.raises(OSError, match="File too large"):
        place.change("turn", lambda content: content * 3)


def test_a_change_for_which_there_is_no_room_leaves_the_file_as_it_was_and_nothing_else(tmp_path):
    place = LocalPlace(tmp_path)
    place.change("turn", lambda _: b"1764342000.25" * 1000)
    process = Forked().Process(target=_change_without_room, args=(place, 20_000))
    process.start()
    process.join(60)
    assert process.exitcode == 0
    assert place.read("turn") == b"1764342000.25" * 1000
    assert list(place.files()) == ["turn"]


def _change_many_times(place: LocalPlace) -> None:
    while True:
        place.change("turn", lambda content: content[-1:] + content[:-1])


def test_a_change_that_is_killed_leaves_the_file_whole(tmp_path):
    place = LocalPlace(tmp_path)
    content = bytes(range(256)) * 4000
    place.write("turn", content)
    for number in range(3):
        process = Forked().Process(target=_change_many_times, args=(place,))
        before = place.read("turn")
        process.start()
        while place.read("turn") == before:
            time.sleep(0.001 * number)
        process.kill()
        process.join(60)
        assert sorted(place.read("turn")) == sorted(content)
