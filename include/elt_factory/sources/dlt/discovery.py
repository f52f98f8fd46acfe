"""A look at a dlt source: its resources, their keys, whether they send changes."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from elt_factory.core.connection import Connection
from elt_factory.core.failures import BadRequestError
from elt_factory.discover.found import SourceFound
from elt_factory.extract.label import TableLabel, secrets_of
from elt_factory.sources.connectors.discovery import StreamFound, pinned, source_found
from elt_factory.sources.dlt.model import Dlt
from elt_factory.sources.dlt.program import DltProgram

_FOLDERS = ("dlt", ".", "pipelines")
_REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[^]]*\])?\s*[=<>!~]=?[^;#]+")


def look_at_source(
    name: str, source: str, connection: Connection | None, folders: tuple[Path, Path], log: Callable[[str], None]
) -> SourceFound:
    """Return a config of all resources of a dlt source, which is run for that without a request for records.

    Args:
        name: The name of the config.
        source: Its module and name.
        connection: Has its secrets.
        folders: The project, and an empty folder.
        log: Takes a line for people.

    Raises:
        EltError: it cannot be installed, or is not there.
    """
    label = TableLabel(name, "resources", secrets_of(connection))
    folder = folder_of(folders[0], source)
    requirements = requirements_in(folders[0] / folder)
    try:
        extract = Dlt(type="dlt", package=pinned("dlt", label), source=source, folder=folder, requirements=requirements)
    except ValueError as error:
        raise label.error(BadRequestError, str(error)) from None
    program = DltProgram(extract, connection, folders, label, log)
    streams = [
        StreamFound(one["stream"], one["schema"], tuple(one["key_properties"]), one["changes"])
        for one in program.resources()
    ]
    lines: dict[str, object] = {"type": "dlt", "package": extract.package, "source": source, "folder": folder}
    more = {"requirements": list(requirements)} if requirements else {}
    return source_found({**lines, **more}, streams, connection.conn_id if connection else None)


def folder_of(project: Path, source: str) -> str:
    """Return the folder of the project that has a module, as `dlt init` lays it out."""
    module = source.partition(":")[0].split(".")[0]
    for folder in _FOLDERS:
        if (project / folder / module).is_dir() or (project / folder / f"{module}.py").is_file():
            return folder
    return _FOLDERS[0]


def requirements_in(folder: Path) -> tuple[str, ...]:
    """Return the packages that a `requirements.txt` names with a version, dlt itself left out."""
    file = folder / "requirements.txt"
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    named = [match[0].strip() for line in lines if (match := _REQUIREMENT.match(line.strip()))]
    return tuple(one for one in named if not re.match(r"dlt\b(?!-)", one))
