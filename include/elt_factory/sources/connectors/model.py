"""The language that connectors share: their package, their settings, their streams."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from elt_factory.config.errors import KEY, MistakeError, raise_found, shown
from elt_factory.config.models import secrets
from elt_factory.config.models.durations import PositiveDuration
from elt_factory.config.models.source import Extract
from elt_factory.config.models.table import Path, Table
from elt_factory.config.models.values import ConnectionId, Text, Whole

_NAMED = r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[A-Za-z0-9,._-]+\])?"
# of a repository a tag or a commit is a version
_PACKAGE = (
    rf"^{_NAMED}(==[A-Za-z0-9][A-Za-z0-9.!+_-]*| @ git\+https://[A-Za-z0-9.-]+/[A-Za-z0-9._/-]+@[A-Za-z0-9._/+-]+)$"
)
_REQUIREMENT = r"^[A-Za-z0-9][A-Za-z0-9._-]*(\[[A-Za-z0-9,._-]+\])?\s*[=<>!~]=?.+$"
_PYTHON = r"^3\.[0-9]{1,2}$"
_WHERE_INSTEAD = "put the secret into the extra of the Airflow connection, under the same key"


def _check_config(value: Any) -> Any:
    raise_found(_secrets_in(value))
    return value


def _secrets_in(value: object, name: str = "", at: Path = ()) -> Iterator[MistakeError]:
    if isinstance(value, dict):
        # a header may be a key of a mapping, or a pair of name and value in a list
        named = secrets.named_in(value)
        for key, inner in value.items():
            yield from _secrets_in(inner, named if key == "value" and named else str(key), (*at, key))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _secrets_in(inner, name, (*at, place))
    elif secrets.is_secret(name, value):
        yield MistakeError(f'"{name}" contains a secret', _WHERE_INSTEAD, at=at, code="secret")


def _check_package(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch(_PACKAGE, value):
        hint = f'write its version too, like "{re.split("[^A-Za-z0-9._-]", value)[0] or "tap-github"}==1.2.3"'
        raise MistakeError(f"{shown(value)} is not one version of a package", hint)
    return value


def _check_requirement(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch(_REQUIREMENT, value):
        raise MistakeError(f"{shown(value)} is not a package with a version", 'write one like "setuptools<81"')
    return value


def _check_python(value: object) -> object:
    if not isinstance(value, str) or not re.fullmatch(_PYTHON, value):
        raise MistakeError(f"{shown(value)} is not a version of Python", 'write one like "3.12", in quotes')
    return value


def _text(pattern: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern})


def _never(**values: str) -> dict[str, Any]:
    """Return that keys do not have these values together."""
    written = {key: {"const": value} for key, value in values.items()}
    return {"not": {"required": list(values), "properties": written}}


Package = Annotated[str, BeforeValidator(_check_package), _text(_PACKAGE)]
Requirement = Annotated[str, BeforeValidator(_check_requirement), _text(_REQUIREMENT)]
PythonVersion = Annotated[str, BeforeValidator(_check_python), _text(_PYTHON)]
Settings = Annotated[dict[str, Any], AfterValidator(_check_config)]
State = Annotated[dict[str, Any] | list[Any], AfterValidator(_check_config)]


class Connector(Extract):
    """What a connector of others is, and how long it may take."""

    connection: ConnectionId | None = Field(
        None,
        description="Airflow connection whose extra has the connector's settings, its secrets among them.",
        examples=["github_tap"],
    )
    package: Package = Field(
        description=(
            "Package of the connector with its version, or a tag or commit of its repository. It is installed into an "
            "environment of its own."
        ),
        examples=["tap-github==2.1.0", "tap-slack @ git+https://github.com/MeltanoLabs/tap-slack.git@0.2.0"],
    )
    requirements: tuple[Requirement, ...] = Field(
        (),
        description="Other packages for that environment, each with a version, where the connector does not name them.",
        examples=[["setuptools<81"]],
    )
    python: PythonVersion | None = Field(
        None, description="Python version of its environment. By default, that of the worker.", examples=["3.11"]
    )
    config: Settings = Field(
        {},
        description="Settings of the connector that are not secret. Those of the connection's extra come before them.",
        examples=[{"start_date": "2013-01-01T00:00:00Z"}],
    )
    timeout: PositiveDuration = Field(
        "6h", validate_default=True, description="Maximum time for reading one table.", examples=["1h"]
    )
    silence: PositiveDuration = Field(
        "30m",
        validate_default=True,
        description="Maximum time without a line from the connector, after which it is ended and retried.",
        examples=["10m"],
    )
    memory_mb: Whole = Field(
        4096,
        ge=64,
        description="Maximum memory of the connector with all it starts, in MB.",
        examples=[1024],
    )
    output_mb: Whole = Field(
        65536,
        ge=1,
        description="Maximum output of the connector for one table, in MB: records and all else that it prints.",
        examples=[4096],
    )

    @property
    def installed(self) -> str:
        """The package that is installed, with its version."""
        return self.package

    @property
    def title(self) -> str:
        """What is run, for people."""
        return self.installed

    @property
    def package_name(self) -> str:
        """The package without extras and version."""
        return re.split(r"[\[= ]", self.installed)[0]


class CommandConnector(Connector):
    """A connector whose package has a command."""

    executable: Text | None = Field(
        None, description="Command of the connector. By default, it follows from the package.", examples=["tap-github"]
    )


class ConnectorTable(Table):
    """A table from one stream of a connector."""

    schema_rules: ClassVar[Sequence[dict[str, Any]]] = (
        _never(write_disposition="append"),
        _never(write_disposition="replace", sync="incremental"),
        {"dependencies": {"initial_state": ["sync"]}},
    )
    stream: Text | None = Field(
        None, description="Name of the stream. By default, the same name as here.", examples=["pull_requests"]
    )
    sync: Literal["full", "incremental"] = Field(
        "full",
        description=(
            "full reads the whole stream with every load. incremental hands the connector the state that it gave to "
            "the load before; the state is committed with the rows."
        ),
        examples=["incremental"],
    )
    initial_state: State | None = Field(
        None,
        description=(
            "State that the first load with `sync: incremental` begins with, in the connector's own words: what came "
            "before it is not read. `elt import` writes that of another tool here."
        ),
        examples=[{"bookmarks": {"users": {"replication_key_value": "2024-01-31T00:00:00Z"}}}],
    )

    @property
    def keeps_token(self) -> bool:
        """Whether a load begins with the state that the connector gave to the load before it."""
        return self.sync == "incremental"

    def begins_with(self, token: str | None) -> str | None:
        """Return the state that a load begins with: that of the load before it, else the one that the config has."""
        first = json.dumps(self.initial_state) if self.keeps_token and self.initial_state is not None else None
        return token or first

    def stream_name(self, table: str) -> str:
        """Return the name of the stream of a table."""
        return self.stream or table

    @model_validator(mode="after")
    def _state_is_used(self) -> Self:
        if self.initial_state is not None and not self.keeps_token:
            message = "initial_state needs sync: incremental"
            raise MistakeError(message, "remove it", at=("initial_state", KEY), code="conflict")
        return self

    @model_validator(mode="after")
    def _never_twice(self) -> Self:
        if self.write_disposition == "append":
            whole = "every load would append the whole stream again"
            again = "a connector may send rows again that it has sent before"
            hint = "write write_disposition: merge with a primary_key"
            raise MistakeError(
                again if self.keeps_token else whole,
                hint if self.keeps_token else f"{hint}, or replace",
                at=("write_disposition",),
                code="conflict",
            )
        if self.keeps_token and self.write_disposition == "replace":
            raise MistakeError(
                "replace would leave only what has changed since the last load",
                "write write_disposition: merge with a primary_key, or sync: full",
                at=("write_disposition",),
                code="conflict",
            )
        if self.keeps_token and self.write_disposition == "scd2" and self.incremental is None:
            raise MistakeError(
                "scd2 without incremental takes each load for a full snapshot, and sync: incremental brings changes",
                "add incremental: {cursor: ...}, or write sync: full",
                at=("sync",),
                code="conflict",
            )
        return self
