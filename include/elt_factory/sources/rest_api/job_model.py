"""The language of JSON APIs: a job that a request starts, and whose results are fetched when it is done."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from elt_factory.config.errors import KEY, MistakeError, raise_found
from elt_factory.config.models.base import Model
from elt_factory.config.models.durations import PositiveDuration
from elt_factory.config.models.schema_patterns import NO_ADDRESS, NOT_TOO_LONG, SOME_TIME, not_both
from elt_factory.config.models.templates import check_template, is_own, refuse_template
from elt_factory.config.models.values import Scalar, Text
from elt_factory.sources.rest_api.request_model import JOB_KEY, check_path, secrets_in, texts_in

if TYPE_CHECKING:
    from elt_factory.sources.rest_api.model import RestTable

JOB_ID = "job.id"
JOB_FILE = "job.file"
_CANCEL = re.compile(r"(DELETE|PATCH|POST|PUT)\s+(\S.*)")


def _check_cancel(value: str) -> str:
    found = _CANCEL.fullmatch(value)
    if found is None:
        message = "expected a method and a path"
        raise MistakeError(message, "write it like DELETE /exports/{{ job.id }}, or with PATCH, POST or PUT")
    check_path(found[2])
    return value


def _check_json(value: Any) -> Any:
    raise_found(secrets_in(value))
    return value


def _check_plain(value: Any) -> Any:
    for at, text in texts_in(_check_json(value)):
        try:
            refuse_template(text)
        except MistakeError as error:
            raise MistakeError(error.message, "write the JSON as it is sent", at=at) from None
    return value


_NEEDS = (
    ("links", "result", "result: with the path of the links in that response"),
    ("file", "links", "links: /documents/{{ job.file }}"),
    ("cancel_json", "cancel", "cancel: PATCH /exports/{{ job.id }}"),
)
PlainJson = Annotated[dict[str, Any] | list[Any], AfterValidator(_check_plain)]
# its templates are checked with those of the job
JobJson = Annotated[dict[str, Any] | list[Any], AfterValidator(_check_json)]
JobPath = Annotated[str, Field(min_length=1), AfterValidator(check_path)]
Cancel = Annotated[
    str, AfterValidator(_check_cancel), WithJsonSchema({"type": "string", "pattern": r"^(DELETE|PATCH|POST|PUT)\s+\S"})
]

_PAGED = {"required": ["type"], "properties": {"type": {"not": {"const": "single_page"}}}}
_PAGED_IN_JSON = {
    "required": ["type"],
    "properties": {"type": {"not": {"enum": ["single_page", "header_link"]}}},
    "not": {"required": ["cursor_header"]},
}
# what an editor can underline of it: a link of a job's result is one response, and a file does not say what follows
NO_PAGES: Mapping[str, Any] = {
    "not": {
        "anyOf": [
            {
                "required": ["paginator", "job"],
                "properties": {"paginator": _PAGED, "job": {"type": "object", "required": ["result"]}},
            },
            {
                "required": ["paginator", "format"],
                "properties": {"paginator": _PAGED_IN_JSON, "format": {"type": "object"}},
            },
        ]
    }
}


class Job(Model):
    """A job that the table's request starts; it is asked for until it is done, without a worker."""

    schema_patterns: ClassVar[Mapping[str, Sequence[str]]] = {
        "path": (NO_ADDRESS,),
        "download": (NO_ADDRESS,),
        "links": (NO_ADDRESS,),
        "every": (SOME_TIME, NOT_TOO_LONG),
        "within": (SOME_TIME, NOT_TOO_LONG),
    }
    schema_rules: ClassVar[Sequence[dict[str, Any]]] = (
        not_both("result", "download"),
        {"anyOf": [{"required": ["result"]}, {"required": ["download"]}]},
        {"dependencies": {"status": ["done"], "done": ["status"], "failed": ["status"]}},
        {"dependencies": {"links": ["result"], "file": ["links"], "cancel_json": ["cancel"]}},
    )

    id: Text = Field(description="Path of the job's id in the response that starts it.", examples=["data.id"])
    path: JobPath = Field(description="Path that says how the job is.", examples=["/exports/{{ job.id }}"])
    json_body: JobJson | None = Field(
        None,
        alias="json",
        description="JSON to send there with POST, also a GraphQL query with its variables.",
        examples=[{"ids": ["{{ job.id }}"]}],
    )
    status: Text | None = Field(
        None,
        description="Path of the status in that response. Without it, 202 means that the job is not done.",
        examples=["state"],
    )
    done: tuple[Scalar, ...] = Field((), description="Statuses of a job that is done.", examples=[["finished"]])
    failed: tuple[Scalar, ...] = Field((), description="Statuses of a job that has failed.", examples=[["error"]])
    say: Text | None = Field(None, description="Path of the message of a job that has failed.", examples=["error"])
    every: PositiveDuration = Field(
        "30s", validate_default=True, description="Time between two requests.", examples=["1m"]
    )
    within: PositiveDuration = Field(
        "2h", validate_default=True, description="Time that a job may take.", examples=["6h"]
    )
    result: Text | None = Field(
        None,
        description=(
            "Path of the links to the results in the last response; `[*]` goes through a list. A link to another host "
            "(see `hosts`) gets no credentials."
        ),
        examples=["files[*].url"],
    )
    links: JobPath | None = Field(
        None,
        description="Path of a response that has the links, where the one with the status does not.",
        examples=["/exports/{{ job.id }}/files", "/documents/{{ job.file }}"],
    )
    file: Text | None = Field(
        None,
        description="Path in the last response of the ids with which links is asked: `{{ job.file }}`, one by one.",
        examples=["reportDocumentId"],
    )
    download: JobPath | None = Field(
        None, description="Path of the result, in place of links.", examples=["/exports/{{ job.id }}/file"]
    )
    cancel: Cancel | None = Field(
        None,
        description="Request that cancels a job whose run is ended by a person.",
        examples=["DELETE /exports/{{ job.id }}"],
    )
    cancel_json: PlainJson | None = Field(
        None, description="JSON to send with the request that cancels a job.", examples=[{"state": "Aborted"}]
    )

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if (self.result is None) == (self.download is None):
            message = "a job needs result or download, and not both"
            at = ("download", KEY) if self.download else ()
            raise MistakeError(message, "write result: with the path of its links", at=at, code="incomplete")
        for name, needed, how in _NEEDS:
            if getattr(self, name) and not getattr(self, needed):
                raise MistakeError(f"{name} needs {needed}", f"add {how}", at=(name, KEY), code="incomplete")
        if self.status and not self.done:
            raise MistakeError("status needs done", "add done: [finished]", at=("status", KEY), code="incomplete")
        for name in ("done", "failed"):
            if getattr(self, name) and not self.status:
                hint = "add status: with its path in the response"
                raise MistakeError(f"{name} needs status", hint, at=(name, KEY), code="incomplete")
        return self

    @property
    def texts(self) -> Mapping[tuple[str | int, ...], str]:
        """The texts that take templates, by their places below the job."""
        found = {"path": self.path, "links": self.links, "download": self.download, "cancel": self.cancel}
        own: dict[tuple[str | int, ...], str] = {(name,): text for name, text in found.items() if text}
        return own | {("json", *at): text for at, text in texts_in(self.json_body)}

    @property
    def cancelling(self) -> tuple[str, str] | None:
        """The method and the path that cancel a job."""
        found = _CANCEL.fullmatch(self.cancel or "")
        return (found[1], found[2]) if found else None


def job_mistakes(table: RestTable) -> Iterator[MistakeError]:
    """Yield what a table with a job cannot have."""
    if table.job is None:
        yield from _keys_without_job(table)
        return
    own = (*(table.for_each.names if table.for_each else ()), JOB_ID, JOB_KEY)
    of_file = (JOB_FILE,) if table.job.file else ()
    for at, text in table.job.texts.items():
        try:
            check_template(text, (*own, *(of_file if at == ("links",) else ())))
        except MistakeError as error:
            yield MistakeError(error.message, error.hint, at=("job", *at, *error.at), code=error.code)
    if table.delta_token:
        message = "job and delta_token exclude each other: the results of a job have no last page"
        yield MistakeError(message, "keep one of them", at=("job", KEY), code="conflict")
    if table.job.result and table.paginator is not None and table.paginator.type != "single_page":
        message = "each link of a job's result is one response, and has no pages"
        yield MistakeError(message, "remove paginator", at=("paginator", KEY), code="conflict")


def _keys_without_job(table: RestTable) -> Iterator[MistakeError]:
    # a parent that is called job may have such a column
    of_parent = table.for_each is not None and is_own(JOB_KEY, table.for_each.names)
    for at, found in table.templates.items():
        if not of_parent and any(use.name == JOB_KEY for use in found):
            yield MistakeError(f"{JOB_KEY} needs a job", "add job:, or use load_id", at=at, code="conflict")
