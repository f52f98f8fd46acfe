"""scd2: windows loaded in any order, and again, give the very table that they give in order."""

import itertools
import os
import tempfile
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from elt_factory.core.failures import BadDataError
from elt_factory.testing.warehouses.loader import FIRST_DAY, Loader, day
from elt_factory.warehouse.duckdb.warehouse import DuckDBWarehouse

pytestmark = pytest.mark.proof

SNAPSHOT = {"write_disposition": "scd2", "primary_key": ["id"]}
BY_CURSOR = SNAPSHOT | {"incremental": {"cursor": "u"}}
# the keys of a table have histories of their own: one load of five tries as many of them as two loads of three
DAYS, KEYS = 5, 5
WORDS = [None, "a", "b"]
NUMBERS = itertools.count()
EXAMPLES = int(os.environ.get("ELT_EXAMPLES", "9"))

# what the source has on each day: a value for each key that is there
pictures = st.lists(st.dictionaries(st.integers(1, KEYS), st.sampled_from(WORDS)), min_size=DAYS, max_size=DAYS)
# days in any order, each at least once, some of them again
orders = st.tuples(st.permutations(range(1, DAYS + 1)), st.lists(st.integers(1, DAYS), max_size=4)).map(
    lambda pair: [*pair[0], *pair[1]]
)


@pytest.fixture(scope="module")
def opened():
    with tempfile.TemporaryDirectory() as folder, DuckDBWarehouse(Path(folder) / "w.duckdb") as warehouse:
        yield Path(folder), warehouse


def history(loader):
    """The versions, each with the load that opened it; none where every load failed for its rejects."""
    if not loader.columns:
        return []
    return sorted(loader.rows("id", "v", "_valid_from", "_valid_to", "_load_id"), key=repr)


def moment(number):
    return FIRST_DAY + timedelta(days=number)


def versions_of(pictures, loader):
    """What a history must say of pictures that were taken at the ends of the days, by going through them in order."""
    found = []
    for key in range(1, KEYS + 1):
        states = [
            (number, staged_rows[key]) for number, staged_rows in enumerate(pictures, start=1) if key in staged_rows
        ]
        for (_, value), group in itertools.groupby(
            enumerate(states), key=lambda item: (item[1][0] - item[0], item[1][1])
        ):
            days = [number for _, (number, _) in group]
            until = None if days[-1] == DAYS else moment(days[-1] + 1)
            found.append((key, value, moment(days[0]), until, loader.load_id(day(days[0]))))
    return sorted(found, key=repr)


def new_loader(opened, spec):
    folder, warehouse = opened
    return Loader(folder / "landing", warehouse, "src", f"tab{next(NUMBERS)}", spec)


def load_all(loader, records_of, order):
    for number in order:
        # a load of nothing but rejects fails once they are committed
        with suppress(BadDataError):
            loader.load(records_of(number), day(number))
    return history(loader)


@settings(max_examples=EXAMPLES, deadline=None)
@given(pictures, orders)
def test_snapshots_in_any_order_and_again_give_the_history_of_their_days(opened, pictures, order):
    loader = new_loader(opened, SNAPSHOT | {"columns": {"id": {"type": "integer"}, "v": {"type": "text"}}})

    def records(number):
        return [{"id": key, "v": value} for key, value in pictures[number - 1].items()]

    expected = versions_of(pictures, loader)
    assert load_all(loader, records, order) == expected
    assert load_all(loader, records, [order[-1]]) == expected
    counts = loader.audit("loads", "rows_read", "rows_loaded", "rows_unchanged")
    assert all(read == loaded + unchanged for read, loaded, unchanged in counts)
    assert sorted(read for read, *_ in counts) == sorted(len(staged_rows) for staged_rows in pictures)


@settings(max_examples=EXAMPLES, deadline=None)
@given(pictures, st.lists(st.integers(1, DAYS), min_size=1, max_size=8), st.lists(st.integers(1, DAYS), max_size=4))
def test_pictures_that_were_incomplete_are_right_once_they_are_loaded_whole(opened, pictures, broken, order):
    """A rejected row leaves open what is gone; when the window is loaded without one, nothing of that is left."""
    loader = new_loader(opened, SNAPSHOT | {"columns": {"id": {"type": "integer"}, "v": {"type": "text"}}})

    def records(number):
        return [{"id": key, "v": value} for key, value in pictures[number - 1].items()]

    load_all(loader, lambda number: [*records(number)[:1], "{"], broken)
    assert load_all(loader, records, [*order, *range(DAYS, 0, -1)]) == versions_of(pictures, loader)


# a try of a day's snapshot: the day, and the keys whose records were rejected, where any were
tries = st.tuples(st.integers(1, DAYS), st.none() | st.sets(st.integers(1, KEYS)))


def versions_with_rejects(pictures, last_tries, loader):
    """What a history must say where some snapshots had rejects: what one has not seen goes on as it was before it."""
    found = []
    for key in range(1, KEYS + 1):
        begun, value = None, None
        for number in sorted(last_tries):
            rejected, staged_rows = last_tries[number], pictures[number - 1]
            seen = key in staged_rows and key not in (rejected or ())
            if not seen and rejected is not None:
                continue
            if begun is not None and not (seen and staged_rows[key] == value):
                found.append((key, value, moment(begun), moment(number), loader.load_id(day(begun))))
                begun = None
            if seen and begun is None:
                begun, value = number, staged_rows[key]
        if begun is not None:
            found.append((key, value, moment(begun), None, loader.load_id(day(begun))))
    return sorted(found, key=repr)


@settings(max_examples=EXAMPLES, deadline=None)
@given(pictures, st.lists(tries, min_size=1, max_size=9))
@example([{1: "a"}, {}, {1: "a"}, {}, {}], [(1, None), (3, set()), (2, None)])
@example([{1: "a"}, {1: "b"}, {}, {}, {}], [(1, None), (3, set()), (4, {1}), (2, set()), (2, {1})])
@example([{1: "a"}, {1: "b", 2: "a"}, {}, {}, {}], [(1, None), (3, set()), (4, {1}), (2, set()), (2, {1})])
@example([{1: "a"}, {}, {}, {}, {}], [(1, None), (3, set()), (2, None)])
def test_snapshots_with_rejects_in_any_order_and_again_give_one_history(opened, pictures, tries):
    loader = new_loader(opened, SNAPSHOT | {"columns": {"id": {"type": "integer"}, "v": {"type": "text"}}})
    left = iter(tries)

    def records(number):
        _, rejected = next(left)
        seen = {key: value for key, value in pictures[number - 1].items() if key not in (rejected or ())}
        # a record that cannot be read at all: whose key it had, nobody knows
        return [*({"id": key, "v": value} for key, value in seen.items()), *(["{"] if rejected is not None else [])]

    found = load_all(loader, records, [number for number, _ in tries])
    # a try of only rejects fails and says nothing
    heard = {number: rejected for number, rejected in tries if rejected is None or {*pictures[number - 1]} - rejected}
    assert found == versions_with_rejects(pictures, heard, loader)


# changes of the source: when (in hours), of what, to what; one moment of one key has one value
changes = st.dictionaries(
    st.tuples(st.integers(0, 24 * DAYS - 1), st.integers(1, KEYS)), st.sampled_from(WORDS), max_size=20
)


@settings(max_examples=EXAMPLES, deadline=None)
@given(changes, orders, st.integers(0, 30))
def test_changes_by_cursor_in_any_order_and_again_give_one_history(opened, changes, order, lag):
    columns = {"id": {"type": "integer"}, "v": {"type": "text"}, "u": {"type": "timestamp"}}
    loader = new_loader(opened, BY_CURSOR | {"columns": columns})

    def records(number):
        return [
            {"id": key, "v": value, "u": (FIRST_DAY + timedelta(hours=hour)).isoformat()}
            for (hour, key), value in changes.items()
            if 24 * (number - 1) - lag <= hour < 24 * number
        ]

    expected = []
    for key in range(1, KEYS + 1):
        hours = sorted(hour for hour, of in changes if of == key)
        for hour, until in itertools.pairwise([*hours, None]):
            since, end = (None if at is None else FIRST_DAY + timedelta(hours=at) for at in (hour, until))
            expected.append((key, changes[hour, key], since, end))
    for number in order:
        loader.load(records(number), day(number))
    if changes:
        assert loader.rows("id", "v", "_valid_from", "_valid_to") == sorted(expected, key=repr)
    counts = loader.audit("loads", "rows_read", "rows_loaded", "rows_unchanged", "rows_duplicate")
    assert all(read == loaded + unchanged and not duplicate for read, loaded, unchanged, duplicate in counts)
