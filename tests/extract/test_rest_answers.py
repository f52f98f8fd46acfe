"""`answers:` says what an answer means; the first entry that fits holds."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from extract_support import Reply, in_turn, reply, serving
from rest_support import records_of

from elt_factory.core.failures import BadDataError, BadRequestError, SourceBusyError, SourceUnavailableError
from elt_factory.sources.rest_api import http
from elt_factory.sources.rest_api.exchange import Patience

CHILD = """
orders: {path: /orders}
lines:
  for_each: {id: [1, 2, 3]}
  path: /orders/{{ id }}/lines
  answers: [{status: 404, do: skip}]
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(http, "PATIENCE", Patience(tries=2, first_wait=0.01, longest_wait=0.02, longest_retry_after=3))


def of(folder, rules, answer, **table):
    more = "".join(f", {name}: {value}" for name, value in table.items())
    with serving(answer) as server:
        return records_of(server, folder, f"x: {{path: /x{more}, answers: {rules}}}", "x"), server


def test_a_child_that_is_gone_is_skipped_and_the_others_are_read(tmp_path):
    def answer(asked):
        return Reply(b"gone", 404) if asked.path == "/orders/2/lines" else reply([{"of": asked.path}])

    with serving(answer) as server:
        found = records_of(server, tmp_path, CHILD, "lines")
        assert sorted(record["of"] for record in found) == ["/orders/1/lines", "/orders/3/lines"]
        # only where it is said
        with pytest.raises(BadRequestError, match="404"):
            records_of(server, tmp_path, CHILD.replace("404", "410"), "lines")


def test_the_rules_of_a_table_come_before_those_of_all(tmp_path):
    extract = "answers: [{status: 404, do: fail}, {status: 409, do: skip}]"
    table = "x: {path: /x, answers: [{status: 404, do: skip}]}"
    for status in (404, 409):
        with serving(lambda _, status=status: Reply(b"no", status)) as server:
            assert records_of(server, tmp_path, table, "x", extract) == []
    with (
        serving(lambda _: Reply(b"no", 404)) as server,
        pytest.raises(BadDataError, match="404 Not Found: no"),
    ):
        records_of(server, tmp_path, "x: {path: /x}", "x", extract)


def test_a_body_that_reports_a_failure_fails_with_its_own_words(tmp_path):
    answer = reply({"result": "bad", "why": {"text": "no such account"}, "items": []})
    with pytest.raises(BadDataError, match=r"GET http://\S+/x: no such account$"):
        of(tmp_path, "[{path: result, equals: bad, do: fail, say: why.text}]", lambda _: answer, records="items")


def test_a_text_in_the_body_may_be_no_records_also_where_it_is_no_json(tmp_path):
    found, _ = of(tmp_path, '[{contains: "no report", do: skip}]', lambda _: Reply(b"<b>no report yet</b>"))
    assert found == []


def test_an_answer_that_comes_later_is_asked_for_again(tmp_path):
    replies = [reply({"state": "busy"}), reply([{"id": 1}])]
    found, server = of(tmp_path, "[{path: state, equals: busy, do: retry}]", in_turn(replies))
    assert found == [{"id": 1}]
    assert len(server.asked) == 2
    with pytest.raises(SourceUnavailableError, match=r"busy.*after 2 tries"):
        of(tmp_path, "[{path: state, equals: busy, do: retry}]", lambda _: reply({"state": "busy"}))


@pytest.mark.parametrize(
    "answer",
    [reply({"state": "none", "why": "never"}, 202), reply({"state": "none", "why": "never"}, 302, Location="/y")],
)
def test_a_rule_holds_also_where_the_status_says_later_or_elsewhere(tmp_path, answer):
    assert of(tmp_path, "[{path: state, equals: none, do: skip}]", lambda _: answer)[0] == []
    with pytest.raises(BadDataError, match=r"/x: never$"):
        of(tmp_path, f"[{{status: {answer.status}, do: fail, say: why}}]", lambda _: answer)
    replies = [answer, reply([{"id": 1}])]
    found, server = of(tmp_path, f"[{{status: {answer.status}, do: retry}}]", in_turn(replies))
    assert found == [{"id": 1}]
    assert [asked.path for asked in server.asked] == ["/x", "/x"]


@pytest.mark.parametrize("kind", ["seconds", "epoch", "milliseconds", "date", "iso"])
def test_a_rate_limit_is_waited_for_until_its_header_says(tmp_path, kind):
    # each counts by the second
    moment = (datetime.now(UTC) + timedelta(seconds=2)).replace(microsecond=0)
    text = {
        "seconds": "1",
        "epoch": str(int(moment.timestamp())),
        "milliseconds": str(int(moment.timestamp()) * 1000),
        "date": moment.strftime("%a, %d %b %Y %H:%M:%S GMT"),
        "iso": moment.isoformat(),
    }[kind]
    refusal = reply({}, 403, **{"X-Left": "0", "X-Again": text})
    rules = "[{status: 403, header: X-Left, equals: 0, do: wait, until: X-Again}]"
    began = time.monotonic()
    found, server = of(tmp_path, rules, in_turn([refusal, refusal, refusal, reply([{"id": 1}])]))
    assert found == [{"id": 1}]
    assert len(server.asked) == 4
    assert time.monotonic() - began >= 0.9


def test_a_wait_that_is_long_gives_the_worker_back(tmp_path):
    refusal = reply({}, 403, **{"X-Again": "3600"})
    with pytest.raises(SourceBusyError) as caught:
        of(tmp_path, "[{status: 403, do: wait, until: X-Again}]", lambda _: refusal)
    assert caught.value.until > datetime.now(UTC) + timedelta(minutes=59)


def test_an_end_keeps_what_came_before_and_must_be_complete(tmp_path):
    def answer(asked):
        page = int(asked.params["page"])
        return reply({"items": [{"id": page}], "total": total}) if page <= 2 else Reply(b"", 404)

    rules, table = "[{status: 404, do: end}]", {"paginator": "{type: page_number}", "records": "items"}
    total = None
    assert of(tmp_path, rules, answer, **table)[0] == [{"id": 1}, {"id": 2}]
    total = 3
    with pytest.raises(BadDataError, match="says 3 records, but 2 were read"):
        of(tmp_path, rules, answer, **table)


@pytest.mark.parametrize(
    "rule",
    [
        "{status: 404, path: state, equals: none, do: skip}",
        "{path: state, equals: none, do: skip}",
        "{status: [403, 404], contains: none, do: skip}",
    ],
)
def test_a_rule_sees_all_of_a_long_answer_with_an_error(tmp_path, rule):
    answer = Reply(b'{"trace": "%s", "state": "none"}' % (b"x" * 1_000_000), 404)
    assert of(tmp_path, f"[{rule}]", lambda _: answer)[0] == []


def test_a_message_at_the_end_of_a_long_answer_is_said(tmp_path):
    answer = Reply(b'{"trace": "%s", "state": "none"}' % (b"x" * 1_000_000), 404)
    with pytest.raises(BadDataError, match="/x: none"):
        of(tmp_path, "[{status: 404, do: fail, say: state}]", lambda _: answer)
