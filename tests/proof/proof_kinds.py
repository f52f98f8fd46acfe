"""The kinds of tables that the proof runs: every disposition, by each kind of cursor, behind each kind of reader."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from elt_factory.config.source import SOURCE_KINDS, Source

LAG = 6  # hours


@dataclass(frozen=True)
class Kind:
    """A table, and by what a window finds its rows: a cursor that is a time or a number, a day's file, or nothing."""

    disposition: Literal["append", "merge", "replace", "scd2"]
    reads: Literal["all", "files", "time", "number"]
    needs_api: bool = False
    takes_null: bool = False

    @property
    def versions(self) -> bool:
        return self.disposition == "scd2"

    @property
    def events(self) -> bool:
        """Whether the source keeps every state of a row, not only the last."""
        return self.versions and self.reads == "time"

    def config(self) -> Source:
        type_ = "files" if self.reads == "files" else "rest_api" if self.needs_api else "sql"
        about = {"name": "src", "extract": _EXTRACTS[type_], "tables": {"tab": {**self._table(), **_TABLES[type_]}}}
        return SOURCE_KINDS[type_].model_validate(about)

    def _table(self) -> dict[str, Any]:
        moment = "timestamp" if self.needs_api or self.reads == "files" else "datetime"
        table: dict[str, Any] = {
            "write_disposition": self.disposition,
            "primary_key": ["id"],
            "columns": {"n": {"type": "integer"}, "u": {"type": moment}},
        }
        if self.reads == "time":
            table["incremental"] = {"cursor": "u", "lag": f"{LAG}h"}
        elif self.reads == "number":
            table["incremental"] = {"cursor": "id", "initial": 0}
        return table


_EXTRACTS: Mapping[str, dict[str, Any]] = {
    "sql": {"type": "sql", "connection": "database"},
    "files": {"type": "files", "connection": "files"},
    "rest_api": {"type": "rest_api", "connection": "api", "paginator": {"type": "cursor", "cursor_path": "next"}},
}
_TABLES: Mapping[str, dict[str, Any]] = {
    "sql": {},
    "files": {"path": "%Y-%m-%d.ndjson", "format": {"type": "ndjson"}},
    "rest_api": {
        "path": "/rows",
        "records": "items",
        "params": {"since": "{{ window.start }}", "until": "{{ window.end }}"},
    },
}
KINDS: Mapping[str, Kind] = {
    "append by number": Kind("append", "number"),
    "append of files": Kind("append", "files"),
    "merge by time": Kind("merge", "time", takes_null=True),
    "merge of files": Kind("merge", "files"),
    "replace": Kind("replace", "all"),
    "scd2 by snapshot": Kind("scd2", "files"),
    "scd2 by cursor": Kind("scd2", "time"),
}
