"""An Airbyte connector's command, with its settings in files of this user's: what it can be asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from elt_factory.config.errors import MistakeError, near_name
from elt_factory.core.connection import Connection
from elt_factory.core.failures import BadDataError, BadRequestError
from elt_factory.extract.label import TableLabel
from elt_factory.sources.airbyte.manifest import KEY_OF_MANIFEST, handed, manifest_of, specification_of
from elt_factory.sources.airbyte.messages import Messages
from elt_factory.sources.airbyte.model import INJECTED, Airbyte, AirbyteTable
from elt_factory.sources.airbyte.specification import check_settings
from elt_factory.sources.connectors.command import ConnectorCommand
from elt_factory.sources.connectors.process import write_settings
from elt_factory.sources.connectors.settings import settings_of

_PROTOCOL = "0"  # the major version of the protocol that messages.py reads


class AirbyteConnector(ConnectorCommand[Airbyte]):
    """One connector, with the settings of an Airflow connection; see `ConnectorCommand`.

    `folders` are the project's, which a manifest is in, and an empty one.
    """

    def __init__(
        self,
        extract: Airbyte,
        connection: Connection | None,
        folders: tuple[Path, Path],
        label: TableLabel,
        log: Callable[[str], None],
    ) -> None:
        project, folder = folders
        # before anything is installed for it
        manifest = _manifest(project, extract.manifest, label) if extract.manifest else None
        super().__init__(extract, extract.command, folder, label, log)
        settings = settings_of(extract, connection)
        if manifest is None:
            check_settings(settings, self._specification(), label)
        else:
            self._refuse_injected(settings)
            check_settings(settings, specification_of(manifest), label)
            settings[KEY_OF_MANIFEST] = handed(manifest)
        self.config = write_settings(folder / "config.json", settings)

    def streams(self) -> list[dict[str, Any]]:
        """Return the connector's own descriptions of its streams.

        Raises:
            BadDataError: it does not describe them as Airbyte's protocol has it.
        """
        found = self._answer("discover", "--config", self.config).get("streams") or []
        if not isinstance(found, list) or not all(isinstance(one, dict) and one.get("name") for one in found):
            raise self.label.error(BadDataError, "the connector's discover describes streams without names")
        return found

    def stream(self, wanted: str, spec: AirbyteTable) -> dict[str, Any]:
        """Return the description of one stream.

        Raises:
            BadRequestError: it has none of that name, or it cannot be read by changes.
        """
        streams = self.streams()
        mine = [one for one in streams if one["name"] == wanted and spec.namespace in (None, one.get("namespace"))]
        if not mine:
            known = sorted(str(one["name"]) for one in streams)
            hint = near_name(wanted, known) or "it has none"
            raise self.label.error(BadRequestError, f'the connector has no stream "{wanted}"', hint)
        if spec.keeps_token and not sends_changes(mine[0]):
            text = f'the stream "{wanted}" cannot be read by its changes'
            raise self.label.error(BadRequestError, text, "write sync: full")
        return mine[0]

    def reading(self, stream: dict[str, Any], spec: AirbyteTable, state: str | None) -> list[str | Path]:
        """Return the arguments that ask for the records of a stream, from a state on."""
        configured = {
            "stream": stream,
            "sync_mode": "incremental" if spec.keeps_token else "full_refresh",
            "destination_sync_mode": "append",
            "cursor_field": [spec.cursor_field] if spec.cursor_field else stream.get("default_cursor_field") or [],
            "primary_key": stream.get("source_defined_primary_key") or [],
        }
        catalog = write_settings(self.folder / "catalog.json", {"streams": [configured]})
        asked: list[str | Path] = ["read", "--config", self.config, "--catalog", catalog]
        if state:
            asked += ["--state", write_settings(self.folder / "state.json", json.loads(state))]
        return asked

    def _refuse_injected(self, settings: Mapping[str, Any]) -> None:
        """Refuse code, or another manifest, that a connection has among its settings."""
        found = next((key for key in settings if key.startswith(INJECTED)), None)
        if found:
            text = f'"{found}" is not a setting: the manifest alone says what is run'
            raise self.label.error(BadRequestError, text, "remove it from the extra of the connection")

    def _specification(self) -> dict[str, Any]:
        """Return the connector's own description of its settings."""
        answer = self._answer("spec")
        self._check_version(str(answer.get("protocol_version") or _PROTOCOL))
        found = answer.get("connectionSpecification")
        return found if isinstance(found, dict) else {}

    def _check_version(self, version: str) -> None:
        if version.partition(".")[0] != _PROTOCOL:
            text = f"the connector speaks version {version} of Airbyte's protocol, and {_PROTOCOL}.x is read here"
            raise self.label.error(BadRequestError, text, "write another version of package:")

    def _answer(self, verb: str, *arguments: str | Path) -> dict[str, Any]:
        """Return what the connector answers to a command that has one answer."""
        messages = Messages(None, self.label)
        with self.run(verb, *arguments) as output:
            for lines in output.lines():
                messages.take(lines)
            messages.ended_well(output.wait(), output.said())
        if messages.answer is None:
            raise self.label.error(BadDataError, f"the connector's {verb} does not answer in Airbyte's protocol")
        return messages.answer


def _manifest(project: Path, name: str, label: TableLabel) -> Mapping[str, Any]:
    try:
        return manifest_of(project, name)
    except MistakeError as error:
        raise label.error(BadRequestError, error.message, error.hint) from None


def sends_changes(stream: dict[str, Any]) -> bool:
    """Tell whether a stream can be read by its changes; one that does not say is taken at the config's word."""
    modes = stream.get("supported_sync_modes") or ["incremental"]
    return "incremental" in modes
