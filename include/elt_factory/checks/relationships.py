"""Every value is in a column of another table that a config loads: a foreign key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from pydantic import Field

from elt_factory.checks.counting import LoadedRows, breaking, breaking_rows
from elt_factory.checks.kind import Checking, ColumnCheckKind, Outcome, counted
from elt_factory.config.models.base import Model
from elt_factory.config.models.table import Path
from elt_factory.config.models.values import ColumnName, Name
from elt_factory.warehouse.dialect import Relation
from elt_factory.warehouse.statements import VALID_TO


class Relationship(Model):
    """The column of another table that has every value."""

    plain_key: ClassVar[str] = "table"

    table: Name = Field(description="Table that has the values.", examples=["planes"])
    column: ColumnName = Field(description="Its column.", examples=["tail_number"])
    source: Name | None = Field(None, description="Source of that table. By default, this config.", examples=["fleet"])


def _look(rule: Relationship, name: str, checking: Checking) -> Outcome | None:
    rows = checking.rows
    if rows is None:
        return None
    config = checking.request.config
    own = config.all_tables.get(rule.table) if rule.source in (None, config.name) else None
    parent = Relation(rule.source or config.name, rule.table)
    if own is not None:
        parent = Relation.of(config.name, rule.table, own)
    known = checking.warehouse.columns(parent)
    condition = has_parent(rows, rows.column(name), parent, rule.column, of_history=VALID_TO in (known or ()))
    return counted(checking, breaking_rows(rows, condition), failing=breaking(rows, condition))


def has_parent(rows: LoadedRows, column: str, parent: Relation, key: str, *, of_history: bool) -> str:
    """Return the condition that a value is in another table's column; of a history, in a version that holds now."""
    d = rows.dialect
    present = f"{d.name(key)} IS NOT NULL" + (f" AND {d.name(VALID_TO)} IS NULL" if of_history else "")
    return f"({column} IS NULL OR {column} IN (SELECT {d.name(key)} FROM {parent.sql(d)} WHERE {present}))"


def _words(rule: Relationship) -> str:
    return f"{rule.source + '.' if rule.source else ''}{rule.table}.{rule.column}"


def _label(rule: Relationship) -> str:
    return f"in {_words(rule)}"


def _parents(rule: Relationship, config: str) -> Iterator[tuple[str, str, str, Path]]:
    yield rule.source or config, rule.table, rule.column, ()


KIND = ColumnCheckKind(
    name="relationships",
    model=Relationship,
    description="Require every value to be in a column of another table that a config loads.",
    examples=({"source": "fleet", "table": "planes", "column": "tail_number"},),
    words=_words,
    label=_label,
    look=_look,
    parents=_parents,
)
