"""Airflow's asset events, read before a warehouse is asked: they cost nothing, and a SELECT wakes a warehouse up."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowRuntimeError

from elt_factory.core.verdict import Verdict
from elt_factory.core.window import iso_utc

if TYPE_CHECKING:
    from airflow.sdk import Context

# A load by `elt run` or by another Airflow leaves no event here: the warehouse is asked once an hour all the same.
TRUSTED = timedelta(hours=1)
_STORE: Final = "task_state_store"  # outlives the pauses of a sensor, which XComs do not
_KEY = "warehouse_answer"
_CLOCK_SKEW = timedelta(minutes=5)  # between the worker and Airflow's database


def asset_of(source: str, table: str) -> Asset:
    """Return the asset that a table's load updates."""
    return Asset(name=f"{source}.{table}", uri=f"elt://{source}/{table}")


def still_unloaded(context: Context, assets: Sequence[Asset]) -> Verdict | None:
    """Return the warehouse's last answer where no load has changed it since, or None where it must be asked.

    Args:
        context: The sensor's.
        assets: The tables waited for, each an inlet of the sensor.
    """
    answer = _last_answer(context) if assets else None
    if answer is None:
        return None
    message, asked = answer
    if datetime.now(UTC) - asked >= TRUSTED or _loaded_since(context, assets, asked - _CLOCK_SKEW):
        return None
    quiet = f"no load of these tables in Airflow since {iso_utc(asked)}: skipping the warehouse query"
    return Verdict(False, f"{message}; {quiet}")


def remember(context: Context, verdict: Verdict, asked: datetime) -> None:
    """Keep an answer that only another load can change; forget an earlier one otherwise."""
    store = context.get(_STORE)
    if store is None:
        return
    if verdict.needs_load:
        store.set(_KEY, {"message": verdict.message, "asked": asked.isoformat()})
    elif not verdict.holds:
        store.delete(_KEY)


def _last_answer(context: Context) -> tuple[str, datetime] | None:
    store = context.get(_STORE)
    try:
        kept = None if store is None else store.get(_KEY)
    except AirflowRuntimeError:
        return None  # what Airflow cannot say, the warehouse is asked for
    if not isinstance(kept, dict):
        return None
    return str(kept["message"]), datetime.fromisoformat(str(kept["asked"]))


def _loaded_since(context: Context, assets: Sequence[Asset], since: datetime) -> bool:
    events = context["inlet_events"]
    try:
        return any(len(events[asset].after(since.isoformat()).limit(1)) for asset in assets)
    except AirflowRuntimeError:
        return True  # Airflow does not know: the warehouse does
