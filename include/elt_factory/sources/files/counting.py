"""How many rows the files of a load have: what the delivery declares, else what is counted in another way."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from elt_factory.config.models.formats import FORMATS
from elt_factory.core.failures import BadDataError, SourceNotReadyError
from elt_factory.extract.label import TableLabel, source_of
from elt_factory.extract.request import KnownFile, ReadRequest
from elt_factory.formats.kind import Delivered, FormatKind
from elt_factory.formats.packed import unpacked
from elt_factory.formats.utf16 import codec_of
from elt_factory.sources.files.fetching import content_hash
from elt_factory.sources.files.model import FilesSource, FilesTable
from elt_factory.sources.files.opening import open_store
from elt_factory.sources.files.reader import is_blank
from elt_factory.sources.files.source_files import is_as_loaded
from elt_factory.sources.files.store import Store

_LAST = 64 * 1024  # bytes at the end of a file that may declare its rows
_HEAD = 4096
_FOLDERS = ("control", "counted", "unpacked")
_A_NUMBER = r"^\s*(\d+)\s*$"


def count(request: ReadRequest) -> int | None:
    """Return how many rows there are in the files that the ledger has of the load.

    None where that cannot be said: a file is gone or another one by now, is in an archive, or of a format that is not
    counted.

    Raises:
        SourceNotReadyError: the file that declares the rows is not there.
        BadDataError: it does not say how many.
    """
    source = source_of(request, FilesSource)
    if request.ledger is None or not request.ledger.files:
        return None
    with open_store(source.extract.folder, request.connection, request.project) as store:
        counting = _Counting(store, source.tables[request.table], request.workdir, TableLabel.of(request))
        total = 0
        for number, (name, known) in enumerate(sorted(request.ledger.files.items())):
            try:
                rows = counting.rows(name, known, number)
            finally:
                # a load may have more files than there is room for
                counting.forget(number)
            if rows is None:
                return None
            total += rows
        return total


@dataclass(frozen=True)
class _Counting:
    store: Store
    table: FilesTable
    workdir: Path
    label: TableLabel

    def rows(self, name: str, known: KnownFile, number: int) -> int | None:
        declared = self.table.declared_rows
        if declared and declared.file:
            control = _control(declared.file, name)
            found = self.store.look(control)
            if found is None:
                hint = f"it is expected next to {name}"
                raise self.label.error(SourceNotReadyError, f"{control} is not there; hint: {hint}")
            return self._declared(self.store.fetch(found, self._folder("control", number)), control, name)
        file = self._as_loaded(name, known, number)
        if file is None:
            return None
        if declared:
            return self._declared(file, name, name)
        kind: FormatKind = FORMATS.get(self.table.format.type)
        if kind.count is None:
            return None
        return 0 if is_blank(file) else kind.count(self.table.format, file)

    def forget(self, number: int) -> None:
        """Remove the copies that were made of a file."""
        for what in _FOLDERS:
            shutil.rmtree(self._folder(what, number), ignore_errors=True)

    def _as_loaded(self, name: str, known: KnownFile, number: int) -> Path | None:
        """Return a file, unpacked; None where it is not there any more as it was loaded."""
        found = self.store.look(name)
        if found is None:
            return None
        path = self.store.fetch(found, self._folder("counted", number))
        if not is_as_loaded(self.store.now(found), known) and content_hash(path) != known.hash:
            return None
        kind: FormatKind = FORMATS.get(self.table.format.type)
        return unpacked(Delivered(name, path), kind, self._folder("unpacked", number)).path

    def _declared(self, file: Path, said_by: str, name: str) -> int:
        declared = self.table.declared_rows
        written = (declared.pattern if declared else None) or _A_NUMBER
        pattern = written.replace("{name}", re.escape(PurePosixPath(name).name))
        # of a file next to it nothing is known
        encoding = "utf-8" if declared and declared.file else getattr(self.table.format, "encoding", "utf-8")
        # in a data file the last one is the trailer's
        found = list(re.finditer(pattern, "\n".join(_last_lines(file, encoding)), re.MULTILINE))
        if not found or not found[-1].group(1).isdecimal():
            hint = "declared_rows.pattern must match the line that has the number"
            raise self.label.error(BadDataError, f"{said_by} does not say how many rows there are", hint)
        return int(found[-1].group(1))

    def _folder(self, what: str, number: int) -> Path:
        return self.workdir / what / f"{number:06}"


def _control(written: str, name: str) -> str:
    path = PurePosixPath(name)
    own = written.replace("{name}", path.name).replace("{stem}", path.name.partition(".")[0])
    return str(path.parent / own)


def _last_lines(file: Path, encoding: str) -> Iterator[str]:
    with file.open("rb") as content:
        codec = codec_of(content.read(_HEAD), encoding)
        begin = max(content.seek(0, os.SEEK_END) - _LAST, 0)
        # a sign of UTF-16 is not to be cut in two
        content.seek(begin - begin % 2)
        yield from content.read().decode(codec, errors="replace").removeprefix("\ufeff").splitlines()
