"""What the audit tables say of a table."""

from datetime import UTC, datetime, timedelta

import pytest

from elt_factory.core.window import Window
from elt_factory.extract.request import CursorRange
from elt_factory.testing.warehouses.loader import Loader, day
from elt_factory.warehouse import audit, state
from elt_factory.warehouse.state import Committed

CURSOR = {"incremental": {"cursor": "u"}}


def span(loader, window):
    return state.cursor_range(loader.warehouse, "src", "tab", loader.load_id(window), window)


def records(*cursors):
    return [{"u": cursor} for cursor in cursors]


@pytest.fixture
def loads(loader):
    loader.spec = CURSOR
    return loader


def test_a_warehouse_without_loads_has_nothing_to_say(warehouse, loader):
    assert state.status(warehouse) == []
    assert state.committed_loads(warehouse, "src", "tab", day(1, days=30)) == []
    assert state.newest(warehouse, "src", "tab") == (None, None)
    assert span(loader, day(1)) == CursorRange()
    assert not state.audited(warehouse)


# The cursor


def test_a_window_begins_after_the_windows_before_it(loads):
    loads.load(records(1, 10), day(1))
    assert span(loads, day(2)) == CursorRange("10", None)


def test_a_text_of_digits_is_text(loads):
    """As a source compares it: an id in hex digits may look like a number, with an exponent or without."""
    loads.spec = CURSOR | {"columns": {"u": {"type": "text"}}}
    loads.load(records("651e9"), day(1))
    loads.load(records("6529"), day(2))
    assert span(loads, day(3)).after == "6529"


def test_a_committed_window_reads_the_same_range_again(loads):
    loads.load(records(1, 9), day(1))
    loads.load(records(10, 11), day(2))
    loads.load(records(12, 100), day(3))
    assert [span(loads, day(number)) for number in (1, 2, 3, 4)] == [
        CursorRange(None, "9"),
        CursorRange("9", "11"),
        CursorRange("11", "100"),
        CursorRange("100", None),
    ]


def test_cursors_are_compared_as_numbers(loads):
    loads.load(records(9), day(1))
    loads.load(records(10), day(2))
    assert span(loads, day(3)) == CursorRange("10", None)


def test_cursors_that_are_text_are_compared_as_text(loads):
    loads.load(records("a9"), day(1))
    loads.load(records("a10"), day(2))
    assert span(loads, day(3)) == CursorRange("a9", None)


def test_a_committed_window_without_rows_takes_none_of_a_later_one(loads):
    loads.load(records(1, 10), day(1))
    loads.load([], day(2))
    loads.load(records(11, 20), day(3))
    assert span(loads, day(2)) == CursorRange("20", None)


def test_a_window_that_was_left_out_takes_none_of_a_later_one(loads):
    loads.load(records(1, 10), day(1))
    loads.load(records(11, 20), day(3))
    assert span(loads, day(2)) == CursorRange("20", None)
    loads.load(records(21, 25), day(2))
    assert span(loads, day(3)) == CursorRange("10", "20")
    assert span(loads, day(2)) == CursorRange("20", "25")
    assert span(loads, day(4)) == CursorRange("25", None)


def test_loads_in_any_order_with_any_reruns_take_every_row_once(loads, warehouse):
    """A source of growing numbers, read as the cursor says."""
    loads.spec = CURSOR | {"write_disposition": "append"}
    top = 0
    for number, grows in [(1, 5), (3, 5), (3, 5), (2, 0), (2, 5), (1, 5), (5, 0), (4, 5), (5, 5), (2, 5), (6, 1)]:
        top += grows
        wanted = span(loads, day(number))
        after, upto = int(wanted.after or 0), int(wanted.upto or top)
        loads.load(records(*range(after + 1, upto + 1)), day(number))
    assert [row[0] for row in sorted(loads.rows("u"))] == list(range(1, top + 1))


def test_a_window_that_is_run_again_and_again_begins_where_it_began(loads):
    """By a key the last value is read again, by a lag what is below it: a load has rows from before its range."""
    loads.spec = {"write_disposition": "append", "primary_key": ["u"], "incremental": {"cursor": "u", "lag": 2}}
    begun = []
    for number, top in [(1, 5), (2, 10), (3, 15), (3, 15), (3, 15), (2, 15), (2, 15), (4, 20)]:
        wanted = span(loads, day(number))
        least = max(1, int(wanted.after or 1) - 2)
        loads.land(records(*range(least, int(wanted.upto or top) + 1)), day(number), wanted.after)
        loads.warehouse.load(loads.order(day(number)))
        begun.append(wanted)
    third, second = CursorRange("10", "15"), CursorRange("5", "10")
    assert begun[2:] == [CursorRange("10"), third, third, second, second, CursorRange("15")]
    assert [row[0] for row in sorted(loads.rows("u"))] == list(range(1, 21))


def test_a_load_of_a_version_that_did_not_note_where_its_range_began_is_read_again(loads, warehouse):
    loads.load(records(1, 9), day(1))
    loads.load(records(10, 11), day(2))
    warehouse.execute("DROP VIEW _elt.loads")
    warehouse.execute("ALTER TABLE _elt.load_log DROP COLUMN cursor_after")
    listed = ", ".join(name for name in audit.TABLES["loads"] if name != "cursor_after")
    warehouse.execute(f"CREATE VIEW _elt.loads AS SELECT {listed} FROM _elt.load_log")
    assert span(loads, day(2)) == CursorRange("9", "11")


def test_after_a_full_refresh_the_cursor_is_the_refreshs(loads):
    loads.load(records(100), day(1))
    loads.load(records(1, 5), day(1, days=2), full_refresh=True)
    assert span(loads, day(3)) == CursorRange("5", None)


def test_after_a_full_refresh_only_its_window_is_committed(loads, warehouse):
    loads.load(records(1), day(5), run_id="old")
    loads.load(records(1), day(1, days=2), run_id="refresh", full_refresh=True)
    assert [load.run_id for load in state.committed_loads(warehouse, "src", "tab", day(1, days=30))] == ["refresh"]
    [status] = state.status(warehouse)
    assert (status.last_load_id, status.rejected_rows) == (loads.load_id(day(1, days=2)), 0)


def test_another_tables_cursor_is_another(tmp_path, warehouse):
    Loader(tmp_path / "landing", warehouse, "src", "other", CURSOR).load(records(10))
    mine = Loader(tmp_path / "landing", warehouse, "src", "tab", CURSOR)
    mine.load(records(3), day(1))
    assert span(mine, day(2)) == CursorRange("3", None)


def test_numbers_that_a_double_does_not_tell_apart_are_compared_exactly(loads):
    big = 2**53
    loads.load(records(big, big + 1), day(1))
    loads.load(records(big + 2), day(2))
    loads.load(records(big + 3), day(3))
    assert span(loads, day(4)) == CursorRange(str(big + 3), None)
    assert span(loads, day(3)) == CursorRange(str(big + 2), str(big + 3))
    assert span(loads, day(2)) == CursorRange(str(big + 1), str(big + 2))
    assert span(loads, day(1)) == CursorRange(None, str(big + 1))


# Windows


def test_only_loads_of_some_part_of_the_wanted_window_are_looked_at(loader, warehouse):
    for number in (1, 2, 3, 4):
        loader.load([{"id": 1}], day(number), run_id=f"run{number}")
    found = state.committed_loads(warehouse, "src", "tab", day(2, days=2))
    assert [load.run_id for load in found] == ["run2", "run3"]
    assert state.loaded_up_to(warehouse, "src", "tab") == day(4).end
    assert state.loaded_up_to(warehouse, "src", "other") is None


def test_a_run_has_loaded_a_table_in_time_also_where_another_one_has_loaded_it_again_since(loader, warehouse):
    for run in ("run1", "run2"):
        loader.load([{"id": 1}], day(1), run_id=run)
    (load,) = state.committed_loads(warehouse, "src", "tab", day(1))
    assert load.run_id == "run2"
    loaded_at, _ = state.newest(warehouse, "src", "tab")
    assert state.loaded_by(warehouse, "src", "tab", "run1", loaded_at)
    assert not state.loaded_by(warehouse, "src", "tab", "run2", loaded_at - timedelta(microseconds=1))
    assert not state.loaded_by(warehouse, "src", "other", "run1", loaded_at)


def test_committed_loads_come_in_the_order_of_their_windows(loader, warehouse):
    for number in (2, 1):
        loader.load([{"id": 1}], day(number), run_id=f"run{number}")
    found = state.committed_loads(warehouse, "src", "tab", day(1, days=30))
    assert [(load.start, load.end, load.run_id) for load in found] == [
        (day(1).start, day(1).end, "run1"),
        (day(2).start, day(2).end, "run2"),
    ]
    assert found[1].started_at <= found[0].started_at


def committed(*spans):
    return [Committed(day(first).start, day(last).end, f"{first}-{last}", day(9).start) for first, last in spans]


@pytest.mark.parametrize(
    ("spans", "wanted", "chosen"),
    [
        ([(1, 1)], (1, 1), ["1-1"]),
        ([(1, 1), (2, 2)], (1, 2), ["1-1", "2-2"]),
        ([(2, 2), (1, 1)], (1, 2), ["1-1", "2-2"]),
        ([(1, 9)], (3, 4), ["1-9"]),
        ([(1, 2), (2, 3)], (1, 3), ["1-2", "2-3"]),
        ([(1, 3), (2, 2)], (1, 3), ["1-3"]),
        ([(1, 1), (3, 3)], (1, 3), []),
        ([(2, 2)], (1, 2), []),
        ([(1, 1)], (1, 2), []),
        ([], (1, 1), []),
        ([(1, 1), (5, 5)], (1, 1), ["1-1"]),
    ],
)
def test_loads_cover_a_window_when_they_leave_no_gap(spans, wanted, chosen):
    window = Window(day(wanted[0]).start, day(wanted[1]).end)
    assert [load.run_id for load in state.covering(committed(*spans), window)] == chosen


# Sizes, dates, status


def test_sizes_are_of_the_loads_before_newest_first_without_full_refreshes(loader, warehouse):
    loader.load([{"id": 1}] * 99, day(1, days=1), full_refresh=True)
    for number in (2, 3, 4):
        loader.load([{"id": 1}] * number, day(number))
    sizes = [(day(3).start, 3), (day(2).start, 2)]
    assert state.load_sizes(warehouse, "src", "tab", day(4).start, 7) == sizes
    assert state.load_sizes(warehouse, "src", "tab", day(4).start, 1) == sizes[:1]
    assert state.load_size(warehouse, loader.load_id(day(4))) == 4
    assert state.load_size(warehouse, "nothing") == 0


def test_the_newest_business_date_is_over_all_loads(loader, warehouse):
    loader.spec = {"business_date": "d"}
    loader.load([{"d": "2013-01-09"}], day(1))
    loader.load([{"d": "2013-01-05"}], day(2))
    loaded_at, business = state.newest(warehouse, "src", "tab")
    assert business == "2013-01-09"
    assert (datetime.now(UTC) - loaded_at).total_seconds() < 60


def test_status_has_a_line_a_table(tmp_path, warehouse):
    one, two = (Loader(tmp_path / "landing", warehouse, "src", name, CURSOR) for name in ("one", "two"))
    one.load([*records(1, 2), "{"], day(1))
    one.load([*records(3), "{"], day(2))
    two.load([], day(1))
    first, second = state.status(warehouse)
    assert (first.table, first.last_load_id, first.last_window_end) == ("one", one.load_id(day(2)), day(2).end)
    assert (first.rows_read, first.rows_loaded, first.rows_rejected, first.rejected_rows) == (2, 1, 1, 2)
    assert (first.total_rows, first.cursor) == (3, "3")
    assert (second.table, second.total_rows, second.cursor) == ("two", 0, None)
