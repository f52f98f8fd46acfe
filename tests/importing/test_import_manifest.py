"""Low-code manifests as configs: what can be said is said exactly, what cannot is named."""

from pathlib import Path

import pytest
import yaml
from importing_support import Api, serving
from typer.testing import CliRunner

from elt_factory.cli.main import app
from elt_factory.core.connection import Connection
from elt_factory.importing.manifest.answers import answers_of
from elt_factory.importing.manifest.auth import auth_of
from elt_factory.importing.manifest.compiling import compiled
from elt_factory.importing.manifest.paging import paging_of
from elt_factory.importing.manifest.saying import Scope, Settings, UnsaidError, time_filter
from elt_factory.testing.loads import WEEK, Line, source_of

SENT = {"session_token_path": ["token"], "request_authentication": {"type": "Bearer"}}
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


@pytest.mark.parametrize("text", ["{{ record.a + 1 }}", "{{ stream_partition.unknown }}", "{{ f(config['shop']) }}"])
def test_a_computed_value_is_not_said(text, scope):
    with pytest.raises(UnsaidError):
        scope.text(text)


def test_a_second_secret_is_a_value_of_the_connections_extra_and_none_is_in_a_path():
    manifest = root()
    spec = manifest["spec"]["connection_specification"]
    spec["properties"]["app_key"] = {"type": "string", "airbyte_secret": True}
    spec["required"].append("app_key")
    key = "{{ config['app_key'] }}"
    manifest["definitions"]["requester"]["request_headers"] = {"X-App": key}
    manifest["streams"][1]["retriever"]["requester"]["path"] = f"{key}/lines"
    found = compiled(manifest, "shop")
    assert found.config["tables"]["orders"]["headers"] == {"X-App": "{{ connection.extra.app_key }}"}
    assert found.held == {"password": "api_key", "extra.app_key": "app_key"}
    assert found.left_out["Order Lines"].startswith("a secret within a path")


def test_a_login_with_more_secrets_than_a_password_has_them_in_the_extra():
    held = {}
    kind = {"kind": "api"}
    body = {"key": "{{ config['api_key'] }}", "secret": "{{ config['api_secret'] }}", **kind}
    login = {"path": "/login", "request_body_json": body}
    auth = auth_of({"type": "SessionTokenAuthenticator", "login_requester": login, **SENT}, held)
    assert auth["json"] == {"key": "{{ connection.password }}", "secret": "{{ connection.extra.api_secret }}", **kind}
    assert held == {"password": "api_key", "extra.api_secret": "api_secret"}


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
        (
            cursor(
                '{{ headers.get("Link", {}).split(";")[0][1:-1] }}',
                """{{ not headers.get("Link", {}) or 'rel="next"' not in headers.get("Link", {}) }}""",
            ),
            {"type": "header_link"},
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


@pytest.mark.parametrize(("place", "said"), [("body_data", "form"), ("body_json", "json")])
def test_a_key_in_the_body_comes_from_the_connection(place, said):
    key = {"inject_into": place, "field_name": "apiKey"}
    authenticator = {"type": "ApiKeyAuthenticator", "api_token": "{{ config['api_key'] }}", "inject_into": key}
    requester = {"url_base": "https://canny.example.com/api/v1", "path": "/posts/list", "authenticator": authenticator}
    stream = {"name": "posts", "retriever": {"requester": {**requester, "http_method": "POST"}}}
    stream["retriever"]["record_selector"] = {"extractor": {"field_path": ["posts"]}}
    made = compiled({"streams": [stream]}, "canny")
    assert made.config["tables"]["posts"][said] == {"apiKey": "{{ connection.password }}"}
    assert (made.config["extract"]["auth"], made.held) == ({"type": "none"}, {"password": "api_key"})
    requester["http_method"] = "GET"
    stream["retriever"]["requester"] = requester
    assert "a key in the body of a GET" in compiled({"streams": [stream]}, "canny").left_out["posts"]


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


class Shop(Api):
    """The API that the manifest describes."""

    def asked(self, path, params):
        if self.headers["Authorization"] != "Token hunter2hunter2":
            return 401, {}
        if path == "/api/orders":
            after = int(params.get("cursor", 0))
            orders = [
                {"id": n, "meta": {"updated": f"2013-01-0{n}T00:00:00Z"}} for n in range(after + 1, min(after + 3, 6))
            ]
            last = orders[-1]["id"]
            return 200, {"data": {"items": orders}, "meta": {"next": last, "more": last < 5}}
        if path == "/api/orders/3/lines":
            return 404, {}
        return 200, {"data": {"items": [{"line": 1}, {"line": 2}]}}


@pytest.mark.services
def test_every_row_of_the_documented_api_is_loaded_by_the_config(tmp_path):
    config = compiled(root(), "shop").config
    config["start_date"] = "2013-01-01"
    config["tables"] = {"orders": config["tables"]["orders"]}
    with serving(Shop) as address:
        connection = Connection("shop_api", "http", host=address, password="hunter2hunter2")
        line = Line(source_of(config, tmp_path), connection, tmp_path, lambda _: None)
        report = line.load(WEEK)
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
    assert "as it is" not in ran.output, "airbyte-cdk runs no code of a manifest either"
    again = CliRunner().invoke(app, ["import", "airbyte", str(MANIFEST), "--name", "shop"])
    assert again.exit_code == 1


def test_the_command_says_that_airbyte_cdk_runs_what_no_config_says(tmp_path, monkeypatch):
    monkeypatch.setenv("ELT_PROJECT", str(tmp_path))
    (tmp_path / "dag_configs").mkdir()
    file = tmp_path / "odd.yaml"
    file.write_text("streams: [{type: DeclarativeStream, name: odd, retriever: {type: StrangeRetriever}}]")
    ran = CliRunner().invoke(app, ["import", "airbyte", str(file), "--name", "shop"])
    assert ran.exit_code == 1
    # a long path is broken at the end of a line
    said = f"airbyte-cdk can run it as it is: elt new shop --airbyte {file}"
    assert said.replace(" ", "") in "".join(ran.output.split())


@pytest.mark.parametrize(
    ("text", "said"),
    [("a: [", "not YAML"), ("a: 1", "neither a low-code manifest"), ("streams: []", "nothing written")],
)
def test_what_is_no_manifest_is_one_clear_error(text, said, tmp_path, monkeypatch):
    monkeypatch.setenv("ELT_PROJECT", str(tmp_path))
    file = tmp_path / "manifest.yaml"
    file.write_text(text)
    ran = CliRunner().invoke(app, ["import", "airbyte", str(file), "--name", "shop"])
    assert ran.exit_code == 1
    assert said in " ".join(ran.output.split())
