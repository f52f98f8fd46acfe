"""Which configs transform which tables, by dbt's manifest; without Cosmos where the selector is a plain one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from elt_factory.config.mistakes.across import source_sensors
from elt_factory.config.models.source import Config
from elt_factory.core.failures import PermanentError

_PLAIN = re.compile(r"(?P<tag>tag:)?(?P<word>[A-Za-z0-9_.\-]+)")
_BUILT = ("model", "seed", "snapshot")


class Reads(NamedTuple):
    """Of each loaded table, by its full name, the models of a config that read it, directly or by way of others."""

    of_table: Mapping[str, frozenset[str]]


def reads_of(configs: Sequence[Config], manifest: Path) -> dict[str, Reads]:
    """Return what each config with a transform reads; nothing where there is no manifest that can be read."""
    asking = [config for config in configs if config.transform.dbt]
    found = _manifest(manifest) if asking else None
    if found is None:
        return {}
    nodes, named = found
    # a table that another system loads is where that puts it
    tables = {
        ".".join(config.place_of(name)).lower(): f"{config.name}.{name}"
        for config in configs
        for name in config.all_tables
    }
    sources = {node_id: tables.get(name, name) for node_id, name in named.items()}
    return {config.name: _reads(_picked(config, nodes, manifest), nodes, sources) for config in asking}


def waits_for(config: Config) -> frozenset[str]:
    """Return the sources that a sensor of a config waits for."""
    return frozenset(awaited.source for _, awaited in source_sensors(config))


def _reads(picked: Sequence[str], nodes: Mapping[str, Any], sources: Mapping[str, str]) -> Reads:
    of_table: dict[str, set[str]] = {}
    for node_id in picked:
        for source in _sources_of(node_id, nodes):
            if source in sources:
                of_table.setdefault(sources[source], set()).add(str(nodes[node_id]["name"]))
    return Reads({table: frozenset(names) for table, names in of_table.items()})


def _sources_of(node_id: str, nodes: Mapping[str, Any]) -> set[str]:
    """Return all that a model reads, near and far: those of other configs are on the way."""
    found, queue = set(), [node_id]
    while queue:
        fresh = [parent for parent in _parents(nodes.get(queue.pop(), {})) if parent not in found]
        found.update(fresh)
        queue += fresh
    return found


def _picked(config: Config, nodes: Mapping[str, Any], manifest: Path) -> list[str]:
    """Return the ids of the models that a config's selector picks."""
    dbt = config.transform.dbt
    plain = _PLAIN.fullmatch(dbt.select) if dbt and not dbt.exclude else None
    if plain and plain["tag"]:
        return [node_id for node_id, node in nodes.items() if plain["word"] in (node.get("tags") or ())]
    if plain:
        named = [node_id for node_id, node in nodes.items() if plain["word"] == node.get("name")]
        if named:
            return named
    from elt_factory.describe.models import models_of

    try:
        # the manifest is in the folder `target` of the project
        return [node_id for node_id in models_of(config, manifest.parents[1]) if node_id in nodes]
    except PermanentError:
        return []


def _parents(node: Mapping[str, Any]) -> Sequence[str]:
    return (node.get("depends_on") or {}).get("nodes") or ()


def _manifest(file: Path) -> tuple[dict[str, Any], dict[str, str]] | None:
    """Return the nodes of the manifest that dbt builds, and the full names of its sources."""
    import msgspec

    try:
        found = msgspec.json.decode(file.read_bytes())
        nodes = {node_id: node for node_id, node in found["nodes"].items() if node.get("resource_type") in _BUILT}
        sources = {
            node_id: f"{node['schema']}.{node.get('identifier') or node['name']}".lower()
            for node_id, node in found["sources"].items()
        }
    except (OSError, msgspec.MsgspecError, KeyError, TypeError, AttributeError):
        return None
    return nodes, sources
