"""What PostgreSQL sends for a COPY, a row at a time into a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

from elt_factory.core.extras import needs
from elt_factory.extract.growing import Growing
from elt_factory.extract.line_looks import LONG
from elt_factory.extract.progress import Progress

with needs("postgres", "a connection of type postgres"):
    from psycopg import errors, pq, sql, waiting
    from psycopg.generators import fetch_many

if TYPE_CHECKING:
    import psycopg
    from psycopg.abc import PQGen

_BUFFER_BYTES = _TOLD_BYTES = 1024 * 1024


class Copied(NamedTuple):
    """How many rows the server says it sent, and the bytes of the longest line that came."""

    rows: int
    longest: int


@dataclass
class _Told:
    """Tells how far a file has come, from time to time."""

    out: IO[bytes]
    file: Path
    growing: Growing | None
    size: int = 0

    def look(self, longest: int, *, is_end: bool = False) -> None:
        """Tell it, where enough has come since, or at the end; long rows are not followed."""
        if self.growing is None:
            return
        if longest > LONG:
            self.growing.fail()
            self.growing = None
        elif (size := self.out.tell()) >= self.size + (not is_end and _TOLD_BYTES):
            self.out.flush()
            self.growing.grew(self.file, size)
            self.size = size


def copied(
    database: psycopg.Connection[tuple[object, ...]],
    statement: sql.Composable,
    file: Path,
    progress: Progress,
    growing: Growing | None = None,
) -> Copied:
    """Write what a SELECT finds to a CSV file with a header line, and tell `growing` how far it has come."""
    copy = sql.SQL("COPY ({}) TO STDOUT (FORMAT csv, HEADER)").format(statement)
    with database.cursor() as cursor, file.open("wb", _BUFFER_BYTES) as out, cursor.copy(copy):
        told = _Told(out, file, growing)
        found = database.wait(_sent(database.pgconn, out, progress, told))
        told.look(found.longest, is_end=True)
    progress.done(found.rows)
    return found


def _sent(server: pq.abc.PGconn, out: IO[bytes], progress: Progress, told: _Told) -> PQGen[Copied]:
    # the driver's own iterator begins to wait for each row, and its generators are made for each
    take, write, number, longest = server.get_copy_data, out.write, 0, 0
    while True:
        size, row = take(1)
        while size > 0:
            write(row)
            number += 1
            if size > longest:  # noqa: PLR1730 - a call for each row costs more
                longest = size
            size, row = take(1)
        if size < 0:
            break
        progress.seen(number)
        told.look(longest)
        while not (yield waiting.Wait.R):
            continue
        server.consume_input()
    result = (yield from fetch_many(server))[-1]
    if result.status != pq.ExecStatus.COMMAND_OK:
        raise errors.error_from_result(result)
    return Copied(result.command_tuples or 0, longest)
