"""The language of JSON APIs: how the next page is found."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from elt_factory.config.models.base import Model
from elt_factory.config.models.values import Text, Whole

_MAX_PAGES = 100_000


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


Paginator = Annotated[
    SinglePage | CursorPaginator | JsonLinkPaginator | HeaderLinkPaginator | OffsetPaginator | PageNumberPaginator,
    Field(discriminator="type"),
]
