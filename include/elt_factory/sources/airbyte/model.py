"""The language of Airbyte connectors: `extract:` and what its tables add."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from elt_factory.config.errors import KEY, MistakeError, raise_found, shown
from elt_factory.config.models.schema_patterns import BELOW, any_of, not_both
from elt_factory.config.models.source import Source
from elt_factory.config.models.values import Name, Text
from elt_factory.sources.connectors.model import CommandConnector, ConnectorTable, Package, Settings

_PREFIX = "airbyte-"
INJECTED = "__injected_"  # begins the settings by which airbyte-cdk takes manifests and code


_VERSION = r"^[0-9][A-Za-z0-9.!+_-]*$"
_CDK = "7.39.1"
_COMMAND = "source-declarative-manifest"


def _check_version(value: object) -> object:
    if not isinstance(value, str) or not re.fullmatch(_VERSION, value):
        raise MistakeError(f"{shown(value)} is not a version of airbyte-cdk", f'write one like "{_CDK}", in quotes')
    return value


def _check_manifest(value: str) -> str:
    if not re.match(BELOW, value):
        hint = "write a file below the project, like connectors/shop.yaml"
        raise MistakeError(f"{shown(value)} is not a file of the project", hint, code="bad-path")
    return value


def _check_settings(value: dict[str, Any]) -> dict[str, Any]:
    raise_found(
        MistakeError(f'"{key}" is not a setting', "write manifest: with a file", at=(key, KEY))
        for key in value
        if str(key).startswith(INJECTED)
    )
    return value


Version = Annotated[str, BeforeValidator(_check_version), WithJsonSchema({"type": "string", "pattern": _VERSION})]
ManifestFile = Annotated[
    str, AfterValidator(_check_manifest), WithJsonSchema({"type": "string", "minLength": 1, "pattern": BELOW})
]


class Airbyte(CommandConnector):
    """An Airbyte source connector, from a Python package or a low-code manifest (`elt-factory[connectors]`).

    It runs in an environment of its own.
    """

    schema_rules: ClassVar[Sequence[dict[str, Any]]] = (
        not_both("package", "manifest"),
        any_of("package", "manifest"),
        not_both("executable", "manifest"),
        {"dependencies": {"cdk": ["manifest"]}},
        {"properties": {"config": {"propertyNames": {"not": {"pattern": f"^{INJECTED}"}}}}},
    )

    type: Literal["airbyte"]
    # a manifest needs none of its own
    package: Package | None = Field(  # type: ignore[assignment]
        None,
        description=(
            "Package of the connector with its version, or a tag or commit of its repository. It is installed into an "
            "environment of its own."
        ),
        examples=["airbyte-source-faker==6.2.21"],
    )
    manifest: ManifestFile | None = Field(
        None,
        description=(
            "Low-code manifest instead of `package`: a file of the project, which airbyte-cdk runs. It has no custom "
            "Python components."
        ),
        examples=["connectors/shop.yaml"],
    )
    cdk: Version = Field(_CDK, description="Version of airbyte-cdk, which runs the manifest.", examples=["7.39.1"])
    config: Annotated[Settings, AfterValidator(_check_settings)] = Field(
        {},
        description="Settings of the connector that are not secret. Those of the connection's extra come before them.",
        examples=[{"start_date": "2013-01-01T00:00:00Z"}],
    )

    @property
    def installed(self) -> str:
        """The package that is installed, with its version."""
        return self.package or f"airbyte-cdk=={self.cdk}"

    @property
    def title(self) -> str:
        """What is run, for people."""
        return f"{self.manifest} by {self.installed}" if self.manifest else self.installed

    @property
    def command(self) -> str:
        """The name of the command."""
        return _COMMAND if self.manifest else self.executable or self.package_name.removeprefix(_PREFIX)

    @model_validator(mode="after")
    def _one_connector(self) -> Self:
        if (self.package is None) == (self.manifest is None):
            at = ("manifest", KEY) if self.package else ()
            message, hint = "an Airbyte source needs package or manifest, and not both", "write one of them"
            raise MistakeError(message, hint, at=at, code="incomplete")
        if self.manifest and self.executable:
            message = "a manifest has no executable: airbyte-cdk runs it"
            raise MistakeError(message, "remove executable", at=("executable", KEY), code="conflict")
        if self.package and "cdk" in self.model_fields_set:
            message = "cdk is the version of what runs a manifest, and a package has its own"
            raise MistakeError(message, "remove cdk", at=("cdk", KEY), code="conflict")
        return self


class AirbyteTable(ConnectorTable):
    """A table from one stream of a connector."""

    namespace: Text | None = Field(
        None, description="Namespace of the stream, where the connector has several of its name.", examples=["public"]
    )
    cursor_field: Text | None = Field(
        None,
        description="Field by which the connector finds changes, where it lets one choose. By default, its own.",
        examples=["updated_at"],
    )


class AirbyteSource(Source):
    """Tables from an Airbyte connector."""

    extract: Airbyte = Field(
        description="How to read the source.", examples=[{"type": "airbyte", "package": "airbyte-source-faker==6.2.21"}]
    )
    tables: dict[Name, AirbyteTable] = Field(
        min_length=1,
        description="Tables to load.",
        examples=[{"users": {"primary_key": ["id"], "write_disposition": "merge", "sync": "incremental"}}],
    )
