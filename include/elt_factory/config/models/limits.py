"""How late a table may be: what the freshness check and the sensors that look at a table share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import Field, model_validator

from elt_factory.config.errors import MistakeError
from elt_factory.config.models.base import Model
from elt_factory.config.models.durations import Duration, format_duration
from elt_factory.config.models.schema_patterns import any_of

if TYPE_CHECKING:
    from elt_factory.config.models.table import Table

_SAID_IN_HOURS = 72
_LIMITS = (("business_date_within", "business date within"), ("loaded_within", "loaded within"))


class Freshness(Model):
    """Age of a table, by business date and by time of loading."""

    schema_rules: ClassVar[Sequence[dict[str, Any]]] = (any_of("business_date_within", "loaded_within"),)

    business_date_within: Duration | None = Field(
        None,
        description="Largest gap between the newest business date and the end of the window.",
        examples=["26h"],
    )
    loaded_within: Duration | None = Field(None, description="Largest age of the last committed load.", examples=["2h"])

    @property
    def has_limit(self) -> bool:
        """Whether it says what fresh is."""
        return self.business_date_within is not None or self.loaded_within is not None

    @model_validator(mode="after")
    def _something_to_check(self) -> Self:
        if not self.has_limit:
            raise MistakeError(
                "freshness needs a limit", "write business_date_within or loaded_within", code="incomplete"
            )
        return self


def no_business_date(
    tables: Mapping[str, Table], name: str, limits: Any, at: tuple[str | int, ...]
) -> Iterator[MistakeError]:
    """Yield the mistake of a limit on a business date that the table does not have."""
    if limits.business_date_within is not None and not tables[name].business_date:
        hint = f"add business_date: to tables.{name}, or write loaded_within"
        message = f'table "{name}" has no business_date'
        yield MistakeError(message, hint, at=(*at, "business_date_within"), code="conflict")


def limit_words(spec: Any) -> Iterator[str]:
    """Yield the limits of a check or sensor in words."""
    for field, words in _LIMITS:
        value = getattr(spec, field, None)
        if value is not None:
            yield f"{words} {duration_words(value)}"


def duration_words(value: timedelta) -> str:
    """Return a human-readable duration: 26h rather than 1d2h."""
    hours, rest = divmod(value, timedelta(hours=1))
    said_in_hours = not rest and hours % 24 and hours < _SAID_IN_HOURS
    return f"{hours}h" if said_in_hours else format_duration(value)
