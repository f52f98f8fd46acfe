"""Requests with a body: JSON, forms, text and GraphQL, with the page in it where said."""

from __future__ import annotations

from urllib.parse import parse_qs

import pytest
from extract_support import Reply, reply, serving
from rest_support import records_of

from elt_factory.core.failures import BadDataError


def paged(asked, size=2, total=5):
    """Records after the cursor in the body."""
    at = asked.json.get("page", {}).get("after") or 0
    rows = [{"id": number} for number in range(at, min(at + size, total))]
    following = at + size if at + size < total else None
    return reply({"items": rows, "next": following})


def test_json_makes_it_post_and_the_cursor_goes_into_the_body_as_the_number_it_was(tmp_path):
    tables = """
    search:
      path: /search
      json:
        since: "{{ window.start }}"
        epoch: "{{ window.start | epoch }}"
        tags: [new, 1]
        page: {size: 2}
      records: items
      paginator: {type: cursor, cursor_path: next, cursor_param: page.after, in: body}
    """
    with serving(paged) as server:
        assert [r["id"] for r in records_of(server, tmp_path, tables, "search")] == [0, 1, 2, 3, 4]
    first, second, _ = server.asked
    assert first.method == "POST"
    assert first.headers["Content-Type"] == "application/json"
    assert first.json == {
        "since": "2013-01-01T00:00:00Z",
        "epoch": 1356998400,
        "tags": ["new", 1],
        "page": {"size": 2},
    }
    assert second.json["page"] == {"size": 2, "after": 2}
    assert second.params == {}


def test_pages_of_a_post_stay_in_the_query_where_nothing_else_is_said(tmp_path):
    def answer(asked):
        return reply([{"id": 1}] if asked.params["page"] == "1" else [])

    with serving(answer) as server:
        assert records_of(server, tmp_path, "x: {path: /x, json: [], paginator: {type: page_number}}", "x") == [
            {"id": 1}
        ]
    assert [asked.json for asked in server.asked] == [[], []]


def test_a_form_is_sent_as_browsers_do(tmp_path):
    tables = """
    x:
      path: /x
      form: {report: "a & b", all: true, from: "{{ window.start | date }}"}
      paginator: {type: page_number, in: body}
    """
    with serving(lambda asked: reply([{"a": 1}] if b"page=1" in asked.body else [])) as server:
        assert records_of(server, tmp_path, tables, "x") == [{"a": 1}]
    first = server.asked[0]
    assert first.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert parse_qs(first.body.decode()) == {
        "report": ["a & b"],
        "all": ["true"],
        "from": ["2013-01-01"],
        "page": ["1"],
    }


def test_a_text_is_sent_as_it_is_and_values_cannot_leave_their_place_in_xml(tmp_path):
    tables = """
    x:
      for_each: {who: ["<a&\\"b\\">"]}
      path: /soap
      headers: {Content-Type: text/xml}
      body: <get who="{{ who }}"/>
    """
    with serving(lambda _: reply([])) as server:
        records_of(server, tmp_path, tables, "x")
    assert server.asked[0].body == b'<get who="&lt;a&amp;&quot;b&quot;&gt;"/>'
    assert server.asked[0].headers["Content-Type"] == "text/xml"


PAGE = "nodes { id } pageInfo { endCursor hasNextPage }"
QUERY = f"query($after: String, $since: String) {{ issues(after: $after) {{ {PAGE} }} }}"
ISSUES = f"""
issues:
  path: /graphql
  graphql: "{QUERY}"
  variables: {{since: "{{{{ window.start }}}}"}}
  records: data.issues.nodes
  paginator:
    type: cursor
    cursor_path: data.issues.pageInfo.endCursor
    more: data.issues.pageInfo.hasNextPage
    cursor_param: after
"""


def test_graphql_pages_by_its_variables_until_it_says_so(tmp_path):
    def answer(asked):
        at = int(asked.json["variables"].get("after", 0))
        info = {"endCursor": str(at + 1), "hasNextPage": at < 2}
        return reply({"data": {"issues": {"nodes": [{"id": at}], "pageInfo": info}}})

    with serving(answer) as server:
        assert [r["id"] for r in records_of(server, tmp_path, ISSUES, "issues")] == [0, 1, 2]
    assert [asked.json["query"] for asked in server.asked] == [QUERY] * 3
    assert [asked.json["variables"].get("after") for asked in server.asked] == [None, "1", "2"]
    assert server.asked[0].json["variables"]["since"] == "2013-01-01T00:00:00Z"


def test_errors_of_graphql_in_a_200_are_errors(tmp_path):
    answer = reply({"data": {"issues": {"nodes": [], "pageInfo": {}}}, "errors": [{"message": "no field x"}]})
    with serving(lambda _: answer) as server, pytest.raises(BadDataError, match=r"reports a failure.*no field x"):
        records_of(server, tmp_path, ISSUES, "issues")


@pytest.mark.parametrize(("status", "method"), [(307, "POST"), (308, "POST"), (303, "GET"), (302, "GET")])
def test_a_redirect_keeps_the_body_where_http_says_so(tmp_path, status, method):
    def answer(asked):
        return Reply(b"", status, {"Location": "/there"}) if asked.path == "/x" else reply([{"id": 1}])

    with serving(answer) as server:
        assert records_of(server, tmp_path, "x: {path: /x, json: {a: 1}}", "x") == [{"id": 1}]
    assert (server.asked[1].method, bool(server.asked[1].body)) == (method, method == "POST")


def test_another_host_is_followed_where_it_is_named_and_a_redirect_gets_no_secret(tmp_path):
    with serving(lambda _: reply([{"id": 1}])) as files:
        with serving(lambda _: Reply(b"", 302, {"Location": f"{files.url}/signed?sig=1"})) as server:
            known = server.connection(password="s3cr3t", extra={"X-Key": "k"})
            named = f"hosts: ['127.0.0.1:{files.port}']"
            assert records_of(server, tmp_path, "x: {path: /x}", "x", named, connection=known) == [{"id": 1}]
            with pytest.raises(BadDataError, match="add the host to hosts: in extract"):
                records_of(server, tmp_path, "x: {path: /x}", "x", connection=known)
        (asked,) = files.asked
        assert not {"Authorization", "X-Key"} & set(asked.headers)
