"""A window in pieces, for APIs that answer only short ones."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from extract_support import Reply, reply, serving, spooled
from rest_support import records_of, request_of, source_of

from elt_factory.core.window import Window
from elt_factory.sources.read import parts, read

SALES = """
sales:
  path: /sales
  params: {since: "{{ window.start }}", until: "{{ window.end | format('%d.%m.%Y %H:%M') }}"}
  slices: 1d
"""


def test_the_pieces_cover_the_window_without_a_gap_and_none_is_longer(tmp_path):
    window = Window(datetime(2013, 1, 1, 6, tzinfo=UTC), datetime(2013, 1, 3, 12, tzinfo=UTC))
    with serving(lambda asked: reply([asked.params])) as server:
        found = records_of(server, tmp_path, SALES, "sales", window=window)
    assert sorted((piece["since"], piece["until"]) for piece in found) == [
        ("2013-01-01T06:00:00Z", "02.01.2013 06:00"),
        ("2013-01-02T06:00:00Z", "03.01.2013 06:00"),
        ("2013-01-03T06:00:00Z", "03.01.2013 12:00"),
    ]


def test_a_cursor_that_is_a_time_begins_with_each_piece(tmp_path):
    tables = SALES.replace("window.start", "cursor") + "  incremental: {cursor: at}\n"
    with serving(lambda asked: reply([{"at": asked.params["since"]}])) as server:
        found = records_of(server, tmp_path, tables, "sales")
    assert sorted(record["at"][:10] for record in found) == [f"2013-01-0{day}" for day in range(1, 8)]


def test_each_value_of_a_list_has_all_pieces(tmp_path):
    tables = SALES.replace("path: /sales", "for_each: {shop: [a, b]}\n  path: /sales/{{ shop }}").replace("1d", "3d")
    with serving(lambda asked: reply([{"of": asked.path}])) as server:
        found = records_of(server, tmp_path, tables, "sales")
    assert sorted(record["of"] for record in found) == ["/sales/a"] * 3 + ["/sales/b"] * 3


DAYS = 'sales: {path: /sales, params: {day: "{{ window.start | date }}"}, slices: 1d}\n'


@pytest.mark.parametrize(
    ("zone", "first", "days"),
    [
        ("Europe/Berlin", date(2024, 3, 30), 3),
        ("Europe/Berlin", date(2024, 10, 26), 3),
        ("America/New_York", date(2024, 11, 2), 4),
        # clocks skip midnight itself, and show it twice
        ("America/Santiago", date(2024, 9, 7), 3),
        ("America/Havana", date(2024, 11, 2), 3),
    ],
)
def test_each_day_is_asked_for_once_also_when_clocks_change(tmp_path, zone, first, days):
    found = _days_asked(tmp_path, zone, first, first + timedelta(days=days))
    assert found == [str(first + timedelta(days=number)) for number in range(days)]


def test_a_day_that_a_zone_leaves_out_is_not_asked_for(tmp_path):
    found = _days_asked(tmp_path, "Pacific/Apia", date(2011, 12, 29), date(2012, 1, 1))
    assert found == ["2011-12-29", "2011-12-31"]


def _days_asked(folder, zone, first, last):
    """The days that a window of whole days in a zone is asked for with."""
    ends = [datetime.combine(day, time(), ZoneInfo(zone)) for day in (first, last)]
    source = source_of(folder, DAYS, zone=zone)
    with serving(lambda asked: reply([asked.params])) as server:
        spool = read(request_of(server, folder, source, "sales", window=Window(*ends)))
    return sorted(record["day"] for record in spooled(spool.files))


def test_a_month_is_asked_for_once_however_many_pieces_are_in_it(tmp_path):
    window = Window(datetime(2013, 1, 30, tzinfo=UTC), datetime(2013, 3, 2, tzinfo=UTC))
    tables = DAYS.replace("date", "format('%Y-%m')")
    with serving(lambda asked: reply([asked.params])) as server:
        found = records_of(server, tmp_path, tables, "sales", window=window)
    assert sorted(record["day"] for record in found) == ["2013-01", "2013-02", "2013-03"]


@pytest.mark.parametrize(("template", "zone", "most"), [("date", "Europe/Berlin", 4), ("format('%Y-%m')", "UTC", 8)])
def test_the_parts_of_a_split_ask_for_each_piece_once_between_them(tmp_path, template, zone, most):
    window = Window(datetime(2013, 1, 30, 23, tzinfo=UTC), datetime(2013, 4, 2, 22, tzinfo=UTC))
    source = source_of(tmp_path, DAYS.replace("date", template).replace("1d}", "1d, split: {tasks: 4}}"), zone=zone)
    with serving(lambda asked: reply([asked.params])) as server:
        request = request_of(server, tmp_path, source, "sales", window=window)
        alone = sorted(record["day"] for record in spooled(read(request).files))
        found = parts(request, most)
        asked = [_read_part(server, tmp_path, source, window, number, one) for number, one in enumerate(found)]
    assert sorted(day for days in asked for day in days) == alone
    assert len(set(alone)) == len(alone)
    sizes = [len(days) for days in asked]
    assert len(found) == min(most, len(alone))
    assert max(sizes) - min(sizes) <= 1
    assert found[0].says == {"UTC": "1 piece, 2013-01-30T23:00:00+00:00 to 2013-01-31T23:00:00+00:00"}.get(
        zone, "15 pieces, 2013-01-31T00:00:00+01:00 to 2013-02-15T00:00:00+01:00"
    )


def _read_part(server, folder, source, window, number, part):
    """The days that a task asks for which reads one part, stored as JSON meanwhile."""
    folder = folder / str(number)
    folder.mkdir()
    what = json.loads(json.dumps(part.what))
    spool = read(request_of(server, folder, source, "sales", window=window, part=what))
    return [record["day"] for record in spooled(spool.files)]


FEED = 'sales: {path: /sales, params: {day: "{{ window.start | date }}"}, slices: 1d, concurrency: %d%s}\n'


@pytest.mark.parametrize("concurrency", [1, 2, 4, 8, 32])
@pytest.mark.parametrize("days", [1, 2, 5, 7])
def test_the_records_are_in_the_order_of_the_pieces_whatever_the_workers(tmp_path, concurrency, days):
    window = Window(datetime(2013, 1, 1, tzinfo=UTC), datetime(2013, 1, 1 + days, tzinfo=UTC))
    with serving(lambda asked: reply([{"day": asked.params["day"]}])) as server:
        found = records_of(server, tmp_path, FEED % (concurrency, ""), "sales", window=window)
    assert [record["day"] for record in found] == [f"2013-01-0{day}" for day in range(1, 1 + days)]


def test_the_files_of_other_formats_are_in_the_order_of_the_pieces_too(tmp_path):
    source = source_of(tmp_path, FEED % (4, ", format: {type: csv}"))
    with serving(lambda asked: Reply(f"id,day\n1,{asked.params['day']}\n".encode())) as server:
        spool = read(request_of(server, tmp_path, source, "sales"))
    days = [file.read_text().splitlines()[1] for file in spool.files]
    assert days == [f"1,2013-01-0{day}" for day in range(1, 8)]
