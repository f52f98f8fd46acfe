"""Jobs of other systems: each is a mapping with one key, the system, next to how long it may take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from elt_factory.config.errors import MistakeError
from elt_factory.config.models.durations import PositiveDuration
from elt_factory.config.models.one_kind import OneKind
from elt_factory.config.models.schema_patterns import NOT_TOO_LONG, SOME_TIME
from elt_factory.config.models.templates import check_template
from elt_factory.config.models.values import ConnectionId
from elt_factory.core.kinds import Door

JOB_NAMES = ("job.key",)
_LOADING = (
    "airbyte",
    "fivetran",
    "dbt_cloud",
    "prefect",
    "orchestra",
    "matillion",
    "airflow",
    "aws_step_functions",
    "aws_glue",
    "aws_ecs",
    "aws_lambda",
)
_REFRESHING = ("tableau", "power_bi", "looker", "superset", "metabase")
REMOTE_JOBS: Door[Any] = Door(
    "elt_factory.remote_jobs",
    {name: f"elt_factory.sources.remote_job.systems.{name}:KIND" for name in ("http", *_LOADING, *_REFRESHING)},
    takes="elt_factory.sources.remote_job.description:RemoteJobKind",
)


class RemoteJob(OneKind):
    """A job of another system: it is started, waited for without a worker, and cancelled with the run."""

    schema_patterns: ClassVar[Mapping[str, Sequence[str]]] = {
        "every": (SOME_TIME, NOT_TOO_LONG),
        "within": (SOME_TIME, NOT_TOO_LONG),
    }
    door: ClassVar[Door[Any]] = REMOTE_JOBS
    called: ClassVar[str] = "job"

    every: PositiveDuration = Field(
        "30s", validate_default=True, description="Time between two looks at the job.", examples=["1m"]
    )
    within: PositiveDuration = Field(
        "6h",
        validate_default=True,
        description="Time that the job may take. One that takes longer is cancelled, and its task fails.",
        examples=["2h"],
    )
    lost: Literal["fail", "start_again"] = Field(
        "fail",
        description=(
            "What to do when a job is gone, or the answer to its start was lost, and the system cannot say whether it "
            "runs: fail the task for a person to decide, or start another one, which may then run twice."
        ),
        examples=["start_again"],
    )

    @property
    def words(self) -> str:
        """What it starts, for people."""
        return str(REMOTE_JOBS.get(self.kind).words(self.spec))


class AfterJob(RemoteJob):
    """A job of another system that a run starts once its tables are loaded, transformed and checked."""

    schema_rules: ClassVar[Sequence[dict[str, Any]]] = ({"required": ["connection"]},)

    connection: ConnectionId = Field(
        description="Airflow connection that holds the system's address and credentials.", examples=["tableau_server"]
    )


def check_job_texts(value: Any) -> Any:
    """Return a value of JSON whose texts may have templates: those of every config, and `job.key`.

    Raises:
        MistakeError: a template that is not known.
    """
    for at, text in _texts(value):
        try:
            check_template(text, JOB_NAMES)
        except MistakeError as error:
            raise MistakeError(error.message, error.hint, at=(*at, *error.at), code=error.code) from None
    return value


def _texts(value: Any, at: tuple[str | int, ...] = ()) -> Sequence[tuple[tuple[str | int, ...], str]]:
    if isinstance(value, str):
        return [(at, value)]
    items: Any = ()
    if isinstance(value, Mapping):
        items = value.items()
    elif isinstance(value, list | tuple):
        items = enumerate(value)
    return [found for key, below in items for found in _texts(below, (*at, key))]
