"""What differs between two states of the configs, and what becomes of DAGs, tables and their state."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from pydantic_core import to_json

from elt_factory.config.mistakes.across import LoadedConfig, source_sensors
from elt_factory.config.models.source import Config
from elt_factory.describe.effects import Effect, Path, Refresh, effect_of

Kind = Literal["added", "removed", "renamed", "changed"]
_ALIKE = 0.7  # the share of equal values from which a new name is the old config under another one
_TABLES_STAY = (
    "tables and cursors belong to the name: the new one starts from scratch in its own schema, the old schema stays",
    "dbt sources and queries on the old schema keep reading the old tables",
)
_GRADES: tuple[Refresh, ...] = ("no", "advised", "needed")


@dataclass(frozen=True)
class Change:
    """One value that differs; None where it is not there."""

    path: Path
    before: Any
    after: Any
    effect: str
    full_refresh: Refresh


@dataclass(frozen=True)
class ConfigChange:
    """What differs in one config. `former` is the old name of a renamed one."""

    name: str
    kind: Kind
    changes: tuple[Change, ...]
    consequences: tuple[str, ...] = ()
    former: str | None = None
    at_least: Refresh = "no"

    @property
    def full_refresh(self) -> Refresh:
        """Whether the tables must be loaded again: the most that one of the changes asks for."""
        return max((self.at_least, *(change.full_refresh for change in self.changes)), key=_GRADES.index)

    @property
    def tables_to_refresh(self) -> tuple[str, ...]:
        """The tables that a full refresh is needed or advised for."""
        asking = (change.path for change in self.changes if change.full_refresh != "no")
        return tuple(dict.fromkeys(path[1] for path in asking if path[0] == "tables"))

    def entry(self) -> dict[str, Any]:
        """Return the change for machines."""
        return {
            "name": self.name,
            "kind": self.kind,
            "former": self.former,
            "full_refresh": self.full_refresh,
            "tables_to_refresh": list(self.tables_to_refresh),
            "changes": [{**asdict(change), "path": ".".join(change.path)} for change in self.changes],
            "consequences": list(self.consequences),
        }


def compare(before: Sequence[LoadedConfig], after: Sequence[LoadedConfig]) -> list[ConfigChange]:
    """Everything that differs, by name; configs that mean the same are left out, however they are written."""
    old, new = ({item.config.name: item.config for item in items} for items in (before, after))
    gone, come = ([name for name in one if name not in other] for one, other in ((old, new), (new, old)))
    renamed = _renamed([old[name] for name in gone], [new[name] for name in come])
    found = [_rename(old[renamed[name]], new[name], new) for name in come if name in renamed]
    found += [_addition(new[name]) for name in come if name not in renamed]
    found += [_removal(old[name], new) for name in gone if name not in renamed.values()]
    for name in (name for name in new if name in old):
        changes = tuple(_changes(_dump(old[name]), _dump(new[name]), ()))
        if changes:
            found.append(ConfigChange(name, "changed", changes))
    return sorted(found, key=lambda change: change.name)


def _changes(before: Mapping[str, Any], after: Mapping[str, Any], path: Path) -> Iterator[Change]:
    for name in dict.fromkeys((*before, *after)):
        old, new, here = before.get(name), after.get(name), (*path, name)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _changes(old, new, here)
        else:
            effect: Effect = effect_of(here, old, new)
            yield Change(here, old, new, effect.text, effect.full_refresh)


def _dump(config: Config) -> dict[str, Any]:
    dumped: dict[str, Any] = _without_nothing(config.model_dump(mode="json", by_alias=True))
    return dumped


def _without_nothing(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nothing(part) for name, part in value.items() if part is not None}
    return [_without_nothing(part) for part in value] if isinstance(value, list) else value


def _renamed(gone: Sequence[Config], come: Sequence[Config]) -> dict[str, str]:
    """Return new names to old ones: the most alike first, each once."""
    pairs = sorted(((_likeness(old, new), old.name, new.name) for old in gone for new in come), reverse=True)
    found: dict[str, str] = {}
    for likeness, old_name, new_name in pairs:
        if likeness >= _ALIKE and new_name not in found and old_name not in found.values():
            found[new_name] = old_name
    return found


def _likeness(old: Config, new: Config) -> float:
    """Return the share of values in which two configs agree, of those that are not defaults in at least one of them."""
    plain = {name: field.get_default() for name, field in type(new).model_fields.items() if not field.is_required()}
    usual = dict(_flat(json.loads(to_json(plain, by_alias=True)), ()))
    values = [dict(_flat(_dump(config), ())) for config in (old, new)]
    said = {path for each in values for path, value in each.items() if usual.get(path) != value} - {("name",)}
    agreeing = [path for path in said if values[0].get(path) == values[1].get(path)]
    return len(agreeing) / max(len(said), 1)


def _flat(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, dict) and value:
        for name, part in value.items():
            yield from _flat(part, (*path, name))
    else:
        yield path, value


def _addition(config: Config) -> ConfigChange:
    consequences = ["a DAG appears, paused if Airflow pauses new DAGs"]
    if config.all_tables:
        first = (
            "its first runs load everything since start_date" if config.catchup else "its first run loads one window"
        )
        backfill = "" if config.catchup else "; earlier data needs a full refresh"
        consequences.append(f"{first} into schema {config.name}{backfill}")
    return ConfigChange(config.name, "added", (), tuple(consequences))


def _removal(config: Config, left: Mapping[str, Config]) -> ConfigChange:
    name = config.name
    consequences = [
        f"the DAG is no longer listed in Airflow; its history stays until `airflow dags delete {name}`",
        *(f'table "{name}"."{table}" and its rows in _elt stay; no config loads it' for table in config.all_tables),
        *(f"{other} waits for it: its sensor never succeeds" for other in _waiting(name, left)),
    ]
    return ConfigChange(name, "removed", (), tuple(consequences))


def _rename(old: Config, new: Config, left: Mapping[str, Config]) -> ConfigChange:
    changes = tuple(change for change in _changes(_dump(old), _dump(new), ()) if change.path != ("name",))
    consequences = [
        f"a new DAG {new.name} starts without history; that of {old.name} stays in Airflow's database",
        *(_TABLES_STAY if new.all_tables else ()),
        *(f"{other} still waits for {old.name}" for other in _waiting(old.name, left)),
    ]
    at_least: Refresh = "needed" if new.all_tables else "no"
    return ConfigChange(new.name, "renamed", changes, tuple(consequences), old.name, at_least)


def _waiting(name: str, configs: Mapping[str, Config]) -> list[str]:
    return [
        other for other, config in configs.items() if name in {sensor.source for _, sensor in source_sensors(config)}
    ]
