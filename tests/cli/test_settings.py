"""`elt settings`: what Airflow must be given, in the form that each platform takes; the chart renders its values."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from elt_factory.cli.celery_settings import CELERY_SETTINGS
from elt_factory.cli.local import AIRFLOW_SETTINGS, BUNDLES
from elt_factory.cli.settings import Platform, settings_text

BUNDLE = "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"
COMPONENTS = ("scheduler", "dag-processor", "triggerer", "api-server")
INTERVAL = "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL"


def lines(platform: Platform) -> dict[str, str]:
    pairs = (line.partition("=") for line in settings_text(platform).splitlines())
    return {name: value for name, _, value in pairs}


def test_celery_workers_get_what_every_airflow_gets_and_their_own():
    found = lines(Platform.CELERY)
    assert {name: found[name] for name in AIRFLOW_SETTINGS} == dict(AIRFLOW_SETTINGS)
    assert {name: found[name] for name in CELERY_SETTINGS} == dict(CELERY_SETTINGS)


@pytest.mark.parametrize("platform", [Platform.MWAA, Platform.COMPOSER, Platform.ASTRO])
def test_where_dag_files_come_the_platforms_own_way_neither_the_bundle_nor_its_interval_is_set(platform):
    text = settings_text(platform).lower()
    assert "bundle" not in text
    # by the loader a change is only seen when its file is parsed again
    assert "min_file_process_interval" not in text
    assert "elt_project" in text
    assert "elt_landing" in text


def test_mwaa_takes_options_by_their_sections_and_a_shell_script_for_the_rest():
    script = settings_text(Platform.MWAA).splitlines()
    call = shlex.split(script[2].removeprefix("# "))
    options = json.loads(call[call.index("--airflow-configuration-options") + 1])
    assert options == {"core.min_serialized_dag_update_interval": "0", "cosmos.enable_telemetry": "False"}
    assert script[0] == "#!/bin/sh"
    assert not any("AIRFLOW__" in line for line in script)


def test_composer_takes_options_with_a_hyphen_and_no_variable_that_it_refuses():
    options, variables = map(shlex.split, settings_text(Platform.COMPOSER).splitlines())
    assert options[-1] == (
        "--update-airflow-configs=core-min_serialized_dag_update_interval=0,cosmos-enable_telemetry=False"
    )
    names = [pair.partition("=")[0] for pair in variables[-1].partition("=")[2].split(",")]
    assert not [name for name in names if re.fullmatch(r"AIRFLOW__[A-Z0-9_]+__[A-Z0-9_]+", name)]
    assert "AIRFLOW_VAR_ELT_LANDING" in names


def test_the_charts_values_say_what_every_airflow_gets_and_numbers_that_are_text_are_in_quotes():
    text = settings_text(Platform.HELM)
    values = yaml.safe_load(text)
    env = {one["name"]: one["value"] for one in values["env"]}
    assert values["dagProcessor"]["dagBundleConfigList"] == BUNDLES
    assert values["config"]["dag_processor"]["min_file_process_interval"] == AIRFLOW_SETTINGS[INTERVAL]
    assert set(AIRFLOW_SETTINGS) - set(env) == {BUNDLE, INTERVAL}
    # Helm's YAML takes 0o700 for a number
    assert 'value: "0o700"' in text
    assert all(isinstance(value, str) for value in env.values())


@pytest.fixture(scope="module")
def rendered() -> dict[str, list[dict]]:
    """The manifests of the official chart with our values, by their templates."""
    folder = os.environ.get("ELT_AIRFLOW_CHART")
    if not folder:
        pytest.skip("ELT_AIRFLOW_CHART names no folder of Airflow's chart")
    chart = pytest.importorskip("helm_python.chart", reason="helm-python-sdk is not installed").Chart.load(folder)
    values = yaml.safe_load(settings_text(Platform.HELM))
    chart.validate_schema(values)
    found = chart.render(values, name="airflow", namespace="airflow")
    return {
        name: [one for one in yaml.safe_load_all(text) if one] for name, text in found.items() if "NOTES" not in name
    }


def test_every_component_of_the_chart_has_the_image_the_settings_and_the_secret(rendered):
    found = list(containers(rendered))
    assert {name for name, _ in found} == {*COMPONENTS, "base"}
    for name, container in found:
        names = [one["name"] for one in container["env"]]
        assert sorted(set(names)) == sorted(names), f"{name} has a variable twice"
        assert container["image"] == "registry.example.com/my-airflow:1"
        env = {one["name"]: one.get("value") for one in container["env"]}
        assert env["ELT_PROJECT"] == "/opt/airflow/project"
        assert env["AIRFLOW__LOGGING__FILE_TASK_HANDLER_NEW_FOLDER_PERMISSIONS"] == "0o700"
        assert "AIRFLOW_CONN_WAREHOUSE" in names


def containers(rendered: dict[str, list[dict]]) -> Iterator[tuple[str, dict]]:
    """The main container of each Airflow component, and that of the executor's pods."""
    for manifest in (one for each in rendered.values() for one in each):
        kind, labels = manifest.get("kind"), manifest.get("metadata", {}).get("labels", {})
        if kind in ("Deployment", "StatefulSet") and "component" in labels:
            for container in manifest["spec"]["template"]["spec"]["containers"]:
                if container["name"] in COMPONENTS:
                    yield container["name"], container
        for text in (manifest.get("data") or {}).values() if kind == "ConfigMap" else ():
            if "kind: Pod" in text:
                pod = yaml.safe_load(text)
                yield "base", pod["spec"]["containers"][0]


def test_airflow_reads_the_bundle_and_the_executor_out_of_the_charts_configuration(rendered):
    config = next(
        manifest["data"]["airflow.cfg"]
        for each in rendered.values()
        for manifest in each
        if "airflow.cfg" in (manifest.get("data") or {})
    )
    listed = re.search(r"dag_bundle_config_list = (.*)", config)
    assert json.loads(listed[1]) == BUNDLES
    assert re.search(r"executor = KubernetesExecutor", config)
    assert re.search(r"min_file_process_interval = 86400", config)


def test_the_guides_show_what_the_command_prints():
    guides = Path(__file__).parents[2] / "docs" / "guides"
    for name, platform in {"kubernetes": Platform.HELM, "mwaa": Platform.MWAA, "astro": Platform.ASTRO}.items():
        assert settings_text(platform) in (guides / f"{name}.md").read_text()
