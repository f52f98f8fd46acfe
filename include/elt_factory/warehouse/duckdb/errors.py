"""What DuckDB raises about its own file, as our errors: a full disk, a damaged file, one that cannot be opened."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from elt_factory.core.disk import disk_full, is_full
from elt_factory.core.failures import (
    AccessDeniedError,
    EltError,
    WarehouseBusyError,
    WarehouseDamagedError,
    WarehouseUnavailableError,
)
from elt_factory.warehouse.base import StatementError

if TYPE_CHECKING:
    import duckdb

_DAMAGED = re.compile(
    r"corrupt database file|not a valid duckdb database|could not read enough bytes|replaying wal|"
    r"failed to deserialize|database has been invalidated",
    re.IGNORECASE,
)
# a file is a database that is called by its name without the ending
_TWO_MEANINGS = re.compile(r'ambiguous reference to catalog or schema "(.+?)"', re.IGNORECASE)
_OTHER_VERSION = re.compile(r"(older|newer) version of duckdb|version number", re.IGNORECASE)


@contextmanager
def translated(file: Path, but: str = "") -> Iterator[None]:
    """Errors of the database file as ELT Factory's own; all others pass, and those whose message has the text `but`."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        if but and but in str(error).lower():
            raise
        if is_full(error):
            raise disk_full(f"the warehouse {file}", [file]) from error
        if ours := _ours(file, error):
            raise ours from error
        raise


def _ours(file: Path, error: duckdb.Error) -> EltError | None:
    import duckdb

    broken = (duckdb.FatalException, duckdb.InternalException, duckdb.SerializationException)
    if isinstance(error, duckdb.TransactionException):
        return WarehouseBusyError(f"write conflict with another connection: {error}")
    if isinstance(error, duckdb.PermissionException) or "permission denied" in str(error).lower():
        return AccessDeniedError(f"the warehouse {file} denied access: {_first_line(error)}")
    if two := _TWO_MEANINGS.search(str(error)):
        hint = "rename the config or the file"
        return StatementError(f"{file.name} and a config are both called {two[1]} in DuckDB; hint: {hint}")
    if isinstance(error, broken) or _DAMAGED.search(str(error)):
        return _damaged(file, error)
    if isinstance(error, duckdb.IOException):
        return WarehouseUnavailableError(f"cannot use the warehouse {file}: {_first_line(error)}")
    return None


def _damaged(file: Path, error: Exception) -> WarehouseDamagedError:
    if _OTHER_VERSION.search(str(error)):
        text = "was written by another version of DuckDB: install that version, or export and import it"
    else:
        text = "is damaged or not a DuckDB file: restore it from a backup, or move it away and run with full refresh"
    return WarehouseDamagedError(f"the warehouse {file} {text} ({_first_line(error)})")


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
