"""Overrides per installation: `environments: {prod: {...}}`, selected by the variable ELT_ENVIRONMENT.

- The settings of an environment override the rest of the config, after all defaults and by the same rules:
  mappings are merged key by key, everything else is replaced, null removes a value.
- Without the variable, or without `environments:` in the config and its defaults, the config applies as written.
- A config with environments must declare the selected one, so that a misspelt name does not run production
  with the settings of a laptop. Declare one without changes with {}, or for all configs in `_defaults.yaml`.
- Every environment is always checked, also those that are not selected. A variable that only production sets needs a
  default there: `${BUCKET:-none}`.
- An environment cannot change the config's name or version.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import reduce
from typing import Any

from elt_factory.config.errors import ConfigError, Problem, near_name
from elt_factory.config.models.source import Config
from elt_factory.config.yaml.source import YamlSource
from elt_factory.config.yaml.variables import variables_are_unread

VARIABLE = "ELT_ENVIRONMENT"
KEY_OF_ENVIRONMENTS = "environments"
_NONE = ""
_FIXED = ("name", "version", KEY_OF_ENVIRONMENTS)

Validate = Callable[[YamlSource], Config]


def in_environment(source: YamlSource, validate: Validate) -> tuple[Config, YamlSource]:
    """Return the config of the environment that is chosen, and its data with their places.

    Raises:
        ConfigError: everything that is wrong in the config as written and in each of its environments.
    """
    problems = [*_unknown_choice(source), *_fixed_keys(source)]
    outcomes: dict[str, tuple[Config, YamlSource]] = {}
    for name, variant in {_NONE: source, **_variants(source)}.items():
        try:
            outcomes[name] = validate(variant), variant
        except ConfigError as error:
            problems += _new(problems, name, error)
    if problems:
        raise ConfigError(problems)
    return outcomes.get(_chosen(), outcomes[_NONE])


def _chosen() -> str:
    return _NONE if variables_are_unread() else os.environ.get(VARIABLE, _NONE)


def _overlays(source: YamlSource) -> Mapping[str, Mapping[str, Any]]:
    """Return the environments that are mappings; what else appears there is reported by the config's own model."""
    found = source.data[KEY_OF_ENVIRONMENTS]
    named = found.items() if isinstance(found, dict) else ()
    return {name: overlay for name, overlay in named if isinstance(overlay, dict) and name != _NONE}


def _variants(source: YamlSource) -> Mapping[str, YamlSource]:
    base = source.without(KEY_OF_ENVIRONMENTS)
    parts = {name: source.part((KEY_OF_ENVIRONMENTS, name)) for name in _overlays(source)}
    return {name: reduce(YamlSource.without, _FIXED, part).over(base) for name, part in parts.items()}


def _fixed_keys(source: YamlSource) -> Iterator[Problem]:
    for name, overlay in _overlays(source).items():
        for key in _FIXED:
            if key in overlay:
                position = source.at_key((KEY_OF_ENVIRONMENTS, name, key))
                message = f'"{key}" cannot differ between environments'
                yield Problem(position, "not-a-default", message, "move it to the top level of the config")


def _new(known: list[Problem], name: str, error: ConfigError) -> Iterator[Problem]:
    """Yield the problems that only an environment has."""
    seen = {(problem.position, problem.code) for problem in known}
    for problem in error.problems:
        if (problem.position, problem.code) not in seen:
            yield replace(problem, message=f'in the environment "{name}": {problem.message}') if name else problem


def _unknown_choice(source: YamlSource) -> Iterator[Problem]:
    known, chosen = source.data[KEY_OF_ENVIRONMENTS], _chosen()
    if chosen and isinstance(known, dict) and known and chosen not in known:
        near = near_name(chosen, known)
        hint = near if near.startswith("did you mean") else f"{near}; to add one without changes, write {chosen}: {{}}"
        message = f'{VARIABLE} is "{chosen}", but this config has no such environment'
        yield Problem(source.at_key((KEY_OF_ENVIRONMENTS,)), "unknown-name", message, hint)
