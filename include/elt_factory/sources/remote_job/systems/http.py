"""Jobs of any system with a JSON API: the YAML says which requests start, show and cancel one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from elt_factory.config.errors import KEY as AT_KEY
from elt_factory.config.errors import MistakeError
from elt_factory.config.models.base import Model
from elt_factory.config.models.remote_jobs import JOB_NAMES
from elt_factory.config.models.schema_patterns import NO_ADDRESS
from elt_factory.config.models.templates import check_template
from elt_factory.config.models.values import Flag, Scalar, Text
from elt_factory.sources.remote_job.description import Call, Description, Find, Payload, RemoteJobKind
from elt_factory.sources.rest_api.auth_model import Auth
from elt_factory.sources.rest_api.request_model import Headers, check_path

JOB_ID = "job.id"


def _check_job_path(value: str) -> str:
    return check_template(check_path(value), (*JOB_NAMES, JOB_ID))


def _check_link(value: str) -> str:
    return check_template(value, (*JOB_NAMES, JOB_ID))


JobPath = Annotated[str, Field(min_length=1), AfterValidator(_check_job_path)]
Link = Annotated[str, Field(min_length=1), AfterValidator(_check_link)]
Words = tuple[Scalar, ...]


class HttpCall(Model):
    """A request to the system."""

    schema_patterns: ClassVar[Mapping[str, Sequence[str]]] = {"path": (NO_ADDRESS,)}

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = Field("GET", description="Method.", examples=["POST"])
    path: JobPath = Field(description="Path below the connection's address.", examples=["/jobs/{{ job.id }}"])
    json_body: Payload | None = Field(
        None, alias="json", description="JSON to send.", examples=[{"label": "{{ job.key }}"}]
    )

    @property
    def call(self) -> Call:
        """The request."""
        return Call(self.method, self.path, json=self.json_body)


class HttpFind(HttpCall):
    """A request that lists the newest jobs, for one whose start was not answered."""

    items: Text = Field(description="Path of the list in the response.", examples=["jobs"])
    id: Text = Field(description="Path of the id in each job.", examples=["id"])
    key: Text | None = Field(
        None,
        description=(
            "Path in each job of what holds `job.key`. Without it, the job is the one that was not listed before."
        ),
        examples=["label"],
    )


class HttpJob(Model):
    """A job of any system with a JSON API."""

    start: HttpCall = Field(
        description="Request that starts a job. It is sent again only where it was refused.",
        examples=[{"method": "POST", "path": "/jobs", "json": {"label": "{{ job.key }}"}}],
    )
    id: Text | None = Field(
        None, description="Path of the job's id in the response. Needed with look.", examples=["data.id"]
    )
    look: HttpCall | None = Field(
        None,
        description="Request that shows the job. Without it, the response that starts the job is its end.",
        examples=[{"path": "/jobs/{{ job.id }}"}],
    )
    status: Text | None = Field(None, description="Path of the status in that response.", examples=["state"])
    done: Words = Field((), description="Statuses of success.", examples=[["finished"]])
    failed: Words = Field((), description="Statuses of failure.", examples=[["error"]])
    cancelled: Words = Field((), description="Statuses of a job that was cancelled.", examples=[["cancelled"]])
    error: Text | None = Field(None, description="Path of what went wrong.", examples=["message"])
    link: Link | None = Field(
        None,
        description="Address at which people see the job.",
        examples=["https://jobs.example.com/{{ job.id }}/log"],
    )
    find: HttpFind | None = Field(
        None,
        description="How to find a job whose start was not answered, so that a retry joins it.",
        examples=[{"path": "/jobs?limit=20", "items": "jobs", "id": "id", "key": "label"}],
    )
    repeatable: Flag = Field(
        False,
        description="Whether the start may be sent twice: the system knows it by `job.key`, or it does no harm.",
        examples=[True],
    )
    own_retries: Flag = Field(
        False,
        description="Whether the system itself may try a job again that has failed, under the same id.",
        examples=[True],
    )
    cancel: HttpCall | None = Field(
        None,
        description="Request that cancels the job.",
        examples=[{"method": "DELETE", "path": "/jobs/{{ job.id }}"}],
    )
    auth: Auth | None = Field(
        None,
        description="How credentials are sent, as in `extract` of JSON APIs.",
        examples=[{"type": "api_key", "header": "X-API-Key"}],
    )
    headers: Headers = Field(
        {}, description="Headers of every request. Secrets are refused.", examples=[{"Accept": "application/json"}]
    )

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.look is not None:
            for name, example in (("id", "id: id"), ("status", "status: state"), ("done", "done: [finished]")):
                if not getattr(self, name):
                    raise MistakeError(f"look needs {name}", f"add {example}", at=("look", AT_KEY), code="incomplete")
        return self


def _words(values: Sequence[Any]) -> tuple[str, ...]:
    return tuple(str(value).lower() if isinstance(value, bool) else str(value) for value in values)


def _describe(spec: HttpJob) -> Description:
    find = spec.find
    return Description(
        start=spec.start.call,
        look=spec.look.call if spec.look else None,
        id=spec.id or "",
        status=spec.status or "",
        done=_words(spec.done),
        failed=_words(spec.failed),
        cancelled=_words(spec.cancelled),
        errors=(spec.error,) if spec.error else (),
        link=spec.link or "",
        find=Find(find.call, find.items, find.id, find.key or "") if find else None,
        repeatable=spec.repeatable,
        own_retries=spec.own_retries,
        cancel=spec.cancel.call if spec.cancel else None,
        auth=spec.auth.model_dump(mode="json", by_alias=True, exclude_unset=True) if spec.auth else None,
        headers=spec.headers,
    )


KIND = RemoteJobKind(
    name="http",
    model=HttpJob,
    description="Start a job of any system with a JSON API.",
    examples=(
        {
            "start": {"method": "POST", "path": "/jobs", "json": {"label": "{{ job.key }}"}},
            "id": "id",
            "look": {"path": "/jobs/{{ job.id }}"},
            "status": "state",
            "done": ["finished"],
        },
    ),
    describe=_describe,
    words=lambda spec: f"{spec.start.method} {spec.start.path}",
)
