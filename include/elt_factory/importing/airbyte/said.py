"""What exports of Airbyte say of a connection, whichever tool has written them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from elt_factory.sources.connectors.known import AIRBYTE_PREFIX, packages

Node = Mapping[str, Any]
# the key of all settings, where the export has none of them
WHOLE = ""
_CAMEL = re.compile(r"_([a-z0-9])")
# the public API and Terraform have one word for how a stream is read and how it is written
_MODES = {
    "full_refresh_overwrite": ("full_refresh", "overwrite"),
    "full_refresh_overwrite_deduped": ("full_refresh", "overwrite_dedup"),
    "full_refresh_append": ("full_refresh", "append"),
    "incremental_append": ("incremental", "append"),
    "incremental_deduped_history": ("incremental", "append_dedup"),
    "full_refresh": ("full_refresh", "overwrite"),
    "incremental": ("incremental", "append_dedup"),
}


@dataclass(frozen=True)
class Computed:
    """A value that the export does not have: what is written in its place."""

    text: str


@dataclass(frozen=True)
class SourceSaid:
    """A source: its name, its connector such as source-github, the version that ran, its settings and its id."""

    name: str
    connector: str | None
    version: str | None = None
    settings: Node = field(default_factory=dict)
    id: str = ""


@dataclass(frozen=True)
class StreamSaid:
    """A stream of a connection, as it was read and written.

    `own_cursor` is a cursor that the connector chooses, `unsaid` why the stream is not known. `hashed` are columns that
    did not come in plain text, `changed` the other mappers.
    """

    name: str
    namespace: str | None = None
    reads: str = "full_refresh"
    writes: str = "overwrite"
    cursor: tuple[str, ...] = ()
    own_cursor: bool = False
    key: tuple[tuple[str, ...], ...] = ()
    selected: bool = True
    fields: tuple[str, ...] | None = None
    columns: tuple[str, ...] = ()
    unsaid: str = ""
    hashed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()


@dataclass(frozen=True)
class ConnectionSaid:
    """A connection. `streams` is None where the export does not name them; `state` is its place, where it has that.

    `unread` has the files that could not be read, with the reason.
    """

    name: str
    source: SourceSaid
    streams: Sequence[StreamSaid] | None
    schedule: Any = None
    about: Node = field(default_factory=dict)
    state: Any = None
    unread: Mapping[str, str] = field(default_factory=dict)


def pick(node: Any, *names: str) -> Any:
    """Return the first of some values, whose names may be written with _ or with capitals."""
    for name in names:
        for written in (name, _CAMEL.sub(lambda found: found[1].upper(), name)):
            if isinstance(node, Mapping) and node.get(written) is not None:
                return node[written]
    return None


def streams_of(about: Node) -> list[StreamSaid] | None:
    """Return the streams of a connection; None where it does not name them."""
    given = pick(pick(about, "sync_catalog", "configurations"), "streams")
    listed = [given] if isinstance(given, Mapping) else given
    if not isinstance(listed, list) or not listed:
        return None
    return [_stream(number, one) for number, one in enumerate(listed, 1)]


def _stream(number: int, given: Any) -> StreamSaid:
    if not isinstance(given, Mapping):
        said = computed_in(given)
        return StreamSaid(f"stream {number}", unsaid=f"it is {said}" if said else "it is not a stream")
    about = pick(given, "stream") or given
    config = pick(given, "config") or given
    name = pick(about, "name")
    odd = {key: text for one in (about, config) for key in _SAYS if (text := computed_in(pick(one, key)))}
    if odd:
        called = name if isinstance(name, str) else f"stream {number}"
        return StreamSaid(called, unsaid=", ".join(f"its {key} is {text}" for key, text in odd.items()))
    mode = str(pick(config, "sync_mode") or "full_refresh")
    reads, writes = _MODES.get(mode, (mode, ""))
    schema = pick(about, "json_schema")
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    return StreamSaid(
        name=str(name or ""),
        namespace=_text(pick(about, "namespace")),
        reads=reads,
        writes=str(pick(config, "destination_sync_mode") or writes),
        cursor=_path(pick(config, "cursor_field")),
        own_cursor=pick(about, "source_defined_cursor") is True,
        key=_key(pick(config, "primary_key")) or _key(pick(about, "source_defined_primary_key")),
        selected=pick(config, "selected") is not False,
        fields=_fields(config),
        columns=tuple(properties) if isinstance(properties, Mapping) else (),
        hashed=_hashed(config),
        changed=tuple(kind for kind, _ in _mappers(config) if kind != "hashing"),
    )


_SAYS = (
    "name", "namespace", "sync_mode", "destination_sync_mode", "cursor_field", "primary_key", "selected",
    "selected_fields", "source_defined_primary_key", "source_defined_cursor",
)  # fmt: skip


def computed_in(value: Any) -> str:
    """Return what a value, or one in it, is computed of; empty where it is known."""
    if isinstance(value, Computed):
        return value.text
    below = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return next((text for one in below if (text := computed_in(one))), "")


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _path(value: Any) -> tuple[str, ...]:
    listed = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    return tuple(str(one) for one in listed if isinstance(one, str) and one)


def _key(value: Any) -> tuple[tuple[str, ...], ...]:
    return tuple(path for one in (value if isinstance(value, list) else []) if (path := _path(one)))


def _fields(config: Node) -> tuple[str, ...] | None:
    """Return the columns that were chosen; None where all were."""
    given = pick(config, "selected_fields")
    if not isinstance(given, list) or not given or pick(config, "field_selection_enabled") is False:
        return None
    return tuple(path[0] for one in given if (path := _path(pick(one, "field_path"))))


def _hashed(config: Node) -> tuple[str, ...]:
    """Return the columns that were hashed or encrypted."""
    given = pick(config, "hashed_fields")
    listed = [path[0] for one in (given if isinstance(given, list) else []) if (path := _path(pick(one, "field_path")))]
    listed += [name for kind, name in _mappers(config) if kind in ("hashing", "encryption") and name]
    return tuple(dict.fromkeys(listed))


def _mappers(config: Node) -> list[tuple[str, str]]:
    """Return what changed the records on their way, each with the column that it was for."""
    given = pick(config, "mappers")
    found = [one for one in (given if isinstance(given, list) else []) if isinstance(one, Mapping)]
    settings = [pick(one, "mapper_configuration") for one in found]
    inside = [one if isinstance(one, Mapping) else {} for one in settings]
    # Terraform has the settings of each kind under its name
    plain = [next((x for x in below.values() if isinstance(x, Mapping)), below) for below in inside]
    names = [_text(pick(one, "target_field", "original_field_name", "field_name")) or "" for one in plain]
    return [(str(pick(one, "type") or "mapper"), name) for one, name in zip(found, names, strict=True)]


def connector_named(label: Any) -> str | None:
    """Return the connector with a name or label that people see, such as GitHub or File (CSV, JSON)."""
    plain = re.sub(r"[^a-z0-9]+", "-", (label if isinstance(label, str) else "").partition("(")[0].casefold()).strip(
        "-"
    )
    plain = plain.removeprefix("airbyte-").removeprefix("source-")
    return f"source-{plain}" if plain and is_known(f"source-{plain}") else None


def is_known(connector: str) -> bool:
    """Whether there is a package of a connector, or a database of its own kind is read instead."""
    return f"{AIRBYTE_PREFIX}{connector.removeprefix('source-')}" in packages() or connector in DATABASES


# their connectors are not Python packages: ELT Factory reads such databases itself
DATABASES = {
    "source-postgres": "postgres",
    "source-mysql": "mysql",
    "source-mssql": "mssql",
    "source-oracle": "oracle",
    "source-snowflake": "snowflake",
}


def mappings_in(node: Any) -> Iterator[Node]:
    """Yield all mappings in a value, however deep, those above first."""
    if isinstance(node, Mapping):
        yield node
        for below in node.values():
            yield from mappings_in(below)
    elif isinstance(node, list):
        for below in node:
            yield from mappings_in(below)
