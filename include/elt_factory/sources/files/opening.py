"""From a folder in a config and an Airflow connection to the store that has it."""

from __future__ import annotations

from pathlib import Path

from elt_factory.core.connection import Connection
from elt_factory.core.failures import AccessDeniedError
from elt_factory.core.stores import OBJECT_STORES, address_of, is_url
from elt_factory.sources.files.bucket import BucketStore
from elt_factory.sources.files.local import LocalStore, source_folder
from elt_factory.sources.files.store import Store
from elt_factory.storage.opening import open_objects


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
    if connection and connection.conn_type != "fs":
        raise AccessDeniedError(
            f'the connection "{connection.conn_id}" has the type "{connection.conn_type}"; a folder needs type fs'
        )
    return LocalStore(source_folder(connection, folder, project))


def _remote(url: str, connection: Connection | None) -> Store:
    scheme = address_of(url).scheme
    if scheme in OBJECT_STORES:
        return BucketStore(open_objects(url, connection, f"a folder in {scheme}://"))
    raise AccessDeniedError(f"unsupported folder {url}")
