"""In the triggerer, no callback is asked for where a model's task has ended well.

Airflow's triggerer asks the DAG processor for a callback whenever a trigger ends a task, and the DAG processor reads
the whole file for it, only to find that callbacks of a success are not its matter. With a task for each model of a dbt
project these are readings by the dozen, on the machine that builds the models. What is asked for after a failure is
left as it is.
"""

from __future__ import annotations

import inspect
import logging
import sys
from typing import Any

log = logging.getLogger(__name__)

_TRIGGERER = "airflow.jobs.triggerer_job_runner"
_TAKES = ["self", "callback", "session"]
# Tasks that their trigger can end, and that have no callback of a success
_OPERATORS = frozenset({"ModelOperator", "DoneOperator"})


def spare_callbacks() -> None:
    """Ask for no callback where a task of a model ends well in the triggerer of this process.

    Nothing happens in any other process, or where Airflow's callbacks are not as they are known.
    """
    if sys.modules.get(_TRIGGERER) is None:
        return
    from airflow.callbacks.database_callback_sink import DatabaseCallbackSink

    sink: Any = DatabaseCallbackSink
    sends = sink.send
    if getattr(sends, "spares", False):
        return
    if [*inspect.signature(sends).parameters] != _TAKES:
        log.warning("the DAG processor reads a DAG for every model: this Airflow has another DatabaseCallbackSink.send")
        return

    def send(self: Any, callback: Any, **named: Any) -> None:
        session = named.get("session")
        if session is None or not _is_spared(callback, session):
            sends(self, callback, **named)

    send.spares = True  # type: ignore[attr-defined]
    sink.send = send


def _is_spared(callback: Any, session: Any) -> bool:
    """Return whether a callback is that of a model's task that has ended well."""
    from airflow.callbacks.callback_requests import TaskCallbackRequest
    from airflow.models.taskinstance import TaskInstance

    if not isinstance(callback, TaskCallbackRequest) or callback.is_failure_callback:
        return False
    # the one that has just ended, so it is in the session
    return getattr(session.get(TaskInstance, callback.ti.id), "operator", None) in _OPERATORS
