"""Tables that are asked for once for each row of a parent, or each value of a list."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from extract_support import Reply, reply, serving
from rest_support import records_of, request_of, source_of

from elt_factory.core.failures import BadDataError, BadRequestError, LandingError, SourceUnavailableError
from elt_factory.landing.attempt import Attempt
from elt_factory.landing.land import land
from elt_factory.landing.parents import keys_of_landings, landed_keys, queried_keys
from elt_factory.landing.places import LocalPlace
from elt_factory.landing.request import LandRequest
from elt_factory.landing.schema import KnownTable
from elt_factory.sources.read import read

LINES = """
orders: {path: /orders, columns: {id: {type: text}}}
lines:
  for_each: orders
  path: /orders/{{ orders.id }}/lines
  keep: {order_id: orders.id, from: orders.country}
"""


def keys(folder, *rows):
    file = folder / "keys.ndjson"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def landed(folder, records, more="", **columns):
    """The landing of a table with these records."""
    (folder / "raw").mkdir(parents=True)
    work = folder / "contract"
    work.mkdir()
    with serving(lambda _: reply(records)) as server:
        source = source_of(folder, f"orders: {{path: /orders, columns: {json.dumps(columns)}{more}}}")
        spool = read(request_of(server, folder, source, "orders"))
    request = request_of(server, folder, source, "orders")
    known = KnownTable("shop", "orders", source.tables["orders"], None)
    place = LocalPlace(folder / "landing")
    return place, land(LandRequest(known, request.window, "load-1", spool, place, work, print, "", Attempt.begin()))


def test_each_parent_is_asked_for_and_its_key_stays_one_part_of_the_path(tmp_path):
    rows = [{"id": one, "country": "DE"} for one in ("1", "a/b", "50%", "ü ?&#", "x:y")]
    with serving(lambda asked: reply([{"line": asked.target}])) as server:
        found = records_of(server, tmp_path, LINES, "lines", keys=keys(tmp_path, *rows))
    targets = {record["order_id"]: record["line"] for record in found}
    assert targets == {
        "1": "/orders/1/lines",
        "a/b": "/orders/a%2Fb/lines",
        "50%": "/orders/50%25/lines",
        "ü ?&#": "/orders/%C3%BC%20%3F%26%23/lines",
        "x:y": "/orders/x:y/lines",
    }
    assert {record["from"] for record in found} == {"DE"}


def test_no_parents_are_no_requests_and_no_rows(tmp_path):
    with serving(lambda _: reply([])) as server:
        assert records_of(server, tmp_path, LINES, "lines", keys=keys(tmp_path)) == []
        assert server.asked == []


def test_many_parents_are_asked_at_the_same_time_but_no_more_than_said(tmp_path):
    running, most, lock, three = 0, 0, threading.Lock(), threading.Barrier(3, timeout=30)

    def answer(asked):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        # no answer until three are asked for
        three.wait()
        with lock:
            running -= 1
        return reply([{"of": asked.path}])

    rows = [{"id": str(number), "country": "DE"} for number in range(30)]
    with serving(answer) as server:
        found = records_of(server, tmp_path, LINES + "  concurrency: 3\n", "lines", keys=keys(tmp_path, *rows))
    assert sorted(int(record["order_id"]) for record in found) == list(range(30))
    assert most == 3


def test_a_second_try_leaves_the_very_same_files(tmp_path):
    source = source_of(tmp_path, LINES)
    rows = keys(tmp_path, *({"id": str(number), "country": "DE"} for number in range(20)))
    with serving(lambda asked: reply([{"of": asked.path}])) as server:
        first, second = tmp_path / "first", tmp_path / "second"
        spools = []
        for folder in (first, second):
            folder.mkdir()
            spools.append(read(request_of(server, folder, source, "lines", keys=rows)))
    contents = [[(file.name, file.read_bytes()) for file in spool.files] for spool in spools]
    assert contents[0] == contents[1]
    assert spools[0].rows_read == 20


def test_one_parent_that_fails_stops_the_others_and_is_named(tmp_path):
    def answer(asked):
        return Reply(b"no", 400) if asked.path == "/orders/7/lines" else reply([{"a": 1}])

    rows = [{"id": str(number), "country": "DE"} for number in range(2000)]
    with serving(answer) as server:
        with pytest.raises(BadRequestError, match=r"/orders/7/lines: 400"):
            records_of(server, tmp_path, LINES, "lines", keys=keys(tmp_path, *rows))
        assert len(server.asked) < 200


def test_a_field_that_the_records_have_themselves_is_not_overwritten(tmp_path):
    rows = keys(tmp_path, {"id": "1", "country": "DE"})
    inner = [{"order_id": 9}]
    with (
        serving(lambda _: reply(inner)) as server,
        pytest.raises(BadDataError, match='the records have a field "order_id" themselves: rename it in keep:'),
    ):
        records_of(server, tmp_path, LINES, "lines", keys=rows)
    # inside a value it is no field of the record
    with serving(lambda _: reply([{"a": '"order_id"', "b": {"order_id": 1}}, {}])) as server:
        found = records_of(server, tmp_path, LINES, "lines", keys=rows)
    assert found == [
        {"order_id": "1", "from": "DE", "a": '"order_id"', "b": {"order_id": 1}},
        {"order_id": "1", "from": "DE"},
    ]


def test_each_parent_has_pages_of_its_own(tmp_path):
    def answer(asked):
        page = int(asked.params["page"])
        return reply([{"page": page}] if page <= int(asked.path.split("/")[2]) else [])

    tables = LINES + "  paginator: {type: page_number}\n"
    rows = keys(tmp_path, *({"id": str(number), "country": "DE"} for number in range(4)))
    with serving(answer) as server:
        found = records_of(server, tmp_path, tables, "lines", keys=rows)
    assert sorted((r["order_id"], r["page"]) for r in found) == [(str(n), p) for n in range(4) for p in range(1, n + 1)]


def test_lists_are_asked_for_in_each_combination(tmp_path):
    tables = """
    sales:
      for_each: {region: [EMEA, APAC], year: [2012, 2013]}
      path: /sales/{{ region }}
      params: {year: "{{ year }}"}
      keep: {region: region, year: year}
    """
    with serving(lambda asked: reply([{"of": asked.target}])) as server:
        found = records_of(server, tmp_path, tables, "sales")
    assert sorted((r["region"], r["year"], r["of"]) for r in found) == [
        (region, year, f"/sales/{region}?year={year}") for region in ("APAC", "EMEA") for year in (2012, 2013)
    ]


RECORDS = [
    {"id": 12345678901234567890123, "price": 1.50, "name": 'a"\n', "at": "2013-01-01T05:00:00+05:00"},
    {"id": 12345678901234567890123, "price": 1.50, "name": 'a"\n', "at": "2013-01-01T05:00:00+05:00"},
    {"id": 2, "price": 2.25, "name": "ü", "at": "2013-01-01T05:00:00Z"},
    {"id": None, "price": 3, "name": "x", "at": "2013-01-01T05:00:00Z"},
    {"id": 4, "price": 3, "name": "", "at": "2013-01-01T05:00:00Z"},
]


@pytest.mark.duckdb
def test_landed_rows_become_keys_once_each_with_all_their_digits(tmp_path):
    types = {"id": {"type": "decimal(38,0)"}, "price": {"type": "decimal(9,2)"}, "at": {"type": "timestamp"}}
    place, manifest = landed(tmp_path, RECORDS, **types)
    found = landed_keys(place, manifest, ["id", "price", "name", "at"], tmp_path)
    assert found.file.read_text(encoding="utf-8").splitlines() == [
        '{"id":12345678901234567890123,"price":1.50,"name":"a\\"\\n","at":"2013-01-01T00:00:00Z"}',
        '{"id":2,"price":2.25,"name":"ü","at":"2013-01-01T05:00:00Z"}',
    ]
    assert (found.count, found.left_out) == (2, 2)


@pytest.mark.duckdb
@pytest.mark.parametrize(
    ("values", "sent", "left_out"),
    [
        (["2013-01-01T05:00:00Z", "2013-01-01T05:00:00.120Z"], ["2013-01-01T05:00:00.120Z", "2013-01-01T05:00:00Z"], 0),
        (["2013-01-01T05:00:00.123456Z"], ["2013-01-01T05:00:00.123456Z"], 0),
        (["2013-01-01T05:00:00", "2013-01-01T05:00:00.5"], ["2013-01-01T05:00:00", "2013-01-01T05:00:00.500"], 0),
        ([1, 2.5], [1, 2.5], 0),
        ([1e22, 100.0], [100, 1e22], 0),
        ([-0.0, 0.0, 2.5], [0, 2.5], 0),
        ([1, "a", "", None], ["a", 1], 2),
    ],
)
def test_keys_have_the_shortest_text_that_their_types_know(tmp_path, values, sent, left_out):
    place, manifest = landed(tmp_path, [{"id": value} for value in values])
    found = landed_keys(place, manifest, ["id"], tmp_path)
    assert [json.loads(line)["id"] for line in found.file.read_text().splitlines()] == sent
    assert [".0" in line for line in found.file.read_text().splitlines()] == [False] * len(sent)
    assert (found.left_out, found.rewritten) == (left_out, () if "a" in values else ("id",))


@pytest.mark.duckdb
def test_a_row_that_is_landed_to_be_deleted_is_no_parent(tmp_path):
    more = ", primary_key: [id], write_disposition: merge, where: price > 2, deletes: {filtered: true}"
    place, manifest = landed(tmp_path, RECORDS[:3], more, id={"type": "decimal(38,0)"}, price={"type": "float"})
    assert landed_keys(place, manifest, ["id"], tmp_path).file.read_text() == '{"id":2}\n'


@pytest.mark.duckdb
def test_a_landing_that_has_changed_is_not_asked_with(tmp_path):
    place, manifest = landed(tmp_path, RECORDS)
    part = tmp_path / "landing" / manifest.files[0].path
    content = bytearray(part.read_bytes())
    content[60] ^= 1
    part.write_bytes(content)
    with pytest.raises(LandingError, match="is damaged"):
        landed_keys(place, manifest, ["id"], tmp_path)


@pytest.mark.duckdb
def test_a_column_that_the_parent_does_not_have_is_named(tmp_path):
    place, manifest = landed(tmp_path, RECORDS)
    with pytest.raises(BadRequestError, match=r'shop\.orders has no column "idd" to ask with; hint: did you mean "id"'):
        landed_keys(place, manifest, ["idd"], tmp_path)


@pytest.mark.duckdb
def test_a_landing_without_rows_gives_no_keys(tmp_path):
    place, manifest = landed(tmp_path, [])
    assert landed_keys(place, manifest, ["id"], tmp_path).count == 0


QUERY = """
select id from boards
union -- those that only a group has
select unnest(from_json(board_ids, '["VARCHAR"]')) from groups where owner->>'$.name' <> 'x'
"""


def two(folder, boards=({"id": "b1"}, {"id": "b2"}), groups=()):
    made = [{"board_ids": ["b2", "b3"], "owner": {"name": "a"}}, {"board_ids": ["b9"], "owner": {"name": "x"}}]
    return {
        "boards": landed(folder / "boards", list(boards)),
        "groups": landed(folder / "groups", [*made, *groups], board_ids={"type": "json"}, owner={"type": "json"}),
    }


@pytest.mark.duckdb
def test_several_parents_are_asked_for_by_a_query_over_what_they_landed(tmp_path):
    found = keys_of_landings(two(tmp_path), QUERY, ["id"], tmp_path)
    assert found.file.read_text().splitlines() == ['{"id":"b1"}', '{"id":"b2"}', '{"id":"b3"}']
    assert (found.count, found.left_out) == (3, 0)
    again = keys_of_landings(two(tmp_path / "again"), QUERY, ["ID"], tmp_path / "again", most=1)
    assert again.file.read_text() == '{"ID":"b1"}\n'


@pytest.mark.duckdb
def test_values_of_a_query_keep_their_digits_and_rows_without_one_are_left_out(tmp_path):
    query = "select 1.50::decimal(9,2) as price, 12345678901234567890123::hugeint as n, id, true as t from boards"
    landings = two(tmp_path, boards=[{"id": "b1"}, {"id": None}, {"id": ""}])
    found = keys_of_landings(landings, query, ["price", "n", "id", "t"], tmp_path)
    assert found.file.read_text() == '{"price":1.50,"n":12345678901234567890123,"id":"b1","t":true}\n'
    assert found.left_out == 2


@pytest.mark.duckdb
def test_a_parent_without_rows_is_one_without_keys_where_its_columns_are_known(tmp_path):
    (tmp_path / "declared").mkdir()
    empty = {"boards": landed(tmp_path / "empty", [], id={"type": "text"})}
    assert keys_of_landings(empty, "select id from boards", ["id"], tmp_path).count == 0
    unknown = {"boards": landed(tmp_path / "unknown", [])}
    with pytest.raises(BadRequestError, match="boards has no rows yet: declare its columns"):
        keys_of_landings(unknown, "select id from boards", ["id"], tmp_path / "declared")


@pytest.mark.duckdb
@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("select idd from boards", 'Referenced column "idd" not found'),
        ("select id as other from boards", 'has no column "id"; hint: use one of: other'),
        ("select content as id from read_text('/etc/hostname')", "Permission Error"),
        ("select id from read_csv('/etc/passwd')", "Permission Error"),
    ],
)
def test_a_query_over_landings_sees_these_and_nothing_else(tmp_path, query, words):
    with pytest.raises(BadRequestError) as caught:
        keys_of_landings(two(tmp_path), query, ["id"], tmp_path)
    assert words in str(caught.value)


@pytest.mark.duckdb
def test_a_query_over_a_landing_that_has_changed_is_not_run(tmp_path):
    landings = two(tmp_path)
    _, manifest = landings["boards"]
    part = tmp_path / "boards" / "landing" / manifest.files[0].path
    part.write_bytes(part.read_bytes()[:-9] + b"x" * 9)
    with pytest.raises(LandingError, match="is damaged"):
        keys_of_landings(landings, QUERY, ["id"], tmp_path)


def test_rows_of_a_query_become_keys_whatever_the_case_of_their_names(tmp_path):
    rows = [
        {"ID": Decimal("7.10"), "AT": datetime(2013, 1, 1, tzinfo=UTC), "N": "b"},
        {"ID": 1, "AT": "x", "N": "a"},
        {"ID": None, "AT": "x", "N": "a"},
    ]
    found = queried_keys(rows, ["id", "at"], tmp_path)
    assert found.file.read_text().splitlines() == ['{"id":1,"at":"x"}', '{"id":7.10,"at":"2013-01-01T00:00:00Z"}']
    assert found.left_out == 1
    with pytest.raises(BadRequestError, match='no column "idd"; hint: did you mean "id"'):
        queried_keys(rows, ["idd"], tmp_path)


@pytest.mark.parametrize(
    ("key", "sent"),
    [
        ("17", b"17"),
        ('"17"', b'"17"'),
        ("12345678901234567890123", b"12345678901234567890123"),
        ("-1.10", b"-1.10"),
        ("true", b"true"),
        ('"a b"', b'"a b"'),
    ],
)
def test_a_key_keeps_its_type_and_digits_in_a_body_and_its_text_in_a_path(tmp_path, key, sent):
    tables = """
    orders: {path: /orders}
    lines:
      for_each: orders
      path: /orders/{{ orders.id }}
      json: {order: "{{ orders.id }}", text: "no. {{ orders.id }}"}
      write_disposition: replace
    """
    file = tmp_path / "keys.ndjson"
    file.write_text(f'{{"id":{key}}}\n')
    with serving(lambda asked: reply([{"a": 1}])) as server:
        records_of(server, tmp_path, tables, "lines", keys=file)
    (asked,) = server.asked
    text = sent.strip(b'"')
    assert asked.body == b'{"order":' + sent + b',"text":"no. ' + text + b'"}'
    assert asked.path == "/orders/" + text.decode().replace(" ", "%20")


def test_keys_at_the_same_time_need_threads_and_none_more_is_an_error_that_a_retry_may_end(tmp_path, monkeypatch):
    began, start = [], threading.Thread.start

    def started(thread: threading.Thread) -> None:
        if thread.name.startswith("lines"):
            began.append(thread)
            if len(began) > 2:
                raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", started)
    table = "lines: {for_each: {id: [1, 2, 3, 4]}, path: '/lines/{{ id }}', concurrency: 4}"
    told = "shop.lines: can't start new thread: concurrency asks for 4 requests at the same time; hint: run fewer tasks"
    with serving(lambda _: Reply(b'[{"id": 1}]', pause=0.05)) as server:
        with pytest.raises(SourceUnavailableError, match=told):
            records_of(server, tmp_path, table, "lines")
        assert not any(thread.is_alive() for thread in began)
        monkeypatch.undo()
        assert len(records_of(server, tmp_path, table, "lines")) == 4
