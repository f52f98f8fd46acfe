"""The scratch database in which a contract runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from elt_factory.core.sql_text import text_literal
from elt_factory.landing import memory, staging

if TYPE_CHECKING:
    import duckdb


@contextmanager
def scratch(workdir: Path, attempt: str, staged: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Provide a private DuckDB file: what does not fit in memory goes to disk, so memory does not grow with rows."""
    import duckdb

    file = workdir / f"contract-{attempt}.duckdb"
    try:
        with duckdb.connect(str(file)) as connection:
            memory.set_limit(connection)
            settings = [
                "SET TimeZone = 'UTC'",
                # nothing reads the file again: what the log has need not be written into it when it is closed
                "PRAGMA disable_checkpoint_on_shutdown",
                # what needs an order says which
                "SET preserve_insertion_order = false",
                f"SET temp_directory = {text_literal(str(workdir / 'spill'))}",
            ]
            connection.execute("; ".join(settings))
            yield connection
    finally:
        for left in (file, file.with_name(f"{file.name}.wal")):
            left.unlink(missing_ok=True)
        staging.forget(staged)


def confine(connection: duckdb.DuckDBPyConnection, folders: Iterable[Path]) -> None:
    """Let the SQL of a config read these folders, and nothing else of this machine: no file, no process's environment.

    It cannot be taken back. What was confined before keeps its folders.
    """
    if connection.execute("SELECT current_setting('enable_external_access')").fetchall() == [(True,)]:
        allowed = ", ".join(text_literal(str(folder)) for folder in dict.fromkeys(folders))
        connection.execute(f"SET allowed_directories = [{allowed}]; SET enable_external_access = false")


def doubt_statistics(connection: duckdb.DuckDBPyConnection) -> None:
    """Let no condition be decided by the statistics of a file from now on.

    Old writers say that a column has no NULL where it has some, and a NULL would count as a value.
    """
    connection.execute("SET disabled_optimizers = 'statistics_propagation'")
