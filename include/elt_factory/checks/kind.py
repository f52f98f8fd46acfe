"""What a kind of check is: one object in a module of its own, for the values of a column or for a table.

Another package adds a kind by an entry point in the group `elt_factory.column_checks` or `elt_factory.table_checks`:
its name is the key in the YAML, its value where the object is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from elt_factory.checks.counting import LoadedRows, breaking, broken
from elt_factory.checks.history import Figure, History, no_history
from elt_factory.config.errors import MistakeError
from elt_factory.config.models.allowance import NONE, Allowance
from elt_factory.config.models.schema_patterns import Schema
from elt_factory.config.models.source import Config
from elt_factory.config.models.table import Column, Path, Table
from elt_factory.config.models.values import TypeName
from elt_factory.core.amount import amount
from elt_factory.core.verdict import Verdict
from elt_factory.core.window import Window

if TYPE_CHECKING:
    from elt_factory.warehouse.base import Warehouse

# keys of a check that only some kinds can have, next to `severity`, which all have
Option = str
WHERE: Option = "where"
MAX_FAILING: Option = "max_failing"
OF_ROWS = frozenset({WHERE, MAX_FAILING})


@dataclass(frozen=True)
class CheckRequest:
    """One table after the load of one window. `source_count` asks the source how many rows it has of it."""

    config: Config
    table: str
    load_id: str
    window: Window
    run_id: str = ""
    source_count: Callable[[], int | None] | None = None


@dataclass(frozen=True)
class Checking:
    """What a check may look at. `rows` is None where the table never had a row: then it is not there."""

    warehouse: Warehouse
    request: CheckRequest
    rows: LoadedRows | None
    allowed: Allowance = NONE
    history: Callable[[], History] = no_history


@dataclass(frozen=True)
class Outcome:
    """What a check found.

    Args:
        verdict: Whether it holds, and a sentence.
        failing_rows: None where it does not count rows.
        failing: FROM and WHERE of the failing rows, of which a few keys are kept; "" where there are none to show.
        figures: What it has measured, for later loads to be compared with.
    """

    verdict: Verdict
    failing_rows: int | None = None
    failing: str = ""
    figures: Sequence[Figure] = ()


@dataclass(frozen=True)
class Scanned:
    """A check that the one scan of a load's rows answers: aggregates over them, and what their values say."""

    aggregates: tuple[str, ...]
    judge: Callable[[Sequence[Any]], Outcome]


Look = Scanned | Outcome | None


def counted(checking: Checking, statement: str, of: str = "", failing: str = "") -> Outcome:
    """Return the outcome of a statement that answers with the number of rows that break a rule.

    Args:
        checking: What is looked at.
        statement: The statement.
        of: A statement that answers with the number of rows that could break it; by default, those of the load.
        failing: FROM and WHERE of the failing rows.
    """
    broken = int(checking.warehouse.query(statement).rows[0][0])
    total = None
    if broken and checking.allowed.of_a_share and checking.rows is not None:
        total = int(checking.warehouse.query(of or _all_rows(checking.rows)).rows[0][0])
    return outcome_of(checking, broken, total, failing)


def scanned(checking: Checking, condition: str) -> Scanned | None:
    """Return the question of how many rows of the load break a condition."""
    rows = checking.rows
    if rows is None:
        return None

    def judge(values: Sequence[Any]) -> Outcome:
        total = int(values[1]) if checking.allowed.of_a_share else None
        return outcome_of(checking, int(values[0]), total, breaking(rows, condition))

    return Scanned(broken(rows, condition), judge)


def _all_rows(rows: LoadedRows) -> str:
    conditions = " AND ".join((rows.own, *rows.conditions))
    return f"SELECT count(*) FROM {rows.table.sql(rows.dialect)} WHERE {conditions}"


def outcome_of(checking: Checking, broken: int, total: int | None, failing: str) -> Outcome:
    """Return the outcome of a count of rows that break a rule, of as many."""
    if not broken:
        return Outcome(Verdict(True, "holds"), 0)
    message = amount(broken, "row violates it", "rows violate it")
    if total is not None:
        message = f"{broken:,} of {amount(total, 'row violates it', 'rows violate it')}"
    if checking.allowed != NONE:
        message = f"{message}; {checking.allowed} may"
    return Outcome(Verdict(checking.allowed.allows(broken, total or 0), message), broken, failing)


def _is_right(*_: Any) -> Iterable[MistakeError]:
    return ()


def _names_no_column(_: Any) -> Iterable[tuple[str, Path]]:
    return ()


def _names_no_table(_: Any, __: str) -> Iterable[tuple[str, str, str, Path]]:
    return ()


def _looks_elsewhere(_: Any) -> bool:
    return False


def _require_words(name: str, description: str, examples: tuple[Any, ...]) -> None:
    if not description or not examples:
        raise TypeError(f"the check {name} needs a description and an example")


@dataclass(frozen=True)
class ColumnCheckKind:
    """All that is known of a kind of check for the values of one column.

    It has one of `condition`, `statement` and `look`.

    Args:
        name: The key in the YAML.
        model: The type of what is written under the key.
        description: What must hold, in one sentence.
        examples: What may be written under the key.
        words: What is written under the key, for people; "" where the name says it all.
        label: Its name in `_elt.quality_results`, after the column's.
        condition: SQL that a good row fulfils, or does not know. The conditions of all checks of a table are looked at
            in one scan. Takes the rows, the column as SQL and what is written under the key.
        statement: SQL that answers with the number of rows of the load that break it, for what no condition says.
            Takes the same.
        look: Checks once, for what counts no rows; None where there is nothing to check yet. Takes what is written
            under the key, the name of the column and what may be looked at.
        options: The keys that it can have next to `severity`: `where`, `max_failing`.
        mistakes: What cannot be true of it for a column of this name, each at its place below the key.
        schemas: What an editor underlines under the key, by the column's type; False where that cannot have the check.
        schema: What an editor underlines whatever the type is.
        compares: Whether it compares values: then a column that is hashed cannot have it.
        parents: The tables that it looks at: source, table, column and their place below the key. Takes what is
            written under the key and the name of the config.
    """

    name: str
    model: Any
    description: str
    examples: tuple[Any, ...]
    words: Callable[[Any], str]
    label: Callable[[Any], str]
    statement: Callable[[LoadedRows, str, Any], str] | None = None
    mistakes: Callable[[Any, str, Column], Iterable[MistakeError]] = _is_right
    schemas: Mapping[TypeName, Schema | bool] = field(default_factory=dict)
    schema: Schema = field(default_factory=dict)
    compares: bool = False
    condition: Callable[[LoadedRows, str, Any], str] | None = None
    look: Callable[[Any, str, Checking], Look] | None = None
    options: frozenset[Option] = OF_ROWS
    parents: Callable[[Any, str], Iterable[tuple[str, str, str, Path]]] = _names_no_table

    def __post_init__(self) -> None:
        """Refuse a kind that its reference or an editor could not explain, or that has no way to look."""
        _require_words(self.name, self.description, self.examples)
        if sum(way is not None for way in (self.condition, self.statement, self.look)) != 1:
            raise TypeError(f"the check {self.name} needs one of condition, statement and look")

    @property
    def judges_rows(self) -> bool:
        """Whether each row passes or fails by itself: then failing rows can be set aside."""
        return self.condition is not None

    def row_condition(self, value: Any, column: str) -> str | None:
        """Return DuckDB's SQL that a good row fulfils, or does not know; None for a check of more than single rows."""
        from elt_factory.checks.single_rows import ROWS

        return self.condition(ROWS, ROWS.column(column), value) if self.condition else None


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
        options: The keys that it can have next to `severity`: `where`, `max_failing`.
        condition: SQL that a good row fulfils, or does not know, where each row passes or fails by itself: then
            failing rows can be set aside.
    """

    name: str
    model: Any
    description: str
    examples: tuple[Any, ...]
    words: Callable[[Any], str]
    label: Callable[[Any], str]
    look: Callable[[Any, Checking], Look]
    columns: Callable[[Any], Iterable[tuple[str, Path]]] = _names_no_column
    mistakes: Callable[[Any, str, Mapping[str, Table]], Iterable[MistakeError]] = _is_right
    sql_mistakes: Callable[[Any, Table], Iterable[MistakeError]] = _is_right
    watches_business_date: Callable[[Any], bool] = _looks_elsewhere
    schema_patterns: tuple[str, ...] = ()
    options: frozenset[Option] = frozenset()
    condition: Callable[[Any], str] | None = None

    def __post_init__(self) -> None:
        """Refuse a kind that its reference or an editor could not explain."""
        _require_words(self.name, self.description, self.examples)

    @property
    def judges_rows(self) -> bool:
        """Whether each row passes or fails by itself: then failing rows can be set aside."""
        return self.condition is not None
