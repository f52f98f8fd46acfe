"""What must be in the warehouse, in a few lines: a table is a plain function of what was committed."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from proof_source import File, Row

Seen = tuple[int, int | None, float, str | None]  # id, u, v, extra
Version = tuple[Seen, int, int | None]
Owned = list[tuple[Seen, str]]  # rows, each with the load that wrote it


@dataclass(frozen=True)
class Read:
    """What one try read of the source, as the source has it: for a window, in hours.

    `files` are the rows once more, by the file they came in. `after` is where a number was read from. `full` says that
    it is a full refresh. `at` is the number of the try: they begin in this order, and read at once. `keys` are all that
    the source has, where the load compares them; when it `began`, and when its rows were `written`, it says itself.
    """

    load_id: str
    start: int
    end: int
    rows: tuple[Row, ...]
    files: Mapping[File, tuple[Row, ...]] = field(default_factory=dict)
    after: int = 0
    full: bool = False
    at: int = field(default=0, compare=False)
    keys: frozenset[int] | None = None
    began: datetime | None = field(default=None, compare=False)
    written: datetime | None = field(default=None, compare=False)

    @property
    def bad(self) -> list[Row]:
        return [row for row in self.rows if not row.good]

    @property
    def only_bad(self) -> bool:
        """Whether it fails, and changes nothing."""
        return bool(self.rows) and not any(row.good for row in self.rows)

    @property
    def last(self) -> int:
        """The greatest number among the good rows."""
        return max((row.id for row in self.rows if row.good), default=0)

    def good(self, keys: Sequence[str], cursor: str | None = None) -> list[Row]:
        """One row for each key: the newest by the cursor, of those the last."""
        return newest(self.rows, keys, cursor)


def newest(rows: Iterable[Row], keys: Sequence[str], cursor: str | None = None) -> list[Row]:
    """Of good rows one for each key: the newest by the cursor, of those the last. Without keys all."""
    found: dict[tuple, Row] = {}
    for place, row in enumerate(row for row in rows if row.good):
        key = tuple(getattr(row, name) for name in keys) or (place,)
        if key not in found or cursor is None or _order(row.u) >= _order(found[key].u):
            found[key] = row
    return list(found.values())


def seen(row: Row) -> Seen:
    return (row.id, row.u, row.v, row.extra)


def _order(u: int | None) -> float:
    return float("-inf") if u is None else u


# --- which commits count


def live(commits: Iterable[Read]) -> list[Read]:
    """The commits that changed something, from the last full refresh on."""
    done = [read for read in commits if not read.only_bad]
    return done[max((place for place, read in enumerate(done) if read.full), default=0) :]


def standing(commits: Iterable[Read]) -> list[Read]:
    """The newest of these of every load."""
    return list({read.load_id: read for read in live(commits)}.values())


def accounted(commits: Sequence[Read]) -> list[Read]:
    """What the account of every load says: its newest commit, or the newest that failed where no other is there."""
    failed = {read.load_id: read for read in commits if read.only_bad}
    return list((failed | {read.load_id: read for read in commits if not read.only_bad}).values())


def rejected(commits: Sequence[Read]) -> list[Read]:
    """The reads whose rejects are kept: of every load the newest commit, and the newest that failed after it."""
    first = max((place for place, read in enumerate(commits) if read.full and not read.only_bad), default=0)
    done: dict[str, Read] = {}
    failed: dict[str, Read] = {}
    for read in commits[first:]:
        if read.only_bad:
            failed[read.load_id] = read
        else:
            done[read.load_id] = read
            failed.pop(read.load_id, None)
    return [*done.values(), *failed.values()]


def numbers(commits: Sequence[Read], load_id: str) -> tuple[int, float]:
    """Which numbers a load reads: those of its own commit again, else all from the last value on: more may have it."""
    ranges = {read.load_id: read for read in standing(commits) if read.last}
    if load_id in ranges:
        return ranges[load_id].after, ranges[load_id].last
    return max((read.last for read in ranges.values()), default=0), float("inf")


def files(commits: Sequence[Read], delivered: Mapping[File, tuple[Row, ...]], start: int, end: int) -> Iterator[File]:
    """Which files a load takes: its window's, and those of windows loaded before that are new or have changed."""
    known: dict[File, tuple[Row, ...]] = {}
    for read in live(commits):
        known |= read.files
    windows = [(read.start, read.end) for read in live(commits) if read.files]
    for file in sorted(delivered):
        hour = file[0] * 24
        late = any(first <= hour < last for first, last in windows) and known.get(file) != delivered[file]
        if start <= hour < end or late:
            yield file


# --- what a table has


def by_number(commits: Sequence[Read]) -> Owned:
    """A load takes its own rows away and adds those whose key is not there."""
    table: dict[int, tuple[Seen, str]] = {}
    for read in live(commits):
        others = {key: row for key, row in table.items() if row[1] != read.load_id and not read.full}
        table = {row.id: (seen(row), read.load_id) for row in read.good(("id",))} | others
    return list(table.values())


def by_time(commits: Sequence[Read]) -> Owned:
    """A load takes its own rows away, and those of its window that a full refresh has brought."""
    table: Owned = []
    refreshes = {read.load_id for read in live(commits) if read.full}
    for read in live(commits):
        table = [] if read.full else [
            (row, load)
            for row, load in table
            if load != read.load_id and not (load in refreshes and read.start <= (row[1] or 0) < read.end)
        ]  # fmt: skip
        table += [(seen(row), read.load_id) for row in read.good(())]
    return table


def by_file(commits: Sequence[Read]) -> Owned:
    """Each file's rows, one for each key, as they were when it was last read."""
    table: dict[File, Owned] = {}
    for read, taken in _taken(commits):
        table = {} if read.full else table
        for file in taken:
            table[file] = [(seen(row), read.load_id) for row in newest(read.files[file], ("id",))]
    return [row for rows in table.values() for row in rows]


def _taken(commits: Sequence[Read]) -> Iterator[tuple[Read, list[File]]]:
    """Each commit with its files, but those of which another content was seen later and is committed already."""
    ledger: dict[File, tuple[int, tuple[Row, ...]]] = {}
    for read in live(commits):
        ledger = {} if read.full else ledger
        taken = [file for file, rows in read.files.items() if _is_newest(ledger.get(file), read.at, rows)]
        ledger |= {file: (read.at, read.files[file]) for file in taken}
        yield read, taken


def _is_newest(known: tuple[int, tuple[Row, ...]] | None, at: int, rows: tuple[Row, ...]) -> bool:
    return known is None or known[0] <= at or known[1] == rows


def replaced(commits: Sequence[Read]) -> Owned:
    """What came last."""
    return [(seen(row), read.load_id) for read in live(commits)[-1:] for row in read.good(("id",))]


def merged(commits: Sequence[Read], cursor: str | None) -> Owned:
    """Of each key the newest by the cursor; where there is none, and of equals, the one that came last."""
    table: dict[int, tuple[Row, Read]] = {}
    for read, taken in _taken(commits):
        table = {} if read.full else table
        for row in newest(_of_files(read, taken), ("id",), cursor):
            if row.id not in table or cursor is None or _order(table[row.id][0].u) <= _order(row.u):
                table[row.id] = (row, read)
        table = {key: found for key, found in table.items() if not _gone(key, found[1], read)}
    return [(seen(row), by.load_id) for row, by in table.values()]


def _gone(key: int, by: Read, read: Read) -> bool:
    """Whether a load finds that a row is gone that another had written before it began."""
    if read.keys is None or read.full or by.written is None or read.began is None:
        return False
    return key not in read.keys and by.written < read.began


def _of_files(read: Read, taken: Sequence[File]) -> list[Row]:
    return [row for file in taken for row in read.files[file]] if read.files else list(read.rows)


def pictured(commits: Sequence[Read]) -> list[Version]:
    """Snapshots: what each says holds from its moment to that of the next one, whatever the order they came in."""
    pictures: list[tuple[int, Mapping[int, Seen]]] = []
    for read in sorted(standing(commits), key=lambda read: read.end):
        now = {row.id: seen(row) for row in read.good(("id",))}
        # a rejected row may be any: what is missing next to one is as it was before
        held = pictures[-1][1] if pictures and read.bad else {}
        pictures.append((read.end, {**held, **now}))
    versions: list[Version] = []
    for place, (moment, picture) in enumerate(pictures):
        last = pictures[place - 1][1] if place else {}
        for key, values in picture.items():
            if last.get(key) != values:
                later = (at for at, other in pictures[place + 1 :] if other.get(key) != values)
                versions.append((values, moment, next(later, None)))
    return versions


def chained(commits: Sequence[Read]) -> list[Version]:
    """Rows that say themselves since when they hold: each to the next one of its key."""
    known: dict[tuple[int, int], Seen] = {}
    for read in live(commits):
        for row in read.good(("id", "u")):
            if row.u is not None:
                known[row.id, row.u] = seen(row)
    return [
        (values, u, min((later for other, later in known if other == key and later > u), default=None))
        for (key, u), values in known.items()
    ]


def wrote(commits: Sequence[Read], table: Owned, cursor: str | None) -> int:
    """How many rows the last commit wrote into what is the table now."""
    *_, (read, taken) = _taken(commits)
    if read.files:
        rows = [row for file in taken for row in newest(read.files[file], ("id",))]
    else:
        rows = newest(read.rows, ("id",), cursor)
    return sum((seen(row), read.load_id) in table for row in rows)
