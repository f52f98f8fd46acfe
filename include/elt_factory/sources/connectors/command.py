"""A connector's command in a folder of its own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Generic, TypeVar

from elt_factory.extract.label import TableLabel
from elt_factory.sources.connectors.environment import command_of
from elt_factory.sources.connectors.model import Connector
from elt_factory.sources.connectors.process import Limits, Output, running

C = TypeVar("C", bound=Connector)


class ConnectorCommand(Generic[C]):
    """The command of a connector, installed where it is not there yet.

    Args:
        extract: What the config says of it.
        name: The name of the command.
        folder: An empty folder.
        label: The table, for messages.
        log: Takes a line for people.
    """

    def __init__(self, extract: C, name: str, folder: Path, label: TableLabel, log: Callable[[str], None]) -> None:
        self.extract, self.folder, self.label, self.log = extract, folder, label, log
        self.command = command_of(extract, name, label, log)

    def run(self, *arguments: str | Path) -> AbstractContextManager[Output]:
        """Run the command; at the end of the block nothing of it lives."""
        limits = Limits.of(self.extract)
        return running([self.command, *arguments], self.folder, limits, self.label, self.log)
