"""Configurations of dlt's REST API source as configs: what the code says is taken, and what only a run knows is named.

Nothing of a project is run: the code of these tests raises where it would be.
"""

import ast
import json
from datetime import UTC, datetime
from typing import ClassVar

import pytest
import yaml
from importing_support import Api, first_moment, serving

from elt_factory.core.connection import Connection
from elt_factory.core.window import Window
from elt_factory.importing import dlt
from elt_factory.importing.dlt_rest.cursors import cursor_of
from elt_factory.importing.dlt_rest.literals import Joined, Unknown, names_of, value_of
from elt_factory.importing.dlt_rest.requesting import auth_of, paging_of
from elt_factory.importing.dlt_rest.saying import Words, path
from elt_factory.importing.manifest.saying import UnsaidError
from elt_factory.importing.writing import yaml_text
from elt_factory.testing.loads import Line, source_of

SHOP = """
import dlt
from dlt.sources.rest_api import RESTAPIConfig, rest_api_resources

raise SystemExit("nothing of the project is run")
PAGE = 100

@dlt.source(name="shop")
def shop_source(region, site="de", token=dlt.secrets.value):
    config: RESTAPIConfig = {
        "client": {
            "base_url": "https://shop.example.com/api/",
            "headers": {"Authorization": f"Token {token}", "Accept": "application/json"},
            "paginator": {"type": "cursor", "cursor_path": "$.meta.next", "cursor_param": "after"},
        },
        "resource_defaults": {"primary_key": "id", "endpoint": {"params": {"size": PAGE, "site": site}}},
        "resources": [
            {
                "name": "orders",
                "write_disposition": "merge",
                "endpoint": {
                    "path": f"{region}/orders",
                    "data_selector": "data.items",
                    "params": {"since": "{incremental.start_value}"},
                    "incremental": {"cursor_path": "changed", "initial_value": "2013-01-01T00:00:00Z"},
                },
                "processing_steps": [{"filter": lambda one: one["open"]}],
                "max_table_nesting": 0,
                "colour": "red",
            },
            {
                "name": "lines",
                "endpoint": {"path": "orders/{resources.orders.number}/lines", "data_selector": "lines[*]",
                             "response_actions": [{"status_code": 404, "action": "ignore"}, stop]},
                "include_from_parent": ["number"],
            },
            {
                "name": "Events",
                "write_disposition": "append",
                "columns": {"at": {"data_type": "bigint"}},
                "endpoint": {
                    "path": "events",
                    "data_selector": "$",
                    "params": {"from": {"type": "incremental", "cursor_path": "at", "initial_value": 5}},
                },
            },
            {"name": "one", "endpoint": {"path": "orders/{number}", "params": {
                "number": {"type": "resolve", "resource": "orders", "field": "number"}}}},
            {"name": "odd", "endpoint": {"path": "odd", "incremental": {
                "cursor_path": "at", "convert": lambda at: at + 1}}},
            {"name": "child_of_odd", "endpoint": {"path": "odd/{resources.odd.id}"}},
            {"name": "patched", "endpoint": {"path": "p", "method": "DELETE"}},
            made_by_code(),
            {"name": f"of_{token}"},
            {"name": "picked", "endpoint": {"path": "p", "data_selector": "items[?(@.a)]"}},
            {"name": "hidden", "endpoint": {"path": "p", "params": {"q": token}}},
            {"name": "daily", "endpoint": {"path": "https://files.example.com/x"}},
        ],
    }
    yield from rest_api_resources(config)
"""
STATE = {
    "orders": {"incremental": {"changed": {"last_value": "\uf0272013-01-03T12:00:00+00:00", "unique_hashes": ["x"]}}},
    "Events": {"incremental": {"at": {"last_value": 7}}},
}


@pytest.fixture
def found(tmp_path):
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "state.json").write_text(json.dumps({"sources": {"shop": {"resources": STATE}}}))
    (one,) = dlt.imported(tmp_path, dlt.states_in(tmp_path / "state.json"), "dlt==1.31.0")
    return one


def test_a_configuration_becomes_a_config_that_continues_where_the_pipeline_stopped(found):
    assert found.held == {
        "host": "https://shop.example.com/api/",
        "password": "the value of token",
        "params: region": "set it in the config",
    }
    config = found.config
    assert (config["name"], config["start_date"], config["catchup"]) == ("shop", "2013-01-02", True)
    assert config["params"] == {"region": "TO BE SET"}
    assert config["extract"] == {
        "type": "rest_api",
        "connection": "shop_api",
        "auth": {"type": "api_key", "header": "Authorization", "prefix": "Token "},
        "headers": {"Accept": "application/json"},
        "paginator": {"type": "cursor", "cursor_path": "meta.next", "cursor_param": "after"},
    }
    usual = {"size": 100, "site": "de"}
    assert config["tables"] == {
        "orders": {
            "path": "/{{ params.region }}/orders",
            "params": {**usual, "since": "{{ window.start }}"},
            "records": "data.items",
            "primary_key": ["id"],
            "incremental": {"cursor": "changed", "outside_window": "drop", "initial": "2013-01-03"},
            "columns": {"changed": {"type": "timestamp"}},
            "write_disposition": "merge",
            "where": "\"changed\" >= '2013-01-03T12:00:00+00:00'",
        },
        "lines": {
            "path": "/orders/{{ orders.number }}/lines",
            "params": usual,
            "records": "lines",
            "answers": [{"status": 404, "do": "skip"}],
            "keep": {"_orders_number": "orders.number"},
            "for_each": "orders",
            "primary_key": ["id"],
            "write_disposition": "merge",
        },
        "events": {
            "path": "/events",
            "params": {**usual, "from": "{{ cursor }}"},
            "primary_key": ["id"],
            "incremental": {"cursor": "at", "initial": 7},
            "columns": {"at": {"type": "integer"}},
            "write_disposition": "merge",
        },
        "one": {
            "path": "/orders/{{ orders.number }}",
            "params": usual,
            "records": {"one": True},
            "paginator": {"type": "single_page"},
            "for_each": "orders",
            "primary_key": ["id"],
            "write_disposition": "merge",
        },
    }


def test_what_only_a_run_knows_is_named_and_nothing_is_dropped_in_silence(found):
    assert {name: text[:30] for name, text in found.left_out.items()} == {
        "odd": "convert of the cursor is code:",
        "child_of_odd": "its parent odd: convert of the",
        "patched": "requests with DELETE",
        "resource 8": "a resource by code: made_by_co",
        "resource 9": "its name is code: of_{token}",
        "picked": "a path that a config has not: ",
        "hidden": "the secret token within a requ",
        "daily": "it is not below the others' ad",
    }
    notes = {table: "; ".join(texts) for table, texts in found.notes.items()}
    assert "processing_steps: filter lambda one: one['open'] is not convertible" in notes["orders"]
    assert "keys without a counterpart: colour" in notes["orders"]
    assert "response_actions: stop is not convertible" in notes["lines"]
    assert "append with a cursor that is a number" in notes["events"]


class Shop(Api):
    """An API whose orders 1 to 6 changed at noon of a day each, and which sends what has changed since."""

    since: ClassVar[list[str]] = []

    def asked(self, path, params):
        type(self).since.append(params["since"])
        orders = [{"id": n, "changed": f"2013-01-0{n}T12:00:00Z"} for n in range(1, 7)]
        return 200, {"data": {"items": [one for one in orders if one["changed"] >= params["since"]]}, "meta": {}}


@pytest.mark.services
@pytest.mark.parametrize(("kind", "loaded"), [("merge", [3, 4, 5, 6]), ("append", [3, 4, 5, 6])])
def test_the_runs_of_an_imported_configuration_continue_with_the_last_value(tmp_path, found, kind, loaded):
    """Rows with the very last value are read again, as by dlt: others may have come with it."""
    code = SHOP.replace('"write_disposition": "merge"', f'"write_disposition": "{kind}"')
    if kind == "append":
        code = code.replace('"primary_key": "id", ', "")
    (tmp_path / "shop.py").write_text(code)
    (found,) = dlt.imported(tmp_path, {"shop": {"resources": STATE}}, "dlt==1.31.0")
    once_more = "rows with the last value 2013-01-03T12:00:00+00:00 come once more" in str(found.notes["orders"])
    assert once_more == (kind == "append")
    config = yaml.safe_load(yaml_text(found.config))
    config["tables"] = {"orders": config["tables"]["orders"]}
    config["params"] = {"region": "eu"}
    with serving(Shop) as address:
        connection = Connection("shop_api", "http", host=f"{address}/api/", password="hunter2hunter2")
        line = Line(source_of(config, tmp_path), connection, tmp_path, lambda _: None)
        begins = first_moment(line.source)
        for window in (Window(begins, datetime(2013, 1, 5, tzinfo=UTC)), Window(datetime(2013, 1, 5, tzinfo=UTC), END)):
            line.load(window)
    assert sorted(row["id"] for row in line.rows()) == loaded
    assert min(Shop.since) == "2013-01-02T03:00:00Z"


END = datetime(2013, 1, 8, tzinfo=UTC)
PIPELINE = """
def run():
    config = {"client": {"base_url": "https://shop.example.com"}, "resources": [{"name": "a", "endpoint": "a"}]}
    CHANGE
    pipeline.run(rest_api_source(configNAME))
"""


def test_a_configuration_that_is_changed_in_place_is_left_out_with_the_reason(tmp_path):
    (tmp_path / "shop.py").write_text(PIPELINE.replace("NAME", "").replace("CHANGE", 'config["resources"].append({})'))
    (one,) = dlt.imported(tmp_path, {}, "dlt==1.31.0")
    assert one.config["tables"] == {}
    assert one.left_out == {"run": "a configuration by code: config"}


@pytest.mark.parametrize(("name", "state"), [("", "rest_api"), (", name='shop'", "shop")])
def test_the_state_of_a_source_is_found_by_the_name_that_dlt_gives_it(tmp_path, name, state):
    changes = 'config["resources"][0]["endpoint"]'  # read, not changed
    code = PIPELINE.replace("NAME", name).replace("CHANGE", changes)
    cursor = '{"path": "a", "incremental": {"cursor_path": "at"}}'
    (tmp_path / "shop.py").write_text(code.replace('"endpoint": "a"', f'"endpoint": {cursor}'))
    kept = {"resources": {"a": {"incremental": {"at": {"last_value": "2024-05-02"}}}}}
    (one,) = dlt.imported(tmp_path, {state: kept}, "dlt==1.31.0")
    assert one.config["tables"]["a"]["incremental"]["initial"] == "2024-05-02"
    assert one.config["name"] == (state if name else "run")


@pytest.mark.parametrize(
    ("initial", "last", "lag"),
    [
        ("2024-01-01", "2024-05-02", "2d"),
        ("2024-01-01", "2024-05-02T10:00:00Z", "2d"),
        ("20240101", "20240502", "2d"),
        ("2024-01-01T00:00:00Z", "2024-05-02", "2s"),
        (None, "2024-05-02", "2d"),
        (None, "2024-05-02T10:00:00Z", "2s"),
        (5, 7, 2),
    ],
)
def test_a_lag_is_in_the_unit_that_dlt_reads_it_in_and_its_rows_are_loaded(initial, last, lag):
    said = {"cursor_path": "at", "initial_value": initial, "lag": 2}
    cursor = cursor_of({"incremental": said}, {"incremental": {"at": {"last_value": last}}})
    assert cursor.incremental["lag"] == lag
    assert cursor.newer() is None


@pytest.mark.parametrize(
    ("last", "day"),
    [
        ("2024-05-02T01:00:00+02:00", "2024-05-01"),
        ("2024-05-01T23:00:00-02:00", "2024-05-02"),
        ("2024-05-02T01:00:00", "2024-05-02"),
        ("2024-05-02", "2024-05-02"),
        ("2024-05-02 and more", "2024-05-02"),
    ],
)
def test_the_day_of_the_last_value_is_the_one_in_utc(last, day):
    cursor = cursor_of({"incremental": {"cursor_path": "at"}}, {"incremental": {"at": {"last_value": last}}})
    assert (cursor.day, cursor.incremental["initial"]) == (day, day)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("'auto'", {"type": "single_page"}),
        ("'header_link'", {"type": "header_link"}),
        ("HeaderLinkPaginator('prev')", {"type": "header_link", "rel": "prev"}),
        (
            "{'type': 'json_link', 'next_url_path': \"$.'@odata.nextLink'\"}",
            {"type": "json_link", "next_url_path": "@odata\\.nextLink"},
        ),
        (
            "PageNumberPaginator(base_page=1, total_path='pages')",
            {"type": "page_number", "page_param": "page", "first_page": 1, "total_pages": "pages"},
        ),
        (
            "OffsetPaginator(limit=50, total_path=None, has_more_path='more')",
            {"type": "offset", "offset_param": "offset", "limit": 50, "more": "more"},
        ),
        ("HeaderCursorPaginator()", {"type": "cursor", "cursor_header": "next", "cursor_param": "cursor"}),
        (
            "{'type': 'cursor', 'cursor_body_path': 'page.after'}",
            {"type": "cursor", "cursor_path": "cursors.next", "cursor_param": "page.after", "in": "body"},
        ),
        ("SinglePagePaginator(**{})", {"type": "single_page"}),
        ("OffsetPaginator(**{'limit': 50})", {"type": "offset", "offset_param": "offset", "limit": 50}),
        ("OffsetPaginator(**BASE)", "pages by code: BASE"),
        ("MyPaginator()", "pages by code of its own: MyPaginator"),
        ("{'type': 'page_number', 'base_page': FIRST}", "pages by code: FIRST"),
        ("OffsetPaginator(50, 10)", "pages that do not begin with the first record"),
    ],
)
def test_pages_are_as_dlt_is_given_them(code, said):
    given = value_of(ast.parse(code, mode="eval").body, {})
    if isinstance(said, str):
        with pytest.raises(UnsaidError, match=said):
            paging_of(given, [])
    else:
        assert paging_of(given, []) == said


@pytest.mark.parametrize(
    ("code", "said", "held"),
    [
        ("None", {"type": "none"}, {}),
        ("{'token': dlt.secrets['a.b.key']}", {"type": "bearer"}, {"password": "the value of dlt.secrets['a.b.key']"}),
        (
            "APIKeyAuth(name='k', api_key=os.getenv('KEY'), location='query')",
            {"type": "api_key", "param": "k"},
            {"password": "the value of os.getenv('KEY')"},
        ),
        (
            "HttpBasicAuth('me', 'hunter2hunter2')",
            {"type": "basic"},
            {"login": "the value that is in the code", "password": "the value that is in the code"},
        ),
        (
            "OAuth2ClientCredentials('https://login.example.com', a, b, access_token_request_data={'audience': 'y'})",
            {"type": "oauth2", "token_url": "https://login.example.com", "params": {"audience": "y"}},
            {"login": "the value of a", "password": "the value of b"},
        ),
        ("sign_in()", "credentials by code: sign_in()", {}),
        ("{'type': 'api_key', 'location': 'cookie'}", "a key in cookie", {"password": "the value of dlt.secrets"}),
    ],
)
def test_credentials_stay_in_the_connection(code, said, held):
    taken: dict[str, str] = {}
    given = value_of(ast.parse(code, mode="eval").body, {})
    if isinstance(said, str):
        with pytest.raises(UnsaidError, match=said.replace("(", "\\(").replace(")", "\\)")):
            auth_of(given, taken, Words({}))
    else:
        assert auth_of(given, taken, Words({})) == said
    assert taken == held
    assert "hunter2" not in str(taken)


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("{'a': [1, *B], **C}", {"a": [1, 2, 3], "c": "x"}),
        ("A + '/' + D", Joined(("v1/", Unknown("D", "D")))),
        ("f'{A}/x'", "v1/x"),
        ("{'k': 1} if D else None", {"k": 1}),
        ("CHANGED", Unknown("CHANGED", "CHANGED")),
        ("GROWN", Unknown("GROWN", "GROWN")),
        ("cast(dict, C)", {"c": "x"}),
        ("pendulum.datetime(2024, 1, 31).isoformat()", "2024-01-31T00:00:00Z"),
        ("dict(a=-1)", {"a": -1}),
        ("C['c']", "x"),
        ("LOOP", Unknown("LOOP", "LOOP")),
        ("DEEP", Unknown("DEEP", "DEEP")),
        ("dict(a=1, **C)", {"a": 1, "c": "x"}),
        ("dict(a=1, **made())", {"a": 1, "**": Unknown("made()", "value")}),
        ("'x' if D else 'y'", Unknown("'...' if D else '...'", "value")),
        ("os.getenv('A') or 'y'", Unknown("os.getenv('A')", "A")),
        ("os.environ.get('A', 'y')", Unknown("os.environ.get('A', '...')", "A")),
        ("b64encode(b'me:y' + D['z'])", Unknown("b64encode('...' + D['z'])", "value")),
        ("'x' if D else 'x'", "x"),
        ("A or 'y'", "v1"),
        ("D or 'y'", "y"),
        ("A and 'y'", "y"),
        ("None or 0 or 'y'", "y"),
        ("f'{B[0]:03}/{D!s}'", Joined((Unknown("B[0]", "value"), "/", Unknown("D", "D")))),
        ("f'{A!r}'", Joined((Unknown("A", "value"),))),
        ("f'{dlt.secrets[\"k\"]:>9}'", Joined((Unknown("dlt.secrets['k']", "k", secret=True),))),
    ],
)
def test_values_are_what_the_text_says_and_unknown_where_a_run_changes_them(code, value):
    module = ast.parse(
        "A = 'v1'\nB = (2, 3)\nC = {'c': 'x'}\nCHANGED = 1\nCHANGED = 2\nGROWN = []\nGROWN.append(1)\n"
        "for LOOP in B: pass\nDEEP = {'a': [1]}\nDEEP['a'].append(2)\n"
        "MUTE = {}\nMUTE['a']['b'] = 1\nLOOP = LOOP\nLOOP2 = LOOP2"
    )
    assert value_of(ast.parse(code, mode="eval").body, names_of(module, {})) == value


@pytest.mark.parametrize(
    ("given", "said"), [("$.a['b.c'].d", "a.b\\.c.d"), ("a[*].b", "a[*].b"), ("$", ""), ("a[0]", None), ("a..b", None)]
)
def test_paths_of_json(given, said):
    if said is None:
        with pytest.raises(UnsaidError, match="a path that a config has not"):
            path(given)
    else:
        assert path(given) == said
