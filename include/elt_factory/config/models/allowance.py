"""How many rows may break a check before it fails: a number of them, or a share."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from elt_factory.config.errors import MistakeError, invalid
from elt_factory.config.models.values import OVER_ALL, SHARE_PATTERN, parse_share


@dataclass(frozen=True)
class Allowance:
    """A number of rows, or a share of those that are checked."""

    count: int = 0
    share: float | None = None

    @property
    def of_a_share(self) -> bool:
        """Whether it takes the number of all rows to say how many may fail."""
        return self.share is not None

    def allows(self, failing: int, rows: int) -> bool:
        """Whether that many of the rows may fail."""
        # a float is not the share that was written: 29 of 100 are more than 0.29 * 100
        return failing <= (self.count if self.share is None else Fraction(repr(self.share)) * rows)

    def __str__(self) -> str:
        """Return it as a YAML file writes it."""
        return str(self.count) if self.share is None else f"{self.share * 100:g}%"


NONE = Allowance()


def _parse(value: object) -> Allowance:
    if isinstance(value, Allowance):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 0:
            raise MistakeError(invalid("number of rows", value), "write 0 or more")
        return Allowance(value)
    try:
        share = parse_share(value)
    except MistakeError:
        raise MistakeError(invalid("limit", value), "write a number of rows like 10, or a share like 0.1%") from None
    if share > 1:
        raise MistakeError(invalid("percentage", value), "write at most 100%")
    return Allowance(share=share)


def _written(value: Any) -> int | str:
    return value.count if value.share is None else str(value)


CountOrShare = Annotated[
    Allowance,
    BeforeValidator(_parse),
    PlainSerializer(_written),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0},
                {"type": "string", "pattern": SHARE_PATTERN, "not": {"pattern": OVER_ALL}},
            ]
        }
    ),
]
