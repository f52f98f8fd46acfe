"""The language of dlt sources: `extract:` and what its tables add."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from elt_factory.config.errors import KEY, MistakeError, shown
from elt_factory.config.models.schema_patterns import any_of, not_both
from elt_factory.config.models.source import Source
from elt_factory.config.models.values import Name
from elt_factory.sources.connectors.model import Connector, ConnectorTable, Settings

_SOURCE = r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*(:[A-Za-z_][A-Za-z0-9_]*)?$"


def _check_source(value: str) -> str:
    import re

    if not re.fullmatch(_SOURCE, value):
        raise MistakeError(f"{shown(value)} is not a module and a source", "write it like github:github_reactions")
    return value


def _check_folder(value: str) -> str:
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts or "://" in value:
        hint = "write a folder below the project, like dlt"
        raise MistakeError(f"{shown(value)} is not a folder of the project", hint, code="bad-path")
    return value


SourceName = Annotated[str, AfterValidator(_check_source), WithJsonSchema({"type": "string", "pattern": _SOURCE})]
Folder = Annotated[str, Field(min_length=1), AfterValidator(_check_folder)]


class Dlt(Connector):
    """A dlt source (`elt-factory[connectors]`), run in an environment of its own."""

    schema_rules: ClassVar[Sequence[dict[str, Any]]] = (
        not_both("source", "rest_api"),
        any_of("source", "rest_api"),
        {"dependencies": {"arguments": ["source"]}},
    )

    type: Literal["dlt"]
    source: SourceName | None = Field(
        None,
        description=(
            "Module and name of a source, a resource or a function that returns one; a module alone where it has one "
            "source. It is in `folder`, or in a package of `requirements`."
        ),
        examples=["github:github_reactions"],
    )
    rest_api: Settings | None = Field(
        None,
        description="Configuration of dlt's own REST API source, instead of `source`.",
        examples=[{"client": {"base_url": "https://api.example.com/"}, "resources": ["posts"]}],
    )
    arguments: Settings = Field(
        {},
        description="Arguments of the source that are not secret. `arguments` in the connection's extra come before.",
        examples=[{"owner": "apache"}],
    )
    folder: Folder = Field(
        "dlt",
        description="Folder of the project with the modules of sources, as `dlt init` writes them, and their `.dlt`.",
        examples=["dlt", "pipelines"],
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.source is None) == (self.rest_api is None):
            at = ("rest_api", KEY) if self.source else ()
            message, hint = "a dlt source needs source or rest_api, and not both", "write source: module:name"
            raise MistakeError(message, hint, at=at, code="incomplete")
        if self.arguments and self.rest_api is not None:
            hint = "remove arguments"
            raise MistakeError("rest_api takes no arguments", hint, at=("arguments", KEY), code="conflict")
        return self


class DltTable(ConnectorTable):
    """A table from one resource of a dlt source; `stream` is its name."""


class DltSource(Source):
    """Tables from a dlt source."""

    extract: Dlt = Field(
        description="How to read the source.",
        examples=[{"type": "dlt", "package": "dlt==1.31.0", "source": "github:github_reactions"}],
    )
    tables: dict[Name, DltTable] = Field(
        min_length=1,
        description="Tables to load.",
        examples=[{"issues": {"primary_key": ["id"], "write_disposition": "merge", "sync": "incremental"}}],
    )
