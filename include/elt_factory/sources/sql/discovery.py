"""A look at tables of a SQL database: its catalogue, some rows of each as a run reads them, the ends of cursors."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from elt_factory.config.errors import near_name
from elt_factory.core.connection import Connection
from elt_factory.core.failures import BadRequestError, PermanentError
from elt_factory.discover.beginnings import beginnings_of
from elt_factory.discover.found import Guess, SkippedTable, SourceFound, TableFound
from elt_factory.discover.periods import sane_name
from elt_factory.discover.sample import LOOKED_AT, config_of_look, look_at, sample_of
from elt_factory.discover.table import Ground, named_apart, table_of
from elt_factory.extract.label import TableLabel, secrets_of
from elt_factory.extract.request import ReadRequest
from elt_factory.sources.sql import reader as sql
from elt_factory.sources.sql.origin import Origin

if TYPE_CHECKING:
    from elt_factory.sources.sql.described import Listed

_SHOWN = 5
_AT_ONCE = 4  # tables, each with a connection of its own


@dataclass(frozen=True)
class Tables:
    """What to look at: tables of the database behind a connection; none named: all of the schema."""

    connection: Connection
    name: str
    names: Sequence[str]
    schema: str | None
    project: Path


def look_at_tables(wanted: Tables, workdir: Path) -> SourceFound:
    """Return what the tables hold. A table that cannot be read, or not by this login, is left out for the others.

    Raises:
        EltError: the database cannot be reached, a table is not there, or none can be read.
    """
    label = TableLabel(wanted.name, "tables", secrets_of(wanted.connection))
    listed = _chosen(wanted, sql.catalogue(wanted.connection, wanted.project, wanted.schema, label))
    scratches = [workdir / str(place) for place in range(len(listed))]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = list(pool.map(partial(_table_or_why, wanted), listed, scratches))
    tables = [one for one in found if isinstance(one, TableFound)]
    skipped = [one for one in found if isinstance(one, SkippedTable)]
    if not tables:
        raise BadRequestError(f"no readable table: {skipped[0].reason}")
    extract = {
        "type": Guess("sql", ""),
        "connection": Guess(wanted.connection.conn_id, "an Airflow connection holds the address and credentials"),
    }
    if wanted.schema:
        extract["schema"] = Guess(json.dumps(wanted.schema), "")
    return SourceFound(extract, named_apart(tables, "table", "name in the database"), skipped=skipped)


def _table_or_why(wanted: Tables, one: Listed, workdir: Path) -> TableFound | SkippedTable:
    workdir.mkdir()
    try:
        return _table(wanted, one, workdir)
    except PermanentError as error:
        return SkippedTable(one.name, str(error))


def _chosen(wanted: Tables, listed: Sequence[Listed]) -> list[Listed]:
    by_name = {one.name: one for one in listed}
    meant = dict.fromkeys(name for asked in wanted.names for name in _meant(asked, by_name))
    chosen = [by_name[name] for name in meant] or [one for one in listed if not one.is_view]
    if not chosen:
        raise BadRequestError("no tables found; hint: choose another schema with --schema")
    return chosen


def _meant(asked: str, names: Iterable[str]) -> list[str]:
    """Return the tables that a name, or a pattern such as `sales_*`, means.

    Raises:
        BadRequestError: there is none.
    """
    there = list(names)
    if asked in there:
        return [asked]
    found = [name for name in there if fnmatchcase(name, asked)]
    if not found and set(asked) & set("*?["):
        raise BadRequestError(f'no table matches "{asked}"; hint: there are {", ".join(there[:_SHOWN])}')
    if not found:
        raise BadRequestError(f'unknown table "{asked}"; {near_name(asked, there)}')
    return found


def _table(wanted: Tables, one: Listed, workdir: Path) -> TableFound:
    spool = sql.read(_request(wanted, one, workdir))
    sample = sample_of(spool)
    plain = sane_name(one.name) or "records"
    # a key may be empty in SQLite
    key = one.key if all(name in sample.types and None not in sample.values(name) for name in one.key) else ()
    beginnings = beginnings_of(sample, partial(_ends_of, wanted, one))
    ground = Ground(plain, key=key, whole=True, deletes=True, beginnings=beginnings, origin=one.name)
    return table_of(sample, ground)


def _request(wanted: Tables, one: Listed, workdir: Path) -> ReadRequest:
    from elt_factory.sources.sql.model import SqlSource

    extract = {"type": "sql", "connection": wanted.connection.conn_id}
    extract |= {"schema": wanted.schema} if wanted.schema else {}
    tables = {LOOKED_AT: {"table": one.name}}
    source = config_of_look(SqlSource, {"name": wanted.name, "extract": extract, "tables": tables})
    return look_at(source, wanted.connection, wanted.project, workdir)


def _ends_of(wanted: Tables, one: Listed, column: str) -> tuple[str | None, str | None]:
    label = TableLabel(wanted.name, one.name, secrets_of(wanted.connection))
    return sql.ends_of(wanted.connection, wanted.project, Origin(one.name, wanted.schema), column, label)
