"""Which model a config is validated against: the kind of its source, chosen by `extract.type`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from elt_factory.config.errors import ConfigError, MistakeError, Problem
from elt_factory.config.mistakes.key_hints import is_near
from elt_factory.config.mistakes.problems import needs_kind, unknown_key, wrong_kind
from elt_factory.config.models.one_kind import BROKEN_KIND
from elt_factory.config.models.source import SOURCES, Config, Source, TransformOnly
from elt_factory.config.yaml.source import YamlPath, YamlSource
from elt_factory.core.kinds import KindError

_TRANSFORM_KEYS = frozenset(TransformOnly.model_fields)


def model_for(source: YamlSource) -> tuple[type[Config], tuple[Problem, ...]]:
    """Return the model of the source's kind, or of the kind that is meant, and what is wrong with how it is said.

    Raises:
        ConfigError: the config says no kind, or one that is like none. Which keys are known depends on it, so nothing
            else can be reported.
    """
    extract = source.data.get("extract")
    if extract is None:
        return _model_without_extract(source), ()
    if not isinstance(extract, dict):
        raise _error(source, ("extract",), needs_kind(extract, SOURCES.names()))
    if "type" not in extract:
        raise ConfigError([_missing_type(source, extract)])
    kind = extract["type"]
    if isinstance(kind, str) and kind in SOURCES:
        return _config_of(source, kind), ()
    error = _error(source, ("extract", "type"), wrong_kind(kind, SOURCES.names(), "source"))
    meant = [known for known in SOURCES.names() if isinstance(kind, str) and is_near(kind, known)]
    if not meant:
        raise error
    return _config_of(source, meant[0]), error.problems


def models_of_kinds() -> Mapping[str, type[Source]]:
    """Return the models of all kinds of source by name, for hints; those that cannot be imported are left out."""
    found: dict[str, type[Source]] = {}
    for name in SOURCES.names():
        with suppress(KindError):
            found[name] = SOURCES.get(name).config
    return found


def _config_of(source: YamlSource, kind: str) -> type[Source]:
    try:
        config: type[Source] = SOURCES.get(kind).config
    except KindError as error:
        mistake = MistakeError(str(error), BROKEN_KIND, code="broken-kind")
        raise _error(source, ("extract", "type"), mistake) from None
    return config


def _model_without_extract(source: YamlSource) -> type[Config]:
    if "transform" in source.data and _TRANSFORM_KEYS.issuperset(source.data):
        return TransformOnly
    misspelt = [key for key in source.data if key != "extract" and is_near(key, "extract")]
    if misspelt:
        raise ConfigError([unknown_key(source, (misspelt[0],), 'did you mean "extract"?')])
    if "extract" not in source.data and "tables" not in source.data:
        return _transform_only(source)
    where = source.at_key(("extract",) if "extract" in source.data else ("tables",))
    hint = f"write extract: {{type: ...}} with one of {', '.join(SOURCES.names())}"
    raise ConfigError([Problem(where, "missing-key", "`tables` needs `extract` with a type", hint)])


def _transform_only(source: YamlSource) -> type[Config]:
    if any(is_near(key, known) for key in source.data for known in ("transform", "tables")):
        return TransformOnly
    hint = "add extract: and tables: to load a source, or transform: to run only dbt"
    raise ConfigError([Problem(source.at_key(()), "missing-key", "config has neither `tables` nor `transform`", hint)])


def _missing_type(source: YamlSource, extract: Mapping[str, Any]) -> Problem:
    misspelt = [key for key in extract if is_near(key, "type")]
    if misspelt:
        return unknown_key(source, ("extract", misspelt[0]), 'did you mean "type"?')
    hint = f"add type: with one of {', '.join(SOURCES.names())}"
    return Problem(source.at_key(("extract",)), "missing-key", 'missing key "type"', hint)


def _error(source: YamlSource, path: YamlPath, mistake: MistakeError) -> ConfigError:
    return ConfigError(
        [Problem(source.at(path), mistake.code, f"{'.'.join(map(str, path))}: {mistake.message}", mistake.hint)]
    )
