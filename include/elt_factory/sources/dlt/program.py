"""The program that runs a dlt source in its environment: what it is given, and what it can be asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from elt_factory.core.connection import Connection
from elt_factory.core.failures import BadDataError, BadRequestError, SourceUnavailableError
from elt_factory.extract.label import TableLabel
from elt_factory.sources.connectors.command import ConnectorCommand
from elt_factory.sources.connectors.process import Output, write_settings
from elt_factory.sources.connectors.settings import merged
from elt_factory.sources.dlt import runner
from elt_factory.sources.dlt.model import Dlt

_OWN = ("arguments", "rest_api", "config")


class DltProgram(ConnectorCommand[Dlt]):
    """One dlt source, with the settings of an Airflow connection; see `ConnectorCommand`.

    Args:
        extract: What the config says of it.
        connection: Its extra has `arguments`, parts of `rest_api`, and what dlt's own configuration has.
        folders: The project, and an empty folder.
        label: The table, for messages.
        log: Takes a line for people.
    """

    def __init__(
        self,
        extract: Dlt,
        connection: Connection | None,
        folders: tuple[Path, Path],
        label: TableLabel,
        log: Callable[[str], None],
    ) -> None:
        project, folder = folders
        super().__init__(extract, "python", folder, label, log)
        self._settings = settings_of(extract, connection) | {
            "source": extract.source,
            "name": label.source,
            "folder": _modules(project, extract),
        }

    def reading(self, resource: str | None, state: str | None = None) -> AbstractContextManager[Output]:
        """Run the program for a resource, from a state on; without one it says which there are."""
        given = {**self._settings, "resource": resource, "state": json.loads(state) if state else None}
        return self.run(runner.__file__, write_settings(self.folder / "settings.json", given))

    def resources(self) -> list[dict[str, Any]]:
        """Return what the source says of its resources.

        Raises:
            BadRequestError: it is not there. SourceUnavailableError: it fails. BadDataError: it says nothing.
        """
        said = list[bytes]()
        with self.reading(None) as output:
            for lines in output.lines():
                said += lines
            code = output.wait()
        try:
            message = json.loads(said[-1])
        except (ValueError, IndexError):
            message = {}
        if message.get("type") == "REFUSED":
            raise self.label.error(BadRequestError, str(message["value"]))
        if code:
            raise self.label.error(SourceUnavailableError, f"the dlt source ended with {code}: {output.said()}")
        if not isinstance(message.get("streams"), list):
            raise self.label.error(BadDataError, "the dlt source said nothing of its resources")
        return list(message["streams"])


def settings_of(extract: Dlt, connection: Connection | None) -> dict[str, Any]:
    """Return what the source is given: what the extra has besides parts of those three is of dlt's configuration."""
    extra: Mapping[str, Any] = connection.extra if connection else {}
    own = {key: extra[key] for key in _OWN if key in extra}
    rest = {key: value for key, value in extra.items() if key not in _OWN}
    below = {"arguments": extract.arguments, "rest_api": extract.rest_api or {}, "config": extract.config}
    found = merged(merged(below, {"config": rest}), own)
    return {**found, "rest_api": found["rest_api"] if extract.rest_api is not None else None}


def _modules(project: Path, extract: Dlt) -> str | None:
    """Return the folder of modules, which stays within the project; None where there is none."""
    folder = (project / extract.folder).resolve()
    return str(folder) if folder.is_relative_to(project.resolve()) and folder.is_dir() else None
