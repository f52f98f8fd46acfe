"""A look at a connector for `elt new`: its streams as it describes them itself, without a record of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from elt_factory.config.errors import near_name
from elt_factory.config.models.values import ColumnType
from elt_factory.core.failures import BadRequestError
from elt_factory.discover.found import ColumnFound, Guess, KeyFound, SourceFound, TableFound
from elt_factory.discover.periods import sane_name
from elt_factory.discover.pii import why_personal
from elt_factory.discover.table import named_apart
from elt_factory.extract.label import TableLabel
from elt_factory.sources.connectors.declared import text_columns
from elt_factory.sources.connectors.environment import uv_answers
from elt_factory.sources.connectors.known import packages


@dataclass(frozen=True)
class StreamFound:
    """One stream: its name, its JSON schema, its key, and whether it can be read by its changes."""

    name: str
    schema: Mapping[str, Any]
    key: tuple[str, ...]
    changes: bool


def pinned(package: str, label: TableLabel) -> str:
    """Return a package with its version; where none is given, the newest that can be installed.

    Raises:
        BadRequestError: there is no such package.
    """
    return package if "==" in package else resolved(package, label)


def resolved(package: str, label: TableLabel) -> str:
    """Return a package with the version that can be installed: the newest, or the one that is asked for.

    Raises:
        BadRequestError: there is no such package, or no such version.
    """
    asked = ["pip", "compile", "--quiet", "--no-header", "--no-annotate", "--no-deps", "-"]
    near = near_name(package, packages())
    try:
        said = uv_answers(asked, label, package)
    except BadRequestError:
        if package in packages() or not near.startswith("did you mean"):
            raise
        raise label.error(BadRequestError, f"no package {package} can be installed", near) from None
    for line in said.splitlines():
        name, _, version = line.partition("==")
        if version:
            return f"{name}=={version.split()[0]}"
    raise label.error(BadRequestError, f"no version of {package} can be installed", near)


def source_found(extract: Mapping[str, Any], streams: Sequence[StreamFound], connection: str | None) -> SourceFound:
    """Return a config of a connector with all of its streams."""
    lines = {key: Guess(json.dumps(value) if key != "type" else value, "") for key, value in extract.items()}
    if connection:
        lines["connection"] = Guess(connection, "an Airflow connection holds its settings, in the extra")
    tables = [_table(stream) for stream in streams]
    return SourceFound(lines, named_apart(tables, "stream", "name in the connector"))


def _table(stream: StreamFound) -> TableFound:
    plain = sane_name(stream.name) or "records"
    changes = stream.changes and bool(stream.key)
    sync = {"sync": Guess("incremental", "the connector can send what has changed")} if changes else {}
    key = KeyFound(stream.key, "key that the connector names") if stream.key else None
    merges = Guess("merge", "has a key: records read again replace their earlier versions")
    whole = Guess("replace", "every run reads the whole stream")
    return TableFound(
        name=plain,
        rows=None,
        changes="its state" if changes else "",
        columns=_columns(stream, plain),
        seen="described by the connector; no record was read",
        lines=sync,
        key=key,
        disposition=merges if changes else whole,
        origin=stream.name,
    )


def _columns(stream: StreamFound, table: str) -> list[ColumnFound]:
    properties = stream.schema.get("properties")
    texts: Mapping[str, ColumnType] = text_columns(stream.schema)
    names = [str(name) for name in properties] if isinstance(properties, Mapping) else []
    columns = [ColumnFound(name, texts.get(name), why_personal(name, [], table)) for name in names]
    # of others nothing is known that the contract would not find
    return [column for column in columns if column.type or column.pii]
