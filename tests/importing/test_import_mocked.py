"""A manifest, and an API that answers as it describes: every row is right, and a wrong one is found."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from elt_factory.importing.manifest.compiling import compiled

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from manifest_mock import serving
from manifests_mocked import loaded, served, wrong

pytestmark = pytest.mark.services
FIELDS = {
    "id": {"type": "integer"},
    "name": {"type": ["null", "string"]},
    "rate": {"type": "number"},
    "about": {"type": "object", "properties": {"tags": {"type": "array", "items": {"type": "string"}}}},
    "changed": {"type": "string", "format": "date-time"},
}
KEY = {"type": "ApiKeyAuthenticator", "api_token": "{{ config['api_key'] }}", "header": "X-Key"}


def stream(name, path, pages, **more):
    requester = {"type": "HttpRequester", "url_base": "https://api.example.com/v1", "path": path, "authenticator": KEY}
    selector = {"type": "RecordSelector", "extractor": {"type": "DpathExtractor", "field_path": ["data", name]}}
    retriever = {"type": "SimpleRetriever", "requester": requester, "record_selector": selector}
    return {
        "type": "DeclarativeStream",
        "name": name,
        "primary_key": "id",
        "retriever": {**retriever, "paginator": pages, **more.pop("retriever", {})},
        "schema_loader": {"type": "InlineSchemaLoader", "schema": {"properties": FIELDS}},
        **more,
    }


def paginator(strategy, field):
    option = {"type": "RequestOption", "inject_into": "request_parameter", "field_name": field}
    return {"type": "DefaultPaginator", "pagination_strategy": strategy, "page_token_option": option}


def option(name):
    return {"type": "RequestOption", "inject_into": "request_parameter", "field_name": name}


BY_TOKEN = {
    "type": "CursorPagination",
    "cursor_value": "{{ response.meta.next }}",
    "stop_condition": "{{ not response.meta.more }}",
}
CHANGES = {
    "type": "DatetimeBasedCursor",
    "cursor_field": "changed",
    "datetime_format": "%Y-%m-%dT%H:%M:%SZ",
    "step": "P2D",
    "start_datetime": "2013-01-01",
    "start_time_option": option("since"),
    "end_time_option": option("until"),
}
SHOPS = stream("shops", "shops", paginator({"type": "PageIncrement", "page_size": 2, "start_from_page": 1}, "page"))
ORDERS = stream("orders", "orders", paginator(BY_TOKEN, "token"), incremental_sync=CHANGES)
PARENT = {"stream": SHOPS, "parent_key": "id", "partition_field": "shop"}
STAFF = stream(
    "staff",
    "shops/{{ stream_partition.shop }}/staff",
    paginator({"type": "OffsetIncrement", "page_size": 2}, "offset"),
    retriever={"partition_router": {"type": "SubstreamPartitionRouter", "parent_stream_configs": [PARENT]}},
)
SPEC = {"properties": {"api_key": {"type": "string", "airbyte_secret": True}}, "required": ["api_key"]}
MANIFEST = {"streams": [SHOPS, ORDERS, STAFF], "spec": {"connection_specification": SPEC}}


def test_every_row_of_pages_windows_and_children_is_loaded_once(tmp_path):
    found = compiled(MANIFEST, "shop")
    mock = served(MANIFEST, found)
    assert (found.left_out, mock.unserved) == ({}, {})
    with serving(mock) as address:
        said = {one.name: text for one, text in loaded(found, mock, address, tmp_path)}
    assert said == {"shops": "", "orders": "", "staff": ""}
    assert mock.refused == []
    assert len(mock.streams[2].all_records()) == 25


def test_a_child_whose_parents_key_is_computed_is_left_out_with_the_reason():
    added = {"type": "AddFields", "fields": [{"path": ["id"], "value": "{{ record.uri.split('/')[-1] }}"}]}
    shops = {**SHOPS, "transformations": [added]}
    router = {"type": "SubstreamPartitionRouter", "parent_stream_configs": [{**PARENT, "stream": shops}]}
    staff = {**STAFF, "retriever": {**STAFF["retriever"], "partition_router": router}}
    found = compiled({**MANIFEST, "streams": [shops, staff]}, "shop")
    assert found.left_out == {"staff": 'its parent shops: the manifest computes its column "id"'}


def test_a_key_that_the_manifest_computes_is_no_key_of_the_table():
    added = {"type": "AddFields", "fields": [{"path": ["id"], "value": "{{ now_utc() }}"}]}
    found = compiled({**MANIFEST, "streams": [{**SHOPS, "transformations": [added]}]}, "shop")
    assert "primary_key" not in found.config["tables"]["shops"]
    assert "its key id is not in the answers: write primary_key" in found.notes["shops"]


def test_a_row_that_is_missing_doubled_or_wrong_is_found():
    (orders,) = served({**MANIFEST, "streams": [ORDERS]}, compiled({**MANIFEST, "streams": [ORDERS]}, "shop")).streams
    rows = orders.all_records()
    assert wrong(orders, rows) == ""
    assert wrong(orders, rows[1:]) == "4 rows, not 5"
    assert "rows differ" in wrong(orders, [*rows[1:], rows[1]])
    assert "rows differ" in wrong(orders, [{**rows[0], "rate": 1.5}, *rows[1:]])
    # the record that is older than the window is served to who does not ask for it
    assert len(orders.records("")) == len(rows) + 1
