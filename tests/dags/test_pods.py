"""The pods of a config's tasks: what Kubernetes' executor is given, held against Kubernetes' own schema."""

import sys

import kubernetes_validate
import pytest
from dag_support import TINY, config_of

from elt_factory.config.errors import ConfigError
from elt_factory.dag.factory import build_dag

LARGE = {"memory": "2Gi", "cpu": 1, "image": "acme/airflow:3.3", "node_selector": {"pool": "large"}}


@pytest.fixture
def on_kubernetes(monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "LocalExecutor,KubernetesExecutor")


def pods(folder, resources) -> dict[str, dict]:
    """The pod of each task that has one of its own, as Kubernetes is sent it."""
    from kubernetes.client import ApiClient

    config = config_of(folder, TINY, pods=resources)
    tasks = build_dag(config, {}).task_dict
    written = ApiClient().sanitize_for_serialization
    given = {name: task.executor_config for name, task in tasks.items() if task.executor_config}
    return {name: written(config["pod_override"]) for name, config in given.items()}


def test_each_step_has_its_pod_and_kubernetes_takes_it(tmp_path, on_kubernetes):
    found = pods(tmp_path, {"extract": LARGE, "load": {"cpu": "500m", "service_account": "loader"}})
    assert found == {
        "tables.input.extract": {
            "spec": {
                "containers": [
                    {
                        "name": "base",
                        "image": "acme/airflow:3.3",
                        "resources": {"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"memory": "2Gi"}},
                    }
                ],
                "nodeSelector": {"pool": "large"},
            }
        },
        "tables.input.load": {
            "spec": {
                "containers": [{"name": "base", "resources": {"requests": {"cpu": "500m"}}}],
                "serviceAccountName": "loader",
            }
        },
    }
    for pod in found.values():
        whole = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "task"}, **pod}
        kubernetes_validate.validate(whole, "1.31", strict=True)
        whole["spec"]["containers"][0]["resources"]["requests"] = {"cpu": ["1"]}
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(whole, "1.31", strict=True)


def test_one_pod_for_all_steps(tmp_path, on_kubernetes):
    found = pods(tmp_path, {"memory": "512Mi"})
    assert set(found) == {"tables.input.extract", "tables.input.load", "quality.input"}


@pytest.mark.parametrize(
    ("given", "text"),
    [(2147483648, "2147483648"), (1.5e9, "1500000000"), (2147483648.5, "2147483648.5"), ("2Gi", "2Gi")],
)
def test_memory_in_bytes_is_every_digit_of_it(tmp_path, given, text):
    assert config_of(tmp_path, TINY, pods={"extract": {"memory": given}}).pods.extract.memory == text


def test_airflow_stores_the_pod_with_the_dag(tmp_path, on_kubernetes):
    from airflow.serialization.serialized_objects import DagSerialization

    dag = build_dag(config_of(tmp_path, TINY, pods={"extract": LARGE}), {})
    back = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    pod = back.get_task("tables.input.extract").executor_config["pod_override"]
    assert pod.spec.node_selector == {"pool": "large"}


def test_other_executors_need_nothing_of_kubernetes(tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    for name in [name for name in sys.modules if name.partition(".")[0] == "kubernetes"]:
        monkeypatch.delitem(sys.modules, name)
    dag = build_dag(config_of(tmp_path, TINY, pods={"extract": LARGE}), {})
    assert not any(task.executor_config for task in dag.tasks)
    assert "kubernetes.client" not in sys.modules


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ({"extract": {"memory": 2}}, '"2" of memory is less than any task needs'),
        ({"extract": {"memory": "2 GB"}}, '"2 GB" is not a quantity of Kubernetes'),
        ({"extract": {"cpu": 0}}, "a pod needs some CPU"),
        ({"extrakt": {"cpu": 1}}, "extract"),
    ],
)
def test_a_quantity_that_no_pod_can_have_is_a_mistake(tmp_path, resources, message):
    with pytest.raises(ConfigError, match=message):
        config_of(tmp_path, TINY, pods=resources)
