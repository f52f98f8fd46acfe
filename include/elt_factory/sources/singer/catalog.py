"""A tap's catalog: one stream of it chosen, as the tap itself describes it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from elt_factory.config.errors import near_name
from elt_factory.core.failures import BadRequestError
from elt_factory.extract.label import TableLabel
from elt_factory.sources.singer.model import SingerTable

_LEFT = ("unsupported",)


@dataclass(frozen=True)
class Chosen:
    """A catalog in which one stream is chosen, and what the tap calls that stream in its messages."""

    catalog: dict[str, Any]
    stream: str


def choose(found: dict[str, Any], wanted: str, spec: SingerTable, label: TableLabel) -> Chosen:
    """Return the catalog with one stream chosen, with all of its properties that can be.

    Raises:
        BadRequestError: the tap has no such stream.
    """
    streams = [dict(stream) for stream in found["streams"]]
    names = {name: stream for stream in streams for name in _names(stream)}
    if wanted not in names:
        known = sorted({_stream_name(stream) for stream in streams})
        hint = near_name(wanted, known) or f"it has {', '.join(known) or 'none'}"
        raise label.error(BadRequestError, f'the tap has no stream "{wanted}"', hint)
    mine = names[wanted]
    for stream in streams:
        _mark(stream, spec, chosen=stream is mine)
    return Chosen({**found, "streams": streams}, _stream_name(mine))


def _names(stream: dict[str, Any]) -> Iterator[str]:
    yield from (str(stream[key]) for key in ("tap_stream_id", "stream") if stream.get(key))


def _stream_name(stream: dict[str, Any]) -> str:
    return str(stream.get("stream") or stream.get("tap_stream_id"))


def _mark(stream: dict[str, Any], spec: SingerTable, *, chosen: bool) -> None:
    """Say in a stream's metadata whether it is chosen, and how it is read. Old taps look into its schema instead."""
    entries = [{**entry, "metadata": dict(entry.get("metadata") or {})} for entry in stream.get("metadata") or []]
    if not any(not entry.get("breadcrumb") for entry in entries):
        entries.insert(0, {"breadcrumb": [], "metadata": {}})
    for entry in entries:
        about = entry["metadata"]
        if entry.get("breadcrumb"):
            about["selected"] = chosen and about.get("inclusion") not in _LEFT
        else:
            about["selected"] = chosen
            if chosen:
                about |= _replication(stream, about, spec)
    stream["metadata"] = entries
    stream["schema"] = {**stream.get("schema", {}), "selected": chosen}
    if chosen:
        root = next(entry["metadata"] for entry in entries if not entry.get("breadcrumb"))
        stream |= {key.replace("-", "_"): root[key] for key in ("replication-method", "replication-key") if key in root}


def _replication(stream: dict[str, Any], about: dict[str, Any], spec: SingerTable) -> dict[str, Any]:
    """Return how a stream is read: as the tap insists, else as the config says."""
    forced = about.get("forced-replication-method")
    if not spec.keeps_token:
        return {"replication-method": forced or "FULL_TABLE"}
    known = about.get("replication-key") or stream.get("replication_key")
    valid = about.get("valid-replication-keys") or [None]
    key = spec.replication_key or known or valid[0]
    if key:
        return {"replication-method": forced or "INCREMENTAL", "replication-key": key}
    # a tap that keeps its state by other means than a property fails where it is asked for one
    said = about.get("replication-method") or stream.get("replication_method")
    return {"replication-method": forced or said or "INCREMENTAL"}
