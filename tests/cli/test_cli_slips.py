"""What commands say where a word is not one that they know."""

from __future__ import annotations

import pytest
from cli_support import ORDERS, Project


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (("settings", "--for", "compose"), 'unknown "compose"; did you mean "composer"?'),
        (("cost", "--by", "tables"), 'unknown "tables"; use one of: day, source, step'),
    ],
)
def test_a_word_that_an_option_does_not_know_is_answered_with_the_near_one(project: Project, asked, words):
    done = project.elt(*asked)
    assert done.exit_code == 2
    assert words in " ".join(done.output.replace("│", " ").split())
    assert "Value error" not in done.output


@pytest.mark.parametrize("command", [("run",), ("plan",), ("cost",), ("diagnose",), ("explain",)])
def test_the_maintenance_dag_is_no_config_and_said_to_be_what_it_is(project: Project, command):
    project.write("orders", ORDERS)
    done = project.elt(*command, "elt_maintenance")
    assert done.exit_code == 1
    assert "is the DAG of _maintenance.yaml, not a config" in " ".join(done.output.split())


@pytest.mark.duckdb
@pytest.mark.parametrize("command", ["run", "plan", "cost", "diagnose", "explain"])
def test_the_near_name_may_be_that_of_a_broken_config(project: Project, command):
    project.write("homes", ORDERS.replace("orders", "homes"))
    project.write("orders", ORDERS.replace("primary_key", "primary_keys"))
    done = project.elt(command, "ordres")
    assert done.exit_code == 1
    assert 'unknown config "ordres"; did you mean "orders"?' in " ".join(done.output.split())


@pytest.mark.parametrize("command", ["run", "plan", "explain"])
def test_where_there_is_no_config_at_all_it_is_said_how_to_write_one(project: Project, command):
    done = project.elt(command, "orders")
    assert done.exit_code == 1
    said = 'unknown config "orders"; no configs in dag_configs; hint: write one with elt new, or set ELT_PROJECT'
    assert said in " ".join(done.output.split())


def test_a_list_of_no_configs_says_so(project: Project):
    done = project.elt("list")
    assert (done.exit_code, done.output.split(";")[0]) == (0, "no configs in dag_configs")
    assert project.elt("list", "--json").output.strip() == "[]"


def test_outside_of_a_project_there_is_nothing_to_list(project: Project):
    project.configs.rmdir()
    done = project.elt("list")
    assert done.exit_code == 1
    assert "no configs in dag_configs; hint: write one with elt new, or set ELT_PROJECT" in " ".join(
        done.output.split()
    )
