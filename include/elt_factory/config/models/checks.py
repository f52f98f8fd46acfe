"""Quality checks as a YAML file writes them: each a mapping with one key, its rule, and a severity."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from elt_factory.config.errors import KEY, MistakeError
from elt_factory.config.models.allowance import NONE, CountOrShare
from elt_factory.config.models.one_kind import OneKind
from elt_factory.config.models.values import Condition
from elt_factory.core.kinds import Door

OPTIONS = ("where", "max_failing")  # keys that only some kinds have
CheckStage = Literal["before_transform", "after_transform"]
BEFORE: CheckStage = "before_transform"
AFTER: CheckStage = "after_transform"
CHECKS, QUALITY = "checks", "quality"  # the groups of tasks that check, before a transform and at the end of a run
Severity = Literal["warn", "error"]
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
    """One rule; `error` stops what is downstream, `warn` is recorded and shown."""

    called: ClassVar[str] = "check"

    severity: Severity = Field(
        "error",
        description="warn records a failure; error fails the task and blocks everything downstream.",
        examples=["warn"],
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

    @property
    def words(self) -> str:
        """The check for people, as in `between [0, 6000] (warn)`."""
        where = f"where {self.where}" if self.where else ""
        allowed = f"for all but {self.max_failing}" if self.max_failing != NONE else ""
        rule = self.door.get(self.kind).words(self.spec)
        words = " ".join(filter(None, [self.kind.replace("_", " "), rule, where, allowed]))
        return f"{words} (warn)" if self.severity == "warn" else words


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
