"""The language of functions as sources: `extract:` and what its tables add."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from elt_factory.config.errors import MistakeError, raise_found, shown
from elt_factory.config.models import secrets
from elt_factory.config.models.source import Extract, Source
from elt_factory.config.models.table import Table
from elt_factory.config.models.values import ConnectionId, Name, ParamName

_FUNCTION = r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$"


def _check_arguments(value: dict[str, Any]) -> dict[str, Any]:
    raise_found(secrets.in_params(value))
    return value


def _check_function(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch(_FUNCTION, value):
        hint = 'write the module, a colon and the function, like "include.shop.orders:read"'
        raise MistakeError(f"{shown(value)} names no function", hint)
    return value


Function = Annotated[str, BeforeValidator(_check_function), WithJsonSchema({"type": "string", "pattern": _FUNCTION})]
Arguments = Annotated[dict[ParamName, Any], AfterValidator(_check_arguments)]


class Python(Extract):
    """Functions in Python that yield Arrow, polars, pandas, dicts or NDJSON. They run in the task's process."""

    type: Literal["python"]
    connection: ConnectionId | None = Field(
        None, description="Airflow connection that the functions are given.", examples=["shop_api"]
    )


class PythonTable(Table):
    """A table from one function."""

    schema_rules: ClassVar[Sequence[dict[str, Any]]] = (
        {
            "not": {
                "required": ["write_disposition", "sync"],
                "properties": {"write_disposition": {"const": "append"}, "sync": {"const": "full"}},
            }
        },
    )
    function: Function = Field(
        description="The function: module:function. The module is in the project's folder, or installed.",
        examples=["include.shop.orders:read"],
    )
    arguments: Arguments = Field(
        {}, description="Arguments that the function is given by their names.", examples=[{"region": "EMEA"}]
    )
    sync: Literal["window", "state", "full"] = Field(
        "window",
        description=(
            "What the function yields: the rows of the run's window; what has changed since the state that it left in "
            "the load before (the state is committed with the rows); or everything there is."
        ),
        examples=["full"],
    )

    @property
    def keeps_token(self) -> bool:
        """Whether a load begins with the state that the function left in the load before it."""
        return self.sync == "state"

    @model_validator(mode="after")
    def _never_twice(self) -> Self:
        if self.sync == "full" and self.write_disposition == "append":
            raise MistakeError(
                "every load would append everything again",
                "write write_disposition: replace, or merge with a primary_key",
                at=("write_disposition",),
                code="conflict",
            )
        return self


class PythonSource(Source):
    """Tables from functions."""

    extract: Python = Field(description="How to read the source.", examples=[{"type": "python"}])
    tables: dict[Name, PythonTable] = Field(
        min_length=1,
        description="Tables to load.",
        examples=[{"orders": {"function": "include.shop.orders:read", "primary_key": ["id"]}}],
    )
