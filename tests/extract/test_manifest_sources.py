"""Low-code manifests as they are, by `type: airbyte`: what is refused before anything runs, and what the runner gets.

That of airbyte-cdk itself: test_real_manifest.py.
"""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
import yaml
from connectors_support import airbyte, airbyte_record, airbyte_state, status, write_cdk
from manifest_support import CODE, MANIFEST, SELECTOR
from typer.testing import CliRunner

from elt_factory.cli.main import app
from elt_factory.config.errors import ConfigError
from elt_factory.core.connection import Connection
from elt_factory.core.failures import BadRequestError
from elt_factory.core.window import Window
from elt_factory.describe.new_config import written as config_written
from elt_factory.sources.airbyte.discovery import look_at_connector
from elt_factory.testing.loads import WEEK, Line, source_of

OPEN = MANIFEST.partition("spec:")[0]  # takes any settings: the runner of these tests does what they say
NEXT_WEEK = Window(WEEK.end, WEEK.end + timedelta(days=7))
TABLE = {"write_disposition": "merge", "primary_key": ["id"], "sync": "incremental"}


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    (tmp_path / "connectors").mkdir()
    monkeypatch.setenv("ELT_PROJECT", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def runner(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cdk")
    write_cdk(folder)
    return folder


@pytest.fixture
def installed(runner, monkeypatch):
    monkeypatch.setenv("ELT_CONNECTORS", str(runner / "cache"))
    monkeypatch.setenv("UV_FIND_LINKS", str(runner))
    monkeypatch.setenv("UV_NO_INDEX", "1")


def config_of(**extract):
    extract = {"type": "airbyte", "manifest": "connectors/shop.yaml", "connection": "shop", **extract}
    return {"name": "shop", "extract": extract, "tables": {"users": TABLE}}


def written(project, text):
    (project / "connectors" / "shop.yaml").write_text(text)


def problem_of(project, **extract):
    with pytest.raises(ConfigError) as caught:
        source_of(config_of(**extract), project)
    (problem,) = caught.value.problems
    assert (problem.position.file.name, problem.position.line, problem.position.column) == ("shop.yaml", 4, 13)
    return problem


def test_a_manifest_that_is_not_there_is_an_error_with_the_near_name(project):
    written(project, MANIFEST)
    problem = problem_of(project, manifest="connectors/shopp.yaml")
    assert problem.message == "file connectors/shopp.yaml does not exist"
    assert problem.hint == 'did you mean "shop.yaml"?'


def test_a_link_that_leads_out_of_the_project_is_an_error(project, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "shop.yaml"
    outside.write_text(MANIFEST)
    (project / "connectors" / "shop.yaml").symlink_to(outside)
    assert "points outside the project" in problem_of(project).message


def test_a_broken_manifest_is_an_error_with_the_place_in_it(project):
    written(project, MANIFEST.replace("streams:\n", "streams: [\n", 1))
    assert problem_of(project).message.startswith("connectors/shop.yaml:5:")


@pytest.mark.parametrize("text", ["", "streams\n", "- streams\n", "streams: {}\n", "version: 1\nstreams: []\n"])
def test_a_file_that_is_no_manifest_is_an_error(project, text):
    written(project, text)
    assert problem_of(project).message == "connectors/shop.yaml:1:1: not a low-code manifest, which has streams"


def test_a_custom_python_component_is_named_with_its_place(project):
    written(project, MANIFEST.replace(SELECTOR, CODE))
    message = problem_of(project).message
    assert message.startswith("connectors/shop.yaml:23:62: custom Python component source_shop.components.Rows cannot")


def test_a_property_of_a_schema_may_be_called_like_that_of_a_component(project):
    written(project, MANIFEST.replace("zip: {type: string}", "class_name: {type: string, class_name: Gold}"))
    source_of(config_of(), project)


@pytest.mark.parametrize(
    ("line", "called"),
    [
        ("{api_token: hunter2}", "api_token"),
        ("{request_headers: {Authorization: 'Bearer hunter2secret'}}", "Authorization"),
        ("{request_parameters: {key: AIzaSyA0123456789012345678901234567890}}", "key"),
        ("{headers: [{name: X-Api-Key, value: hunter2}]}", "X-Api-Key"),
        ("{username: shop, password: hunter2}", "password"),
        ("{path: \"/{{ config['a'] }} ghp_hunter2hunter2hunter2hunter2\"}", "path"),
    ],
)
def test_a_secret_in_a_manifest_is_an_error_with_its_place_and_without_it(project, line, called):
    written(project, f"{MANIFEST}definitions:\n  shop: {line}\n")
    problem = problem_of(project)
    assert problem.code == "secret"
    assert problem.message.startswith(f"connectors/shop.yaml:{MANIFEST.count(chr(10)) + 2}:")
    assert problem.message.endswith(f'"{called}" contains a secret')
    assert "hunter2" not in str(problem) + str(problem.hint)


@pytest.mark.parametrize(
    "line",
    [
        "{api_token: \"{{ config['api_token'] }}\"}",
        "{request_headers: {Authorization: \"Bearer {{ config['credentials']['token'] }}\"}}",
        "{authenticator: {$ref: '#/definitions/token'}, token: '#/definitions/other'}",
        "{username: \"{{ config['api_key'] }}\", password: x, error_message: 'Token expired, refresh it'}",
        "{schema: {properties: {password: {type: string}}, token: x}}",
        "{access_token_name: access_token, grant_type: refresh_token, header: X-Api-Key, primary_key: id}",
        "{token_refresh_endpoint: \"https://{{ config['shop'] }}.example.com/token\"}",
    ],
)
def test_what_a_manifest_says_of_secrets_is_none(project, line):
    written(project, f"{MANIFEST}definitions:\n  shop: {line}\n")
    source_of(config_of(), project)


def test_an_anchor_within_itself_is_looked_at_once(project):
    written(project, MANIFEST + "definitions: &own {below: *own}\n")
    source_of(config_of(), project)


def test_a_changed_manifest_is_read_again(project):
    written(project, MANIFEST)
    source_of(config_of(), project)
    written(project, "streams: {}\n# changed\n")
    assert "not a low-code manifest" in problem_of(project).message


@pytest.mark.services
def test_a_run_hands_over_the_manifest_and_the_state_of_the_load_before(project, installed):
    written(project, OPEN + "definitions: {since: 2013-01-01}\n")
    asked = project / "asked.json"

    def load(number, window):
        steps = [{"asked": str(asked)}, airbyte_record(number), airbyte_state({"at": number}), status("COMPLETE")]
        line = Line(
            source_of(config_of(), project), Connection("shop", "generic", extra=airbyte(*steps)), project, print
        )
        line.load(window)
        return line, json.loads(asked.read_text())

    _, first = load(1, WEEK)
    assert first["state"] is None
    manifest = first["__injected_declarative_manifest"]
    assert manifest["streams"][0]["name"] == "users"
    assert manifest["definitions"] == {"since": "2013-01-01"}
    line, second = load(2, NEXT_WEEK)
    assert second["state"][0]["stream"]["stream_state"] == {"at": 1}
    assert sorted(row["id"] for row in line.rows()) == [1, 2]


@pytest.mark.services
def test_settings_are_validated_against_the_manifest_and_show_no_secret(project, installed):
    written(project, MANIFEST)
    extra = {"url": 5, "token": "hunter2hunter2"}
    line = Line(source_of(config_of(), project), Connection("shop", "generic", extra=extra), project, print)
    with pytest.raises(BadRequestError, match="refuses its settings: url: it is not as type says") as caught:
        line.load(WEEK)
    assert "hunter2" not in str(caught.value)


@pytest.mark.services
def test_code_in_the_settings_of_a_connection_is_refused(project, installed):
    written(project, OPEN)
    extra = {**airbyte(), "__injected_components_py": "import os"}
    line = Line(source_of(config_of(), project), Connection("shop", "generic", extra=extra), project, print)
    with pytest.raises(BadRequestError, match='"__injected_components_py" is not a setting'):
        line.load(WEEK)


@pytest.mark.services
def test_a_manifest_that_is_gone_when_it_is_read_is_an_error_and_nothing_is_installed(project, monkeypatch):
    written(project, MANIFEST)
    monkeypatch.setenv("ELT_CONNECTORS", str(project / "none"))
    line = Line(source_of(config_of(), project), Connection("shop", "generic"), project, print)
    (project / "connectors" / "shop.yaml").unlink()
    with pytest.raises(BadRequestError, match=r"file connectors/shop.yaml does not exist"):
        line.load(WEEK)
    assert not (project / "none").exists()


@pytest.mark.services
def test_new_writes_the_streams_of_a_manifest_as_the_runner_describes_them(project, installed):
    written(project, OPEN)
    stream = {**airbyte()["streams"][0], "source_defined_primary_key": [["id"]], "source_defined_cursor": True}
    connection = Connection("shop", "generic", extra={"streams": [stream]})
    scratch = project / "scratch"
    scratch.mkdir()
    found = look_at_connector("shop", "connectors/shop.yaml", connection, (project, scratch), print)
    target = project / "dag_configs" / "shop.yaml"
    text, _ = config_written("shop", found, target, target.parent)
    config = yaml.safe_load(text)
    assert config["extract"] == {"type": "airbyte", "manifest": "connectors/shop.yaml", "connection": "shop"}
    assert config["tables"]["users"]["sync"] == "incremental"


@pytest.mark.services
def test_the_command_writes_a_config_and_says_what_could_be_imported(project, installed, monkeypatch):
    written(project, OPEN)
    (project / "dag_configs").mkdir()
    monkeypatch.chdir(project / "connectors")
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", json.dumps({"conn_type": "generic", "extra": airbyte()}))
    done = CliRunner().invoke(app, ["new", "shop", "--airbyte", "shop.yaml", "--connection", "shop"])
    assert done.exit_code == 0, (done.output, done.exception)
    assert "`elt import airbyte shop.yaml` would write 1 of 1 stream as type: rest_api" in done.output
    config = yaml.safe_load((project / "dag_configs" / "shop.yaml").read_text())
    assert config["extract"]["manifest"] == "connectors/shop.yaml"
    assert list(config["tables"]) == ["users"]


def test_the_command_refuses_a_manifest_outside_the_project(project, tmp_path_factory, monkeypatch):
    (project / "dag_configs").mkdir()
    outside = tmp_path_factory.mktemp("outside")
    (outside / "shop.yaml").write_text(MANIFEST)
    monkeypatch.chdir(outside)
    done = CliRunner().invoke(app, ["new", "shop", "--airbyte", "shop.yaml"])
    assert done.exit_code
    assert "shop.yaml is outside the project; put the manifest into it" in done.output
