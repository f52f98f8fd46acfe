"""Jobs: a request starts one, it is asked for until it is done, and its results are fetched; every way it may go."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from dataclasses import dataclass, field

import pytest
from extract_support import SECRET, Reply, reply, serving
from rest_support import records_of, request_of, source_of

from elt_factory.config.errors import ConfigError
from elt_factory.core.failures import (
    BadDataError,
    BadRequestError,
    JobRunningError,
    SourceNotReadyError,
    SourceUnavailableError,
)
from elt_factory.sources.read import read
from elt_factory.sources.rest_api import http, jobs
from elt_factory.sources.rest_api.exchange import Patience

EXPORT = """
export:
  path: /exports
  json: {from: "{{ window.start | date }}"}
  job:
    id: data.id
    path: /exports/{{ job.id }}
    status: state
    done: [finished]
    failed: [error]
    say: why
    every: 1s
    result: files[*].url
    cancel: DELETE /exports/{{ job.id }}
  format: {type: csv}
"""
CSV = [b"id,name\n1,a\n2,b\n", b"id,name\n3,c\n"]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(http, "PATIENCE", Patience(tries=2, first_wait=0.01, longest_wait=0.02))
    monkeypatch.setattr(jobs.time, "sleep", lambda _: None)


@dataclass
class Kept:
    """The memory of a run."""

    content: bytes | None = None
    history: list[bytes | None] = field(default_factory=list)

    def read(self):
        return self.content

    def write(self, content):
        self.history.append(content)
        self.content = content

    def forget(self):
        self.content = None


class Exports:
    """Jobs that are `busy` for some looks, and then end in a state with files."""

    def __init__(self, files=CSV, state="finished", busy=2, elsewhere="") -> None:
        self.files, self.state, self.busy, self.elsewhere = list(files), state, busy, elsewhere
        self.started, self.looks, self.cancelled = 0, 0, []

    def __call__(self, asked):
        if asked.path == "/exports" and asked.method == "POST":
            self.started += 1
            return reply({"data": {"id": f"j/{self.started}"}}, 202)
        if asked.path.startswith("/files/"):
            return Reply(self.files[int(asked.path.rsplit("/", 1)[1])])
        if asked.method == "DELETE":
            self.cancelled.append(asked.target)
            return Reply(b"", 204)
        self.looks += 1
        if self.looks <= self.busy:
            return reply({"state": "queued"}, 202 if self.looks == 1 else 200)
        links = [{"url": f"{self.elsewhere}/files/{number}?sig=x"} for number in range(len(self.files))]
        return reply({"state": self.state, "why": "no disk", "files": links})


def rows_of(folder, api, tables=EXPORT, extract="", connection=None, **given):
    with serving(api) as server:
        source = source_of(folder, tables, extract)
        opened = server.connection(**(connection or {}))
        spool = read(request_of(server, folder, source, "export", connection=opened, **given))
    return spool, server


def lines(spool):
    return b"".join(file.read_bytes() for file in spool.files)


def test_a_job_is_started_once_asked_for_until_it_is_done_and_its_files_are_the_records(tmp_path):
    spool, server = rows_of(tmp_path, Exports())
    assert spool.format == "csv"
    assert [file.read_bytes() for file in spool.files] == CSV
    assert [(asked.method, asked.target) for asked in server.asked] == [
        ("POST", "/exports"),
        *[("GET", "/exports/j%2F1")] * 3,
        ("GET", "/files/0?sig=x"),
        ("GET", "/files/1?sig=x"),
    ]
    assert server.asked[0].json == {"from": "2013-01-01"}


def packed():
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("part.csv", CSV[0])
    return [gzip.compress(CSV[0]), whole.getvalue()]


@pytest.mark.parametrize(
    ("form", "files", "count"),
    [
        ("{type: csv}", packed(), None),
        ("{type: ndjson}", [b'{"id": 1}\n{"id": 2}\n', gzip.compress(b'{"id": 3}\n')], 3),
        ("{type: xml, records: r.o}", [b"<r><o><id>1</id></o><o><id>2</id></o></r>"], 2),
        ("{type: json, records: items}", [b'{"items": [{"id": 1}]}'], 1),
    ],
)
def test_results_are_files_of_any_format_packed_or_not(tmp_path, form, files, count):
    spool, _ = rows_of(tmp_path, Exports(files), EXPORT.replace("{type: csv}", form))
    if count is None:
        assert lines(spool).count(b"1,a\n2,b\n") == 2
    else:
        assert spool.rows_read == count


def test_results_may_be_json_with_records_by_links_or_by_pages_below_a_path(tmp_path):
    tables = EXPORT.replace("format: {type: csv}", "records: rows")
    files = [json.dumps({"rows": [{"id": n}, {"id": n + 10}]}).encode() for n in (1, 2)]
    with serving(Exports(files)) as server:
        found = records_of(server, tmp_path, tables, "export")
    assert [row["id"] for row in found] == [1, 11, 2, 12]

    def answer(asked):
        if asked.path != "/exports/j%2F1/rows":
            return api(asked)
        page = int(asked.params["page"])
        return reply({"rows": [{"id": page}] if page < 4 else []})

    api = Exports()
    more = "records: rows\n  paginator: {type: page_number}"
    tables = EXPORT.replace("format: {type: csv}", more).replace(
        "result: files[*].url", "download: /exports/{{ job.id }}/rows"
    )
    with serving(answer) as server:
        found = records_of(server, tmp_path, tables, "export")
    assert [row["id"] for row in found] == [1, 2, 3]
    assert server.asked[-1].method == "GET"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"has_more": True}, "has_more"),
        ({"next": "abc"}, "next"),
        ({"total": 5}, "says 5 records, but 4 were read"),
        ({"pages": 3}, "says 3 pages, but 2 were read"),
        ({"total": 4}, ""),
        ({"has_more": False, "pages": 2}, ""),
    ],
)
def test_results_that_say_together_that_there_is_more_are_not_all(tmp_path, said, told):
    tables = EXPORT.replace("format: {type: csv}", "records: rows")
    files = [json.dumps({"rows": [{"id": n}, {"id": n + 10}], **said}).encode() for n in (1, 2)]
    with serving(Exports(files)) as server:
        if told:
            with pytest.raises(BadDataError, match=told):
                records_of(server, tmp_path, tables, "export")
        found = records_of(server, tmp_path, tables, "export", "incomplete: warn")
    assert [row["id"] for row in found] == [1, 11, 2, 12]


def test_a_job_may_be_asked_for_with_a_body_and_have_its_links_in_one_more_response(tmp_path):
    def answer(asked):
        if asked.path == "/graphql":
            api.looks += 1
            state = "finished" if api.looks > 2 else "queued"
            return reply({"data": {"node": {"id": asked.json["variables"]["id"], "state": state}}})
        if asked.path == "/exports/j%2F1/files":
            return reply({"files": [{"url": "/files/0"}, {"url": "/files/1"}]})
        return api(asked)

    api = Exports()
    asked_for = """    path: /graphql
    json: {query: Q, variables: {id: "{{ job.id }}"}}
    links: /exports/{{ job.id }}/files
    status: data.node.state
"""
    named = "    path: /exports/{{ job.id }}\n    status: state\n"
    assert named in EXPORT
    tables = EXPORT.replace(named, asked_for)
    memory = Kept()
    with pytest.raises(JobRunningError):
        rows_of(tmp_path, answer, tables, memory=memory)
    # another try, and the triggerer, know the body by the memory alone
    spool, server = rows_of(tmp_path, lambda asked: setattr(api, "looks", 9) or answer(asked), tables, memory=memory)
    assert [file.read_bytes() for file in spool.files] == CSV
    assert [(asked.method, asked.path) for asked in server.asked] == [
        ("POST", "/graphql"),
        ("GET", "/exports/j%2F1/files"),
        ("GET", "/files/0"),
        ("GET", "/files/1"),
    ]
    assert server.asked[0].json == {"query": "Q", "variables": {"id": "j/1"}}


def test_the_last_response_may_say_the_files_whose_links_are_asked_for_one_by_one(tmp_path):
    def answer(asked):
        if asked.path.startswith("/documents/"):
            return reply({"url": f"/files/{asked.path[-1]}"})
        return reply({"state": "finished", "ids": ["d-0", "d-1"]}) if asked.path == "/exports/j%2F1" else api(asked)

    api = Exports()
    tables = EXPORT.replace("result: files[*].url", "file: ids\n    links: /documents/{{ job.file }}\n    result: url")
    spool, _ = rows_of(tmp_path, answer, tables)
    assert [file.read_bytes() for file in spool.files] == CSV


PAGES_OF_FILES = EXPORT.replace("result: files[*].url", "download: /exports/{{ job.id }}/rows") + "  paginator: "


@pytest.mark.parametrize(
    ("paginator", "header"),
    [
        ("{type: cursor, cursor_header: Sforce-Locator, cursor_param: locator}", lambda at: {"Sforce-Locator": at}),
        ("{type: header_link}", lambda at: {"Link": f'</exports/x?locator={at}>; rel="next"'} if at != "null" else {}),
    ],
)
def test_results_may_be_pages_of_files_that_headers_lead_through(tmp_path, paginator, header):
    files = [b"id\n1\n", b"id\n2\n", b"id\n3\n"]

    def answer(asked):
        if asked.path not in ("/exports/j%2F1/rows", "/exports/x"):
            return api(asked)
        page = int(asked.params.get("locator", 0))
        return Reply(files[page], headers=header(str(page + 1) if page < 2 else "null"))

    api = Exports()
    spool, _ = rows_of(tmp_path, answer, PAGES_OF_FILES + paginator)
    assert [file.read_bytes() for file in spool.files] == files


def test_pages_of_files_that_go_round_in_circles_are_an_error(tmp_path):
    def answer(asked):
        turns = {"Sforce-Locator": "b" if asked.params.get("locator") == "a" else "a"}
        return Reply(b"id\n1\n", headers=turns) if asked.path.endswith("/rows") else api(asked)

    api = Exports()
    locator = "{type: cursor, cursor_header: Sforce-Locator, cursor_param: locator"
    with pytest.raises(BadDataError, match="pagination loop: locator=a was returned twice"):
        rows_of(tmp_path, answer, PAGES_OF_FILES + locator + "}")
    with pytest.raises(BadDataError, match=r"more than 1 pages \(max_pages of the paginator\)"):
        rows_of(tmp_path, answer, PAGES_OF_FILES + locator + ", max_pages: 1}")


def test_a_job_without_a_status_is_done_when_it_is_no_longer_202(tmp_path):
    tables = """
    export:
      path: /exports
      job: {id: data.id, path: "/exports/{{ job.id }}", every: 1s, download: "/files/0"}
      json: {}
      format: {type: csv}
    """
    api = Exports(busy=1)
    spool, _ = rows_of(tmp_path, api, tables)
    assert lines(spool) == CSV[0]
    assert api.looks == 2


def test_a_retry_joins_the_job_that_runs_and_never_starts_another(tmp_path):
    api, memory = Exports(busy=3), Kept()
    for tries in range(1, 4):
        with pytest.raises(JobRunningError, match=r'the job j/1 is not done, its status is "queued"') as caught:
            rows_of(tmp_path, api, memory=memory)
        assert (api.started, api.looks) == (1, tries)
        assert caught.value.every.total_seconds() == 1
    told = []
    spool, _ = rows_of(tmp_path, api, memory=memory, log=told.append)
    assert lines(spool) == b"".join(CSV)
    assert api.started == 1
    assert any("joining the job j/1" in line for line in told)


def test_a_start_whose_answer_never_came_is_said_and_not_repeated_within_a_try(tmp_path):
    api, memory = Exports(busy=0), Kept()

    def answer(asked):
        if asked.method == "POST" and broken.pop() if broken else False:
            api.started += 1
            return Reply(b"oh", 502)
        return api(asked)

    broken = [True]
    with pytest.raises(SourceUnavailableError, match="502 Bad Gateway: oh: whether a job was started is not known"):
        rows_of(tmp_path, answer, memory=memory)
    assert api.started == 1
    warned = []
    rows_of(tmp_path, answer, memory=memory, warn=warned.append)
    assert api.started == 2
    assert "an earlier try asked for a job and got no answer" in warned[0]


def test_the_key_of_a_job_is_its_own_and_stays_only_where_the_answer_to_its_start_was_lost(tmp_path):
    api, memory, tables = Exports(busy=0), Kept(), EXPORT + '  headers: {Idempotency-Key: "{{ job.key }}"}\n'
    tables = tables.replace("{from:", '{ref: "{{ job.key }}", from:')
    keys, lost = [], [Reply(b"oh", 502)]

    def answer(asked):
        if asked.method == "POST":
            assert asked.json["ref"] == asked.headers["Idempotency-Key"]
            keys.append(asked.json["ref"])
            return lost.pop() if lost else api(asked)
        return api(asked)

    with pytest.raises(SourceUnavailableError):
        rows_of(tmp_path, answer, tables, memory=memory)
    api.state = "error"
    with pytest.raises(SourceUnavailableError, match="has failed"):
        rows_of(tmp_path, answer, tables, memory=memory)
    api.state = "finished"
    rows_of(tmp_path, answer, tables, memory=memory)
    rows_of(tmp_path, answer, tables, memory=memory)
    first, again, after_a_failure = keys
    assert first == again != after_a_failure
    rows_of(tmp_path, answer, tables, memory=Kept())
    assert len(set(keys)) == 3


def test_a_start_that_was_refused_is_sent_again_or_forgotten(tmp_path):
    api, memory = Exports(busy=0), Kept()
    refusals = [Reply(b"slow down", 429), Reply(b"slow down", 429)]

    def answer(asked):
        return refusals.pop() if asked.method == "POST" and len(refusals) > 1 else api(asked)

    spool, _ = rows_of(tmp_path, answer, memory=memory)
    assert lines(spool) == b"".join(CSV)
    memory = Kept()
    with pytest.raises(BadRequestError, match="400"):
        rows_of(tmp_path, lambda _: Reply(b"no such report", 400), memory=memory)
    assert memory.content is None
    assert memory.history


def test_a_job_that_failed_says_why_and_the_next_try_starts_another(tmp_path):
    api, memory = Exports(state="error", busy=0), Kept()
    with pytest.raises(
        SourceUnavailableError, match=r'the job j/1 has failed, its status is "error": no disk; hint: a r'
    ):
        rows_of(tmp_path, api, memory=memory)
    api.state = "finished"
    rows_of(tmp_path, api, memory=memory)
    assert api.started == 2


def test_a_job_that_the_api_has_forgotten_is_started_again_by_the_next_try(tmp_path):
    api, memory = Exports(busy=0), Kept()
    lost = [True]

    def answer(asked):
        return Reply(b"", 404) if asked.method == "GET" and lost and lost.pop() else api(asked)

    with pytest.raises(SourceUnavailableError, match=r"does not know the job j/1 \(404\)"):
        rows_of(tmp_path, answer, memory=memory)
    rows_of(tmp_path, answer, memory=memory)
    assert api.started == 2


def test_a_job_that_was_asked_for_something_else_is_not_joined(tmp_path):
    api, memory = Exports(busy=1), Kept()
    with pytest.raises(JobRunningError):
        rows_of(tmp_path, api, memory=memory)
    warned, changed = [], EXPORT.replace("{from:", "{all: true, from:")
    spool, server = rows_of(tmp_path, api, changed, memory=memory, warn=warned.append)
    assert server.asked[0].json == {"all": True, "from": "2013-01-01"}
    assert (lines(spool), api.started) == (b"".join(CSV), 2)
    assert "the job j/1 was asked for with another request, and is not joined" in warned[0]


def test_a_job_of_a_key_that_is_no_longer_asked_for_is_not_joined(tmp_path):
    api, memory = Shops(a=2, b=2), Kept()
    with pytest.raises(JobRunningError):
        rows_of(tmp_path, api, MANY, memory=memory)
    api.busy.clear()
    spool, _ = rows_of(tmp_path, api, MANY.replace("[a, b, c]", "[b]"), memory=memory)
    assert (spool.rows_read, api.count("POST")) == (2, 2)


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_job_whose_link_has_expired_is_forgotten_and_the_next_try_starts_another(tmp_path, status):
    api, memory = Exports(busy=0), Kept()
    refused = [Reply(b"expired", status)]

    def answer(asked):
        return refused.pop() if asked.path.startswith("/files/1") and refused else api(asked)

    with pytest.raises(SourceUnavailableError, match=f"{status} .*expired.*a retry starts another job"):
        rows_of(tmp_path, answer, memory=memory)
    assert memory.content is None
    spool, _ = rows_of(tmp_path, answer, memory=memory)
    assert (lines(spool), api.started) == (b"".join(CSV), 2)


def test_a_job_whose_file_is_damaged_is_not_joined(tmp_path):
    api, memory = Exports([gzip.compress(CSV[0])[:-9], CSV[1]], busy=0), Kept()
    with pytest.raises(BadDataError):
        rows_of(tmp_path, api, memory=memory)
    assert memory.history
    assert memory.content is None


def test_a_job_whose_result_is_down_is_joined_and_one_whose_result_is_bad_is_not(tmp_path):
    api, memory, tables = Exports(busy=0), Kept(), EXPORT.replace("format: {type: csv}", "records: rows")
    api.files = [b'{"rows": 1}']
    with pytest.raises(BadDataError):
        rows_of(tmp_path, api, tables, memory=memory)
    assert memory.content is None
    down = [Reply(b"", 503)] * 2

    def answer(asked):
        return down.pop() if asked.path.startswith("/files/") and down else api(asked)

    api.files = [b'{"rows": [{"id": 1}]}']
    with pytest.raises(SourceUnavailableError, match="503"):
        rows_of(tmp_path, answer, tables, memory=memory)
    spool, _ = rows_of(tmp_path, answer, tables, memory=memory)
    assert (spool.rows_read, api.started) == (1, 2)


def test_a_job_that_takes_too_long_fails_and_is_looked_at_again(tmp_path):
    api, memory = Exports(busy=1), Kept()
    with pytest.raises(JobRunningError):
        rows_of(tmp_path, api, memory=memory)
    late = memory.content.replace(b'"started":"20', b'"started":"19')
    memory.write(late)
    api.busy = 2
    with pytest.raises(SourceNotReadyError, match=r'j/1 is not done within 2h, its status is "queued"'):
        rows_of(tmp_path, api, memory=memory)
    spool, _ = rows_of(tmp_path, api, memory=memory)
    assert lines(spool) == b"".join(CSV)
    assert api.started == 1


def test_a_signed_link_to_another_host_needs_its_name_and_gets_no_secret(tmp_path):
    with serving(Exports()) as other:
        api, login = Exports(elsewhere=other.url), {"password": SECRET, "extra": {"X-Own": SECRET}}
        with pytest.raises(BadDataError, match="refusing to follow"):
            rows_of(tmp_path, api, connection=login)
        assert other.asked == []
        hosts = f"hosts: ['{other.url.removeprefix('http://')}']"
        api.looks = 0
        spool, server = rows_of(tmp_path, api, extract=hosts, connection=login)
        assert lines(spool) == b"".join(CSV)
        assert len(other.asked) == 2
        assert not any(SECRET in str(asked.headers) for asked in other.asked)
        assert all(SECRET in str(asked.headers) for asked in server.asked)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("data.id", "data.job"), 'no "data.job" in the response: it has the keys: data'),
        (("status: state", "status: stat"), 'no "stat" in the response'),
        (("files[*].url", "files[*].link"), 'result: "files[*].link" is not in the response: no "link"'),
        (("files[*].url", "state[*].url"), "cannot read a list"),
        (("files[*].url", "files"), 'result: "files" holds {"url"'),
    ],
)
def test_what_is_not_where_the_config_says_is_an_error(tmp_path, change, words):
    with pytest.raises(BadDataError) as caught:
        rows_of(tmp_path, Exports(busy=0), EXPORT.replace(*change))
    assert words in str(caught.value)


def test_a_start_that_reports_a_failure_is_one(tmp_path):
    with pytest.raises(BadDataError, match="reports a failure"):
        rows_of(tmp_path, lambda _: reply({"error": "quota", "data": {"id": 1}}))


@pytest.mark.parametrize("files", [[], None])
def test_a_job_without_results_has_no_rows(tmp_path, files):
    def answer(asked):
        return reply({"data": {"id": 1}}) if asked.method == "POST" else reply({"state": "finished", "files": files})

    spool, _ = rows_of(tmp_path, answer)
    assert (spool.files, spool.rows_read) == ((), 0)


def test_a_rule_may_say_that_there_is_no_job(tmp_path):
    tables = EXPORT + "  answers: [{status: 409, do: skip}]\n"
    memory = Kept()
    spool, _ = rows_of(tmp_path, lambda _: Reply(b"nothing to export", 409), tables, memory=memory)
    assert spool.files == ()
    # a retry knows that there is none
    spool, server = rows_of(tmp_path, lambda _: Reply(b"", 500), tables, memory=memory)
    assert (spool.files, server.asked) == ((), [])


@pytest.mark.parametrize("do", ["skip", "end"])
@pytest.mark.parametrize(
    "change",
    [
        ("", ""),
        ("result: files[*].url", "download: /files/0"),
        ("format: {type: csv}", "records: rows"),
    ],
)
@pytest.mark.parametrize("lost", ["/exports/", "/files/"])
def test_no_rule_for_records_makes_a_job_or_its_result_vanish(tmp_path, lost, change, do):
    api, memory = Exports(busy=0), Kept()
    tables = EXPORT.replace(*change) + f"  answers: [{{status: 404, do: {do}}}]\n"
    with pytest.raises(SourceUnavailableError, match=r"\(?404.*a retry starts another"):
        rows_of(tmp_path, lambda asked: Reply(b"", 404) if lost in asked.path else api(asked), tables, memory=memory)
    assert memory.content is None


def test_a_job_is_cancelled_where_the_config_says_how(tmp_path):
    api, memory = Exports(busy=9), Kept()
    with serving(api) as server:
        request = request_of(server, tmp_path, source_of(tmp_path, EXPORT), "export", memory=memory)
        with pytest.raises(JobRunningError):
            read(request)
        assert not jobs.is_over(request)
        jobs.cancel(request)
        assert api.cancelled == ["/exports/j%2F1"]
        assert memory.content is None
        # a second time there is nothing to cancel, and a worker would start another
        jobs.cancel(request)
        assert len(api.cancelled) == 1
        assert jobs.is_over(request)


def test_a_job_can_be_cancelled_by_json(tmp_path):
    api, memory = Exports(busy=9), Kept()
    tables = EXPORT.replace("cancel: DELETE", "cancel_json: {state: Aborted}\n    cancel: PATCH")
    with serving(api) as server:
        request = request_of(server, tmp_path, source_of(tmp_path, tables), "export", memory=memory)
        with pytest.raises(JobRunningError):
            read(request)
        jobs.cancel(request)
        last = server.asked[-1]
    assert (last.method, last.path, last.json) == ("PATCH", "/exports/j%2F1", {"state": "Aborted"})


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("cancel_json: {state: Aborted}", "cancel_json needs cancel"),
        ("cancel: PATCH /x/{{ job.id }}\n    cancel_json: {id: '{{ job.id }}'}", "templates are not supported here"),
        ("cancel: PATCH /x/{{ job.id }}\n    cancel_json: {password: abcdefgh1}", "contains a secret"),
    ],
)
def test_what_is_sent_to_cancel_a_job_is_plain_json(tmp_path, more, words):
    with pytest.raises(ConfigError, match=words):
        source_of(tmp_path, EXPORT.replace("cancel: DELETE /exports/{{ job.id }}", more))


MANY = """
export:
  for_each: {shop: [a, b, c]}
  concurrency: 2
  path: /shops/{{ shop }}/exports
  json: {from: "{{ window.start }}", to: "{{ window.end }}"}
  keep: {shop: shop}
  job:
    id: id
    path: /shops/{{ shop }}/exports/{{ job.id }}
    status: state
    done: [finished]
    failed: [error]
    every: 1s
    download: /shops/{{ shop }}/exports/{{ job.id }}/rows
    cancel: POST /shops/{{ shop }}/exports/{{ job.id }}/cancel
"""


class Shops:
    """Exports of several shops; each is busy for as many looks as `busy` says."""

    def __init__(self, **busy: int) -> None:
        self.busy, self.running, self.most, self.asked = dict(busy), set(), 0, []

    def __call__(self, asked):
        _, _, shop, _, *rest = asked.path.split("/")
        self.asked.append((asked.method, shop, *rest[1:]))
        if not rest:
            self.running.add(shop)
            self.most = max(self.most, len(self.running))
            return reply({"id": f"{shop}-1"})
        if rest[1:] == ["rows"]:
            return reply([{"id": f"{shop}{number}"} for number in (1, 2)])
        self.busy[shop] = self.busy.get(shop, 0) - 1
        if self.busy[shop] >= 0:
            return reply({"state": "queued"})
        self.running.discard(shop)
        return reply({"state": "finished"})

    def count(self, method, *rest):
        return sum(one[0] == method and one[2:] == rest for one in self.asked)


def test_each_key_has_a_job_and_no_more_run_at_the_same_time_than_said(tmp_path):
    api = Shops(a=2, b=1, c=1)
    with serving(api) as server:
        found = records_of(server, tmp_path, MANY, "export")
    assert found == [{"shop": shop, "id": f"{shop}{number}"} for shop in "abc" for number in (1, 2)]
    assert (api.count("POST"), api.most) == (3, 2)


def test_a_retry_joins_all_jobs_and_looks_only_at_those_that_run(tmp_path):
    api, memory = Shops(a=0, b=2, c=1), Kept()
    with pytest.raises(JobRunningError, match=r"the job b-1 is not done.* \(and 1 more\)"):
        rows_of(tmp_path, api, MANY, memory=memory)
    assert api.count("POST") == 3
    for _ in range(5):
        api.asked.clear()
        try:
            rows_of(tmp_path, api, MANY, memory=memory)
            break
        except JobRunningError:
            assert ("GET", "a") not in api.asked
    assert api.count("POST") == 0
    assert api.count("GET", "rows") == 3


def test_each_piece_of_a_window_may_be_a_job_and_all_that_run_are_cancelled(tmp_path):
    tables = MANY.replace("for_each: {shop: [a, b, c]}", "slices: 3d").replace("keep: {shop: shop}", "headers: {A: b}")
    tables = tables.replace("{{ shop }}", "s")
    api, memory = Shops(s=99), Kept()
    with serving(api) as server:
        request = request_of(server, tmp_path, source_of(tmp_path, tables), "export", memory=memory)
        with pytest.raises(JobRunningError):
            read(request)
        starts = [asked.json["from"] for asked in server.asked if asked.method == "POST"]
        assert starts == ["2013-01-01T00:00:00Z", "2013-01-04T00:00:00Z"]
        jobs.cancel(request)
    assert api.count("POST", "cancel") == 2
    assert memory.content is None


def test_one_job_of_several_that_fails_leaves_the_others_for_the_retry(tmp_path):
    api, memory, states = Shops(), Kept(), ["error"]

    def answer(asked):
        if asked.method == "GET" and asked.path.endswith("/b/exports/b-1") and states:
            return reply({"state": states.pop()})
        return api(asked)

    with pytest.raises(SourceUnavailableError, match="the job b-1 has failed"):
        rows_of(tmp_path, answer, MANY, memory=memory)
    api.asked.clear()
    spool, _ = rows_of(tmp_path, answer, MANY, memory=memory)
    assert spool.rows_read == 6
    assert [one[1] for one in api.asked if one[0] == "POST"] == ["b", "c"]


def test_a_large_result_goes_to_disk(tmp_path):
    big = b"id,name\n" + b"".join(b"%d,%s\n" % (n, b"x" * 90) for n in range(200_000))
    api = Exports([big], busy=0)
    spool, _ = rows_of(tmp_path, api)
    assert sum(file.stat().st_size for file in spool.files) == len(big)
    with pytest.raises(BadDataError, match="larger than 10 MB"):
        rows_of(tmp_path, Exports([big], busy=0), extract="max_answer_mb: 10")
