"""What a path has of Airbyte's connections, whichever tool has written it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from elt_factory.importing.airbyte.exported import connections_in_json, connections_of_octavia
from elt_factory.importing.airbyte.pyairbyte import connections_of_pyairbyte
from elt_factory.importing.airbyte.said import ConnectionSaid
from elt_factory.importing.airbyte.states import states_within
from elt_factory.importing.airbyte.terraform import connections_in_state
from elt_factory.importing.airbyte.terraform_files import connections_in_files
from elt_factory.importing.project import NotAProjectError

_YAML = (".yaml", ".yml")
_JSON = (".json", ".tfstate")
_KNOWN = (
    "expected a low-code manifest.yaml, Octavia's connections, Terraform's files or `terraform show -json`, JSON of "
    "the API, or a script of PyAirbyte; abctl has no connections in its files"
)


def connections_at(path: Path) -> tuple[list[ConnectionSaid], dict[str, Any]]:
    """Return the connections in a file or folder, and the states that are there, by the connections' ids.

    Raises:
        NotAProjectError: none is there, or a file is not what its name says.
    """
    if not path.exists():
        raise NotAProjectError(f"no such file or folder: {path}")
    files = [path] if path.is_file() else _files(path)
    of = {end: [one for one in files if one.suffix in end] for end in (_YAML, _JSON, (".tf",), (".py",))}
    unread = dict[str, str]()
    roots = [root for file in of[_JSON] if (root := _json(file, unread)) is not None]
    states = [root for root in roots if isinstance(root, Mapping) and _is_terraform(root)]
    found = _each(of[_YAML], connections_of_octavia, unread)
    found += connections_in_json([root for root in roots if root not in states])
    found += [one for root in states for one in connections_in_state(root)]
    found += connections_in_files(of[(".tf",)], unread)
    found += _each(of[(".py",)], connections_of_pyairbyte, unread)
    if not found:
        texts = "".join(f"; {file}: {why}" for file, why in unread.items())
        raise NotAProjectError(f"{path}: no connection of Airbyte is there: {_KNOWN}{texts}")
    return [replace(found[0], unread=unread), *found[1:]], states_within(roots)


def _each(
    files: list[Path], read: Callable[[Path], list[ConnectionSaid]], unread: dict[str, str]
) -> list[ConnectionSaid]:
    """Return what is in files: one that cannot be read is listed, and hides none of the others."""
    found: list[ConnectionSaid] = []
    for file in files:
        try:
            found += read(file)
        except NotAProjectError as error:
            unread[str(file)] = str(error).removeprefix(f"{file}: ")
    return found


def _files(folder: Path) -> list[Path]:
    """Return the files of a project: Octavia's connections, and whatever is in Terraform, JSON or Python."""
    listed = sorted(one for one in folder.rglob("*") if one.is_file() and not _hidden(one, folder))
    named = [one for one in listed if one.suffix in _YAML and is_octavia(one)]
    return named + [one for one in listed if one.suffix in (*_JSON, ".tf", ".py")]


def _hidden(file: Path, folder: Path) -> bool:
    return any(part.startswith(".") or part in _SKIPPED for part in file.relative_to(folder).parts)


_SKIPPED = ("venv", "site-packages", "node_modules", "__pycache__")


def is_octavia(file: Path) -> bool:
    """Whether a file says of itself which resource of Octavia's it is."""
    try:
        return "definition_type:" in file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False


def _json(file: Path, unread: dict[str, str]) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        unread[str(file)] = f"not JSON: {error}"
        return None


def _is_terraform(root: Mapping[str, Any]) -> bool:
    return any(key in root for key in ("terraform_version", "planned_values")) or _of_resources(root.get("resources"))


def _of_resources(given: Any) -> bool:
    return isinstance(given, Sequence) and any(isinstance(one, Mapping) and "instances" in one for one in given)
