"""What a function yields, as files: Arrow as Parquet, records as NDJSON."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elt_factory.core.connection import Connection
from elt_factory.core.failures import BadDataError, BadRequestError, EltError
from elt_factory.core.window import Window
from elt_factory.extract.label import TableLabel, source_of
from elt_factory.extract.progress import Progress
from elt_factory.extract.request import ReadRequest, Spool
from elt_factory.sources.python.model import PythonSource, PythonTable

if TYPE_CHECKING:
    from datetime import datetime

    import pyarrow as pa

_ROWS_ENCODED = 10_000


@dataclass
class Asked:
    """What a function is given.

    Args:
        window: The window of the load, half-open, in UTC; it already reaches back by the table's lag.
        connection: The Airflow connection of the config; None where it names none.
        params: The params of the run.
        state: What the function left in the load before, with sync: state; None in the first load and in a full
            refresh. A function sets it to what the next load begins with: anything that JSON can hold.
        log: Takes a line for the task's log.
    """

    window: Window
    connection: Connection | None
    params: Mapping[str, Any]
    log: Callable[[str], None]
    state: Any = None
    table: str = ""
    project: Path = field(default_factory=Path)

    @property
    def start(self) -> datetime:
        """The beginning of the window."""
        return self.window.start

    @property
    def end(self) -> datetime:
        """The end of the window, which is not part of it."""
        return self.window.end


def read(request: ReadRequest) -> Spool:
    """Run the function of a table, and leave what it yields in files.

    Raises:
        BadRequestError: there is no such function, or it cannot be called so.
        BadDataError: it yields something else than rows.
    """
    label, source = TableLabel.of(request), source_of(request, PythonSource)
    spec = source.tables[request.table]
    function = _function(spec.function, request.project, label)
    token = request.cursor.token
    asked = Asked(
        request.window,
        request.connection,
        request.params or source.params,
        request.log,
        json.loads(token) if token else None,
        request.table,
        request.project,
    )
    files = _Files(request.workdir, label)
    progress = Progress(request.log, str(label))
    for piece in _pieces(function, asked, spec, label):
        files.take(piece)
        progress.seen(files.rows)
        if request.most_rows is not None and files.rows >= request.most_rows:
            break
    files.close()
    progress.done(files.rows)
    return Spool(files.format, tuple(files.paths), files.rows, token=_token(asked, spec, label))


def _function(place: str, project: Path, label: TableLabel) -> Callable[..., Any]:
    module, _, name = place.partition(":")
    # as Airflow's own processes find what is in the project
    for folder in (str(project), str(project / "include")):
        if folder not in sys.path:
            sys.path.append(folder)
    try:
        found = getattr(import_module(module), name, None)
    except ModuleNotFoundError as error:
        hint = f"it is looked for below {project} and among the installed packages"
        raise label.error(BadRequestError, f"function {place}: no module {error.name}", hint) from None
    except Exception as error:  # whatever the module does when it is imported
        text = f"function {place}: the module cannot be imported: {type(error).__name__}: {error}"
        raise label.error(BadRequestError, text) from error
    if not callable(found):
        names = [name for name, value in vars(import_module(module)).items() if inspect.isfunction(value)]
        raise label.error(BadRequestError, f'{module} has no function "{name}"', f"it has {', '.join(names) or 'none'}")
    return found  # type: ignore[no-any-return]


def _pieces(function: Callable[..., Any], asked: Asked, spec: PythonTable, label: TableLabel) -> Iterator[Any]:
    """Yield what a function yields, or returns; what it raises names the table."""
    try:
        inspect.signature(function).bind(asked, **spec.arguments)
    except TypeError as error:
        hint = "it is given one value, what it is asked for, and `arguments` by their names"
        raise label.error(BadRequestError, f"function {spec.function} cannot be called: {error}", hint) from None
    try:
        given = function(asked, **spec.arguments)
        yield from given if isinstance(given, Iterator) else [given]
    except EltError as error:
        raise label.error(type(error), str(error)) from error
    except (OSError, TimeoutError):
        raise  # what a later try may heal stays what it is
    except Exception as error:
        text = f"function {spec.function} failed: {type(error).__name__}: {error}"
        raise label.error(BadDataError, text) from error


def _token(asked: Asked, spec: PythonTable, label: TableLabel) -> str | None:
    if not spec.keeps_token or asked.state is None:
        return None
    try:
        text = json.dumps(asked.state)
    except (TypeError, ValueError) as error:
        raise label.error(BadDataError, f"the state cannot be written as JSON: {error}") from None
    if label.clean(text) != text:
        raise label.error(BadDataError, "the state has a secret in it, and a state is kept in the warehouse")
    return text


class _Files:
    """Files of one format: the first piece says which."""

    def __init__(self, workdir: Path, label: TableLabel) -> None:
        self.workdir, self.label = workdir, label
        self.paths: list[Path] = []
        self.rows = 0
        self.format: Any = "ndjson"
        self._out: Any = None
        self._schema: pa.Schema | None = None

    def take(self, piece: Any) -> None:
        """Take what a function yielded."""
        if isinstance(piece, bytes | bytearray | str):
            self._lines(piece.encode() if isinstance(piece, str) else bytes(piece))
        elif isinstance(piece, Mapping):
            self._records([piece])
        elif (table := _arrow(piece)) is not None:
            self._table(table)
        elif isinstance(piece, Iterable):
            self._records(piece)
        elif piece is not None:
            text = f"the function yielded {type(piece).__name__}"
            raise self.label.error(BadDataError, text, "yield Arrow, polars, pandas, dicts, lists of them, or NDJSON")

    def close(self) -> None:
        """Close the file that is written."""
        if self._out is not None:
            self._out.close()
            self._out = None

    def _records(self, records: Iterable[Any]) -> None:
        import msgspec

        lines, encode = list[bytes](), msgspec.json.Encoder(enc_hook=str).encode
        for record in records:
            if not isinstance(record, Mapping):
                text = f"the function yielded {type(record).__name__} among records"
                raise self.label.error(BadDataError, text, "yield dicts")
            lines.append(encode(record))
            if len(lines) == _ROWS_ENCODED:
                self._write(lines)
                lines = []
        self._write(lines)

    def _lines(self, text: bytes) -> None:
        self._write([line for line in text.split(b"\n") if line.strip()])

    def _write(self, lines: list[bytes]) -> None:
        if not lines:
            return
        if self._out is None:
            self._begin("ndjson").parent.mkdir(exist_ok=True)
            self._out = self.paths[-1].open("wb")
        self._hold("ndjson")
        self._out.write(b"\n".join(lines) + b"\n")
        self.rows += len(lines)

    def _table(self, table: pa.Table) -> None:
        import pyarrow.parquet as pq

        if not table.num_rows:
            return
        if self._out is not None:
            self._hold("parquet")
        if self._out is None or table.schema != self._schema:
            # a file has one schema: another one begins another file
            self.close()
            path = self._begin("parquet")
            path.parent.mkdir(exist_ok=True)
            self._schema, self._out = table.schema, pq.ParquetWriter(path, table.schema)
        self._out.write_table(table)
        self.rows += table.num_rows

    def _begin(self, form: str) -> Path:
        self.format = form
        self.paths.append(self.workdir / "records" / f"part-{len(self.paths):05}.{form}")
        return self.paths[-1]

    def _hold(self, form: str) -> None:
        if self.format != form:
            text = "the function yielded Arrow and records in one load"
            raise self.label.error(BadDataError, text, "yield one of both")


def _arrow(piece: Any) -> pa.Table | None:
    """Return a piece as an Arrow table, whatever library it is of; None where it is none."""
    import pyarrow as pa

    if isinstance(piece, pa.Table):
        return piece
    if isinstance(piece, pa.RecordBatch):
        return pa.Table.from_batches([piece])
    if type(piece).__module__.partition(".")[0] == "pandas" and hasattr(piece, "columns"):
        return pa.Table.from_pandas(piece, preserve_index=False).replace_schema_metadata(None)
    if hasattr(piece, "__arrow_c_stream__") or isinstance(piece, pa.RecordBatchReader):
        return pa.table(piece)
    return None
