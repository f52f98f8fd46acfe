"""Configs that wait for each other in a ring: a -> b -> a."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from elt_factory.config.errors import Position, Problem
from elt_factory.config.mistakes.across import LoadedConfig, source_sensors
from elt_factory.config.yaml.source import YamlPath

Waits = Mapping[str, Mapping[str, YamlPath]]


def cycles(loaded: Sequence[LoadedConfig]) -> Iterator[tuple[LoadedConfig, Problem]]:
    """Every sensor that closes a ring, at the config it appears in, with the way round and the places on it."""
    items: dict[str, LoadedConfig] = {}
    for item in loaded:
        items.setdefault(item.config.name, item)
    waits = _in_cycles({name: _awaited(item, items) for name, item in items.items()})
    for name, awaited in waits.items():
        for other, path in awaited.items():
            way = _way(other, name, waits)
            if way:
                yield items[name], _problem(items, waits, [name, *way], items[name].source.at(path))


def _awaited(item: LoadedConfig, known: Mapping[str, LoadedConfig]) -> Mapping[str, YamlPath]:
    sensors = [((*path, "name"), awaited.source) for path, awaited in source_sensors(item.config)]
    # of two sensors on one source, the first is reported; a source that waits for itself is reported by its own model
    return {name: path for path, name in reversed(sensors) if name in known and name != item.config.name}


def _in_cycles(waits: Waits) -> Waits:
    """Return what is left when again and again those are removed who wait for no one that is left."""
    while True:
        left = {
            name: {other: path for other, path in awaited.items() if waits.get(other)}
            for name, awaited in waits.items()
            if awaited
        }
        if sum(map(len, left.values())) == sum(map(len, waits.values())):
            return left
        waits = left


def _way(start: str, goal: str, waits: Waits) -> list[str]:
    """Return the shortest way from one config to another, both ends included; empty where there is none."""
    came_from: dict[str, str] = {start: ""}
    reached = [start]
    for name in reached:
        if name == goal:
            way = [name]
            while came_from[way[-1]]:
                way.append(came_from[way[-1]])
            return way[::-1]
        for other in waits.get(name, {}):
            if other not in came_from:
                came_from[other] = name
                reached.append(other)
    return []


def _problem(items: Mapping[str, LoadedConfig], waits: Waits, way: Sequence[str], position: Position) -> Problem:
    places = (items[name].source.at(waits[name][other]) for name, other in pairwise(way))
    where = ", ".join(f"{place.file.name}:{place.line}" for place in places)
    by_sensors = all(waits[name][other][0] == "sensors" for name, other in pairwise(way))
    kind, what = ("sensor cycle", "sensors") if by_sensors else ("cycle", "sensors or assets")
    return Problem(position, "cycle", f"{kind}: {' -> '.join(way)} ({where})", f"remove one of these {what}")
