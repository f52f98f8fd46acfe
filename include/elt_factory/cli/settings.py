"""`elt settings`: what an Airflow must be given to run the DAGs, written as the place where it runs takes it.

Hosted services bring a way of their own to ship DAG files, so there the loader `dags/sources.py` makes the DAGs, and
the settings of the bundle are left out.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from importlib import metadata
from typing import Annotated, Any

import yaml

from elt_factory.cli.celery_settings import CELERY_ADDRESSES, CELERY_SETTINGS
from elt_factory.cli.choices import choice
from elt_factory.cli.local import AIRFLOW_SETTINGS, BUNDLE_SETTINGS, BUNDLES
from elt_factory.cli.output import say

_OPTION = "AIRFLOW__"
_OF_LOGS = "AIRFLOW__LOGGING__"  # a hosted service keeps logs its own way
_MWAA_PROJECT, _COMPOSER_PROJECT, _IMAGE_PROJECT = "/usr/local/airflow", "/home/airflow/gcs", "/opt/airflow/project"
_LANDING = "s3://my-bucket/landing"


class Platform(StrEnum):
    """Where Airflow runs."""

    CELERY = "celery"
    HELM = "helm"
    MWAA = "mwaa"
    COMPOSER = "composer"
    ASTRO = "astro"


def settings(
    platform: Annotated[str, choice("--for", words=[*Platform], say="Where Airflow runs.")],
) -> None:
    """Print the settings of an Airflow for a platform, to be filled in where it says so.

    The guide of each platform says what to do with them.
    """
    say(settings_text(Platform(platform)))


def settings_text(platform: Platform) -> str:
    """Return the settings of a platform as a file."""
    return _TEXTS[platform]().rstrip("\n")


def _celery() -> str:
    return _lines({**AIRFLOW_SETTINGS, **CELERY_ADDRESSES, **CELERY_SETTINGS})


def _astro() -> str:
    """Return an environment file for `astro deployment variable create --load --env FILE`."""
    return _lines({**_hosted(), "ELT_PROJECT": _MWAA_PROJECT, "AIRFLOW_VAR_ELT_LANDING": _LANDING})


def _mwaa() -> str:
    """Return a startup script, and the call for the options, which the script cannot set."""
    options, variables = _parted(_hosted())
    named = {".".join(key): value for key, value in options.items()}
    variables |= {"ELT_PROJECT": _MWAA_PROJECT, "AIRFLOW_VAR_ELT_LANDING": _LANDING}
    call = f"aws mwaa update-environment --name MY_ENVIRONMENT --airflow-configuration-options {_quoted_json(named)}"
    exports = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    return "\n".join(
        ["#!/bin/sh", "# The startup script of the environment. Its options, once:", f"# {call}", *exports]
    )


def _composer() -> str:
    """Return the two calls: an update changes options or variables, not both."""
    options, variables = _parted(_hosted())
    named = ",".join(f"{'-'.join(key)}={value}" for key, value in options.items())
    variables |= {"ELT_PROJECT": _COMPOSER_PROJECT, "AIRFLOW_VAR_ELT_LANDING": _LANDING.replace("s3:", "gs:")}
    given = ",".join(f"{name}={value}" for name, value in variables.items())
    update = "gcloud composer environments update MY_ENVIRONMENT --location MY_REGION"
    return f"{update} --update-airflow-configs={named}\n{update} --update-env-variables={given}"


def _helm() -> str:
    """Return the values of Airflow's official chart, for an image that has the package and the project."""
    own = {"ELT_PROJECT": _IMAGE_PROJECT, "AIRFLOW_VAR_ELT_LANDING": _LANDING}
    env = {name: value for name, value in AIRFLOW_SETTINGS.items() if name not in BUNDLE_SETTINGS} | own
    values: Mapping[str, Any] = {
        "airflowVersion": metadata.version("apache-airflow"),
        # the pods of tasks have an image of their own otherwise
        "defaultAirflowRepository": "registry.example.com/my-airflow",
        "defaultAirflowTag": _Text("1"),
        "executor": "KubernetesExecutor",
        "dagProcessor": {"enabled": True, "dagBundleConfigList": BUNDLES},
        "config": {"dag_processor": {"min_file_process_interval": _Text(AIRFLOW_SETTINGS[BUNDLE_SETTINGS[1]])}},
        "env": [{"name": name, "value": _Text(value)} for name, value in env.items()],
        "secret": [{"envName": "AIRFLOW_CONN_WAREHOUSE", "secretName": "elt-warehouse", "secretKey": "connection"}],
    }
    head = "# helm upgrade --install airflow apache-airflow/airflow --namespace airflow --values values.yaml\n"
    return head + yaml.dump(dict(values), Dumper=_Dumper, sort_keys=False, width=120)


class _Text(str):
    """Text that is written in quotes: without them Helm reads 0o700 as a number, which PyYAML does not."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    """Writes such texts."""


_Dumper.add_representer(_Text, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"'))


_TEXTS: Mapping[Platform, Callable[[], str]] = {
    Platform.CELERY: _celery,
    Platform.HELM: _helm,
    Platform.MWAA: _mwaa,
    Platform.COMPOSER: _composer,
    Platform.ASTRO: _astro,
}


def _hosted() -> dict[str, str]:
    left_out = (*BUNDLE_SETTINGS, _OF_LOGS)
    return {name: value for name, value in AIRFLOW_SETTINGS.items() if not name.startswith(left_out)}


def _parted(given: Mapping[str, str]) -> tuple[dict[tuple[str, str], str], dict[str, str]]:
    """Return Airflow's options by their sections and names, and the variables that are not options."""
    options = dict(_options(given))
    return options, {name: value for name, value in given.items() if not name.startswith(_OPTION)}


def _options(given: Mapping[str, str]) -> Iterator[tuple[tuple[str, str], str]]:
    for name, value in given.items():
        if name.startswith(_OPTION):
            section, _, key = name.removeprefix(_OPTION).lower().partition("__")
            yield (section, key), value


def _lines(given: Mapping[str, str]) -> str:
    return "\n".join(f"{name}={value}" for name, value in given.items())


def _quoted_json(value: object) -> str:
    return shlex.quote(json.dumps(value))
