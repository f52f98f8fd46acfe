"""`elt diff`: what changes for which DAG, what needs a full refresh, what becomes of removed and renamed ones."""

from __future__ import annotations

import json

import pytest
from cli_support import ORDERS, Project

pytestmark = pytest.mark.services

WAITS = """\
name: report
owner: sales
schedule: "0 4 * * *"
transform: {dbt: {select: "tag:report"}}
sensors: {before_transform: [{source: {name: orders}}]}
"""


@pytest.fixture
def orders(project: Project) -> Project:
    """A project whose last commit has one source."""
    project.write("orders", ORDERS)
    project.commit()
    return project


def differences(project: Project, *arguments: str) -> dict[str, dict]:
    done = project.elt("diff", "--json", *arguments)
    assert done.exit_code == 0, done.output
    return {change["name"]: change for change in json.loads(done.stdout)["configs"]}


def test_configs_that_mean_the_same_do_not_differ_however_they_are_written(orders: Project):
    orders.write("orders", "# a comment\n" + ORDERS.replace("nullable: false, ", "nullable: false, pii: null, "))
    assert differences(orders) == {}
    assert orders.elt("diff").stdout == "No config differs from HEAD.\n"


@pytest.mark.parametrize(
    ("old", "new", "path", "refresh"),
    [
        ("owner: sales", "owner: finance", "owner", "no"),
        ('"0 3 * * *"', '"0 4 * * *"', "schedule.cron", "no"),
        ("2024-01-01", "2023-01-01", "start_date", "advised"),
        ("2024-01-01", "2025-01-01", "start_date", "no"),
        ("primary_key: [id]", "primary_key: [id, email]", "tables.orders.primary_key", "needed"),
        ("write_disposition: merge", "write_disposition: append", "tables.orders.write_disposition", "no"),
        ("write_disposition: merge", "write_disposition: replace", "tables.orders.write_disposition", "no"),
        ("write_disposition: merge", "write_disposition: scd2", "tables.orders.write_disposition", "needed"),
        ("{type: integer,", "{type: date,", "tables.orders.columns.id.type", "needed"),
        ("{type: integer,", "{type: decimal,", "tables.orders.columns.id.type", "no"),
        ("    columns:", "    cluster_by: [id]\n    columns:", "tables.orders.cluster_by", "no"),
        ("{type: integer, nullable", "{nullable", "tables.orders.columns.id.type", "needed"),
        (", pii: hash", "", "tables.orders.columns.email.pii", "advised"),
        (", pii: hash", ", pii: drop", "tables.orders.columns.email.pii", "needed"),
        ("    columns:", "    schema_contract: freeze\n    columns:", "tables.orders.schema_contract", "no"),
        ("    columns:", "    incremental: {cursor: id}\n    columns:", "tables.orders.incremental", "no"),
        ("    columns:", "    columns:\n      note: {pii: hash}", "tables.orders.columns.note", "needed"),
        ("orders_%Y", "sales_%Y", "tables.orders.path", "advised"),
        ("{min: 1}", "{min: 2}", "quality.orders", "no"),
    ],
)
def test_each_change_is_told_with_its_effect(old: str, new: str, path: str, refresh: str, orders: Project):
    orders.write("orders", ORDERS.replace(old, new))
    found = differences(orders)["orders"]
    assert [(change["path"], change["full_refresh"]) for change in found["changes"]] == [(path, refresh)]
    assert found["changes"][0]["effect"]
    assert (found["kind"], found["full_refresh"]) == ("changed", refresh)
    tables = ["orders"] if refresh != "no" and path.startswith("tables") else []
    assert found["tables_to_refresh"] == tables


def test_a_change_of_the_defaults_changes_every_config_beside_them(orders: Project):
    orders.write("more", ORDERS.replace("name: orders", "name: more"))
    orders.commit()
    (orders.configs / "_defaults.yaml").write_text("retries: {count: 9}\n")
    found = differences(orders)
    assert {name: [c["path"] for c in change["changes"]] for name, change in found.items()} == {
        "orders": ["retries.count"],
        "more": ["retries.count"],
    }


def test_a_new_table_loads_its_own_window_and_its_history_takes_a_full_refresh(orders: Project):
    orders.write("orders", ORDERS.replace("tables:\n", "tables:\n  items: {path: items_%Y.csv}\n"))
    (change,) = differences(orders)["orders"]["changes"]
    assert (change["path"], change["before"], change["full_refresh"]) == ("tables.items", None, "advised")


def test_what_stays_of_a_removed_config_is_told_and_who_waits_for_it(orders: Project):
    orders.write("report", WAITS)
    orders.commit()
    (orders.configs / "orders.yaml").unlink()
    found = orders.elt("diff").stdout
    assert "- orders removed" in found
    assert "airflow dags delete orders" in found
    assert 'table "orders"."orders" and its rows in _elt stay' in found


def test_a_config_under_another_name_is_renamed_and_begins_anew(orders: Project):
    (orders.configs / "orders.yaml").unlink()
    orders.write("sales", ORDERS.replace("name: orders", "name: sales").replace("owner: sales", "owner: me"))
    found = differences(orders)
    assert list(found) == ["sales"]
    assert (found["sales"]["kind"], found["sales"]["former"], found["sales"]["full_refresh"]) == (
        "renamed",
        "orders",
        "needed",
    )
    assert [change["path"] for change in found["sales"]["changes"]] == ["owner"]
    assert any("starts from scratch in its own schema" in text for text in found["sales"]["consequences"])


def test_a_config_that_is_quite_different_is_no_rename(orders: Project):
    (orders.configs / "orders.yaml").unlink()
    orders.write("fleet", "name: fleet\nowner: us\nextract: {type: sql, connection: db}\ntables: {planes: {}}\n")
    assert {name: change["kind"] for name, change in differences(orders).items()} == {
        "orders": "removed",
        "fleet": "added",
    }


def test_a_revision_without_configs_has_none(project: Project):
    (project.root / "README.md").write_text("nothing yet")
    project.commit()
    project.write("orders", ORDERS)
    assert {name: change["kind"] for name, change in differences(project).items()} == {"orders": "added"}


def test_any_revision_can_be_compared_with(orders: Project):
    orders.write("orders", ORDERS.replace("owner: sales", "owner: me"))
    orders.commit()
    assert differences(orders) == {}
    assert list(differences(orders, "--against", "HEAD~1")) == ["orders"]


def test_a_config_that_cannot_be_read_is_not_taken_for_removed(orders: Project):
    orders.write("orders", "name: [\n")
    assert differences(orders) == {}
    assert "orders is invalid" in orders.elt("diff").stdout


def test_that_holds_too_where_the_file_has_another_name_on_either_side(orders: Project):
    orders.write("other", ORDERS.replace("name: orders", "name: sales"))
    orders.commit()
    orders.write("other", "name: sales\nnmae: x\n")
    orders.write("orders", "name: [\n")
    assert differences(orders) == {}
    assert "sales is invalid" in orders.elt("diff").stdout


def test_what_git_cannot_do_is_said(project: Project):
    project.write("orders", ORDERS)
    done = project.elt("diff", "--against", "--output=x")
    assert (done.exit_code, "git cannot read revision" in done.stderr) == (1, True)


def test_people_see_the_command_that_loads_anew(orders: Project):
    orders.write("orders", ORDERS.replace("primary_key: [id]", "primary_key: [id, email]"))
    text = orders.elt("diff").stdout
    assert "~ orders changed  needs a full refresh" in text
    assert "    tables.orders.primary_key: [id] → [id, email]\n" in text
    assert "elt run orders --full-refresh --table orders" in text
