"""The pod of a task, where Kubernetes runs it. Elsewhere nothing of Kubernetes is imported."""

from __future__ import annotations

from typing import Any, Literal

from elt_factory.config.models.pods import Pod, Pods

BASE = "base"  # the container of Airflow's tasks, in every template of a pod
Step = Literal["extract", "load", "transform", "quality"]


def pod_of(pods: Pods | None, step: Step) -> dict[str, Any]:
    """Return the operator arguments for the pods of a step; none where the deployment's own are wanted, or no pods."""
    pod: Pod | None = getattr(pods, step, None)
    if pod is None or not pod.model_fields_set or not _in_pods():
        return {}
    return {"executor_config": {"pod_override": override(pod)}}


def override(pod: Pod) -> Any:
    """Return what a pod says otherwise than the template of the deployment.

    Memory is requested and limited alike: a pod that exceeds its request is the first to be evicted. Cores are
    requested alone, as a limit would slow a task down on a node that has cores to spare.
    """
    from kubernetes.client import models as k8s

    wanted = {name: value for name, value in (("cpu", pod.cpu), ("memory", pod.memory)) if value is not None}
    limits = {"memory": pod.memory} if pod.memory else None
    needs = k8s.V1ResourceRequirements(requests=wanted, limits=limits) if wanted else None
    container = k8s.V1Container(name=BASE, image=pod.image, resources=needs)
    spec = k8s.V1PodSpec(
        containers=[container], node_selector=pod.node_selector or None, service_account_name=pod.service_account
    )
    return k8s.V1Pod(spec=spec)


def _in_pods() -> bool:
    """Whether an executor of this Airflow starts pods. In such a pod itself it does not, and needs not."""
    from airflow.sdk.configuration import conf

    return "kubernetes" in str(conf.get("core", "executor", fallback="")).lower()
