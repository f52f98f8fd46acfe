"""The triggerer asks the DAG processor for nothing where a model's task has ended well."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

SENDS = """
from types import SimpleNamespace
import airflow.jobs.triggerer_job_runner
from airflow.callbacks.callback_requests import DagCallbackRequest, TaskCallbackRequest
from airflow.callbacks.database_callback_sink import DatabaseCallbackSink
from airflow.dag_processing.processor import _execute_task_callbacks
from elt_factory.dag.dbt_watched import DoneOperator, ModelOperator
from elt_factory.dag.triggered_callbacks import _OPERATORS, spare_callbacks

assert {kind.__name__ for kind in (ModelOperator, DoneOperator)} == _OPERATORS
spare_callbacks()
spare_callbacks()

class Session:
    def __init__(self, operator):
        self.operator, self.added = operator, []

    def get(self, model, key):
        return SimpleNamespace(operator=self.operator)

    def add(self, row):
        self.added.append(row)

def ended(state):
    ti = SimpleNamespace(id=1, dag_id="d", task_id="t", run_id="r", try_number=1, map_index=-1)
    request = TaskCallbackRequest.model_construct(ti=ti, task_callback_type=state, filepath="f", bundle_name="b",
                                                  bundle_version=None, msg=None)
    object.__setattr__(request, "to_json", lambda **_: "{}")
    return request

def asked(state, operator):
    session = Session(operator)
    DatabaseCallbackSink().send(callback=ended(state), session=session)
    return len(session.added)

found = {(state, operator): asked(state, operator) for state in ("success", "failed", "up_for_retry")
         for operator in ("ModelOperator", "DoneOperator", "HttpSensor")}
assert found.pop(("success", "ModelOperator")) == found.pop(("success", "DoneOperator")) == 0, found
assert set(found.values()) == {1}, found

# who sends without a session is given one by Airflow, as before
import contextlib
import airflow.utils.session
given = Session("HttpSensor")
airflow.utils.session.create_session = lambda: contextlib.nullcontext(given)
DatabaseCallbackSink().send(ended("failed"))
assert len(given.added) == 1, given.added

# what the DAG processor makes of such a request: nothing, before it looks at any DAG
said = []
_execute_task_callbacks(None, ended("success"), SimpleNamespace(warning=lambda text, **_: said.append(text)))
assert said == ["Task callback requested but is not a failure callback"], said
"""


@pytest.mark.services
def test_no_callback_is_asked_for_where_a_model_ends_well():
    done = subprocess.run([sys.executable, "-c", SENDS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_other_callbacks_of_airflow_are_left_alone(monkeypatch):
    from airflow.callbacks.database_callback_sink import DatabaseCallbackSink

    from elt_factory.dag.triggered_callbacks import spare_callbacks

    as_it_was = DatabaseCallbackSink.send
    spare_callbacks()
    assert DatabaseCallbackSink.send is as_it_was, "this is no triggerer"
    monkeypatch.setitem(sys.modules, "airflow.jobs.triggerer_job_runner", SimpleNamespace())
    monkeypatch.setattr(DatabaseCallbackSink, "send", lambda self, callback: None)
    other = DatabaseCallbackSink.send
    spare_callbacks()
    assert DatabaseCallbackSink.send is other
