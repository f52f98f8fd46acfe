"""The language of JSON APIs: `extract:`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from elt_factory.config.models.durations import PositiveDuration
from elt_factory.config.models.schema_patterns import NO_TEMPLATE, NOT_TOO_LONG, SOME_TIME
from elt_factory.config.models.source import Extract
from elt_factory.config.models.values import ConnectionId, RequestRate, Whole
from elt_factory.sources.rest_api.answer_model import AnswerRule
from elt_factory.sources.rest_api.auth_model import Auth
from elt_factory.sources.rest_api.header_rules import SENT_HEADERS
from elt_factory.sources.rest_api.paging_model import Paginator, SinglePage
from elt_factory.sources.rest_api.request_model import HEADERS_RULE, Headers, HostName, PlainParams

_CONNECTION = "Airflow connection that holds the address and credentials."


class RestApi(Extract):
    """A JSON API over HTTP."""

    schema_patterns: ClassVar[Mapping[str, Sequence[str]]] = {"timeout": (SOME_TIME, NOT_TOO_LONG)}
    schema_rules: ClassVar[Sequence[dict[str, Any]]] = (
        HEADERS_RULE,
        SENT_HEADERS,
        {"properties": {"params": {"additionalProperties": {"pattern": NO_TEMPLATE}}}},
    )

    type: Literal["rest_api"]
    connection: ConnectionId = Field(description=_CONNECTION, examples=["flights_api"])
    auth: Auth | None = Field(
        None,
        description=(
            "How credentials are sent. By default, basic when the connection has a login, "
            "or bearer when it has only a password."
        ),
        examples=[{"type": "api_key", "header": "X-API-Key"}],
    )
    headers: Headers = Field(
        {},
        description="Headers sent with every request. Secrets are refused.",
        examples=[{"Accept": "application/json"}],
    )
    params: PlainParams = Field(
        {},
        description="Query parameters sent with the requests of every table. Secrets are refused.",
        examples=[{"api_version": 2}],
    )
    paginator: Paginator = Field(
        SinglePage(type="single_page"),
        description="How to find the next page.",
        examples=[{"type": "cursor", "cursor_path": "next"}],
    )
    rate_limit: RequestRate | None = Field(
        None,
        description="Maximum request rate of the connection: of all its tables, runs and workers together.",
        examples=["500/minute"],
    )
    timeout: PositiveDuration = Field(
        "60s",
        validate_default=True,
        description="Time allowed for one request, from connecting to the last byte of the response.",
        examples=["30s"],
    )
    max_answer_mb: Whole = Field(
        256,
        gt=0,
        le=100_000,
        description="Maximum size of one response in megabytes, uncompressed. A larger response is an error.",
        examples=[1000],
    )
    answers: tuple[AnswerRule, ...] = Field(
        (),
        description=(
            "What answers mean that are not just records; the first entry that fits holds. Those of a table come first."
        ),
        examples=[[{"status": 404, "do": "skip"}]],
    )
    hosts: tuple[HostName, ...] = Field(
        (),
        description=(
            "Other hosts that responses may lead to. A link to one gets the credentials, a redirect to one does not."
        ),
        examples=[["files.example.com"]],
    )
    incomplete: Literal["fail", "warn"] = Field(
        "fail",
        description=(
            "What to do when pages end although the response says there are more (has_more, a total, a next link): "
            "fail the task, or load what was read and log a warning."
        ),
        examples=["warn"],
    )
