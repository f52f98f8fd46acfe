"""`elt explain`: the config in effect and the origin of each of its values."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_support import ORDERS, ROOT, Project

from elt_factory.config.loading import load_config
from elt_factory.describe.effective import settings_text


def explained(project: Project, name: str = "orders") -> dict[str, dict]:
    return {entry["path"]: entry for entry in json.loads(project.elt("explain", name, "--json").stdout)}


def test_each_value_has_its_file_and_line_or_is_a_default(project: Project):
    project.write("orders", ORDERS.replace("owner: sales\n", ""))
    (project.configs / "_defaults.yaml").write_text("# ours\nowner: data-platform\nretries: {count: 5}\n")
    found = explained(project)
    assert found["name"] == {
        "path": "name",
        "value": "orders",
        "origin": "file",
        "file": "dag_configs/orders.yaml",
        "line": 1,
        "column": 1,
    }
    assert (found["owner"]["value"], found["owner"]["origin"]) == ("data-platform", "defaults")
    assert (found["owner"]["file"], found["owner"]["line"]) == ("dag_configs/_defaults.yaml", 2)
    assert (found["retries.count"]["value"], found["retries.count"]["origin"]) == (5, "defaults")
    assert (found["retries.delay"]["value"], found["retries.delay"]["origin"]) == ("1m", "language")
    assert found["retries.delay"]["line"] is None


def test_values_are_shown_as_they_are_written(project: Project):
    project.write(
        "api",
        "name: api\nextract: {type: rest_api, connection: shop, rate_limit: 500/minute}\n"
        'deadline: {by: "06:00"}\ntables: {orders: {path: /o}}\n',
    )
    found = explained(project, "api")
    assert found["extract.rate_limit"]["value"] == "500/minute"
    assert found["deadline.by"]["value"] == "06:00"
    assert found["tables.orders.write_disposition"]["value"] == "append"


def test_what_nobody_says_and_means_nothing_is_left_out_but_a_written_null_is_shown(project: Project):
    project.write("orders", ORDERS.replace('deadline: {by: "06:00"}', "deadline: null"))
    found = explained(project)
    assert found["deadline"]["value"] is None
    assert found["deadline"]["line"] == 5
    assert not [path for path in found if path.endswith(".incremental")]


def test_the_text_names_the_origin_beside_each_value(project: Project):
    project.write("orders", ORDERS)
    lines = project.elt("explain", "orders").stdout.splitlines()
    assert [line.split() for line in lines if line.startswith("owner:")] == [
        ["owner:", "sales", "#", "dag_configs/orders.yaml:2"]
    ]
    assert [line.split() for line in lines if line.startswith("catchup:")] == [["catchup:", "false", "#", "default"]]


@pytest.mark.parametrize("file", sorted((ROOT / "dag_configs").glob("[!_]*.yaml")), ids=lambda file: file.stem)
def test_the_text_is_a_config_that_means_the_same(file: Path, tmp_path: Path):
    item = load_config(file)
    again = tmp_path / file.name
    again.write_text(settings_text(item))
    assert load_config(again).config == item.config


def test_an_unknown_name_gets_the_nearest(project: Project):
    project.write("orders", ORDERS)
    done = project.elt("explain", "order")
    assert done.exit_code == 1
    assert 'did you mean "orders"?' in done.stderr
