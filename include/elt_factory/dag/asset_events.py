"""What Airflow knows of the loads of a table: it costs nothing to ask, and a SELECT wakes a warehouse up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowRuntimeError

from elt_factory.core.verdict import Verdict
from elt_factory.core.window import Window, iso_utc

# A load by `elt run` or by another Airflow leaves no mark here: the warehouse is asked once an hour all the same.
TRUSTED = timedelta(hours=1)
_STORE, _KEY = "asset_state_store", "loaded_at"


@dataclass(frozen=True)
class Answer:
    """An answer of the warehouse that only another load can change, and when it was asked.

    `marks` are those that loads had left before that: another one is a load since, whatever its worker's clock says.
    """

    message: str
    asked: datetime
    marks: tuple[str, ...] | None = None


def asset_of(source: str, table: str) -> Asset:
    """Return the asset that a table's load updates."""
    return Asset(name=f"{source}.{table}", uri=f"elt://{source}/{table}")


def windows_of(source: str, table: str) -> Asset:
    """Return the asset whose events have the loaded window as their key: what a schedule by assets waits for.

    Of its own, because an event with a key starts no DAG that waits for the table by its plain asset.
    """
    return Asset(name=f"{source}.{table} by window", uri=f"elt://{source}/{table}/windows")


def key_of_window(window: Window) -> str:
    """Return the key of a window in Airflow."""
    return f"{iso_utc(window.start)}/{iso_utc(window.end)}"


def window_of_key(key: str | None) -> Window | None:
    """Return the window of a key; None for one that is not of a window."""
    start, _, end = (key or "").partition("/")
    try:
        return Window(datetime.fromisoformat(start), datetime.fromisoformat(end))
    except ValueError:
        return None


def mark_loaded(context: Mapping[str, Any], assets: Sequence[Asset]) -> None:
    """Let the triggerer know of a load: of assets it can read what is stored for them, and no events."""
    if store := context.get(_STORE):
        for asset in assets:
            store[asset].set(_KEY, datetime.now(UTC).isoformat())


def still_unloaded(answer: Answer | None, assets: Sequence[Asset]) -> Verdict | None:
    """Return the warehouse's last answer where no load has changed it since, or None where it must be asked.

    Args:
        answer: What the warehouse answered last.
        assets: The tables waited for.
    """
    if answer is None or not assets or abs(datetime.now(UTC) - answer.asked) >= TRUSTED:
        return None
    # where Airflow does not know the warehouse does
    if answer.marks is None or marks_of(assets) != answer.marks:
        return None
    quiet = f"no load of these tables in Airflow since {iso_utc(answer.asked)}: skipping the warehouse query"
    return Verdict(False, f"{answer.message}; {quiet}", needs_load=True)


def marks_of(assets: Sequence[Asset]) -> tuple[str, ...] | None:
    """Return the mark that the newest load of each table has left, "" where there is none; None if Airflow fails."""
    from airflow.sdk.execution_time.context import AssetStateStoreAccessors

    marks = AssetStateStoreAccessors(inlets=list(assets))
    try:
        return tuple(str(marks[asset].get(_KEY) or "") for asset in assets)
    except AirflowRuntimeError:
        return None
