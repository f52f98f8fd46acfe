"""Connections in Terraform: what its resources say, and those that `terraform show -json` and a state have."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from elt_factory.importing.airbyte.said import WHOLE, Computed, ConnectionSaid, Node, SourceSaid, pick, streams_of

_SOURCE = "airbyte_source"
_CONNECTION = "airbyte_connection"
_NOT_SETTINGS = ("sourceType", "source_type")


@dataclass(frozen=True)
class Resource:
    """A resource: its type, its name in Terraform, and its values."""

    type: str
    name: str
    values: Node

    @property
    def is_source(self) -> bool:
        """Whether it is a source."""
        return self.type == _SOURCE or self.type.startswith(f"{_SOURCE}_")

    @property
    def is_connection(self) -> bool:
        """Whether it is a connection."""
        return self.type == _CONNECTION

    @property
    def source_id(self) -> Any:
        """The source's id, as a connection says it."""
        return pick(self.values, "source_id")

    def is_meant(self, wanted: Any) -> bool:
        """Whether an id is that of this source."""
        if isinstance(wanted, Computed):
            return wanted.text.startswith(f"{self.type}.{self.name}.")
        return wanted is not None and self.source_id == wanted


def connections_in_state(root: Node) -> list[ConnectionSaid]:
    """Return the connections in what `terraform show -json` prints, or in a terraform.tfstate."""
    return _connections(list(_resources(root)))


def _resources(root: Any) -> Iterator[Resource]:
    for one in root.get("resources") or []:
        values = [instance.get("attributes") for instance in one.get("instances") or []] or [one.get("values")]
        for value in values:
            if isinstance(value, Mapping) and one.get("mode", "managed") == "managed":
                yield Resource(str(one.get("type")), str(one.get("name")), value)
    for key in ("values", "planned_values", "root_module"):
        if isinstance(root.get(key), Mapping):
            yield from _resources(root[key])
    for module in root.get("child_modules") or []:
        yield from _resources(module)


def _connections(resources: list[Resource]) -> list[ConnectionSaid]:
    sources = [one for one in resources if one.is_source]
    return [
        connection_of(one, next((source for source in sources if source.is_meant(one.source_id)), None))
        for one in resources
        if one.is_connection
    ]


def connection_of(resource: Resource, source: Resource | None) -> ConnectionSaid:
    """Return a connection of a source; None where it is not known which it is."""
    name = pick(resource.values, "name")
    return ConnectionSaid(
        name=name if isinstance(name, str) else resource.name,
        source=_source(source) if source else SourceSaid(resource.name, None),
        streams=streams_of(resource.values),
        schedule=pick(resource.values, "schedule", "schedule_data"),
        about=resource.values,
    )


def _source(resource: Resource) -> SourceSaid:
    settings = resource.values.get("configuration")
    if isinstance(settings, str):
        try:
            settings = json.loads(settings)
        except ValueError:
            settings = Computed("what Terraform computes")
    given = dict(settings) if isinstance(settings, Mapping) else {} if settings is None else {WHOLE: settings}
    kind = resource.type.removeprefix(_SOURCE).strip("_")
    plain = kind in ("", "custom")
    named = next((given[key] for key in _NOT_SETTINGS if isinstance(given.get(key), str)), None)
    connector = named if plain else kind
    own = {key: value for key, value in given.items() if key not in _NOT_SETTINGS and value is not None}
    name = pick(resource.values, "name")
    return SourceSaid(
        name=name if isinstance(name, str) else resource.name,
        connector=f"source-{connector.replace('_', '-')}" if connector else None,
        settings=own if plain else {key: _without_variant(value) for key, value in own.items()},
        id=str(pick(resource.values, "source_id") or f"{resource.type}.{resource.name}"),
    )


def _without_variant(value: Any) -> Any:
    """Return a setting; one with a variant, which is a mapping named after it, is not what the connector knows."""
    return Computed(f"{found}, as the connector's specification writes it") if (found := _variant(value)) else value


def _variant(value: Any) -> str:
    if isinstance(value, list):
        return next((found for one in value if (found := _variant(one))), "")
    if not isinstance(value, Mapping):
        return ""
    inner = [one for one in value.items() if one[1] is not None]
    if len(inner) == 1 and isinstance(inner[0][1], Mapping):
        return f"its variant {inner[0][0]}"
    return next((found for _, one in inner if (found := _variant(one))), "")
