"""No value of a column, no combination of columns, is repeated in the table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from elt_factory.checks.counting import LoadedRows, repeated_rows
from elt_factory.checks.kind import Checking, ColumnCheckKind, Outcome, TableCheckKind, counted
from elt_factory.config.models.table import Path
from elt_factory.config.models.values import ColumnName


def _statement(rows: LoadedRows, column: str, _: Literal[True]) -> str:
    return repeated_rows(rows, (column,))


def _no_words(_: Literal[True]) -> str:
    return ""


def _label(_: Literal[True]) -> str:
    return "unique"


def _look(columns: tuple[str, ...], checking: Checking) -> Outcome | None:
    if checking.rows is None:
        return None
    return counted(checking, repeated_combinations(checking.rows, columns))


def repeated_combinations(rows: LoadedRows, columns: tuple[str, ...]) -> str:
    """Return the SELECT that counts rows that repeat another's values of these columns."""
    # as they are written: a name that the table does not have is a mistake here
    return repeated_rows(rows, [rows.dialect.name(name) for name in columns])


def _words(columns: tuple[str, ...]) -> str:
    return f"[{', '.join(columns)}]"


def _label_of(columns: tuple[str, ...]) -> str:
    return f"unique {', '.join(columns)}"


def _columns(columns: tuple[str, ...]) -> Iterator[tuple[str, Path]]:
    for place, column in enumerate(columns):
        yield column, (place,)


OF_A_COLUMN = ColumnCheckKind(
    name="unique",
    model=Literal[True],
    description="Require unique values in the table.",
    examples=(True,),
    words=_no_words,
    label=_label,
    statement=_statement,
)
OF_A_TABLE = TableCheckKind(
    name="unique",
    model=Annotated[tuple[ColumnName, ...], Field(min_length=1)],
    description="Columns whose combination of values is unique in the table.",
    examples=(["origin", "time_hour"],),
    words=_words,
    label=_label_of,
    look=_look,
    columns=_columns,
)
