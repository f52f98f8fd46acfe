"""`elt new --from`: the presets as configs, whole or some of their tables."""

import json

import pytest
import yaml
from cli_support import Project

from elt_factory.config.loading import load_config
from elt_factory.sources.presets import gallery


def written(project: Project, *arguments: str, name: str = "salesforce") -> dict:
    result = project.elt("new", *arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    file = project.configs / f"{name}.yaml"
    load_config(file, project.configs)
    return yaml.safe_load(file.read_text(encoding="utf-8"))


@pytest.mark.parametrize("preset", gallery.names())
def test_a_preset_is_written_as_it_is_under_its_own_name(project: Project, preset):
    assert written(project, "--from", preset, name=preset) == yaml.safe_load(gallery.text_of(preset))


def test_some_tables_another_name_and_another_connection(project: Project):
    asked = ("crm", "--from", "salesforce", "--tables", "accounts,lead*", "--connection", "crm_api")
    found = written(project, *asked, name="crm")
    assert found["name"] == "crm"
    assert found["extract"]["connection"] == "crm_api"
    assert list(found["tables"]) == ["accounts", "leads"]


def test_parents_come_along_and_quality_of_other_tables_does_not(project: Project):
    found = written(project, "--from", "slack", "--tables", "replies", name="slack")
    assert list(found["tables"]) == ["channels", "messages", "replies"]
    found = written(project, "crm", "--from", "salesforce", "--tables", "users", name="crm")
    assert "quality" not in found


def test_what_the_defaults_say_stays_a_comment(project: Project):
    project.write("_defaults", "owner: sales\nschedule: '@hourly'\n")
    found = written(project, "--from", "salesforce")
    assert "owner" not in found
    assert "schedule" not in found
    assert load_config(project.configs / "salesforce.yaml", project.configs).config.owner == "sales"
    assert '# owner: "sales"    # set in' in (project.configs / "salesforce.yaml").read_text(encoding="utf-8")


def test_one_that_is_there_is_not_written_over(project: Project):
    written(project, "--from", "salesforce")
    result = project.elt("new", "--from", "salesforce", "--tables", "users")
    assert result.exit_code == 1
    assert "already exists" in result.output


def test_unknown_names_are_near_others(project: Project):
    assert 'did you mean "salesforce"?' in project.elt("new", "--from", "salesfroce").output
    result = project.elt("new", "--from", "salesforce", "--tables", "account")
    assert 'did you mean "accounts"?' in " ".join(result.output.split())


def test_they_are_listed_next_to_the_packages(project: Project):
    found = json.loads(project.elt("connectors", "google", "analytics", "--json").output)
    assert found[0] == {"preset": "google_analytics", "type": "preset"}
    assert "elt new --from salesforce" in project.elt("connectors", "salesforce").output
    assert project.elt("connectors", "search", "salesforce").output == project.elt("connectors", "salesforce").output
