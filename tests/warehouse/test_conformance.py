"""What every warehouse must do. Loads are tried twice wherever it could matter."""

import json
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from warehouse_support import MERGE, MERGE_BY_CURSOR, Loader, crashes, day, everything

from elt_factory.config.models.values import ColumnType
from elt_factory.core.failures import AccountingError, BadDataError, ContractError, LandingError
from elt_factory.warehouse import state
from elt_factory.warehouse.base import LoadReport, StatementError
from elt_factory.warehouse.dialect import Relation
from elt_factory.warehouse.duckdb.warehouse import DuckDBWarehouse
from landings import newest

AB = [{"id": 1, "v": "a"}, {"id": 2, "v": "b"}]

# Write dispositions


@pytest.mark.parametrize("disposition", ["append", "merge", "replace"])
def test_a_load_twice_is_as_one(loader, disposition):
    loader.spec = {"write_disposition": disposition, "primary_key": ["id"]}
    for _ in range(2):
        report = loader.load([*AB, "{"])
        assert report == LoadReport(rows_read=3, rows_loaded=2, rows_rejected=1, rows_duplicate=0, total_rows=2)
        assert loader.rows("id", "v") == [(1, "a"), (2, "b")]
        assert len(loader.audit("loads", "load_id")) == len(loader.audit("rejects", "load_id")) == 1


def test_append_adds_the_rows_of_every_window(loader):
    for number in (1, 2, 3):
        loader.load(AB, day(number))
    assert len(loader.rows()) == 6


def test_append_of_an_old_window_again_replaces_its_rows_only(loader):
    for number in (1, 2):
        loader.load([{"id": number}], day(number))
    loader.load([{"id": 9}], day(1))
    assert loader.rows("id") == [(2,), (9,)]


def test_merge_replaces_rows_of_the_same_key(loader):
    loader.spec = MERGE
    loader.load(AB, day(1))
    report = loader.load([{"id": 2, "v": "B"}, {"id": 3, "v": "C"}], day(2))
    assert loader.rows("id", "v") == [(1, "a"), (2, "B"), (3, "C")]
    assert (report.rows_loaded, report.total_rows) == (2, 3)


def test_merge_by_several_keys_compares_all_of_them(loader):
    loader.spec = {"write_disposition": "merge", "primary_key": ["a", "b"]}
    loader.load([{"a": 1, "b": 1, "v": 1}, {"a": 1, "b": 2, "v": 2}], day(1))
    loader.load([{"a": 1, "b": 2, "v": 3}], day(2))
    assert loader.rows("a", "b", "v") == [(1, 1, 1), (1, 2, 3)]


def test_merge_of_an_old_window_again_overwrites_nothing_newer(loader):
    loader.spec = MERGE_BY_CURSOR
    old = [{"id": 1, "u": 10, "v": "old"}, {"id": 2, "u": 11, "v": "old"}]
    loader.load(old, day(1))
    loader.load([{"id": 1, "u": 20, "v": "new"}], day(2))
    report = loader.load(old, day(1))
    assert loader.rows("id", "v") == [(1, "new"), (2, "old")]
    assert (report.rows_loaded, report.rows_duplicate) == (1, 1)
    assert loader.audit("loads", "rows_read", "rows_loaded", "rows_duplicate") == [(1, 1, 0), (2, 1, 1)]


def test_merge_with_an_equal_cursor_takes_what_comes(loader):
    loader.spec = MERGE_BY_CURSOR
    loader.load([{"id": 1, "u": 10, "v": "a"}], day(1))
    loader.load([{"id": 1, "u": 10, "v": "b"}], day(2))
    assert loader.rows("v") == [("b",)]


def test_merge_without_a_cursor_value_never_overwrites_one_with(loader):
    loader.spec = MERGE_BY_CURSOR
    loader.load([{"id": 1, "u": 10, "v": "a"}, {"id": 2, "u": None, "v": "a"}], day(1))
    loader.load([{"id": 1, "u": None, "v": "b"}, {"id": 2, "u": None, "v": "b"}, {"id": 3, "v": "b"}], day(2))
    assert loader.rows("id", "v") == [(1, "a"), (2, "b"), (3, "b")]


def test_merge_where_no_row_ever_had_a_cursor_value(loader):
    loader.spec = MERGE_BY_CURSOR
    for value in ("a", "b"):
        loader.load([{"id": 1, "u": None, "v": value}])
    assert loader.rows("id", "v") == [(1, "b")]


def test_replace_exchanges_the_whole_table(loader):
    loader.spec = {"write_disposition": "replace"}
    loader.load(AB, day(1))
    loader.load([{"id": 9, "v": "z"}], day(2))
    assert loader.rows("id") == [(9,)]


def test_replace_by_nothing_is_an_empty_table(loader):
    loader.spec = {"write_disposition": "replace"}
    loader.load(AB, day(1))
    loader.load([], day(2))
    assert loader.rows("id") == []


def test_a_full_refresh_starts_over(loader):
    loader.spec = MERGE_BY_CURSOR
    loader.load([{"id": 1, "u": 10, "v": "a"}, "{"], day(1))
    loader.load([{"id": 2, "u": 20, "v": "b"}, "["], day(2))
    report = loader.load([{"id": 1, "u": 5, "v": "c"}], day(1, days=2), full_refresh=True)
    assert (loader.rows("id", "v"), report.total_rows) == ([(1, "c")], 1)
    assert loader.audit("rejects", "reason") == []
    refresh = loader.load_id(day(1, days=2))
    assert loader.audit("loads", "cursor_value", "full_refresh", "coalesce(replaced_by, '')") == [
        ("10", False, refresh),
        ("20", False, refresh),
        ("5", True, ""),
    ]


def test_a_window_loaded_after_a_full_refresh_counts_again(loader):
    loader.spec = MERGE
    loader.load(AB, day(1))
    loader.load(AB, day(1, days=2), full_refresh=True)
    loader.load([{"id": 9}], day(1))
    assert loader.audit("loads", "rows_loaded", "coalesce(replaced_by, '')") == [(1, ""), (2, "")]


def test_a_full_refresh_twice_is_as_one(loader):
    loader.spec = MERGE_BY_CURSOR
    loader.load([{"id": 1, "u": 10}], day(1))
    for _ in range(2):
        loader.load([{"id": 2, "u": 5}, "{"], day(1, days=2), full_refresh=True)
        assert (loader.rows("id"), len(loader.audit("loads", "load_id"))) == ([(2,)], 2)
        assert len(loader.audit("rejects", "reason")) == 1


# Nothing to load


@pytest.mark.parametrize("disposition", ["append", "merge", "replace"])
def test_an_empty_window_is_committed_too(loader, disposition):
    loader.spec = {"write_disposition": disposition, "primary_key": ["id"]}
    assert loader.load([]) == LoadReport(0, 0, 0, 0, 0)
    assert loader.audit("loads", "rows_read", "rows_loaded", "files") == [(0, 0, 0)]


def test_an_empty_window_leaves_the_rows_of_others(loader):
    loader.load(AB, day(1))
    loader.load([], day(2))
    assert len(loader.rows()) == 2


def test_a_window_that_is_empty_the_second_time_takes_its_rows_away(loader):
    loader.load(AB)
    loader.load([])
    assert loader.rows("id") == []


@pytest.mark.parametrize("full_refresh", [False, True])
@pytest.mark.parametrize("disposition", ["append", "merge", "replace", "scd2"])
def test_a_load_of_only_rejects_fails_keeps_them_and_gives_up_no_row(loader, disposition, full_refresh):
    loader.spec = {"write_disposition": disposition, "primary_key": ["id"]}
    loader.load(AB, day(1))
    for _ in range(2):
        with pytest.raises(BadDataError, match=r"src\.tab: none of the 2 rows read is valid, for example: .*line 1"):
            loader.load(["{", "5"], day(2), full_refresh=full_refresh)
        assert len(loader.audit("rejects", "reason")) == 2
        assert loader.rows("id", "v") == [(1, "a"), (2, "b")]
        rows = loader.audit("loads", "window_start", "rows_read", "rows_loaded", "rows_rejected", "replaced_by")
        assert [row[1:] for row in rows] == [(2, 2, 0, None), (2, 0, 2, None)]
    loader.load([*AB, "{"], day(2))
    assert len(loader.audit("rejects", "reason")) == 1


def only_rejects(loader, *records, full_refresh=False) -> None:
    with pytest.raises(BadDataError, match="rows read is valid"):
        loader.load(list(records), day(2), full_refresh=full_refresh)


def rejected_lines(loader) -> list[str]:
    return sorted(json.loads(record)["line"] for (record,) in loader.audit("rejects", "record"))


@pytest.mark.parametrize("disposition", ["append", "merge", "replace", "scd2"])
def test_a_window_that_is_run_again_and_brings_only_rejects_is_as_it_was(loader, disposition):
    """The load that fails changes neither rows nor account nor cursor; its rejects are kept beside the earlier ones."""
    loader.spec = {"write_disposition": disposition, "primary_key": ["id"]}
    columns = ("run_id", "rows_read", "rows_loaded", "rows_rejected", "columns")
    loader.load([*AB, "{"], day(2), run_id="good")
    rows, account = loader.rows(), loader.audit("loads", *columns)
    for record in ("5", "6"):
        only_rejects(loader, record, record)
        assert (loader.rows(), loader.audit("loads", *columns)) == (rows, account)
        assert rejected_lines(loader) == [record, record, "{"]
    [status] = state.status(loader.warehouse)
    assert (status.rows_loaded, status.rejected_rows) == (2, 1)
    loader.load(["7", *AB], day(2))
    assert rejected_lines(loader) == ["7"]


def test_only_rejects_leave_a_full_refresh_and_its_cursor_as_they_are(loader):
    loader.spec = {"write_disposition": "append", "incremental": {"cursor": "id"}}
    loader.load([{"id": 1}, {"id": 9}], day(2), full_refresh=True)
    only_rejects(loader, "5", full_refresh=True)
    only_rejects(loader, "5")
    assert loader.rows("id") == [(1,), (9,)]
    assert loader.audit("loads", "full_refresh", "cursor_value", "rows_loaded", "replaced_by") == [(True, "9", 2, None)]


def test_a_first_load_of_only_rejects_fails_too(loader):
    with pytest.raises(BadDataError, match="none of the 1 rows read is valid"):
        loader.load(["{"])
    assert len(loader.audit("rejects", "reason")) == 1


# Values and names

RECORD = {
    "text": 'it\'s "quoted" \\ ☃\n',
    "integer": 2**63 - 1,
    "float": 0.1,
    "decimal": "12345678901234567890123456789.123456789",
    "boolean": True,
    "date": "2013-01-31",
    "time": "23:59:59.999999",
    "timestamp": "2013-01-31T10:00:00.123456+02:00",
    "datetime": "2013-01-31 10:00:00.123456",
    "binary": "00ff",
}
TYPES = {name: "decimal(38,9)" if name == "decimal" else name for name in RECORD}


def test_every_type_arrives_as_it_was(loader, warehouse):
    loader.spec = {"columns": {name: {"type": kind} for name, kind in TYPES.items()}}
    nothing = dict.fromkeys(RECORD)
    loader.load([RECORD, nothing])
    found = warehouse.columns(loader.target)
    assert {name: str(found[name]) for name in RECORD} == TYPES
    row = next(row for row in loader.rows(*RECORD) if row[0] is not None)
    assert row[:5] == (RECORD["text"], 2**63 - 1, 0.1, Decimal(RECORD["decimal"]), True)
    assert [str(value) for value in row[5:7]] == ["2013-01-31", "23:59:59.999999"]
    assert row[7].astimezone(UTC) == datetime(2013, 1, 31, 8, 0, 0, 123456, tzinfo=UTC)
    assert row[8:] == (datetime(2013, 1, 31, 10, 0, 0, 123456), b"\x00\xff")  # noqa: DTZ001 - a wall-clock time
    assert (None,) * len(RECORD) in loader.rows(*RECORD)


def test_json_can_be_looked_into(loader, warehouse):
    loader.load([{"id": 1, "j": {"a": [1, 2]}}])
    assert str(warehouse.columns(loader.target)["j"]) == "json"
    look = {"JSON": "j.a", "VARIANT": "j:a"}[warehouse.dialect.types["json"]]
    [(found,)] = warehouse.query(f"SELECT {look} FROM {loader.target.sql(warehouse.dialect)}").rows
    assert json.loads(found) == [1, 2]


def test_own_columns_say_which_load_a_row_came_with_and_when(loader):
    before = datetime.now(UTC) - timedelta(seconds=1)
    loader.load(AB)
    for load_id, loaded_at in loader.rows("_load_id", "_loaded_at"):
        assert load_id == loader.load_id(day(1))
        assert before <= loaded_at <= datetime.now(UTC)


@pytest.mark.parametrize("name", ["select", "Mixed_Case", 'quo"te', "two words", "order", "ünïcode", "a.b"])
@pytest.mark.parametrize("disposition", ["append", "merge"])
def test_any_name_is_only_a_name(tmp_path, warehouse, name, disposition):
    spec = {"write_disposition": disposition, "primary_key": [name], "incremental": {"cursor": f"{name}'s u"}}
    loader = Loader(tmp_path / "landing", warehouse, "src", name, spec)
    for value in ("a", "b"):
        loader.load([{name: 1, f"{name}'s u": 1, f"{name} v": value}])
    loader.load([{name: 1, f"{name}'s u": 1, f"{name} v": value, f"{name} new": 1}])
    assert loader.rows(name, f"{name} v", f"{name} new") == [(1, "b", 1)]


def test_a_thousand_columns_are_loaded(loader):
    record = {f"column_{number}": number for number in range(1000)}
    assert loader.load([record]).rows_loaded == 1
    assert loader.rows(*record) == [tuple(range(1000))]


def test_a_long_table_is_loaded_and_merged_into_to_the_row(loader, warehouse):
    loader.spec = MERGE
    rows = 10_000_000 if isinstance(warehouse, DuckDBWarehouse) else 50_000
    tenth = rows // 10
    loader.land_numbers(range(rows), 1, day(1))
    assert warehouse.load(loader.order(day(1))).rows_loaded == rows
    loader.land_numbers(range(rows - tenth, rows + tenth), 2, day(2))
    report = warehouse.load(loader.order(day(2)))
    assert (report.rows_loaded, report.total_rows) == (2 * tenth, rows + tenth)
    d = warehouse.dialect
    found = warehouse.query(
        f"SELECT {d.name('v')}, count(*), min({d.name('id')}), max({d.name('id')}) "
        f"FROM {loader.target.sql(d)} GROUP BY {d.name('v')} ORDER BY {d.name('v')}"
    ).rows
    assert found == [(1, rows - tenth, 0, rows - tenth - 1), (2, 2 * tenth, rows - tenth, rows + tenth - 1)]


def test_two_tables_of_one_source_keep_apart(tmp_path, warehouse):
    one, two = (Loader(tmp_path / "landing", warehouse, "src", name) for name in ("one", "two"))
    for _ in range(2):
        one.load([*AB, "{"])
        two.load([{"id": 5}])
    assert (len(one.rows()), two.rows("id")) == (2, [(5,)])
    assert [loader.audit("loads", "rows_read") for loader in (one, two)] == [[(3,)], [(1,)]]
    assert [len(loader.audit("rejects", "reason")) for loader in (one, two)] == [1, 0]


# Drift


def test_a_new_column_is_added_and_said_once_also_when_loaded_again(loader, warehouse):
    loader.load(AB, day(1))
    for _ in range(2):
        loader.load([{"id": 3, "v": "c", "new": 1.5}], day(2))
    assert loader.rows("id", "new") == [(1, None), (2, None), (3, 1.5)]
    assert loader.audit("schema_changes", "load_id", "column_name", "type", "change") == [
        (loader.load_id(day(2)), "new", "float", "added")
    ]


def test_a_column_that_was_rejected_or_dropped_is_said_once(loader):
    for contract, change in (("discard_row", "rejected"), ("discard_value", "dropped")):
        loader.spec = {"schema_contract": contract}
        loader.name = contract
        loader.load(AB, day(1))
        for _ in range(2):
            loader.load([{"id": 3, "v": "c", "new": 1.5}, {"id": 4, "v": "d"}], day(2))
        assert loader.audit("schema_changes", "column_name", "change") == [("new", change)]


def test_a_first_load_is_no_drift(loader):
    loader.load(AB)
    assert loader.audit("schema_changes", "column_name") == []


def test_a_landing_of_another_type_than_the_tables_is_refused(loader, warehouse):
    """Both windows are extracted before the table is there."""
    loader.land([{"n": 1}], day(1))
    loader.land([{"n": 1.5}], day(2))
    warehouse.load(loader.order(day(1)))
    before = everything(warehouse, loader.target)
    with pytest.raises(ContractError, match="n was landed as float, but the table has integer; clear the extract task"):
        warehouse.load(loader.order(day(2)))
    assert everything(warehouse, loader.target) == before


# Rejects and accounting


def test_rejects_are_kept_with_reason_and_record_and_replaced_when_loaded_again(loader):
    loader.spec = {"columns": {"n": {"type": "integer"}}}
    loader.load([{"id": 1, "n": "x"}, {"id": 2, "n": "y"}, {"id": 3, "n": 3}], day(1))
    loader.load([{"id": 7, "n": "z"}, {"id": 8, "n": 8}], day(2))
    loader.load([{"id": 1, "n": "w"}, {"id": 3, "n": 3}], day(1))
    assert loader.audit("rejects", "reason", "record") == [
        ('n is not a valid integer: "w"', '{"n":"w","id":"1"}'),
        ('n is not a valid integer: "z"', '{"n":"z","id":"7"}'),
    ]


def tampered(loader, **changes):
    order = loader.order(day(2))
    return replace(order, manifest=replace(order.manifest, **changes))


@pytest.mark.parametrize("what", ["rows", "rows_rejected"])
@pytest.mark.parametrize("disposition", ["append", "merge", "replace"])
def test_other_numbers_than_the_manifests_change_nothing(loader, warehouse, what, disposition):
    loader.spec = {"write_disposition": disposition, "primary_key": ["id"]}
    loader.load([*AB, "{"], day(1))
    loader.land([{"id": 3, "v": "c", "new": 1}, "["], day(2))
    before = everything(warehouse, loader.target)
    columns = warehouse.columns(loader.target)
    with pytest.raises(AccountingError, match=r"the landing holds 5 .*rows, but the warehouse counts 1; nothing was"):
        warehouse.load(tampered(loader, **{what: 5}))
    assert everything(warehouse, loader.target) == before
    assert warehouse.columns(loader.target) == columns
    warehouse.load(loader.order(day(2)))


@pytest.mark.parametrize("lost", ["unlink", "broken", "flipped"])
def test_a_landed_file_that_is_gone_or_broken_changes_nothing(loader, warehouse, lost):
    loader.load(AB, day(1))
    loader.land([{"id": 3, "v": "c"}], day(2))
    order, before = loader.order(day(2)), everything(warehouse, loader.target)
    part = order.landing.folder / order.manifest.files[0].path
    if lost == "unlink":
        part.unlink()
    elif lost == "flipped":
        content = part.read_bytes()
        at = content.index(b"c")  # the value itself
        part.write_bytes(content[:at] + b"d" + content[at + 1 :])
    else:
        part.write_bytes(b"x" * order.manifest.files[0].bytes)
    with pytest.raises(LandingError, match="run the extract task again"):
        warehouse.load(order)
    assert everything(warehouse, loader.target) == before


def test_rows_that_do_not_arrive_are_noticed(loader, warehouse, monkeypatch):
    loader.land(AB)
    real, table = type(warehouse).execute, loader.target.sql(warehouse.dialect)
    monkeypatch.setattr(type(warehouse), "execute", lambda self, s: real(self, s) - (f"INSERT INTO {table}" in s))
    with pytest.raises(AccountingError, match="the landing holds 2 rows, but the warehouse counts 1"):
        warehouse.load(loader.order())
    assert loader.rows("id") == []


# The transaction


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(
    "spec", [{}, MERGE_BY_CURSOR, {"write_disposition": "replace"}], ids=["append", "merge", "replace"]
)
def test_a_crash_at_any_statement_leaves_the_old_state_or_the_new(loader, warehouse, monkeypatch, spec, moment):
    loader.spec = spec
    loader.load([{"id": 1, "u": 1, "v": "a"}, "{"], day(1))
    loader.load([{"id": 2, "u": 2, "v": "b"}, "{"], day(2))
    old = everything(warehouse, loader.target)
    loader.land([{"id": 2, "u": 3, "v": "B", "new": 1}, {"id": 3, "u": 3, "v": "c", "new": 1}], day(2))
    order = loader.order(day(2))

    def visible():
        """The rows as they are for a reader who does not know of the new column yet."""
        found = everything(warehouse, loader.target)
        found["tab"] = loader.rows("id", "u", "v", "_load_id")
        found.pop("schema_changes")
        return found

    before, tries = visible(), []
    for number in crashes(warehouse, monkeypatch, order, moment):
        tries.append(number)
        assert visible() == before
    assert tries[-1] >= 5
    after = visible()
    warehouse.load(order)
    assert visible() == after != before
    assert old["loads"] != after["loads"]
    assert loader.audit("schema_changes", "column_name", "change") == [("new", "added")]
    assert len(loader.rows("id")) == (2 if spec.get("write_disposition") == "replace" else 3)


def test_a_reader_beside_a_replace_never_sees_the_table_empty(loader, warehouse, connect):
    loader.spec = {"write_disposition": "replace"}
    loader.load([{"id": number} for number in range(2000)])
    seen, stop = set(), threading.Event()

    def read():
        with connect() as other:
            while not stop.is_set():
                seen.add(other.query(f"SELECT count(*) FROM {loader.target.sql(other.dialect)}").rows[0][0])

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for _ in range(5):
            loader.load([{"id": number} for number in range(3000)], day(2))
    finally:
        stop.set()
        reader.join()
    assert seen <= {2000, 3000}
    assert 3000 in seen


def test_a_block_that_fails_is_rolled_back(warehouse, loader):
    loader.load(AB)

    def fail_midway():
        with warehouse.transaction():
            warehouse.execute(f"DELETE FROM {loader.target.sql(warehouse.dialect)}")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_midway()
    assert len(loader.rows()) == 2


# The rest of the interface


def test_columns_of_a_table_that_is_not_there_are_none(warehouse):
    assert warehouse.columns(Relation("nowhere", "nothing")) is None


def test_columns_come_in_their_order_with_their_types(loader, warehouse):
    loader.load([{"b": 1, "a": "x"}])
    assert list(warehouse.columns(loader.target).items()) == [
        ("b", ColumnType("integer")),
        ("a", ColumnType("text")),
        ("_load_id", ColumnType("text")),
        ("_loaded_at", ColumnType("timestamp")),
    ]


def test_a_query_answers_with_names_and_values(warehouse):
    found = warehouse.query("SELECT 1 AS one, 'x' AS two")
    assert (found.columns, list(found.rows), found.dicts()) == (("one", "two"), [(1, "x")], [{"one": 1, "two": "x"}])


@pytest.mark.parametrize(
    "statement", ["SELECT nothing", "SELEC 1", "SELECT * FROM nowhere", "SELECT CAST('x' AS DATE)"]
)
def test_a_query_that_cannot_be_answered_says_why(warehouse, statement):
    with pytest.raises(StatementError, match=r"(?i)error|invalid"):
        warehouse.query(statement)


def test_execute_counts_the_rows_it_changed(loader, warehouse):
    loader.load(AB)
    assert warehouse.execute(f"DELETE FROM {loader.target.sql(warehouse.dialect)} WHERE id = 1") == 1


def test_preparing_twice_changes_nothing(warehouse):
    warehouse.prepare()
    warehouse.record("deadline_misses", [{"source": "s", "run_id": "r", "deadline": None, "noticed_at": None}])
    warehouse.prepare()
    assert warehouse.query("SELECT source, run_id FROM _elt.deadline_misses").rows == [("s", "r")]


def test_audit_tables_of_an_older_version_get_their_new_columns(loader, connect):
    with connect() as before:
        before.prepare()
        before.execute("DROP VIEW _elt.loads")
        before.execute("ALTER TABLE _elt.load_log DROP COLUMN cursor_min")
        before.execute("ALTER TABLE _elt.load_log DROP COLUMN replaced_by")
    loader.load(AB, day(1))
    loader.load(AB, day(2))
    assert loader.audit("loads", "rows_loaded", "replaced_by") == [(2, None), (2, None)]


def test_a_load_says_all_of_itself(loader, warehouse):
    loader.spec = {"incremental": {"cursor": "u"}, "business_date": "d"}
    loader.load([{"u": 5, "d": "2013-01-02"}, {"u": 7, "d": "2013-01-05"}], day(3), run_id="manual__1")
    [row] = warehouse.query("SELECT * FROM _elt.loads").dicts()
    manifest = newest(loader.place(day(3)))
    wanted = {
        "load_id": loader.load_id(day(3)),
        "source": "src",
        "table_name": "tab",
        "run_id": "manual__1",
        "window_start": day(3).start,
        "window_end": day(3).end,
        "write_disposition": "append",
        "full_refresh": False,
        "rows_read": 2,
        "rows_loaded": 2,
        "rows_rejected": 0,
        "rows_duplicate": 0,
        "values_discarded": 0,
        "files": 1,
        "bytes": manifest.bytes,
        "cursor_column": "u",
        "cursor_type": "integer",
        "cursor_min": "5",
        "cursor_value": "7",
        "business_date_min": "2013-01-02",
        "business_date_max": "2013-01-05",
        "columns": '[{"name": "u", "type": "integer"}, {"name": "d", "type": "date"}]',
    }
    assert {name: row[name] for name in wanted} == wanted
    assert row["started_at"] <= row["loaded_at"]
