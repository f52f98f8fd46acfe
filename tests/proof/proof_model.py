"""What must be in the warehouse, in a few lines: a table is a plain function of what was committed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from proof_source import Row

Seen = tuple[int, int | None, float, str | None]  # id, u, v, extra
Version = tuple[Seen, int, int | None]


@dataclass(frozen=True)
class Read:
    """What one try read of the source, as the source has it: for a window, in hours."""

    load_id: str
    start: int
    end: int
    rows: tuple[Row, ...]

    @property
    def bad(self) -> list[Row]:
        return [row for row in self.rows if not row.good]

    @property
    def only_bad(self) -> bool:
        return bool(self.rows) and not any(row.good for row in self.rows)

    def good(self, keys: Sequence[str], cursor: str | None) -> list[Row]:
        """One row for each key: the newest by the cursor, of those the last."""
        newest: dict[tuple, Row] = {}
        for row in (row for row in self.rows if row.good):
            key = tuple(getattr(row, name) for name in keys)
            if key not in newest or cursor is None or _order(row.u) >= _order(newest[key].u):
                newest[key] = row
        return list(newest.values())


def seen(row: Row) -> Seen:
    return (row.id, row.u, row.v, row.extra)


def _order(u: int | None) -> float:
    return float("-inf") if u is None else u


def standing(commits: Iterable[Read]) -> list[Read]:
    """The newest commit of every load."""
    return list({read.load_id: read for read in commits}.values())


def appended(commits: Sequence[Read]) -> list[Seen]:
    return [seen(row) for read in standing(commits) for row in read.good(("id",), None)]


def once(commits: Sequence[Read]) -> tuple[list[Seen], int]:
    """By a cursor: a load takes its own rows away and adds those whose key is not there; how many it added."""
    table: dict[int, tuple[Seen, str]] = {}
    added = 0
    for read in commits:
        others = {key: row for key, row in table.items() if row[1] != read.load_id}
        table = {row.id: (seen(row), read.load_id) for row in read.good(("id",), None)} | others
        added = len(table) - len(others)
    return [row for row, _ in table.values()], added


def replaced(commits: Sequence[Read]) -> list[Seen]:
    """What came last; rejects alone take the place of nothing."""
    return [
        seen(row) for read in [read for read in commits if not read.only_bad][-1:] for row in read.good(("id",), None)
    ]


def merged(commits: Sequence[Read], cursor: str | None) -> list[Seen]:
    """Of each key the newest by the cursor; where there is none, and of equals, the one that came last."""
    table: dict[int, Row] = {}
    for read in commits:
        for row in read.good(("id",), cursor):
            if row.id not in table or cursor is None or _order(table[row.id].u) <= _order(row.u):
                table[row.id] = row
    return [seen(row) for row in table.values()]


def accepted(commits: Sequence[Read], cursor: str | None) -> int:
    """How many rows the last commit of a merge wrote."""
    before = {key: u for key, u, _, _ in merged(commits[:-1], cursor)}
    rows = commits[-1].good(("id",), cursor)
    return sum(row.id not in before or cursor is None or _order(before[row.id]) <= _order(row.u) for row in rows)


def pictured(commits: Sequence[Read]) -> list[Version]:
    """Snapshots: what each says holds from its moment to that of the next one, whatever the order they came in."""
    pictures: list[tuple[int, Mapping[int, Seen]]] = []
    for read in sorted(standing(commits), key=lambda read: read.end):
        now = {row.id: seen(row) for row in read.good(("id",), None)}
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
    for read in commits:
        for row in read.good(("id", "u"), None):
            if row.u is not None:
                known[row.id, row.u] = seen(row)
    return [
        (values, u, min((later for other, later in known if other == key and later > u), default=None))
        for (key, u), values in known.items()
    ]
