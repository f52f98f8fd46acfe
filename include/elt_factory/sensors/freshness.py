"""Wait until a table of this source is fresh."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from elt_factory.config.errors import KEY, MistakeError, near_name
from elt_factory.config.models.limits import Freshness, limit_words, no_business_date
from elt_factory.config.models.schema_patterns import any_of
from elt_factory.config.models.sensors import Awaited, Setting
from elt_factory.config.models.values import Name, Share
from elt_factory.core.amount import amount
from elt_factory.core.verdict import Verdict, all_of
from elt_factory.sensors.kind import Look, SensorKind

if TYPE_CHECKING:
    from elt_factory.warehouse.base import Warehouse

_TRAILING = 7


class TableFresh(Freshness):
    """Wait until one of this source's tables is fresh."""

    schema_rules: ClassVar[Sequence[dict[str, Any]]] = (any_of("business_date_within", "loaded_within", "min_rows"),)

    table: Name = Field(description="Name of the table.", examples=["flights"])
    min_rows: Share | None = Field(
        None,
        description=(
            "Rows that this window must have brought at least, as a share of the median of the 7 loads before it. "
            "Without an earlier load, any number is enough."
        ),
        examples=["50%"],
    )

    @property
    def has_limit(self) -> bool:
        """Whether it says what fresh is."""
        return super().has_limit or self.min_rows is not None


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
        found = fresh(opened, name, spec.table, look.window, limits, look.config.timezone)
        return all_of([found, _rows(spec, look, opened)])


def _rows(spec: TableFresh, look: Look, opened: Warehouse) -> Verdict:
    """Whether the window has brought enough rows, against the loads before it."""
    from elt_factory.warehouse import state

    name, table, window = look.config.name, spec.table, look.window
    loads = state.load_sizes(opened, name, table, window.start, _TRAILING) if spec.min_rows else []
    before = [rows for _, rows in loads]
    if spec.min_rows is None or not before:
        return Verdict(True, "")
    count, usual = state.window_size(opened, name, table, window), median(before)
    message = f"{name}.{table} has {amount(count, 'row')} for {window}"
    message = f"{message}; the {len(before)} loads before have a median of {usual:g}"
    enough = count >= spec.min_rows * usual
    return Verdict(enough, f"{message}; {spec.min_rows:.0%} of it is needed", needs_load=not enough)


def _words(spec: TableFresh) -> str:
    rows = [f"rows at least {spec.min_rows:.0%} of the median"] if spec.min_rows is not None else []
    return ", ".join([f"{spec.table} is fresh", *limit_words(spec), *rows])


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
