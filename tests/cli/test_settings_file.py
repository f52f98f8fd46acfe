"""airflow_settings.yaml: Astro's own template gives nothing, and what is wrong is one message without a secret."""

import pytest
from cli_support import ORDERS, Project

from elt_factory.cli.local import own_connections
from elt_factory.cli.settings_file import checked_settings, settings_of
from elt_factory.core.failures import ServiceError

ASTRO = """
airflow:
  connections:
    - conn_id:
      conn_type:
      conn_password:
      conn_extra: {example_extra_field: example-value}
  pools:
    - {pool_name: , pool_slot: , pool_description: }
  variables:
    - {variable_name: , variable_value: }
"""


def test_the_entries_of_astros_template_that_name_nothing_are_left_out():
    assert settings_of(ASTRO) == {"connections": [], "pools": [], "variables": []}
    assert settings_of("") == settings_of("airflow:") == settings_of(ASTRO)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("airflow: [\n", "airflow_settings.yaml:2:1: not valid YAML"),
        ("- x\n", "expected airflow: with connections, pools, variables below it"),
        ("airflow: {connections: x}", "connections is not a list of entries, each with conn_id"),
        ("airflow: {connections: [{conn_idd: x, conn_password: hunter2}]}", "entry 1 of connections has no conn_id"),
        ("airflow: {connections: [{conn_id: x, conn_password: hunter2}]}", "x has no conn_type or conn_uri"),
        ("airflow: {connections: [{conn_id: x, conn_type: fs, conn_port: hunter2}]}", "x: conn_port is not a whole"),
        ("airflow: {pools: [{pool_name: w, pool_slot: many}]}", "pools: w: pool_slot is not a whole number"),
        ("airflow:\n  connections:\n  - conn_password: 'hunter2\n", "not valid YAML"),
    ],
)
def test_what_is_wrong_is_one_message_without_a_value(text, said):
    with pytest.raises(ServiceError, match=r"airflow_settings\.yaml") as refused:
        settings_of(text)
    assert said in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_a_file_of_variables_that_is_not_utf8_is_named(tmp_path):
    (tmp_path / ".env").write_bytes(b"AIRFLOW_CONN_X=\xff\n")
    with pytest.raises(ServiceError, match=r"\.env is not valid UTF-8"):
        own_connections(tmp_path)


def test_a_folder_of_that_name_has_no_variables(tmp_path):
    (tmp_path / ".env").mkdir()
    assert own_connections(tmp_path) == {}


@pytest.mark.parametrize(
    ("kind", "entry"),
    [
        ("pools", {"pool_name": "endless", "pool_slot": -1}),
        ("pools", {"pool_name": "three", "pool_slot": 3.0}),
        ("variables", {"variable_name": "none", "variable_value": None}),
        ("variables", {"variable_name": "empty", "variable_value": ""}),
        ("connections", {"conn_id": "x", "conn_type": "http", "conn_port": " 80"}),
    ],
)
def test_what_airflow_takes_is_valid(kind, entry):
    assert checked_settings({"airflow": {kind: [entry]}})[kind] == [entry]


def test_a_plan_with_settings_that_cannot_be_read_says_so(project: Project, monkeypatch):
    project.write("orders", ORDERS)
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", '{"conn_type": "duckdb"')
    done = project.elt("plan", "orders")
    assert (done.exit_code, done.output.split(";")[0]) == (1, "AIRFLOW_CONN_WAREHOUSE is not valid JSON")
    monkeypatch.delenv("AIRFLOW_CONN_WAREHOUSE")
    (project.root / "airflow_settings.yaml").write_text("airflow: [")
    done = project.elt("plan", "orders")
    assert (done.exit_code, type(done.exception)) == (1, ServiceError)
