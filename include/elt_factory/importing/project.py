"""What became of a project of another tool: configs, and the reason for all that is in none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from elt_factory.config.errors import ConfigError, MistakeError
from elt_factory.config.loading import load_text
from elt_factory.discover.periods import sane_name
from elt_factory.importing.writing import yaml_text

DEFAULT_DAY = "2024-01-01"
KEPT_ALL = "the old target kept what each sync sent; here a row is its newest version: scd2 keeps the others"


class NotAProjectError(Exception):
    """What was given is not a project of that tool."""


@dataclass
class Imported:
    """One config of a project.

    Args:
        config: The config as YAML has it.
        held: Which of the project's settings belongs where in the Airflow connection.
        left_out: What is not in the config, by its name in the project, with the reason.
        notes: What a person has to look at, by table.
    """

    config: dict[str, Any]
    held: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)

    def note(self, table: str, text: str) -> None:
        """Add a note about a table."""
        self.notes.setdefault(table, []).append(text)

    def free(self, origin: str) -> str:
        """Return the name of the table of a stream; empty, and the stream is listed, where another one has it."""
        table = sane_name(origin) or "records"
        if table not in self.config["tables"]:
            return table
        self.left_out[origin] = f"another stream is the table {table}"
        return ""

    @property
    def remarks(self) -> list[str]:
        """What the file says at its top."""
        lines = []
        if self.held:
            lines += [f"The Airflow connection {self.config['extract']['connection']} needs:"]
            lines += [f"  {place}: {setting}" for place, setting in self.held.items()]
        told = {table: "; ".join(dict.fromkeys(texts)) for table, texts in self.notes.items()}
        for title, listed in (("Not in this config:", self.left_out), ("Look at:", told)):
            if listed:
                lines += [title, *(f"  {name}: {text}" for name, text in listed.items())]
        return [" ".join(line.split("\n")) for line in lines]


def head_of(name: str, **more: Any) -> dict[str, Any]:
    """Return what every config begins with."""
    found = {"name": name, "owner": "data-platform", "schedule": "0 3 * * *", "start_date": DEFAULT_DAY}
    return found | {key: value for key, value in more.items() if value is not None}


def with_own_names(found: list[Imported]) -> list[Imported]:
    """Return configs of which no two have one name: those that come later get a number."""
    names = list[str]()
    for made in found:
        name, number = str(made.config["name"]), 2
        while made.config["name"] in names:
            made.config["name"], number = f"{name}_{number}", number + 1
        if made.config["tables"]:
            names.append(made.config["name"])
    return found


def valid_only(found: Imported, parents: Mapping[str, Sequence[str]] | None = None) -> Imported:
    """Return a config without the tables that the language refuses, each listed with the message.

    Args:
        found: The config.
        parents: Which tables each is read with: without them it is not valid.
    """
    above = parents or {}
    for name in list(found.config["tables"]):
        tables = found.config["tables"]
        wanted = [name]
        for one in wanted:
            wanted += [parent for parent in above.get(one, ()) if parent not in wanted]
        if lost := [one for one in wanted if one not in tables]:
            _leave_out(found, name, f"its parent {lost[0]}: {found.left_out.get(lost[0])}")
            continue
        try:
            text = yaml_text({**found.config, "tables": {one: tables[one] for one in wanted}})
            load_text(Path(f"{found.config['name']}.yaml"), text, Path())
        except (ConfigError, MistakeError) as error:
            first = error.problems[0].message if isinstance(error, ConfigError) else str(error)
            _leave_out(found, name, first)
    return found


def _leave_out(found: Imported, table: str, reason: str) -> None:
    del found.config["tables"][table]
    found.left_out[table] = reason
    found.notes.pop(table, None)


def read_yaml(file: Path) -> Mapping[str, Any]:
    """Return a mapping of a YAML file.

    Raises:
        NotAProjectError: it is not one.
    """
    if file.is_dir():
        raise NotAProjectError(f"{file}: a folder; name a YAML file in it")
    try:
        found = yaml.load(file.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - a safe one, by its base
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise NotAProjectError(f"{file}: not YAML: {' '.join(str(error).split())[:300]}") from None
    if not isinstance(found, dict):
        raise NotAProjectError(f"{file}: expected a mapping")
    return found


class _Loader(yaml.CSafeLoader):
    """Reads tags of other tools as text."""


_Loader.add_multi_constructor("!", lambda loader, _, node: loader.construct_yaml_str(node))
