"""How the warehouse's file is made, where several processes open it at the same moment and it is not there yet."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from elt_factory.core.failures import WarehouseDamagedError
from elt_factory.warehouse.duckdb.errors import translated

if TYPE_CHECKING:
    import duckdb

LOCKED = "could not set lock"
# DuckDB writes three headers when it makes a file; one with fewer is still being made, or its maker was killed
_HEADERS_BYTES = 3 * 4096


def open_or_make(path: Path) -> duckdb.DuckDBPyConnection:
    """Connect to the file, made by one process alone where it is missing.

    Another process could find it without its headers, and DuckDB calls such a file none of its own.

    Raises:
        duckdb.IOException: another process has the file.
        WarehouseDamagedError: it is damaged, or not a DuckDB file.
        AccessDeniedError: this user may not open it.
        DiskFullError: its disk is full.
    """
    with suppress(FileNotFoundError):
        if path.stat().st_size >= _HEADERS_BYTES:
            return _connect(path)
    with _alone(path.parent):
        try:
            return _connect(path)
        except WarehouseDamagedError:
            if path.stat().st_size > 0:
                raise
            # its maker was killed before it wrote anything
            path.unlink()
            return _connect(path)


def _connect(path: Path) -> duckdb.DuckDBPyConnection:
    import duckdb

    with translated(path, but=LOCKED):
        return duckdb.connect(str(path))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep others from making files in a folder; the lock is on the folder itself and leaves nothing there."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
