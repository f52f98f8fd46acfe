"""How many of the rows that a load reads may be rejected before it fails."""

from __future__ import annotations

from fractions import Fraction
from typing import ClassVar

from pydantic import Field, field_validator

from elt_factory.config.errors import MistakeError, invalid
from elt_factory.config.models.base import Model
from elt_factory.config.models.values import OVER_ALL, Share, Whole


class RejectLimit(Model):
    """The rows of a load that may be rejected: a share of those that were read, or a few rows of a small load."""

    plain_key: ClassVar[str] = "max"

    max: Share = Field(
        "10%",
        validate_default=True,
        description="Share of the rows that were read.",
        examples=["1%", "0%"],
        json_schema_extra={"not": {"pattern": OVER_ALL}},
    )
    or_: Whole = Field(
        10,
        alias="or",
        ge=0,
        description="Rows that may be rejected whatever their share is. With max: 0%, write 0 to allow none.",
        examples=[100],
    )

    @field_validator("max")
    @classmethod
    def _of_a_whole(cls, share: float) -> float:
        if share > 1:
            raise MistakeError(invalid("percentage", f"{share * 100:g}%"), "write at most 100%")
        return share

    def allows(self, rejected: int, read: int) -> bool:
        """Whether a load may have that many rejects among the rows that it read."""
        # a float is not the share that was written: 29 of 100 are more than 0.29 * 100
        return rejected <= self.or_ or rejected <= Fraction(repr(self.max)) * read

    def __str__(self) -> str:
        """Return the limit as a message names it."""
        return f"{self.max * 100:g} % or {self.or_}"
