"""Pages that an answer says there are: some are asked for at the same time, and read as those asked for one by one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from extract_support import Asked, Reply, Server, reply, serving
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_support import records_of

from elt_factory.core.failures import BadDataError, SourceUnavailableError
from elt_factory.sources.rest_api import http

BY_NUMBER = """
orders:
  path: /orders
  records: data
  paginator: {type: page_number, total_pages: pages}
"""
BY_TOTAL = BY_NUMBER.replace("total_pages: pages", "total: count")
BY_OFFSET = BY_NUMBER.replace("{type: page_number, total_pages: pages}", "{type: offset, limit: 10, total: count}")


class Api:
    """Some records by number or by offset, ten a page; what a test says happens before an answer."""

    def __init__(self, rows: int, before: Callable[[int], Reply | None] = lambda _: None, size: int = 10) -> None:
        self.rows, self.before, self.size = rows, before, size
        self.running = self.most = 0
        self._lock = threading.Lock()

    def __call__(self, asked: Asked) -> Reply:
        with self._lock:
            self.running += 1
            self.most = max(self.most, self.running)
        try:
            by_offset = "offset" in asked.params
            start = int(asked.params["offset"]) if by_offset else (int(asked.params["page"]) - 1) * self.size
            records = [{"id": number} for number in range(self.rows)[start : start + self.size]]
            pages = -(-self.rows // self.size)
            said = self.before(start // self.size)
            return said or reply({"data": records, "count": self.rows, "pages": pages})
        finally:
            with self._lock:
                self.running -= 1


def pages_of(server: Server) -> list[int]:
    return [int(asked.params.get("page") or int(asked.params["offset"]) // 10 + 1) for asked in server.asked]


@pytest.mark.parametrize("table", [BY_NUMBER, BY_TOTAL, BY_OFFSET])
def test_pages_are_asked_for_at_the_same_time_once_each_and_read_in_their_order(tmp_path, table):
    four = threading.Barrier(4, timeout=30)

    def before(page: int) -> None:
        # no answer until four are asked for
        if 0 < page < 9:
            four.wait()

    api = Api(95, before)
    with serving(api) as server:
        found = records_of(server, tmp_path, table, "orders")
    assert [record["id"] for record in found] == [*range(95)]
    assert sorted(pages_of(server)) == [*range(1, 11)]
    assert api.most == 4


@pytest.mark.parametrize(
    "table",
    [
        BY_TOTAL + "  concurrency: 1\n",
        BY_NUMBER.replace(", total_pages: pages", ""),
        BY_OFFSET.replace(", total: count", ""),
    ],
)
def test_pages_are_asked_for_one_by_one_where_that_is_said_or_their_number_is_not(tmp_path, table):
    api = Api(45, lambda _: time.sleep(0.01))
    with serving(api) as server:
        found = records_of(server, tmp_path, table, "orders")
    assert [record["id"] for record in found] == [*range(45)]
    assert pages_of(server)[:5] == [1, 2, 3, 4, 5]
    assert api.most == 1


@pytest.mark.parametrize(
    "trouble", [reply({}, 500), reply({}, 429, Retry_After="0"), Reply(b'{"data": [{"id'), Reply(status=0)]
)
def test_what_goes_wrong_ahead_is_asked_for_again_in_its_turn_and_the_rest_one_by_one(tmp_path, trouble):
    failed: set[int] = set()

    def before(page: int) -> Reply | None:
        if page == 3 and page not in failed:
            failed.add(page)
            return trouble
        time.sleep(0.02)
        return None

    api = Api(200, before)
    with serving(api) as server:
        found = records_of(server, tmp_path, BY_NUMBER, "orders")
    assert [record["id"] for record in found] == [*range(200)]
    asked = pages_of(server)
    assert asked.count(4) == 2
    # what was under way when it failed may come twice
    assert asked[asked.index(9) :] == [*range(9, 21)]


def test_a_page_that_never_comes_fails_the_load_with_its_own_error_and_leaves_no_thread(tmp_path, monkeypatch):
    monkeypatch.setattr("elt_factory.sources.rest_api.exchange.Patience.wait", lambda *_: 0.0)
    api = Api(100, lambda page: reply({"error": "down"}, 503) if page == 6 else None)
    with serving(api) as server, pytest.raises(SourceUnavailableError, match=r"503 .*after 5 tries"):
        records_of(server, tmp_path, BY_NUMBER, "orders")
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("page")] == []


def test_a_read_that_fails_waits_for_no_turn_of_a_page_that_it_does_not_need(tmp_path):
    second: list[float] = []

    def before(page: int) -> Reply | None:
        if page == 1:
            second.append(time.monotonic())
        return reply({"data": 1, "pages": 10}) if page else None

    with serving(Api(100, before)) as server, pytest.raises(BadDataError, match="is not a list"):
        records_of(server, tmp_path, BY_NUMBER, "orders", "rate_limit: 20/minute")
    # each of the pages that are asked for ahead has its turn three seconds after another, in any order
    assert time.monotonic() - second[0] < 2.5


def test_a_rule_to_wait_ends_the_asking_ahead(tmp_path):
    waited: set[int] = set()

    def before(page: int) -> Reply | None:
        if page and page not in waited:
            waited.add(page)
            return reply({"busy": True}, 503)
        return None

    extract = "answers: [{status: 503, do: wait, until: X-Until}]"
    api = Api(60, before)
    with serving(api) as server:
        found = records_of(server, tmp_path, BY_NUMBER, "orders", extract)
    assert [record["id"] for record in found] == [*range(60)]
    # each page ahead once, and what was under way when the first of them failed
    assert len(server.asked) <= 1 + 4 + 2 * 5


def test_a_machine_that_has_no_room_for_what_comes_ahead_reads_page_by_page(tmp_path, monkeypatch):
    read_body, failed = http.read_body, list[int]()

    def full(*given: Any) -> Any:
        if threading.current_thread() is not threading.main_thread() and not failed:
            failed.append(1)
            raise OSError(28, "No space left on device")
        return read_body(*given)

    monkeypatch.setattr(http, "read_body", full)
    with serving(Api(95)) as server:
        assert len(records_of(server, tmp_path, BY_NUMBER, "orders")) == 95
    assert failed


@pytest.mark.parametrize("threads", [0, 1, 2])
def test_a_machine_that_has_no_more_threads_reads_page_by_page(tmp_path, monkeypatch, threads):
    began, start = [], threading.Thread.start

    def started(thread: threading.Thread) -> None:
        if thread.name.startswith("page"):
            began.append(thread)
            if len(began) > threads:
                raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", started)
    with serving(Api(95)) as server:
        found = records_of(server, tmp_path, BY_NUMBER, "orders")
    assert [record["id"] for record in found] == list(range(95))
    assert len(began) == threads + 1


def test_records_that_go_while_they_are_read_end_the_pages_as_they_do_one_by_one(tmp_path):
    def before(page: int) -> Reply | None:
        return reply({"data": [], "count": 50, "pages": 5}) if page > 4 else None

    with serving(Api(95, before)) as server:
        assert len(records_of(server, tmp_path, BY_TOTAL, "orders")) == 50


def test_a_server_whose_pages_are_smaller_than_asked_for_is_asked_by_what_it_sends(tmp_path):
    api = Api(60, size=5)
    with serving(api) as server:
        found = records_of(server, tmp_path, BY_OFFSET, "orders")
    assert [record["id"] for record in found] == [*range(60)]
    assert sorted(int(asked.params["offset"]) for asked in server.asked) == [*range(0, 60, 5)]


def test_a_rate_limit_counts_what_is_asked_for_ahead(tmp_path):
    begun: list[float] = []
    api = Api(100, lambda _: begun.append(time.monotonic()))
    with serving(api) as server:
        records_of(server, tmp_path, BY_NUMBER, "orders", "rate_limit: 20/second")
    assert max(begun) - min(begun) > 9 * 0.05 * 0.9


def test_a_login_that_ends_midway_is_renewed_once(tmp_path):
    logins: list[str] = []
    api = Api(200)

    def answer(asked: Asked) -> Reply:
        if asked.path == "/login":
            logins.append(f"token-{len(logins)}")
            return reply({"access_token": logins[-1]})
        old = asked.headers.get("Authorization") != f"Bearer {logins[-1]}"
        if asked.params["page"] == "9" and len(logins) == 1:
            logins.append("ended")
            return reply({}, 401)
        return reply({}, 401) if old else api(asked)

    extract = "auth: {type: oauth2, token_path: /login}"
    with serving(answer) as server:
        connection = server.connection(login="me", password="s3cr3t")
        found = records_of(server, tmp_path, BY_NUMBER, "orders", extract, connection=connection)
    assert [record["id"] for record in found] == [*range(200)]
    assert len(logins) == 3


def read(folder: Any, api: Callable[[Asked], Reply], table: str, concurrency: int) -> Any:
    """The ids that are read, or the error."""
    with serving(api) as server:
        try:
            found = records_of(server, folder, f"{table}  concurrency: {concurrency}\n", "orders")
        except BadDataError as error:
            return str(error).replace(str(server.port), "")
    return [record["id"] for record in found]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.integers(1, 6), max_size=8), less=st.integers(0, 9), table=st.sampled_from([BY_NUMBER, BY_TOTAL])
)
def test_whatever_the_pages_and_their_totals_are_the_same_is_read_as_one_by_one(tmp_path, sizes, less, table):
    starts = [sum(sizes[:number]) for number in range(len(sizes))]
    # a total that is not reached is asked for up to a thousand empty pages
    total, pages = max(0, sum(sizes) - less), max(0, len(sizes) - less)

    def answer(asked: Asked) -> Reply:
        page = int(asked.params["page"]) - 1
        here = range(starts[page], starts[page] + sizes[page]) if page < len(sizes) else range(0)
        return reply({"data": [{"id": number} for number in here], "count": total, "pages": pages})

    assert read(tmp_path, answer, table, 4) == read(tmp_path, answer, table, 1)
