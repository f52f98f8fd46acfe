"""A look at tables of DynamoDB: some items of each, and their keys."""

from __future__ import annotations

from pathlib import Path

from elt_factory.config.errors import near_name
from elt_factory.core.failures import BadRequestError, PermanentError
from elt_factory.discover.found import Guess, SkippedTable, SourceFound, TableFound
from elt_factory.discover.periods import sane_name
from elt_factory.discover.sample import LOOKED_AT, config_of_look, look_at, sample_of
from elt_factory.discover.table import Ground, named_apart, table_of
from elt_factory.extract.label import TableLabel, secrets_of
from elt_factory.sources.dynamodb.client import client_of, names_of, spoken
from elt_factory.sources.dynamodb.model import DynamoDbSource
from elt_factory.sources.dynamodb.reader import read
from elt_factory.sources.kind import Wish


def look_at_tables(wish: Wish, workdir: Path) -> SourceFound:
    """Return what the tables hold. One that cannot be read is left out.

    Raises:
        EltError: DynamoDB cannot be reached, a table is not there, or none can be read.
    """
    label = TableLabel(wish.name, "tables", secrets_of(wish.connection))
    client = client_of(wish.connection, label)
    with spoken(client, "", label):
        there = names_of(client)
    for name in wish.tables:
        if name not in there:
            raise BadRequestError(f'unknown table "{name}"; {near_name(name, there)}')
    tables, skipped = list[TableFound](), list[SkippedTable]()
    for place, name in enumerate(wish.tables or there):
        scratch = workdir / str(place)
        scratch.mkdir()
        try:
            with spoken(client, name, label):
                described = client.describe_table(TableName=name)["Table"]
            tables.append(_table(wish, described, scratch))
        except PermanentError as error:
            skipped.append(SkippedTable(name, str(error)))
    if not tables:
        raise BadRequestError(skipped[0].reason if skipped else "no tables found in this region")
    holds = "an Airflow connection holds region and credentials"
    extract = {"type": Guess("dynamodb", ""), "connection": Guess(wish.connection.conn_id, holds)}
    return SourceFound(extract, named_apart(tables, "table", "name in DynamoDB"), skipped=skipped)


def _table(wish: Wish, described: dict[str, object], workdir: Path) -> TableFound:
    name = str(described["TableName"])
    tables = {LOOKED_AT: {"table": name, "write_disposition": "replace"}}
    extract = {"type": "dynamodb", "connection": wish.connection.conn_id, "segments": 1}
    source = config_of_look(DynamoDbSource, {"name": wish.name, "extract": extract, "tables": tables})
    request = look_at(source, wish.connection, wish.project, workdir)
    sample = sample_of(read(request))
    plain = sane_name(name) or "records"
    schema = described["KeySchema"]
    keys = tuple(str(key["AttributeName"]) for key in schema) if isinstance(schema, list) else ()
    return table_of(sample, Ground(plain, key=keys, whole=True, cursors=False, origin=name))
