"""A DuckDB file written again without the space of deleted rows, which DuckDB itself does not give back.

All of it is copied into a new file next to it and counted there; then the new one takes its name. Until that moment the
old file is all there is, and a copy that was killed is removed by the next.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from elt_factory.core.failures import AccountingError
from elt_factory.core.private import private_files
from elt_factory.core.sql_text import identifier, text_literal

if TYPE_CHECKING:
    import duckdb

ENOUGH_FREE = 0.25  # of the file's blocks
_ALIAS = "elt_compacted"


def free_share(connection: duckdb.DuckDBPyConnection) -> float:
    """Return how much of the file is space of rows that are gone."""
    connection.execute("CHECKPOINT")
    row = connection.execute("SELECT total_blocks, free_blocks FROM pragma_database_size()").fetchall()[0]
    return float(row[1]) / float(row[0]) if row[0] else 0.0


def compact_file(connection: duckdb.DuckDBPyConnection, file: Path, close: Callable[[], None]) -> tuple[int, int]:
    """Write the file again, and close the connection; its bytes before and after.

    Raises:
        AccountingError: a table of the copy has another number of rows. The old file stays.
    """
    target, before = file.with_name(f"{file.name}.compacting"), file.stat().st_size
    _remove(target)
    here = str(connection.execute("SELECT current_database()").fetchall()[0][0])
    with private_files():
        connection.execute(f"ATTACH {text_literal(str(target))} AS {_ALIAS}")
        connection.execute(f"COPY FROM DATABASE {identifier(here)} TO {_ALIAS}")
    rows = _counts(connection, here)
    if _counts(connection, _ALIAS) != rows:
        connection.execute(f"DETACH {_ALIAS}")
        _remove(target)
        raise AccountingError(f"the compacted copy of {file} has other rows; nothing was changed")
    connection.execute(f"DETACH {_ALIAS}")
    connection.execute("CHECKPOINT")
    # others wait for the old file, and find the new one under its name
    target.replace(file)
    close()
    return before, file.stat().st_size


def _counts(connection: duckdb.DuckDBPyConnection, database: str) -> Mapping[tuple[str, str], int]:
    tables = connection.execute(
        "SELECT schema_name, table_name FROM duckdb_tables() WHERE NOT internal AND NOT temporary "
        f"AND database_name = {text_literal(database)}"
    ).fetchall()
    return {
        (schema, table): int(
            connection.execute(
                f"SELECT count(*) FROM {'.'.join(map(identifier, (database, schema, table)))}"
            ).fetchall()[0][0]
        )
        for schema, table in tables
    }


def _remove(target: Path) -> None:
    for file in (target, target.with_name(f"{target.name}.wal")):
        file.unlink(missing_ok=True)
