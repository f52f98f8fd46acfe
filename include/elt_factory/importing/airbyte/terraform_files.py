"""Connections in Terraform's files, which are read as text: those of a folder are one module."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from elt_factory.importing.airbyte.hcl import Block, NotHclError, blocks_in, with_values
from elt_factory.importing.airbyte.said import Computed, ConnectionSaid
from elt_factory.importing.airbyte.terraform import Resource, connection_of

_LABELS = 2  # of a resource: its type and its name
_DEPTH = 10


def connections_in_files(files: list[Path], unread: dict[str, str]) -> list[ConnectionSaid]:
    """Return the connections of Terraform's files, with their sources, which may be in other modules.

    Args:
        files: The files.
        unread: Takes those that are not in Terraform's language, with the reason.
    """
    modules = _Modules({})
    for file in files:
        blocks = modules.folders.setdefault(file.parent.resolve(), [])
        try:
            blocks += blocks_in(file.read_text(encoding="utf-8-sig"))
        except (NotHclError, UnicodeDecodeError) as error:
            unread[str(file)] = f"not in Terraform's language: {error}"
    return [found for folder in modules.folders for found in modules.connections(folder)]


class _Modules:
    """The modules of a project by their folders."""

    def __init__(self, folders: dict[Path, list[Block]]) -> None:
        self.folders = folders
        self.known: dict[Path, list[Resource]] = {}

    def connections(self, folder: Path) -> list[ConnectionSaid]:
        """Return the connections of a module."""
        found = []
        for one in self.resources(folder):
            if one.is_connection:
                place, source = self.source(folder, one.source_id) or (folder, None)
                said = connection_of(one, source)
                # sources of two folders may have one name
                found.append(replace(said, source=replace(said.source, id=f"{place}: {said.source.id}")))
        return found

    def resources(self, folder: Path) -> list[Resource]:
        """Return the resources of a module, with the values of its locals."""
        if folder in self.known:
            return self.known[folder]
        blocks = self.folders.get(folder) or []
        names = {f"local.{key}": value for one in blocks if one.kind == "locals" for key, value in one.body.items()}
        whole = [with_values(one, names) for one in blocks if one.kind == "resource" and len(one.labels) == _LABELS]
        self.known[folder] = [Resource(one.labels[0], one.labels[1], one.body) for one in whole]
        return self.known[folder]

    def source(self, folder: Path, wanted: Any, depth: int = 0) -> tuple[Path, Resource] | None:
        """Return the source that an id in a module is of, with its module's folder; None where it is not known."""
        own = next((one for one in self.resources(folder) if one.is_source and one.is_meant(wanted)), None)
        if own is not None:
            return folder, own
        if not isinstance(wanted, Computed) or depth > _DEPTH:
            return None
        place, value = self._led_to(folder, wanted.text.split("."))
        return self.source(place, value, depth + 1) if value is not None else None

    def _led_to(self, folder: Path, steps: list[str]) -> tuple[Path, Any]:
        """Return what a variable is given by the only caller of its module, or what an output of a module says."""
        match steps:
            case ["var", name]:
                callers = [one for place in self.folders for one in self._calls(place) if one[2] == folder]
                if len(callers) == 1:
                    place, call, _ = callers[0]
                    return place, call.body.get(name)
            case ["module", name, output]:
                for _, call, below in self._calls(folder):
                    said = [
                        one for one in self.folders.get(below, []) if (one.kind, one.labels) == ("output", (output,))
                    ]
                    if call.labels == (name,) and said:
                        return below, said[0].body.get("value")
        return folder, None

    def _calls(self, folder: Path) -> list[tuple[Path, Block, Path]]:
        """Return the calls of modules in a folder, each with the folder that it leads to."""
        calls = [one for one in self.folders[folder] if one.kind == "module"]
        named = [(one, one.body.get("source")) for one in calls]
        return [(folder, one, (folder / at).resolve()) for one, at in named if isinstance(at, str) and at[:1] == "."]
