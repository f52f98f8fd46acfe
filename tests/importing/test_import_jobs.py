"""Jobs of low-code manifests: started by a request, polled by others, their results read as they come."""

from __future__ import annotations

import copy
import gzip
import json

import pytest
from importing_support import Api, serving

from elt_factory.core.connection import Connection
from elt_factory.importing.manifest.address import address_of
from elt_factory.importing.manifest.compiling import compiled
from elt_factory.testing.loads import WEEK, Line, source_of

REQUESTER = {
    "type": "HttpRequester",
    "url_base": "https://api.example.com",
    "authenticator": {"type": "BearerAuthenticator", "api_token": "{{ config['api_key'] }}"},
}
STREAM = {
    "type": "DeclarativeStream",
    "name": "contacts",
    "primary_key": "id",
    "retriever": {
        "type": "AsyncRetriever",
        "creation_requester": {
            **REQUESTER,
            "path": "exports",
            "http_method": "POST",
            "request_body_json": {"since": "{{ stream_interval.start_time }}", "kind": "contacts"},
        },
        "polling_requester": {**REQUESTER, "path": "exports/{{ creation_response['export']['id'] }}"},
        "download_requester": {"type": "HttpRequester", "url": "{{ download_target }}"},
        "status_extractor": {"type": "DpathExtractor", "field_path": ["state"]},
        "status_mapping": {"completed": ["ready"], "failed": ["broken"], "running": ["pending"], "timeout": ["late"]},
        "download_target_extractor": {"type": "DpathExtractor", "field_path": ["files", "*", "url"]},
        "download_decoder": {"type": "GzipDecoder", "decoder": {"type": "CsvDecoder"}},
        "record_selector": {"type": "RecordSelector", "extractor": {"type": "DpathExtractor", "field_path": []}},
    },
    "incremental_sync": {
        "type": "DatetimeBasedCursor",
        "cursor_field": "changed",
        "datetime_format": "%Y-%m-%d",
        "start_datetime": {"type": "MinMaxDatetime", "datetime": "2013-01-01"},
    },
}
DOWNLOAD = STREAM["retriever"]["download_requester"]
SPEC = {"type": "object", "properties": {"api_key": {"type": "string", "airbyte_secret": True}}}


def manifest(**retriever):
    stream = copy.deepcopy(STREAM)
    stream["retriever"] |= retriever
    return {"streams": [stream], "spec": {"connection_specification": SPEC}}


class Exports(Api):
    """Two files of one export, which is ready when it is asked for a second time."""

    looks = 0
    asked_with = None

    def asked(self, path, params):
        if path.startswith("/files/"):
            number = int(path[-1])
            rows = "".join(f"{number * 10 + row},n{row},2013-01-0{row + 1}\n" for row in range(3))
            return 200, gzip.compress(f"id,name,changed\n{rows}".encode())
        if self.headers["Authorization"] != "Bearer hunter2hunter2":
            return 401, {}
        if path == "/exports":
            type(self).asked_with = self.body
            return 201, {"export": {"id": "e7"}}
        type(self).looks += 1
        files = [{"url": f"/files/{number}"} for number in (1, 2)]
        return 200, {"state": "ready" if self.looks > 1 else "pending", "files": files}


@pytest.mark.services
def test_a_job_of_a_manifest_is_started_polled_and_every_row_of_its_files_is_loaded(tmp_path):
    found = compiled(manifest(), "shop")
    assert found.left_out == {}
    assert found.config["tables"]["contacts"]["job"] == {
        "id": "export.id",
        "path": "/exports/{{ job.id }}",
        "status": "state",
        "done": ["ready"],
        "failed": ["broken", "late"],
        "result": "files[*].url",
    }
    found.config["tables"]["contacts"]["job"]["every"] = "1s"
    with serving(Exports) as address:
        connection = Connection("shop_api", "http", host=address, password="hunter2hunter2")
        line = Line(source_of(found.config, tmp_path), connection, tmp_path, lambda _: None)
        assert line.load(WEEK).rows_loaded == 6
    assert sorted(row["id"] for row in line.rows()) == [10, 11, 12, 20, 21, 22]
    assert json.loads(Exports.asked_with) == {"since": "2013-01-01", "kind": "contacts"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"status_extractor": {"type": "CustomRecordExtractor"}}, "found by code of its own"),
        ({"polling_requester": {**REQUESTER, "path": "exports"}}, "a job without an id"),
        ({"polling_requester": {"type": "CustomRequester"}}, "polled by code of its own"),
        ({"polling_requester": {**REQUESTER, "authenticator": {"type": "NoAuth"}}}, "with other credentials"),
        (
            {"polling_requester": {**STREAM["retriever"]["polling_requester"], "request_headers": {"X-Shop": "7"}}},
            "a job that is polled with headers of its own: X-Shop",
        ),
        ({"download_requester": {**REQUESTER, "path": "f/{{ now_utc() }}"}}, "results at a computed address"),
        (
            {"download_requester": {**DOWNLOAD, "request_headers": {"X-Shop": "7", "Content-Type": "text/csv"}}},
            "results that are downloaded with headers of its own: X-Shop",
        ),
        (
            {"download_requester": {**DOWNLOAD, "request_parameters": {"part": "1"}}},
            "results that are downloaded with parameters of their own",
        ),
        (
            {"download_requester": {**DOWNLOAD, "authenticator": {"type": "BasicHttpAuthenticator"}}},
            "results that are downloaded with other credentials",
        ),
        ({"download_requester": {**DOWNLOAD, "http_method": "POST"}}, "results that are downloaded with POST"),
        (
            {"download_target_requester": {**REQUESTER, "path": "f", "request_headers": {"X-Shop": "7"}}},
            "links to results that are asked for with headers of its own: X-Shop",
        ),
        ({"download_decoder": {"type": "CustomDecoder"}}, "answers in another format"),
    ],
)
def test_a_job_that_no_config_says_is_left_out_with_the_reason(change, reason):
    assert reason in compiled(manifest(**change), "shop").left_out["contacts"]


def test_results_may_be_at_a_path_and_documents_asked_for_one_by_one():
    links = {**REQUESTER, "path": "documents/{{ polling_response.document }}"}
    job = compiled(manifest(download_target_requester=links), "shop").config["tables"]["contacts"]["job"]
    assert (job["file"], job["links"]) == ("document", "/documents/{{ job.file }}")
    there = {**REQUESTER, "path": "exports/{{ creation_response.export.id }}/file"}
    given = manifest(download_requester=there)
    del given["streams"][0]["retriever"]["download_target_extractor"]
    assert compiled(given, "shop").config["tables"]["contacts"]["job"]["download"] == "/exports/{{ job.id }}/file"


@pytest.mark.parametrize(
    ("requester", "job", "note"),
    [
        ({"http_method": "DELETE"}, {"cancel": "DELETE /exports/{{ job.id }}"}, ""),
        (
            {"http_method": "PATCH", "request_body_json": {"state": "Aborted"}},
            {"cancel": "PATCH /exports/{{ job.id }}", "cancel_json": {"state": "Aborted"}},
            "",
        ),
        ({"http_method": "GET"}, {}, "abort_requester is not convertible: write cancel:"),
        ({"http_method": "POST", "request_headers": {"X-Shop": "7"}}, {}, "abort_requester is not convertible"),
        ({"http_method": "POST", "path": "{{ now_utc() | odd }}"}, {}, "abort_requester is not convertible: "),
    ],
)
def test_a_job_is_cancelled_as_its_manifest_aborts_it(requester, job, note):
    aborts = {**REQUESTER, "path": "exports/{{ creation_response['export']['id'] }}", **requester}
    found = compiled(manifest(abort_requester=aborts), "shop")
    made = found.config["tables"]["contacts"]["job"]
    assert {key: made[key] for key in made if key.startswith("cancel")} == job
    assert ("abort_requester" in str(found.notes)) == bool(note)
    assert note in str(found.notes)


def test_a_job_that_its_manifest_deletes_afterwards_is_noted():
    notes = compiled(manifest(delete_requester={**REQUESTER, "path": "exports"}), "shop").notes["contacts"]
    assert "delete_requester: a job whose results are read is not deleted here" in notes


@pytest.mark.parametrize(
    ("requester", "address"),
    [
        ({"path": "a//b?to=https://x.example.com//c"}, ("/a/b", "to=https://x.example.com//c")),
        ({"path": "/a/?q=1/"}, ("/a/", "q=1/")),
        ({"path": "a/"}, ("/a/", "")),
        ({"path": "a"}, ("/a", "")),
        ({"url_base": "https://x.example.com/v1/?k=1", "path": "a?q=1"}, ("/v1/a", "k=1&q=1")),
    ],
)
def test_the_query_of_an_address_stays_as_it_is_written(requester, address):
    assert address_of({**REQUESTER, **requester})[1:] == address
