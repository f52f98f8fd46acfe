"""The end of the pages, as the paginator names it: more, totals, a status past the last, cursors of other places."""

from __future__ import annotations

import pytest
from extract_support import Reply, reply, serving
from rest_support import records_of

from elt_factory.config.errors import ConfigError
from elt_factory.core.failures import BadDataError, BadRequestError

PAGES = [[{"id": 0}, {"id": 1}], [{"id": 2}, {"id": 3}], [{"id": 4}]]


def read(folder, paginator, answer):
    with serving(answer) as server:
        found = records_of(server, folder, f"x: {{path: /x, records: items, paginator: {paginator}}}", "x")
    return [record["id"] for record in found], server


def numbered(pages, **more):
    def answer(asked):
        number = int(asked.params["page"]) - 1
        said = {name: value(number) if callable(value) else value for name, value in more.items()}
        return reply({"items": pages[number] if number < len(pages) else [], **said})

    return answer


@pytest.mark.parametrize("records", ["hits.hits", "'hits.hits[*]._source'"])
def test_a_cursor_in_the_body_may_be_a_list_as_elasticsearch_has_it(tmp_path, records):
    hits = [{"_source": {"id": n}, "id": n, "sort": [1700000000000 + n, f"s{n}"]} for n in range(23)]

    def search(asked):
        after = asked.json.get("search_after")
        begin = 0 if after is None else [hit["sort"] for hit in hits].index(after) + 1
        return reply({"hits": {"total": {"value": 23, "relation": "eq"}, "hits": hits[begin : begin + 10]}})

    paginator = "{type: cursor, cursor_record: sort, cursor_param: search_after, in: body}"
    table = f"x: {{path: /x, json: {{sort: [at, id]}}, records: {records}, paginator: {paginator}}}"
    with serving(search) as server:
        assert [record["id"] for record in records_of(server, tmp_path, table, "x")] == list(range(23))


def test_a_number_is_a_place_in_an_answer_that_is_a_list_as_that_of_the_world_bank(tmp_path):
    def countries(asked):
        number = int(asked.params["page"])
        return reply([{"page": number, "pages": 3, "total": 5}, PAGES[number - 1] if number < 4 else None])

    for sign in ("total: '0.total'", "total_pages: '0.pages'"):
        table = f"x: {{path: /x, records: '1', paginator: {{type: page_number, {sign}}}}}"
        with serving(countries) as server:
            assert [record["id"] for record in records_of(server, tmp_path, table, "x")] == [0, 1, 2, 3, 4]
            assert len(server.asked) == 3


def test_what_is_next_to_the_records_in_a_list_says_that_pages_are_missing(tmp_path):
    table = "x: {path: /x, records: '1', paginator: {type: single_page}}"
    found = serving(lambda _: reply([{"page": 1, "pages": 3, "total": 50}, PAGES[0]]))
    with found as server, pytest.raises(BadDataError, match=r'"0\.total" in the response says 50 records'):
        records_of(server, tmp_path, table, "x")


def test_what_no_place_in_a_list_leads_to_is_an_error(tmp_path):
    table = "x: {path: /x, records: '1', paginator: {type: single_page}}"
    found = serving(lambda _: reply([{"message": [{"id": "120"}]}]))
    with found as server, pytest.raises(BadDataError, match="the response itself is a list"):
        records_of(server, tmp_path, table, "x")


def test_a_cursor_in_the_query_cannot_be_a_list(tmp_path):
    with pytest.raises(BadDataError, match=r"holds \[1, 2\], which is neither a cursor nor a link"):
        read(tmp_path, "{type: cursor, cursor_path: after}", lambda _: reply({"items": PAGES[0], "after": [1, 2]}))


@pytest.mark.parametrize("count", [29, 30, 31])
@pytest.mark.parametrize("total", ["", ", total: totalResults"])
def test_the_first_record_may_have_the_offset_1_as_in_scim(tmp_path, count, total):
    def users(asked):
        begin, size = (int(asked.params[name]) for name in ("startIndex", "count"))
        assert begin >= 1
        found = [{"id": n} for n in range(begin, min(begin + size, count + 1))]
        return reply({"items": found, "totalResults": count, "startIndex": begin})

    sent = "limit: 10, limit_param: count, offset_param: startIndex, first_offset: 1"
    found, server = read(tmp_path, f"{{type: offset, {sent}{total}}}", users)
    assert found == list(range(1, count + 1))
    assert len(server.asked) == -(-count // 10) + (not total)


@pytest.mark.parametrize(
    ("paginator", "said"),
    [
        ("{type: page_number, more: has_next}", {"has_next": lambda n: n < 2}),
        ("{type: page_number, last: end_of_stream}", {"end_of_stream": lambda n: n == 2}),
        ("{type: page_number, total: count}", {"count": 5}),
        ("{type: page_number, total: count}", {"count": "5"}),
        ("{type: page_number, total_pages: sheets}", {"sheets": 3}),
    ],
)
def test_what_the_answer_says_ends_the_pages_without_a_request_too_many(tmp_path, paginator, said):
    found, server = read(tmp_path, paginator, numbered(PAGES, **said))
    assert found == [0, 1, 2, 3, 4]
    assert len(server.asked) == 3


def test_a_cursor_that_is_there_at_the_end_is_not_followed_where_the_page_is_said_to_be_the_last(tmp_path):
    def exported(asked):
        number = int(asked.params.get("cursor", 0))
        return reply({"items": PAGES[number], "after": str(min(number + 1, 2)), "done": number == 2})

    found, server = read(tmp_path, "{type: cursor, cursor_path: after, last: done}", exported)
    assert found == [0, 1, 2, 3, 4]
    assert len(server.asked) == 3


def test_more_and_last_exclude_each_other(tmp_path):
    with pytest.raises(ConfigError, match="more and last exclude each other"):
        read(tmp_path, "{type: page_number, more: a, last: b}", numbered(PAGES))


@pytest.mark.parametrize("said", ["total: count", "more: more_of_it"])
def test_an_empty_page_in_between_is_no_end_where_more_are_said_to_come(tmp_path, said):
    pages = [PAGES[0], [], [], PAGES[1], PAGES[2]]
    answer = numbered(pages, count=5, more_of_it=lambda n: n < 4)
    assert read(tmp_path, f"{{type: page_number, {said}}}", answer)[0] == [0, 1, 2, 3, 4]


def test_fewer_records_than_the_total_are_an_error(tmp_path):
    def answer(asked):
        at = int(asked.params.get("after", 0))
        return reply({"items": PAGES[at], "count": 6, "cursor": at + 1 if at < 2 else None})

    paginator = "{type: cursor, cursor_path: cursor, cursor_param: after, total: count}"
    with pytest.raises(BadDataError, match='"count" in the response says 6 records, but 5 were read'):
        read(tmp_path, paginator, answer)


@pytest.mark.parametrize(
    ("paginator", "words"),
    [
        ("{type: page_number, more: has_mor}", '"has_mor" is on no page: check the path in more:'),
        ("{type: page_number, total: tota}", '"tota" is on no page: check the path in total:'),
        ("{type: cursor, cursor_header: X-Nxt}", '"X-Nxt" is on no page: check the header in cursor_header:'),
    ],
)
def test_a_name_that_no_page_has_is_an_error_and_no_end(tmp_path, paginator, words):
    with pytest.raises(BadDataError) as caught:
        read(
            tmp_path,
            paginator,
            lambda asked: reply({"items": PAGES[0] if asked.params.get("page", "1") == "1" else []}),
        )
    assert words in str(caught.value)


def test_a_status_past_the_last_page_is_the_end_and_not_of_the_first(tmp_path):
    def answer(asked):
        number = int(asked.params["page"]) - first
        return reply({"items": PAGES[number]}) if number < 3 else Reply(b"no such page", 404)

    paginator, first = "{type: page_number, past_last: [400, 404]}", 1
    assert read(tmp_path, paginator, answer)[0] == [0, 1, 2, 3, 4]
    first = -5
    with pytest.raises(BadRequestError, match="404"):
        read(tmp_path, paginator, answer)


def test_the_cursor_may_be_in_a_header(tmp_path):
    def answer(asked):
        at = int(asked.params.get("cursor", 0))
        return reply({"items": PAGES[at]}, **({"X-Next": str(at + 1)} if at < 2 else {}))

    assert read(tmp_path, "{type: cursor, cursor_header: X-Next}", answer)[0] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("paginator", "says"),
    [
        ("{type: cursor, cursor_header: X-Next, more: again}", {"again": False}),
        ("{type: cursor, cursor_header: X-Next}", {"has_more": False}),
        ("{type: cursor, cursor_header: X-Next, total: n}", {"n": 2}),
        ("{type: cursor, cursor_header: X-Next, total_pages: n}", {"n": 1}),
    ],
)
def test_one_page_has_no_header_for_the_next_where_the_api_says_that_it_is_all(tmp_path, paginator, says):
    assert read(tmp_path, paginator, lambda _: reply({"items": PAGES[0], **says}))[0] == [0, 1]


@pytest.mark.parametrize("more", ["", ", more: has_more"])
def test_the_cursor_may_be_that_of_the_last_record(tmp_path, more):
    def answer(asked):
        at = int(asked.params.get("starting_after", -1)) + 1
        rows = [{"key": {"id": number}, "id": number} for number in range(at, min(5, at + 2))]
        return reply({"items": rows, "has_more": at + 2 < 5})

    paginator = f"{{type: cursor, cursor_record: key.id, cursor_param: starting_after{more}}}"
    found, server = read(tmp_path, paginator, answer)
    assert found == [0, 1, 2, 3, 4]
    assert len(server.asked) == (3 if more else 4)


@pytest.mark.parametrize("more", ["", ", more: has_more"])
@pytest.mark.parametrize("rows", [1, 2, 4])
def test_a_full_last_page_is_the_end_where_the_cursor_is_that_of_the_last_record(tmp_path, more, rows):
    def answer(asked):
        at = int(asked.params.get("starting_after", -1)) + 1
        return reply({"items": [{"id": n} for n in range(at, min(rows, at + 2))], "has_more": at + 2 < rows})

    warned = []
    paginator = f"{{type: cursor, cursor_record: id, cursor_param: starting_after{more}}}"
    table = f"x: {{path: /x, params: {{limit: 2}}, records: items, paginator: {paginator}}}"
    with serving(answer) as server:
        assert records_of(server, tmp_path, table, "x", warn=warned.append) == [{"id": n} for n in range(rows)]
    assert not warned


@pytest.mark.parametrize("said", [{"has_more": False}, {"total": 2}])
def test_a_full_page_without_a_cursor_is_all_where_the_api_says_so(tmp_path, said):
    table = "x: {path: /x, params: {limit: 2}, records: items, paginator: {type: cursor, cursor_path: after}}"
    with serving(lambda _: reply({"items": PAGES[0], **said})) as server:
        assert records_of(server, tmp_path, table, "x") == PAGES[0]


def test_a_last_record_without_the_cursor_is_named(tmp_path):
    with pytest.raises(BadDataError, match='the last record has no "idd"'):
        read(tmp_path, "{type: cursor, cursor_record: idd}", lambda _: reply({"items": PAGES[0]}))


def test_a_total_is_no_end_where_a_record_comes_twice_and_a_cursor_goes_on(tmp_path):
    pages = [[0, 1], [1, 2], [2, 3]]

    def answer(asked):
        at = int(asked.params.get("after", 0))
        items = [{"id": number} for number in pages[at]]
        return reply({"items": items, "count": 4, "cursor": at + 1 if at < 2 else None})

    paginator = "{type: cursor, cursor_path: cursor, cursor_param: after, total: count}"
    assert set(read(tmp_path, paginator, answer)[0]) == {0, 1, 2, 3}


def test_an_answer_to_skip_behind_the_first_page_is_an_end_that_is_proved(tmp_path):
    def answer(asked):
        number = int(asked.params["page"])
        return reply({"items": PAGES[number - 1], "count": 5}) if number < 3 else Reply(b"{}", 404)

    answers = "answers: [{status: 404, do: skip}]"
    tables = f"x: {{path: /x, records: items, paginator: {{type: page_number, total: count}}, {answers}}}"
    with serving(answer) as server, pytest.raises(BadDataError, match="says 5 records, but 4 were read"):
        records_of(server, tmp_path, tables, "x")


ISSUES = [{"id": n, "notes": [{"note": 10 * n + k} for k in range(0 if 5 <= n < 10 else 3)]} for n in range(20)]
NOTES = [note for issue in ISSUES for note in issue["notes"]]


def issues(asked, size=5, **said):
    start = int(asked.params["offset"]) if "offset" in asked.params else size * (int(asked.params.get("page", 1)) - 1)
    return reply({"issues": ISSUES[start : start + size], **said})


@pytest.mark.parametrize(
    "paginator",
    [
        "{type: offset, limit: 5}",
        "{type: offset, limit: 5, total: count}",
        "{type: offset, limit: 50, total: count}",
        "{type: offset, limit: 50}",
        "{type: page_number}",
        "{type: page_number, total: count}",
        "{type: page_number, total: total}",
    ],
)
def test_pages_are_of_the_elements_that_the_records_are_in(tmp_path, paginator):
    table = f"x: {{path: /x, records: 'issues[*].notes', paginator: {paginator}}}"
    with serving(lambda asked: issues(asked, count=20, total=20)) as server:
        assert records_of(server, tmp_path, table, "x") == NOTES
    places = [int(asked.params.get("offset", 0)) for asked in server.asked]
    assert "offset" not in paginator or sorted(places) == [0, 5, 10, 15, 20][: len(places)]


def test_fewer_elements_than_the_total_are_an_error_however_many_records_are_in_them(tmp_path):
    table = "x: {path: /x, records: 'issues[*].notes', paginator: {type: page_number}}"
    with (
        serving(lambda asked: issues(asked, 5 if asked.params["page"] in "12" else 50, total=20)) as server,
        pytest.raises(BadDataError, match="says 20 records, but 10 were read"),
    ):
        records_of(server, tmp_path, table, "x")


@pytest.mark.parametrize("total", [3, 1])
def test_a_total_may_count_the_elements_or_the_records_in_them(tmp_path, total):
    table = "x: {path: /x, records: {path: 'items[*].order', optional: true}}"
    answer = {"total": total, "items": [{"order": {"id": 1}}, {"order": None}, {"x": 1}]}
    with serving(lambda _: reply(answer)) as server:
        assert records_of(server, tmp_path, table, "x") == [{"id": 1}]


def test_records_without_the_optional_value_are_asked_for_once(tmp_path):
    items = [{"id": n, "refund": {"rid": n} if n % 2 == 0 else None} for n in range(20)]
    table = "x: {path: /x, records: {path: 'items[*].refund', optional: true}, paginator: {type: offset, limit: 4}}"

    def answer(asked):
        start = int(asked.params["offset"])
        return reply({"items": items[start : start + 4]})

    with serving(answer) as server:
        assert [row["rid"] for row in records_of(server, tmp_path, table, "x")] == [*range(0, 20, 2)]


@pytest.mark.parametrize("rows", [0, 3, 10, 23])
@pytest.mark.parametrize("paginator", ["{type: offset, limit: 10}", "{type: page_number}"])
@pytest.mark.parametrize("groups", [1, 2])
def test_pages_are_of_the_records_where_these_are_only_wrapped_or_grouped(tmp_path, paginator, rows, groups):
    found = [{"n": n} for n in range(rows)]

    def answer(asked):
        start = int(asked.params["offset"]) if "offset" in asked.params else 10 * (int(asked.params["page"]) - 1)
        page = found[start : start + 10]
        if groups == 1:
            return reply({"reports": [{"rows": page}]})
        return reply({"reports": [{"rows": part} for part in (page[:4], page[4:]) if part]})

    table = f"x: {{path: /x, records: 'reports[*].rows', paginator: {paginator}}}"
    with serving(answer) as server:
        assert records_of(server, tmp_path, table, "x") == found


def test_the_cursor_is_that_of_the_last_element_where_the_records_are_in_it(tmp_path):
    def answer(asked):
        at = int(asked.params.get("starting_after", -1)) + 1
        return reply({"data": ISSUES[at : at + 5], "has_more": at + 5 < 20})

    paginator = "{type: cursor, cursor_record: id, cursor_param: starting_after, more: has_more}"
    table = f"x: {{path: /x, records: 'data[*].notes', paginator: {paginator}}}"
    with serving(answer) as server:
        assert records_of(server, tmp_path, table, "x") == NOTES


LINES = [{"l": n} for n in range(3)]
STRIPE = "{type: cursor, cursor_record: id, cursor_param: starting_after, more: has_more}"


def invoices(said, count=3):
    rows = [{"id": n, "total": 99, "lines": {"data": LINES, **(said if n == 1 else {})}} for n in range(count)]

    def answer(asked):
        at = int(asked.params.get("starting_after", -1)) + 1
        return reply({"data": rows[at : at + 2], "has_more": at + 2 < count})

    return answer


CUT = {
    "has_more": ({"has_more": True}, "lines.has_more"),
    "total_count": ({"total_count": 25}, "lines.total_count"),
    "total next to a page size": ({"total": 25, "maxResults": 3}, "lines.total"),
    "hasNextPage": ({"pageInfo": {"hasNextPage": True, "endCursor": "x"}}, "lines.pageInfo.hasNextPage"),
}


@pytest.mark.parametrize(("said", "name"), CUT.values(), ids=CUT)
@pytest.mark.parametrize("count", [2, 3])
def test_a_list_within_a_record_that_was_cut_off_is_no_end(tmp_path, said, name, count):
    table = f"x: {{path: /x, records: 'data[*].lines.data', paginator: {STRIPE}}}"
    with serving(invoices(said, count)) as server:
        with pytest.raises(BadDataError, match=f'"{name}" within a record says'):
            records_of(server, tmp_path, table, "x")
        warned = []
        assert len(records_of(server, tmp_path, table, "x", "incomplete: warn", warn=warned.append)) == 3 * count
    assert name in warned[0]


def test_a_list_of_the_only_record_that_was_cut_off_is_no_end(tmp_path):
    answer = {"data": [{"id": 1, "lines": {"data": LINES, "has_more": True}}], "has_more": False}
    table = f"x: {{path: /x, records: 'data[*].lines.data', paginator: {STRIPE}}}"
    with serving(lambda _: reply(answer)) as server, pytest.raises(BadDataError, match=r"lines\.has_more"):
        records_of(server, tmp_path, table, "x")


@pytest.mark.parametrize(
    "said", [{"has_more": False}, {"total_count": 3}, {"total": 25}, {"total": 3, "limit": 3}, {"totalItems": 7}]
)
def test_a_list_within_a_record_that_is_whole_is_all(tmp_path, said):
    table = f"x: {{path: /x, records: 'data[*].lines.data', paginator: {STRIPE}}}"
    with serving(invoices(said)) as server:
        assert len(records_of(server, tmp_path, table, "x")) == 9


def test_pages_within_the_one_element_around_them_say_themselves_that_more_follow(tmp_path):
    def answer(asked):
        page = int(asked.params["page"])
        part = {"rows": LINES, "n": page, "has_more": page < 3} if page < 4 else {"rows": [], "has_more": False}
        return reply({"results": [{"part": {**part, "rows": [{"p": page, **row} for row in part["rows"]]}}]})

    table = "x: {path: /x, records: 'results[*].part.rows', paginator: {type: page_number}}"
    with serving(answer) as server:
        assert len(records_of(server, tmp_path, table, "x")) == 9
