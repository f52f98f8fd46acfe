"""Tables that are read with the rows that another table of the same run has landed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from children_support import Shop, shop_api

from elt_factory.sources.rest_api import http
from elt_factory.sources.rest_api.exchange import Patience

DAY = {"window_start": "2013-01-01", "window_end": "2013-01-02"}
SHOP = """
name: tiny
start_date: 2012-12-01
retries: {count: 0}
extract: {type: rest_api, connection: api}
tables:
  lines:
    for_each: orders
    path: /orders/{{ orders.id }}/lines
    keep: {order_id: orders.id}
    primary_key: [order_id, no]
    write_disposition: merge
  orders:
    path: /orders
    params: {since: "{{ window.start }}"}
    primary_key: [id]
    write_disposition: merge
  both:
    for_each: {one: {query: "select o.id, l.no from orders o join lines l on o.id = l.order_id", of: [orders, lines]}}
    path: /orders/{{ one.id }}/lines
    params: {no: "{{ one.no }}"}
    keep: {order_id: one.id, line: one.no}
    primary_key: [order_id, line, no]
    write_disposition: merge
  notes:
    for_each: {store: {query: "select distinct order_id as id from tiny.lines;"}}
    path: /stores/{{ store.id }}/notes
    primary_key: [id]
    write_disposition: merge
sensors: {}
"""
pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def api() -> Iterator[Shop]:
    with shop_api() as shop:
        yield shop


def states(outcome) -> dict[str, str]:
    return {task.task_id: task.state for task in outcome.tasks}


def made(tiny, api):
    line = tiny(SHOP.replace("  notes:", "  zz_notes:"))
    line.connect("api", conn_type="http", host=api.url)
    return line


def test_children_are_asked_for_over_the_rows_that_the_run_has_landed(tiny, api):
    line = made(tiny, api)
    api.orders = [{"id": "a/1", "total": 3}, {"id": "b", "total": 4}]
    assert line.run("tiny", tables=["orders", "lines"], **DAY).state == "success"
    assert sorted(line.query("select order_id, no, of from tiny.lines")) == [
        (order, no, order) for order in ("a/1", "b") for no in (1, 2)
    ]
    # the parent is asked for once, by its own task
    assert [path for path in api.asked if path == "/orders"] == ["/orders"]
    # again: the same rows; other parents: only their children are asked for
    api.orders = [{"id": "c", "total": 1}]
    api.asked.clear()
    assert line.run("tiny", tables=["orders", "lines"], **DAY).state == "success"
    assert api.asked == ["/orders", "/orders/c/lines"]
    assert {row[0] for row in line.query("select order_id from tiny.lines")} == {"a/1", "b", "c"}
    api.orders = []
    assert line.run("tiny", tables=["orders", "lines"], **DAY).state == "success"
    newest = "select rows_read from _elt.loads where table_name = 'lines' order by loaded_at desc limit 1"
    assert line.query(newest) == [(0,)]
    # several parents, by a query over what this run has landed of them
    api.orders = [{"id": "c", "total": 1}]
    assert line.run("tiny", tables=["orders", "lines", "both"], **DAY).state == "success"
    assert sorted(line.query("select order_id, line, no from tiny.both")) == [
        ("c", of, no) for of in (1, 2) for no in (1, 2)
    ]
    # the rows of a query of the warehouse
    assert line.run("tiny", tables=["zz_notes"], **DAY).state == "success"
    assert {row[0] for row in line.query("select of from tiny.zz_notes")} == {"a/1", "b", "c"}


def test_a_child_without_its_parent_in_the_run_says_so(tiny, api):
    line = made(tiny, api)
    outcome = line.run("tiny", tables=["lines"], **DAY)
    ended = {task.task_id: (task.state, task.detail) for task in outcome.tasks}
    assert ended["tables.orders.extract"][0] == "skipped"
    state, detail = ended["tables.lines.extract"]
    assert state == "failed"
    assert "it is read with the rows of orders, which this run leaves out; hint: choose orders, too" in detail
    assert api.asked == []


def test_a_source_that_asks_to_wait_for_long_gives_the_worker_back_and_the_task_comes_again(tiny, api, monkeypatch):
    monkeypatch.setattr(http, "PATIENCE", Patience(longest_retry_after=1))
    line = made(tiny, api)
    api.orders, api.busy = [{"id": "a"}], 3
    outcome = line.run("tiny", tables=["orders"], **DAY)
    assert outcome.state == "success"
    assert states(outcome)["tables.orders.load"] == "success"
    assert api.asked == ["/orders", "/orders"]
    assert line.query("select id from tiny.orders") == [("a",)]
