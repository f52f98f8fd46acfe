"""Records of a connector as NDJSON: the bytes that it sent, counted."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from elt_factory.core.failures import BadDataError
from elt_factory.extract.label import TableLabel
from elt_factory.extract.progress import Progress
from elt_factory.extract.request import ReadRequest, Spool
from elt_factory.sources.connectors.model import ConnectorTable

_LINES_TOLD = 20
_NAMES_TOLD = 5


def as_text(line: bytes) -> bytes:
    """Return a line as a JSON text: in place of a record it is a reject, which shows what came."""
    return json.dumps(line.decode(errors="replace")).encode()


@dataclass
class Records:
    """What came of one stream, and what came besides.

    A record of the stream that is not JSON is kept as it is: the contract rejects it, with the reason.
    """

    request: ReadRequest
    label: TableLabel
    stream: str
    out: IO[bytes]
    rows: int = 0
    others: Counter[str] = field(default_factory=Counter)  # records of streams that were not asked for
    noise: int = 0
    state: bytes | None = None

    def add(self, lines: list[bytes]) -> None:
        """Take records."""
        if lines:
            self.out.write(b"\n".join(lines) + b"\n")
            self.rows += len(lines)

    def keep(self, state: bytes) -> None:
        """Take the state that the connector gives for the records so far: the last one is that of the load."""
        self.state = state

    def warn(self, text: str) -> None:
        """Tell what people should know of how it was read."""
        (self.request.warn or self.request.log)(f"{self.label}: {text}")

    def hear(self, line: bytes) -> None:
        """Take a line that is not a message. It goes to the log, the first ones of many."""
        self.noise += 1
        if self.noise <= _LINES_TOLD:
            self.request.log(self.label.clean(f"connector: {line[:500].decode(errors='replace')}"))

    @property
    def keeps_state(self) -> bool:
        """Whether the next load begins with the state of this one."""
        spec = self.request.source.all_tables[self.request.table]
        return isinstance(spec, ConnectorTable) and spec.keeps_token

    @property
    def enough(self) -> bool:
        """Whether a look at the source has seen what it wants."""
        most = self.request.most_rows
        return most is not None and self.rows >= most

    def spool(self, file: Path, types: dict[str, Any], progress: Progress) -> Spool:
        """Return what was read."""
        progress.done(self.rows)
        if self.others:
            names = ", ".join(f"{name} ({count:,})" for name, count in self.others.most_common(_NAMES_TOLD))
            self.warn(f"records of streams that were not asked for are left out: {names}")
        files = (file,) if self.rows else ()
        return Spool("ndjson", files, self.rows, types if self.rows else {}, token=self._token())

    def _token(self) -> str | None:
        """Return what the next load begins with; where no state came, what this one began with."""
        spec = self.request.source.all_tables[self.request.table]
        if not isinstance(spec, ConnectorTable) or not spec.keeps_token:
            return None
        if self.state is None:
            return spec.begins_with(self.request.cursor.token)
        text = self.state.decode()
        if self.label.clean(text) != text:
            what = "the connector's state has a secret in it, and a state is kept in the warehouse"
            raise self.label.error(BadDataError, what, "write sync: full")
        return text
