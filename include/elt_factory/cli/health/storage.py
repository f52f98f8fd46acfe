"""Where data go: the landing, the warehouse's folder, scratch space, and what is free on their disks."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from elt_factory.cli.health.found import Found, Status
from elt_factory.core.disk import free_bytes, nearest
from elt_factory.core.private import chosen_umask, own_root, require_own
from elt_factory.core.project import project_root
from elt_factory.dag.runtime import get_connection, landing_root
from elt_factory.landing.places import LocalPlace
from elt_factory.warehouse.duckdb.warehouse import duckdb_path
from elt_factory.warehouse.opening import CONNECTION_ID

LITTLE, TOO_LITTLE = 1_000_000_000, 100_000_000  # bytes
_PROBE = "elt-doctor"


def landing() -> Iterator[Found]:
    """Write a file where landings go, and take it away."""
    place = landing_root()
    if isinstance(place, LocalPlace):
        yield from _written("landing", place.folder) or _private("landing", place.folder)
        return
    name = f"{_PROBE}-{os.getpid()}"
    place.write(name, b"")
    place.remove([name])
    yield Found("landing", "ok", str(place))


def warehouse_folder() -> Iterator[Found]:
    """Write a file into the folder of a DuckDB warehouse, or into the one that it will be made in."""
    connection = get_connection(CONNECTION_ID)
    if connection.conn_type == "duckdb":
        folder = duckdb_path(connection, project_root()).parent
        yield from _written("folder", folder) or _private("folder", folder)


def scratch() -> Iterator[Found]:
    """Write a file where tasks keep what they read until it is landed; each makes a folder of its own there."""
    folder = Path(tempfile.gettempdir())
    if own_root().exists():
        require_own(own_root())
    yield from _written("scratch", folder) or [Found("scratch", "ok", str(folder))]


def disk() -> Iterator[Found]:
    """Look at what is free where data go."""
    free = {folder: free_bytes(folder) for folder in _folders()}
    for folder, left in free.items():
        if left < LITTLE:
            status: Status = "error" if left < TOO_LITTLE else "warning"
            found = f"{left / 1e6:,.0f} MB free for {folder}"
            yield Found("disk", status, found, "free some space, or move the folder to a larger disk")
    if min(free.values()) >= LITTLE:
        yield Found("disk", "ok", f"{min(free.values()) / 1e9:,.1f} GB free")


def _folders() -> Iterator[Path]:
    yield Path(tempfile.gettempdir())
    place = landing_root()
    if isinstance(place, LocalPlace):
        yield place.folder
    connection = get_connection(CONNECTION_ID)
    if connection.conn_type == "duckdb":
        yield duckdb_path(connection, project_root()).parent


def _written(what: str, folder: Path) -> list[Found]:
    """Return what keeps this user from writing into a folder, or into the one above it where it is not there yet."""
    try:
        with tempfile.TemporaryFile(dir=nearest(folder)):
            return []
    except OSError as error:
        hint = "give the user that runs Airflow's tasks the right to write there"
        return [Found(what, "error", f"cannot write to {nearest(folder)}: {error.strerror}", hint)]


def _private(what: str, folder: Path) -> list[Found]:
    """Return how a folder that holds data is: a warning where it shows them to more users than it should."""
    shown = folder.stat().st_mode & chosen_umask() & 0o077 if folder.exists() else 0
    if shown:
        hint = f"chmod {'o' if chosen_umask() & 0o070 == 0 else 'go'}-rwx {folder}"
        return [Found(what, "warning", f"other users of this machine may enter {folder}", hint)]
    return [Found(what, "ok", str(folder))]
