"""From an Airflow connection to the address that SQLAlchemy opens."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa

from elt_factory.config.errors import near_name
from elt_factory.core.connection import Connection
from elt_factory.core.failures import BadRequestError, SourceNotReadyError
from elt_factory.extract.label import TableLabel

_MYSQL = frozenset({"mysql", "mariadb"})
_DRIVERS: Mapping[str, str] = {"mssql": "mssql+mssqlpython", "oracle": "oracle+oracledb"}
# keywords of its connection strings that an extra may have
_OF_SQL_SERVER = frozenset(
    {
        "encrypt",
        "trustservercertificate",
        "authentication",
        "applicationintent",
        "multisubnetfailover",
        "hostnameincertificate",
    }
)


def url_of(connection: Connection, project: Path, label: TableLabel) -> sa.URL:
    """Return the address of a database.

    Raises:
        BadRequestError: the connection lacks what it needs.
        SourceNotReadyError: a SQLite file is not there.
    """
    if connection.conn_type == "sqlite":
        return _sqlite_url(connection, project, label)
    if not connection.host:
        raise label.error(BadRequestError, f'the connection "{connection.conn_id}" has no host', "set one")
    return sa.URL.create(
        _driver(connection.conn_type),
        username=connection.login,
        password=connection.password,
        host=connection.host,
        port=connection.port,
        database=_database(connection, label),
        query=_options(connection, label),
    )


def not_through_silence(url: sa.URL, silence: timedelta) -> sa.URL:
    """Return the address with the longest time that a driver waits for the next byte, unless its options say one."""
    if url.get_backend_name() not in _MYSQL or "read_timeout" in url.query:
        return url
    return url.update_query_dict({"read_timeout": str(max(1, int(silence.total_seconds())))})


def _driver(conn_type: str) -> str:
    if conn_type in _MYSQL and find_spec("MySQLdb") is None:
        return f"{conn_type}+pymysql"
    return _DRIVERS.get(conn_type, conn_type)


def _database(connection: Connection, label: TableLabel) -> str | None:
    """Return the database's name; Oracle's is a service, or where the extra says so a SID."""
    if connection.conn_type != "oracle":
        return connection.schema
    sid, service = (connection.extra.get(name) for name in ("sid", "service_name"))
    if not (sid or service or connection.schema):
        text = f'the connection "{connection.conn_id}" names no service'
        raise label.error(BadRequestError, text, "set the schema, or service_name or sid in the extra")
    return str(sid) if sid else None


def _options(connection: Connection, label: TableLabel) -> dict[str, str]:
    """Return what the address has behind its question mark."""
    given = connection.extra.get("sqlalchemy_query", {})
    if not isinstance(given, Mapping):
        text = f'sqlalchemy_query in the extra of "{connection.conn_id}" is not a mapping'
        raise label.error(BadRequestError, text, 'write it as {"sqlalchemy_query": {"name": "value"}}')
    options = {str(name): str(value) for name, value in given.items()}
    if connection.conn_type in _MYSQL:
        return {"charset": "utf8mb4", **options}
    if connection.conn_type == "mssql":
        named = {name: _word(value) for name, value in connection.extra.items() if name.lower() in _OF_SQL_SERVER}
        return {**named, **options}
    if connection.conn_type == "oracle" and not connection.extra.get("sid"):
        return {"service_name": str(connection.extra.get("service_name") or connection.schema), **options}
    return options


def _word(value: object) -> str:
    """Return a value as SQL Server's connection strings have it: yes and no, not True and False."""
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def file_of(connection: Connection, project: Path, label: TableLabel, kind: str) -> Path:
    """Return the file of a database that is one.

    Raises:
        BadRequestError: the connection names none.
        SourceNotReadyError: it is not there.
    """
    named = connection.host or connection.schema
    if not named:
        text = f'the connection "{connection.conn_id}" has no {kind} file'
        raise label.error(BadRequestError, text, "set its path as the host")
    file = (project / named).absolute()
    if not file.is_file():
        there = [entry.name for entry in file.parent.iterdir()] if file.parent.is_dir() else []
        text = f"{kind} file {file} does not exist"
        raise label.error(SourceNotReadyError, text, near_name(file.name, there))
    return file


def _sqlite_url(connection: Connection, project: Path, label: TableLabel) -> sa.URL:
    file = file_of(connection, project, label, "SQLite")
    # without mode=ro SQLite makes an empty database of a name that it does not find
    return sa.URL.create("sqlite", database=f"file:{quote(str(file))}", query={"mode": "ro", "uri": "true"})
