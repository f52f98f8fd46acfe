"""A warehouse of an older version, whose audit tables were tables, is taken over with every row of them."""

import pytest

from elt_factory.testing.warehouses.loader import Crash, Loader, counted, day
from elt_factory.warehouse import audit, state, statements
from elt_factory.warehouse.dialect import Relation

OLD_TURNS = "CREATE TABLE _elt.turns (source VARCHAR, table_name VARCHAR, turn VARCHAR)"


def old_row(table: str, **values) -> dict:
    return dict.fromkeys(audit.TABLES[table]) | {"source": "src", "table_name": "tab"} | values


@pytest.fixture
def old(warehouse, tmp_path) -> Loader:
    """What the version before left: tables under the known names, and two loads of which a refresh replaced one."""
    d, loader = warehouse.dialect, Loader(tmp_path / "landing", warehouse)
    warehouse.create_schema("_elt")
    for table in audit.LOGS:
        warehouse.execute(statements.create_table(d, audit.relation(table), audit.columns(table)))
    warehouse.execute(OLD_TURNS)
    common = {"rows_read": 1, "rows_loaded": 1, "rows_rejected": 0, "rows_duplicate": 0, "full_refresh": False}
    ids = [loader.load_id(day(number)) for number in (1, 2)]
    rows = {
        "loads": [
            old_row("loads", load_id=ids[0], loaded_at=day(1).end, window_start=day(1).start, replaced_by=ids[1])
            | {"window_end": day(1).end}
            | common,
            old_row("loads", load_id=ids[1], loaded_at=day(2).end, window_start=day(2).start)
            | {"window_end": day(2).end}
            | common,
        ],
        "rejects": [old_row("rejects", load_id=ids[1], reason="r", record="{", rejected_at=day(2).end)],
        "schema_changes": [
            old_row("schema_changes", load_id=ids[1], column_name=name, change="added", changed_at=day(2).end)
            for name in "ab"
        ],
        "quality_results": [
            old_row("quality_results", run_id="r", task_id="t", kind="check", check_name=name, checked_at=day(2).end)
            for name in "xy"
        ],
    }
    for table, of_table in rows.items():
        names = tuple(audit.TABLES[table])
        for row in of_table:
            values = ", ".join(d.literal(row[name]) for name in names)
            place = audit.relation(table).sql(d)
            warehouse.execute(f"INSERT INTO {place} ({d.names(names)}) SELECT {values}")
    return loader


def said(warehouse) -> dict[str, list]:
    """All rows under the known names."""
    d, found = warehouse.dialect, {}
    for table in audit.LOGS:
        names = d.names(tuple(audit.TABLES[table]))
        found[table] = sorted(warehouse.query(f"SELECT {names} FROM _elt.{table}").rows, key=repr)
    return found


def test_every_row_is_there_under_the_known_names(old, warehouse):
    before = said(warehouse)
    warehouse.prepare()
    assert said(warehouse) == before
    assert {table: len(rows) for table, rows in before.items()} == {
        "loads": 2,
        "rejects": 1,
        "schema_changes": 2,
        "quality_results": 2,
        "metrics": 0,
    }
    assert warehouse.columns(Relation("_elt", "turns")) is None


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_crash_at_any_statement_of_it_loses_nothing(old, warehouse, monkeypatch, moment):
    before, at = said(warehouse), 0
    while True:
        at += 1
        with monkeypatch.context() as patched:
            counted(warehouse, patched, at, moment)
            try:
                warehouse.prepare()
            except Crash:
                # whoever reads in between finds the loads, and no load from the beginning
                assert state.audited(warehouse)
                assert len(state.committed_loads(warehouse, "src", "tab", day(1, days=5))) == 1
                continue
        break
    assert at >= 2
    assert said(warehouse) == before


def test_two_connections_that_take_over_at_once_lose_nothing(old, warehouse, connect):
    before = said(warehouse)
    with connect() as other:
        real = other.execute

        def first_the_other(statement):
            if "RENAME TO" in statement and "load_log" in statement.lower():
                warehouse.prepare()
            return real(statement)

        other.execute = first_the_other
        other.prepare()
        assert said(other) == before


def test_loads_go_on_from_what_was_taken_over(old, warehouse):
    """A window loaded again, and then a full refresh, over rows that have no number of a commit."""
    old.load([{"id": 1}], day(2))
    assert old.audit("rejects", "reason") == []
    assert [len(old.audit(table, "load_id")) for table in ("loads", "load_log")] == [2, 3]
    old.load([{"id": 1}], day(3), full_refresh=True)
    refresh = old.load_id(day(3))
    replaced = dict(old.audit("loads", "load_id", "replaced_by"))
    assert replaced == {old.load_id(day(1)): refresh, old.load_id(day(2)): refresh, refresh: None}


def test_the_number_of_a_later_commit_is_above_every_earlier_one(old, warehouse):
    old.load([{"id": 1}], day(2))
    old.load([{"id": 1}], day(3))
    warehouse.execute(statements.drop_table(warehouse.dialect, audit.turn("src", "tab")))
    old.load([{"id": 2}], day(3))
    assert old.audit("load_log", "coalesce(turn, 0)") == [(0,), (0,), (1,), (2,), (3,)]
    [status] = state.status(warehouse)
    assert status.last_load_id == old.load_id(day(3))
