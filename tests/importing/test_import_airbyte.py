"""Connections of Airbyte as configs: streams, keys, cursors and states, out of whatever has written them down."""

import json
import sqlite3

import pytest
import yaml
from importing_support import first_moment
from typer.testing import CliRunner

from elt_factory.cli.main import app
from elt_factory.core.connection import Connection
from elt_factory.core.window import Window
from elt_factory.importing.airbyte import connections
from elt_factory.importing.airbyte.found import connections_at
from elt_factory.importing.airbyte.hcl import NotHclError, blocks_in
from elt_factory.importing.airbyte.said import Computed, ConnectionSaid, SourceSaid, streams_of
from elt_factory.importing.airbyte.schedules import schedule_of
from elt_factory.importing.airbyte.states import state_of, states_in
from elt_factory.importing.project import NotAProjectError
from elt_factory.importing.writing import yaml_text
from elt_factory.testing.loads import WEEK, Line, source_of

SHOP_STATE = {
    "connectionId": "c-1",
    "stateType": "stream",
    "streamState": [
        {"streamDescriptor": {"name": "orders"}, "streamState": {"updated": "2024-03-01T00:00:00Z"}},
        {"streamDescriptor": {"name": "people"}, "streamState": {"page": 7}},
    ],
}


def stream(name, mode="incremental", writes="append_dedup", key=("id",), cursor=(), namespace=None, **more):
    columns = {one: {"type": "string"} for one in ("id", "name", "phone")}
    about = {"name": name, "jsonSchema": {"properties": columns}, **({"namespace": namespace} if namespace else {})}
    config = {"syncMode": mode, "destinationSyncMode": writes, "cursorField": list(cursor), "selected": True}
    return {
        "stream": {**about, **more.pop("of", {})},
        "config": {**config, "primaryKey": [[one] for one in key], **more},
    }


SHOP = {
    "connections": [
        {
            "connectionId": "c-1",
            "name": "Shop to lake",
            "sourceId": "s-1",
            "prefix": "raw_",
            "status": "inactive",
            "scheduleType": "cron",
            "scheduleData": {"cron": {"cronExpression": "0 15 4 ? * 2-6", "cronTimeZone": "Europe/Rome"}},
            "syncCatalog": {
                "streams": [
                    stream("orders", cursor=["updated"]),
                    stream("Line Items", "full_refresh", "append", key=()),
                    stream("people", fieldSelectionEnabled=True, selectedFields=[{"fieldPath": ["id"]}]),
                    stream("left", selected=False),
                    stream("deep", primaryKey=[["meta", "id"]]),
                ]
            },
            "tenantPolicy": "strict",
        }
    ],
    "sources": [
        {
            "sourceId": "s-1",
            "name": "Acme shop",
            "sourceName": "GitHub",
            "connectionConfiguration": {
                "repositories": ["acme/shop"],
                "start_date": "2023-01-01",
                "credentials": {"option_title": "PAT", "personal_access_token": "**********"},
                "webhook_token": "abc",
                "url": "https://files.shop.example/a.csv?X-Amz-Signature=0123456789abcdef",
            },
        }
    ],
}


def pin(package, version):
    return None if package.endswith("-odd") else f"{package}=={version or '9.9'}"


def imported(path, states=None):
    said, within = connections_at(path)
    return connections.imported(said, within | (states or {}), pin)


@pytest.fixture
def shop(tmp_path):
    file = tmp_path / "export.json"
    file.write_text(json.dumps({**SHOP, "states": [SHOP_STATE]}))
    return file


def test_columns_that_were_hashed_stay_so_and_other_mappers_are_told():
    hashed = {"type": "hashing", "mapperConfiguration": {"targetField": "email", "method": "SHA-256"}}
    renamed = {"type": "field-renaming", "mapper_configuration": {"field_renaming": {"original_field_name": "a"}}}
    secret = {"type": "encryption", "mapper_configuration": {"encryption": {"rsa": {}, "target_field": "iban"}}}
    config = {"hashedFields": [{"fieldPath": ["phone"]}], "mappers": [hashed, renamed, secret]}
    said = {"syncCatalog": {"streams": [{"stream": {"name": "people"}, "config": config}]}}
    about = ConnectionSaid("x", SourceSaid("hub", "source-github"), streams_of(said))
    (found,) = connections.imported([about], {}, pin)
    assert found.config["tables"]["people"]["columns"] == {name: {"pii": "hash"} for name in ("phone", "email", "iban")}
    assert "field-renaming, encryption" in found.notes["people"][0]


def test_a_connection_of_the_api_continues_from_the_state_that_is_with_it(shop):
    (found,) = imported(shop)
    assert found.config["name"] == "acme_shop"
    assert (found.config["schedule"], found.config["timezone"]) == ("15 4 * * MON-FRI", "Europe/Rome")
    assert found.config["extract"] == {
        "type": "airbyte",
        "package": "airbyte-source-github==9.9",
        "connection": "acme_shop_connector",
        "config": {"repositories": ["acme/shop"], "start_date": "2023-01-01"},
    }
    orders = found.config["tables"]["orders"]
    assert orders.pop("initial_state") == [
        {
            "type": "STREAM",
            "stream": {
                "stream_descriptor": {"name": "orders"},
                "stream_state": {"updated": "2024-03-01T00:00:00Z"},
            },
        }
    ]
    assert orders == {
        "primary_key": ["id"],
        "write_disposition": "merge",
        "sync": "incremental",
        "cursor_field": "updated",
    }
    assert found.config["tables"]["people"]["columns"] == {"name": {"pii": "drop"}, "phone": {"pii": "drop"}}
    assert found.config["tables"]["line_items"] == {"stream": "Line Items", "write_disposition": "replace"}


def test_what_a_connection_has_and_no_config_can_say_is_listed_and_no_secret_is_copied(shop):
    (found,) = imported(shop)
    assert set(found.held) == {"extra.credentials", "extra.webhook_token", "extra.url"}
    named = {"prefix", "status", "tenant_policy"}
    assert set(found.left_out) == {"left", *(f"Shop to lake: {one}" for one in named)}
    assert "its key meta.id is within a value" in found.notes["deep"][0]
    assert "kept what each sync sent" in found.notes["line_items"][0]
    text = yaml_text(found.config, found.remarks)
    assert "****" not in text
    assert "abc" not in text


@pytest.mark.parametrize(
    ("given", "cron", "why"),
    [
        ({"scheduleType": "manual"}, None, ""),
        (None, None, ""),
        ({"scheduleType": "basic", "basicTiming": "Every 24 HOURS"}, "0 0 * * *", ""),
        ({"schedule_type": "basic", "basic_schedule": {"units": 6, "time_unit": "hours"}}, "0 */6 * * *", ""),
        ({"units": 15, "timeUnit": "minutes"}, "*/15 * * * *", ""),
        ({"units": 5, "timeUnit": "hours"}, None, "it ran 5 hours"),
        ({"scheduleType": "cron", "cronExpression": "0 0 12 * * ?"}, "0 12 * * *", ""),
        ({"scheduleType": "cron", "cronExpression": "30 0 12 * * ?"}, None, "not a cron expression of five"),
        ({"scheduleType": "cron", "cronExpression": "0 0 12 L * ?"}, None, "not a cron expression of five"),
        ({"scheduleType": "cron", "cronExpression": Computed("var.when")}, None, "it ran var.when"),
    ],
)
def test_a_schedule_is_a_cron_expression_or_listed(given, cron, why):
    found, unsaid = schedule_of(given)
    assert found.get("schedule") == cron
    assert why in unsaid
    assert bool(why) == bool(unsaid)


def test_states_are_read_as_the_api_connectors_and_pyairbyte_write_them(tmp_path):
    told = {"type": "STREAM", "stream": {"stream_descriptor": {"name": "orders"}, "stream_state": {"updated": "x"}}}
    file = tmp_path / "state.json"
    row = {"source_name": "s", "stream_name": "orders", "state_json": json.dumps(told)}
    for given in ([told], {"state": [told]}, [row], {"streamState": SHOP_STATE["streamState"], "stateType": "stream"}):
        file.write_text(json.dumps(given))
        (state,) = states_in(file).values()
        assert state_of(state).of("orders", None)
    shared = {
        "stateType": "global",
        "globalState": {"sharedState": {"lsn": 1}, "streamStates": SHOP_STATE["streamState"]},
    }
    assert state_of(shared).unsaid
    assert not state_of(shared).streams
    file.write_text("{}")
    with pytest.raises(NotAProjectError, match="not a state of Airbyte"):
        states_in(file)


def test_a_state_is_of_the_stream_with_its_namespace():
    both = [{"streamDescriptor": {"name": "t", "namespace": one}, "streamState": {"at": one}} for one in ("a", "b")]
    found = state_of({"streamState": both})
    assert found.of("t", "b") == {"at": "b"}
    assert found.of("t", None) is None


def test_a_state_of_a_stream_that_is_not_in_the_catalog_is_listed():
    def state(name, **more):
        return {"streamDescriptor": {"name": name, **more}, "streamState": {"at": name}}

    given = {"streamState": [state("orders"), state("gone", namespace="old"), state("left")], "stateType": "stream"}
    said = {"syncCatalog": {"streams": [stream("orders"), stream("left", selected=False)]}}
    about = ConnectionSaid("x", SourceSaid("hub", "source-github"), streams_of(said))
    (found,) = connections.imported([about], {"": given}, pin)
    listed = {key: text for key, text in found.left_out.items() if "state" in key}
    assert listed == {"x: state of old.gone": "not that of a stream in the export: it is not taken over"}
    assert "initial_state" in found.config["tables"]["orders"]


@pytest.fixture
def octavia(tmp_path):
    for folder in ("sources/shop_db", "connections/shop"):
        (tmp_path / folder).mkdir(parents=True)
    source = {
        "resource_name": "shop_db",
        "definition_type": "source",
        "definition_image": "airbyte/source-postgres",
        "definition_version": "1.0",
        "configuration": {"host": "db", "password": "${DB_PASSWORD}"},
    }
    streams = [
        {
            "stream": {"name": name, "namespace": "public", "json_schema": {}},
            "config": {
                "sync_mode": "incremental",
                "destination_sync_mode": "append_dedup" if key else "append",
                "cursor_field": cursor,
                "primary_key": key,
            },
        }
        for name, key, cursor in (
            ("orders", [["id"]], ["changed"]),
            ("events", [], ["seq"]),
            ("log", [["id"]], ["_ab_cdc_lsn"]),
        )
    ]
    connection = {
        "resource_name": "shop",
        "definition_type": "connection",
        "source_configuration_path": "sources/shop_db/configuration.yaml",
        "configuration": {"schedule_type": "basic", "sync_catalog": {"streams": streams}},
    }
    connection["configuration"]["schedule_data"] = {"basic_schedule": {"units": 1, "time_unit": "days"}}
    (tmp_path / "sources/shop_db/configuration.yaml").write_text(yaml.safe_dump(source))
    (tmp_path / "connections/shop/configuration.yaml").write_text(yaml.safe_dump(connection))
    return tmp_path


def kept(**cursors):
    about = [
        {
            "streamDescriptor": {"name": name, "namespace": "public"},
            "streamState": {"state_type": "cursor_based", "cursor_field": [field], "cursor": value},
        }
        for name, (field, value) in cursors.items()
    ]
    return {"": {"stateType": "stream", "streamState": about}}


def test_a_database_of_octavia_is_read_by_its_own_kind_from_the_cursor_in_the_state(octavia):
    state = kept(orders=("changed", "2013-01-04T12:00:00"), events=("seq", "41"))
    (found,) = imported(octavia, state)
    assert found.config["extract"] == {"type": "sql", "connection": "shop_db", "schema": "public"}
    assert (found.config["schedule"], found.config["catchup"]) == ("0 0 * * *", True)
    assert found.config["tables"] == {
        "orders": {
            "primary_key": ["id"],
            "write_disposition": "merge",
            "incremental": {"cursor": "changed", "initial": "2013-01-04"},
            "where": "\"changed\" >= '2013-01-04T12:00:00'",
        },
        "events": {"write_disposition": "append", "incremental": {"cursor": "seq", "initial": 42}},
        "log": {"primary_key": ["id"], "write_disposition": "replace"},
    }
    assert "log of changes" in found.notes["log"][0]
    assert "rows of exactly 41 that came after" in found.notes["events"][0]
    assert found.config["start_date"] == "2013-01-04"


def test_a_table_without_a_state_does_not_begin_with_the_day_of_another(octavia):
    (found,) = imported(octavia, kept(orders=("changed", "2024-05-01T00:00:00")))
    assert found.config["start_date"] == "2024-01-01"
    assert "no state of it was found" in found.notes["events"][0]


@pytest.mark.duckdb
def test_the_runs_of_an_imported_connection_load_no_old_row(octavia, tmp_path):
    database = sqlite3.connect(tmp_path / "shop.db")
    with database:
        database.execute("create table orders (id integer primary key, changed text)")
        database.executemany("insert into orders values (?, ?)", [(n, f"2013-01-0{n} 12:00:00") for n in range(1, 7)])
    database.close()
    (found,) = imported(octavia, kept(orders=("changed", "2013-01-04 12:00:00")))
    config = yaml.safe_load(yaml_text(found.config))
    config["extract"].pop("schema")
    config["tables"] = {"orders": {**config["tables"]["orders"], "columns": {"changed": {"type": "timestamp"}}}}
    connection = Connection("shop_db", "sqlite", host=str(tmp_path / "shop.db"))
    line = Line(source_of(config, tmp_path), connection, tmp_path, lambda _: None)
    line.load(Window(first_moment(line.source), WEEK.end))
    # a row with exactly the last value is read again, and its key keeps it one row
    assert sorted(row["id"] for row in line.rows()) == [4, 5, 6]


TERRAFORM = """
locals {
  wanted = ["orders", "people"]
  every  = "0 0 6 * * ?"
}
resource "airbyte_source_github" "shop" {
  name          = "Acme shop"   # the shop
  configuration = {
    repositories = ["acme/shop"]
    start_date   = var.begins
    credentials  = { personal_access_token = { personal_access_token = "ghp_0123456789abcdefghij" } }
    api_url      = "https://${var.host}/api"
  }
}
resource "airbyte_source_custom" "other" {
  name          = "other"
  configuration = <<EOT
  {"sourceType": "odd", "key": "${var.key}"}
  EOT
}
resource "airbyte_connection" "shop" {
  source_id = airbyte_source_github.shop.source_id
  schedule  = { schedule_type = "cron", cron_expression = local.every }
  configurations = {
    streams = [for one in local.wanted : {
      name        = one
      sync_mode   = "incremental_deduped_history"
      primary_key = [["id"]]
    }]
  }
  lifecycle {
    ignore_changes = [status]
  }
}
resource "airbyte_connection" "other" {
  name           = var.paused ? "a" : "b"
  prefix         = var.prefix
  resource_requirements = var.resources
  source_id      = airbyte_source_custom.other.source_id
  configurations = { streams = [{ name = "x", sync_mode = "full_refresh_overwrite" }] }
}
"""


def test_connections_in_terraform_are_read_as_text(tmp_path):
    (tmp_path / "main.tf").write_text(TERRAFORM)
    shop, other = imported(tmp_path, {"source source-github": SHOP_STATE})
    assert shop.config["schedule"] == "0 6 * * *"
    assert shop.config["extract"]["config"] == {"repositories": ["acme/shop"]}
    variant = "personal_access_token"
    assert shop.held == {
        "extra.start_date": "the value of var.begins",
        "extra.credentials": f"the value of its variant {variant}, as the connector's specification writes it",
        "extra.api_url": 'the value of "...${var.host}..."',
    }
    assert shop.config["tables"]["people"]["initial_state"][0]["stream"]["stream_state"] == {"page": 7}
    assert "ghp_" not in yaml_text(shop.config, shop.remarks)
    assert "source-odd: not a Python package" in other.left_out["other"]
    assert {"other: prefix", "other: resource_requirements"} <= set(other.left_out)


def test_connections_in_a_state_of_terraform_have_their_values(tmp_path):
    values = {"source_id": "s-1", "name": "shop", "configuration": {"count": 5, "api_key": "hunter2hunter2"}}
    streams = [{"name": "orders", "sync_mode": "full_refresh_overwrite", "cursor_field": None}]
    about = {"name": "shop", "source_id": "s-1", "configurations": {"streams": streams}}
    resources = [
        {"type": "airbyte_source_faker", "name": "a", "mode": "managed", "values": values},
        {"type": "airbyte_connection", "name": "b", "mode": "managed", "values": about},
    ]
    shown = {"terraform_version": "1.9", "values": {"root_module": {"child_modules": [{"resources": resources}]}}}
    instances = [{**one, "instances": [{"attributes": one["values"]}]} for one in resources]
    for name, root in (("show.json", shown), ("terraform.tfstate", {"resources": instances})):
        (tmp_path / name).write_text(json.dumps(root))
        (found,) = imported(tmp_path / name)
        assert found.config["extract"]["package"] == "airbyte-source-faker==9.9"
        assert found.config["extract"]["config"] == {"count": 5}
        assert list(found.config["tables"]) == ["orders"]


@pytest.mark.parametrize(
    ("text", "line"),
    [("resource {\n", "line 2"), ('a "b" {\n x = \n}', "line 3"), ("=", "line 1"), ('x { y = "', "line 1")],
)
def test_a_text_that_is_not_terraforms_is_an_error_with_its_line(text, line):
    with pytest.raises(NotHclError, match=line):
        blocks_in(text)


PYAIRBYTE = """
import airbyte as ab
REPOSITORIES = ["acme/shop"]

def load(token):
    source = ab.get_source(
        "source-github", version="1.8.0", config={"repositories": REPOSITORIES, "credentials": {"token": token}}
    )
    source.select_streams(["issues", "teams"])
    source.read(cache=ab.get_default_cache())

ab.get_source("source-faker", config=settings(), streams="*")
"""


def test_sources_of_a_script_of_pyairbyte_are_read_as_text(tmp_path):
    (tmp_path / "load.py").write_text(PYAIRBYTE)
    found = {one.config["name"]: one for one in imported(tmp_path)}
    github = found["github"].config
    assert github["extract"]["package"] == "airbyte-source-github==1.8.0"
    assert github["extract"]["config"] == {"repositories": ["acme/shop"]}
    assert list(github["tables"]) == ["issues", "teams"]
    assert "its key is not in the export" in found["github"].notes["issues"][0]
    assert found["faker"].held == {"extra": "the value of settings()"}
    assert "elt new faker --airbyte" in found["faker"].left_out["faker"]


def test_nothing_is_written_where_there_is_no_connection(tmp_path, monkeypatch):
    monkeypatch.setenv("ELT_PROJECT", str(tmp_path))
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "values.yaml").write_text("definition_type: source\n")
    (tmp_path / "bad.tf").write_text("resource {\n")
    (tmp_path / "bad.py").write_text("def (")
    for name, why in (
        ("nowhere", "no such file or folder"),
        ("broken.json", "not JSON"),
        ("values.yaml", "no connection of Airbyte is there"),
        ("bad.tf", "not in Terraform's language: line 2"),
        ("bad.py", "not Python"),
    ):
        result = CliRunner().invoke(app, ["import", "airbyte", str(tmp_path / name)])
        assert result.exit_code == 1
        assert why in " ".join(result.output.split())
