"""A connector's own specification of its settings: they are validated against it before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from elt_factory.config.errors import near_name
from elt_factory.core.failures import BadRequestError
from elt_factory.extract.label import TableLabel
from elt_factory.sources.connectors.settings import NO_SETTINGS


def check_settings(settings: Mapping[str, Any], specification: dict[str, Any], label: TableLabel) -> None:
    """Hold settings to a specification. What it calls a secret shows in no message from now on.

    Raises:
        BadRequestError: a setting is missing, or is not as the connector needs it.
    """
    from jsonschema import Draft7Validator

    for secret in secrets_in(settings, specification):
        label.learn(secret)
    found = sorted(Draft7Validator(specification).iter_errors(dict(settings)), key=lambda error: list(error.path))
    if not found:
        return
    error = found[0]
    place = ".".join(map(str, error.absolute_path)) or "the settings"
    # the message of a value that does not fit quotes it: a secret would show
    shown = error.validator in ("required", "additionalProperties")
    text = error.message if shown else f"it is not as {error.validator} says: {error.validator_value!r}"
    hint = "set it in config:, or, where it is secret, in the extra of the connection" if settings else NO_SETTINGS
    if error.validator == "required":
        hint = _near(error.message, settings) or hint
    raise label.error(BadRequestError, f"the connector refuses its settings: {place}: {text}", hint)


def secrets_in(settings: object, specification: object) -> Iterator[str]:
    """Yield the values of settings that a specification calls secret."""
    if not isinstance(settings, Mapping) or not isinstance(specification, Mapping):
        return
    properties = specification.get("properties")
    for name, about in properties.items() if isinstance(properties, Mapping) else ():
        value = settings.get(name)
        if isinstance(about, Mapping) and about.get("airbyte_secret") and isinstance(value, str) and value:
            yield value
        yield from secrets_in(value, about)
    for one in specification.get("oneOf") or ():
        yield from secrets_in(settings, one)


def _near(message: str, settings: Mapping[str, Any]) -> str:
    wanted = message.split("'")[1] if "'" in message else ""
    near = near_name(wanted, list(settings))
    return f'"{wanted}" is missing; {near}' if near else ""
