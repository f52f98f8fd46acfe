"""Whom it concerns when a source does not load: models and exposures of dbt, and configs that wait for it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from elt_factory.config.errors import ConfigError
from elt_factory.config.mistakes.across import source_sensors
from elt_factory.config.models.source import Config

_SHOWN = 5


def impact_lines(config: Config, folder: Path, manifest: Path) -> tuple[str, ...]:
    """Return what is not updated without a source, and who waits for it. Nothing that cannot be read is an error."""
    places = {config.place_of(table) for table in config.all_tables if config.all_tables[table].stored_in}
    marts, exposures = _of_dbt(config.name, manifest, places)
    waiting = sorted(set(_waiting(config.name, folder)))
    lines = (("Not updated", marts), ("Exposures", exposures), ("Waiting for it", waiting))
    return tuple(f"{label}: {_some(names)}" for label, names in lines if names)


def downstream(
    found: Mapping[str, Any], source: str, places: Collection[tuple[str, str]] = ()
) -> tuple[list[str], list[str]]:
    """Return the last models that are built from a source in dbt's manifest, and the exposures of any of them.

    Args:
        found: The manifest.
        source: The config, whose schema has its tables.
        places: Where tables are that another system loads, by schema and name.
    """
    children: Mapping[str, list[str]] = found.get("child_map") or {}
    sources = found.get("sources") or {}
    wanted = {(schema.casefold(), name.casefold()) for schema, name in places}
    reached = [node for node, about in sources.items() if _is_of(about, source, wanted)]
    seen = set(reached)
    for node in reached:
        for child in children.get(node, ()):
            if child not in seen:
                seen.add(child)
                reached.append(child)
    models = {node for node in seen if node.startswith("model.")}
    last = [node for node in models if not models.intersection(children.get(node, ()))]
    return sorted(map(_name, last)), sorted(_name(node) for node in seen if node.startswith("exposure."))


def _is_of(about: Mapping[str, Any], source: str, places: Collection[tuple[str, str]]) -> bool:
    schema, name = (str(about.get(key) or "").casefold() for key in ("schema", "name"))
    return (schema, str(about.get("identifier") or name).casefold()) in places or schema == source.casefold()


def _of_dbt(source: str, manifest: Path, places: Collection[tuple[str, str]]) -> tuple[list[str], list[str]]:
    import msgspec

    try:
        return downstream(msgspec.json.decode(manifest.read_bytes()), source, places)
    except (OSError, msgspec.DecodeError, AttributeError):
        return [], []


def _waiting(source: str, folder: Path) -> Iterator[str]:
    from elt_factory.dag.neighbours import Neighbours

    neighbours = Neighbours(folder)
    for files in neighbours.files_by_name.values():
        for file in files:
            try:
                config = neighbours.load(file).config
            except ConfigError:
                continue
            if any(awaited.source == source for _, awaited in source_sensors(config)):
                yield config.name


def _name(node: str) -> str:
    return node.split(".")[2] if node.count(".") > 1 else node


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
