"""`elt new --job`: a config of tables that another system loads, which is valid and says what is verified."""

import duckdb
import pytest
import yaml
from cli_support import Project

from elt_factory.config.loading import load_config

pytestmark = pytest.mark.duckdb


@pytest.fixture
def warehouse(project: Project, monkeypatch):
    file = project.root / "warehouse.duckdb"
    with duckdb.connect(str(file)) as opened:
        opened.execute("create schema raw")
        opened.execute(
            "create table raw.orders (id int, order_date date, shipped date, _airbyte_extracted_at timestamptz)"
        )
        opened.execute("create table raw.events (id int, happened timestamp, updated_at timestamp, _loaded timestamp)")
        opened.execute("create table raw.plain (id int, updated_at timestamp)")
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", f'{{"conn_type": "duckdb", "host": "{file}"}}')
    return project


def written(project: Project, *arguments: str) -> dict:
    result = project.elt("new", "shop", "--connection", "tool", *arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    file = project.configs / "shop.yaml"
    load_config(file, project.configs)
    return yaml.safe_load(file.read_text(encoding="utf-8"))


def test_a_job_of_airbyte_is_verified_by_its_own_column(warehouse):
    found = written(warehouse, "--job", "airbyte:8c775d4c-2b4d-4f3a-9c5b-6a1f2e3d4c5b", "--table", "raw.orders,raw.new")
    assert found["extract"] == {
        "type": "remote_job",
        "connection": "tool",
        "job": {"airbyte": {"connection_id": "8c775d4c-2b4d-4f3a-9c5b-6a1f2e3d4c5b"}},
    }
    assert found["tables"] == {
        "orders": {"relation": "raw.orders", "business_date": "order_date"},
        "new": {"relation": "raw.new"},
    }
    assert found["quality"]["orders"] == [{"row_count": {"min": 1}}]
    text = (warehouse.configs / "shop.yaml").read_text()
    assert "business_date is order_date by its type; or shipped: it has to move" in text
    assert "raw.new is not in the warehouse yet" in text


def test_several_ids_and_a_column_that_says_by_its_name_when_a_row_was_loaded(warehouse):
    found = written(warehouse, "--job", "dbt_cloud:1,2", "--table", "raw.events")
    assert found["extract"]["job"] == {"dbt_cloud": {"account_id": 1, "job_id": 2}}
    assert found["tables"]["events"] == {
        "relation": "raw.events",
        "loaded_at": "_loaded",
        "business_date": "happened",
    }


def test_an_arn_is_one_id_and_defaults_stay_where_they_are(warehouse):
    warehouse.write("_defaults", "owner: sales\nschedule: '@hourly'\nstart_date: 2024-02-01\n")
    machine = "arn:aws:states:eu-central-1:123456789012:stateMachine:load"
    found = written(warehouse, "--job", f"aws_step_functions:{machine}", "--table", "raw.events")
    assert found["extract"]["job"]["aws_step_functions"]["state_machine"] == machine
    assert "owner" not in found
    assert str(found["start_date"]) == "2024-02-01"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--job", "airbite:1", "--table", "raw.orders"], 'unknown system "airbite"; hint: did you mean "airbyte"'),
        (
            ["--job", "dbt_cloud:1", "--table", "raw.orders"],
            "needs account_id, job_id; hint: --job 'dbt_cloud:ACCOUNT_ID",
        ),
        (["--job", "airbyte:1"], "--job needs --connection, and --table"),
        (["--job", "airbyte:1", "--table", "orders"], '"orders" is not a table of the warehouse'),
        (["--job", "airbyte:1", "--table", "none.*"], "the warehouse has no tables in none"),
        (
            ["--job", "aws_glue:load", "--table", "raw.plain"],
            "no column that says when a row was loaded: its times are",
        ),
        (["--job", "aws_glue:load", "--table", "raw.new"], "is not in the warehouse, and aws_glue has no column"),
        (["--job", "airbyte:1", "--table", "raw.*"], "raw.plain has no column that says when"),
    ],
)
def test_what_is_missing_is_one_clear_error_and_nothing_is_written(warehouse, arguments, said):
    result = warehouse.elt("new", "shop", "--connection", "tool", *arguments)
    assert result.exit_code == 1
    assert said in " ".join(result.output.split())
    assert not (warehouse.configs / "shop.yaml").exists()
