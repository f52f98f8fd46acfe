"""The DuckDB file: one process at a time, and how it is found."""

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from elt_factory.core.connection import Connection
from elt_factory.core.failures import AccessDeniedError, BadRequestError, WarehouseBusyError, WarehouseDamagedError
from elt_factory.warehouse.base import StatementError
from elt_factory.warehouse.duckdb.warehouse import DuckDBWarehouse, duckdb_path, release_file
from elt_factory.warehouse.opening import open_warehouse

HOLD = """
import duckdb, sys, time
connection = duckdb.connect(sys.argv[1])
print("held", flush=True)
time.sleep(float(sys.argv[2]))
"""


# makes a file as another first run does, slowly
MAKE = """
import duckdb, fcntl, os, sys, time
from pathlib import Path
file, written = Path(sys.argv[1]), int(sys.argv[2])
made = file.with_name("made")
with duckdb.connect(str(made)) as connection:
    connection.execute("CREATE TABLE t AS SELECT 1 AS a")
content = made.read_bytes()
fcntl.flock(os.open(file.parent, os.O_RDONLY), fcntl.LOCK_EX)
with file.open("wb") as out:
    out.write(content[:written])
    out.flush()
    print("begun", flush=True)
    time.sleep(0.5)
    out.write(content[written:])
"""


def hold(path, seconds):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path), str(seconds)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


@pytest.fixture
def file(tmp_path):
    return tmp_path / "new folder" / "warehouse.duckdb"


@pytest.mark.duckdb
def test_file_and_folder_are_created(file):
    with DuckDBWarehouse(file):
        pass
    assert file.exists()


@pytest.mark.services
def test_a_file_that_another_process_has_is_waited_for_and_said(file):
    with DuckDBWarehouse(file):
        pass
    told, process = [], hold(file, 1.5)
    try:
        with DuckDBWarehouse(file, patience=30, log=told.append) as opened:
            assert opened.query("SELECT 1").rows == [(1,)]
    finally:
        process.wait()
    assert told == [f"waiting for the warehouse warehouse.duckdb: in use by process {process.pid}"]


@pytest.mark.services
def test_after_its_patience_it_says_who_has_the_file(file):
    with DuckDBWarehouse(file):
        pass
    process = hold(file, 60)
    try:
        started = time.monotonic()
        with pytest.raises(WarehouseBusyError, match=f"still in use by process {process.pid} after 1 s; try again"):
            DuckDBWarehouse(file, patience=1, log=lambda _: None)
        assert 1 <= time.monotonic() - started < 5
    finally:
        process.kill()
        process.wait()


@pytest.mark.duckdb
def test_a_file_that_is_no_warehouse_is_not_waited_for(tmp_path):
    path = tmp_path / "lock" / "padlock.duckdb"
    path.parent.mkdir()
    path.write_text("no warehouse " * 1000)
    with pytest.raises(WarehouseDamagedError, match="is damaged or not a DuckDB file"):
        DuckDBWarehouse(path, patience=60)


@pytest.mark.duckdb
@pytest.mark.parametrize("written", [0, 4096])
def test_a_file_that_another_process_is_just_making_is_waited_for(file, written):
    """Two first runs: one found the other's file without its headers, and failed for good."""
    file.parent.mkdir()
    maker = subprocess.Popen([sys.executable, "-c", MAKE, str(file), str(written)], stdout=subprocess.PIPE, text=True)
    assert maker.stdout.readline() == "begun\n"
    with DuckDBWarehouse(file, patience=60, log=lambda _: None) as opened:
        assert opened.query("SELECT a FROM t").rows == [(1,)]
    assert maker.wait() == 0


@pytest.mark.duckdb
def test_a_file_whose_maker_was_killed_before_it_wrote_anything_is_made_again(file):
    file.parent.mkdir()
    file.touch()
    with DuckDBWarehouse(file) as opened:
        opened.execute("CREATE TABLE t AS SELECT 1 AS a")
    with DuckDBWarehouse(file) as opened:
        assert opened.query("SELECT a FROM t").rows == [(1,)]


@pytest.mark.duckdb
def test_two_connections_of_one_process_share_the_file(file):
    with DuckDBWarehouse(file) as one, DuckDBWarehouse(file) as two:
        one.execute("CREATE TABLE t AS SELECT 1 AS a")
        assert two.query("SELECT a FROM t").rows == [(1,)]


@pytest.mark.duckdb
def test_connections_that_make_the_audit_tables_at_the_same_moment_all_find_them(file):
    """Two missed deadlines of one moment, before the first load: the warning of one was lost."""
    opened = [DuckDBWarehouse(file) for _ in range(6)]
    together = threading.Barrier(len(opened))

    def prepare(warehouse: DuckDBWarehouse) -> None:
        together.wait()
        warehouse.prepare()

    with ThreadPoolExecutor(len(opened)) as pool:
        list(pool.map(prepare, opened))
    for warehouse in opened:
        assert warehouse.query("SELECT count(*) FROM _elt.deadline_misses").rows == [(0,)]
        warehouse.close()


@pytest.mark.services
def test_closing_lets_other_processes_in(file):
    with DuckDBWarehouse(file):
        pass
    process = hold(file, 0)
    assert process.wait() == 0


def test_releasing_without_dbt_connections_does_nothing():
    release_file()


def connection(**fields):
    return Connection("warehouse", **fields)


def test_a_relative_host_is_below_the_project(tmp_path):
    assert duckdb_path(connection(conn_type="duckdb", host="x/y.duckdb"), tmp_path) == tmp_path / "x/y.duckdb"
    assert duckdb_path(connection(conn_type="duckdb"), tmp_path) == tmp_path / "data/warehouse.duckdb"
    assert str(duckdb_path(connection(conn_type="duckdb", host="/abs.duckdb"), tmp_path)) == "/abs.duckdb"


def test_a_uri_of_three_slashes_is_refused_and_never_the_default_file(tmp_path):
    with pytest.raises(BadRequestError, match="names its file in `schema`"):
        duckdb_path(connection(conn_type="duckdb", host="", schema="data/mine.duckdb"), tmp_path)


def test_a_schema_that_is_not_a_file_leaves_the_default_file(tmp_path):
    assert duckdb_path(connection(conn_type="duckdb", schema="main"), tmp_path) == tmp_path / "data/warehouse.duckdb"


@pytest.mark.duckdb
def test_the_connections_type_picks_the_warehouse(tmp_path):
    with open_warehouse(connection(conn_type="duckdb", host="w.duckdb"), tmp_path, print) as opened:
        assert isinstance(opened, DuckDBWarehouse)


def test_another_type_is_refused(tmp_path):
    with pytest.raises(AccessDeniedError, match='has the type "sqlite"; a warehouse needs type duckdb or snowflake'):
        open_warehouse(connection(conn_type="sqlite"), tmp_path, print)


@pytest.mark.duckdb
def test_a_config_that_is_called_as_the_file_is_a_clear_error(tmp_path):
    with DuckDBWarehouse(tmp_path / "shop.duckdb") as warehouse:
        warehouse.execute("CREATE SCHEMA shop")
        with pytest.raises(StatementError, match=r"shop\.duckdb and a config are both called shop .*hint: rename"):
            warehouse.execute('CREATE TABLE "shop"."orders" (id INTEGER)')
