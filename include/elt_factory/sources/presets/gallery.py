"""Which presets there are, and the config that is written of one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

from elt_factory.config.loading import load_text
from elt_factory.config.models.source import Source

_FOLDER = Path(__file__).parent
_TOP = re.compile(r"([a-z_]+):")
_BELOW = re.compile(r"  ([a-z_]+):")
_CONNECTION = re.compile(r"^(  connection:) \S+$", re.MULTILINE)
# what a folder's defaults may say for all of its configs
_SHARED = ("owner", "schedule", "start_date", "timezone", "deadline")


@dataclass(frozen=True)
class Wanted:
    """What is asked of a preset: the name of the config, and some of the tables; by default its own and all.

    Args:
        name: The name of the config.
        tables: Names of tables, or patterns; none are all.
        connection: The Airflow connection.
        given: What the folder's defaults say, which stays a comment.
        schema: The way to the JSON Schema.
    """

    name: str
    tables: Sequence[str] = ()
    connection: str | None = None
    given: Mapping[str, Any] | None = None
    schema: str = "source.schema.json"


@cache
def names() -> tuple[str, ...]:
    """Return the names of all presets."""
    return tuple(sorted(file.stem for file in _FOLDER.glob("*.yaml")))


def text_of(preset: str) -> str:
    """Return the YAML of a preset."""
    return (_FOLDER / f"{preset}.yaml").read_text(encoding="utf-8")


@cache
def config_of(preset: str) -> Source:
    """Return a preset as a config.

    Raises:
        TypeError: it has no tables.
    """
    found = load_text(_FOLDER / f"{preset}.yaml", text_of(preset), _FOLDER).config
    if not isinstance(found, Source):
        raise TypeError(f"{preset} has no tables")
    return found


def unmatched(preset: str, tables: Sequence[str]) -> list[str]:
    """Return the names and patterns that mean no table of a preset."""
    return [one for one in tables if not any(fnmatchcase(table, one) for table in config_of(preset).all_tables)]


def chosen(preset: str, tables: Sequence[str]) -> list[str]:
    """Return the tables that names and patterns mean, and those whose rows they are asked with."""
    known = config_of(preset).all_tables
    found = {table for table in known if not tables or any(fnmatchcase(table, one) for one in tables)}
    waiting = list(found)
    while waiting:
        more = [parent for parent in known[waiting.pop()].parents if parent not in found]
        found.update(more)
        waiting += more
    return [table for table in known if table in found]


def config_text(preset: str, wanted: Wanted) -> str:
    """Return the text of a config of a preset, with the preset's comments."""
    tables = chosen(preset, wanted.tables)
    head = f"# yaml-language-server: $schema={wanted.schema}\n# Written by `elt new --from {preset}`.\n"
    body = "".join(_written(_sections(text_of(preset)), wanted, tables))
    return head + (_CONNECTION.sub(rf"\g<1> {wanted.connection}", body, count=1) if wanted.connection else body)


def _written(sections: Iterator[tuple[str, list[str]]], wanted: Wanted, tables: Sequence[str]) -> Iterator[str]:
    for key, lines in sections:
        if key == "name":
            yield f"name: {wanted.name}\n"
            yield from lines[1:]
        elif key in ("tables", "quality"):
            below = list(_entries(lines[1:], tables))
            yield from [lines[0], *below] if below else []
        elif key in _SHARED and key in (wanted.given or {}):
            said = json.dumps((wanted.given or {})[key], ensure_ascii=False, default=str)
            yield f"# {key}: {said}    # set in this folder's defaults\n"
        else:
            yield from lines


def _sections(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each key at the top with its lines, and with the comments that follow them."""
    key, lines = "", list[str]()
    for line in text.splitlines(keepends=True):
        found = _TOP.match(line)
        if found and lines:
            yield key, lines
            lines = []
        key = found[1] if found else key
        lines.append(line)
    yield key, lines


def _entries(lines: Sequence[str], wanted: Sequence[str]) -> Iterator[str]:
    """Yield the lines of those tables that are wanted."""
    keeps = False
    for line in lines:
        found = _BELOW.match(line)
        keeps = found[1] in wanted if found else keeps
        if keeps:
            yield line
