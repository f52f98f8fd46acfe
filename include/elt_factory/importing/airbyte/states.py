"""Where an Airbyte connection stopped: the state of each stream, as a connector is handed it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from elt_factory.importing.airbyte.said import Node, mappings_in, pick
from elt_factory.importing.project import NotAProjectError

Stream = tuple[str, str | None]
# before the name of a source, by which PyAirbyte keeps states
OF_SOURCE = "source "


@dataclass
class StateFound:
    """The states of streams by name and namespace; why others were not taken over."""

    streams: dict[Stream, Node] = field(default_factory=dict)
    unsaid: str = ""

    def of(self, name: str, namespace: str | None) -> Node | None:
        """Return the state of a stream; None where there is none."""
        found = self.streams.get((name, namespace))
        if found is None and namespace is None:
            alike = [state for (other, _), state in self.streams.items() if other == name]
            return alike[0] if len(alike) == 1 else None
        return found if found is not None else self.streams.get((name, None))

    def besides(self, streams: Iterable[Stream]) -> list[str]:
        """Return the names of streams that have a state, and are not among those that are given."""
        taken = [self.of(*one) for one in streams]
        left = [one for one, state in self.streams.items() if not any(state is other for other in taken)]
        return [".".join(part for part in (namespace, name) if part) for name, namespace in left]


def state_of(given: Any) -> StateFound:
    """Return the states in a connection's state, as the API, a connector or a cache of PyAirbyte has it."""
    found = StateFound()
    for name, namespace, state in _streams(given):
        if isinstance(state, Mapping) and state:
            found.streams[name, namespace] = state
    kinds = {str(pick(one, "state_type", "type") or "").casefold() for one in mappings_in(given)}
    if "global" in kinds:
        found.streams.clear()
        found.unsaid = "it is one state of all streams, of a log of changes: the first load reads all"
    elif not found.streams and "legacy" in kinds:
        found.unsaid = "it is a state of before streams had their own: the first load reads all"
    return found


def _streams(given: Any) -> Iterator[tuple[str, str | None, Any]]:
    """Yield name, namespace and state of what has a description of a stream."""
    for one in mappings_in(given):
        about = pick(one, "stream_descriptor")
        if isinstance(about, Mapping) and about.get("name"):
            space = about.get("namespace")
            yield str(about["name"]), space if isinstance(space, str) and space else None, pick(one, "stream_state")
        elif isinstance(one.get("state_json"), str):
            try:
                yield from _streams(json.loads(one["state_json"]))
            except ValueError:
                continue


def message(name: str, namespace: str | None, state: Node) -> list[dict[str, Any]]:
    """Return a state as a connector is handed it."""
    about = {"name": name, **({"namespace": namespace} if namespace else {})}
    return [{"type": "STREAM", "stream": {"stream_descriptor": about, "stream_state": dict(state)}}]


def states_in(file: Path) -> dict[str, Any]:
    """Return the states in a file by the ids of their connections, or by their sources; else there is one alone.

    Raises:
        NotAProjectError: it is not a state of Airbyte.
    """
    try:
        given = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise NotAProjectError(f"{file}: not a state: expected JSON") from None
    found = states_within(given) or _by_source(given) or {"": given}
    if not any(state_of(one).streams or state_of(one).unsaid for one in found.values()):
        hint = "expected what the API's state/get answers, states of a connector, or rows of PyAirbyte's _airbyte_state"
        raise NotAProjectError(f"{file}: not a state of Airbyte: {hint}")
    return found


def _by_source(given: Any) -> dict[str, Any]:
    """Return the rows of PyAirbyte's _airbyte_state by their sources."""
    found: dict[str, Any] = {}
    for one in mappings_in(given):
        if isinstance(one.get("state_json"), str) and one.get("source_name"):
            found.setdefault(f"{OF_SOURCE}{one['source_name']}", []).append(one)
    return found


def states_within(given: Any) -> dict[str, Any]:
    """Return the states of connections that are somewhere in an export, by the connections' ids."""
    return {
        str(pick(one, "connection_id")): one
        for one in mappings_in(given)
        if pick(one, "connection_id") and pick(one, "stream_state", "global_state") and pick(one, "state_type")
    }
