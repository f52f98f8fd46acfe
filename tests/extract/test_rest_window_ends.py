"""Requests that name one end of the window: what lies beyond the other one is loaded once, and no day is left out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from extract_support import reply, serving

from elt_factory.core.failures import BadRequestError
from elt_factory.core.window import Window
from elt_factory.sources.rest_api.kind import KIND
from elt_factory.testing.loads import Line, source_of

pytestmark = pytest.mark.duckdb

MERGE = {"write_disposition": "merge"}
FIRST, DAY = datetime(2013, 1, 1, tzinfo=UTC), timedelta(days=1)
ROWS = [{"id": n, "at": (FIRST + n * DAY / 2).isoformat().replace("+00:00", "Z")} for n in range(6)]


def window(start: int, days: int = 1) -> Window:
    return Window(FIRST + start * DAY, FIRST + (start + days) * DAY)


def loads_of(folder, server, **table) -> Line:
    fields = {"path": "/rows", **table}
    config = {"name": "shop", "start_date": "2013-01-01", "extract": {"type": "rest_api", "connection": "api"}}
    config["tables"] = {"rows": fields}
    return Line(source_of(config, folder), server.connection(), folder, lambda _: None)


def beyond(asked):
    """An API that sends all since a moment, or all until one."""
    since, until = asked.params.get("since", ""), asked.params.get("until", "9")
    return reply([*(row for row in ROWS if since <= row["at"] < until), {"id": 9, "at": None}])


@pytest.mark.parametrize("params", [{"since": "{{ window.start }}"}, {"until": "{{ window.end }}"}])
def test_rows_beyond_the_end_that_is_not_named_are_appended_with_their_own_window(tmp_path, params):
    table = {"params": params, "write_disposition": "append", "incremental": {"cursor": "at"}}
    with serving(beyond) as server:
        loads = loads_of(tmp_path, server, **table)
        found = [loads.load(window(day)) for day in range(3)]
        ids = sorted(row["id"] for row in loads.rows())
    assert ids == [0, 1, 2, 3, 4, 5, 9, 9, 9]
    assert sum(load.rows_filtered for load in found) == 6


OPEN = [
    {"params": {"since": "{{ window.start }}"}},
    {"params": {"created[gte]": "{{ window.start | epoch }}"}},
    {"params": {"until": "{{ window.end }}"}},
    {"json": {"filter": {"from": "{{ window.start | date }}"}}},
    {"params": {"since": "{{ window.start }}"}, "primary_key": ["id"]},
]
CLOSED = [
    {"params": {"since": "{{ window.start }}", "until": "{{ window.end }}"}},
    {"path": "/report/{{ window.start | date }}"},
    {"params": {"day": "{{ window.start | date }}"}},
    {"params": {"hour": "{{ window.start | format('%Y-%m-%dT%H') }}"}},
    {"params": {"since": "{{ window.start }}"}, "primary_key": ["id"], "incremental": {"cursor": "at"}},
    {"params": {"since": "{{ window.start }}"}, "incremental": {"cursor": "at"}},
    {"params": {"since": "{{ window.start }}"}, "primary_key": ["id"], **MERGE},
    {"params": {"start_date": "{{ window.start | date }}"}, "slices": "1d"},
]


@pytest.mark.parametrize(
    ("table", "warned"), [*((table, True) for table in OPEN), *((table, False) for table in CLOSED)]
)
def test_append_without_the_other_end_and_without_a_cursor_is_a_warning(tmp_path, table, warned):
    with serving(beyond) as server:
        source = loads_of(tmp_path, server, **table).source
    assert [code for _, code, *_ in KIND.advice(source)] == ["append-beyond"] * warned


def by_day(asked):
    """An API with a report of each day."""
    day = asked.params.get("day") or asked.path.rsplit("/", 1)[1]
    return reply([{"day": day, "n": n} for n in range(2)])


REPORTS = [
    {"path": "/report/{{ window.start | date }}"},
    {"path": "/report", "params": {"day": "{{ window.start | date }}"}},
    {"path": "/report", "params": {"day": "{{ window.start | format('%d.%m.%Y') }}"}},
    {
        "path": "/report",
        "params": {
            "day": "{{ window.start | date }}",
            "startDate": "{{ window.start | date }}",
            "endDate": "{{ window.start | date }}",
        },
    },
    {"path": "/report", "json": {"day": "{{ window.start | date }}"}, "params": {"day": "x"}},
]


@pytest.mark.parametrize("report", REPORTS)
@pytest.mark.parametrize("write", [{"write_disposition": "append"}, {"primary_key": ["day", "n"], **MERGE}])
def test_a_window_of_several_days_is_refused_where_the_request_names_one_of_them(tmp_path, report, write):
    with serving(by_day) as server:
        loads = loads_of(tmp_path, server, **report, **write)
        assert loads.load(window(0)).rows_loaded == 2
        with pytest.raises(BadRequestError, match=r"names only .*01.*; hint: add slices: 1d"):
            loads.load(window(0, days=14))


def test_each_day_of_a_longer_window_is_read_in_slices(tmp_path):
    with serving(by_day) as server:
        loads = loads_of(tmp_path, server, **REPORTS[0], primary_key=["day", "n"], slices="1d", **MERGE)
        assert loads.load(window(0, days=14)).rows_loaded == 28


@pytest.mark.parametrize(
    "asked_with",
    [
        {"params": {"since": "{{ window.start | date }}"}},
        {"params": {"updated_after": "{{ window.start | date }}"}},
        {"params": {"createdFrom": "{{ window.start | format('%d.%m.%Y') }}"}},
        {"params": {"q": "changed >= {{ window.start | date }}"}},
        {"params": {"from": "{{ window.start | date }}", "to": "{{ window.end | date }}"}},
        {"params": {"week": "{{ window.start | date }}"}},
        {"params": {"month": "{{ window.start | format('%Y-%m') }}"}},
        {"params": {"since": "{{ window.start }}"}},
        {"path": "/rates/since/{{ window.start | date }}"},
        {"path": "/rates/{{ window.start | date }}..{{ window.end | date }}"},
        {"params": {"date": "{{ window.start | date }}"}, "slices": "7d"},
        {"params": {"day": "{{ window.start | date }}"}, "incremental": {"cursor": "at", "lag": "7d"}},
    ],
)
def test_a_request_that_names_more_than_a_day_is_not_refused(tmp_path, asked_with):
    days = 1 if "incremental" in asked_with else 7
    with serving(lambda _: reply([{"id": 1, "at": "2013-01-01T00:00:00Z"}])) as server:
        loads = loads_of(tmp_path, server, **{"primary_key": ["id"], **MERGE, **asked_with})
        assert loads.load(window(0, days=days)).rows_loaded == 1


def test_several_months_are_refused_where_the_request_names_one(tmp_path):
    table = {"params": {"month": "{{ window.start | format('%Y-%m') }}"}, "primary_key": ["id"], **MERGE}
    with serving(lambda _: reply([{"id": 1}])) as server:
        loads = loads_of(tmp_path, server, **table)
        assert loads.load(window(0, days=31)).rows_loaded == 1
        with pytest.raises(BadRequestError, match="names only 2013-01"):
            loads.load(window(0, days=40))


@pytest.mark.parametrize(("slices", "warned"), [("1d", False), ("7d", True)])
def test_a_day_for_a_piece_of_several_is_a_warning(tmp_path, slices, warned):
    with serving(by_day) as server:
        source = loads_of(tmp_path, server, **REPORTS[0], **MERGE, primary_key=["day"], slices=slices).source
    assert [code for _, code, *_ in KIND.advice(source)] == ["part-of-slice"] * warned
