"""Low-code manifests as configs: what can be said is said exactly, what cannot is named."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from typer.testing import CliRunner

from elt_factory.cli.main import app
from elt_factory.core.connection import Connection
from elt_factory.importing.manifest.answers import answers_of
from elt_factory.importing.manifest.auth import auth_of
from elt_factory.importing.manifest.compiling import compiled
from elt_factory.importing.manifest.paging import paging_of
from elt_factory.importing.manifest.saying import Scope, Settings, UnsaidError, time_filter
from elt_factory.testing.loads import WEEK, Line, source_of

MANIFEST = Path(__file__).with_name("shop_manifest.yaml")
SPEC = {
    "required": ["shop"],
    "properties": {
        "shop": {"type": "string", "examples": ["acme"]},
        "states": {"type": "array", "default": ["open", "paid"]},
        "token": {"type": "string", "airbyte_secret": True},
        "company_id": {"type": "string", "airbyte_secret": True},
    },
}


@pytest.fixture
def scope():
    return Scope(Settings(SPEC), {"order": "orders.id"}, "%Y-%m-%dT%H:%M:%SZ")


def root():
    return yaml.safe_load(MANIFEST.read_text())


def test_a_manifest_becomes_a_config_and_each_stream_that_cannot_is_named():
    found = compiled(root(), "shop")
    assert found.left_out == {"secrets_of_code": "records by code of its own"}
    assert found.held == {"password": "api_key"}
    assert found.host == "{{ config['address'] }}"
    assert found.config["extract"] == {
        "type": "rest_api",
        "connection": "shop_api",
        "auth": {"type": "api_key", "header": "Authorization", "prefix": "Token "},
    }
    waits = [{"status": 404, "do": "skip"}, {"status": 429, "do": "wait", "until": "X-Reset"}]
    assert found.config["tables"] == {
        "orders": {
            "path": "/api/orders",
            "params": {"since": "{{ window.start | date }}", "until": "{{ window.end | date }}", "size": 2},
            "paginator": {"type": "cursor", "cursor_path": "meta.next", "cursor_param": "cursor", "more": "meta.more"},
            "records": {"path": "data.items", "optional": True},
            "flatten": {"updated": "meta.updated"},
            "answers": waits,
            "slices": "7d",
            "incremental": {"cursor": "updated", "lag": "2d"},
            "primary_key": ["id"],
            "write_disposition": "merge",
        },
        "order_lines": {
            "for_each": "orders",
            "path": "/api/orders/{{ orders.id }}/lines",
            "records": {"path": "data.items", "optional": True},
            "keep": {"order_id": "orders.id"},
            "answers": waits,
            "primary_key": ["order_id", "line"],
            "write_disposition": "replace",
        },
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ config['shop'] }}/x", "{{ params.shop }}/x"),
        ("{{ config.get('shop') }}", "{{ params.shop }}"),
        ("{{ stream_partition['order'] }}", "{{ orders.id }}"),
        ("{{ stream_slice.start_time }}", "{{ window.start }}"),
        ("{{ format_datetime(stream_interval['end_time'], '%Y%m%d') }}", "{{ window.end | format('%Y%m%d') }}"),
        ("{{ timestamp(stream_interval.start_time) | int }}", "{{ window.start | epoch }}"),
        ("{{ now_utc().strftime('%Y-%m-%d') }}", "{{ window.end | date }}"),
        ("{{ ','.join(config['states']) }}", "{{ params.states }}"),
        ("{{ 'shop=' ~ config['shop'] }}", "shop={{ params.shop }}"),
        ("{{ config['company_id'] }}", "{{ params.company_id }}"),
        ("plain", "plain"),
    ],
)
def test_a_template_is_said_in_our_words(text, said, scope):
    assert scope.text(text) == said


def test_a_setting_is_a_param_with_its_example(scope):
    scope.text("{{ config['shop'] }}{{ ','.join(config['states']) }}")
    assert scope.settings.params == {"shop": "acme", "states": "open,paid"}


@pytest.mark.parametrize(
    "text", ["{{ config['token'] }}", "{{ record.a + 1 }}", "{{ stream_partition.unknown }}", "{{ f(config['shop']) }}"]
)
def test_a_secret_or_a_computed_value_is_not_said(text, scope):
    with pytest.raises(UnsaidError):
        scope.text(text)


@pytest.mark.parametrize(
    ("form", "said"),
    [("%Y-%m-%dT%H:%M:%S.%fZ", ""), ("%s", " | epoch"), ("%ms", " | epoch_ms"), ("%d/%m", " | format('%d/%m')")],
)
def test_times_are_written_as_the_manifest_does(form, said):
    assert time_filter(form) == said


def cursor(value, stop="", link=False):
    option = {"type": "RequestPath"} if link else {"inject_into": "request_parameter", "field_name": "after"}
    return {
        "pagination_strategy": {"type": "CursorPagination", "cursor_value": value, "stop_condition": stop},
        "page_token_option": option,
    }


@pytest.mark.parametrize(
    ("node", "said"),
    [
        (cursor("{{ response['next'] }}", link=True), {"type": "json_link", "next_url_path": "next"}),
        (cursor("{{ headers['link']['next']['url'] }}", link=True), {"type": "header_link"}),
        (cursor("{{ last_record['id'] }}"), {"type": "cursor", "cursor_record": "id", "cursor_param": "after"}),
        (cursor("{{ headers['X-Next'] }}"), {"type": "cursor", "cursor_header": "X-Next", "cursor_param": "after"}),
        (
            cursor("{{ response.page + 1 }}", "{{ response.page == response.total_pages }}"),
            {"type": "page_number", "page_param": "after", "first_page": 1, "total_pages": "total_pages"},
        ),
        (
            cursor("{{ response.next_link | regex_search('token=(.+)') }}"),
            {"type": "json_link", "next_url_path": "next_link"},
        ),
    ],
)
def test_pages_are_those_of_a_paginator(node, said, scope):
    paginator, _, _ = paging_of(node, scope)
    assert paginator == said


@pytest.mark.parametrize("value", ["{{ response.a ~ response.b }}", "{{ f(response) }}"])
def test_a_next_page_that_is_computed_is_not_said(value, scope):
    with pytest.raises(UnsaidError, match="computed"):
        paging_of(cursor(value), scope)


@pytest.mark.parametrize(
    ("node", "said"),
    [
        ({"type": "BearerAuthenticator", "api_token": "{{ config['token'] }}"}, {"type": "bearer"}),
        (
            {
                "type": "ApiKeyAuthenticator",
                "api_token": "{{ config['token'] }}",
                "inject_into": {"inject_into": "request_parameter", "field_name": "key"},
            },
            {"type": "api_key", "param": "key"},
        ),
        (
            {
                "type": "OAuthAuthenticator",
                "token_refresh_endpoint": "https://login.example.com/{{ config['tenant'] }}/token",
            },
            {"type": "oauth2", "token_url": "https://login.example.com/tenant/token"},
        ),
    ],
)
def test_credentials_come_from_the_connection(node, said):
    assert auth_of(node, {}) == said


def test_credentials_by_code_are_not_said():
    with pytest.raises(UnsaidError, match="code of its own"):
        auth_of({"type": "CustomAuthenticator"}, {})


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"http_codes": [500, 502], "action": "RETRY"}, []),
        ({"http_codes": [409], "action": "RETRY"}, [{"status": 409, "do": "retry"}]),
        (
            {"predicate": "{{ response.ok == false }}", "action": "FAIL"},
            [{"path": "ok", "equals": False, "do": "fail"}],
        ),
        (
            {"predicate": "{{ 'no rows' in response.message }}", "action": "IGNORE"},
            [{"contains": "no rows", "do": "skip"}],
        ),
    ],
)
def test_answers_are_judged_as_the_manifest_does(rule, said):
    assert answers_of({"response_filters": [rule]}) == said


def test_a_list_and_a_parent_are_all_of_their_combinations():
    given = root()
    lines = given["streams"][1]["retriever"]
    lines["partition_router"] = [
        lines["partition_router"],
        {"type": "ListPartitionRouter", "cursor_field": "kind", "values": ["a", "b"]},
    ]
    lines["requester"]["path"] = "orders/{{ stream_partition.order }}/{{ stream_partition.kind }}"
    table = compiled(given, "shop").config["tables"]["order_lines"]
    assert table["for_each"]["each"]["of"] == ["orders"]
    assert table["path"] == "/api/orders/{{ each.order }}/{{ each.kind }}"


class Shop(BaseHTTPRequestHandler):
    """The API that the manifest describes."""

    def do_GET(self):
        address = urlsplit(self.path)
        asked = {key: values[0] for key, values in parse_qs(address.query).items()}
        if self.headers["Authorization"] != "Token hunter2hunter2":
            self.answer(401, {})
        elif address.path == "/api/orders":
            after = int(asked.get("cursor", 0))
            orders = [
                {"id": n, "meta": {"updated": f"2013-01-0{n}T00:00:00Z"}} for n in range(after + 1, min(after + 3, 6))
            ]
            last = orders[-1]["id"]
            self.answer(200, {"data": {"items": orders}, "meta": {"next": last, "more": last < 5}})
        elif address.path == "/api/orders/3/lines":
            self.answer(404, {})
        else:
            self.answer(200, {"data": {"items": [{"line": 1}, {"line": 2}]}})

    def answer(self, status, body):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


@pytest.mark.services
def test_every_row_of_the_documented_api_is_loaded_by_the_config(tmp_path):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        config = compiled(root(), "shop").config
        config["start_date"] = "2013-01-01"
        config["tables"] = {"orders": config["tables"]["orders"]}
        connection = Connection(
            "shop_api", "http", host=f"http://127.0.0.1:{server.server_port}", password="hunter2hunter2"
        )
        line = Line(source_of(config, tmp_path), connection, tmp_path, lambda _: None)
        report = line.load(WEEK)
    finally:
        server.shutdown()
        server.server_close()
    # a slice of seven days and one of the two before them, by the lag: every order comes twice
    assert report.rows_loaded == 5
    assert sorted(row["id"] for row in line.rows()) == [1, 2, 3, 4, 5]


def test_the_command_writes_a_config_that_is_valid_and_says_what_it_lacks(tmp_path, monkeypatch):
    monkeypatch.setenv("ELT_PROJECT", str(tmp_path))
    (tmp_path / "dag_configs").mkdir()
    ran = CliRunner().invoke(app, ["import", "airbyte", str(MANIFEST), "--name", "shop"])
    assert ran.exit_code == 0, ran.output
    text = (tmp_path / "dag_configs" / "shop.yaml").read_text()
    assert "2 of 3 streams" in ran.output
    assert "secrets_of_code: records by code of its own" in text
    assert "password: api_key" in text
    again = CliRunner().invoke(app, ["import", "airbyte", str(MANIFEST), "--name", "shop"])
    assert again.exit_code == 1


@pytest.mark.parametrize(
    ("text", "said"), [("a: [", "not YAML"), ("a: 1", "it has no list of streams"), ("streams: []", "nothing written")]
)
def test_what_is_no_manifest_is_one_clear_error(text, said, tmp_path, monkeypatch):
    monkeypatch.setenv("ELT_PROJECT", str(tmp_path))
    file = tmp_path / "manifest.yaml"
    file.write_text(text)
    ran = CliRunner().invoke(app, ["import", "airbyte", str(file), "--name", "shop"])
    assert ran.exit_code == 1
    assert said in ran.output
