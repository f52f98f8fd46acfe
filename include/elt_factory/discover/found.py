"""What a look at a source found; every guess says what it was seen from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from elt_factory.config.models.values import ColumnType


@dataclass(frozen=True)
class Guess:
    """One line of YAML: the value as a person writes it, and why."""

    value: str
    why: str


@dataclass(frozen=True)
class Sample:
    """Records: the types of their columns by all of them (None: no value was seen), and some of the rows as text.

    `total` is their number, `keys` are those that hold for all of them; None where `rows` are all there is. `unlike`
    says of columns why they are not of the type that the source declares.
    """

    types: Mapping[str, ColumnType | None]
    rows: Sequence[Sequence[str | None]]
    total: int = 0
    keys: Sequence[tuple[str, ...]] | None = None
    unlike: Mapping[str, str] = field(default_factory=dict)

    def values(self, name: str) -> list[str | None]:
        """All values of a column."""
        place = list(self.types).index(name)
        return [row[place] for row in self.rows]

    def present(self, name: str) -> list[str]:
        """Return the values of a column that are there."""
        return [value for value in self.values(name) if value is not None]


@dataclass(frozen=True)
class ColumnFound:
    """One column; `why` says why it is not of the type that the source declares, `pii` and `secret` why it is such."""

    name: str
    type: ColumnType | None
    pii: str | None = None
    secret: str | None = None
    why: str = ""


@dataclass(frozen=True)
class Beginning:
    """Where a cursor begins in all of a table, as YAML has it, and a lag that works with it."""

    initial: str
    lag: str


@dataclass(frozen=True)
class SkippedTable:
    """A table that the config leaves out, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class KeyFound:
    """The columns that tell records apart, and why they are believed."""

    columns: tuple[str, ...]
    why: str


@dataclass(frozen=True)
class TableFound:
    """One table. `lines` are the settings of its kind of source, in their order.

    `rows` is the number of records that were looked at; None where it was described, and no record was read. `changes`
    says what finds changes where no column does. `deleted` is the column by which rows may say that they are deleted.
    `origin` is what the source calls the table, where it has a name there.
    """

    name: str
    rows: int | None
    columns: Sequence[ColumnFound]
    seen: str = ""
    lines: Mapping[str, Guess] = field(default_factory=dict)
    key: KeyFound | None = None
    other_keys: Sequence[tuple[str, ...]] = ()
    cursor: Guess | None = None
    changes: str = ""
    beginning: Beginning | None = None
    other_cursors: Sequence[str] = ()
    business_date: Guess | None = None
    other_dates: Sequence[str] = ()
    disposition: Guess = Guess("append", "")
    deleted: str | None = None
    origin: str = ""


@dataclass(frozen=True)
class SourceFound:
    """A whole source: the lines of `extract`, its tables, and what the person still has to do."""

    extract: Mapping[str, Guess]
    tables: Sequence[TableFound]
    first_day: str | None = None
    schedule: Guess = Guess('"0 3 * * *"', "every night at three; adjust to the source")
    todo: Sequence[str] = ()
    skipped: Sequence[SkippedTable] = ()
