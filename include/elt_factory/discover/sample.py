"""Real records as a sample: typed by the contract's own finding, the values as text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from elt_factory.config.models.table import Table, loaded_name
from elt_factory.config.models.values import ColumnType
from elt_factory.core.failures import BadDataError, BadRequestError
from elt_factory.core.sql_text import identifier
from elt_factory.core.window import Window
from elt_factory.discover.found import Sample
from elt_factory.discover.keys import key_candidates
from elt_factory.extract.request import ReadRequest, Spool

if TYPE_CHECKING:
    import duckdb

    from elt_factory.config.models.source import Source
    from elt_factory.core.connection import Connection
    from elt_factory.landing.planned import ContractPlan, PlannedColumn

Config = TypeVar("Config", bound=BaseModel)

MOST_RECORDS = 5000
LOOKED_AT = "looked_at"  # the table of a source that is made for a look


def config_of_look(model: type[Config], about: Mapping[str, Any]) -> Config:
    """Return the config of a source that is made for a look.

    Raises:
        BadRequestError: a name of the source cannot be in a config, as one that looks like a template.
    """
    try:
        return model.model_validate(about)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False)[0]
        raise BadRequestError(f"a config cannot name it: {found['msg']} ({found['input']!r:.60})") from None


def look_at(source: Source, connection: Connection, project: Path, workdir: Path) -> ReadRequest:
    """Return the request for the first records of the table `looked_at` of a source, of the last day."""
    now = datetime.now(UTC)
    return ReadRequest(
        source=source,
        table=LOOKED_AT,
        window=Window(now - timedelta(days=1), now),
        load_id="look",
        connection=connection,
        workdir=workdir,
        project=project,
        log=lambda _: None,
        most_rows=MOST_RECORDS,
    )


def sample_of(spool: Spool) -> Sample:
    """Return a spool's types, by all of its records, and its first rows.

    Raises:
        ContractError: a column's name cannot be used.
        BadDataError: the records cannot be parsed.
    """
    import duckdb

    from elt_factory.landing import memory

    with _own_errors(), duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        memory.set_limit(connection)
        return _sample(connection, spool) if spool.format != "ndjson" else _sample_of_lines(connection, spool)


def _sample_of_lines(connection: duckdb.DuckDBPyConnection, spool: Spool) -> Sample:
    """Return the sample of NDJSON: lines that are not records are left out, as a load rejects them."""
    import duckdb

    from elt_factory.landing.lines import BrokenLinesError, offer
    from elt_factory.landing.schema import UnfitNameError
    from elt_factory.landing.sifting import sift

    try:
        offer(connection, spool.files)
        return _sample(connection, spool)
    except (duckdb.InvalidInputException, UnfitNameError, BrokenLinesError):
        with TemporaryDirectory() as folder:
            sifted = sift(connection, spool, Path(folder)).spool
            if not any(file.stat().st_size for file in sifted.files):
                raise
            offer(connection, sifted.files)
            return _sample(connection, sifted)


def _sample(connection: duckdb.DuckDBPyConnection, spool: Spool) -> Sample:
    from elt_factory.landing.found import find_columns, raw_relations
    from elt_factory.landing.numbers import Signs
    from elt_factory.landing.parquet_groups import in_groups
    from elt_factory.landing.schema import KnownTable, plan_contract

    known = KnownTable("sample", "sample", Table(), None)
    spool = in_groups(connection, spool, known.label)
    found = {**find_columns(connection, known, spool)}
    if not found:
        return Sample({}, [])
    found |= {loaded_name(name): kind for name, kind in spool.types.items() if loaded_name(name) in found}
    plan, _ = plan_contract(known, found)
    if not plan.columns:
        return Sample(found, [], 0)
    relations = raw_relations(connection, spool, plan)
    relation = f"({' UNION ALL '.join(f'FROM {one}' for one in relations)})"
    unlike = _unlike(connection, relation, replace(plan, signs=Signs.of(spool.csv)))
    if unlike:
        # what the values are is found in them where the declared type does not hold all of them
        open_types = {name: kind for name, kind in spool.types.items() if loaded_name(name) not in unlike}
        found |= {
            n: k for n, k in find_columns(connection, known, replace(spool, types=open_types)).items() if n in unlike
        }
    rows = connection.execute(f"SELECT * FROM {relation} LIMIT {MOST_RECORDS}").fetchall()
    place = {name: index for index, name in enumerate(plan.raw_columns)}
    some = [tuple(row[place[name]] if name in place else None for name in found) for row in rows]
    sample = Sample(found, some, len(some), unlike=unlike)
    return sample if len(some) < MOST_RECORDS else _looked_through(connection, relation, sample)


@contextmanager
def _own_errors() -> Iterator[None]:
    """DuckDB's errors as those that a run has: a file of another encoding, records that are not what the file says."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        raise BadDataError(f"cannot read the records: {str(error).strip().splitlines()[0]}") from error


def _unlike(connection: duckdb.DuckDBPyConnection, relation: str, plan: ContractPlan) -> dict[str, str]:
    """Columns with values that their type does not hold, and how many."""
    from elt_factory.landing.casting import cast_text

    tests = [
        f"count({identifier(column.name)}) - count({cast_text(_number(column, plan), column.type)})"
        for column in plan.columns
    ]
    row = connection.execute(f"SELECT {', '.join(tests)} FROM {relation}").fetchall()[0]
    return {
        column.name: f"declared as {column.type}, but {count:,} values do not fit"
        for column, count in zip(plan.columns, row, strict=True)
        if count
    }


def _number(column: PlannedColumn, plan: ContractPlan) -> str:
    name = identifier(column.name)
    return plan.signs.plain(name) if plan.signs and plan.signs.takes(column.type) else name


def _looked_through(connection: duckdb.DuckDBPyConnection, relation: str, sample: Sample) -> Sample:
    """Return the sample with the number of all records, and the keys that hold for them too."""
    total = int(connection.execute(f"SELECT count(*) FROM {relation}").fetchall()[0][0])
    return replace(
        sample,
        total=total,
        keys=[key for key in key_candidates(sample) if _distinct(connection, relation, key) == total],
    )


def _distinct(connection: duckdb.DuckDBPyConnection, relation: str, key: tuple[str, ...]) -> int:
    columns = [identifier(name) for name in key]
    there = " AND ".join(f"{name} IS NOT NULL" for name in columns)
    counted = f"SELECT count(*) FROM (SELECT DISTINCT {', '.join(columns)} FROM {relation} WHERE {there})"
    return int(connection.execute(counted).fetchall()[0][0])


def spool_of(records: Iterable[Mapping[str, Any]], folder: Path, types: Mapping[str, ColumnType]) -> Spool:
    """Return records as a file for `sample_of`; values that JSON does not have become text."""
    file = folder / "sample.ndjson"
    lines = [json.dumps(record, default=str) for record in records]
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return Spool("ndjson", (file,), len(lines), types)
