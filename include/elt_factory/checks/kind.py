"""What a kind of check is: one object in a module of its own, for the values of a column or for a table.

Another package adds a kind by an entry point in the group `elt_factory.column_checks` or `elt_factory.table_checks`:
its name is the key in the YAML, its value where the object is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from elt_factory.checks.counting import LoadedRows
from elt_factory.config.errors import MistakeError
from elt_factory.config.models.schema_patterns import Schema
from elt_factory.config.models.source import Config
from elt_factory.config.models.table import Column, Path, Table
from elt_factory.config.models.values import TypeName
from elt_factory.core.verdict import Verdict
from elt_factory.core.window import Window

if TYPE_CHECKING:
    from elt_factory.warehouse.base import Warehouse


@dataclass(frozen=True)
class CheckRequest:
    """One table after the load of one window."""

    config: Config
    table: str
    load_id: str
    window: Window


@dataclass(frozen=True)
class Checking:
    """What a check may look at. `rows` is None where the table never had a row: then it is not there."""

    warehouse: Warehouse
    request: CheckRequest
    rows: LoadedRows | None


@dataclass(frozen=True)
class Outcome:
    """What a check found. `failing_rows` is None where it does not count rows."""

    verdict: Verdict
    failing_rows: int | None = None


def counted(checking: Checking, statement: str) -> Outcome:
    """Return the outcome of a statement that answers with the number of rows that break a rule."""
    failing = int(checking.warehouse.query(statement).rows[0][0])
    return Outcome(Verdict(not failing, f"{failing} rows violate it" if failing else "holds"), failing)


def _is_right(*_: Any) -> Iterable[MistakeError]:
    return ()


def _names_no_column(_: Any) -> Iterable[tuple[str, Path]]:
    return ()


def _looks_elsewhere(_: Any) -> bool:
    return False


def _require_words(name: str, description: str, examples: tuple[Any, ...]) -> None:
    if not description or not examples:
        raise TypeError(f"the check {name} needs a description and an example")


@dataclass(frozen=True)
class ColumnCheckKind:
    """All that is known of a kind of check for the values of one column.

    Args:
        name: The key in the YAML.
        model: The type of what is written under the key.
        description: What must hold, in one sentence.
        examples: What may be written under the key.
        words: What is written under the key, for people; "" where the name says it all.
        label: Its name in `_elt.quality_results`, after the column's.
        statement: SQL that answers with the number of rows of the load that break it. Takes the rows, the column as
            SQL and what is written under the key.
        mistakes: What cannot be true of it for a column of this name, each at its place below the key.
        schemas: What an editor underlines under the key, by the column's type; False where that cannot have the check.
        schema: What an editor underlines whatever the type is.
        compares: Whether it compares values: then a column that is hashed cannot have it.
    """

    name: str
    model: Any
    description: str
    examples: tuple[Any, ...]
    words: Callable[[Any], str]
    label: Callable[[Any], str]
    statement: Callable[[LoadedRows, str, Any], str]
    mistakes: Callable[[Any, str, Column], Iterable[MistakeError]] = _is_right
    schemas: Mapping[TypeName, Schema | bool] = field(default_factory=dict)
    schema: Schema = field(default_factory=dict)
    compares: bool = False

    def __post_init__(self) -> None:
        """Refuse a kind that its reference or an editor could not explain."""
        _require_words(self.name, self.description, self.examples)


@dataclass(frozen=True)
class TableCheckKind:
    """All that is known of a kind of check for a table.

    Args:
        name: The key in the YAML.
        model: The type of what is written under the key.
        description: What must hold, in one sentence.
        examples: What may be written under the key.
        words: What is written under the key, for people.
        label: Its name in `_elt.quality_results`.
        look: Checks once; None where there is nothing to check yet.
        columns: The columns that it names, each with its place below the key.
        mistakes: What cannot be true of it for the table of this name, each at its place below the key.
        schema_patterns: Patterns that its text must fit in an editor.
        sql_mistakes: What only a SQL parser finds. `elt validate` asks for it, reading a DAG does not.
        watches_business_date: Whether it looks at how late the table's business date is.
    """

    name: str
    model: Any
    description: str
    examples: tuple[Any, ...]
    words: Callable[[Any], str]
    label: Callable[[Any], str]
    look: Callable[[Any, Checking], Outcome | None]
    columns: Callable[[Any], Iterable[tuple[str, Path]]] = _names_no_column
    mistakes: Callable[[Any, str, Mapping[str, Table]], Iterable[MistakeError]] = _is_right
    sql_mistakes: Callable[[Any, Table], Iterable[MistakeError]] = _is_right
    watches_business_date: Callable[[Any], bool] = _looks_elsewhere
    schema_patterns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a kind that its reference or an editor could not explain."""
        _require_words(self.name, self.description, self.examples)
