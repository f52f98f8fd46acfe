"""What DuckDB raises about its own file, as our errors: a full disk, a damaged file, one that cannot be opened."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from elt_factory.core.disk import disk_full, is_full
from elt_factory.core.failures import (
    AccessDeniedError,
    WarehouseBusyError,
    WarehouseDamagedError,
    WarehouseUnavailableError,
)

_DAMAGED = re.compile(
    r"corrupt database file|not a valid duckdb database|could not read enough bytes|replaying wal|"
    r"failed to deserialize|database has been invalidated",
    re.IGNORECASE,
)
_OTHER_VERSION = re.compile(r"(older|newer) version of duckdb|version number", re.IGNORECASE)


@contextmanager
def translated(file: Path, but: str = "") -> Iterator[None]:
    """Errors of the database file as ELT Factory's own; all others pass, and those whose message has the text `but`."""
    import duckdb

    broken = (duckdb.FatalException, duckdb.InternalException, duckdb.SerializationException)
    try:
        yield
    except duckdb.Error as error:
        if but and but in str(error).lower():
            raise
        if is_full(error):
            raise disk_full(f"the warehouse {file}", [file]) from error
        if isinstance(error, duckdb.TransactionException):
            raise WarehouseBusyError(f"write conflict with another connection: {error}") from error
        if isinstance(error, duckdb.PermissionException) or "permission denied" in str(error).lower():
            raise AccessDeniedError(f"the warehouse {file} denied access: {_first_line(error)}") from error
        if isinstance(error, broken) or _DAMAGED.search(str(error)):
            raise _damaged(file, error) from error
        if isinstance(error, duckdb.IOException):
            raise WarehouseUnavailableError(f"cannot use the warehouse {file}: {_first_line(error)}") from error
        raise


def _damaged(file: Path, error: Exception) -> WarehouseDamagedError:
    if _OTHER_VERSION.search(str(error)):
        text = "was written by another version of DuckDB: install that version, or export and import it"
    else:
        text = "is damaged or not a DuckDB file: restore it from a backup, or move it away and run with full refresh"
    return WarehouseDamagedError(f"the warehouse {file} {text} ({_first_line(error)})")


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
