"""What sensors ask Airflow: for runs of DAGs, and on a worker for updates of assets."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from elt_factory.core.failures import EltError, TransientError

_STATES = ("success", "failed", "running", "queued")


def runs_by_state(dag_id: str, logical_date: datetime) -> Mapping[str, int]:
    """Return how many runs of a DAG with a logical date have each state.

    Raises:
        TransientError: Airflow does not say.
    """
    from airflow.sdk.execution_time.comms import GetDRCount

    return {
        state: int(_ask(GetDRCount(dag_id=dag_id, logical_dates=[logical_date], states=[state])).count)
        for state in _STATES
    }


def last_update(asset: str, since: datetime) -> datetime | None:
    """Return when an asset, by its name or URI, was last updated since a moment; None where it was not.

    Raises:
        TransientError: Airflow does not say.
    """
    from airflow.sdk.execution_time.comms import GetAssetEventByAsset

    name, uri = (None, asset) if "://" in asset else (asset, None)
    answer = _ask(GetAssetEventByAsset(name=name, uri=uri, after=since, limit=1, ascending=False))
    found: datetime | None = answer.asset_events[0].timestamp if answer.asset_events else None
    return found


def _ask(message: Any) -> Any:
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.comms import ErrorResponse

    comms = getattr(task_runner, "SUPERVISOR_COMMS", None)
    if comms is None:
        raise EltError("Airflow can only be asked within a run")
    answer = comms.send(message)
    if isinstance(answer, ErrorResponse):
        raise TransientError(f"Airflow does not say: {answer.error.value}")
    return answer
