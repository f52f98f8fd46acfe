"""The triggerer reads no DAG for the tasks of models, however many of them start there."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from elt_factory.dag.triggered_dags import Kept, spare_dags

READS = """
import uuid
from types import SimpleNamespace
import airflow.jobs.triggerer_job_runner as triggerer
from airflow.models.serialized_dag import SerializedDagModel
from airflow.serialization.serialized_objects import DagSerialization
from elt_factory.dag.dbt_watched import DoneOperator, ModelOperator
from elt_factory.dag.triggered_dags import _WITHOUT, spare_dags
from elt_factory.dag.dbt_trigger import DoneTrigger, ModelTrigger

assert {f"{kind.__module__}.{kind.__qualname__}" for kind in (DoneTrigger, ModelTrigger)} == _WITHOUT
# such as need nothing of their DAG: no text that Airflow fills in
assert not any(getattr(kind, "template_fields", ()) for kind in (DoneTrigger, ModelTrigger))
spare_dags()
spare_dags()

looked = []

class Bag:
    def get_serialized_dag_model_for_run(self, dag_run, session):
        looked.append(dag_run)

    def get_serialized_dag_model(self, version_id, session):
        looked.append(version_id)

version = uuid.uuid4()
ti = SimpleNamespace(
    id=uuid.uuid4(), task_id="m", dag_id="d", run_id="r", try_number=2, map_index=-1, dag_version_id=version,
    hostname=None, context_carrier=None, pool_slots=1, queue="q", priority_weight=1, trigger_timeout=None,
    get_dagrun=lambda session: "run",
)
def made(classpath):
    trigger = SimpleNamespace(id=7, classpath=classpath, encrypted_kwargs="{}", task_instance=ti)
    supervisor = SimpleNamespace(logger_cache={}, job=SimpleNamespace(id=1))
    return triggerer.TriggerRunnerSupervisor._create_workload(
        supervisor, trigger=trigger, dag_bag=Bag(), render_log_fname=lambda ti: "log", session=None)

for classpath in _WITHOUT:
    workload = made(classpath)
    assert (workload.ti.task_id, workload.ti.try_number, workload.dag_data) == ("m", 2, None)
assert looked == []
made("some.other.Trigger")
assert looked == ["run", version]

reads = []
DagSerialization.from_dict = classmethod(lambda _, data: reads.append(data) or data)
for stored in ("x", "x", "y"):
    model = SimpleNamespace(dag_hash=stored, data={"dag": stored}, load_op_links=True)
    assert SerializedDagModel.dag.fget(model) == {"dag": stored}
assert len(reads) == 2, reads
"""


@pytest.mark.services
def test_no_dag_is_read_for_a_model_and_any_other_is_kept():
    done = subprocess.run([sys.executable, "-c", READS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_only_the_last_dags_are_kept_and_what_has_no_version_never():
    kept, read = Kept(), []
    for key in [*"012345678", "0", "8", None, None]:
        kept.get(key, lambda key=key: read.append(key))
    assert read == [*"012345678", "0", None, None]


def test_a_triggerer_that_is_not_as_it_is_known_is_left_alone(monkeypatch):
    plain = SimpleNamespace(_create_workload=lambda self, trigger: None)
    other = SimpleNamespace(TriggerRunnerSupervisor=plain)
    monkeypatch.setitem(sys.modules, "airflow.jobs.triggerer_job_runner", other)
    as_it_was = plain._create_workload
    spare_dags()
    assert plain._create_workload is as_it_was
