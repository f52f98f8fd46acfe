"""A Singer tap's command, with its settings in files of this user's: what it can be asked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from elt_factory.core.connection import Connection
from elt_factory.core.failures import BadDataError, SourceUnavailableError
from elt_factory.extract.label import TableLabel
from elt_factory.sources.connectors.command import ConnectorCommand
from elt_factory.sources.connectors.process import write_settings
from elt_factory.sources.connectors.settings import NO_SETTINGS, settings_of
from elt_factory.sources.singer.catalog import Chosen, choose
from elt_factory.sources.singer.model import Singer, SingerTable

_LONGEST_CATALOG = 256 << 20
_NO_CATALOG = "write catalog: none if the tap cannot discover its streams"


class SingerTap(ConnectorCommand[Singer]):
    """One tap, with the settings of an Airflow connection; see `ConnectorCommand`."""

    def __init__(
        self,
        extract: Singer,
        connection: Connection | None,
        folder: Path,
        label: TableLabel,
        log: Callable[[str], None],
    ) -> None:
        command = extract.executable or command_name(extract.package_name)
        super().__init__(extract, command, folder, label, log)
        settings = settings_of(extract, connection)
        self.config = write_settings(folder / "config.json", settings)
        self._hint = _NO_CATALOG if settings else f"{NO_SETTINGS}; {_NO_CATALOG}"

    def catalog(self) -> dict[str, Any]:
        """Return what the tap says that it has.

        Raises:
            SourceUnavailableError: it fails. BadDataError: it prints no catalog.
        """
        said, size = list[bytes](), 0
        with self.run("--config", self.config, "--discover") as output:
            for lines in output.lines():
                said += lines
                size += sum(map(len, lines))
                if size > _LONGEST_CATALOG:
                    raise self.label.error(BadDataError, "the tap's catalog is over 256 MB")
            code = output.wait()
            if code:
                text = f"the tap's --discover ended with {code}: {output.said()}"
                raise self.label.error(SourceUnavailableError, text, self._hint)
        return self._parsed(b"\n".join(said))

    def chosen(self, wanted: str, spec: SingerTable) -> Chosen:
        """Return the catalog with one stream chosen.

        Raises:
            BadRequestError: the tap has no such stream. Also as `catalog`.
        """
        if self.extract.catalog == "none":
            return Chosen({}, wanted)
        return choose(self.catalog(), wanted, spec, self.label)

    def reading(self, chosen: Chosen, state: str | None) -> list[str | Path]:
        """Return the arguments that ask for the records, from a state on."""
        asked: list[str | Path] = ["--config", self.config]
        if chosen.catalog:
            asked += [f"--{self.extract.catalog}", write_settings(self.folder / "catalog.json", chosen.catalog)]
        if state:
            asked += ["--state", write_settings(self.folder / "state.json", json.loads(state))]
        return asked

    def _parsed(self, text: bytes) -> dict[str, Any]:
        begins = max(text.find(b"{"), 0)
        try:
            found = json.loads(text[begins:])
        except ValueError:
            found = None
        streams = found.get("streams") if isinstance(found, dict) else None
        if not isinstance(found, dict) or not isinstance(streams, list) or not all(map(_has_a_name, streams)):
            raise self.label.error(BadDataError, "the tap's --discover printed no catalog", self._hint)
        return found


def _has_a_name(stream: object) -> bool:
    return isinstance(stream, dict) and bool(stream.get("stream") or stream.get("tap_stream_id"))


def command_name(package: str) -> str:
    """Return what a tap's command is called: whose package it is, is not part of it."""
    _, tap, name = package.rpartition("tap-")
    return f"{tap}{name}"
