"""The dbt project on Snowflake: compiled without an account, and run on a stand-in for it."""

import json
import os
import socket
from pathlib import Path

import duckdb
import fakesnow
import pytest
import sqlglot

pytestmark = pytest.mark.services

SOURCES = ("flights.flights", "weather.weather", "fleet.planes", "fleet.airlines", "fleet.airports")
# the stand-in has no query tags
IGNORED = ["alter session set query_tag"]
TYPES = {"VARCHAR": "text", "TIMESTAMP WITH TIME ZONE": "timestamp_tz"}


@pytest.fixture(autouse=True)
def no_account(monkeypatch):
    for name in [name for name in os.environ if name.startswith("SNOWFLAKE_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_):
        message = "dbt reached for the network"
        raise AssertionError(message)

    monkeypatch.setattr(socket.socket, "connect", refuse)


def test_every_model_and_test_compiles_offline_to_unquoted_snowflake_sql(dbt, no_network, tmp_path):
    result = dbt(tmp_path, "compile", "--target", "snowflake", "--no-introspect", "--no-populate-cache")

    compiled = {file.stem: file.read_text() for file in (tmp_path / "target" / "compiled").rglob("*.sql")}
    assert result.success, result.exception
    assert {"stg_flights", "fleet_age", "delay_by_weather_counts_every_flight_once_per_factor"} <= set(compiled)
    for name, sql in compiled.items():
        assert sqlglot.parse_one(sql, dialect="snowflake"), name
        assert '"' not in sql, name


def load(connection, raw: Path) -> None:
    from snowflake.connector.pandas_tools import write_pandas

    cursor = connection.cursor()
    with duckdb.connect(str(raw), read_only=True) as source:
        for table in SOURCES:
            schema, name = table.split(".")
            columns = source.execute(f"describe {table}").fetchall()
            typed = ", ".join(f"{column} {TYPES.get(kind, kind)}" for column, kind, *_ in columns)
            cursor.execute(f"create schema if not exists {schema}")
            cursor.execute(f"create table {table} ({typed})")
            write_pandas(
                connection,
                source.execute(f"from {table}").df().rename(columns=str.upper),
                name.upper(),
                schema=schema.upper(),
            )


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore:Arrow output on a DB-API result:UserWarning")
def test_a_build_on_the_snowflake_stand_in_gives_the_same_marts_as_duckdb(dbt, raw, loaded, tmp_path):
    import snowflake.connector

    loaded.statuses("run")
    with fakesnow.patch(nop_regexes=IGNORED):
        connection = snowflake.connector.connect(database="analytics", schema="public")
        load(connection, raw("week"))
        # dbt stages a unit test in a qualified temporary table, which the stand-in cannot make.
        result = dbt(tmp_path / "snowflake", "build", "--target", "snowflake", "--exclude-resource-type", "unit_test")
        assert result.success, result.exception
        marts = {name: connection.cursor().execute(f"select * from marts.{name}").fetchall() for name in loaded.marts()}

    assert marts == loaded.marts()


def sent(events: list) -> list[str]:
    """The statements that dbt sent to the warehouse."""
    return [event.data.sql for event in events if event.info.name == "SQLQuery"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_every_model_and_test_is_tagged_with_its_dag_run_and_task(dbt, raw, monkeypatch, tmp_path):
    import snowflake.connector

    for name, value in {"DAG_ID": "flights", "DAG_RUN_ID": 'o\'clock \\ "1"', "TASK_ID": "transform.build"}.items():
        monkeypatch.setenv(f"AIRFLOW_CTX_{name}", value)
    events = []
    with fakesnow.patch(nop_regexes=IGNORED):
        load(snowflake.connector.connect(database="analytics", schema="public"), raw("week"))
        nodes = ["--select", "stg_weather", "--exclude-resource-type", "unit_test"]
        assert dbt(tmp_path, "build", "--target", "snowflake", *nodes, callbacks=[events.append]).success

    tagging = [sql for sql in sent(events) if sql.startswith("alter session")]
    tags = [json.loads(sqlglot.parse_one(sql, dialect="snowflake").find(sqlglot.exp.Literal).this) for sql in tagging]
    whose = {"step": "transform", "source": "flights", "dag": "flights", "task": "transform.build"}
    assert len(tags) > 5
    assert all("', timezone = 'UTC'" in sql for sql in tagging)
    assert all(whose.items() <= tag.items() and tag["run"] == 'o\'clock \\ "1"' for tag in tags)
    assert {"model.elt_factory.stg_weather"} < {tag["node"] for tag in tags}
