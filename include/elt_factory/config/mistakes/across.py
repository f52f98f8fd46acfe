"""What only shows when all configs of a folder are seen together."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from elt_factory.config.errors import Position, Problem, near_name
from elt_factory.config.models.sensors import STAGES, Awaited
from elt_factory.config.models.source import Config
from elt_factory.config.yaml.source import YamlPath, YamlSource
from elt_factory.core.content import content_of

_NAME_LINE = re.compile(r"^name:[ \t]*[\"']?([a-z][a-z0-9_]*)", re.MULTILINE)


@dataclass(frozen=True)
class LoadedConfig:
    """A config and the file it was read from."""

    config: Config
    file: Path
    source: YamlSource


def claim(name: str, file: Path) -> tuple[bool, int, tuple[str, ...]]:
    """Sorts the files that have one name: the one called so has it, then the one nearest the top, then by alphabet."""
    return file.stem != name, len(file.parts), file.parts


def problems_across(loaded: Sequence[LoadedConfig], broken: Sequence[Path]) -> dict[Path, list[Problem]]:
    """One name twice, a sensor on a source or a table that is not there: the problems by file."""
    first: dict[str, LoadedConfig] = {}
    for item in sorted(loaded, key=lambda item: claim(item.config.name, item.file)):
        first.setdefault(item.config.name, item)
    configs = {name: item.config for name, item in first.items()}
    # a broken file may hold the source that is waited for: its own error is enough
    unread = {name for file in broken for name in _probable_names(file)}
    found: dict[Path, list[Problem]] = {}
    for item in loaded:
        problems = [*_name_taken(item, first[item.config.name]), *_awaited_in_vain(item, configs, unread)]
        if problems:
            found[item.file] = problems
    return found


def _probable_names(file: Path) -> set[str]:
    try:
        text = content_of(file).decode(errors="replace")
    except OSError:
        text = ""
    return {file.stem, *_NAME_LINE.findall(text)}


def _name_taken(item: LoadedConfig, owner: LoadedConfig) -> Iterator[Problem]:
    if owner is not item:
        # the schema of the tables has the config's name, so tables can clash in no other way
        place = owner.source.at(("name",))
        message = f'duplicate name "{item.config.name}": already defined in {_beside(item.file, place)}'
        hint = "choose another name"
        yield Problem(item.source.at(("name",)), "duplicate-name", message, hint)


def _beside(file: Path, place: Position) -> str:
    """Return a place as one finds it from a file."""
    return f"{os.path.relpath(place.file, file.parent)}:{place.line}:{place.column}"


def _awaited_in_vain(item: LoadedConfig, configs: Mapping[str, Config], unread: set[str]) -> Iterator[Problem]:
    for path, awaited in source_sensors(item.config):
        if awaited.source in configs:
            found = _unready(awaited, configs[awaited.source])
        elif awaited.source not in unread:
            near = near_name(awaited.source, (configs.keys() | unread) - {item.config.name})
            found = iter([(("name",), "unknown-source", f'unknown source "{awaited.source}"', near)])
        else:
            continue
        for below, code, message, hint in found:
            yield Problem(item.source.at((*path, *below)), code, message, hint)


def source_sensors(config: Config) -> Iterator[tuple[YamlPath, Awaited]]:
    """Yield the sensors of a config that wait for other sources, each with its path."""
    for stage in STAGES:
        for index, sensor in enumerate(getattr(config.sensors, stage)):
            if sensor.awaited and sensor.awaited.source:
                yield ("sensors", stage, index, sensor.kind), sensor.awaited


def _unready(awaited: Awaited, other: Config) -> Iterator[tuple[YamlPath, str, str, str]]:
    """Why another source is never ready: path below the sensor, code, message, hint."""
    tables = other.all_tables
    if not tables:
        message = f'"{other.name}" loads no tables, so this sensor has nothing to wait for'
        yield ("name",), "unknown-source", message, "wait for the sources that it reads from"
    for index, table in enumerate(awaited.tables):
        if table not in tables:
            message = f'"{other.name}" has no table "{table}"'
            yield ("tables", index), "unknown-table", message, near_name(table, tables)
    undated = [name for name in awaited.tables or tables if name in tables and not tables[name].business_date]
    if awaited.business_date_within and undated:
        message = f"{other.name}.{undated[0]} has no business_date"
        hint = "name the tables that have one under tables:, or set business_date there"
        yield ("business_date_within",), "conflict", message, hint
