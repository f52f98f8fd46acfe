"""A look at files: their names' periods, how they are written, and some of their records."""

from __future__ import annotations

import csv
import glob
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from os import SEEK_END
from pathlib import Path, PurePosixPath
from tempfile import mkdtemp

from elt_factory.config.models.formats import FORMATS
from elt_factory.core.failures import BadDataError, EltError, SourceNotReadyError
from elt_factory.core.kinds import KindError
from elt_factory.discover.found import Guess, Sample, SkippedTable, SourceFound, TableFound
from elt_factory.discover.periods import grouped, table_name, whole_pattern
from elt_factory.discover.sample import sample_of
from elt_factory.discover.table import Ground, first_day, named_apart, table_of
from elt_factory.formats.kind import Delivered, FormatKind
from elt_factory.formats.packed import ENDINGS, unpacked
from elt_factory.sources.files.local import named
from elt_factory.sources.files.reader import is_blank
from elt_factory.sources.files.sampling import bring_sample
from elt_factory.sources.files.store import Store

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
    known, skipped = _readable(place, workdir)
    looked: list[tuple[TableFound, Sample]] = []
    for pattern, files in grouped(known).items():
        good, odd = _without_odd_files(known, pattern, files, workdir)
        looked += good
        skipped += odd
    if not looked:
        reason = f": {skipped[0].name}: {skipped[0].reason}" if skipped else "; hint: use another pattern"
        formats = ", ".join(FORMATS.names())
        raise SourceNotReadyError(
            f'no file "{place.pattern}" of a format ({formats}) that can be read is in {place.folder.name}{reason}'
        )
    days = [day for table, sample in looked if (day := first_day(sample, table))]
    return SourceFound(
        {"type": Guess("files", ""), **place.extract},
        named_apart([table for table, _ in looked]),
        min(days, default=None),
        todo=place.todo,
        skipped=skipped,
    )


def look_at_store(
    store: Store, pattern: str, extract: Mapping[str, Guess], workdir: Path, todo: Sequence[str] = ()
) -> SourceFound:
    """Return what the newest files of a store hold; the errors are those of `look_at_files`."""
    # errors name the folder
    folder = workdir / "sample" / (PurePosixPath(str(store)).name or "sample")
    folder.mkdir(parents=True)
    bring_sample(store, pattern, folder, kind_of)
    return look_at_files(FilesToLookAt(folder, "**/*" if "/" in pattern else "*", dict(extract), todo), workdir)


def _readable(place: FilesToLookAt, workdir: Path) -> tuple[dict[str, Delivered], list[SkippedTable]]:
    """Return the files of formats that are known by their names, unpacked, and those that are not what these say."""
    known, skipped = dict[str, Delivered](), list[SkippedTable]()
    root = place.folder.resolve()
    names = named(place.folder, place.pattern) or [place.pattern] * (place.folder / place.pattern).is_file()
    files = dict.fromkeys((place.folder / name).resolve() for name in names)
    for number, file in enumerate(files):
        kind = kind_of(file.name)
        inside = file.is_relative_to(root)
        name = file.relative_to(root).as_posix() if inside else file.name
        if kind is None:
            continue
        try:
            near = _near(Delivered(file.name, file), kind, workdir / "unpacked" / f"{number:06}") if inside else None
            odd = _why_odd(near.path, kind) if near else f"the link points outside {root.name}"
        except OSError as error:
            near, odd = None, f"cannot be read: {error.strerror or error}"
        except BadDataError as error:
            near, odd = None, str(error)
        if odd:
            skipped.append(SkippedTable(name, odd))
        elif near:
            known[name] = near
    return known, skipped


def _near(file: Delivered, kind: FormatKind, folder: Path) -> Delivered:
    """Return a file, or of a compressed one the beginning of what it holds, as far as a look reads."""
    found = unpacked(file, kind, folder, _WHOLE_BYTES if kind.by_line else None)
    if found is not file and found.path.stat().st_size == _WHOLE_BYTES:
        with found.path.open("r+b") as copy:
            copy.seek(-_HEAD_BYTES, SEEK_END)
            # without the line that is cut
            copy.truncate(_WHOLE_BYTES - _HEAD_BYTES + copy.read().rfind(b"\n") + 1)
    return found


def kind_of(name: str) -> FormatKind | None:
    """Return the format that a file's name says; None where no format has such names."""
    endings = [ending.lower() for ending in Path(name).suffixes[-2:]]
    if endings and endings[-1] in ENDINGS:
        endings.pop()
    return _by_ending().get(endings[-1]) if endings else None


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
    near: Mapping[str, Delivered], pattern: str, files: Sequence[str], workdir: Path
) -> tuple[list[tuple[TableFound, Sample]], list[SkippedTable]]:
    """Return the table of a pattern, without those files that cannot be read by themselves; none where no file can."""
    try:
        return [_table([near[name] for name in files], pattern, workdir)], []
    except _ODD as error:
        together = SkippedTable(files[0] if len(files) == 1 else pattern, str(error))
    if len(files) == 1:
        return [], [together]
    good, skipped = list[str](), list[SkippedTable]()
    for file in files:
        found, odd = _without_odd_files(near, pattern, [file], workdir)
        good += [file] if found else []
        skipped += odd
    if not skipped:
        return [], [together]
    tables, more = _without_odd_files(near, pattern, good, workdir) if good else ([], [])
    return tables, [*skipped, *more]


def _table(files: Sequence[Delivered], pattern: str, workdir: Path) -> tuple[TableFound, Sample]:
    period = "%" in pattern.replace("%%", "")
    why = f"seen in {len(files)} name(s), such as {files[-1].name}; every period that the window touches"
    lines = {"path": Guess(json.dumps(glob.escape(pattern)), why if period else "a single file, always read in full")}
    # the last file of its name is the newest of its periods
    kind = kind_of(files[-1].name)
    if kind is None:
        raise SourceNotReadyError(f"no format has files called {files[-1].name}")
    # a format wants an empty folder, and files that do not fit together are looked at again, each by itself
    scratch = Path(mkdtemp(dir=workdir))
    chosen, seen = _cheap(files, kind, scratch)
    spool, lines["format"] = kind.look_at(chosen, scratch)
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


def _cheap(files: Sequence[Delivered], kind: FormatKind, workdir: Path) -> tuple[list[Delivered], str]:
    """Return the newest files, whole, as far as they are read in a moment; else the beginning of the newest.

    The second value says so in words.
    """
    chosen: list[Delivered] = []
    for file in reversed(files):
        if sum(one.path.stat().st_size for one in (*chosen, file)) > _WHOLE_BYTES:
            break
        chosen.append(file)
    if not chosen:
        newest = files[-1]
        return [_head(newest, workdir) if kind.by_line else newest], f"the start of {newest.name}"
    count = f"{len(files)} file{'' if len(files) == 1 else 's'}"
    seen = f"all of {count}" if len(chosen) == len(files) else f"all of the newest {len(chosen)} of {count}"
    # the oldest first, so that the sample begins where the data do
    return chosen[::-1], seen


def _head(file: Delivered, workdir: Path) -> Delivered:
    """Return the file, or a copy of its first whole lines where it is large."""
    if file.path.stat().st_size <= _HEAD_BYTES:
        return file
    copy = workdir / file.path.name
    head = _first_bytes(file.path)
    copy.write_bytes(head[: head.rfind(b"\n") + 1])
    return Delivered(file.name, copy)


def _first_bytes(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.read(_HEAD_BYTES)
