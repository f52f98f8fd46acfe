"""The wheel without extras: it runs what needs none, and says of everything else which extra to install."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from elt_factory.core.extras import EXTRAS

DBT = 'name: marts\nstart_date: 2024-01-01\ntransform:\n  dbt: {select: "tag:x"}\n'
POSTGRES = """\
name: fleet
extract:
  type: sql
  connection: fleet_db
tables:
  planes: {write_disposition: replace}
"""
FLEET_DB = {"conn_type": "postgres", "host": "127.0.0.1", "login": "reader", "schema": "fleet"}
SNOWFLAKE = {"conn_type": "snowflake", "login": "loader", "extra": {"account": "a", "database": "d"}}
# every module of the package that does not import, with the extra that it needs
IMPORTS = """
import json, pkgutil, sys
from importlib import import_module
import elt_factory
from elt_factory.core.extras import MissingExtraError
found = {}
for module in pkgutil.walk_packages(elt_factory.__path__, "elt_factory.", onerror=lambda name: None):
    try:
        import_module(module.name)
    except MissingExtraError as error:
        found[module.name] = error.hint
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def shop(base, tmp_path_factory: pytest.TempPathFactory):
    """A project that `elt init` made, after a run of its example, with two configs that need extras."""
    folder = tmp_path_factory.mktemp("empty")
    base.at(folder).elt("init", "shop")
    made = base.at(folder / "shop")
    made.elt("run", "orders")
    (made.folder / "dag_configs" / "marts.yaml").write_text(DBT)
    (made.folder / "dag_configs" / "fleet.yaml").write_text(POSTGRES)
    return made


def test_a_new_project_loads_a_csv_file_into_duckdb(shop):
    rows = json.loads(shop.elt("sql", "select order_id, amount from orders.orders order by 1", "--json"))
    assert [row["order_id"] for row in rows] == [1, 2, 3]


def test_a_second_run_reads_what_the_first_one_wrote(shop):
    assert "orders success" in shop.elt("run", "orders")
    rows = json.loads(shop.elt("sql", "select count(*) as rows, max(_loaded_at) as last from orders.orders", "--json"))
    assert rows[0]["rows"] == 3
    assert rows[0]["last"]


def test_what_is_not_in_the_base_is_not_there(shop):
    assert json.loads(shop.run("python", "-c", FOUND_OF.format(MODULES)).splitlines()[-1]) == []


MODULES = sorted({module for extra in EXTRAS.values() for module in extra.modules})
FOUND_OF = """
import json
from importlib.util import find_spec

def is_there(name):
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False

print(json.dumps([name for name in {} if is_there(name)]))
"""


def test_every_module_imports_or_names_its_extra(shop):
    found = json.loads(shop.run("python", "-c", IMPORTS).splitlines()[-1])
    named = {module.removeprefix("elt_factory."): hint.partition("[")[2].rstrip(']"') for module, hint in found.items()}
    assert named == {
        "dag.bundle_git": "git",
        "dag.dbt_graph": "dbt",
        "dag.dbt_manifest": "dbt",
        "dag.dbt_profile": "dbt",
        "dag.dbt_running": "dbt",
        "dag.dbt_watched": "dbt",
        "dag.transform": "dbt",
        "sources.mongodb.client": "mongodb",
        "sources.mongodb.cursors": "mongodb",
        "sources.mongodb.discovery": "mongodb",
        "sources.mongodb.documents": "mongodb",
        "sources.mongodb.reader": "mongodb",
        "sources.sql.late_commits": "postgres",
        "sources.sql.postgres": "postgres",
        "sources.sql.postgres_copy": "postgres",
        "sources.sql.postgres_parts": "postgres",
        "sources.sql.postgres_silence": "postgres",
        "testing": "testing",
        "storage.snowflake": "snowflake",
        "warehouse.snowflake.hook": "snowflake",
    }


def test_a_config_with_dbt_has_the_place_and_the_command(shop):
    for command in (("validate",), ("run", "marts")):
        told = shop.elt(*command, exits=1)
        assert "marts.yaml:4:3: transform.dbt needs the Python package cosmos, which is not installed" in told
        assert 'hint: pip install "elt-factory[dbt]"' in told


def test_a_connection_to_postgres_has_the_place_and_the_command(shop):
    told = shop.elt("validate", "--connections", exits=1, fleet_db=FLEET_DB)
    assert 'fleet.yaml:4:3: the connection "fleet_db" of type postgres needs the Python package psycopg' in told
    assert 'hint: pip install "elt-factory[postgres]"' in told


def test_a_load_from_postgres_fails_with_the_command(shop):
    told = shop.elt("run", "fleet", exits=1, fleet_db=FLEET_DB)
    assert "a connection of type postgres needs the Python package psycopg, which is not installed; pip install" in told
    assert '"elt-factory[postgres]"' in told


def test_a_warehouse_of_type_snowflake_fails_with_the_command(shop):
    told = shop.elt("status", exits=1, warehouse=SNOWFLAKE)
    assert "needs the Python package airflow.providers.snowflake, which is not installed; pip install" in told
    assert '"elt-factory[snowflake]"' in told


def test_a_picture_as_png_fails_with_the_command_and_as_svg_is_drawn(shop, tmp_path: Path):
    assert 'pip install "elt-factory[pictures]"' in shop.elt(
        "plan", "orders", "--png", str(tmp_path / "x.png"), exits=1
    )
    shop.elt("plan", "orders", "--svg", str(tmp_path / "x.svg"))
    assert "</svg>" in (tmp_path / "x.svg").read_text()


def test_the_doctor_names_what_configs_need_and_is_not_installed(shop):
    told = shop.elt("doctor", exits=1, fleet_db=FLEET_DB)
    assert "cosmos is not installed, and marts transform with dbt" in told
    assert 'hint: pip install "elt-factory[postgres]"' in told


def test_a_statement_for_snowflake_is_planned_without_its_packages(shop):
    assert "COPY INTO" in shop.elt("plan", "orders", "--warehouse", "snowflake")
