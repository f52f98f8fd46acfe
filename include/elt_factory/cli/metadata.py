"""Where Airflow's metadata is: a SQLite file in its home, or the PostgreSQL database that `elt up` was last given."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from elt_factory.core.extras import needs
from elt_factory.core.failures import ServiceError, redact
from elt_factory.core.private import private_files

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

_FILE = "metadata_url"
SQLITE = "SQLite"
_LOCK_SECONDS = 120
_EXAMPLE = "postgresql://airflow@127.0.0.1/airflow"


def metadata_url(home: Path) -> str:
    """Return where Airflow's metadata is.

    A SQLite file is waited for as long as it takes: Airflow keeps it in write-ahead mode, in which who reads keeps no
    one waiting, but two that write take turns, and by default the second gives up after five seconds. The asynchronous
    engine takes its settings from the same URL.
    """
    chosen = home / _FILE
    if chosen.exists():
        return chosen.read_text(encoding="utf-8").strip()
    return f"sqlite:///{home / 'airflow.db'}?timeout={_LOCK_SECONDS}"


def shown(home: Path) -> str:
    """Return where the metadata is, for people: without a password."""
    if not (home / _FILE).exists():
        return SQLITE
    from sqlalchemy.engine import make_url

    url = make_url(metadata_url(home))
    return f"PostgreSQL at {url.host or 'localhost'}:{url.port or 5432}, database {url.database}"


def use_postgres(home: Path, text: str) -> None:
    """Keep the metadata in a database of PostgreSQL from now on, which is created where it does not exist.

    Raises:
        ServiceError: the URL is not one of PostgreSQL, or the server refuses.
    """
    url = _url(text)
    with needs("postgres", "--postgres"):
        import psycopg
    try:
        _create_missing(url)
    except psycopg.Error as error:
        reason = redact(" ".join(str(error).split()))
        raise ServiceError(
            f"{url.render_as_string()}: {reason}; hint: check the URL and that the server runs"
        ) from None
    with private_files():
        home.mkdir(parents=True, exist_ok=True)
        (home / _FILE).unlink(missing_ok=True)
        # the password, where there is one: its file is its writer's alone
        (home / _FILE).write_text(url.render_as_string(hide_password=False), encoding="utf-8")


def use_sqlite(home: Path) -> None:
    """Keep the metadata in the SQLite file of Airflow's home from now on."""
    (home / _FILE).unlink(missing_ok=True)


def _url(text: str) -> URL:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ServiceError(f"invalid URL for --postgres; hint: write {_EXAMPLE}") from None
    if url.drivername not in ("postgresql", "postgres") or not url.database:
        raise ServiceError(f"{url.render_as_string()} does not name a database of PostgreSQL; hint: write {_EXAMPLE}")
    return url.set(drivername="postgresql")


def _create_missing(url: URL) -> None:
    import psycopg
    from psycopg.sql import SQL, Identifier

    try:
        psycopg.connect(url.render_as_string(hide_password=False)).close()
    except psycopg.OperationalError:
        # of a server that is away or refuses the user this raises the same again
        server = url.set(database="postgres").render_as_string(hide_password=False)
        with closing(psycopg.connect(server, autocommit=True)) as connection:
            named = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [url.database])
            if named.fetchone():
                raise
            connection.execute(SQL("CREATE DATABASE {}").format(Identifier(url.database or "")))
