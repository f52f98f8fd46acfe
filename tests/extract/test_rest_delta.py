"""An API's own token for what has changed: committed with its rows, sent with the next load, and shown nowhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from extract_support import Reply, reply, serving

from elt_factory.core.failures import BadDataError, BadRequestError, ContractError
from elt_factory.core.window import Window
from elt_factory.testing.loads import Line, source_of
from elt_factory.warehouse.state import status

LINK = {
    "path": "/users/delta",
    "records": "value",
    "delta_token": r"@odata\.deltaLink",
    "paginator": {"type": "json_link", "next_url_path": r"@odata\.nextLink"},
}
PARAM = {
    "path": "/events",
    "records": "items",
    "params": {"syncToken": "{{ delta_token }}", "max": 2},
    "delta_token": "nextSyncToken",
    "paginator": {"type": "cursor", "cursor_path": "nextPageToken", "cursor_param": "pageToken"},
}
MERGE = {"primary_key": ["id"], "write_disposition": "merge"}


def day(number):
    start = datetime(2013, 1, number, tzinfo=UTC)
    return Window(start, start + timedelta(days=1))


class Graph:
    """Users in versions; a token is the number of changes that were there."""

    def __init__(self) -> None:
        self.changes, self.broken = [{"id": n, "name": f"u{n}"} for n in range(3)], False

    def __call__(self, asked):
        if self.broken:
            return Reply(b"no", 400)
        since, skip = int(asked.params.get("token", 0)), int(asked.params.get("skip", 0))
        found = self.changes[since:]
        page = {"value": found[skip : skip + 2]}
        if skip + 2 < len(found):
            return reply({**page, "@odata.nextLink": f"/users/delta?token={since}&skip={skip + 2}"})
        return reply({**page, "@odata.deltaLink": f"/users/delta?token={len(self.changes)}"})


def line_of(server, folder, table):
    config = {"name": "graph", "extract": {"type": "rest_api", "connection": "api"}, "tables": {"users": table}}
    return Line(source_of(config, folder), server.connection(), folder, lambda _: None)


@pytest.mark.duckdb
def test_the_token_of_the_last_page_begins_the_next_load_and_a_failed_one_does_not_move_it(tmp_path):
    graph = Graph()
    with serving(graph) as server:
        line = line_of(server, tmp_path, LINK | MERGE)
        line.load(day(1))
        assert [asked.target for asked in server.asked] == ["/users/delta", "/users/delta?token=0&skip=2"]
        graph.changes += [{"id": 1, "name": "new"}, {"id": 7, "name": "u7"}, {"id": 8, "name": "u8"}]
        graph.broken = True
        with pytest.raises(BadRequestError):
            line.load(day(2))
        graph.broken = False
        server.asked.clear()
        assert line.load(day(2)).rows_read == 3
        assert [asked.target for asked in server.asked] == ["/users/delta?token=3", "/users/delta?token=3&skip=2"]
        assert line.load(day(3)).rows_read == 0
        assert {row["id"]: row["name"] for row in line.rows()} == {0: "u0", 1: "new", 2: "u2", 7: "u7", 8: "u8"}
        # a window that was loaded before reads from where it began, and the next one from where that ended
        graph.changes += [{"id": 9, "name": "u9"}]
        assert line.load(day(2)).rows_read == 4
        server.asked.clear()
        assert line.load(day(4)).rows_read == 0
        assert [asked.target for asked in server.asked] == ["/users/delta?token=7"]


@pytest.mark.duckdb
def test_a_full_refresh_forgets_the_token_and_keeps_the_one_that_it_is_given(tmp_path):
    graph = Graph()
    with serving(graph) as server:
        line = line_of(server, tmp_path, LINK | MERGE)
        line.load(day(1))
        server.asked.clear()
        assert line.load(Window(day(1).start, day(2).end), full_refresh=True).rows_read == 3
        assert server.asked[0].target == "/users/delta"
        server.asked.clear()
        line.load(day(3))
        assert [asked.target for asked in server.asked] == ["/users/delta?token=3"]


@pytest.mark.duckdb
def test_a_token_that_is_no_link_goes_where_its_template_is_and_the_first_load_leaves_that_out(tmp_path):
    def answer(asked):
        token, page = asked.params.get("syncToken"), asked.params.get("pageToken")
        if token is None and page is None:
            return reply({"items": [{"id": 1}], "nextPageToken": "p2"})
        return reply({"items": [{"id": 2 if token is None else 3}], "nextSyncToken": "s2" if token else "s1"})

    with serving(answer) as server:
        line = line_of(server, tmp_path, PARAM | MERGE)
        line.load(day(1))
        line.load(day(2))
        assert [asked.params for asked in server.asked] == [
            {"max": "2"},
            {"max": "2", "pageToken": "p2"},
            {"max": "2", "syncToken": "s1"},
        ]
        assert sorted(row["id"] for row in line.rows()) == [1, 2, 3]


@pytest.mark.duckdb
def test_a_token_may_be_sent_in_a_body(tmp_path):
    table = {
        "path": "/sync",
        "json": {"sync": {"from": "{{ delta_token }}"}, "size": 5},
        "records": "items",
        "delta_token": "token",
        **MERGE,
    }
    with serving(lambda _: reply({"items": [{"id": 1}], "token": 17})) as server:
        line = line_of(server, tmp_path, table)
        line.load(day(1))
        line.load(day(2))
        assert [asked.json for asked in server.asked] == [{"sync": {}, "size": 5}, {"sync": {"from": "17"}, "size": 5}]


@pytest.mark.duckdb
def test_a_token_may_be_sent_in_a_list(tmp_path):
    table = {
        "path": "/sync",
        "params": {"since": ["{{ delta_token }}", "x"]},
        "json": {"a": {"b": ["{{ delta_token }}"]}, "c": [["{{ delta_token }}", 1], {"d": "{{ delta_token }}"}]},
        "records": "items",
        "delta_token": "token",
        **MERGE,
    }
    with serving(lambda _: reply({"items": [{"id": 1}], "token": "t1"})) as server:
        line = line_of(server, tmp_path, table)
        line.load(day(1))
        line.load(day(2))
        assert [asked.json for asked in server.asked] == [
            {"a": {"b": []}, "c": [[1], {}]},
            {"a": {"b": ["t1"]}, "c": [["t1", 1], {"d": "t1"}]},
        ]
        assert [asked.target for asked in server.asked] == ["/sync?since=x", "/sync?since=t1&since=x"]


@pytest.mark.duckdb
def test_the_state_of_a_table_says_that_there_is_a_token_and_not_which(tmp_path):
    with serving(Graph()) as server:
        line = line_of(server, tmp_path, LINK | MERGE)
        line.load(day(1))
        with line.warehouse() as opened:
            (state,) = status(opened)
    assert state.cursor == "delta token"


@pytest.mark.duckdb
def test_a_last_page_without_its_token_fails_and_a_refused_one_says_what_helps(tmp_path):
    with serving(lambda _: reply({"value": [{"id": 1}]})) as server:
        line = line_of(server, tmp_path, LINK | MERGE)
        with pytest.raises(BadDataError, match=r"the last page has no .* would not know where to begin"):
            line.load(day(1))

    def answer(asked):
        if "secret-7" in asked.target:
            return Reply(b"token secret-7 has expired", 410)
        return reply({"value": [{"id": 1}], "@odata.deltaLink": "/users/delta?token=secret-7"})

    with serving(answer) as server:
        line = line_of(server, tmp_path, LINK | MERGE)
        line.load(day(1))
        with pytest.raises(BadRequestError, match="run with full refresh") as caught:
            line.load(day(2))
        assert "secret-7" not in str(caught.value)


@pytest.mark.duckdb
def test_a_token_that_nothing_sends_is_an_error(tmp_path):
    table = {**PARAM, "params": {"max": 2}, **MERGE}
    with serving(lambda _: reply({"items": [{"id": 1}], "nextSyncToken": "s1"})) as server:
        line = line_of(server, tmp_path, table)
        line.load(day(1))
        with pytest.raises(BadRequestError, match=r"is not a link, and no template sends it"):
            line.load(day(2))
    numbered = {**LINK, "paginator": {"type": "page_number"}, **MERGE}
    with serving(lambda asked: reply({"value": [], "@odata.deltaLink": "/x"})) as server:
        line = line_of(server, tmp_path / "numbered", numbered)
        line.load(day(3))
        with pytest.raises(BadRequestError, match="page_number would ask for its second page without it"):
            line.load(day(4))


@pytest.mark.duckdb
def test_a_load_of_which_all_rows_are_rejects_does_not_move_the_token(tmp_path):
    state = {"rows": [{"id": 1}]}

    def answer(asked):
        return reply({"value": state["rows"], "@odata.deltaLink": f"/users/delta?token={len(server.asked)}"})

    with serving(answer) as server:
        line = line_of(server, tmp_path, {**LINK, **MERGE, "columns": {"id": {"type": "integer"}}})
        line.load(day(1))
        state["rows"] = [{"id": "no number"}]
        with pytest.raises(BadDataError):
            line.load(day(2))
        state["rows"] = []
        line.load(day(3))
        line.load(day(4))
    assert [asked.params.get("token") for asked in server.asked] == [None, "1", "1", "3"]


@pytest.mark.duckdb
def test_records_that_say_that_they_are_deleted_delete_their_rows(tmp_path):
    graph = Graph()
    table = {**LINK, **MERGE, "deletes": {"column": "@removed"}, "columns": {"@removed": {"type": "json"}}}
    with serving(graph) as server:
        line = line_of(server, tmp_path, table)
        line.load(day(1))
        graph.changes += [{"id": 1, "@removed": {"reason": "deleted"}}, {"id": 2, "name": "new", "@removed": None}]
        report = line.load(day(2))
    assert report.rows_deleted == 1
    assert {row["id"]: row["name"] for row in line.rows()} == {0: "u0", 2: "new"}


@pytest.mark.duckdb
def test_an_answer_that_is_skipped_keeps_the_token(tmp_path):
    state = {"skip": False}

    def answer(asked):
        if state["skip"]:
            return Reply(b"nothing new", 404)
        return reply({"value": [{"id": 1}], "@odata.deltaLink": "/users/delta?token=1"})

    table = {**LINK, **MERGE, "answers": [{"status": 404, "do": "skip"}]}
    with serving(answer) as server:
        line = line_of(server, tmp_path, table)
        line.load(day(1))
        state["skip"] = True
        line.load(day(2))
        state["skip"] = False
        line.load(day(3))
        assert [asked.params.get("token") for asked in server.asked] == [None, "1", "1"]


REMOVED = {"deletes": {"column": "@removed"}}
AT = {"type": "timestamp"}
AT_ONE = "2013-01-01T01:00:00Z"


@pytest.mark.duckdb
@pytest.mark.parametrize(
    "more",
    [
        {"columns": {"name": {"type": "text", "nullable": False}}},
        {"columns": {"n": {"type": "integer"}}},  # the removal has another value in it
        {"columns": {"name": {}, "at": {}, "n": {}}, "schema_contract": "discard_row"},  # and another column
        {"where": "name like 'u%'"},
        {"incremental": {"cursor": "at"}, "columns": {"at": AT}},
        {"incremental": {"cursor": "at", "outside_window": "drop"}, "columns": {"at": AT}},
        {"incremental": {"cursor": "at", "null_cursor": "fail"}},  # that only the first load has
        {"business_date": "at"},
    ],
)
def test_a_record_that_says_its_row_is_deleted_needs_its_key_alone(tmp_path, more):
    graph = Graph()
    graph.changes = [{"id": n, "name": f"u{n}", "at": AT_ONE, "n": n} for n in range(2)]
    columns = {"id": {}, "@removed": {"type": "json"}, **more.get("columns", {})}
    with serving(graph) as server:
        line = line_of(server, tmp_path, LINK | MERGE | REMOVED | more | {"columns": columns})
        line.load(day(1))
        graph.changes += [{"id": 1, "@removed": {"reason": "deleted"}, "n": "none", "by": "x"}]
        if "business_date" in more or "n" not in columns:
            del graph.changes[-1]["n"], graph.changes[-1]["by"]
        loaded = line.load(day(2))
        assert (loaded.rows_deleted, loaded.rows_rejected, loaded.rows_filtered) == (1, 0, 0)
        assert [row["id"] for row in line.rows()] == [0]


@pytest.mark.duckdb
@pytest.mark.parametrize(("removed_first", "ids"), [(False, [0]), (True, [0, 1])])
def test_of_a_removal_and_a_change_in_one_load_the_last_one_counts(tmp_path, removed_first, ids):
    graph = Graph()
    graph.changes = [{"id": n, "at": AT_ONE} for n in range(2)]
    table = {"incremental": {"cursor": "at"}, "columns": {"@removed": {"type": "json"}, "at": AT}}
    with serving(graph) as server:
        line = line_of(server, tmp_path, LINK | MERGE | REMOVED | table)
        line.load(day(1))
        new = [{"id": 1, "at": "2013-01-02T01:00:00Z"}, {"id": 1, "@removed": {}}]
        graph.changes += new[::-1] if removed_first else new
        assert line.load(day(2)).rows_duplicate == 1
        assert sorted(row["id"] for row in line.rows()) == ids


@pytest.mark.duckdb
def test_a_removal_without_its_key_is_a_reject(tmp_path):
    graph = Graph()
    with serving(graph) as server:
        line = line_of(server, tmp_path, LINK | MERGE | REMOVED | {"columns": {"@removed": {"type": "json"}}})
        line.load(day(1))
        graph.changes += [{"@removed": {}}, {"id": 8}]
        assert line.load(day(2)).rows_rejected == 1


@pytest.mark.duckdb
def test_a_condition_may_name_a_column_of_the_table_that_no_record_has(tmp_path):
    graph = Graph()
    graph.changes[0]["status"] = "draft"
    with serving(graph) as server:
        line = line_of(server, tmp_path, LINK | MERGE | {"where": "status is distinct from 'draft'"})
        assert line.load(day(1)).rows_filtered == 1
        graph.changes += [{"id": 8}]
        assert line.load(day(2)).rows_loaded == 1
        assert sorted(row["id"] for row in line.rows()) == [1, 2, 8]


SINCE = {
    "path": "/rows",
    "params": {"since": "{{ cursor }}"},
    "incremental": {"cursor": "id", "initial": 0},
} | MERGE


def since(ids):
    """Answer two of the rows after an id, by the numbers that the texts are."""
    return lambda asked: reply([{"id": i} for i in ids if int(i) > int(asked.params["since"])][:2])


@pytest.mark.duckdb
@pytest.mark.parametrize("ids", [["8", "9", "10", "11"], ["9", "10"]])
def test_numbers_in_texts_are_refused_as_a_cursor_once_their_order_is_another_one(tmp_path, ids):
    with serving(since(ids)) as server:
        line = line_of(server, tmp_path, SINCE)
        if len(ids) > 2:
            line.load(day(1))
        with pytest.raises(ContractError, match=r"write type: integer under tables\.users\.columns\.id and run with"):
            line.load(day(2))


@pytest.mark.duckdb
@pytest.mark.parametrize(
    ("ids", "columns"),
    [
        (["8", "9", "10", "11"], {"id": {"type": "integer"}}),
        (["1234567890123456788", "1234567890123456789", "1234567890123456790"], {}),
        (["08", "09", "10", "11"], {}),
    ],
)
def test_a_numeric_cursor_reads_all_rows_where_the_order_is_that_of_numbers(tmp_path, ids, columns):
    with serving(since(ids)) as server:
        line = line_of(server, tmp_path, SINCE | {"columns": columns})
        for number in (1, 2):
            line.load(day(number))
        assert sorted(str(row["id"]).zfill(2) for row in line.rows()) == sorted(i.zfill(2) for i in ids)
