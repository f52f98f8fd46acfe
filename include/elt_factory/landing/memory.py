"""How much memory the contract may take, and how many threads that is enough for.

DuckDB keeps to its limit for what it can put on disk. What it cannot, it takes for each thread: copies of the record
that it reads, vectors for each column, the row group that it writes. So the threads follow from the limit.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from elt_factory.core.failures import LandingError

if TYPE_CHECKING:
    import duckdb

DEFAULT_LIMIT = "1GB"
_UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}
_LIMIT = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([KMGT]I?B)", re.IGNORECASE)
# of a thread, measured: 13 MB for ten columns, 55 MB for two hundred, 27 MB for records of 400 kB
_THREAD_BYTES = 32_000_000
_COLUMN_BYTES = 256 * 1024
_RECORD_COPIES = 20  # the line, twice; its JSON as a tree, up to four times; the values as they are cast, the row
# DuckDB keeps each buffer of CSV that it has read until its limit is reached: where columns are few and records short,
# what it needs is known well enough to give it no more
_READING_BYTES, _BUFFERS, _FEW_COLUMNS, _SHORT_RECORD = 48_000_000, 2, 50, 64 * 1024
_ROW_GROUP, _LEAST_ROW_GROUP = 16 * 1024 * 1024, 4 * 1024 * 1024
_ROW_GROUP_COPIES = 16  # as it is read, as rows, as pages, compressed; allocators keep some more


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
    """Hold a connection to the limit; ELT_CONTRACT_THREADS takes the place of the machine's number of cores.

    The allocator keeps what a thread freed for it, outside the limit, until that is more than a threshold: at DuckDB's
    own, 128 MB, landings of more rows take more memory.
    """
    threads = os.environ.get("ELT_CONTRACT_THREADS")
    settings = [
        f"SET memory_limit = '{limit_bytes()}B'",
        # a COPY that fails waits for its own writes, and with writers of DuckDB 2.0.0 that can be indefinitely
        "SET async_threads = 0",
        "SET allocator_flush_threshold = '1MB'",
        "SET allocator_bulk_deallocation_flush_threshold = '1MB'",
        *([f"SET threads = {int(threads)}"] if threads else []),
        "SET VARIABLE most_threads = current_setting('threads')",
    ]
    connection.execute("; ".join(settings))
    set_records(connection, 0)


def reading_limit(limit: int, threads: int, columns: int, record_bytes: int, buffer_bytes: int) -> int:
    """Return the limit while files are read in buffers that DuckDB would keep; what it cannot know is not limited.

    With less than a row group for each thread it would put aside on disk what it is about to write.
    """
    if columns > _FEW_COLUMNS or record_bytes > _SHORT_RECORD:
        return limit
    each = columns * _COLUMN_BYTES + _BUFFERS * buffer_bytes + _row_group(limit, threads)
    return min(limit, _READING_BYTES + threads * each)


def set_records(
    connection: duckdb.DuckDBPyConnection,
    record_bytes: int,
    useful_threads: int | None = None,
    buffer_bytes: int = 0,
) -> None:
    """Note what a connection reads from now on.

    Args:
        connection: The connection.
        record_bytes: How long the longest of the records is.
        useful_threads: How many threads help to read them; None for all there are.
        buffer_bytes: How large the buffers are that DuckDB would keep; 0 where it keeps none.
    """
    useful = "getvariable('most_threads')" if useful_threads is None else str(useful_threads)
    values = {"record_bytes": record_bytes, "useful_threads": useful, "buffer_bytes": buffer_bytes}
    connection.execute("; ".join(f"SET VARIABLE {name} = {value}" for name, value in values.items()))


def set_threads(connection: duckdb.DuckDBPyConnection, columns: int, most: int | None = None) -> None:
    """Give a connection new threads, as many as its limit is enough for, at most `most`.

    What the old ones freed and the allocator keeps for them goes with them.
    """
    variables = "getvariable('record_bytes'), getvariable('buffer_bytes')"
    select = f"SELECT least(getvariable('most_threads'), getvariable('useful_threads')), {variables}"
    useful, record_bytes, buffer_bytes = map(int, connection.execute(select).fetchall()[0])
    limit = limit_bytes()
    threads = threads_for(limit, most or useful, columns, record_bytes)
    if buffer_bytes:
        limit = reading_limit(limit, threads, columns, record_bytes, buffer_bytes)
    connection.execute(f"SET threads = 1; SET threads = {threads}; SET memory_limit = '{limit}B'")


def row_group_bytes(connection: duckdb.DuckDBPyConnection) -> int:
    """Return the size of a row group of the landed Parquet, before it is compressed.

    Each thread fills one of its own.
    """
    threads = int(connection.execute("SELECT current_setting('threads')").fetchall()[0][0])
    return _row_group(limit_bytes(), threads)


def _row_group(limit: int, threads: int) -> int:
    return max(_LEAST_ROW_GROUP, min(_ROW_GROUP, limit // (_ROW_GROUP_COPIES * threads)))
