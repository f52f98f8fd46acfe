"""`airflow_settings.yaml`, as Astro has it: read and checked before anything of it reaches Airflow's database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from elt_factory.core.failures import ServiceError

SETTINGS_FILE = "airflow_settings.yaml"
_NAMES = {"connections": "conn_id", "pools": "pool_name", "variables": "variable_name"}
_NUMBERS = ("conn_port", "pool_slot")

Settings = Mapping[str, Sequence[Mapping[str, Any]]]


def read_text(file: Path) -> str:
    """Return the text of a file; nothing where there is none.

    Raises:
        ServiceError: it cannot be read as UTF-8.
    """
    try:
        return file.read_text(encoding="utf-8") if file.exists() else ""
    except UnicodeDecodeError:
        raise ServiceError(f"{file.name} is not valid UTF-8; hint: save the file as UTF-8") from None


def settings_of(text: str) -> Settings:
    """Return the connections, pools and variables of the text of `airflow_settings.yaml`.

    Raises:
        ServiceError: it is not YAML, or an entry is not valid. No value is shown, it may be a secret.
    """
    try:
        found = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise ServiceError(f"{SETTINGS_FILE}{place}: not valid YAML: {getattr(error, 'problem', '')}") from None
    return checked_settings(found)


def checked_settings(found: Any) -> Settings:
    """Return the entries of settings by their kind, those that name something.

    Raises:
        ServiceError: one is not valid.
    """
    given = found.get("airflow") or {} if isinstance(found, Mapping) else None
    if not isinstance(given, Mapping):
        raise ServiceError(f"{SETTINGS_FILE}: expected airflow: with {', '.join(_NAMES)} below it")
    return {kind: list(_entries(given.get(kind) or [], kind)) for kind in _NAMES}


def _entries(given: Any, kind: str) -> Iterator[Mapping[str, Any]]:
    """Yield the entries of a kind. One without any name is left out: Astro's own template begins with such."""
    name = _NAMES[kind]
    if not isinstance(given, list) or not all(isinstance(entry, Mapping) for entry in given):
        raise ServiceError(f"{SETTINGS_FILE}: {kind} is not a list of entries, each with {name}")
    for number, entry in enumerate(given, 1):
        values = [value for value in entry.values() if value and not isinstance(value, Mapping)]
        if not entry.get(name):
            if values:
                raise ServiceError(f"{SETTINGS_FILE}: entry {number} of {kind} has no {name}")
            continue
        _check(entry, f"{SETTINGS_FILE}: {kind}: {entry[name]}", kind)
        yield entry


def _check(entry: Mapping[str, Any], label: str, kind: str) -> None:
    needed = {"connections": ("conn_type", "conn_uri"), "pools": ("pool_slot",), "variables": ("variable_value",)}[kind]
    # a variable may have no value
    given = entry if kind == "variables" else [name for name in entry if entry[name] is not None]
    if not any(name in given for name in needed):
        raise ServiceError(f"{label} has no {' or '.join(needed)}")
    for name in _NUMBERS:
        try:
            int(entry.get(name) or 0)
        except (TypeError, ValueError, OverflowError):
            raise ServiceError(f"{label}: {name} is not a whole number") from None
