"""What a reader is asked for, and what it leaves behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from elt_factory.config.models.formats import CsvFormat
from elt_factory.config.models.source import Source
from elt_factory.config.models.templates import Value
from elt_factory.config.models.values import ColumnType
from elt_factory.core.clock import Clock
from elt_factory.core.connection import Connection
from elt_factory.core.window import Window
from elt_factory.extract.growing import Growing
from elt_factory.extract.line_looks import LineLook


@dataclass(frozen=True)
class CursorRange:
    """For a cursor that is not a time: read `after < cursor <= upto`; None is open.

    `token` is an API's own: it sends what has changed since it gave that.
    """

    after: str | None = None
    upto: str | None = None
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class SourceFile:
    """One file of a source as a reader found it: what the ledger of files keeps of it.

    `name` is below the source's folder, `hash` the SHA-256 of its bytes: `hashed` has it, or will have it. `state` is
    what the operating system says of the file and changes with every write.
    """

    name: str
    path: Path
    size: int
    modified_at: datetime
    hashed: str | Future[str]
    seen_at: datetime
    state: tuple[int, ...] = ()

    @property
    def hash(self) -> str:
        """The hash; one that is on its way is waited for.

        Raises:
            SourceNotReadyError: the file was removed in the meantime.
        """
        return self.hashed if isinstance(self.hashed, str) else self.hashed.result()

    @property
    def is_hashed(self) -> bool:
        """Whether the hash was known when the file was read."""
        return isinstance(self.hashed, str)

    def let_go(self) -> None:
        """Do not hash it, where that has not begun."""
        if not isinstance(self.hashed, str):
            self.hashed.cancel()


@dataclass(frozen=True)
class KnownFile:
    """A file that was loaded already: its newest content, and the load that brought it."""

    size: int
    modified_at: datetime
    hash: str
    load_id: str


@dataclass(frozen=True)
class Ledger:
    """What the warehouse says of a table's files: each by its name, and the windows that were loaded by it."""

    files: Mapping[str, KnownFile] = field(default_factory=dict)
    windows: tuple[Window, ...] = ()


class Memory(Protocol):
    """What a try of a run leaves for the next one of the same run: a few bytes."""

    def read(self) -> bytes | None:
        """Return them; None where there are none."""

    def write(self, content: bytes) -> None:
        """Keep them in place of others."""

    def forget(self) -> None:
        """Keep them no longer."""


class Shared(Protocol):
    """A place for small files that all who share it change, one after the other."""

    def change(self, name: str, change: Callable[[bytes], bytes]) -> None:
        """Put in place of a file what `change` makes of its content, empty where there is none.

        No other change comes between; where one was faster, `change` is asked again.
        """

    def changed(self, name: str) -> datetime:
        """Return when a file was last changed, by the clock of the place."""


@dataclass(frozen=True)
class ReadRequest:
    """One table of one source for one window.

    `window` already reaches back by the table's lag. `workdir` is an empty folder for the raw records. `project` is the
    folder that relative paths are below. `log` takes a line of progress for people. `params` are those that the run
    was given; for others the config's own values hold. `ledger` is that of a table from files that takes what is new;
    without one every file that is meant is read. `warn` takes what is odd and no error; by default `log` does.
    `most_pages` ends a read of a paged API early: it is for samples. `keys` has the rows that an API is asked with, an
    object a line: those of another table's landing, or of a query. `memory` is for a source that does a job for us:
    with one a read that has to wait raises a JobRunningError, without one it waits. `shared` is a place of all
    machines, where there is one: for what their workers agree on, like a rate limit. `part` is what a split of the load
    gave this task to read, and nothing else of the table. `clock` is the warehouse's: it decides what was seen later.
    `growing` takes how far the files have come, from readers whose records are final once they are written.
    """

    source: Source
    table: str
    window: Window
    load_id: str
    connection: Connection | None
    workdir: Path
    project: Path
    log: Callable[[str], None]
    cursor: CursorRange = CursorRange()
    most_rows: int | None = None  # a look at a database's table takes the first ones
    run_id: str = ""
    params: Mapping[str, Value] = field(default_factory=dict)
    ledger: Ledger | None = None
    warn: Callable[[str], None] | None = None
    most_pages: int | None = None
    keys: Path | None = None
    memory: Memory | None = None
    shared: Shared | None = None
    part: Mapping[str, Any] | None = None
    clock: Clock = field(default_factory=lambda: Clock(datetime.now(UTC)))
    growing: Growing | None = None


@dataclass(frozen=True)
class Part:
    """One part of what a load reads, for a task of its own: `what` is JSON that its reader knows, `says` for people."""

    what: Mapping[str, Any]
    says: str


@dataclass(frozen=True)
class ParquetGroup:
    """Files of a Parquet spool that have no column in two types, and their places among all of its files.

    `kinds` are DuckDB's types by column, in the order in which DuckDB has them; a file need not have all of them.
    """

    files: tuple[Path, ...]
    places: tuple[int, ...]
    kinds: Mapping[str, str]


@dataclass(frozen=True)
class Spool:
    """Raw records in files on this machine, every value as the source wrote it.

    ndjson: an object a line. csv: text with a header line in every file. parquet: columns of any type. Binary values in
    text are hex digits. `rows_read` is the reader's own count, None where only the contract can count (csv). `types`
    are what the source itself declares (a database's catalogue); for other columns they are found in the data.
    `sources` are the files that a source delivered: the first ones in the order of `files`, after them those that are
    empty.
    `texts` says that the values of an ndjson spool are texts whose types are found in them, as those of CSV are.
    `rejects` is NDJSON of `reason`, `record` (JSON) and `file` (one of `files`): records of an ndjson spool that the
    reader could not read, which are part of its count.
    `longest` is at most how many bytes the longest record of a csv or ndjson spool has, and `counted` how many records
    a csv spool has, where its bytes say so; `tidy` csv has no blank lines, and none that ends with a field without a
    value. `headers` are the names of the columns of each of its files, once they are
    known.
    `groups` are the files of a parquet spool by their types, once they are known.
    `integers` are columns of text that a database wrote from integers of at most 64 bits.
    `forms` say of columns how the source writes their values as text, by the types that they have there: another type
    may write the same value in another way.
    `keys` has the primary keys of all rows of the source, where the load compares them: without those that are NULL.
    `token` is what the API gave to ask with the next time.
    `remarks` are what people should know of how it was read, as what was left out.
    `protected` says that values of columns with `pii: hash` are hashes already.
    `null_cursors` counts the rows of the source without a cursor value, read or left out; None: count those that came.
    `seen` is what was seen of the lines of some files of an ndjson spool, which need no second look.
    `growing` is for an ndjson or csv spool that is still being written, whose `files` are not all there.
    """

    format: Literal["ndjson", "csv", "parquet"]
    files: tuple[Path, ...]
    rows_read: int | None = None
    types: Mapping[str, ColumnType] = field(default_factory=dict)
    csv: CsvFormat = field(default_factory=lambda: CsvFormat(type="csv"))
    sources: tuple[SourceFile, ...] = ()
    null_cursors: int | None = None
    rejects: Path | None = None
    longest: int | None = None
    counted: int | None = None
    tidy: bool = False
    headers: tuple[tuple[str, ...], ...] | None = None
    groups: tuple[ParquetGroup, ...] = ()
    texts: bool = False
    keys: Spool | None = None
    token: str | None = field(default=None, repr=False)
    remarks: tuple[str, ...] = ()
    protected: bool = False
    integers: frozenset[str] = frozenset()
    forms: Mapping[str, str] = field(default_factory=dict)
    seen: Mapping[Path, LineLook] = field(default_factory=dict)
    growing: Growing | None = None


NOTHING_READ = Spool("ndjson", (), 0)

Reader = Callable[[ReadRequest], Spool]
