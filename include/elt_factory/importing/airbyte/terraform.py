"""Connections in Terraform: its files as text, or what `terraform show -json` and a state say of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from elt_factory.importing.airbyte.hcl import Block, NotHclError, blocks_in, with_values
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


def connections_in_files(files: list[Path], unread: dict[str, str]) -> list[ConnectionSaid]:
    """Return the connections of Terraform's files, of which those of a folder are one module.

    Args:
        files: The files.
        unread: Takes those that are not in Terraform's language, with the reason.
    """
    found: list[ConnectionSaid] = []
    for folder in dict.fromkeys(file.parent for file in files):
        blocks: list[Block] = []
        for file in (one for one in files if one.parent == folder):
            try:
                blocks += blocks_in(file.read_text(encoding="utf-8-sig"))
            except (NotHclError, UnicodeDecodeError) as error:
                unread[str(file)] = f"not in Terraform's language: {error}"
        # sources of two folders may have one name
        own = ((one, replace(one.source, id=f"{folder}: {one.source.id}")) for one in _of_module(blocks))
        found += [replace(one, source=source) for one, source in own]
    return found


def _of_module(blocks: list[Block]) -> list[ConnectionSaid]:
    names = {f"local.{key}": value for one in blocks if one.kind == "locals" for key, value in one.body.items()}
    whole = [with_values(one, names) for one in blocks if one.kind == "resource" and len(one.labels) == _LABELS]
    return _connections([Resource(one.labels[0], one.labels[1], one.body) for one in whole])


_LABELS = 2


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
    sources = [one for one in resources if one.type == _SOURCE or one.type.startswith(f"{_SOURCE}_")]
    return [_connection(one, sources) for one in resources if one.type == _CONNECTION]


def _connection(resource: Resource, sources: list[Resource]) -> ConnectionSaid:
    wanted = pick(resource.values, "source_id")
    found = next((one for one in sources if _is_meant(one, wanted)), None)
    name = pick(resource.values, "name")
    return ConnectionSaid(
        name=name if isinstance(name, str) else resource.name,
        source=_source(found) if found else SourceSaid(resource.name, None),
        streams=streams_of(resource.values),
        schedule=pick(resource.values, "schedule", "schedule_data"),
        about=resource.values,
    )


def _is_meant(source: Resource, wanted: Any) -> bool:
    if isinstance(wanted, Computed):
        return wanted.text.startswith(f"{source.type}.{source.name}.")
    return wanted is not None and pick(source.values, "source_id") == wanted


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
