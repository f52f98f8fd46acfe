"""`elt dbt scaffold`: dbt itself parses, builds and tests what is written, and looks at both clocks."""

import json
import shutil
from pathlib import Path

import duckdb
import pytest
import yaml
from cli_support import ORDERS, Project

from elt_factory.cli.init import project_files

CHECKED = """\
name: shop
extract: {type: files, folder: inbox}
tables:
  customers: {path: customers.csv, primary_key: [id], write_disposition: scd2}
  orders:
    description: One order
    path: orders.csv
    primary_key: [id]
    write_disposition: merge
    business_date: ordered_on
    columns:
      id: {type: integer, description: The order's number}
      ordered_on: {type: date}
      card: {type: text, pii: drop}
      email: {type: text, pii: hash, description: The buyer's address.}
      state:
        type: text
        nullable: false
        checks:
          - accepted_values: [open, paid]
            severity: warn
            where: amount > 0
          - regex: "^[a-z]+$"
      amount: {type: integer, checks: [{between: [0, 6000]}, {accepted_values: [5, 7], max_failing: 1}]}
      customer_id: {type: integer, checks: [{relationships: {table: customers, column: id}}]}
quality:
  orders:
    - freshness: {loaded_within: 2h}
    - freshness: {business_date_within: 26h}
      severity: warn
    - row_count: {min: 1}
"""
ROWS = """
create schema shop;
create table shop.customers as select 1 id, timestamp '2013-01-01' _valid_from, null::timestamp _valid_to,
    'l' _load_id, now() _loaded_at union all select 1, timestamp '2012-01-01', timestamp '2013-01-01', 'l', now();
create table shop.orders as select 1 id, date '2013-01-01' ordered_on, 'ab' email, 'open' state, 5 amount,
    1 customer_id, 'l' _load_id, now() _loaded_at;
"""


@pytest.fixture
def dbt(project: Project):
    """The dbt command over the skeleton of a new project, in this process; it fails where dbt does."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner

    folder = project.root / "include" / "dbt"
    for name, text in project_files("shop").items():
        if name.startswith("include/dbt/"):
            (project.root / name).parent.mkdir(parents=True, exist_ok=True)
            (project.root / name).write_text(text)
    profile = yaml.safe_load((folder / "dbt_project.yml").read_text())["profile"]
    file = project.root / "warehouse.duckdb"
    target = {"type": "duckdb", "path": str(file)}
    (folder / "profiles.yml").write_text(yaml.safe_dump({profile: {"target": "t", "outputs": {"t": target}}}))
    with duckdb.connect(str(file)) as opened:
        opened.execute(ROWS)

    def run(*command: str) -> Path:
        try:
            done = dbtRunner().invoke([*command, "--project-dir", str(folder), "--profiles-dir", str(folder)])
        finally:
            DuckDBConnectionManager.close_all_connections()
        assert done.success or command[0] == "source", done.exception or done.result
        return folder / "target"

    return run


@pytest.mark.duckdb
def test_dbt_takes_what_is_written(project: Project, dbt):
    project.write("shop", CHECKED)
    done = project.elt("dbt", "scaffold", "shop", "--json")
    assert done.exit_code == 0, done.stderr
    said = json.loads(done.stdout)
    staging = "include/dbt/models/staging/shop"
    assert said["files"] == [
        f"{staging}/shop.yml",
        f"{staging}/stg_shop__customers.sql",
        f"{staging}/stg_shop__orders.sql",
    ]
    assert said["left_out"] == ["orders.state: regex", "orders.amount: between", "orders: row_count"]

    target = dbt("build")
    results = json.loads((target / "run_results.json").read_text())["results"]
    assert {result["status"] for result in results} == {"success", "pass"}
    manifest = json.loads((target / "manifest.json").read_text())
    tests = {node["name"]: node["config"] for node in manifest["nodes"].values() if node["resource_type"] == "test"}
    kinds = sorted(name.split("stg_shop__")[0].strip("_") for name in tests)
    assert kinds == ["accepted_values"] * 2 + ["not_null"] * 3 + ["relationships"] + ["unique"] * 2
    warned = next(config for name, config in tests.items() if "state" in name and name.startswith("accepted"))
    assert (warned["severity"].lower(), warned["where"]) == ("warn", "amount > 0")
    assert next(config for name, config in tests.items() if "amount" in name)["error_if"] == ">1"
    source = manifest["sources"]["source.elt_factory.shop.orders"]
    assert source["description"] == "One order"
    assert source["columns"]["email"]["description"].startswith("The buyer's address. SHA-256")
    assert "card" not in source["columns"]
    assert manifest["nodes"]["model.elt_factory.stg_shop__orders"]["tags"] == ["shop"]

    # the load is new, what it loaded is of 2013
    dbt("source", "freshness")
    found = json.loads((target / "sources.json").read_text())["results"]
    assert {one["unique_id"]: one["status"] for one in found} == {
        "source.elt_factory.shop.orders": "pass",
        "source.elt_factory.shop_by_business_date.orders": "warn",
    }
    with duckdb.connect(str(project.root / "warehouse.duckdb")) as opened:
        (view,) = opened.execute(
            "select table_schema from information_schema.tables where table_name = 'stg_shop__customers'"
        ).fetchone()
        # of a history, the rows that hold now
        assert opened.execute(f"select count(*) from {view}.stg_shop__customers").fetchone() == (1,)


def test_nothing_is_overwritten(project: Project):
    project.write("orders", ORDERS)
    assert project.elt("dbt", "scaffold", "orders").exit_code == 0
    again = project.elt("dbt", "scaffold", "orders")
    assert again.exit_code == 1
    assert "exists already; remove it, or choose another folder with --into" in " ".join(again.stderr.split())
    assert project.elt("dbt", "scaffold", "orders", "--into", str(project.root / "elsewhere")).exit_code == 0
    shutil.rmtree(project.root / "elsewhere")


def test_a_config_without_tables_has_nothing_to_stage(project: Project):
    project.write("marts", "name: marts\ntransform: {dbt: {select: 'tag:marts'}}\n")
    done = project.elt("dbt", "scaffold", "marts")
    assert done.exit_code == 1
    assert "loads no tables" in done.stderr
