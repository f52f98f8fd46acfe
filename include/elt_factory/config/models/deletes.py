"""How a load finds the rows that its source no longer has, and what becomes of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from elt_factory.config.errors import KEY, MistakeError, invalid
from elt_factory.config.models.base import Model
from elt_factory.config.models.schema_patterns import not_both
from elt_factory.config.models.values import ColumnName, ColumnType, Scalar, TypeName
from elt_factory.core.sql_text import literal

if TYPE_CHECKING:
    from elt_factory.config.models.table import Table

COMPARE = "compare"
DELETED_AT = "_deleted_at"
_HINT = "write deletes: compare, deletes: {column: deleted_at} or deletes: {filtered: true}"
_SAYS_DELETED: Mapping[TypeName, str] = {
    **dict.fromkeys(("timestamp", "datetime", "date"), "{} IS NOT NULL"),
    "boolean": "{}",
    # an API's "@removed": {...}
    "json": "{} IS NOT NULL",
    **dict.fromkeys(("integer", "decimal", "float"), "{} <> 0"),
}
# the types that a value of `equals` has, by its own
_OF_VALUE: Mapping[type, Sequence[TypeName]] = {
    str: ("text",),
    bool: ("boolean",),
    int: ("integer", "decimal", "float"),
    float: ("decimal", "float"),
}


class Deletes(Model):
    """Rows that are to go: found by comparing keys, by a column that says so, or as they no longer meet `where`."""

    plain_key: ClassVar[str] = COMPARE
    schema_rules: ClassVar[Sequence[dict[str, Any]]] = (
        not_both("compare", "column", "filtered"),
        {"dependencies": {"equals": ["column"]}},
        {"properties": {"equals": {"pattern": r"^[^\\]*$"}}},
    )

    compare: Literal["hard", "soft"] | None = Field(
        None,
        description=(
            "Read the primary key of every row with each load. Rows of other keys are deleted (hard), or stay with "
            "the time in `_deleted_at` (soft). `deletes: compare` means hard."
        ),
        examples=["soft"],
    )
    column: ColumnName | None = Field(
        None,
        description="Column that says that a row is deleted: a time, true, a number other than 0, or any JSON.",
        examples=["deleted_at"],
    )
    equals: Scalar | None = Field(
        None,
        description="Value of the column that says that a row is deleted, where a time, true or a number does not.",
        examples=["cancelled", False],
    )
    filtered: Literal[True] | None = Field(
        None,
        description=(
            "Delete the row of each key that comes with a record that does not meet `where`. Such rows are counted in "
            "`rows` and `rows_deleted`, not in `rows_filtered`; the table has a column `_deleted_at`, always NULL."
        ),
        examples=[True],
    )

    @model_validator(mode="before")
    @classmethod
    def _compare(cls, given: Any) -> Any:
        if isinstance(given, str) and given != COMPARE:
            raise MistakeError(invalid("value for deletes", given), _HINT)
        return {COMPARE: "hard"} if given == COMPARE else given

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ways = [name for name in (COMPARE, "column", "filtered") if getattr(self, name)]
        if not ways:
            raise MistakeError("deletes needs `compare`, `column` or `filtered`", _HINT, code="incomplete")
        if len(ways) > 1:
            message = f"`{ways[0]}` and `{ways[1]}` exclude each other"
            raise MistakeError(message, "keep one of them", at=(ways[1], KEY), code="conflict")
        if not self.column and self.equals is not None:
            raise MistakeError("equals needs column", "add column:", at=("equals", KEY), code="incomplete")
        if "\\" in str(self.equals):
            message = "a value with a backslash is not the same text in every warehouse"
            raise MistakeError(message, "write a value without it", at=("equals",))
        return self

    @property
    def marker(self) -> str | None:
        """The column that says of a landed row that it is deleted; of a filtered one the contract writes it."""
        return DELETED_AT if self.filtered else self.column


def says_deleted(name: str, kind: ColumnType, equals: Scalar | None = None) -> str | None:
    """Return the SQL condition for the rows of which a column says that they are deleted; None where no type does."""
    if equals is not None and kind.name not in _OF_VALUE[type(equals)]:
        return None
    if isinstance(equals, str):
        # a database fills a CHAR(10) up with blanks, and compares it without them
        return f"rtrim({name}) = {literal(equals.rstrip(' '))}"
    if equals is not None:
        return f"{name} = {literal(equals)}"
    condition = _SAYS_DELETED.get(kind.name)
    return condition.format(name) if condition else None


def says_nothing(name: str, kind: ColumnType, equals: Scalar | None = None) -> str:
    """Return the fault of a column that cannot say that a row is deleted."""
    if equals is not None:
        return f"{name} is {kind}, which is never equal to {literal(equals)}"
    return f"{name} is {kind}, which does not say whether a row is deleted"


def a_column_that_says(name: str, equals: Scalar | None = None) -> str:
    """Return the hint that goes with `says_nothing`."""
    if equals is not None:
        return f"write type: {_OF_VALUE[type(equals)][0]} under columns: {name}:, or another value"
    return (
        f"write type: timestamp or boolean under columns: {name}:, add the value that says so, as in "
        "equals: deleted, or delete by key: deletes: compare"
    )


BY_KEY: dict[str, Any] = {"anyOf": [{"const": COMPARE}, {"type": "object", "required": [COMPARE]}]}
_TEMPLATE = r"\{\{-?\s*(window\.|params\.|cursor\b|run_id\b|load_id\b)"
# what an editor can underline of `delete_mistakes`
SCHEMA_RULES: Sequence[dict[str, Any]] = (
    {
        "not": {
            "required": ["deletes", "write_disposition"],
            "properties": {
                "deletes": {"not": {"type": "null"}},
                "write_disposition": {"enum": ["append", "replace", "scd2"]},
            },
        }
    },
    {
        "not": {
            "required": ["deletes", "query"],
            "properties": {
                "deletes": BY_KEY,
                "query": {"type": "string", "pattern": _TEMPLATE},
            },
        }
    },
)


def or_compare(schema: dict[str, Any]) -> None:
    """Say in the JSON Schema that the word compare may appear alone."""
    schema["anyOf"].insert(0, {"const": COMPARE})


def delete_mistakes(table: Table) -> Iterator[MistakeError]:
    """Yield what keeps a table from following the deletes of its source."""
    deletes = table.follows_deletes
    if deletes is None:
        return
    if table.write_disposition != "merge":
        hint = "replace and scd2 without a cursor follow deletes by themselves; write write_disposition: merge"
        message = f"deletes needs write_disposition: merge, not {table.write_disposition}"
        yield MistakeError(message, hint, at=("deletes", KEY), code="conflict")
    if deletes.compare and any(table.templates.values()):
        message = "the query asks for a part of the rows, so every row outside of it would be taken for deleted"
        hint = "remove the templates from the query, and write incremental:"
        yield MistakeError(message, hint, at=("deletes", KEY), code="conflict")
    if deletes.filtered and not table.where:
        at = ("deletes", "filtered", KEY)
        yield MistakeError("deletes.filtered needs where", "add where:", at=at, code="incomplete")
    column = table.columns.get(deletes.column or "")
    if column and column.pii:
        message = f'"{deletes.column}" is personal data, so its value is not known to the load'
        yield MistakeError(message, "remove pii", at=("deletes", "column"), code="conflict")
    elif deletes.column and column and column.type and says_deleted("", column.type, deletes.equals) is None:
        message = says_nothing(f'"{deletes.column}"', column.type, deletes.equals)
        hint = a_column_that_says(deletes.column, deletes.equals)
        yield MistakeError(message, hint, at=("columns", deletes.column, "type"), code="conflict")
    if deletes.column and deletes.column in table.primary_key:
        message = f'"{deletes.column}" is part of the primary_key'
        yield MistakeError(message, "name the column that says deleted", at=("deletes", "column"), code="conflict")
