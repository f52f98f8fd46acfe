"""Tables that other systems load: they count only when the warehouse shows that they moved."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from elt_factory.core.failures import BadDataError, NotMovedError
from elt_factory.core.window import Window
from elt_factory.warehouse import remote, state
from elt_factory.warehouse.dialect import Relation
from elt_factory.warehouse.remote import Reached, Verifying, Watched, complaint, own_rows, reached, verify

ORDERS = Relation("raw_shop", "orders")
WATCHED = Watched("shop", "orders", ORDERS, "_airbyte_extracted_at", "order_date")
NOW = datetime(2013, 1, 9, tzinfo=UTC)


def day(number: int) -> Window:
    start = datetime(2013, 1, number, tzinfo=UTC)
    return Window(start, start + timedelta(days=1))


def asked(number: int, before: Reached) -> Verifying:
    return Verifying(f"load-{number}", day(number), f"run-{number}", before, NOW)


@pytest.fixture
def tool(warehouse):
    """What the tool does: it has loaded 1 January."""
    d = warehouse.dialect
    table = ORDERS.sql(d)
    warehouse.create_schema(ORDERS.schema)
    at = d.types["timestamp"]
    warehouse.execute(
        f"CREATE TABLE {table} ({d.name('id')} INTEGER, {d.name('order_date')} DATE, "
        f"{d.name('_airbyte_extracted_at')} {at})"
    )

    def load(extracted: int, *dates: str) -> None:
        moment = d.literal(datetime(2013, 1, extracted, 3, 0, 0, 123456, tzinfo=UTC))
        for number, text in enumerate(dates):
            warehouse.execute(f"INSERT INTO {table} VALUES ({number}, DATE '{text}', {moment})")

    load(1, "2012-12-31", "2013-01-01")
    return load


def test_new_rows_are_counted_where_they_are_and_recorded_as_a_load(warehouse, tool):
    before = reached(warehouse, WATCHED)
    assert before == Reached("2013-01-01T03:00:00.123456Z", "2013-01-01")
    tool(2, "2013-01-01", "2013-01-02", "2013-01-02")
    report, _ = verify(warehouse, WATCHED, asked(2, before))
    assert (report.rows_read, report.rows_loaded, report.rows_rejected, report.total_rows) == (3, 3, 0, 5)
    [entry] = state.status(warehouse, {("shop", "orders"): ORDERS})
    assert (entry.rows_loaded, entry.total_rows, entry.failed) == (3, 5, False)
    assert entry.last_business_date == "2013-01-02"
    assert entry.cursor == "2013-01-02T03:00:00.123456Z"
    loaded_at, date = state.newest(warehouse, "shop", "orders")
    assert loaded_at is not None
    assert date == "2013-01-02"
    assert [load.run_id for load in state.committed_loads(warehouse, "shop", "orders", day(2))] == ["run-2"]
    # the rows that checks look at are those of the load
    own = own_rows(warehouse, warehouse.columns(ORDERS), "load-2")
    assert warehouse.query(f"SELECT count(*) FROM {ORDERS.sql(warehouse.dialect)} WHERE {own}").rows[0][0] == 3
    assert remote.newest_load(warehouse, "shop", "orders") == "load-2"
    # a retry after the commit records the same, once
    verify(warehouse, WATCHED, asked(2, before))
    assert len(state.status(warehouse)) == 1


def test_a_job_that_has_changed_nothing_is_not_green_unless_the_yaml_allows_it(warehouse, tool):
    before = reached(warehouse, WATCHED)
    with pytest.raises(NotMovedError, match=r"raw_shop\.orders has no new rows since 2013-01-01T03"):
        verify(warehouse, WATCHED, asked(2, before))
    assert state.status(warehouse) == []
    report, _ = verify(warehouse, replace(WATCHED, may_stay=True), asked(2, before))
    assert report.rows_loaded == 0
    assert own_rows(warehouse, warehouse.columns(ORDERS), "load-2") == "FALSE"
    tool(3, "2013-01-01")
    with pytest.raises(NotMovedError, match=r"order_date of raw_shop\.orders has not moved: it ends at 2013-01-01"):
        verify(warehouse, WATCHED, asked(3, before))


def test_a_table_that_is_not_there_or_lacks_a_column_is_named(warehouse, tool):
    nowhere = replace(WATCHED, relation=Relation("raw_shop", "order"))
    assert reached(warehouse, nowhere) == Reached()
    with pytest.raises(NotMovedError, match=r"raw_shop\.order is not there"):
        verify(warehouse, nowhere, asked(2, Reached()))
    with pytest.raises(
        BadDataError, match=r"has no column order_day \(business_date\); hint: did you mean .order_date"
    ):
        reached(warehouse, replace(WATCHED, business_date="order_day"))


@pytest.mark.parametrize(
    ("newest", "seen", "earlier", "fits"),
    [
        ("2013-01-03", "2013-01-02", (None, False), True),
        ("2013-01-02", "2013-01-02", (None, False), False),
        # the first load of a window is compared with those of windows before, not with a table that is ahead
        ("2013-01-03", "2013-01-09", ("2013-01-02", False), True),
        # the same window again shows what it showed
        ("2013-01-03", "2013-01-03", ("2013-01-02", True), True),
        ("2013-01-03", "2013-01-03", (None, True), True),
        ("2013-01-02", "2013-01-03", ("2013-01-02", True), False),
        (None, "2013-01-02", (None, False), False),
    ],
)
def test_the_business_date_has_to_move_from_window_to_window(newest, seen, earlier, fits):
    found = complaint(WATCHED, asked(3, Reached("x", seen)), 2, newest, earlier)
    assert (found is None) is fits


def test_a_business_date_may_be_held_to_the_end_of_the_window():
    spec = replace(WATCHED, within=timedelta(hours=26))
    hold = asked(3, Reached("x", "2013-01-03"))
    assert complaint(spec, hold, 2, "2013-01-02", (None, False)) is None
    late = complaint(spec, hold, 2, "2013-01-01", (None, False))
    assert late == ("order_date of raw_shop.orders ends at 2013-01-01, 2d before the window's end; 1d2h is allowed")
