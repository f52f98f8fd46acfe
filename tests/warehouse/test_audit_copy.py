"""The copy of the audit tables next to a DuckDB file: complete, cheap, without secrets, and never in a load's way."""

import sqlite3
import stat
from contextlib import closing
from datetime import UTC, datetime

import pytest

from elt_factory.testing.warehouses.loader import MERGE, Loader, day
from elt_factory.warehouse import audit
from elt_factory.warehouse.duckdb import audit_copy
from elt_factory.warehouse.duckdb.audit_copy import copy_of
from elt_factory.warehouse.duckdb.replica import AuditReplica
from elt_factory.warehouse.duckdb.warehouse import DuckDBWarehouse
from elt_factory.warehouse.rejects import dismiss, reasons, rejected_loads
from elt_factory.warehouse.state import status

SPEC = MERGE | {"columns": {"id": {"type": "integer"}, "name": {"pii": "hash"}}}
LOADS = audit.relation("loads").sql(DuckDBWarehouse.dialect)
pytestmark = pytest.mark.duckdb


@pytest.fixture
def file(tmp_path):
    return tmp_path / "warehouse.duckdb"


def load(file, number, *more, **options):
    with DuckDBWarehouse(file) as warehouse:
        loader = Loader(file.parent / "landing", warehouse, spec=SPEC)
        loader.load([{"id": number, "name": "Ada"}, *more], day(number), **options)


def written(file):
    with DuckDBWarehouse(file) as warehouse:
        return {table: shown(warehouse, table) for table in audit.TABLES}


def shown(warehouse, table):
    """The rows of a table, moments without the class of their zone."""
    return sorted(repr(tuple(map(str, row))) for row in warehouse.query(select(warehouse, table)).rows)


def select(warehouse, table):
    left_out = ("columns", "delta_token", "delta_token_after", *audit_copy._OF_ONE)
    names = tuple(name for name in audit.TABLES[table] if name not in left_out)
    where = " WHERE FALSE" if table in ("files", "unseen_keys") else ""
    return f"SELECT {warehouse.dialect.names(names)} FROM {audit.relation(table).sql(warehouse.dialect)}{where}"


def copied(replica):
    with replica.reading() as found:
        return {table: shown(found, table) for table in audit.TABLES}


def test_a_reader_sees_each_commit_while_another_process_could_have_the_file(file):
    replica = AuditReplica(file)
    with replica.reading() as empty:
        assert (empty.version, empty.written_at, status(empty)) == (0, None, [])
    for number in (1, 2, 3):
        load(file, number, {"id": "x"}, {"id": "y"})
        assert copied(replica) == written(file)
        assert replica.version == number
    load(file, 2)  # the same window without rejects: what it had is healed
    load(file, 1, full_refresh=True)
    assert copied(replica) == written(file)
    assert copied(AuditReplica(file)) == written(file)
    with replica.reading() as found:
        assert found.written_at <= datetime.now(UTC)
        assert {load.state for load in rejected_loads(found, healed=True)} <= {"open", "healed"}


def test_a_reader_of_the_newest_windows_says_of_them_what_a_reader_of_all_says(file):
    load(file, 1, full_refresh=True)
    for number in (3, 4, 5, 6):
        load(file, number, {"id": "x"})
    load(file, 6)  # heals
    load(file, 4, full_refresh=True)
    load(file, 7)
    load(file, 2)  # an old window is the newest commit
    found = []
    for newest in (None, 3):
        with AuditReplica(file, newest).reading() as replica:
            rows = replica.query(
                f"SELECT window_end, loaded_at, replaced_by, rows_loaded FROM {LOADS} ORDER BY 1, 2"
            ).rows
            found.append((rows, [(one.state, one.rows) for one in rejected_loads(replica)]))
    (all_rows, all_rejects), (rows, rejects) = found
    assert set(rows) <= set(all_rows)
    assert [row for row in all_rows if row[0] >= day(5).end] == [row for row in rows if row[0] >= day(5).end]
    assert rows[-1][2] is None
    assert {row[0] for row in rows} >= {day(number).end for number in (2, 4, 5, 6, 7)}
    assert rejects == all_rejects


def test_the_states_of_rejects_are_counted_as_they_are(file):
    load(file, 1, *[{"id": "x"}] * 3, {"id": "y"})
    with DuckDBWarehouse(file) as warehouse:
        assert dismiss(warehouse, "src", "tab", None, who="ann", why="a test") == 4
    load(file, 2, {"id": "z"})
    replica = AuditReplica(file)
    for _ in range(2):
        with replica.reading() as found, DuckDBWarehouse(file) as warehouse:
            shown = [(one.state, one.rows, one.by) for one in rejected_loads(found, healed=True)]
            assert shown == [(one.state, one.rows, one.by) for one in rejected_loads(warehouse, healed=True)]
            assert sorted(shown) == [("dismissed", 4, "ann"), ("open", 1, "")]
        load(file, 1, *[{"id": "x"}] * 3, {"id": "y"})
        with DuckDBWarehouse(file) as warehouse:
            dismiss(warehouse, "src", "tab", loader_id(warehouse), who="ann", why="a test")


def loader_id(warehouse):
    """The load of the first day."""
    return Loader(None, warehouse).load_id(day(1))


def test_rows_that_are_gone_are_gone_from_the_copy(file):
    replica = AuditReplica(file)
    for number in (1, 2, 3):
        load(file, number, {"id": "x"})
    assert len(copied(replica)["rejects"]) == 3
    with DuckDBWarehouse(file) as warehouse:
        warehouse.execute(audit.delete_rejects_before(warehouse.dialect, "src", "tab", datetime.now(UTC)))
    load(file, 4, {"id": "y"})
    assert len(copied(replica)["rejects"]) == 1
    assert copied(replica) == written(file)


def test_what_a_killed_process_did_not_copy_the_next_one_does(file, monkeypatch):
    load(file, 1)
    with monkeypatch.context() as patch:
        patch.setattr(DuckDBWarehouse, "_copy_audit", lambda self: None)
        load(file, 2)
    assert len(copied(AuditReplica(file))["loads"]) == 1
    load(file, 3)
    assert copied(AuditReplica(file)) == written(file)


def test_no_secret_and_no_more_than_a_few_records_are_copied(file):
    load(file, 1, *[{"id": "bad"}] * 10)
    with DuckDBWarehouse(file) as warehouse:
        log = audit.log("loads").sql(warehouse.dialect)
        warehouse.execute(
            f"INSERT INTO {log} BY NAME SELECT * REPLACE ('s3cret' AS delta_token, turn + 1 AS turn) FROM {log}"
        )
    content = b"".join(part.read_bytes() for part in file.parent.iterdir() if part.name.startswith(copy_of(file).name))
    assert b"s3cret" not in content
    assert b"Ada" not in content
    with AuditReplica(file).reading() as found:
        ((total, shown),) = found.query("SELECT count(*), count(record) FROM _elt.rejects").rows
        assert (total, shown) == (10, audit_copy.SAMPLES)
        assert reasons(found, "src", "tab", 5)[0].rows == 10
        assert status(found)[0].cursor == "delta token"


def test_of_rejects_that_each_have_a_reason_of_their_own_the_rest_is_one_row(file, monkeypatch):
    monkeypatch.setattr(audit_copy, "REASONS", 3)
    load(file, 1, *[{"id": f"bad {number}"} for number in range(8)])
    with AuditReplica(file).reading() as found:
        assert next((one.reason[-7:], one.rows) for one in reasons(found, "src", "tab", 9)) == ("reasons", 5)
        assert sum(one.rows for one in reasons(found, "src", "tab", 9)) == 8
        assert found.query("SELECT count(*) FROM _elt.rejects WHERE record IS NULL").rows == [(5,)]


def test_the_copy_is_its_writers_alone(file):
    load(file, 1)
    assert stat.S_IMODE(copy_of(file).stat().st_mode) == 0o600


@pytest.mark.parametrize("damage", ["not a database", "folder", "other version", "locked"])
def test_a_load_never_fails_for_the_copy(file, damage, capsys):
    load(file, 1)
    copy, lock = copy_of(file), None
    if damage == "not a database":
        copy.write_bytes(b"not a database" * 1000)
    elif damage == "folder":
        copy.unlink()
        copy.mkdir()
    elif damage == "other version":
        with closing(sqlite3.connect(copy)) as opened:
            opened.execute("PRAGMA user_version = 1")
            opened.execute("DROP TABLE marks")
            opened.commit()
    else:
        lock = sqlite3.connect(copy, isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
    load(file, 2)
    assert len(written(file)["loads"]) == 2
    if lock:
        lock.close()
    if damage == "folder":
        assert "is not up to date" in capsys.readouterr().out
        copy.rmdir()
    load(file, 3)
    assert copied(AuditReplica(file)) == written(file)


def test_what_is_copied_does_not_grow_with_the_history(file, monkeypatch):
    """Counts, not clocks: the rows that are fetched are those of the last load alone."""
    fetched = []
    kept = audit_copy.update_copy

    def counting(path, dialect, query):
        def ask(statement):
            rows = query(statement)
            fetched.append(len(rows))
            return rows

        kept(path, dialect, ask)

    monkeypatch.setattr("elt_factory.warehouse.duckdb.warehouse.update_copy", counting)
    counts = []
    for number in range(1, 9):
        fetched.clear()
        load(file, number)
        counts.append(list(fetched))
    assert counts[2:] == [counts[1]] * 6
