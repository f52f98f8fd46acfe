"""A look at files: their names' periods, how they are written, and some of their records."""

from __future__ import annotations

import csv
import glob
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from elt_factory.config.models.formats import FORMATS
from elt_factory.core.failures import EltError, SourceNotReadyError
from elt_factory.core.kinds import KindError
from elt_factory.discover.found import Guess, Sample, SkippedTable, SourceFound, TableFound
from elt_factory.discover.periods import grouped, table_name, whole_pattern
from elt_factory.discover.sample import sample_of
from elt_factory.discover.table import Ground, first_day, named_apart, table_of
from elt_factory.formats.kind import Delivered, FormatKind
from elt_factory.sources.files.folder import named
from elt_factory.sources.files.reader import is_blank

_HEAD_BYTES, _WHOLE_BYTES = 4 * 1024 * 1024, 64 * 1024 * 1024
_ODD = (EltError, OSError, UnicodeError, csv.Error)


@dataclass(frozen=True)
class FilesToLookAt:
    """What to look at: files below a folder. `extract` are the lines that say where the folder is."""

    folder: Path
    pattern: str
    extract: dict[str, Guess]
    todo: Sequence[str] = ()


def look_at_files(place: FilesToLookAt, workdir: Path) -> SourceFound:
    """Return what the files hold, a table for every pattern of names. A file that cannot be read is left out.

    Raises:
        EltError: there are no files that can be read.
    """
    known, skipped = _readable(place)
    looked: list[tuple[TableFound, Sample]] = []
    for pattern, files in grouped(known).items():
        good, odd = _without_odd_files(place.folder, pattern, files, workdir)
        looked += good
        skipped += odd
    if not looked:
        reason = f": {skipped[0].name}: {skipped[0].reason}" if skipped else "; hint: use another pattern"
        formats = ", ".join(FORMATS.names())
        raise SourceNotReadyError(
            f'no file "{place.pattern}" of a format ({formats}) that can be read is in {place.folder.name}{reason}'
        )
    days = [day for _, sample in looked if (day := first_day(sample))]
    return SourceFound(
        {"type": Guess("files", ""), **place.extract},
        named_apart([table for table, _ in looked]),
        min(days, default=None),
        todo=place.todo,
        skipped=skipped,
    )


def _readable(place: FilesToLookAt) -> tuple[list[str], list[SkippedTable]]:
    """Return the names of files of the kinds that are known, and those that are not what their names say."""
    known, skipped = list[str](), list[SkippedTable]()
    root = place.folder.resolve()
    for file in dict.fromkeys((place.folder / name).resolve() for name in named(place.folder, place.pattern)):
        kind = _kind_of(file)
        inside = file.is_relative_to(root)
        name = file.relative_to(root).as_posix() if inside else file.name
        if kind is None:
            continue
        try:
            odd = _why_odd(file, kind) if inside else f"the link points outside {root.name}"
        except OSError as error:
            odd = f"cannot be read: {error.strerror or error}"
        if odd:
            skipped.append(SkippedTable(name, odd))
        else:
            known.append(name)
    return known, skipped


def _kind_of(file: Path) -> FormatKind | None:
    """Return the format that the file's name says; None where no format has such names."""
    return _by_ending().get(file.suffix.lower())


@cache
def _by_ending() -> Mapping[str, FormatKind]:
    found: dict[str, FormatKind] = {}
    for name in FORMATS.names():
        with suppress(KindError):
            kind: FormatKind = FORMATS.get(name)
            found |= {ending: kind for ending in kind.endings if ending not in found}
    return found


def _why_odd(file: Path, kind: FormatKind) -> str:
    return "empty" if is_blank(file) else kind.odd(file)


def _without_odd_files(
    folder: Path, pattern: str, files: Sequence[str], workdir: Path
) -> tuple[list[tuple[TableFound, Sample]], list[SkippedTable]]:
    """Return the table of a pattern, without those files that cannot be read by themselves; none where no file can."""
    try:
        return [_table(folder, pattern, files, workdir)], []
    except _ODD as error:
        together = SkippedTable(files[0] if len(files) == 1 else pattern, str(error))
    if len(files) == 1:
        return [], [together]
    good, skipped = list[str](), list[SkippedTable]()
    for file in files:
        found, odd = _without_odd_files(folder, pattern, [file], workdir)
        good += [file] if found else []
        skipped += odd
    if not skipped:
        return [], [together]
    tables, more = _without_odd_files(folder, pattern, good, workdir) if good else ([], [])
    return tables, [*skipped, *more]


def _table(folder: Path, pattern: str, files: Sequence[str], workdir: Path) -> tuple[TableFound, Sample]:
    kind = _by_ending()[Path(files[0]).suffix.lower()]
    period = "%" in pattern.replace("%%", "")
    why = f"seen in {len(files)} name(s), such as {Path(files[-1]).name}; every period that the window touches"
    lines = {"path": Guess(json.dumps(glob.escape(pattern)), why if period else "a single file, always read in full")}
    chosen, seen = _cheap(folder, files, kind, workdir)
    spool, lines["format"] = kind.look_at(chosen, workdir)
    sample = sample_of(spool)
    ground = Ground(table_name(pattern), lines, whole=not period, cursors=False, seen=seen)
    table = table_of(sample, ground)
    return (_read_whole(table, pattern) if period and not table.key else table), sample


def _read_whole(table: TableFound, pattern: str) -> TableFound:
    """Return the table with all its files in every run: a window may touch a file that an earlier one has read.

    Without a key nothing would tell that the same rows come again.
    """
    everything = whole_pattern(pattern)
    why = f"no key identifies rows, so every run reads all files; with a key: {pattern}, and merge"
    lines = {**table.lines, "path": Guess(json.dumps(everything), why)}
    return replace(table, lines=lines, disposition=Guess("replace", "each run replaces the table with what it reads"))


def _cheap(folder: Path, files: Sequence[str], kind: FormatKind, workdir: Path) -> tuple[list[Delivered], str]:
    """Return the newest files, whole, as far as they are read in a moment; else the beginning of the newest.

    The second value says so in words.
    """
    chosen: list[Path] = []
    for file in (folder / name for name in reversed(files)):
        if sum(one.stat().st_size for one in (*chosen, file)) > _WHOLE_BYTES:
            break
        chosen.append(file)
    if not chosen:
        newest = folder / files[-1]
        beginning = _head(newest, workdir) if kind.by_line else newest
        return [Delivered(newest.name, beginning)], f"the start of {newest.name}"
    count = f"{len(files)} file{'' if len(files) == 1 else 's'}"
    seen = f"all of {count}" if len(chosen) == len(files) else f"all of the newest {len(chosen)} of {count}"
    # the oldest first, so that the sample begins where the data do
    return [Delivered(file.name, file) for file in reversed(chosen)], seen


def _head(file: Path, workdir: Path) -> Path:
    """Return the file, or a copy of its first whole lines where it is large."""
    if file.stat().st_size <= _HEAD_BYTES:
        return file
    copy = workdir / file.name
    head = _first_bytes(file)
    copy.write_bytes(head[: head.rfind(b"\n") + 1])
    return copy


def _first_bytes(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.read(_HEAD_BYTES)
