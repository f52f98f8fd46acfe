"""In the triggerer, no DAG is read for the tasks of models, which start there by the dozen.

Airflow's triggerer reads the whole serialised DAG for each task that starts there, sends it to the process of the
triggers, and reads it there once more. With a task for each model of a dbt project that is the square of the models.
Triggers of models need nothing of their DAG: they are sent as those of a task that a worker has deferred, without it.
The states of a run's tasks, which they ask for, are looked up by the DAG: the last ones are kept, by their text.
"""

from __future__ import annotations

import inspect
import logging
import sys
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

log = logging.getLogger(__name__)

_TRIGGERER = "airflow.jobs.triggerer_job_runner"
_CREATES = "_create_workload"
_TAKES = ["self", "trigger", "dag_bag", "render_log_fname", "session"]
_KEPT = 8  # DAGs: a triggerer is busy with few large ones at a time
# by their names: every process of Airflow imports this
_WITHOUT = frozenset(f"elt_factory.dag.dbt_trigger.{name}" for name in ("ModelTrigger", "DoneTrigger"))


class Kept:
    """The last DAGs that were read, by what names their text."""

    def __init__(self) -> None:
        self._dags: OrderedDict[str, Any] = OrderedDict()

    def get(self, key: str | None, read: Callable[[], Any]) -> Any:
        """Return a DAG, read only where it is not among the last ones."""
        if key is None:
            return read()
        if key not in self._dags:
            self._dags[key] = read()
        self._dags.move_to_end(key)
        while len(self._dags) > _KEPT:
            self._dags.popitem(last=False)
        return self._dags[key]


class NoDags:
    """A bag in which the triggerer finds no DAG."""

    def get_serialized_dag_model_for_run(self, *_: Any, **__: Any) -> None:
        """Return no DAG."""

    def get_serialized_dag_model(self, *_: Any, **__: Any) -> None:
        """Return no DAG."""


def spare_dags() -> None:
    """Read no DAG for the triggers of models in the triggerer of this process, and keep what else it reads.

    Nothing happens in any other process, or where Airflow's triggerer is not as it is known.
    """
    module: Any = sys.modules.get(_TRIGGERER)
    if module is None:
        return
    supervisor: Any = getattr(module, "TriggerRunnerSupervisor", None)
    creates = getattr(supervisor, _CREATES, None)
    if getattr(creates, "spares", False):
        return
    if creates is None or [*inspect.signature(creates).parameters] != _TAKES:
        log.warning("the triggerer reads a DAG for every model: this Airflow has another _create_workload")
        return

    def _create_workload(self: Any, trigger: Any, dag_bag: Any, **rest: Any) -> Any:
        return creates(self, trigger, NoDags() if trigger.classpath in _WITHOUT else dag_bag, **rest)

    _create_workload.spares = True  # type: ignore[attr-defined]
    setattr(supervisor, _CREATES, _create_workload)
    _keep_dags()


def _keep_dags() -> None:
    from airflow.models.serialized_dag import SerializedDagModel

    stored = inspect.getattr_static(SerializedDagModel, "dag", None)
    if not isinstance(stored, property) or stored.fget is None:
        log.warning("the triggerer reads a DAG for every question: this Airflow has another SerializedDagModel.dag")
        return
    model: Any = SerializedDagModel
    dag_of, kept = stored.fget, Kept()
    model.dag = property(lambda self: kept.get(self.dag_hash, lambda: dag_of(self)))
