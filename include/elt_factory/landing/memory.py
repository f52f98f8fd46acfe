"""How much memory the contract may take, and how many threads that is enough for.

DuckDB keeps to its limit for what it can put on disk. What it cannot, it takes for each thread: two buffers of the
longest record, and a block for each column of the rows that it writes. So the threads follow from the limit.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from elt_factory.failures import LandingError

if TYPE_CHECKING:
    import duckdb

DEFAULT_LIMIT = "1GB"
_UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}
_LIMIT = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([KMGT]I?B)", re.IGNORECASE)
_THREAD_BYTES = 100_000_000
_COLUMN_BYTES = 2 * 256 * 1024  # a block for the values that are read, and one for those that are written
_RECORD_COPIES = 20  # the line, twice; its JSON as a tree, up to four times; the values as they are cast, the row
_ROW_GROUP, _LEAST_ROW_GROUP = 64 * 1024 * 1024, 16 * 1024 * 1024


def limit_bytes() -> int:
    """Return the contract's limit: ELT_CONTRACT_MEMORY, such as 1GB or 512MiB.

    Raises:
        LandingError: it is not a size.
    """
    text = os.environ.get("ELT_CONTRACT_MEMORY", DEFAULT_LIMIT)
    found = _LIMIT.fullmatch(text.strip())
    if found is None:
        raise LandingError(f"invalid ELT_CONTRACT_MEMORY {text!r}: write a size like 512MB or 1GB")
    return int(float(found[1]) * _UNITS[found[2].upper()])


def threads_for(limit: int, most: int, columns: int, record_bytes: int) -> int:
    """How many of at most that many threads fit into a limit, at least one."""
    each = _THREAD_BYTES + columns * _COLUMN_BYTES + _RECORD_COPIES * record_bytes
    return max(1, min(most, limit // each))


def set_limit(connection: duckdb.DuckDBPyConnection) -> None:
    """Hold a connection to the limit; ELT_CONTRACT_THREADS takes the place of the machine's number of cores."""
    connection.execute(f"SET memory_limit = '{limit_bytes()}B'")
    if threads := os.environ.get("ELT_CONTRACT_THREADS"):
        connection.execute(f"SET threads = {int(threads)}")
    connection.execute("SET VARIABLE most_threads = current_setting('threads')")


def set_threads(connection: duckdb.DuckDBPyConnection, columns: int, record_bytes: int) -> None:
    """Give a connection the threads that its limit is enough for."""
    most = int(connection.execute("SELECT getvariable('most_threads')").fetchall()[0][0])
    threads = threads_for(limit_bytes(), most, columns, record_bytes)
    connection.execute(f"SET threads = {threads}")


def row_group_bytes(connection: duckdb.DuckDBPyConnection) -> int:
    """Return the size of a row group of the landed Parquet, before it is compressed.

    Each thread fills one of its own.
    """
    threads = int(connection.execute("SELECT current_setting('threads')").fetchall()[0][0])
    return max(_LEAST_ROW_GROUP, min(_ROW_GROUP, limit_bytes() // (4 * threads)))
