"""From a folder in a config and an Airflow connection to the store that has it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from elt_factory.core.connection import Connection
from elt_factory.core.failures import AccessDeniedError
from elt_factory.core.stores import FOLDER_TYPES, OBJECT_STORES, SFTP, WEB, address_of, is_url
from elt_factory.sources.files.bucket import BucketStore
from elt_factory.sources.files.local import LocalStore, source_folder
from elt_factory.sources.files.sftp import SftpStore, place_of
from elt_factory.sources.files.store import Store
from elt_factory.storage.opening import open_objects

_WEB = ("http", "https")


def open_store(folder: str | None, connection: Connection | None, project: Path) -> Store:
    """Return the store of a folder.

    Args:
        folder: What the config says: a URL, or a folder below the connection's path or the project.
        connection: The connection.
        project: The project's folder.

    Raises:
        AccessDeniedError: the connection has a type that does not fit.
        BadRequestError: a folder that leads somewhere else.
        MissingExtraError: the store's package is not installed.
    """
    if folder and is_url(folder):
        return _remote(folder, connection)
    if connection and connection.conn_type in SFTP.conn_types:
        below = PurePosixPath(str(connection.extra.get("path") or "")) / (folder or "")
        return SftpStore(place_of("", str(below) if below.parts else "", connection))
    if connection and connection.conn_type in WEB.conn_types:
        return _web(connection, folder or "")
    if connection and connection.conn_type not in FOLDER_TYPES:
        raise _misfit(connection, "a folder", FOLDER_TYPES)
    return LocalStore(source_folder(connection, folder, project))


def _remote(url: str, connection: Connection | None) -> Store:
    address = address_of(url)
    user = f"a folder in {address.scheme}://"
    if address.scheme in OBJECT_STORES:
        return BucketStore(open_objects(url, connection, user))
    if address.scheme in _WEB:
        if connection and connection.conn_type not in WEB.conn_types:
            raise _misfit(connection, user, WEB.conn_types)
        return _web_address(url, connection)
    if connection is None:
        raise AccessDeniedError(f"{user} needs a connection of type {' or '.join(SFTP.conn_types)}")
    if connection.conn_type not in SFTP.conn_types:
        raise _misfit(connection, user, SFTP.conn_types)
    return SftpStore(place_of(address.host, f"/{address.path}", connection))


def _web(connection: Connection, folder: str) -> Store:
    # its client takes longer to import than most folders to read
    from elt_factory.sources.files.web import WebStore

    return WebStore(connection, folder)


def _web_address(url: str, connection: Connection | None) -> Store:
    from elt_factory.sources.files.web import place_of as web_place

    return _web(*web_place(url, connection))


def _misfit(connection: Connection, user: str, types: Sequence[str]) -> AccessDeniedError:
    return AccessDeniedError(
        f'the connection "{connection.conn_id}" has the type "{connection.conn_type}"; '
        f"{user} needs type {' or '.join(types)}"
    )
