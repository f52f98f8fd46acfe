"""A window in pieces, for APIs that answer only short ones."""

from __future__ import annotations

from datetime import UTC, datetime

from extract_support import reply, serving
from rest_support import records_of

from elt_factory.core.window import Window

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
