from __future__ import annotations

import json
import mmap
from datetime import UTC, datetime

import msgspec
import pytest
from extract_support import SECRET, Asked, Reply, in_turn, read_request, reply, serving, spooled
from hypothesis import given, settings
from hypothesis import strategies as st

from elt_factory.core.failures import BadDataError, BadRequestError
from elt_factory.core.window import Window
from elt_factory.extract import progress
from elt_factory.sources.read import read
from elt_factory.sources.rest_api import one_pass
from elt_factory.sources.rest_api import reader as rest
from elt_factory.sources.rest_api.answer import UnreadableAnswerError, check_objects, ndjson, parse

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
RECORDS = st.lists(st.dictionaries(st.text(), JSON, max_size=4), max_size=6)


def read_all(server, folder, paginator=None, connection=None, table=None, **more):
    extract = {"type": "rest_api", "connection": "api"}
    if paginator:
        extract["paginator"] = paginator
    connection = connection or server.connection()
    return read(read_request(folder, extract, {"path": "/things", **(table or {})}, connection, **more))


@given(RECORDS, st.sampled_from([None, 0, 2, "\t", "\r\n "]), st.booleans())
def test_every_record_stays_exactly_itself_on_one_line(records, indent, ascii_only):
    body = json.dumps({"a": {"b": records}}, indent=indent, ensure_ascii=ascii_only).encode()
    lines = ndjson(parse(body).records("a.b"))
    assert [json.loads(line) for line in lines.split(b"\n")[:-1]] == records
    assert b"\r" not in lines


@given(RECORDS)
def test_compact_records_keep_their_very_bytes(records):
    texts = [json.dumps(record).encode() for record in records]
    assert ndjson(parse(b" [" + b" , ".join(texts) + b"]\n").records(None)) == b"".join(t + b"\n" for t in texts)


def test_numbers_that_no_float_holds_keep_their_digits():
    body = b'[{"a": 12345678901234567890.123456789, "b": 1e400}]'
    assert ndjson(parse(body).records(None)) == b'{"a": 12345678901234567890.123456789, "b": 1e400}\n'


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b'{"a":', b'{"a": NaN}', b'"text"', b"3", b'{"a": "\xff"}', b"[" * 9999]
)
def test_what_is_no_json_object_or_list_is_unreadable(body):
    with pytest.raises(UnreadableAnswerError, match="not a JSON object or list"):
        parse(body)


@pytest.mark.parametrize("bad", [3, "x", None, [1], [{}]])
def test_a_record_that_is_no_object_is_a_line_for_the_contract_and_is_named_in_a_sample(bad):
    records = parse(msgspec.json.encode([{"a": 1}, bad, {}])).records(None)
    assert ndjson(records).splitlines() == [b'{"a":1}', msgspec.json.encode(bad), b"{}"]
    with pytest.raises(UnreadableAnswerError, match="record 2: expected an object"):
        check_objects(records)


BAD_RECORDS = [
    b'{"a": NaN}',
    b'{"a": "\\ud800"}',
    b'{"a": "x\x01y"}',
    b'{"a": "\xff"}',
    b'{"a": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    b'{"a": "],}{"} 5',
    b"nul",
    b'{"a": 01, "b": "\\""}',
]


@pytest.mark.parametrize("bad", BAD_RECORDS)
@pytest.mark.parametrize("before", [b"", b"\xef\xbb\xbf"])
def test_a_record_that_is_no_json_does_not_cost_the_others_of_its_answer(bad, before):
    body = before + b'{"meta": {"next": "p2"}, "items": [{"a": 1}, ' + bad + b',\n {"b": 2} ]}\n'
    document = parse(body)
    assert bytes(document.find("meta.next")) == b'"p2"'
    assert ndjson(document.records("items")).split(b"\n") == [b'{"a": 1}', bad, b'{"b": 2}', b""]
    assert ndjson(parse(before + b"[" + bad + b"]").records(None)) == bad + b"\n"


@pytest.mark.parametrize(
    "body",
    [b"[1, , NaN]", b'[{"a": NaN}', b'[{"a": NaN]}', b"[NaN] x", b'{"items": [NaN], "n": NaN}', b'{"items" [NaN]}'],
)
def test_an_answer_whose_own_form_is_broken_is_unreadable(body):
    with pytest.raises(UnreadableAnswerError, match="not a JSON object or list"):
        parse(body)


KEYS = ["data", "next", "more\u00e9", 'a"b', "a\\b", "\t", ""]
RECORD = st.sampled_from([{"a": 1}, {}, {"b": [{"c": "}], ["}]}, {"d": '"data": [{'}, [1, [2]], [], 3, "x]", None])
VALUE = st.lists(st.just({"a": 1}) | RECORD, max_size=3) | RECORD


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(KEYS), VALUE), min_size=1, max_size=4),
    st.sampled_from([("", ""), (" ", ", "), ("\n\t", "\r\n,")]),
    st.booleans(),
)
def test_records_taken_apart_with_the_rest_of_their_answer_are_those_of_two_passes(pairs, spaces, ascii_only):
    def written(value):
        space, comma = spaces
        if isinstance(value, list):
            return f"{space}[{space}{(comma or ',').join(map(written, value))}{space}]{space}"
        return json.dumps(value, ensure_ascii=ascii_only)

    # a key may be there twice, and what is said last counts
    body = ("{" + ",".join(f"{json.dumps(key)}:{written(value)}" for key, value in pairs) + "}").encode()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(one_pass, "LEAST_BYTES", 0)
        once = parse(body)
    twice = parse(body)
    assert list(once.keys) == list(twice.keys)
    for key, raw in twice.keys.items():
        assert bytes(once.keys[key]) == bytes(raw)
        if bytes(raw).startswith(b"["):
            assert list(map(bytes, once.items(once.keys[key]))) == list(map(bytes, twice.items(raw)))


@pytest.mark.parametrize(
    ("body", "listed"),
    [
        (b'{"data": [{"a": 1}, {"a": 2}], "next": 3}', b'[{"a": 1}, {"a": 2}]'),
        (b'{"meta": {"tags": [{}]}, "links": [{"b": [{}]}], "data": [ {"a": "}"} ]}', b'[ {"a": "}"} ]'),
        (b'{"data": [[1, 2], [3]], "columns": ["a"]}', b"[[1, 2], [3]]"),
        (b'{"data": [{"a": 1}], "data": [{"a": 2}]}', b'[{"a": 2}]'),
        (b'{"response": {"data": [{"a": 1}]}}', None),
        (b'{"data": [{"a": 1}], "data": null}', None),
        (b'{"data": [{"a": 1}], "data": []}', None),
        (b'{"data": []}', None),
        (b'{"say": "\\"data\\": [{", "data": {"a": 1}}', None),
    ],
)
def test_which_list_is_taken_apart_with_the_rest(monkeypatch, body, listed):
    monkeypatch.setattr(one_pass, "LEAST_BYTES", 0)
    document = parse(body)
    assert (bytes(document.listed.whole) if document.listed else None) == listed
    assert {key: bytes(raw) for key, raw in document.keys.items()} == {
        key: bytes(raw) for key, raw in msgspec.json.decode(body, type=dict[str, msgspec.Raw]).items()
    }


def test_a_large_answer_on_disk_is_taken_apart_in_one_pass_too(tmp_path):
    rows = [{"id": number, "text": "x" * 80} for number in range(1000)]
    (tmp_path / "body").write_text(json.dumps({"data": rows, "next": "p2"}))
    with (tmp_path / "body").open("rb") as file:
        document = parse(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    assert document.listed
    assert bytes(document.find("next")) == b'"p2"'
    assert [json.loads(bytes(raw)) for raw in document.records("data")] == rows
    assert json.loads(bytes(document.find("data"))) == rows


def test_a_byte_order_mark_before_an_answer_is_no_part_of_it():
    assert ndjson(parse(b'\xef\xbb\xbf[{"a": 1}]').records(None)) == b'{"a": 1}\n'


def test_missing_records_name_the_keys_that_are_there():
    document = parse(b'{"data": {"rows": [], "total": 0}, "next": null}')
    with pytest.raises(UnreadableAnswerError, match=r'no "items", it has the keys: rows, total'):
        document.records("data.items")
    with pytest.raises(UnreadableAnswerError, match=r"it has the keys: data, next"):
        document.records("results")
    with pytest.raises(UnreadableAnswerError, match=r"found 0"):
        document.records("data.total.rows")
    with pytest.raises(UnreadableAnswerError, match="holds null, which is not a list"):
        document.records("next")
    with pytest.raises(UnreadableAnswerError, match="the response itself is a list"):
        parse(b"[]").records("data")


def test_a_single_object_is_one_record_only_without_a_records_path(tmp_path):
    with serving(lambda _: reply({"id": 1})) as server:
        spool = read_all(server, tmp_path)
        assert (spooled(spool.files), spool.rows_read) == ([{"id": 1}], 1)
        with pytest.raises(BadDataError):
            read_all(server, tmp_path, table={"records": "id"})


def test_no_records_leave_no_file(tmp_path):
    with serving(lambda _: reply([])) as server:
        spool = read_all(server, tmp_path)
    assert (spool.format, spool.files, spool.rows_read) == ("ndjson", (), 0)


def test_path_and_params_carry_the_window_in_the_sources_zone(tmp_path):
    window = Window(datetime(2013, 1, 1, 5, tzinfo=UTC), datetime(2013, 1, 2, 5, tzinfo=UTC))
    params = {
        "since": "{{ window.start }}",
        "day": "{{ window.start | date }}",
        "until": "{{ window.end | epoch }}",
        "load": "{{ load_id }}",
        "limit": 10,
    }
    table = {"path": "/by/{{ window.start | date }}", "params": params}
    with serving(lambda _: reply([])) as server:
        read_all(server, tmp_path, table=table, window=window, timezone="America/New_York")
        asked = server.asked[0]
    assert asked.path == "/by/2013-01-01"
    assert asked.params == {
        "since": "2013-01-01T05:00:00Z",
        "day": "2013-01-01",
        "until": "1357102800",
        "load": "load-1",
        "limit": "10",
    }


def numbered(count):
    return [{"n": n} for n in range(count)]


def test_cursor_pages_are_read_to_the_end_with_the_tables_params(tmp_path):
    rows = numbered(7)

    def answer(asked: Asked) -> Reply:
        at = int(asked.params.get("after", 0))
        following = at + 3 if at + 3 < len(rows) else None
        return reply({"data": rows[at : at + 3], "meta": {"next": following}})

    paginator = {"type": "cursor", "cursor_path": "meta.next", "cursor_param": "after"}
    with serving(answer) as server:
        spool = read_all(server, tmp_path, paginator, table={"records": "data", "params": {"k": "v"}})
        assert [asked.params for asked in server.asked] == [
            {"k": "v"},
            {"k": "v", "after": "3"},
            {"k": "v", "after": "6"},
        ]
    assert (spooled(spool.files), spool.rows_read) == (rows, 7)


@pytest.mark.parametrize("end", [{"next": None}, {"next": ""}, {"next": False}, {}])
def test_no_cursor_ends_the_pages(tmp_path, end):
    with serving(lambda _: reply({"data": [{}], **end})) as server:
        read_all(server, tmp_path, {"type": "cursor"}, table={"records": "data"})
        assert len(server.asked) == 1


@pytest.mark.parametrize("absolute", [True, False])
def test_json_links_are_followed_as_they_are(tmp_path, absolute):
    def answer(asked: Asked) -> Reply:
        base = server.url if absolute else ""
        following = f"{base}/things?page=b%2F2" if "page" not in asked.params else None
        return reply({"data": [asked.params], "links": {"next": following}})

    with serving(answer) as server:
        paginator = {"type": "json_link", "next_url_path": "links.next"}
        table = {"records": "data", "params": {"k": 1}}
        spool = read_all(server, tmp_path, paginator, server.connection(password=SECRET), table)
        assert server.asked[1].target == "/things?page=b%2F2"
        assert server.asked[1].headers["Authorization"] == f"Bearer {SECRET}"
    assert spooled(spool.files) == [{"k": "1"}, {"page": "b/2"}]


@pytest.mark.parametrize(
    "header",
    [
        '<{url}/things?p=2>; rel="next", <{url}/things?p=9>; rel="last"',
        "<{url}/things?p=9>; rel=last,<{url}/things?p=2>;rel=next",
        '</things?p=9>; rel=prev; title="a, b", <things?p=2>; title="x"; rel="up next"',
    ],
)
def test_link_headers_are_followed(tmp_path, header):
    def answer(asked: Asked) -> Reply:
        links = {"Link": header.format(url=server.url)} if not asked.params else {"Link": '<x>; rel="prev"'}
        return Reply(json.dumps([asked.params]).encode(), headers=links)

    with serving(answer) as server:
        spool = read_all(server, tmp_path, {"type": "header_link"})
    assert spooled(spool.files) == [{}, {"p": "2"}]


@pytest.mark.parametrize(("count", "cap", "requests"), [(0, 2, 1), (1, 2, 2), (2, 2, 2), (5, 2, 4), (5, 1, 6)])
def test_offset_pages_end_with_an_empty_page_also_when_the_server_caps_them(tmp_path, count, cap, requests):
    rows = numbered(count)

    def answer(asked: Asked) -> Reply:
        at, size = int(asked.params["skip"]), int(asked.params["take"])
        return reply(rows[at : at + min(size, cap)])

    paginator = {"type": "offset", "limit": 2, "limit_param": "take", "offset_param": "skip"}
    with serving(answer) as server:
        assert spooled(read_all(server, tmp_path, paginator).files) == rows
        assert len(server.asked) == requests


@pytest.mark.parametrize("first_page", [0, 1])
def test_numbered_pages_end_with_an_empty_page(tmp_path, first_page):
    rows = numbered(5)

    def answer(asked: Asked) -> Reply:
        at = 2 * (int(asked.params["p"]) - first_page)
        return reply(rows[at : at + 2])

    with serving(answer) as server:
        paginator = {"type": "page_number", "page_param": "p", "first_page": first_page}
        assert spooled(read_all(server, tmp_path, paginator).files) == rows
        assert len(server.asked) == 4


@pytest.mark.parametrize(
    ("paginator", "told"),
    [
        ({"type": "cursor"}, "cursor=c"),
        ({"type": "json_link"}, "the link /things"),
        ({"type": "header_link"}, "the link /things"),
        ({"type": "page_number"}, "page=2 returned the same records as the first page"),
        ({"type": "offset", "limit": 1}, "offset=1"),
    ],
)
def test_a_server_that_goes_in_circles_is_bad_data(tmp_path, paginator, told):
    following = "/things?x=1" if paginator["type"].endswith("link") else "c"
    answer = Reply(
        json.dumps({"data": [{"same": 1}], "next": following}).encode(), headers={"Link": "</things?x=1>; rel=next"}
    )
    with serving(lambda _: answer) as server:
        with pytest.raises(BadDataError, match=told):
            read_all(server, tmp_path, paginator, table={"records": "data"})
        assert len(server.asked) <= 3


@pytest.mark.parametrize(
    ("paginator", "body"),
    [
        ({"type": "cursor"}, [{"a": 1}]),
        ({"type": "cursor"}, {"next": {"x": 1}}),
        ({"type": "json_link"}, {"next": True}),
    ],
)
def test_an_answer_that_cannot_hold_a_cursor_is_bad_data(tmp_path, paginator, body):
    with (
        serving(lambda _: reply(body)) as server,
        pytest.raises(BadDataError, match=r"src\.things: GET http.*/things: "),
    ):
        read_all(server, tmp_path, paginator)


def test_a_json_link_to_another_host_never_gets_the_secret(tmp_path):
    with serving(lambda _: reply([])) as other:
        answer = reply({"data": [], "next": f"{other.url}/x"})
        with serving(lambda _: answer) as server, pytest.raises(BadDataError):
            read_all(server, tmp_path, {"type": "json_link"}, server.connection(password=SECRET), {"records": "data"})
        assert other.asked == []


def test_an_unreadable_answer_names_source_table_and_address_and_no_query(tmp_path):
    expected = r"src\.things: GET http://127\.0\.0\.1:\d+/things: the response is not a JSON"
    with serving(lambda _: Reply(b"nonsense")) as server, pytest.raises(BadDataError, match=expected) as caught:
        read_all(server, tmp_path, table={"params": {"q": "hidden"}})
    assert "hidden" not in str(caught.value)


def test_a_source_without_a_connection_is_a_bad_request(tmp_path):
    request = read_request(tmp_path, {"type": "rest_api", "connection": "api"}, {"path": "/"})
    with pytest.raises(BadRequestError, match=r"src\.things: no connection"):
        read(request)


def test_a_flaky_server_costs_time_and_no_rows(tmp_path):
    replies = [reply({}, 503), reply({"data": numbered(2), "next": "c"}), Reply(status=0), reply({"data": [{"n": 9}]})]
    with serving(in_turn(replies)) as server:
        spool = read_all(server, tmp_path, {"type": "cursor"}, table={"records": "data"})
    assert [row["n"] for row in spooled(spool.files)] == [0, 1, 9]


def test_spool_files_have_about_one_size_and_lose_no_line(tmp_path):
    with rest.Parts(tmp_path, part_bytes=100) as parts:
        for number in range(50):
            parts.write(b'{"number": %d}\n' % number)
        parts.write(b"")
    assert [file.name for file in parts.files[:2]] == ["part-00000.ndjson", "part-00001.ndjson"]
    assert all(100 <= file.stat().st_size < 120 for file in parts.files[:-1])
    assert [row["number"] for row in spooled(parts.files)] == list(range(50))


def test_progress_is_told_every_few_seconds_and_at_the_end():
    now, told = [0.0], []
    watched = progress.Progress(told.append, "things", lambda: now[0])
    for second in range(12):
        now[0] = float(second)
        watched.seen(second * 1000, second)
    watched.done(12_000, 12)
    assert told == [
        "things: read so far 5,000 rows, 5 pages, 1,000 rows/s",
        "things: read so far 10,000 rows, 10 pages, 1,000 rows/s",
        "things: read 12,000 rows, 12 pages, 1,091 rows/s",
    ]


def test_the_reader_tells_its_progress(tmp_path):
    told: list[str] = []
    with serving(lambda _: reply([{}])) as server:
        read_all(server, tmp_path, log=told.append)
    assert told[-1].startswith("things: read 1 row, 1 page, ")
