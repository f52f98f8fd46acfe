"""Planning the contract: what was found next to what is declared and what the table already has."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from elt_factory.config.errors import near_name
from elt_factory.config.models.checks import TableCheck
from elt_factory.config.models.cursor_rules import NUMBERS
from elt_factory.config.models.deletes import DELETED_AT, a_column_that_says, says_deleted, says_nothing
from elt_factory.config.models.source import Pipeline
from elt_factory.config.models.table import TIMES, Column, Table
from elt_factory.config.models.values import ColumnType
from elt_factory.config.models.widening import holds
from elt_factory.core.failures import ContractError
from elt_factory.core.sql_text import identifier
from elt_factory.landing.folded import Folded, exact_names
from elt_factory.landing.manifest import Drift
from elt_factory.landing.planned import ContractPlan, PlannedColumn
from elt_factory.landing.quarantine import quarantines_of, unseen_columns

NAME = r"[^\x00-\x1f]{1,255}"  # what a column can be called, also as a pattern of DuckDB
_NAME = re.compile(NAME)


class UnfitNameError(ContractError):
    """The records have a name that no column can have."""


@dataclass(frozen=True)
class KnownTable:
    """What is known of a table before its records are seen.

    `existing` are the columns that the warehouse has; None where it does not have the table yet. `grown` are those of
    them that need a wider type for what was found. `single_keys` says that JSON was found with a key twice in
    one object. `checks` are those of the table as a whole, of which some set rows aside.
    """

    source: str
    table_name: str
    table: Table
    existing: Mapping[str, ColumnType] | None
    grown: Mapping[str, ColumnType] = field(default_factory=dict)
    single_keys: bool = False
    checks: Sequence[TableCheck] = ()

    @classmethod
    def of(cls, config: Pipeline, name: str, existing: Mapping[str, ColumnType] | None) -> KnownTable:
        """Return what is known of a table of a config."""
        return cls(config.name, name, config.all_tables[name], existing, checks=config.quality.get(name, ()))

    @property
    def label(self) -> str:
        """source.table, for messages."""
        return f"{self.source}.{self.table_name}"

    @property
    def has_sql(self) -> bool:
        """Whether the contract runs SQL that the config has: conditions for rows."""
        return bool(self.table.where or quarantines_of(self.table, self.checks))

    def declared(self, name: str) -> Column:
        """Return what the YAML says of a column; nothing said is an open column."""
        return self.table.columns.get(name, Column())

    def type_of(self, name: str) -> ColumnType | None:
        """Return the type that is settled for the raw value: by the YAML, else by the table."""
        declared = self.declared(name).type
        if declared is not None or self.declared(name).pii == "hash":
            return declared or ColumnType("text")
        return self.grown.get(name) or (self.existing or {}).get(name)


def as_declared(existing: Mapping[str, ColumnType] | None, table: Table) -> Mapping[str, ColumnType] | None:
    """Return a table's columns in the types that the YAML says: those that they have after a full refresh."""
    if existing is None:
        return None
    said = {name: ColumnType("text") if column.pii == "hash" else column.type for name, column in table.columns.items()}
    merged = {**existing, **{name: kind for name, kind in said.items() if kind and name in existing}}
    return Folded(merged) if isinstance(existing, Folded) else merged


def settled(known: KnownTable, found: Iterable[str]) -> bool:
    """Whether every found column has its type already, so that the data need not be looked through for types."""
    return all(known.type_of(name) or known.declared(name).pii for name in found)


def plan_contract(known: KnownTable, found: Mapping[str, ColumnType | None]) -> tuple[ContractPlan, tuple[Drift, ...]]:
    """Return what to do with each column, and the drift that was met.

    `found` has the columns of the records and their types in the data; None where no record has a value: they are text
    where the table has no type for them.

    Raises:
        ContractError: a column that the YAML needs is nowhere, drift under `freeze`, or a name that cannot be used.
    """
    check_names(known, found)
    found = {name: kind or _of_no_value(known, name) for name, kind in found.items()}
    table = known.table
    new = [name for name, kind in found.items() if kind is not None and is_new(known, name)]
    drift, unwanted, dropped = _decide(known, found, new)
    kept = [name for name in _wanted(known, found) if name not in dropped and name not in unwanted]
    columns = tuple(_planned(known, name, found) for name in kept)
    _check_needed(known, [column.name for column in columns], found)
    _check_history(known, columns)
    _check_cursor(known, found)
    stays = _condition_to_stay(known, columns)
    if stays:
        # it is said of the columns before it
        columns = (*columns, PlannedColumn(DELETED_AT, ColumnType("timestamp"), found=False))
    secret = frozenset(name for name, column in table.columns.items() if column.pii)
    cursor = table.incremental.cursor if table.incremental else None
    plan = ContractPlan(
        columns=columns,
        primary_key=table.version_key,
        cursor=cursor if any(column.name == cursor for column in columns) else None,
        unwanted=tuple(unwanted),
        secret=secret,
        single_keys=known.single_keys,
        where=None if stays else _condition(known, columns),
        stays=stays,
        quarantines=quarantines_of(table, known.checks) if columns else (),
        unseen=unseen_columns(table, known.existing, kept),
        deletes=table.follows_deletes,
    )
    return plan, (*drift, *_widened(known, columns))


def _condition(known: KnownTable, columns: Sequence[PlannedColumn]) -> str | None:
    """Return the condition for the rows to load.

    One that says that it is deleted always is: filtered, the row would stay in the warehouse as it was.

    Raises:
        ContractError: the column that is to say so has a type that does not.
    """
    where = known.table.where if columns else None
    follows = known.table.follows_deletes
    column = next((one for one in columns if follows and one.name == follows.column), None)
    if column is None or follows is None:
        return where
    deleted = says_deleted(identifier(column.name), column.landed_type, follows.equals)
    if deleted is None:
        text = says_nothing(column.name, column.landed_type, follows.equals)
        raise ContractError(f"{known.label}: {text}; hint: {a_column_that_says(column.name, follows.equals)}")
    return f"({where}\n) OR {deleted}" if where else None


def _condition_to_stay(known: KnownTable, columns: Sequence[PlannedColumn]) -> str | None:
    """Return the condition without which the row of a key is deleted; None where rows are only left out."""
    follows = known.table.follows_deletes
    return known.table.where if columns and follows and follows.filtered else None


def _of_no_value(known: KnownTable, name: str) -> ColumnType | None:
    """Return a column that no record has a value for is text; to a strict contract it is new only once it has one."""
    strict = known.table.schema_contract != "evolve" and is_new(known, name)
    return None if strict else ColumnType("text")


def _of_key(known: KnownTable, name: str, kind: ColumnType | None) -> ColumnType | None:
    """Return a found type; JSON of a key is text, as warehouses compare JSON in different ways."""
    return ColumnType("text") if kind and kind.name == "json" and name in known.table.primary_key else kind


def is_new(known: KnownTable, name: str) -> bool:
    """Whether a column is one that neither the table nor the YAML has."""
    if known.existing is None:
        # a first load sets what the table has; a strict contract with columns has set it already
        return known.table.schema_contract != "evolve" and bool(known.table.columns) and name not in known.table.columns
    return name not in known.existing and name not in known.table.columns


def _decide(
    known: KnownTable, found: Mapping[str, ColumnType | None], new: list[str]
) -> tuple[tuple[Drift, ...], list[str], set[str]]:
    contract = known.table.schema_contract
    if new and contract == "freeze":
        raise ContractError(
            f"{known.label}: schema_contract is freeze but the source has new columns: {', '.join(new)}; "
            "add them under columns: or set schema_contract: evolve"
        )
    added = [
        name for name in found if known.existing is not None and name not in known.existing and found[name] is not None
    ]
    action = {"evolve": "added", "discard_row": "rejected", "discard_value": "dropped"}.get(contract, "added")
    strict = new if contract in ("discard_row", "discard_value") else []
    drift = [Drift(name, str(found[name]), action) for name in strict]
    drift += [
        Drift(name, str(known.type_of(name) or found[name]), "added")
        for name in added
        if name not in strict and known.declared(name).pii != "drop"
    ]
    return (
        tuple(drift),
        (strict if contract == "discard_row" else []),
        set(strict if contract == "discard_value" else []),
    )


def _wanted(known: KnownTable, found: Mapping[str, ColumnType | None]) -> list[str]:
    """Return the columns to land, found ones first in their order.

    New ones without any value wait until there is one.
    """
    names = [name for name, kind in found.items() if kind is not None or known.type_of(name) is not None]
    names += [name for name in known.table.columns if known.type_of(name) is not None and name not in names]
    return [name for name in names if known.declared(name).pii != "drop"]


def _planned(known: KnownTable, name: str, found: Mapping[str, ColumnType | None]) -> PlannedColumn:
    declared = known.declared(name)
    kind = known.type_of(name) or _of_key(known, name, found.get(name)) or ColumnType("text")
    on_bad_value = declared.on_bad_value or ("null" if known.table.schema_contract == "discard_value" else "reject")
    hashed = declared.pii == "hash"
    column = PlannedColumn(name, kind, declared.nullable, hashed, name in found, on_bad_value, declared.format)
    existing = (known.existing or {}).get(name)
    if existing is not None and (column.hashed or not holds(column.type, existing)) and existing != column.landed_type:
        raise ContractError(
            f"{known.label}: the YAML declares {name} as {'hashed' if column.hashed else column.type}, the table has "
            f"{existing}, and columns never narrow: write type: {existing} under tables.{known.table_name}.columns."
            f"{name}, or run with full refresh, which gives the column its new type"
        )
    return column


def _widened(known: KnownTable, columns: Iterable[PlannedColumn]) -> Iterator[Drift]:
    """Yield the columns of the table that grow to the type of what is landed."""
    for column in columns:
        old = (known.existing or {}).get(column.name)
        if old is not None and old != column.landed_type:
            yield Drift(column.name, str(column.landed_type), "widened", str(old))


def check_width(known: KnownTable, found: Collection[str]) -> None:
    """Refuse a load that would add undeclared columns to a table that has enough of them."""
    table, existing = known.table, known.existing or {}
    if table.schema_contract != "evolve":
        return
    new = [name for name in found if name not in existing and name not in table.columns]
    total = len(new) + sum(name not in table.columns for name in existing)
    if new and total > table.max_columns:
        some = ", ".join(name[:40] for name in new[:3])
        raise ContractError(
            f"{known.label}: the source has {len(new)} new columns, such as {some}, which would give the table {total} "
            f"undeclared columns; put keys that are ids or dates into one column of type json. Change the source "
            f"or the query, write schema_contract: discard_value, or set max_columns (now {table.max_columns})"
        )


def can_name(text: str) -> bool:
    """Whether a column can have this name."""
    return _NAME.fullmatch(text) is not None


def check_names(known: KnownTable, found: Collection[str]) -> None:
    """Refuse a name that no column can have, or that differs from another only by case."""
    for name in found:
        if not can_name(name):
            raise UnfitNameError(
                f"{known.label}: {name[:50]!r} is not a valid column name: it is empty, longer than 255 characters, or "
                "contains a control character; rename it in the source or a query"
            )
    _check_case(known, found)


def _check_case(known: KnownTable, found: Iterable[str]) -> None:
    """Refuse names that differ only by case: warehouses cannot tell them apart.

    It would be worse than a failure where `email` is declared as personal and the source says `Email`.
    """
    in_table = exact_names(known.existing or {})
    places = (("the YAML", known.table.columns), ("the table", in_table), ("the source", found))
    folded: dict[str, tuple[str, str]] = {}
    for place, names in places:
        for name in names:
            other, where = folded.setdefault(name.casefold(), (name, place))
            if other != name:
                raise ContractError(
                    f"{known.label}: the columns {other} ({where}) and {name} ({place}) differ only by case, which "
                    "warehouses cannot tell apart; use one spelling"
                )


def _check_needed(known: KnownTable, columns: Iterable[str], found: Mapping[str, ColumnType | None]) -> None:
    """Refuse a key, cursor or business date that does not exist; without records there is nothing to check."""
    table, names = known.table, set(columns) | set(found)
    if not found:
        return
    needed = dict.fromkeys(table.cluster_by, "cluster_by") | dict.fromkeys(table.primary_key, "primary_key")
    if table.incremental:
        needed[table.incremental.cursor] = "incremental.cursor"
    if table.business_date:
        needed[table.business_date] = "business_date"
    if table.follows_deletes and table.follows_deletes.column:
        needed[table.follows_deletes.column] = "deletes.column"
        # records that say that they are deleted may have their keys alone
        names |= set(known.existing or {})
    for name, where in needed.items():
        if name not in names:
            raise ContractError(
                f"{known.label}: {where} names {name}, which the source does not have; {near_name(name, names)}"
            )


def _check_cursor(known: KnownTable, found: Mapping[str, ColumnType | None]) -> None:
    """Refuse a time or a number of a database as the cursor of a table that has it as text, or a time on another clock.

    Rows are read by what their values say. In the table their order would be another one, and newer rows count as
    older.
    """
    table = known.table
    cursor = table.incremental.cursor if table.incremental and table.asks_by_cursor else ""
    here, there = (known.existing or {}).get(cursor), found.get(cursor)
    if here is None or there is None or known.declared(cursor).type or known.declared(cursor).pii:
        return
    kinds = {here.name, there.name}
    as_text = here.name == "text" and there.name in (*TIMES, *NUMBERS)
    if as_text or kinds == {"datetime", "timestamp"}:
        keep = "" if here.name == "text" else f", or type: {here} to keep it"
        raise ContractError(
            f"{known.label}: the cursor {cursor} is {there} in the source and {here} in the table, where its rows may "
            f"have another order; write type: {there} under tables.{known.table_name}.columns.{cursor} and run with "
            f"full refresh{keep}"
        )


def _check_history(known: KnownTable, columns: Iterable[PlannedColumn]) -> None:
    """Refuse a history whose cursor is not a time, since the validity of its versions would be unknown."""
    table = known.table
    if table.write_disposition != "scd2" or table.incremental is None:
        return
    for column in columns:
        if column.name == table.incremental.cursor and column.landed_type.name not in TIMES:
            raise ContractError(
                f"{known.label}: scd2 needs a time as its cursor, but {column.name} is {column.landed_type}; choose a "
                "column that holds when a row changed, or remove incremental to read the whole table"
            )
