"""No value of a column, no combination of columns, is repeated in the table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal, cast

from pydantic import Field

from elt_factory.checks.counting import LoadedRows, compared_rows, repeated_rows, repeating
from elt_factory.checks.kind import OF_ROWS, Checking, ColumnCheckKind, Outcome, TableCheckKind, counted
from elt_factory.config.models.table import Path
from elt_factory.config.models.values import ColumnName


def _look_at_column(_: Literal[True], name: str, checking: Checking) -> Outcome | None:
    return None if checking.rows is None else _counted(checking, [checking.rows.column(name)])


def _no_words(_: Literal[True]) -> str:
    return ""


def _label(_: Literal[True]) -> str:
    return "unique"


def _look(columns: tuple[str, ...], checking: Checking) -> Outcome | None:
    if checking.rows is None:
        return None
    # as they are written: a name that the table does not have is a mistake here
    return _counted(checking, [checking.rows.dialect.name(name) for name in columns])


def _counted(checking: Checking, columns: Sequence[str]) -> Outcome:
    rows = cast(LoadedRows, checking.rows)
    statement, of = repeated_rows(rows, columns), compared_rows(rows, columns)
    return counted(checking, statement, of, repeating(rows, columns))


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
    look=_look_at_column,
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
    options=OF_ROWS,
)
