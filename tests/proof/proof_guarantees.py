"""What must hold of a line, whenever it is looked at: the names are those of docs/concepts/guarantees.md."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import proof_model as model
from proof_line import Attempt, Line
from proof_model import Read
from proof_source import DAY, Row
from proof_tables import Tables

from elt_factory.core.failures import BadDataError, ContractError, EltError, LandingError, PermanentError

Found = Iterator[tuple[str, str]]  # the names of guarantees that are broken, and how


@dataclass
class Look:
    """A look at the line after a try has gone on: `before` is what there was."""

    line: Line
    attempt: Attempt
    before: Tables

    def found(self) -> list[tuple[str, str]]:
        """All that does not hold."""
        line, now = self.line, self.line.tables
        found: list[tuple[str, str]] = []
        last = line.commits[-1:]
        committed = now.commits != self.before.commits
        if committed:
            found += self._whose()
            last_two = [*last, line.has_committed(self.attempt)]
            if len(last_two) > 1 and last_two[0] == last_two[1] and self.before.rows != now.rows:
                found.append(("rerun-changes-nothing", f"the same rows again: {_difference(self.before, now)}"))
        if self.before.rows != now.rows and not (committed and self.attempt.committed):
            found.append(("all-or-nothing", f"no load has committed it: {_difference(self.before, now)}"))
        return [*found, *self._ends(), *self._rows(), *self._accounts(committed), *self._rejects()]

    # --- the try itself

    def _whose(self) -> Found:
        """Each try loads what it landed itself, byte for byte, unless a later one of its window was loaded before."""
        attempt = self.attempt
        owner, read = self.line.by_name[attempt.loading]
        if owner is not attempt:
            yield "own-landing", f"try {attempt.number} loaded what try {owner.number} had landed"
        if attempt.damaged:
            how = f"byte {attempt.flip}" if attempt.flip is not None else attempt.foreign
            yield "own-landing", f"try {attempt.number} loaded a landing with another {how}"
        if any(self._later()):
            yield "newest-wins", f"try {attempt.number} took the place of a later one"
        if attempt.full and not read.only_bad:
            yield from self._refused(read)

    def _later(self) -> Iterator[Attempt]:
        """The later tries that are committed and hold all that this one does."""
        later = self.line.attempts[self.attempt.number + 1 :]
        return (other for other in later if other.committed and other.covers(self.attempt))

    def _refused(self, read: Read) -> Found:
        """What a full refresh would take away that it has not read."""
        line = self.line
        if line.kind.disposition == "replace":
            return
        for other in model.standing(line.commits):
            if other.load_id == read.load_id or not self.before.loads.get(other.load_id, {}).get("rows_loaded"):
                continue
            if line.kind.of_window and other.end > read.end:
                yield "nothing-lost", f"a full refresh up to {read.end} takes away what {other.load_id} has loaded"
            if other.at > read.at and other.start < read.end and read.start < other.end:
                yield "newest-wins", f"a full refresh takes away what {other.load_id} has read after it"

    def _ends(self) -> Found:
        attempt, error = self.attempt, self.attempt.of.error
        if attempt.of.dead or not attempt.of.ended:
            return
        if attempt.failed:
            if not isinstance(error, BadDataError):
                yield "only-rejects-fail", f"only rejects were read, and it ends with {error!r}"
        elif error is None:
            if not attempt.committed and not any(self._later()):
                yield "newest-wins", f"try {attempt.number} gives way, and no later one of its window is committed"
        elif not isinstance(error, EltError):
            yield "clear-errors", f"{error!r}"
        elif not (attempt.damaged and isinstance(error, LandingError)):
            yield from self._heals(error)

    def _heals(self, error: EltError) -> Found:
        attempt, read = self.attempt, self.attempt.read
        if attempt.full and isinstance(error, ContractError) and read and any(self._refused(read)):
            return
        if not attempt.disturbed:
            yield "runs-heal", f"nothing disturbed it, and it ends with {error!r}"
        elif isinstance(error, PermanentError) and attempt.newest and not isinstance(error, ContractError):
            yield "newest-wins", f"no newer try of its window is there, and it ends with {error!r}"

    # --- the table

    def _rows(self) -> Found:
        versions = self.line.kind.versions
        found = [row[:-1] if versions else row[0] for row in self.line.tables.rows]
        expected = self._versions() if versions else [row for row, _ in self._owned()]
        lost, more = list((Counter(expected) - Counter(found)).elements()), Counter(found) - Counter(expected)
        if self.line.kind.compares and (left := {row[0] for row in more} - {row[0] for row in expected}):
            yield "deletes-followed", f"rows of the keys {left} are still there"
        if lost or more:
            yield from self._named(lost, list(more.elements()), (lambda row: row[0]) if versions else (lambda row: row))

    def _named(self, lost: list[Any], more: list[Any], values: Any) -> Found:
        """The guarantees that are broken by rows that are missing and rows that should not be there."""
        line = self.line
        has, too_many = Counter(values(row)[0] for row in more), Counter(values(row)[0] for row in lost)
        if gone := [row for row in lost if not has[values(row)[0]]]:
            yield "nothing-lost", f"{gone}"
        if nulls := [row for row in lost if values(row)[1] is None]:
            yield "null-cursors-read", f"{nulls}"
        if late := [row for row in lost if values(row)[:2] in line.late]:
            yield "late-rows-found", f"{late}"
        if twice := [row for row in more if has[values(row)[0]] > too_many[values(row)[0]]]:
            yield "nothing-twice", f"{twice}"
        strange = [row for row in more if values(row) not in line.history.get(values(row)[0], [])]
        # by a cursor a row says itself since when it holds
        strange += [row for row in more if line.kind.events and row[1] != values(row)[1]]
        if strange:
            yield "values-as-written", f"{strange} in place of {lost}"
        elif more and lost:
            yield "any-order", f"{more} in place of {lost}"

    def _owned(self) -> model.Owned:
        commits, kind = self.line.commits, self.line.kind
        match kind.disposition, kind.reads:
            case "append", "number":
                return model.by_number(commits)
            case "append", "time":
                return model.by_time(commits)
            case "append", _:
                return model.by_file(commits)
            case "replace", _:
                return model.replaced(commits)
        return model.merged(commits, kind.cursor)

    def _versions(self) -> list[model.Version]:
        commits = self.line.commits
        return model.pictured(commits) if self.line.kind.snapshots else model.chained(commits)

    # --- the account

    def _accounts(self, committed: bool) -> Found:
        loads = self.line.tables.loads
        for load in loads.values():
            parts = [load[f"rows_{part}"] or 0 for part in ("loaded", "rejected", "duplicate", "unchanged")]
            if load["rows_read"] != sum(parts):
                yield "every-row-accounted", f"{load['rows_read']} rows read are {parts}"
        for read in model.accounted(self.line.commits):
            yield from self._account(read)
        yield from self._together()
        if committed and self.attempt.committed and not self.line.kind.versions:
            last = self.line.commits[-1]
            wrote = model.wrote(self.line.commits, self._owned(), self.line.kind.cursor)
            if wrote != (says := loads[last.load_id]["rows_loaded"]):
                yield "every-row-accounted", f"{wrote} rows were written and the account says {says}"

    def _account(self, read: Read) -> Found:
        load = self.line.tables.loads.get(read.load_id)
        if load is None:
            yield "cursor-and-rows-together", f"{read.load_id} was committed, and no account says so"
        elif (len(read.rows), len(read.bad)) != (load["rows_read"], load["rows_rejected"]):
            says = (load["rows_read"], load["rows_rejected"])
            yield "every-row-accounted", f"{len(read.rows)} read, {len(read.bad)} bad; {read.load_id} says {says}"
            if len(read.rows) > load["rows_read"]:
                yield from self._left_out(read)

    def _left_out(self, read: Read) -> Found:
        """What a load that read too little may have left out."""
        if before := [row for row in read.rows if row.u is not None and row.u < read.start]:
            yield "late-rows-found", f"{before}"
        if nulls := [row for row in read.rows if row.u is None]:
            yield "null-cursors-read", f"{nulls}"

    def _together(self) -> Found:
        """No row without the account of its load; no account, and no cursor, without its rows."""
        found = Counter(row[-1] for row in self.line.tables.rows)
        if strange := set(found) - set(self.line.tables.loads):
            yield "cursor-and-rows-together", f"rows of {strange}, of which no account is there"
        if self.line.kind.disposition == "append":
            expected = Counter(load for _, load in self._owned())
            if found != expected:
                yield "cursor-and-rows-together", f"rows by load should be {expected}, and are {found}"

    def _rejects(self) -> Found:
        reads = model.rejected(self.line.commits)
        expected = Counter((read.load_id, f"bad {row.id} {row.v}") for read in reads for row in read.bad)
        found = Counter(self.line.tables.rejects)
        if expected != found:
            yield "rejects-kept", f"missing {expected - found}, too many {found - expected}"


def complete(line: Line) -> Found:
    """Every row that the source has is in the table or among the rejects, without a look at what was read."""
    found = Counter(row[0] for row in line.tables.rows)
    if line.kind.reads == "time":
        over = line.source.now // DAY * DAY
        nulls = line.kind.takes_null
        rows = [row for row in line.source.rows if row.good and (nulls if row.u is None else row.u < over)]
        yield from _missing(line, [row for row in rows if not found[model.seen(row)]])
        if line.kind.compares and (left := {row[0] for row in found} - {row.id for row in line.source.rows}):
            yield "deletes-followed", f"the source has no rows of the keys {left}"
        if not line.kind.versions and (twice := [row for row, count in found.items() if count > 1]):
            yield "nothing-twice", f"{twice}"
    elif line.kind.reads == "number":
        ids = Counter(row[0] for row in found.elements())
        yield from _missing(line, [row for row in line.source.rows if row.good and not ids[row.id]])
        if twice := [key for key, count in ids.items() if count > 1]:
            yield "nothing-twice", f"{twice}"
    elif line.kind.disposition == "append":
        rows = [row for file in line.source.delivered.values() for row in model.newest(file, ("id",))]
        yield from _missing(line, [row for row in rows if not found[model.seen(row)]])


def _missing(line: Line, lost: list[Row]) -> Found:
    if gone := [row for row in lost if row.u is not None]:
        yield "nothing-lost", f"{gone}"
    if nulls := [row for row in lost if row.u is None]:
        yield "null-cursors-read", f"{nulls}"
    if late := [row for row in lost if (row.id, row.u) in line.late]:
        yield "late-rows-found", f"{late}"


def _difference(old: Tables, new: Tables) -> str:
    return f"gone {[r for r in old.rows if r not in new.rows]}, new {[r for r in new.rows if r not in old.rows]}"
