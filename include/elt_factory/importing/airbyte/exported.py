"""Connections that the API has written as JSON, or in Octavia's YAML."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from elt_factory.importing.airbyte.said import (
    ConnectionSaid,
    Node,
    SourceSaid,
    connector_named,
    mappings_in,
    pick,
    streams_of,
)
from elt_factory.importing.project import read_yaml

_IMAGE = re.compile(r"(?:.*/)?(source-[a-z0-9-]+)$")


def connections_in_json(roots: list[Any]) -> list[ConnectionSaid]:
    """Return the connections in documents of the API, with their sources and states wherever those are."""
    found = [one for root in roots for one in mappings_in(root)]
    sources = [one for one in found if pick(one, "connection_configuration", "configuration") and not _is_one(one)]
    return [_of_api(one, sources) for one in found if _is_one(one)]


def _is_one(node: Node) -> bool:
    streams = pick(pick(node, "sync_catalog", "configurations"), "streams")
    return isinstance(streams, list) or bool(pick(node, "connection_id") and pick(node, "source_id"))


def _of_api(about: Node, sources: list[Node]) -> ConnectionSaid:
    inside = pick(about, "source")
    wanted, label = pick(about, "source_id"), pick(about, "source_name")
    given = inside if isinstance(inside, Mapping) else None
    given = given or next((one for one in sources if wanted and pick(one, "source_id") == wanted), None)
    given = given or next((one for one in sources if label and pick(one, "name") == label), None)
    name = str(pick(about, "name") or label or "imported")
    return ConnectionSaid(
        name=name,
        source=replace(
            _source(given) if given else SourceSaid(str(label or name), connector_named(label)), id=str(wanted or "")
        ),
        streams=streams_of(about),
        schedule=_schedule_of_api(about),
        about=about,
        state=pick(about, "connection_state", "state"),
    )


def _schedule_of_api(about: Node) -> Any:
    kind = pick(about, "schedule_type")
    given = pick(about, "schedule_data") or pick(about, "schedule")
    if kind is None:
        return given
    return {**(given if isinstance(given, Mapping) else {}), "schedule_type": kind}


def _source(about: Node) -> SourceSaid:
    image = _IMAGE.match(str(pick(about, "docker_repository", "definition_image") or ""))
    kind = pick(about, "source_type")
    named = image[1] if image else f"source-{str(kind).replace('_', '-')}" if kind else None
    settings = pick(about, "connection_configuration", "configuration")
    version = pick(about, "docker_image_tag", "connector_version", "definition_version")
    own = settings if isinstance(settings, Mapping) else {}
    return SourceSaid(
        name=str(pick(about, "name", "resource_name") or "imported"),
        connector=named or connector_named(pick(about, "source_name")),
        version=str(version) if version else None,
        settings={key: value for key, value in own.items() if key != "sourceType"},
    )


def connections_of_octavia(file: Path) -> list[ConnectionSaid]:
    """Return the connection of a file of Octavia's; empty where it is another resource.

    Raises:
        NotAProjectError: it is not YAML.
    """
    about = read_yaml(file)
    if about.get("definition_type") != "connection":
        return []
    given = about.get("configuration") or {}
    source = _octavia_source(file, pick(about, "source_configuration_path"))
    name = str(pick(about, "resource_name") or file.parent.name)
    said = {**given, "name": name, "connection_id": pick(about, "connection_id")}
    unnamed = SourceSaid(name, None)
    return [ConnectionSaid(name, source or unnamed, streams_of(said), _schedule_of_api(given), said)]


def _octavia_source(file: Path, written: Any) -> SourceSaid | None:
    """Return the source of a connection, whose path begins at the project's folder."""
    for folder in file.resolve().parents:
        place = folder / str(written or "")
        if written and place.is_file() and place.resolve().is_relative_to(folder):
            return replace(_source(read_yaml(place)), id=str(place.resolve()))
    return None
