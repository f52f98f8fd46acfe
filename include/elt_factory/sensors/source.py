"""Wait until another source has loaded and checked this window."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from elt_factory.config.models.base import Model
from elt_factory.config.models.durations import Duration
from elt_factory.config.models.limits import limit_words
from elt_factory.config.models.sensors import Awaited
from elt_factory.config.models.values import Name
from elt_factory.core.verdict import Verdict, all_of
from elt_factory.sensors.kind import Look, SensorKind


class SourceReady(Model):
    """Wait until another source's load for this window is committed, and its business date fresh enough."""

    plain_key: ClassVar[str] = "name"

    name: Name = Field(description="Name of the source.", examples=["fleet"])
    tables: tuple[Name, ...] = Field((), description="Tables to wait for. By default, all.", examples=[["planes"]])
    need: Literal["all", "any"] = Field(
        "all", description="Whether all tables must have loaded the window, or any of them.", examples=["any"]
    )
    business_date_within: Duration | None = Field(
        None,
        description="Largest gap between its newest business date and the end of the window.",
        examples=["26h"],
    )


def _poke(spec: SourceReady, look: Look) -> Verdict:
    from elt_factory.checks.freshness import Limits, fresh, window_checked

    own = look.config.name
    if not look.awaited:
        # its config is broken or gone: nothing would say that it is late
        return Verdict(False, f"{own}: unknown source {spec.name}; check its config")
    limits = Limits(business_date_within=spec.business_date_within)
    verdicts = []
    with look.warehouse("") as opened:
        for table in look.awaited:
            checked = window_checked(opened, spec.name, table, look.window)
            if checked.holds and limits.business_date_within:
                dated = fresh(opened, spec.name, table, look.window, limits, look.config.timezone)
                checked = all_of([checked, dated])
            verdicts.append(checked)
    ready = [verdict for verdict in verdicts if verdict.holds]
    return all_of(ready if ready and spec.need == "any" else verdicts)


def _words(spec: SourceReady) -> str:
    named = ", ".join(f"{spec.name}.{table}" for table in spec.tables) or spec.name
    named = f"any of {named}" if spec.need == "any" else named
    return ", ".join([f"{named} has loaded the window", *limit_words(spec)])


def _about(spec: SourceReady) -> str:
    return spec.name


def _awaits(spec: SourceReady) -> Awaited:
    return Awaited(spec.name, spec.tables, spec.business_date_within)


KIND = SensorKind(
    name="source",
    model=SourceReady,
    description="Wait until another source has loaded this window.",
    examples=({"name": "fleet"},),
    poke=_poke,
    words=_words,
    about=_about,
    awaits=_awaits,
)
