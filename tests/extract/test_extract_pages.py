"""The end of the pages: where the API says so, where it repeats itself, and never where it says that there is more."""

from __future__ import annotations

import itertools
import json
import random

import pytest
from extract_support import Asked, Reply, in_turn, read_request, reply, serving, spooled
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from elt_factory.core.failures import BadDataError, SourceNotReadyError
from elt_factory.sources.read import read
from elt_factory.sources.rest_api import http
from elt_factory.sources.rest_api.exchange import Patience
from elt_factory.sources.rest_api.repeats import Prints, Repeats

CURSOR = {"type": "cursor", "cursor_path": "next", "cursor_param": "after"}
NUMBERED = {"type": "page_number"}
OFFSET = {"type": "offset", "limit": 5}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(http, "PATIENCE", Patience(tries=2, first_wait=0.01, longest_wait=0.02))


def rows_of(server, folder, paginator, table=None, warned=None, **more) -> list[dict]:
    extract = {"type": "rest_api", "connection": "api", "paginator": paginator, **more}
    told = {"warn": warned.append} if warned is not None else {}
    request = read_request(
        folder, extract, {"path": "/x", "records": "data", **(table or {})}, server.connection(), **told
    )
    spool = read(request)
    rows = spooled(spool.files)
    assert spool.rows_read == len(rows)
    for file in spool.files:
        file.unlink()
    return rows


def numbered(first: int, last: int) -> list[dict]:
    return [{"id": n} for n in range(first, last)]


PAGES = [numbered(0, 5), numbered(5, 10), numbered(10, 12)]


def by_page(pages, **also):
    """A server of numbered pages from 1; what is past the last is as `pages` of that index say, else empty."""

    def answer(asked: Asked) -> Reply:
        number = int(asked.params.get("page", 1)) - 1
        return reply(
            {"data": pages(number) if callable(pages) else (pages[number] if number < len(pages) else []), **also}
        )

    return answer


def test_pages_that_begin_again_are_a_loop_and_not_read_for_ever(tmp_path):
    with serving(by_page(lambda n: PAGES[n % 3])) as server:
        with pytest.raises(BadDataError, match=r"pagination loop: page=6 .*repeat earlier"):
            rows_of(server, tmp_path, NUMBERED)
        assert len(server.asked) == 6


def test_pages_that_begin_again_are_over_where_the_answer_says_how_many_records_there_are(tmp_path):
    with serving(by_page(lambda n: PAGES[n % 3], total=12)) as server:
        assert rows_of(server, tmp_path, NUMBERED) == numbered(0, 12)
        assert len(server.asked) == 4


def test_a_last_page_that_is_repeated_past_the_end_counts_once(tmp_path):
    with serving(by_page(lambda n: PAGES[min(n, 2)])) as server:
        assert rows_of(server, tmp_path, NUMBERED) == numbered(0, 12)
        assert len(server.asked) == 5


def test_a_page_that_comes_again_before_others_is_kept_as_it_was_sent(tmp_path):
    pages = [PAGES[0], PAGES[1], PAGES[1], PAGES[2]]
    with serving(by_page(pages)) as server:
        assert rows_of(server, tmp_path, NUMBERED) == [row for page in pages for row in page]


def test_pages_of_the_same_few_records_in_other_numbers_are_other_pages(tmp_path):
    pages = [[{"status": sign} for sign in page] for page in ("AAAA", "ABBB", "AABB", "BABB", "CDCD", "E")]
    with serving(by_page(pages)) as server:
        assert rows_of(server, tmp_path, NUMBERED) == [row for page in pages for row in page]


@pytest.mark.parametrize("paginator", [NUMBERED, OFFSET, CURSOR])
def test_the_same_records_in_another_order_are_a_parameter_that_the_server_ignores(tmp_path, paginator):
    shuffled = random.Random(1)

    def answer(_: Asked) -> Reply:
        return reply({"data": shuffled.sample(numbered(0, 50), 50), "next": "c"})

    with serving(answer) as server:
        with pytest.raises(BadDataError, match="returned the same records as the first page; check the names"):
            rows_of(server, tmp_path, paginator)
        assert len(server.asked) == 2


def test_random_pages_of_the_same_records_are_a_loop(tmp_path):
    shuffled = random.Random(1)
    with serving(by_page(lambda _: shuffled.sample(numbered(0, 20), 7))) as server:
        with pytest.raises(BadDataError, match="pagination loop"):
            rows_of(server, tmp_path, NUMBERED)
        assert len(server.asked) < 60


def test_pages_without_records_and_without_end_are_a_loop(tmp_path, monkeypatch):
    monkeypatch.setattr("elt_factory.sources.rest_api.walk._MOST_EMPTY", 20)
    count = itertools.count()
    with serving(lambda _: reply({"data": [], "next": f"c{next(count)}"})) as server:
        with pytest.raises(BadDataError, match="20 consecutive pages have no records"):
            rows_of(server, tmp_path, CURSOR)
        assert len(server.asked) == 21


def test_records_without_end_stop_at_max_pages(tmp_path):
    count = itertools.count()

    def answer(_: Asked) -> Reply:
        n = next(count)
        return reply({"data": [{"id": n}], "next": f"c{n}"})

    with serving(answer) as server:
        with pytest.raises(BadDataError, match=r"more than 7 pages .max_pages"):
            rows_of(server, tmp_path, {**CURSOR, "max_pages": 7})
        assert len(server.asked) == 7


def test_exactly_max_pages_are_read(tmp_path):
    replies = [reply({"data": PAGES[0], "next": "b"}), reply({"data": PAGES[1], "next": None})]
    with serving(in_turn(replies)) as server:
        assert rows_of(server, tmp_path, {**CURSOR, "max_pages": 2}) == numbered(0, 10)


def test_empty_pages_before_others_are_gone_through(tmp_path):
    replies = [
        reply({"data": PAGES[0], "next": "b"}),
        reply({"data": [], "next": "c"}),
        reply({"data": PAGES[1], "next": None}),
    ]
    with serving(in_turn(replies)) as server:
        assert rows_of(server, tmp_path, CURSOR) == numbered(0, 10)


@pytest.mark.parametrize(
    "end",
    [
        {"data": [], "next": "c2"},
        {"data": [], "next": "c1"},
        {"data": PAGES[2], "next": 0},
        {"data": PAGES[2], "next": "0"},
        {"data": PAGES[2], "next": "c2"},
    ],
)
def test_a_cursor_that_leads_to_itself_or_is_zero_without_new_records_is_the_end(tmp_path, end):
    ways = {"": {"data": PAGES[0], "next": "c1"}, "c1": {"data": PAGES[1], "next": "c2"}, "c2": end}
    with serving(lambda asked: reply(ways[asked.params.get("after", "")])) as server:
        assert rows_of(server, tmp_path, CURSOR) == numbered(0, 10) + end["data"]
        assert len(server.asked) <= 4


def test_a_cursor_that_comes_again_with_new_records_is_a_loop(tmp_path):
    count = itertools.count()
    with serving(lambda _: reply({"data": [{"id": next(count)}], "next": "c"})) as server:
        with pytest.raises(BadDataError, match="after=c was returned twice, with new records each time"):
            rows_of(server, tmp_path, CURSOR)
        assert len(server.asked) == 3


def test_links_that_lead_back_are_a_loop_without_their_query_in_the_message(tmp_path):
    count = itertools.count()
    answer = lambda _: reply({"data": [{"id": next(count)}], "next": "/x?key=hidden"})  # noqa: E731
    with serving(answer) as server, pytest.raises(BadDataError, match="the link /x was") as caught:
        rows_of(server, tmp_path, {"type": "json_link"})
    assert "hidden" not in str(caught.value)


# the answer says that there is more, and the paginator finds no way to it
CONTRADICTIONS = {
    "has_more": ({"has_more": True}, "has_more"),
    "hasNextPage": ({"pageInfo": {"hasNextPage": True, "endCursor": "x"}}, "pageInfo.hasNextPage"),
    "not the last": ({"last": False}, "last"),
    "total": ({"meta": {"total": 25}}, "25 records, but 5 were read"),
    "totalPages": ({"totalPages": 5}, "5 pages, but 1 were read"),
    "another cursor": ({"meta": {"next_cursor": "c2"}}, "meta.next_cursor"),
    "a link": ({"links": {"next": {"href": "/x?page=2"}}}, "links.next"),
    "odata": ({"@odata.nextLink": "https://h/x?$skip=5"}, "odata.nextLink"),
    # as these services document them
    "HubSpot": ({"paging": {"next": {"after": "5", "link": "?after=5"}}}, "paging.next"),
    "Asana": ({"next_page": {"offset": "eyJ0", "path": "/x", "uri": "https://h/x"}}, "next_page"),
    "Intercom": ({"pages": {"next": {"page": 2, "starting_after": "abc"}}}, "pages.next"),
    "Salesforce": ({"done": False, "nextRecordsUrl": "/services/x"}, "nextRecordsUrl"),
    "Twilio": ({"next_page_uri": "/x?Page=1"}, "next_page_uri"),
    "DigitalOcean": ({"links": {"pages": {"next": "https://h/x?page=2"}}}, "links.pages.next"),
    "Box": ({"next_marker": "ZmFr"}, "next_marker"),
    "Chargebee": ({"next_offset": '["1", "2"]'}, "next_offset"),
    "Kubernetes": ({"metadata": {"continue": "abc"}}, "metadata.continue"),
    "MediaWiki": ({"continue": {"apcontinue": "B", "continue": "-||"}}, "continue"),
    "DynamoDB": ({"LastEvaluatedKey": {"id": "7"}}, "LastEvaluatedKey"),
    "S3": ({"NextContinuationToken": "abc"}, "NextContinuationToken"),
    "FHIR": ({"link": [{"relation": "self", "url": "/a"}, {"relation": "next", "url": "/b"}]}, "link"),
    "Oracle": ({"links": [{"rel": "next", "href": "/b"}]}, "links"),
    "Pipedrive": ({"additional_data": {"pagination": {"more_items_in_collection": True}}}, "more_items"),
    "ArcGIS": ({"exceededTransferLimit": True}, "exceededTransferLimit"),
    "Zendesk": ({"end_of_stream": False}, "end_of_stream"),
    "Zoho": ({"info": {"more_records": True}}, "info.more_records"),
    "DocuSign": ({"totalSetSize": "25", "nextUri": "/x?start_position=5"}, "nextUri"),
    "Twitter": ({"search_metadata": {"next_results": "?max_id=5"}}, "search_metadata.next_results"),
    "Rick and Morty": ({"info": {"pages": 5, "next": "https://h/x?page=2"}}, "info.next"),
    "STAC": ({"numberMatched": 25}, "25 records"),
    "Algolia": ({"nbPages": 5}, "5 pages"),
    "GitHub's search": ({"incomplete_results": True}, "incomplete_results"),
    "Google Drive": ({"incompleteSearch": True}, "incompleteSearch"),
    "BigQuery": ({"jobComplete": False}, "jobComplete"),
}
# what is on the last page, too, or may be
ENDS = [
    {"next": None, "next_page": {"offset": None}, "paging": {"next": {"link": ""}}},
    {"links": [{"rel": "self", "href": "/a"}, {"rel": "prev", "href": "/b"}]},
    {"next_offset": "5"},
    {"next_offset": 5, "next_start": 5, "nextSyncToken": "t", "@odata.deltaLink": "https://h/x"},
    {"offset": "0", "cursor": "", "total": "5", "nbPages": 1, "end_of_stream": True, "continue": {}},
    # what has such names and is of something else
    {"total_data": 1523, "total": "1500", "total_number": 300, "total_count": 12.5},
    {"info": {"pages": 300, "total": 1500, "next": "2026-11-30"}, "pages": {"next": {"title": "About us"}}},
    {"links": {"next": {"href": None, "method": "GET", "rel": "next"}}, "next": {"page": 0, "per_page": 20}},
    {"next_page": {"href": "", "templated": "false"}, "next_marker": 7, "metadata": {"continue": ""}},
]
RECORDS = [
    ({"path": "post", "one": True}, {"post": {"id": 1, "links": [{"rel": "next", "href": "/b"}], "next": "/b"}}),
    ({"path": "post", "one": True}, {"post": {"id": 1, "total": 99, "continue": "yes", "end_of_stream": False}}),
    ({"path": "by", "key": "name"}, {"by": {"next": {"v": "x"}, "prev": {"v": "y"}}}),
    (None, {"id": 1, "links": [{"rel": "next", "href": "/b"}], "info": {"next": "/b"}, "next_marker": "x"}),
    (None, {"code": "A1", "note": "hello"}),
    ("links", {"links": [{"rel": "next", "href": "/b"}]}),
]


@pytest.mark.parametrize(("said", "told"), CONTRADICTIONS.values(), ids=CONTRADICTIONS)
@pytest.mark.parametrize(
    "paginator", [{"type": "single_page"}, {**CURSOR, "cursor_path": "meta.nxt"}], ids=["single", "cursor"]
)
def test_an_end_that_the_answer_contradicts_fails_and_loads_nothing(tmp_path, paginator, said, told):
    with serving(lambda _: reply({"data": PAGES[0], **said})) as server:
        with pytest.raises(BadDataError, match=told):
            rows_of(server, tmp_path, paginator)
        warned: list[str] = []
        assert rows_of(server, tmp_path, paginator, incomplete="warn", warned=warned) == PAGES[0]
        assert told in warned[0]


@pytest.mark.parametrize("said", ENDS)
def test_what_an_answer_says_at_its_end_is_no_contradiction(tmp_path, said):
    with serving(lambda _: reply({"data": PAGES[0], **said})) as server:
        warned: list[str] = []
        assert rows_of(server, tmp_path, {"type": "single_page"}, warned=warned) == PAGES[0]
        assert not warned


@pytest.mark.parametrize(("records", "body"), RECORDS)
def test_what_a_record_has_says_nothing_of_the_pages(tmp_path, records, body):
    with serving(lambda _: reply(body, X_Total_Count="1" if records == "links" else "57")) as server:
        warned: list[str] = []
        assert rows_of(server, tmp_path, {"type": "single_page"}, {"records": records}, warned=warned)
        assert not warned


def test_what_an_answer_says_next_to_a_paginator_that_found_its_end_is_no_contradiction(tmp_path):
    said = {"endOfStream": False, "next_marker": "x", "numberMatched": 99}
    pages = {"": {"data": PAGES[0], "next": "c1"}, "c1": {"data": PAGES[1], **said}}
    with serving(lambda asked: reply(pages[asked.params.get("after", "")], X_Total="99")) as server:
        assert rows_of(server, tmp_path, CURSOR) == numbered(0, 10)


@pytest.mark.parametrize("name", ["next_marker", "pagination_token", "lastEvaluatedKey", "next_token"])
def test_the_tables_own_token_does_not_lead_to_another_page(tmp_path, name):
    with serving(lambda _: reply({"data": PAGES[0], name: "abcdefg"})) as server:
        merged = {"primary_key": ["id"], "write_disposition": "merge"}
        more = {**merged, "delta_token": name, "params": {"since": "{{ delta_token }}"}}
        assert rows_of(server, tmp_path, {"type": "single_page"}, more) == PAGES[0]


def test_a_parameter_that_the_answer_repeats_does_not_lead_to_another_page(tmp_path):
    with serving(lambda asked: reply({"data": PAGES[0], **asked.params})) as server:
        warned: list[str] = []
        more = {"params": {"limit": 5, "marker": "a", "pagination_token": "b"}}
        assert rows_of(server, tmp_path, {"type": "single_page"}, more, warned=warned) == PAGES[0]
        assert not warned


@pytest.mark.parametrize(
    "said",
    [
        '"next": ' + '{"a": ' * 2000 + "1" + "}" * 2000,
        r'"after": "\ud800", "next": "\ud800"',
        '"total": 1e400',
        f'"total": {"9" * 5000}, "nbPages": "{"9" * 5000}"',
        '"links": [{"rel": "next", "href": NaN}]',
    ],
    ids=["deep", "half a character", "infinite", "long", "broken links"],
)
def test_signs_that_cannot_be_read_say_nothing(tmp_path, said):
    body = f'{{"data": [{{"id": 0}}], {said}}}'.encode()
    with serving(lambda _: Reply(body, headers={"X-Total": "9" * 5000})) as server:
        assert rows_of(server, tmp_path, {"type": "single_page"}) == [{"id": 0}]


@pytest.mark.parametrize("said", [{"cursor": "c2"}, {"offset": "itr/5"}, {"meta": {"page": {"after": "x"}}}])
def test_what_looks_like_a_cursor_is_a_warning_where_only_one_page_is_read(tmp_path, said):
    with serving(lambda _: reply({"data": PAGES[0], **said})) as server:
        warned: list[str] = []
        assert rows_of(server, tmp_path, {"type": "single_page"}, warned=warned) == PAGES[0]
        assert "looks like a cursor, and only one page was read" in warned[0]


@pytest.mark.parametrize(
    ("name", "links"),
    [
        ("link", lambda url: [{"relation": "self", "url": "/x"}, {"relation": "next", "url": url}]),
        ("links", lambda url: [{"rel": "next", "href": url, "method": "GET"}, {"rel": "last", "href": "/x?page=2"}]),
    ],
)
def test_the_next_link_may_be_in_a_list_of_links_with_relations(tmp_path, name, links):
    def answer(asked):
        page = int(asked.params.get("page", 0))
        more = links(f"/x?page={page + 1}") if page < 2 else [{"rel": "self", "href": "/x"}]
        return reply({"data": PAGES[page], name: more})

    with serving(answer) as server:
        assert rows_of(server, tmp_path, {"type": "json_link", "next_url_path": name}) == numbered(0, 12)
        assert len(server.asked) == 3


@pytest.mark.parametrize("name", ["X-Total-Count", "X-WP-Total"])
def test_fewer_records_than_a_header_says_are_an_error(tmp_path, name):
    with (
        serving(lambda _: Reply(json.dumps(PAGES[0]).encode(), headers={name: "12"})) as server,
        pytest.raises(BadDataError, match="says 12 records, but 5 were read"),
    ):
        rows_of(server, tmp_path, {"type": "single_page"}, {"records": None})


@pytest.mark.parametrize("sent", [{"params": {"limit": 5}}, {"params": {"status": "paid"}}, {"json": {"size": 5}}])
def test_a_total_in_a_header_is_a_warning_next_to_parameters_that_may_limit_on_purpose(tmp_path, sent):
    with serving(lambda _: Reply(json.dumps(PAGES[0]).encode(), headers={"X-Total": "12"})) as server:
        warned: list[str] = []
        more = {"records": None, **sent}
        assert rows_of(server, tmp_path, {"type": "single_page"}, more, warned=warned) == PAGES[0]
        assert "says 12 records, but 5 were read" in warned[0]


def test_a_total_in_a_header_may_be_of_more_than_pages_by_number_are_asked_for(tmp_path):
    pages = {"1": PAGES[0], "2": []}
    answer = lambda asked: Reply(json.dumps(pages[asked.params["page"]]).encode(), headers={"X-Total": "12"})  # noqa: E731
    with serving(answer) as server:
        assert rows_of(server, tmp_path, {"type": "page_number"}, {"records": None}) == PAGES[0]


def test_a_link_header_that_leads_on_is_no_end(tmp_path):
    answer = Reply(json.dumps(PAGES[0]).encode(), headers={"Link": '</x?page=2>; rel="next"'})
    with serving(lambda _: answer) as server, pytest.raises(BadDataError, match="Link header"):
        rows_of(server, tmp_path, {"type": "single_page"}, {"records": None})


def test_half_of_the_pages_is_an_error_where_the_answer_counts_them(tmp_path):
    pages = [numbered(0, 5), numbered(5, 10)]
    with serving(by_page(pages, total=20)) as server, pytest.raises(BadDataError, match="20 records, but 10 were read"):
        rows_of(server, tmp_path, NUMBERED)


# what says nothing against the end
AGREEMENTS = [
    {"has_more": False, "next_cursor": "c9"},
    {"total": 5},
    {"total": 3},
    {"meta": {"total_pages": 1, "count": 100}},
    {"next": None, "links": {"next": None}},
    {"next": ""},
    {"quota": {"total": 1000}},
    {"filters": {"next": "x"}},
    {"count": 100},
]


@pytest.mark.parametrize("said", AGREEMENTS)
def test_an_end_that_the_answer_agrees_with_is_the_end(tmp_path, said):
    with serving(lambda _: reply({"data": PAGES[0], **said})) as server:
        assert rows_of(server, tmp_path, {"type": "single_page"}) == PAGES[0]
        assert rows_of(server, tmp_path, CURSOR) == PAGES[0]


def test_totals_that_move_while_pages_are_read_do_not_fail_the_load(tmp_path):
    replies = [
        reply({"data": PAGES[0], "next": "b", "total": 11}),
        reply({"data": PAGES[1], "next": None, "total": 10}),
    ]
    with serving(in_turn(replies)) as server:
        assert rows_of(server, tmp_path, CURSOR) == numbered(0, 10)


def test_a_record_of_its_own_may_have_a_total(tmp_path):
    record = {"id": 1, "total": 57, "pages": 3}
    with serving(lambda _: reply(record)) as server:
        assert rows_of(server, tmp_path, {"type": "single_page"}, {"records": None}) == [record]


def test_a_cursor_whose_place_is_on_no_page_is_warned_of_and_fails_where_the_page_is_full(tmp_path):
    paginator = {**CURSOR, "cursor_path": "meta.nxt"}
    with serving(lambda _: reply({"data": PAGES[0]})) as server:
        warned: list[str] = []
        assert rows_of(server, tmp_path, paginator, warned=warned) == PAGES[0]
        assert '"meta.nxt" is on no page' in warned[0]
        with pytest.raises(BadDataError, match=r"on no page.*the page is full, according to limit=5"):
            rows_of(server, tmp_path, paginator, {"params": {"limit": 5}})
        assert rows_of(server, tmp_path, paginator, {"params": {"limit": 6}}) == PAGES[0]


FAILURES = {
    "ok": ({"ok": False, "error": "invalid_auth", "data": []}, "ok is false"),
    "success": ({"success": False, "data": []}, "success is false"),
    "error": ({"error": {"code": 7}}, "error"),
    "error text": ({"error": "no", "data": []}, "error"),
    "errors and a part": ({"errors": [{"message": "x"}], "data": [{"id": 1}]}, "errors"),
    "jsend": ({"status": "error", "data": []}, "status"),
}


@pytest.mark.parametrize(("answer", "told"), FAILURES.values(), ids=FAILURES)
def test_an_answer_that_says_it_failed_is_never_data(tmp_path, answer, told):
    replies = [reply({"data": PAGES[0], "next": "b"}), reply(answer)]
    with serving(in_turn(replies)) as server, pytest.raises(BadDataError, match=rf"reports a failure \({told}\)"):
        rows_of(server, tmp_path, CURSOR)


@pytest.mark.parametrize(
    "answer",
    [{"error": {"code": 1}}, {"message": "Unauthorized"}, {"detail": "x", "code": 3}, {"success": False, "id": 1}],
)
def test_an_error_is_not_stored_as_the_one_record(tmp_path, answer):
    with serving(lambda _: reply(answer)) as server, pytest.raises(BadDataError, match="reports a failure"):
        rows_of(server, tmp_path, {"type": "single_page"}, {"records": None})


@pytest.mark.parametrize(
    "answer",
    [{"id": 1, "success": False}, {"id": 1, "error": "E7"}, {"id": 1, "status": "failed"}, {"id": 1, "message": "hi"}],
)
def test_a_record_may_speak_of_errors_in_columns_that_the_table_declares(tmp_path, answer):
    columns = {name: {"type": "text"} for name in ("success", "error")}
    with serving(lambda _: reply(answer)) as server:
        got = rows_of(server, tmp_path, {"type": "single_page"}, {"records": None, "columns": columns})
    assert got == [answer]


def test_records_next_to_no_error_are_data(tmp_path):
    answer = {"ok": True, "error": None, "errors": [], "status": "ok", "data": [{"id": 1, "error": "of the record"}]}
    with serving(lambda _: reply(answer)) as server:
        assert rows_of(server, tmp_path, {"type": "single_page"}) == answer["data"]


def test_what_is_not_ready_is_no_record(tmp_path):
    with serving(lambda _: reply({"status": "processing"}, 202)) as server, pytest.raises(SourceNotReadyError):
        rows_of(server, tmp_path, {"type": "single_page"}, {"records": None})


def test_a_large_page_is_written_in_pieces_and_loses_no_record(tmp_path):
    rows = numbered(0, 12_345)
    with serving(lambda _: reply({"data": rows})) as server:
        assert rows_of(server, tmp_path, {"type": "single_page"}) == rows


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=3), min_size=1, max_size=8))
def test_a_page_has_something_new_exactly_when_a_record_of_it_came_on_no_page_before(pages):
    repeats, came = Repeats(), set()
    for page in pages:
        records = [Raw(str(n).encode()) for n in page]
        assert repeats.has_new(Prints.of(records)) == (not came.issuperset(page))
        repeats.remember(Prints.of(records))
        came.update(page)


def test_beyond_what_is_remembered_record_by_record_whole_pages_still_are():
    repeats = Repeats(most_records=2)
    pages = [[Raw(str(n).encode()) for n in range(start, start + 5)] for start in (0, 5, 10)]
    for page in pages:
        assert repeats.has_new(Prints.of(page))
        repeats.remember(Prints.of(page))
    assert not any(repeats.has_new(Prints.of(page[::-1])) for page in pages)


LAST_AGAIN = {
    "rows without ids": [[{"p": "A"}, {"p": "B"}], [{"p": "C"}, {"p": "D"}], [{"p": "A"}]],
    "open, closed, open": [[{"id": 1, "open": True}], [{"id": 1, "open": False}], [{"id": 1, "open": True}]],
    "the same twice": [[{"p": "A"}], [{"p": "A"}]],
}


@pytest.mark.parametrize("pages", LAST_AGAIN.values(), ids=LAST_AGAIN)
@pytest.mark.parametrize(
    "paginator", [{**CURSOR, "more": "has_more"}, CURSOR, {**NUMBERED, "more": "has_more"}, NUMBERED]
)
@pytest.mark.parametrize("leads_to", ["nothing", "itself"])
def test_a_last_page_of_records_that_came_before_counts_where_others_led_to_it(tmp_path, pages, paginator, leads_to):
    def answer(asked: Asked) -> Reply:
        number = int(asked.params.get("after", 0)) if "page" not in asked.params else int(asked.params["page"]) - 1
        number = min(number, len(pages) - 1)  # some send the last page again
        is_last = number == len(pages) - 1
        following = number + 1 if not is_last else number if leads_to == "itself" else None
        return reply({"data": pages[number], "has_more": not is_last, "next": following})

    with serving(answer) as server:
        assert rows_of(server, tmp_path, paginator) == [row for page in pages for row in page]


def test_a_first_page_that_comes_again_is_a_loop_where_a_total_says_more_than_one_page(tmp_path):
    same = serving(lambda _: reply({"data": PAGES[0], "total": 7}))
    with same as server, pytest.raises(BadDataError, match="the same records as the first page"):
        rows_of(server, tmp_path, NUMBERED)


HITS = {"hits": [{"_id": str(n)} for n in range(5)]}
SEARCH = {"records": "hits.hits"}


@pytest.mark.parametrize("relation", [{}, {"relation": "eq"}, {"relation": "gte"}])
def test_a_total_that_is_an_object_is_a_total(tmp_path, relation):
    found = serving(lambda _: reply({"hits": {"total": {"value": 25, **relation}, **HITS}}))
    with (
        found as server,
        pytest.raises(BadDataError, match=r'"hits\.total" in the response says 25 records, but 5 were'),
    ):
        rows_of(server, tmp_path, {"type": "single_page"}, SEARCH)


@pytest.mark.parametrize("total", [{"value": 5, "relation": "eq"}, {"value": 3, "relation": "gte"}, {"amount": 25}])
def test_a_total_that_is_an_object_and_reached_is_the_end(tmp_path, total):
    with serving(lambda _: reply({"hits": {"total": total, **HITS}})) as server:
        assert rows_of(server, tmp_path, {"type": "single_page"}, SEARCH) == HITS["hits"]


def test_a_total_with_more_behind_it_is_no_end(tmp_path):
    total = {"value": 5, "relation": "gte"}

    def answer(asked: Asked) -> Reply:
        page = int(asked.params["page"]) - 1
        return reply({"total": total, "data": PAGES[page] if page < 3 else []})

    with serving(answer) as server:
        assert rows_of(server, tmp_path, NUMBERED) == numbered(0, 12)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"timed_out": True}, "timed_out"),
        ({"_shards": {"total": 5, "failed": 2}}, r"_shards\.failed"),
        ({"error": "boom"}, "error"),
        ({"error": True}, "error"),
        ({"error": {"code": 7, "message": "boom"}}, "error"),
        ({"errors": {"message": "boom"}}, "errors"),
        ({"errors": "boom"}, "errors"),
        ({"Errors": [{"message": "boom"}]}, "errors"),
    ],
)
def test_records_next_to_a_failure_are_no_data(tmp_path, said, told):
    found = serving(lambda _: reply({"data": PAGES[0], **said}))
    with found as server, pytest.raises(BadDataError, match=f"reports a failure \\({told}\\)"):
        rows_of(server, tmp_path, {"type": "single_page"})


@pytest.mark.parametrize(
    "said",
    [
        *({name: none} for name in ("error", "errors") for none in (None, False, "", 0, "0", "none", "OK", {}, [], 3)),
        {"error": {"code": "ok", "message": "", "log_id": "2024"}},
        {"error": {"code": 0, "message": "fine"}},
        {"error": {"message": "", "details": []}},
        {"error": "No error."},
        {"timed_out": False, "_shards": {"total": 5, "failed": 0}},
        {"incomplete_results": False, "incompleteSearch": False, "jobComplete": True},
    ],
)
def test_records_next_to_what_says_that_nothing_failed_are_data(tmp_path, said):
    with serving(lambda _: reply({"data": PAGES[0], **said})) as server:
        assert rows_of(server, tmp_path, {"type": "single_page"}) == PAGES[0]
