"""What has changed between two documents, put into a third: lists of named mappings are taken for mappings.

A contract is kept as it was imported. An export takes what the contract says of the config as it was imported, what it
says of the config as it is now, and puts only the difference into the contract. What a config cannot hold is so never
touched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_NAMES = ("name", "property", "metric", "username")
Place = tuple[str, ...]


def merged(document: Any, before: Any, now: Any) -> Any:
    """Return a document with what has changed from `before` to `now`."""
    if before == now:
        return document
    if all(isinstance(value, Mapping) for value in (document, before, now)):
        return _merged_mapping(document, before, now)
    key = _key(document, before, now)
    if key is None:
        return _merged_list(document, before, now) if isinstance(document, list) and isinstance(now, list) else now
    by_name = [{entry[key]: entry for entry in value} for value in (document, before, now)]
    return list(_merged_mapping(*by_name).values())


def _merged_mapping(document: Mapping[str, Any], before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    gone = {name for name in before if name not in now}
    if "metric" in now:
        # one limit can be written in several ways, and a rule has one
        gone |= {name for name in document if name.startswith("must")}
        before = {name: value for name, value in before.items() if name not in gone}
    kept = {
        name: merged(value, before.get(name), now[name]) if name in now else value
        for name, value in document.items()
        if name not in gone
    }
    new = {
        name: value
        for name, value in now.items()
        if (name not in document or name in gone) and before.get(name) != value
    }
    return {**kept, **new}


def _merged_list(document: Sequence[Any], before: Any, now: Sequence[Any]) -> list[Any]:
    """Return a list without what has gone and with what is new; an entry goes by what it shares with one that did."""
    old = before if isinstance(before, list) else []
    kept = list(document)
    for entry in (entry for entry in old if entry not in now):
        likest = max(kept, key=lambda other: _alike(other, entry), default=None)
        if likest is not None and _alike(likest, entry):
            kept.remove(likest)
    return [*kept, *(entry for entry in now if entry not in old)]


def _alike(one: Any, other: Any) -> int:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return sum(one.get(name) == value for name, value in other.items())
    return int(one == other)


def not_held(document: Any, held: Any, at: Place = ()) -> Iterator[Place]:
    """Yield the places of a document that another one does not have, each as high up as all below it is missing."""
    if document == held:
        return
    if isinstance(document, Mapping) and isinstance(held, Mapping):
        for name, value in document.items():
            if name in held:
                yield from not_held(value, held[name], (*at, str(name)))
            else:
                yield (*at, str(name))
        return
    key = _key(document, held)
    if key is None:
        yield at
        return
    known = {entry[key]: entry for entry in held}
    for entry in document:
        if entry[key] in known:
            yield from not_held(entry, known[entry[key]], (*at, str(entry[key])))
        else:
            yield (*at, str(entry[key]))


def _key(*values: Any) -> str | None:
    """Return the key by which the entries of all lists are told apart; None where there is none."""
    lists: list[Sequence[Any]] = [value for value in values if isinstance(value, list)]
    if len(lists) != len(values):
        return None
    return next((name for name in _NAMES if all(_is_named(entries, name) for entries in lists)), None)


def _is_named(entries: Sequence[Any], key: str) -> bool:
    names = [entry.get(key) if isinstance(entry, Mapping) else None for entry in entries]
    return all(isinstance(name, str) for name in names) and len(set(names)) == len(names)
