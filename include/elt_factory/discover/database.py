"""A look at tables of a SQL database: its catalogue and some rows of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elt_factory.config.errors import near_name
from elt_factory.discover.found import Guess, SourceFound, TableFound
from elt_factory.discover.periods import sane_name
from elt_factory.discover.sample import MOST_RECORDS, sample_of, spool_of
from elt_factory.discover.table import Ground, named_apart, table_of
from elt_factory.extract.request import Connection
from elt_factory.extract.subject import Subject, secrets_of
from elt_factory.failures import BadRequestError, SourceUnavailableError

if TYPE_CHECKING:
    import sqlalchemy as sa

_POSTGRES = ("postgres", "postgresql")


@dataclass(frozen=True)
class Tables:
    """What to look at: tables of the database behind a connection; none named: all of the schema."""

    connection: Connection
    name: str
    names: Sequence[str]
    schema: str | None
    project: Path


def look_at_tables(wanted: Tables, workdir: Path) -> SourceFound:
    """What the tables hold.

    Raises:
        EltError: the database cannot be reached, or a table is not there.
    """
    import sqlalchemy as sa

    with _opened(wanted) as database:
        inspector = sa.inspect(database)
        there = [*inspector.get_table_names(wanted.schema), *inspector.get_view_names(wanted.schema)]
        missing = [name for name in wanted.names if name not in there]
        if missing:
            raise BadRequestError(f'there is no table "{missing[0]}"; {near_name(missing[0], there)}')
        names = list(wanted.names) or sorted(inspector.get_table_names(wanted.schema))
        if not names:
            raise BadRequestError("there are no tables; mend: name another schema with --schema")
        tables = named_apart([_table(database, inspector, wanted, name, workdir) for name in names])
    extract = {
        "type": Guess("sql", ""),
        "connection": Guess(wanted.connection.conn_id, "an Airflow connection holds the address and the secret"),
    }
    if wanted.schema:
        extract["schema"] = Guess(wanted.schema, "")
    return SourceFound(extract, tables)


def _table(database: sa.Connection, inspector: Any, wanted: Tables, name: str, workdir: Path) -> TableFound:
    import sqlalchemy as sa

    from elt_factory.extract import sqlite
    from elt_factory.extract.database_types import type_of

    typed = sqlite.known if wanted.connection.conn_type == "sqlite" else type_of
    columns = inspector.get_columns(name, wanted.schema)
    types = {column["name"]: kind for column in columns if (kind := typed(column["type"])) is not None}
    place = sa.table(name, *(sa.column(column["name"]) for column in columns), schema=wanted.schema)
    rows = database.execute(sa.select(place).limit(MOST_RECORDS)).mappings().all()
    sample = sample_of(spool_of([dict(row) for row in rows], workdir, types))
    key = tuple(inspector.get_pk_constraint(name, wanted.schema).get("constrained_columns") or ())
    plain = sane_name(name) or "records"
    lines = {"table": Guess(_quoted(name), "its name in the database")} if plain != name else {}
    return table_of(sample, Ground(plain, lines, key, whole=True))


@contextmanager
def _opened(wanted: Tables) -> Iterator[sa.Connection]:
    import sqlalchemy as sa

    subject = Subject(wanted.name, "tables", secrets_of(wanted.connection))
    try:
        with sa.create_engine(_url(wanted, subject)).connect() as database:
            yield database
    except sa.exc.SQLAlchemyError as error:
        # the driver's own error may hold the connection with its password
        text = " ".join(str(error).split())[:300]
        raise subject.error(SourceUnavailableError, text, "check the connection") from None


def _url(wanted: Tables, subject: Subject) -> sa.URL:
    import sqlalchemy as sa

    from elt_factory.extract.database_url import url_of

    connection = wanted.connection
    if connection.conn_type not in _POSTGRES:
        return url_of(connection, wanted.project, subject)
    return sa.URL.create(
        "postgresql+psycopg",
        username=connection.login,
        password=connection.password,
        host=connection.host,
        port=connection.port,
        database=connection.schema,
    )


def _quoted(name: str) -> str:
    import json

    return json.dumps(name)
