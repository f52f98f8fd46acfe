"""The condition for the rows whose cursor is inside the window, where a table takes no others."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

from elt_factory.config.models.deletes import says_deleted
from elt_factory.config.models.table import TIMES
from elt_factory.core.failures import ContractError
from elt_factory.core.sql_text import identifier, text_literal
from elt_factory.core.window import Window, iso_utc
from elt_factory.landing.planned import ContractPlan
from elt_factory.landing.schema import KnownTable


def within_window(plan: ContractPlan, known: KnownTable, window: Window, zone: str) -> ContractPlan:
    """Return the plan with the window as a part of its condition, where the table says so.

    Args:
        plan: The plan.
        known: The table.
        window: The window of the load, without the lag.
        zone: The clock of a cursor without a time zone, where the table does not say another.

    Raises:
        ContractError: the cursor is not a time.
    """
    incremental = known.table.incremental
    sides = known.table.leaves_out
    if incremental is None or not sides or plan.cursor is None:
        return plan
    kind = plan.landed_as(plan.cursor)
    if kind not in TIMES:
        what = "outside_window" if len(sides) > 1 else "append, where the request names one end of the window,"
        raise ContractError(
            f"{known.label}: {what} needs a time as its cursor, but {plan.cursor} is {kind}; hint: declare its type "
            "under columns:"
        )
    reached = window.reach_back(incremental.time_lag)
    clock = ZoneInfo(known.table.cursor_zone or zone)
    start, end = (_moment(moment, kind, clock) for moment in (reached.start, reached.end))
    name = identifier(plan.cursor)
    limits = {"before": f"{name} >= {start}", "after": f"{name} < {end}"}
    inside = " AND ".join(limits[side] for side in ("before", "after") if side in sides)
    inside = f"({inside}{_or_deleted(plan, start)})"
    # who did not ask for the window alone keeps the rows of which no one knows whether they are in it
    inside = inside if len(sides) > 1 else f"({inside} OR {name} IS NULL)"
    return replace(plan, where=f"({plan.where}\n) AND {inside}" if plan.where else inside)


def _or_deleted(plan: ContractPlan, start: str) -> str:
    """Return what keeps a record that says that its row is deleted, and has no cursor, or one before the window.

    A source may leave the cursor as it was before the removal, whose row an earlier window has brought. A row that is
    newer by the cursor stays in any case.
    """
    deletes, cursor = plan.deletes, plan.cursor
    column = next((one for one in plan.columns if deletes and one.name == deletes.column), None)
    if deletes is None or cursor is None or column is None:
        return ""
    says = says_deleted(identifier(column.name), column.landed_type, deletes.equals)
    return f" OR ({says} AND coalesce({identifier(cursor)} < {start}, TRUE))" if says else ""


def _moment(moment: datetime, kind: str, clock: ZoneInfo) -> str:
    if kind == "timestamp":
        return f"TIMESTAMPTZ {text_literal(iso_utc(moment))}"
    return f"TIMESTAMP {text_literal(moment.astimezone(clock).replace(tzinfo=None).isoformat(sep=' '))}"
