"""Quality checks as a YAML file writes them: each a mapping with one key, its rule, and a severity."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from elt_factory.config.errors import KEY, MistakeError
from elt_factory.config.models.allowance import NONE, CountOrShare
from elt_factory.config.models.one_kind import OneKind
from elt_factory.config.models.sql_rules import asks_other_rows
from elt_factory.config.models.values import Condition
from elt_factory.core.kinds import Door

OPTIONS = ("where", "max_failing")  # keys that only some kinds have
CheckStage = Literal["before_transform", "after_transform"]
BEFORE: CheckStage = "before_transform"
AFTER: CheckStage = "after_transform"
CHECKS, QUALITY = "checks", "quality"  # the groups of tasks that check, before a transform and at the end of a run
Severity = Literal["warn", "error", "quarantine"]
QUARANTINE: Severity = "quarantine"
COLUMN_CHECKS: Door[Any] = Door(
    "elt_factory.column_checks",
    {
        "not_null": "elt_factory.checks.not_null:KIND",
        "unique": "elt_factory.checks.unique:OF_A_COLUMN",
        "between": "elt_factory.checks.between:KIND",
        "accepted_values": "elt_factory.checks.accepted_values:KIND",
        "regex": "elt_factory.checks.regex:KIND",
        "length": "elt_factory.checks.length:KIND",
        "relationships": "elt_factory.checks.relationships:KIND",
        "sum": "elt_factory.checks.total:KIND",
        "mean": "elt_factory.checks.mean:KIND",
        "distribution": "elt_factory.checks.distribution:KIND",
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
        "query": "elt_factory.checks.query:KIND",
        "rejects": "elt_factory.checks.rejects:KIND",
        "no_gaps": "elt_factory.checks.no_gaps:KIND",
        "schema_unchanged": "elt_factory.checks.schema_unchanged:KIND",
    },
    takes="elt_factory.checks.kind:TableCheckKind",
)


class Check(OneKind):
    """One rule; `error` stops what is downstream, `warn` is recorded and shown, `quarantine` sets rows aside."""

    called: ClassVar[str] = "check"

    severity: Severity = Field(
        "error",
        description=(
            "warn records a failure; error fails the task and blocks everything downstream; quarantine makes rejects "
            "of the failing rows before they are loaded."
        ),
        examples=["warn", "quarantine"],
    )
    where: Condition | None = Field(
        None,
        description="SQL condition for the rows to check. By default, all rows of the load.",
        examples=["cancelled = false"],
    )
    max_failing: CountOrShare = Field(
        NONE,
        description="Rows that may fail before the check does: a number, or a share of the rows checked.",
        examples=["0.1%", 10],
    )

    @model_validator(mode="after")
    def _options_have_an_effect(self) -> Self:
        # a mapping without a kind has its own mistake
        options = self.door.get(self.kind).options if self.kind else OPTIONS
        for option in OPTIONS:
            if option in self.model_fields_set and option not in options and getattr(self, option) not in (None, NONE):
                hint = f"remove {option}"
                raise MistakeError(f"{option} has no effect on {self.kind}", hint, at=(option, KEY), code="conflict")
        return self

    @model_validator(mode="after")
    def _rows_can_be_set_aside(self) -> Self:
        if self.severity != QUARANTINE or not self.kind:
            return self
        hint = "write severity: warn, or error"
        if not self.door.get(self.kind).judges_rows:
            message = f"severity: quarantine needs a check of single rows, and {self.kind} is not one"
            raise MistakeError(message, hint, at=("severity",), code="conflict")
        conditions = {"where": self.where, self.kind: self.spec if self.kind == "expression" else None}
        for key, condition in conditions.items():
            if condition and asks_other_rows(condition):
                message = "severity: quarantine needs a condition on single rows, and this one has a SELECT"
                raise MistakeError(message, hint, at=(key,), code="conflict")
        if self.max_failing != NONE:
            message = "max_failing has no effect with severity: quarantine"
            hint = "remove max_failing: `rejects` of the table says how many rows may be set aside"
            raise MistakeError(message, hint, at=("max_failing", KEY), code="conflict")
        return self

    def named(self, column: str = "") -> str:
        """Return its short name, which another check of the table may have too: see `check_names`."""
        label = self.label(column)
        return f"{label} where {self.where}" if self.where else label

    def label(self, column: str = "") -> str:
        """Return what it looks for, without its `where`."""
        return " ".join(filter(None, [column, self.door.get(self.kind).label(self.spec)]))

    @property
    def rule(self) -> str:
        """What is written under its key, for people."""
        return str(self.door.get(self.kind).words(self.spec))

    @property
    def words(self) -> str:
        """The check for people, as in `between [0, 6000] (warn)`."""
        where = f"where {self.where}" if self.where else ""
        allowed = f"for all but {self.max_failing}" if self.max_failing != NONE else ""
        words = " ".join(filter(None, [self.kind.replace("_", " "), self.rule, where, allowed]))
        return words if self.severity == "error" else f"{words} ({self.severity})"


class ColumnCheck(Check):
    """A rule for the values of one column, over the rows of the load."""

    door: ClassVar[Door[Any]] = COLUMN_CHECKS


class TableCheck(Check):
    """A rule for a table, checked before the transform."""

    door: ClassVar[Door[Any]] = TABLE_CHECKS

    stage: CheckStage = Field(
        "before_transform",
        description=(
            "When to check: before the transform, which an error stops, or after it, for a `query` over what it made."
        ),
        examples=["after_transform"],
    )

    @model_validator(mode="after")
    def _is_before_the_load(self) -> Self:
        if self.severity == QUARANTINE and self.stage == AFTER:
            message = "severity: quarantine sets rows aside before they are loaded"
            raise MistakeError(message, "remove stage", at=("stage",), code="conflict")
        return self
