"""The language of JSON APIs: how credentials are sent."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from elt_factory.config.models.base import Model
from elt_factory.config.models.values import Text


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


Auth = Annotated[ApiKeyAuth | BearerAuth | BasicAuth | NoAuth, Field(discriminator="type")]
