"""The language of JSON APIs: `extract:` and what its tables add."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from elt_factory.config import secrets
from elt_factory.config.base import Model
from elt_factory.config.errors import KEY, MistakeError, raise_found
from elt_factory.config.schema_patterns import KNOWN_TEMPLATES, NO_ADDRESS, NO_TEMPLATE, NOT_TOO_LONG, SECRET, SOME_TIME
from elt_factory.config.source import Extract, Source
from elt_factory.config.table import Path, Table
from elt_factory.config.templates import Use, Verbatim, check_template, uses
from elt_factory.config.values import (
    ConnectionId,
    Name,
    PositiveDuration,
    RequestRate,
    Scalar,
    Text,
    Whole,
)

_MAX_PAGES = 100_000


_CONNECTION = "Airflow connection that holds the address and credentials."


class ApiKeyAuth(Model):
    """Send the connection's password in a header, or as a query parameter."""

    type: Literal["api_key"]
    header: Text = Field("X-API-Key", description="Name of the header.", examples=["X-API-Key"])
    param: Text | None = Field(
        None,
        description="Query parameter to send it in, for an API that does not accept a header.",
        examples=["api_key"],
    )


class BearerAuth(Model):
    """Send the connection's password as `Authorization: Bearer`."""

    type: Literal["bearer"]


class BasicAuth(Model):
    """Send the connection's login and password as HTTP basic authentication."""

    type: Literal["basic"]


class NoAuth(Model):
    """Send no credentials."""

    type: Literal["none"]


class SinglePage(Model):
    """All records come in one response."""

    type: Literal["single_page"]


class CursorPaginator(Model):
    """The response holds a cursor that the next request sends back; without one, pages end."""

    type: Literal["cursor"]
    cursor_path: Text = Field("next", description="Path of the cursor in the response.", examples=["meta.next"])
    cursor_param: Text = Field("cursor", description="Query parameter that carries the cursor.", examples=["cursor"])
    max_pages: Whole = Field(
        _MAX_PAGES, gt=0, description="Maximum pages per load; more are an error.", examples=[1_000_000]
    )


class JsonLinkPaginator(Model):
    """The response holds the URL of the next page."""

    type: Literal["json_link"]
    next_url_path: Text = Field(
        "next", description="Path of the next page's URL in the response.", examples=["links.next", "@odata\\.nextLink"]
    )
    max_pages: Whole = Field(
        _MAX_PAGES, gt=0, description="Maximum pages per load; more are an error.", examples=[1_000_000]
    )


class HeaderLinkPaginator(Model):
    """The `Link` header holds the URL of the next page (RFC 8288)."""

    type: Literal["header_link"]
    rel: Text = Field("next", description="Link relation.", examples=["next"])
    max_pages: Whole = Field(
        _MAX_PAGES, gt=0, description="Maximum pages per load; more are an error.", examples=[1_000_000]
    )


class OffsetPaginator(Model):
    """Pages are requested by offset and limit; an empty page marks the end."""

    type: Literal["offset"]
    limit: Whole = Field(1000, gt=0, description="Records per page.", examples=[500])
    limit_param: Text = Field("limit", description="Query parameter for the page size.", examples=["limit"])
    offset_param: Text = Field("offset", description="Query parameter for the offset.", examples=["offset"])
    max_pages: Whole = Field(
        _MAX_PAGES, gt=0, description="Maximum pages per load; more are an error.", examples=[1_000_000]
    )


class PageNumberPaginator(Model):
    """Pages are requested by number; an empty page marks the end."""

    type: Literal["page_number"]
    page_param: Text = Field("page", description="Query parameter for the page number.", examples=["page"])
    first_page: Whole = Field(1, ge=0, description="Number of the first page.", examples=[0])
    max_pages: Whole = Field(
        _MAX_PAGES, gt=0, description="Maximum pages per load; more are an error.", examples=[1_000_000]
    )


Auth = Annotated[ApiKeyAuth | BearerAuth | BasicAuth | NoAuth, Field(discriminator="type")]


Paginator = Annotated[
    SinglePage | CursorPaginator | JsonLinkPaginator | HeaderLinkPaginator | OffsetPaginator | PageNumberPaginator,
    Field(discriminator="type"),
]


def _check_headers(value: dict[str, str]) -> dict[str, str]:
    raise_found(secrets.in_headers(value))
    return value


Headers = Annotated[dict[str, Verbatim], AfterValidator(_check_headers)]


class RestApi(Extract):
    """A JSON API over HTTP."""

    schema_patterns: ClassVar[Mapping[str, Sequence[str]]] = {"timeout": (SOME_TIME, NOT_TOO_LONG)}
    schema_rules: ClassVar[Sequence[dict[str, Any]]] = (
        {
            "properties": {
                "headers": {
                    "propertyNames": {"pattern": rf"^(?!({SECRET})$)"},
                    "additionalProperties": {"pattern": NO_TEMPLATE},
                }
            }
        },
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
    paginator: Paginator = Field(
        SinglePage(type="single_page"),
        description="How to find the next page.",
        examples=[{"type": "cursor", "cursor_path": "next"}],
    )
    rate_limit: RequestRate | None = Field(
        None,
        description="Maximum request rate, shared by all tables and runs that use the connection on one machine.",
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
    incomplete: Literal["fail", "warn"] = Field(
        "fail",
        description=(
            "What to do when pages end although the response says there are more (has_more, a total, a next link): "
            "fail the task, or load what was read and log a warning."
        ),
        examples=["warn"],
    )


def _check_param(value: str | float) -> str | float:
    return check_template(value) if isinstance(value, str) else value


def _check_endpoint(value: str) -> str:
    if "://" in value:
        hint = "write only the path, like /v1/flights; the connection holds the rest"
        raise MistakeError("expected a path, got a full URL", hint)
    raise_found(secrets.in_path(value))
    return check_template(value)


def _check_params(value: dict[str, Any]) -> dict[str, Any]:
    raise_found(secrets.in_params(value))
    return value


Endpoint = Annotated[str, AfterValidator(_check_endpoint)]


Param = Annotated[Scalar, AfterValidator(_check_param)]


Params = Annotated[dict[str, Param], AfterValidator(_check_params)]


class RestTable(Table):
    """A table read from one endpoint of a JSON API."""

    schema_patterns: ClassVar[Mapping[str, Sequence[str]]] = {
        "path": (NO_ADDRESS, KNOWN_TEMPLATES),
        "records": (NO_TEMPLATE,),
    }
    schema_rules: ClassVar[Sequence[dict[str, Any]]] = (
        {"properties": {"params": {"additionalProperties": {"pattern": KNOWN_TEMPLATES}}}},
    )

    path: Endpoint = Field(description="Endpoint path, relative to the connection's address.", examples=["/v1/flights"])
    params: Params = Field(
        {},
        description="Query parameters. Secrets are refused.",
        examples=[{"since": "{{ window.start }}", "limit": 1000}],
    )
    records: Text | None = Field(
        None,
        description="Path of the list of records in the response. By default, the response itself is the list.",
        examples=["data.items"],
    )

    @property
    def templates(self) -> Mapping[Path, Sequence[Use]]:
        """The templates in each of the table's texts, by the text's path below the table."""
        texts = {name: text for name, text in self.params.items() if isinstance(text, str)}
        return {("path",): [*uses(self.path)], **{("params", name): [*uses(text)] for name, text in texts.items()}}

    @model_validator(mode="after")
    def _asks_for_what_it_appends(self) -> Self:
        # an API that is not asked for the window sends everything, and a window's load replaces that window's rows only
        if self.incremental and self.write_disposition == "append" and not (self.takes_window or self.counts_on):
            raise MistakeError(
                "every run would append all rows again: the request does not depend on the window",
                'add the window to params:, as in since: "{{ window.start }}", or use write_disposition: merge',
                at=("incremental", KEY),
                code="conflict",
            )
        if self.counts_on and self.write_disposition == "append":
            raise MistakeError(
                "append with a cursor is not repeatable: running again would append the same records twice",
                "use write_disposition: merge with a primary_key",
                at=("write_disposition",),
                code="conflict",
            )
        return self


class RestSource(Source):
    """Tables from a JSON API."""

    extract: RestApi = Field(
        description="How to read the source.", examples=[{"type": "rest_api", "connection": "flights_api"}]
    )
    tables: dict[Name, RestTable] = Field(
        min_length=1, description="Tables to load.", examples=[{"flights": {"path": "/v1/flights"}}]
    )
