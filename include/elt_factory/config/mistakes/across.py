"""What only shows when all configs of a folder are seen together."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from elt_factory.config.errors import Position, Problem, near_name
from elt_factory.config.models.checks import COLUMN_CHECKS, ColumnCheck
from elt_factory.config.models.sensors import STAGES, Awaited
from elt_factory.config.models.source import Config
from elt_factory.config.models.table import Column
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
        problems = [
            *_name_taken(item, first[item.config.name]),
            *_awaited_in_vain(item, configs, unread),
            *_parents_in_vain(item, configs, unread),
            *_never_one_window(item, configs),
        ]
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


_BY_HAND = "without a schedule"


def _never_one_window(item: LoadedConfig, configs: Mapping[str, Config]) -> Iterator[Problem]:
    """Yield the assets of a schedule that have no times, next to others that do: no window is one of both."""
    known: dict[str, tuple[int, str]] = {}
    for path, awaited in source_sensors(item.config):
        if path[0] == "schedule" and awaited.source in configs and configs[awaited.source].all_tables:
            known.setdefault(awaited.source, (int(path[-1]), windows_of(awaited.source, configs)))
    (first, (_, wanted)), *others = known.items() or [("", (0, ""))]
    for name, (index, windows) in others:
        if windows != wanted and _BY_HAND in (windows, wanted):
            message = f'"{name}" runs {windows} and "{first}" {wanted}: they never load one window'
            hint = "give both a schedule of times, or use one here, and source sensors"
            yield Problem(item.source.at(("schedule", "assets", index)), "conflict", message, hint)


def windows_of(name: str, configs: Mapping[str, Config]) -> str:
    """Return which windows the runs of a config have, in words: those of what it waits for, where it has no times."""
    config = configs[name]
    for _ in configs:
        sources = list(config.schedule.awaited) if config.schedule else []
        if not sources or sources[0] not in configs:
            break
        config = configs[sources[0]]
    return f"{config.schedule} {config.timezone}" if config.schedule else _BY_HAND


def same_clock(one: Config, other: Config) -> bool:
    """Tell whether two schedules of times have the same windows."""
    anchors = (one.start_date, other.start_date) if one.schedule and one.schedule.every else ("", "")
    return (one.schedule, one.timezone, anchors[0]) == (other.schedule, other.timezone, anchors[1])


def source_sensors(config: Config) -> Iterator[tuple[YamlPath, Awaited]]:
    """Yield what waits for other sources, each with its path: a config's sensors and the assets of its schedule."""
    for index, name in enumerate((config.schedule and config.schedule.assets) or ()):
        source, _, table = name.partition(".")
        yield ("schedule", "assets", index), Awaited(source, (table,) if table else ())
    for stage in STAGES:
        for index, sensor in enumerate(getattr(config.sensors, stage)):
            if sensor.awaited and sensor.awaited.source:
                yield ("sensors", stage, index, sensor.kind), sensor.awaited


def _parents_in_vain(item: LoadedConfig, configs: Mapping[str, Config], unread: set[str]) -> Iterator[Problem]:
    """Yield checks that look for values in another config's column that is not there, or not the same values."""
    for path, column, check in _column_checks(item.config):
        kind = COLUMN_CHECKS.get(check.kind)
        for source, table, key, below in kind.parents(check.spec, item.config.name):
            if source in configs or source not in unread:
                for key_of, code, message, hint in _no_parent(column, source, table, key, configs):
                    yield Problem(item.source.at((*path, check.kind, *below, *key_of)), code, message, hint)


def _column_checks(config: Config) -> Iterator[tuple[YamlPath, Column, ColumnCheck]]:
    for name, table in config.all_tables.items():
        for column_name, column in table.columns.items():
            for index, check in enumerate(column.checks):
                yield ("tables", name, "columns", column_name, "checks", index), column, check


def _no_parent(
    column: Column, source: str, table: str, key: str, configs: Mapping[str, Config]
) -> Iterator[tuple[YamlPath, str, str, str]]:
    """Why no value can be in another table's column: path below the check, code, message, hint."""
    if source not in configs:
        yield ("source",), "unknown-source", f'unknown source "{source}"', near_name(source, configs)
        return
    tables = configs[source].all_tables
    if table not in tables:
        yield ("table",), "unknown-table", f'"{source}" has no table "{table}"', near_name(table, tables)
        return
    parent = tables[table].columns.get(key)
    if parent is None:
        if tables[table].columns and tables[table].schema_contract != "evolve":
            message = f'{source}.{table} has no column "{key}"'
            yield ("column",), "unknown-column", message, near_name(key, tables[table].columns)
    elif (column.pii, parent.pii) not in ((None, None), ("hash", "hash")):
        message = f"{source}.{table}.{key} has {_stored(parent)}, this column {_stored(column)}: no value is in both"
        yield ("column",), "conflict", message, "write the same pii: for both, or remove the check"


def _stored(column: Column) -> str:
    return {None: "plain values", "hash": "hashes", "drop": "nothing"}[column.pii]


def _unready(awaited: Awaited, other: Config) -> Iterator[tuple[YamlPath, str, str, str]]:
    """Why another source is never ready: path below the sensor, code, message, hint."""
    tables = other.all_tables
    if not tables:
        message = f'"{other.name}" loads no tables, so there is nothing to wait for'
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
