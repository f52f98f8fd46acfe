"""The kinds of tables that the proof runs: every disposition, by each kind of cursor, behind each kind of reader."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from elt_factory.config.models.source import SOURCES, Source

LAG = 6  # hours


@dataclass(frozen=True)
class Kind:
    """A table, and by what a window finds its rows: a cursor that is a time or a number, a day's files, or nothing.

    `clock` is the zone that a cursor without a zone shows.
    """

    disposition: Literal["append", "merge", "replace", "scd2"]
    reads: Literal["all", "files", "time", "number"]
    source: Literal["sql", "files", "rest_api"] = "sql"
    takes_null: bool = False
    keyed: bool = True
    clock: str = "UTC"
    compares: bool = False  # keys, with every load

    @property
    def lag(self) -> int:
        """Hours before the window that are read again: what comes again is found by its key."""
        return LAG if self.reads == "time" and self.keyed else 0

    @property
    def versions(self) -> bool:
        return self.disposition == "scd2"

    @property
    def events(self) -> bool:
        """Whether the source keeps every state of a row, not only the last."""
        return self.versions and self.reads == "time"

    @property
    def snapshots(self) -> bool:
        return self.versions and self.reads == "files"

    @property
    def new_files(self) -> bool:
        """Whether a load takes files of other windows, too, that are late or have changed."""
        return self.reads == "files" and not self.versions

    @property
    def of_window(self) -> bool:
        """Whether a full refresh ends where its window does."""
        return self.reads in ("time", "files")

    @property
    def cursor(self) -> str | None:
        return "u" if self.reads == "time" else None

    def config(self) -> Source:
        tables = {"tab": {**self._table(), **_TABLES[self.source]}}
        about = {"name": "src", "start_date": "2013-01-01", "extract": _EXTRACTS[self.source], "tables": tables}
        return SOURCES.get(self.source).config.model_validate(about)

    def _table(self) -> dict[str, Any]:
        moment = "datetime" if self.source == "sql" else "timestamp"
        table: dict[str, Any] = {
            "write_disposition": self.disposition,
            "columns": {"n": {"type": "integer"}, "u": {"type": moment}},
        }
        if self.keyed:
            table["primary_key"] = ["id"]
        if self.reads == "time":
            table["incremental"] = {"cursor": "u", "lag": f"{self.lag}h", "timezone": self.clock}
        elif self.reads == "number":
            table["incremental"] = {"cursor": "id", "initial": 0}
        if self.compares:
            table["deletes"] = "compare"
        return table


_EXTRACTS: Mapping[str, dict[str, Any]] = {
    "sql": {"type": "sql", "connection": "database"},
    "files": {"type": "files", "connection": "files"},
    "rest_api": {"type": "rest_api", "connection": "api", "paginator": {"type": "cursor", "cursor_path": "next"}},
}
_TABLES: Mapping[str, dict[str, Any]] = {
    "sql": {},
    "files": {"path": "%Y-%m-%d-*.ndjson", "format": {"type": "ndjson"}},
    "rest_api": {
        "path": "/rows",
        "records": "items",
        "params": {"since": "{{ window.start }}", "until": "{{ window.end }}"},
    },
}
KINDS: Mapping[str, Kind] = {
    "append by number": Kind("append", "number"),
    "append by time": Kind("append", "time", keyed=False),
    "append of files": Kind("append", "files", "files"),
    "merge by time": Kind("merge", "time", takes_null=True),
    "merge that follows deletes": Kind("merge", "time", takes_null=True, compares=True),
    "merge of files": Kind("merge", "files", "files"),
    "merge over an API": Kind("merge", "time", "rest_api"),
    "replace": Kind("replace", "all"),
    "scd2 by snapshot": Kind("scd2", "files", "files"),
    "scd2 by cursor": Kind("scd2", "time", clock="America/New_York"),
}
