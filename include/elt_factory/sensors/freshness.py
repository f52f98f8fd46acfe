"""Wait until a table of this source is fresh."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from elt_factory.config.errors import KEY, MistakeError, near_name
from elt_factory.config.models.limits import Freshness, limit_words, no_business_date
from elt_factory.config.models.sensors import Awaited, Setting
from elt_factory.config.models.values import Name
from elt_factory.core.verdict import Verdict
from elt_factory.sensors.kind import Look, SensorKind


class TableFresh(Freshness):
    """Wait until one of this source's tables is fresh."""

    table: Name = Field(description="Name of the table.", examples=["flights"])


def _poke(spec: TableFresh, look: Look) -> Verdict:
    from elt_factory.checks.freshness import Limits, fresh, window_committed

    name = look.config.name
    if spec.table not in look.chosen:
        return Verdict(True, f"{name}.{spec.table} is not part of this run")
    limits = Limits(spec.business_date_within, spec.loaded_within)
    with look.warehouse(spec.table) as opened:
        committed = window_committed(opened, name, spec.table, look.window)
        if not committed.holds:
            return committed
        return fresh(opened, name, spec.table, look.window, limits, look.config.timezone)


def _words(spec: TableFresh) -> str:
    return ", ".join([f"{spec.table} is fresh", *limit_words(spec)])


def _about(spec: TableFresh) -> str:
    return spec.table


def _awaits(spec: TableFresh) -> Awaited:
    return Awaited("", (spec.table,), spec.business_date_within)


def _mistakes(spec: TableFresh, setting: Setting) -> Iterator[MistakeError]:
    if setting.stage == "before_extract":
        message = "this can never become true: nothing of this run is loaded before extract"
        yield MistakeError(message, "move it to before_transform", at=(KEY,), code="conflict")
    if spec.table in setting.tables:
        yield from no_business_date(setting.tables, spec.table, spec, ())
    else:
        hint = near_name(spec.table, setting.tables) or "this config has no tables"
        message = f'unknown table "{spec.table}"'
        yield MistakeError(message, hint, at=("table",), code="unknown-table")


KIND = SensorKind(
    name="freshness",
    model=TableFresh,
    description="Wait until a table of this source is fresh.",
    examples=({"table": "flights", "business_date_within": "26h"},),
    poke=_poke,
    words=_words,
    about=_about,
    awaits=_awaits,
    mistakes=_mistakes,
)
