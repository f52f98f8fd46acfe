"""From an Airflow connection to the address that SQLAlchemy opens."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa

from elt_factory.config.errors import near_name
from elt_factory.core.connection import Connection
from elt_factory.core.failures import BadRequestError, SourceNotReadyError
from elt_factory.extract.subject import Subject

_MYSQL = frozenset({"mysql", "mariadb"})


def url_of(connection: Connection, project: Path, subject: Subject) -> sa.URL:
    """Return the address of a database.

    Raises:
        BadRequestError: the connection lacks what it needs.
        SourceNotReadyError: a SQLite file is not there.
    """
    if connection.conn_type == "sqlite":
        return _sqlite_url(connection, project, subject)
    if not connection.host:
        raise subject.error(BadRequestError, f'the connection "{connection.conn_id}" has no host', "set one")
    return sa.URL.create(
        _driver(connection.conn_type),
        username=connection.login,
        password=connection.password,
        host=connection.host,
        port=connection.port,
        database=connection.schema,
        query={"charset": "utf8mb4"} if connection.conn_type in _MYSQL else {},
    )


def _driver(conn_type: str) -> str:
    if conn_type in _MYSQL and find_spec("MySQLdb") is None:
        return f"{conn_type}+pymysql"
    return conn_type


def _sqlite_url(connection: Connection, project: Path, subject: Subject) -> sa.URL:
    named = connection.host or connection.schema
    if not named:
        text = f'the connection "{connection.conn_id}" has no SQLite file'
        raise subject.error(BadRequestError, text, "set its path as the host")
    file = (project / named).absolute()
    if not file.is_file():
        there = [entry.name for entry in file.parent.iterdir()] if file.parent.is_dir() else []
        text = f"SQLite file {file} does not exist"
        raise subject.error(SourceNotReadyError, text, near_name(file.name, there))
    # without mode=ro SQLite makes an empty database of a name that it does not find
    return sa.URL.create("sqlite", database=f"file:{quote(str(file))}", query={"mode": "ro", "uri": "true"})
