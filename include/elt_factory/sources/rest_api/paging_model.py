"""The language of JSON APIs: how the next page is found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from elt_factory.config.errors import KEY, MistakeError
from elt_factory.config.models.base import Model
from elt_factory.config.models.schema_patterns import not_both
from elt_factory.config.models.values import Text, Whole

_MAX_PAGES = 100_000
Status = Annotated[Whole, Field(ge=300, le=599)]


class SinglePage(Model):
    """All records come in one response."""

    type: Literal["single_page"]


class Paged(Model):
    """What every way to the next page may say of the end."""

    schema_rules: ClassVar[Sequence[dict[str, Any]]] = (not_both("more", "last"),)

    more: Text | None = Field(
        None,
        description="Path in the response of true or false: whether more pages follow. Without it, see `total`.",
        examples=["has_more"],
    )
    last: Text | None = Field(
        None,
        description="Path in the response of true or false: whether it is the last page. The opposite of `more`.",
        examples=["end_of_stream"],
    )
    total: Text | None = Field(
        None,
        description="Path in the response of the number of all records. Pages end there; fewer records are an error.",
        examples=["meta.total"],
    )
    total_pages: Text | None = Field(
        None,
        description="Path in the response of the number of all pages. Pages end there; fewer are an error.",
        examples=["meta.pages"],
    )
    past_last: tuple[Status, ...] = Field(
        (), description="Statuses by which the API answers a page past the last one.", examples=[[400, 404]]
    )
    max_pages: Whole = Field(
        _MAX_PAGES, gt=0, description="Maximum pages per load; more are an error.", examples=[1_000_000]
    )

    @model_validator(mode="after")
    def _one_sign(self) -> Self:
        if self.more and self.last:
            message = "more and last exclude each other"
            raise MistakeError(message, "keep one of them", at=("last", KEY), code="conflict")
        return self


class Sent(Paged):
    """What every paginator may say that sends a value for the next page."""

    place: Literal["query", "body"] | None = Field(
        None,
        alias="in",
        description=(
            "Where the value is sent: as a query parameter, or in the body (a name with dots is a path in it). "
            "By default, body (its `variables`) with `graphql`, else query."
        ),
        examples=["body"],
    )


class CursorPaginator(Sent):
    """The response holds a cursor that the next request sends back; without one, pages end."""

    cursors: ClassVar[tuple[str, ...]] = ("cursor_path", "cursor_header", "cursor_record")
    schema_rules: ClassVar[Sequence[dict[str, Any]]] = (not_both("more", "last"), not_both(*cursors))

    type: Literal["cursor"]
    cursor_path: Text = Field("next", description="Path of the cursor in the response.", examples=["meta.next"])
    cursor_header: Text | None = Field(
        None, description="Response header that holds the cursor, instead of cursor_path.", examples=["X-Next-Cursor"]
    )
    cursor_record: Text | None = Field(
        None, description="Path of the cursor in the page's last record, instead of cursor_path.", examples=["id"]
    )
    cursor_param: Text = Field("cursor", description="Parameter that carries the cursor.", examples=["cursor"])

    @model_validator(mode="after")
    def _one_cursor(self) -> Self:
        given = [name for name in self.cursors if name in self.model_fields_set and getattr(self, name)]
        if len(given) > 1:
            message = f"{given[0]} and {given[1]} exclude each other"
            raise MistakeError(message, "keep one of them", at=(given[1], KEY), code="conflict")
        return self


class JsonLinkPaginator(Paged):
    """The response holds the URL of the next page."""

    type: Literal["json_link"]
    next_url_path: Text = Field(
        "next",
        description=(
            "Path of the next page's URL in the response; or of a list of links, of which the one with the relation "
            "(`rel`, `relation`) `next` counts."
        ),
        examples=["links.next", "@odata\\.nextLink"],
    )


class HeaderLinkPaginator(Paged):
    """The `Link` header holds the URL of the next page (RFC 8288)."""

    type: Literal["header_link"]
    rel: Text = Field("next", description="Link relation.", examples=["next"])


class OffsetPaginator(Sent):
    """Pages are requested by offset and limit; an empty page marks the end."""

    type: Literal["offset"]
    limit: Whole = Field(1000, gt=0, description="Records per page.", examples=[500])
    limit_param: Text = Field("limit", description="Parameter for the page size.", examples=["limit"])
    offset_param: Text = Field("offset", description="Parameter for the offset.", examples=["offset"])
    first_offset: Whole = Field(0, ge=0, description="Offset of the first record.", examples=[1])


class PageNumberPaginator(Sent):
    """Pages are requested by number; an empty page marks the end."""

    type: Literal["page_number"]
    page_param: Text = Field("page", description="Parameter for the page number.", examples=["page"])
    first_page: Whole = Field(1, ge=0, description="Number of the first page.", examples=[0])


def is_by_header(paginator: Model | None) -> bool:
    """Whether a response's headers lead to the next page, whatever is in it."""
    return isinstance(paginator, HeaderLinkPaginator) or (
        isinstance(paginator, CursorPaginator) and paginator.cursor_header is not None
    )


Paginator = Annotated[
    SinglePage | CursorPaginator | JsonLinkPaginator | HeaderLinkPaginator | OffsetPaginator | PageNumberPaginator,
    Field(discriminator="type"),
]
