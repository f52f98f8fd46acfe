"""The settings that a connector is given: what the config says, and what the connection's extra holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from elt_factory.core.connection import Connection
from elt_factory.sources.connectors.model import Connector

NO_SETTINGS = (
    "it was given no settings: put them into the extra of an Airflow connection, and name that in connection:, or by "
    "--connection of elt new"
)


def settings_of(extract: Connector, connection: Connection | None) -> dict[str, Any]:
    """Return the settings; those of the connection come before those of the config."""
    return merged(extract.config, connection.extra if connection else {})


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return two trees of settings as one; `above` holds where both have a value."""
    found = dict(below)
    for key, value in above.items():
        mine = found.get(key)
        if isinstance(mine, Mapping) and isinstance(value, Mapping):
            found[key] = merged(mine, value)
        else:
            found[key] = value
    return found
