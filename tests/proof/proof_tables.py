"""What the warehouse says, as anybody may read it, in the words of the model."""

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import proof_model as model
from proof_source import FIRST


@dataclass(frozen=True)
class Tables:
    """`rows` are each what is seen of a row, since when and until when it holds in a history, and its load.

    `commits` and `kept` are how many rows the logs of loads and of rejects have, to which rows are only added.
    """

    rows: list[Any] = field(default_factory=list)
    loads: dict[str, dict[str, Any]] = field(default_factory=dict)
    rejects: list[tuple[str, str]] = field(default_factory=list)
    commits: int = 0
    kept: int = 0

    def now(self, warehouse: duckdb.DuckDBPyConnection, clock: str) -> "Tables":
        """What they are by now; the views over the logs are asked where something was added to these."""
        found = [(_seen(row, clock), *_validity(row), row["_load_id"]) for row in _dicts(warehouse, "FROM src.tab")]
        rows = sorted(found, key=repr)
        [[commits, kept]] = [[*row.values()] for row in _dicts(warehouse, _LOGS)] or [[0, 0]]
        if (commits, kept) == (self.commits, self.kept):
            return replace(self, rows=rows)
        loads = {row["load_id"]: row for row in _dicts(warehouse, "FROM _elt.loads")}
        rejects = [(row["load_id"], json.loads(row["record"])["n"]) for row in _dicts(warehouse, "FROM _elt.rejects")]
        return Tables(rows, loads, rejects, commits, kept)


_LOGS = "SELECT (SELECT count(*) FROM _elt.load_log) AS loads, (SELECT count(*) FROM _elt.reject_log) AS rejects"


def _seen(row: dict[str, Any], clock: str) -> model.Seen:
    u = row.get("u")
    moment = (u if u.tzinfo else u.replace(tzinfo=ZoneInfo(clock))).astimezone(UTC) if u else None
    v = float(row["v"]) if row.get("v") is not None else None
    return (row["id"], _hours(moment), v, row.get("extra"))


def _validity(row: dict[str, Any]) -> tuple[Any, ...]:
    return (_hours(row["_valid_from"]), _hours(row["_valid_to"])) if "_valid_from" in row else ()


def _hours(moment: datetime | None) -> int | None:
    return None if moment is None else int((moment - FIRST).total_seconds() // 3600)


def _dicts(warehouse: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    try:
        answer = warehouse.execute(query)
    except duckdb.CatalogException:
        return []
    names = [column[0] for column in answer.description]
    return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]
