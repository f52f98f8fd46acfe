"""Partitions of a manifest as `for_each`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from elt_factory.importing.manifest.saying import Settings, UnsaidError, inside
from elt_factory.importing.manifest.tree import Node

EACH = "each"


@dataclass
class Partitions:
    """What a stream is asked for each of.

    Args:
        for_each: The key of the table; None where it is asked once.
        names: What templates call each partition, by the manifest's name of it.
        sent: Request options, each with the template that it carries.
        flattened: Columns that a parent's table needs besides its own: the table, the column, its path.
    """

    for_each: Any = None
    names: dict[str, str] = field(default_factory=dict)
    sent: list[tuple[Node, str]] = field(default_factory=list)
    flattened: list[tuple[str, str, str]] = field(default_factory=list)


def partitions_of(routers: Any, table_of: Callable[[Node], str], settings: Settings) -> Partitions:
    """Return the partitions of a stream.

    Args:
        routers: The partition router, or a list of them.
        table_of: Returns the table of a parent stream.
        settings: The connector's settings.

    Raises:
        UnsaidError: one is code of its own, or of a kind that no config says.
    """
    found = routers if isinstance(routers, list) else [routers] if routers else []
    made = Partitions()
    if not found:
        return made
    kinds = {_kind(router) for router in found}
    if kinds == {"ListPartitionRouter"}:
        made.for_each = {}
        for router in found:
            name = _plain(router["cursor_field"])
            made.for_each[name] = _values(router, settings)
            _send(made, router.get("request_option"), router["cursor_field"], name)
        return made
    if kinds == {"SubstreamPartitionRouter"} and len(found) == 1 and len(found[0]["parent_stream_configs"]) == 1:
        parent = found[0]["parent_stream_configs"][0]
        table, column = _parent(parent, made, table_of)
        made.for_each = table
        _send(made, parent.get("request_option"), parent["partition_field"], f"{table}.{column}")
        return made
    if kinds <= {"ListPartitionRouter", "SubstreamPartitionRouter"}:
        return _combined(found, made, table_of, settings)
    raise UnsaidError(
        "partitions by code of its own" if any("Custom" in kind for kind in kinds) else f"partitions: {kinds}"
    )


def _kind(router: Node) -> str:
    known = {"values": "ListPartitionRouter", "parent_stream_configs": "SubstreamPartitionRouter"}
    usual = next((kind for key, kind in known.items() if key in router), "")
    return str(router.get("type") or usual)


def _combined(found: list[Node], made: Partitions, table_of: Callable[[Node], str], settings: Settings) -> Partitions:
    """Several routers are all of their combinations: a query over what the run has landed."""
    of, columns, sources = [], [], []
    for number, router in enumerate(found):
        if _kind(router) == "ListPartitionRouter":
            name, values = _plain(router["cursor_field"]), ", ".join(_row(value) for value in _values(router, settings))
            sources.append(f"(values {values}) as v{number}(v)")
            columns.append(f'v{number}.v as "{name}"')
            _send(made, router.get("request_option"), router["cursor_field"], f"{EACH}.{name}")
            continue
        if len(router["parent_stream_configs"]) != 1:
            raise UnsaidError("partitions of several parents in turn")
        parent = router["parent_stream_configs"][0]
        table, column = _parent(parent, made, table_of)
        name = _plain(parent["partition_field"])
        of.append(table)
        sources.append(f'"{table}" as p{number}')
        columns.append(f'p{number}."{column}" as "{name}"')
        _send(made, parent.get("request_option"), parent["partition_field"], f"{EACH}.{name}")
    query = f"select {', '.join(columns)} from {' cross join '.join(sources)}"
    made.for_each = {EACH: {"of": of, "query": query}}
    return made


def _row(value: Any) -> str:
    return "('" + str(value).replace("'", "''") + "')"


def _parent(parent: Node, made: Partitions, table_of: Callable[[Node], str]) -> tuple[str, str]:
    table, key = table_of(parent["stream"]), str(parent["parent_key"])
    if "{{" in key or "*" in key:
        raise UnsaidError("a parent's key that is computed")
    parts = re.split(r"[./]", key)
    column = "_".join(parts)
    if len(parts) > 1:
        made.flattened.append((table, column, ".".join(parts)))
    return table, column


def _send(made: Partitions, option: Any, name: str, value: str) -> None:
    made.names[str(name)] = value
    if isinstance(option, Mapping):
        made.sent.append((option, f"{{{{ {value} }}}}"))


def _values(router: Node, settings: Settings) -> list[Any]:
    values = router.get("values")
    if isinstance(values, list):
        if any("{{" in str(value) for value in values):
            raise UnsaidError("a list of partitions that is computed")
        return [str(value) for value in values]
    name = re.search(r"config(?:\.|\[\s*['\"]|\.get\(\s*['\"])(\w+)", inside(values))
    if name is None:
        raise UnsaidError("a list of partitions that is computed")
    given = settings.example(name[1])
    return [str(one) for one in given] if isinstance(given, list) and given else ["TO BE SET"]


def _plain(name: Any) -> str:
    return re.sub(r"[^a-z0-9]+", "_", str(name).lower()).strip("_") or "value"
