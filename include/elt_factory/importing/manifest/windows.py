"""What a manifest reads by changes as windows: parameters, slices, lag, cursor."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from elt_factory.importing.manifest.saying import Scope, UnsaidError, time_filter
from elt_factory.importing.manifest.tree import Node

_DURATION = re.compile(r"P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")
_SECONDS = (365 * 86_400, 30 * 86_400, 7 * 86_400, 86_400, 3600, 60, 1)
_UNITS = (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))


@dataclass(frozen=True)
class Windows:
    """What a table says of its windows, and where the ends of one are sent."""

    keys: dict[str, Any] = field(default_factory=dict)
    sent: tuple[tuple[Node, str], ...] = ()  # a request option, and the template that it carries
    client_side: bool = False
    cursor: str = ""


def time_format(node: Node) -> str:
    """Return how the times of a stream are written in its requests."""
    return str(node.get("datetime_format") or "%Y-%m-%dT%H:%M:%SZ")


def windows_of(node: Node, scope: Scope) -> Windows:
    """Return the windows of an `incremental_sync`.

    Raises:
        UnsaidError: it is code of its own.
    """
    kind = str(node.get("type") or "")
    if not kind:
        return Windows()
    if kind.startswith("Custom"):
        raise UnsaidError("changes by code of its own")
    cursor = scope.text(node.get("cursor_field") or "")
    if "{{" in cursor:
        raise UnsaidError("a cursor whose name is computed")
    if kind == "IncrementingCountCursor":
        option = node.get("start_value_option") or {}
        return Windows(
            {"incremental": {"cursor": cursor, "initial": 0}},
            ((option, "{{ cursor }}"),) if option else (),
            cursor=cursor,
        )
    if kind != "DatetimeBasedCursor":
        raise UnsaidError(f"changes: {kind}")
    form = time_filter(time_format(node))
    ends = (("start_time_option", "start"), ("end_time_option", "end"))
    sent = tuple((node[key], f"{{{{ window.{end}{form} }}}}") for key, end in ends if node.get(key))
    keys: dict[str, Any] = {}
    step = _seconds(str(node.get("step") or ""))
    if step:
        keys["slices"] = duration(step)
    return Windows(keys, sent, bool(node.get("is_client_side_incremental")), cursor)


def lag_of(node: Node) -> str | None:
    """Return how far before a window is read again; what a setting says is not known, and is left out."""
    seconds = _seconds(str(node.get("lookback_window") or ""))
    return duration(seconds) if seconds else None


def duration(seconds: int) -> str:
    """Return a duration in the largest unit that has it whole."""
    return next(f"{seconds // size}{unit}" for unit, size in _UNITS if seconds % size == 0)


def _seconds(text: str) -> int:
    found = _DURATION.fullmatch(text)
    parts = found.groups() if found else ()
    return sum(int(part) * size for part, size in zip(parts, _SECONDS, strict=False) if part)
