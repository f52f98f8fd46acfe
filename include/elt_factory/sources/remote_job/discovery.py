"""What a config of a remote job needs, out of its ids and the tables in the warehouse."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from elt_factory.config.errors import near_name
from elt_factory.config.models.remote_jobs import REMOTE_JOBS
from elt_factory.config.models.values import ColumnType
from elt_factory.core.failures import BadRequestError
from elt_factory.discover.periods import sane_name
from elt_factory.sources.remote_job.description import RemoteJobKind

_TIMES = ("timestamp", "datetime")
_SAYS_WHEN = re.compile(r"load|sync|extract|ingest|insert|etl|batch", re.IGNORECASE)
_OF_THE_ROW = re.compile(r"create|update|modif|delete|valid", re.IGNORECASE)
Columns = Mapping[str, ColumnType]


@dataclass
class JobFound:
    """What `extract.job` and the tables say, and what a person has to look at, by table."""

    job: dict[str, Any]
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)


def look_at_job(asked: str, tables: Mapping[str, Columns | None]) -> JobFound:
    """Return what a config of a job says.

    Args:
        asked: The system, and the job's ids in the order of its keys: `airbyte:8c775d4c-...`, `dbt_cloud:1,2`.
        tables: The tables that it loads, as schema.table, with their columns; None for one that is not there yet.

    Raises:
        BadRequestError: the system is not known, ids are missing, or nothing says when a row was loaded.
    """
    name, _, ids = asked.partition(":")
    if name not in REMOTE_JOBS:
        raise BadRequestError(f'unknown system "{name}"; hint: {near_name(name, REMOTE_JOBS.names())}')
    kind = REMOTE_JOBS.get(name)
    found = JobFound({name: _ids(kind, ids)})
    for relation, columns in tables.items():
        table = sane_name(relation.rpartition(".")[2]) or "records"
        if table in found.tables:
            raise BadRequestError(f"two tables are called {table}; hint: write a config for each")
        found.tables[table] = _table(found, (table, relation), kind, columns)
    return found


def _ids(kind: RemoteJobKind, given: str) -> dict[str, Any]:
    """Return the keys of a job that have to be there; what they are called is the model's."""
    needed = [name for name, one in kind.model.model_fields.items() if one.is_required()]
    values = [one.strip() for one in _parts(given, len(needed))]
    if len(values) != len(needed) or not all(values):
        shown = ",".join(name.upper() for name in needed)
        raise BadRequestError(f"{kind.name} needs {', '.join(needed)}; hint: --job '{kind.name}:{shown}'")
    return {name: int(one) if one.isdecimal() else one for name, one in zip(needed, values, strict=True)}


def _parts(given: str, count: int) -> Sequence[str]:
    return [given] if count == 1 else given.split(",") if given else []


def _table(found: JobFound, named: tuple[str, str], kind: RemoteJobKind, columns: Columns | None) -> dict[str, Any]:
    table, relation = named
    made: dict[str, Any] = {"relation": relation}
    notes = found.notes.setdefault(table, [])
    if columns is None:
        if not kind.loaded_at:
            hint = "let the job load it once, and write the config then"
            raise BadRequestError(f"{relation} is not in the warehouse, and {kind.name} has no column; hint: {hint}")
        notes.append(f"{relation} is not in the warehouse yet: business_date and checks are missing")
        return made
    known = {name.casefold(): name for name in columns}
    when = known.get(kind.loaded_at.casefold()) if kind.loaded_at else None
    if when is None:
        made["loaded_at"] = when = _says_when(relation, columns)
        notes.append(f"loaded_at is {when} by its name")
    dates = [name for name, one in columns.items() if name != when and one.name == "date"]
    times = [name for name, one in columns.items() if name != when and one.name in _TIMES]
    several = dates or [name for name in times if not _OF_THE_ROW.search(name)]
    if several:
        made["business_date"] = several[0]
        others = f"; or {', '.join(several[1:])}" if several[1:] else ""
        notes.append(f"business_date is {several[0]} by its type{others}: it has to move with each window")
    else:
        notes.append("no column says when something happened: that new rows are there is all that is verified")
    return made


def _says_when(relation: str, columns: Columns) -> str:
    times = [name for name, one in columns.items() if one.name in _TIMES]
    found = [name for name in times if _SAYS_WHEN.search(name)]
    if not found:
        listed = f"its times are {', '.join(times)}" if times else "it has no time"
        hint = "create a view that has one, or write loaded_at: yourself"
        raise BadRequestError(f"{relation} has no column that says when a row was loaded: {listed}; hint: {hint}")
    return found[0]
