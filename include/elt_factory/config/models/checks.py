"""Quality checks as a YAML file writes them: each a mapping with one key, its rule, and a severity."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from elt_factory.config.models.one_kind import OneKind
from elt_factory.core.kinds import Door

Severity = Literal["warn", "error"]
COLUMN_CHECKS: Door[Any] = Door(
    "elt_factory.column_checks",
    {
        "not_null": "elt_factory.checks.not_null:KIND",
        "unique": "elt_factory.checks.unique:OF_A_COLUMN",
        "between": "elt_factory.checks.between:KIND",
        "accepted_values": "elt_factory.checks.accepted_values:KIND",
    },
    takes="elt_factory.checks.kind:ColumnCheckKind",
)
TABLE_CHECKS: Door[Any] = Door(
    "elt_factory.table_checks",
    {
        "row_count": "elt_factory.checks.row_count:KIND",
        "freshness": "elt_factory.checks.freshness:KIND",
        "unique": "elt_factory.checks.unique:OF_A_TABLE",
        "expression": "elt_factory.checks.expression:KIND",
    },
    takes="elt_factory.checks.kind:TableCheckKind",
)


class Check(OneKind):
    """One rule; `error` stops what is downstream, `warn` is recorded and shown."""

    called: ClassVar[str] = "check"

    severity: Severity = Field(
        "error",
        description="warn records a failure; error fails the task and blocks everything downstream.",
        examples=["warn"],
    )

    @property
    def words(self) -> str:
        """The check for people, as in `between [0, 6000] (warn)`."""
        words = " ".join(filter(None, [self.kind.replace("_", " "), self.door.get(self.kind).words(self.spec)]))
        return f"{words} (warn)" if self.severity == "warn" else words


class ColumnCheck(Check):
    """A rule for the values of one column, over the rows of the load."""

    door: ClassVar[Door[Any]] = COLUMN_CHECKS


class TableCheck(Check):
    """A rule for a table, checked after the transform."""

    door: ClassVar[Door[Any]] = TABLE_CHECKS
