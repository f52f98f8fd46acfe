"""The data dictionary: every column that is known of a loaded table, and who says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from elt_factory.config.models.in_words import PII, role_words
from elt_factory.config.models.source import Config
from elt_factory.config.models.table import Column, Table
from elt_factory.config.models.values import ColumnType
from elt_factory.describe.models import ColumnNote, Models

Found = Mapping[tuple[str, str], Mapping[str, ColumnType]]  # the columns of tables in the warehouse


@dataclass(frozen=True)
class Entry:
    """One column of one table."""

    name: str
    type: str
    nullable: bool
    pii: str
    description: str
    roles: tuple[str, ...]
    checks: tuple[str, ...]


def entries(config: Config, table: str, models: Models, found: Found) -> list[Entry]:
    """Return a table's columns: those of the YAML, then those that only dbt's files or the warehouse know."""
    spec = config.all_tables[table]
    noted = models.source(*config.place_of(table))
    notes = noted.columns if noted else {}
    types = found.get((config.name, table), {})
    named = dict.fromkeys((*role_words(spec), *spec.columns, *notes, *types))
    own = ("_load_id", "_loaded_at")
    return [_entry(name, spec, notes.get(name, ColumnNote()), types.get(name)) for name in named if name not in own]


def _entry(name: str, spec: Table, note: ColumnNote, kind: ColumnType | None) -> Entry:
    column = spec.columns.get(name, Column())
    declared = "text" if column.pii == "hash" else str(column.type or "")
    return Entry(
        name=name,
        type=declared or (str(kind) if kind else note.type),
        nullable=column.nullable and name not in spec.primary_key,
        pii=PII.get(column.pii or "", ""),
        description=column.description or note.description,
        roles=role_words(spec).get(name, ()),
        checks=tuple(check.words for check in column.checks),
    )
