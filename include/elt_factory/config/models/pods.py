"""What the tasks of a config need of a machine, where Kubernetes starts a pod for each."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from elt_factory.config.errors import MistakeError
from elt_factory.config.models.base import Model
from elt_factory.config.models.values import Text

STEPS = ("extract", "load", "transform", "quality")
_QUANTITY = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$"
_LEAST_MEMORY = 64 * 1024**2
_UNITS = {"m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}
_UNITS |= {f"{letter}i": 1024.0**power for power, letter in enumerate("KMGTP", start=1)}


def amount_of(quantity: str) -> float:
    """Return a quantity of Kubernetes as a number: 500m is 0.5, 2Gi is 2147483648."""
    number = quantity.rstrip("mkKMGTPi")
    return float(number) * _UNITS.get(quantity[len(number) :], 1.0)


def _enough(quantity: str) -> str:
    if amount_of(quantity) < _LEAST_MEMORY:
        raise MistakeError(
            f'"{quantity}" of memory is less than any task needs',
            "write a unit, such as 2Gi or 512Mi",
            code="bad-value",
        )
    return quantity


def _more_than_none(quantity: str) -> str:
    if amount_of(quantity) <= 0:
        raise MistakeError("a pod needs some CPU", "write a number of cores, such as 1 or 500m", code="bad-value")
    return quantity


def _as_text(given: Any) -> Any:
    if isinstance(given, str) and not re.fullmatch(_QUANTITY, given):
        raise MistakeError(
            f'"{given}" is not a quantity of Kubernetes',
            "write memory such as 2Gi or 512Mi, and cpu such as 2 or 500m",
            code="bad-value",
        )
    if isinstance(given, bool) or not isinstance(given, int | float):
        return given
    return str(given) if isinstance(given, int) else f"{given:.15g}"


Quantity = Annotated[str, BeforeValidator(_as_text), Field(pattern=_QUANTITY)]


class Pod(Model):
    """The pod of a task."""

    memory: Annotated[Quantity, AfterValidator(_enough)] | None = Field(
        None, description="Memory that the pod gets, and may not exceed.", examples=["2Gi"]
    )
    cpu: Annotated[Quantity, AfterValidator(_more_than_none)] | None = Field(
        None,
        description="Cores that the pod gets; it may use more where a node has them to spare.",
        examples=[1, "500m"],
        json_schema_extra={"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string"}]},
    )
    image: Text | None = Field(
        None,
        description="Image of the pod. It needs the same Airflow and ELT Factory.",
        examples=["acme/airflow:3.3-gpu"],
    )
    node_selector: dict[str, str] = Field(
        {}, description="Labels of the nodes that the pod may run on.", examples=[{"pool": "large"}]
    )
    service_account: Text | None = Field(
        None, description="Service account of the pod, for access to clouds.", examples=["loader"]
    )


class Pods(Model):
    """The pods of the tasks of each step; of a step without one, those of the deployment."""

    extract: Pod | None = Field(None, description="Pods of extract tasks.", examples=[{"memory": "4Gi", "cpu": 2}])
    load: Pod | None = Field(None, description="Pods of load tasks.", examples=[{"memory": "2Gi"}])
    transform: Pod | None = Field(None, description="Pods of dbt tasks.", examples=[{"cpu": "500m"}])
    quality: Pod | None = Field(None, description="Pods of check tasks.", examples=[{"memory": "1Gi"}])

    @model_validator(mode="before")
    @classmethod
    def _one_for_all(cls, given: Any) -> Any:
        if isinstance(given, dict) and given and set(given) <= set(Pod.model_fields):
            return dict.fromkeys(STEPS, given)
        return given
