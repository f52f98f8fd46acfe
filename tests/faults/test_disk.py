"""A disk that is full for real, a damaged warehouse file, and what killed tasks leave in the scratch folder."""

import multiprocessing
import os
import subprocess
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest
from kill_support import TARGET, Task
from orphans_support import assert_nothing_orphaned

from elt_factory.core import disk
from elt_factory.core.disk import LOCK, scratch_folder, sweep
from elt_factory.core.failures import (
    AccessDeniedError,
    DiskFullError,
    EltError,
    LandingError,
    TransientError,
    WarehouseDamagedError,
    WarehouseUnavailableError,
)
from elt_factory.extract.request import ReadRequest, Spool
from elt_factory.landing import land as land_module
from elt_factory.landing.land import land
from elt_factory.landing.places import LocalPlace
from elt_factory.landing.request import LandRequest
from elt_factory.landing.schema import KnownTable
from elt_factory.sources.read import read
from elt_factory.testing.warehouses.loader import newest
from elt_factory.warehouse.duckdb.warehouse import DuckDBWarehouse
from elt_factory.warehouse.order import LoadOrder

MEGABYTES = 6


@pytest.fixture
def small(tmp_path):
    """A disk of a few megabytes."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", str(folder)],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip(f"a disk can be made by root only: {mounted.stderr.decode()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def records(folder: Path, rows: int = 60_000) -> Spool:
    file = folder / "records.parquet"
    text = "SELECT range AS id, md5(range::VARCHAR) || sha256(range::VARCHAR) AS v"
    duckdb.execute(f"COPY ({text} FROM range({rows})) TO '{file}' (FORMAT parquet)")
    return Spool("parquet", (file,), rows)


def fill_up(folder: Path) -> None:
    with (folder / "other").open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)


def request_of(spool: Spool, workdir: Path, landing: Path) -> LandRequest:
    workdir.mkdir(exist_ok=True)
    task = Task(workdir, "replace", 1)
    known = KnownTable("src", "tab", task.table.model_copy(update={"columns": {}}), None)
    place = LocalPlace(landing).below(task.load_id)
    return LandRequest(known, task.window, task.load_id, spool, place, workdir, print)


def order_of(request: LandRequest) -> LoadOrder:
    return LoadOrder(newest(request.place), request.place, TARGET, "replace", (), "run")


def assert_next_try_is_whole(request: LandRequest, landing: Path, warehouse: Path) -> None:
    """What the next try brings is there once, and of the one before nothing is left."""
    land(request)
    with DuckDBWarehouse(warehouse) as opened:
        report = opened.load(order_of(request))
        rows = request.spool.rows_read
        assert (report.rows_read, report.rows_loaded, report.rows_rejected, report.rows_duplicate) == (rows, rows, 0, 0)
        assert opened.query("SELECT count(*), count(DISTINCT id) FROM src.tab").rows == [(rows, rows)]
        assert_nothing_orphaned(opened, LocalPlace(landing), "")


def test_a_full_landing_is_named_with_its_path_and_leaves_nothing_behind(small, tmp_path):
    request = request_of(records(tmp_path), tmp_path / "work", small / "landing")
    (small / "other").write_bytes(b"x" * (MEGABYTES - 1) * 2**20)
    with pytest.raises(
        DiskFullError,
        match=r"src\.tab: disk full or quota exceeded.*small/landing/\S+ \(.* MB free now\).*free some",
    ):
        land(request)
    assert list((small / "landing").rglob("*.parquet")) == []
    (small / "other").unlink()
    again = request_of(records(tmp_path, 1000), tmp_path / "work", small / "landing")
    assert_next_try_is_whole(again, small / "landing", tmp_path / "warehouse.duckdb")


def test_a_full_disk_as_the_manifest_is_written_is_named(small, tmp_path, monkeypatch):
    request = request_of(records(tmp_path, 1000), tmp_path / "work", small / "landing")
    real = land_module.write_manifest

    def fill(*given):
        with pytest.raises(OSError, match="No space left"):
            fill_up(small)
        real(*given)

    with monkeypatch.context() as patched:
        patched.setattr(land_module, "write_manifest", fill)
        with pytest.raises(DiskFullError, match=r"src\.tab: disk full or quota exceeded"):
            land(request)
    (small / "other").unlink()
    again = request_of(records(tmp_path, 1000), tmp_path / "work", small / "landing")
    assert_next_try_is_whole(again, small / "landing", tmp_path / "warehouse.duckdb")


def test_a_full_scratch_disk_is_named(small, tmp_path, monkeypatch):
    monkeypatch.setenv("ELT_CONTRACT_MEMORY", "200MB")
    request = request_of(records(tmp_path, 300_000), small / "work", tmp_path / "landing")
    # records with a condition are staged before they are landed
    table = request.known.table.model_copy(update={"where": "v IS NOT NULL"})
    request = replace(request, known=replace(request.known, table=table))
    with pytest.raises(DiskFullError, match=r"src\.tab: disk full or quota exceeded.*small/work"):
        land(request)
    assert not (tmp_path / "landing").exists() or not list((tmp_path / "landing").rglob("manifest.json"))
    again = request_of(records(tmp_path, 1000), small / "work", tmp_path / "landing")
    assert_next_try_is_whole(again, tmp_path / "landing", tmp_path / "warehouse.duckdb")


def test_a_full_scratch_disk_is_named_while_the_source_is_read(small, tmp_path):
    import sqlite3
    from contextlib import closing

    from elt_factory.core.connection import Connection
    from elt_factory.sources.sql.model import SqlSource

    file = tmp_path / "shop.db"
    with closing(sqlite3.connect(file)) as database:
        database.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)")
        numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 150000)"
        database.execute(f"INSERT INTO t {numbers} SELECT i, hex(randomblob(64)) FROM n")
        database.commit()
    fields = {"name": "src", "extract": {"type": "sql", "connection": "c"}, "tables": {"t": {}}}
    connection = Connection("c", "sqlite", host=str(file))
    source, window = SqlSource.model_validate(fields), Task(tmp_path, "replace", 1).window
    with pytest.raises(DiskFullError, match=r"src\.t: disk full or quota exceeded.*small"):
        read(ReadRequest(source, "t", window, "L1", connection, small, tmp_path, print))


def insert_much(warehouse: DuckDBWarehouse) -> None:
    for _ in range(20):
        with warehouse.transaction():
            warehouse.execute("INSERT INTO t SELECT range FROM range(2000000) ORDER BY hash(range)")


def test_a_full_disk_of_the_warehouse_is_named_and_what_was_committed_stays(small):
    with DuckDBWarehouse(small / "warehouse.duckdb") as warehouse:
        warehouse.execute("CREATE TABLE t AS SELECT 1 AS id")
    with DuckDBWarehouse(small / "warehouse.duckdb") as warehouse:
        with pytest.raises(
            DiskFullError, match=r"the warehouse .*small/warehouse\.duckdb: disk full or quota exceeded"
        ):
            insert_much(warehouse)
        with pytest.raises(EltError):
            warehouse.query("SELECT 1 FROM nothing")
    with DuckDBWarehouse(small / "warehouse.duckdb") as warehouse:
        assert warehouse.query("SELECT count(*) >= 1 FROM t").rows == [(True,)]


def test_a_load_that_fills_the_disk_of_the_warehouse_changes_nothing_and_the_next_one_is_right(small, tmp_path):
    request = request_of(records(tmp_path, 200_000), tmp_path / "work", tmp_path / "landing")
    land(request)
    with DuckDBWarehouse(small / "warehouse.duckdb") as warehouse:
        full = r"small/warehouse\.duckdb: disk full or quota exceeded"
        with pytest.raises(DiskFullError, match=full):
            warehouse.load(order_of(request))
    with DuckDBWarehouse(small / "warehouse.duckdb") as warehouse:
        # the table is made before its rows are written
        assert warehouse.query("SELECT * FROM src.tab").rows == warehouse.query("FROM _elt.loads").rows == []
    again = request_of(records(tmp_path, 1000), tmp_path / "work", tmp_path / "landing")
    assert_next_try_is_whole(again, tmp_path / "landing", small / "warehouse.duckdb")
    left = {file.name for file in small.iterdir()}
    assert left <= {"warehouse.duckdb", "warehouse.duckdb.audit"}


def test_a_disk_that_is_full_is_tried_again():
    assert issubclass(DiskFullError, TransientError)


@pytest.mark.parametrize("content", [b"x", b"id,v\n" * 10_000], ids=["short", "text"])
def test_a_file_that_is_not_a_warehouse_is_an_error_of_its_own(tmp_path, content):
    file = tmp_path / "warehouse.duckdb"
    file.write_bytes(content)
    with pytest.raises(WarehouseDamagedError, match=r"warehouse\.duckdb is damaged or not a DuckDB file: restore"):
        DuckDBWarehouse(file)


def test_a_folder_in_place_of_a_warehouse_is_an_error_of_its_own(tmp_path):
    with pytest.raises((WarehouseUnavailableError, AccessDeniedError), match=r"warehouse .* Is a directory"):
        DuckDBWarehouse(tmp_path)


def test_a_flipped_byte_anywhere_in_a_warehouse_is_an_error_of_its_own_or_harmless(tmp_path):
    whole, file = tmp_path / "whole.duckdb", tmp_path / "warehouse.duckdb"
    with DuckDBWarehouse(whole) as warehouse:
        warehouse.execute("CREATE TABLE t AS SELECT range AS id, hash(range)::VARCHAR AS v FROM range(50000)")
        right = warehouse.query("SELECT count(*), sum(id), max(v) FROM t").rows
    content, damaged = whole.read_bytes(), 0
    for at in range(0, len(content), len(content) // 40):
        changed = bytearray(content)
        changed[at] ^= 0xFF
        file.write_bytes(changed)
        try:
            with DuckDBWarehouse(file) as warehouse:
                assert warehouse.query("SELECT count(*), sum(id), max(v) FROM t").rows == right
        except WarehouseDamagedError:
            damaged += 1
    assert damaged > 10


def _hold_scratch(there, *, end: bool) -> None:
    with scratch_folder() as folder:
        (folder / "records.ndjson").write_text("{}\n")
        there.send(str(folder))
        there.recv()
        if not end:
            os.kill(os.getpid(), 9)


@pytest.fixture
def scratch(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setattr(disk, "_YOUNG", -1)
    return folder


def task_of(scratch: Path, *, end: bool):
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=_hold_scratch, args=(there,), kwargs={"end": end})
    process.start()
    return process, here, Path(here.recv()).parent


def test_what_a_killed_task_left_is_swept_and_what_a_living_one_has_is_not(scratch):
    living, to_living, lived_in = task_of(scratch, end=True)
    killed, to_killed, left = task_of(scratch, end=False)
    to_killed.send("die")
    killed.join()
    assert {lived_in, left} == set(scratch.iterdir())
    with scratch_folder() as own:
        assert set(scratch.iterdir()) == {lived_in, own.parent}
    to_living.send("end")
    living.join()
    assert list(scratch.iterdir()) == []


def test_only_scratch_folders_of_our_own_are_swept(scratch, monkeypatch, tmp_path):
    """Neither what has such a name by chance, nor another user's, nor a link."""
    outside = tmp_path / "outside"
    for folder in (scratch / "elt-project", outside, scratch / "elt-other-user"):
        folder.mkdir()
        (folder / "file").write_text("kept")
    (outside / LOCK).touch()
    (scratch / "elt-link").symlink_to(outside)
    assert sweep() == []
    (scratch / "elt-other-user" / LOCK).touch()
    with monkeypatch.context() as patched:
        patched.setattr(os, "getuid", lambda: 4711)
        assert sweep() == []
    assert sweep() == [scratch / "elt-other-user"]
    assert (outside / "file").read_text() == (scratch / "elt-project" / "file").read_text() == "kept"


def test_a_folder_that_is_just_made_is_left_to_its_task(scratch, monkeypatch):
    monkeypatch.setattr(disk, "_YOUNG", 60)
    folder = scratch / "elt-new"
    folder.mkdir()
    (folder / LOCK).touch()
    assert sweep() == []
    old = time.time() - 61
    os.utime(folder / LOCK, (old, old))
    assert sweep() == [folder]


def test_a_landed_file_that_the_disk_does_not_give_is_an_error_that_says_so(tmp_path):
    task = Task(tmp_path, "replace", 1)
    task.land()
    order = task.order()
    part = task.landing.folder / order.manifest.files[0].path
    part.unlink()
    with task.open() as warehouse:
        with pytest.raises(LandingError, match="incomplete"):
            warehouse.load(order)
        part.mkdir()
        with pytest.raises(EltError, match="cannot read landing"):
            warehouse.load(order)
        assert warehouse.columns(TARGET) is None
