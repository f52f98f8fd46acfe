"""What the contract does with one load, column by column, and what it calls each of them in SQL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from elt_factory.config.models.deletes import DELETED_AT, Deletes, says_deleted
from elt_factory.config.models.values import ColumnType
from elt_factory.core.sql_text import identifier
from elt_factory.landing.casting import duckdb_type
from elt_factory.landing.file_names import AGAIN, PATH, ROW, UNDECODED
from elt_factory.landing.numbers import Signs
from elt_factory.landing.presumption import Presumption
from elt_factory.landing.quarantine import Quarantine

_TIMES = ("time", "datetime", "timestamp")
WHERE = "where_holds"  # the macro of the condition for the rows to keep
STAYS = "stays"  # the macro of the condition for the rows whose key is not deleted


@dataclass(frozen=True)
class PlannedColumn:
    """What the contract does with one column of the records."""

    name: str
    type: ColumnType
    nullable: bool = True
    hashed: bool = False
    found: bool = True
    on_bad_value: Literal["reject", "null"] = "reject"
    written: str | None = None  # how a date or time is written, where it is not in ISO 8601

    @property
    def landed_type(self) -> ColumnType:
        """The type in the landing: a hash is text."""
        return ColumnType("text") if self.hashed else self.type


@dataclass(frozen=True)
class OnlyFile:
    """A file: where its records are read from, its name, and what rows carry in place of the name."""

    path: str
    name: str
    id: str


@dataclass(frozen=True)
class ContractPlan:
    """What the contract does with one load.

    `unwanted` columns reject the rows that have a value in them. `signs` are those of numbers in the text. With
    `single_keys` JSON of a shape in the table `repeated_keys` is a bad value: it has a key twice in one object.
    `by_file`: the records come from a source's files, and each row says from which; `file_column` then holds the file's
    name. With `key_of_file` a key
    distinguishes the rows of one file from each other. `by_header`: a row says whether it is its file's
    header line again. `nanoseconds` are the columns whose source has a type for them: a time of theirs is never cut.
    `numbered`: a row says at which place it was read; else one thread has to stage the rows, in their order.
    `where` is the condition for the good rows to keep, `stays` the one without which a row is landed as deleted.
    `presumed` is what the first records say of all.
    `protected`: the values of hashed columns are hashes already. `only_file` is the file that all records come from,
    where there is one. With `short_texts` no value is longer than a text may be. `integers` are columns whose texts a
    database wrote from integers. `not_bytes` are binary columns whose source says that it has no bytes in them, and
    `written_bytes` columns of text whose source has. `quarantines` are the checks that set rows aside, but none that is
    deleted by `deletes`; `unseen` are columns that no record has, and a condition may name. `proven` are columns whose
    values records of the form of most have with their type, too. `of_bytes` are columns that a source has as bytes and
    the table as something else: their values are what the bytes say as UTF-8. `clocks` are columns that were found to
    be times without an offset: one with an offset is another kind of value.
    """

    columns: tuple[PlannedColumn, ...]
    primary_key: tuple[str, ...] = ()
    cursor: str | None = None
    unwanted: tuple[str, ...] = ()
    secret: frozenset[str] = field(default_factory=frozenset)
    single_keys: bool = False
    signs: Signs | None = None
    by_file: bool = False
    key_of_file: bool = False
    by_header: bool = False
    file_column: str | None = None
    nanoseconds: frozenset[str] = frozenset()
    numbered: bool = False
    where: str | None = None
    stays: str | None = None
    presumed: Presumption = field(default_factory=Presumption)
    protected: bool = False
    only_file: OnlyFile | None = None
    short_texts: bool = False
    integers: frozenset[str] = frozenset()
    not_bytes: frozenset[str] = frozenset()
    written_bytes: frozenset[str] = frozenset()
    quarantines: tuple[Quarantine, ...] = ()
    unseen: tuple[tuple[str, ColumnType | None], ...] = ()
    deletes: Deletes | None = None
    proven: frozenset[str] = field(default_factory=frozenset)
    of_bytes: frozenset[str] = frozenset()
    clocks: frozenset[str] = frozenset()

    @property
    def own_columns(self) -> tuple[str, ...]:
        """The columns of the records as they are read that are not the source's."""
        own = {PATH: self.by_file, AGAIN: self.by_header, ROW: self.numbered, UNDECODED: bool(self.of_bytes)}
        return tuple(name for name, is_there in own.items() if is_there)

    @property
    def staged_columns(self) -> tuple[str, ...]:
        """What `staged` calls what it keeps of them."""
        return (*(("file",) if self.by_file else ()), *(("place",) if self.numbered else ()))

    def given_to(self, condition: str) -> Mapping[str, str]:
        """Return the columns that a condition may mean, those whose names are in its text, and their typed values.

        A column of the table that no record has is NULL.
        """
        text = condition.casefold()
        planned = {column.name: self.typed(column.name) for column in self.columns}
        unseen = {name: f"CAST(NULL AS {duckdb_type(kind)})" if kind else "NULL" for name, kind in self.unseen}
        return {name: value for name, value in {**planned, **unseen}.items() if _is_in(name, text)}

    @property
    def kept(self) -> str | None:
        """The condition for the rows to keep, over the typed columns; None where all are kept."""
        return self._asked(WHERE, self.where) if self.where else None

    @property
    def unmet(self) -> str | None:
        """The condition for the rows that are landed as deleted, over the typed columns; None where there are none."""
        return f"NOT {self._asked(STAYS, self.stays)}" if self.stays else None

    def _asked(self, macro: str, condition: str) -> str:
        return f"{macro}({', '.join(self.given_to(condition).values())})"

    @property
    def deleted(self) -> str | None:
        """The condition for the rows that say themselves that they are deleted; None where no column can say it."""
        marker = self.deletes.column if self.deletes else None
        column = next((one for one in self.columns if one.name == marker), None)
        if column is None or self.deletes is None:
            return None
        says = says_deleted(self.typed(column.name), column.landed_type, self.deletes.equals)
        return f"coalesce({says}, FALSE)" if says else None

    @property
    def is_judged(self) -> str | None:
        """The condition for the rows that checks may set aside: those that would be loaded; None where all are."""
        column = next((one for one in self.columns if self.deletes and one.name == self.deletes.marker), None)
        deleted = (
            column and self.deletes and says_deleted(self.typed(column.name), column.landed_type, self.deletes.equals)
        )
        there = f"NOT coalesce({deleted}, FALSE)" if deleted else None
        return " AND ".join(filter(None, (self.kept, there))) or None

    @property
    def raw_columns(self) -> tuple[str, ...]:
        """Every column that is read, kept or only looked at."""
        return (*(column.name for column in self.columns if column.found), *self.unwanted)

    def raw(self, name: str) -> str:
        """Return what a column of the records is called while it is staged."""
        return f"r{self.raw_columns.index(name)}"

    def typed(self, name: str) -> str:
        """Return what a planned column is called once it has its type."""
        return f"c{[column.name for column in self.columns].index(name)}"

    def staged(self, name: str) -> str:
        """Return what a planned column is called in `staged`."""
        return f"staged.{self.typed(name)}"

    def landed_as(self, name: str) -> str:
        """Return the name of the type that a planned column has in the landing."""
        return next(column.landed_type.name for column in self.columns if column.name == name)

    @property
    def joins_files(self) -> bool:
        """Whether each row looks up the file that it came from."""
        return self.by_file and self.only_file is None

    def is_mark(self, column: PlannedColumn) -> bool:
        """Whether a column is the one by which a row is landed as deleted."""
        return self.stays is not None and column.name == DELETED_AT

    def is_plain_text(self, column: PlannedColumn) -> bool:
        """Whether every value of a column is landed as it is read."""
        plain = column.found and not column.hashed and column.name not in self.written_bytes | self.of_bytes
        return self.short_texts and plain and column.type.name == "text"

    def is_sure(self, column: PlannedColumn) -> bool:
        """Whether DuckDB's own cast of a column's values is exact."""
        return column.name in self.integers and column.type.name == "integer"

    def is_undecoded(self, column: PlannedColumn) -> str | None:
        """Return the condition that a value is of bytes that are not text; None where the source has no bytes."""
        name = f"'{self.raw(column.name)}'"
        return f"list_contains(undecoded, {name})" if column.name in self.of_bytes else None

    def is_cut(self, column: PlannedColumn) -> bool:
        """Whether a column's values may say more than the landed type holds."""
        return column.name in self.nanoseconds and column.type.name in _TIMES


def _is_in(name: str, text: str) -> bool:
    return name.casefold() in text or identifier(name).casefold() in text
