"""The hint for a key that the language does not have at its place: only what is true of the file it appears in."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from elt_factory.config.mistakes.locations import Home, Location, homes
from elt_factory.config.models.base import Model
from elt_factory.config.sayings import saying
from elt_factory.config.synonyms import counterparts, near_word
from elt_factory.config.yaml.source import YamlSource

# so near that a key of another place is not meant
_VERY_NEAR = 0.8


@dataclass(frozen=True)
class HintContext:
    """What a hint may follow from.

    Args:
        source: The data of the file, and where they are.
        model: The model that they are validated against.
        others: The models of all kinds of source, by `extract.type`.
    """

    source: YamlSource
    model: type[Model]
    others: Mapping[str, type[Model]]


def is_near(key: str, known: str) -> bool:
    """Whether a key is another word for a known one."""
    return near_word(key, [known]).startswith("did you mean")


def hint_for_key(known: HintContext, key: str, place: Location) -> str:
    """Return the near name, the meaning in another tool's words, the place where it belongs, or all names."""
    glued = re.match(r"(\w+):", key)
    if glued and glued[1] in place.siblings:
        return f"write a space after the colon: {glued[1]}: ..."
    ours = counterparts(key, place.siblings)
    if ours:
        return f'did you mean "{ours[0]}"?'
    near = difflib.get_close_matches(key, place.siblings, n=1, cutoff=_VERY_NEAR)
    return (f'did you mean "{near[0]}"?' if near else _elsewhere(known, key, place)) or near_word(key, place.siblings)


def _elsewhere(known: HintContext, key: str, place: Location) -> str:
    """Where a key belongs, or what is written in its place; nothing where it belongs nowhere."""
    above = tuple(map(str, place.path[:-1]))
    found = list(homes(known.model, key))
    others = [
        (kind, home)
        for kind, model in known.others.items()
        if model is not known.model
        for home in homes(model, key)
        if home.above and home.above[0] in ("extract", "tables")
    ]
    here = [home for home in found if home.tag and _same(home.above, above)]
    if here:
        return f"it is only valid with type: {here[0].tag}"
    there = [kind for kind, home in others if _same(home.above, above)]
    if there:
        return f"it is only valid with extract: {{type: {there[0]}}}"
    return saying(key) or _home(known, found) or _home_of_others(others)


def _home(known: HintContext, found: Sequence[Home]) -> str:
    untagged = (home for home in found if not home.tag or home.tag == _type_at(known.source.data, home.above))
    home = next(untagged, None)
    if home:
        look = "; check the indentation" if _is_there(known.source.data, home.above) else ""
        return f"it belongs in {home}{look}"
    return f"it belongs in {found[0]}, with type: {found[0].tag}" if found else ""


def _home_of_others(others: Sequence[tuple[str, Home]]) -> str:
    return f"it is only valid with extract: {{type: {others[0][0]}}}, in {others[0][1]}" if others else ""


def _same(pattern: tuple[str, ...], path: tuple[str, ...]) -> bool:
    """Whether a path is one of those that a pattern with <name> and <n> means."""
    pairs = zip(pattern, path, strict=False)
    return len(pattern) == len(path) and all(part in ("<name>", "<n>", given) for part, given in pairs)


def _type_at(data: Any, path: tuple[str, ...]) -> Any:
    below = _first_below(data, path)
    return below.get("type") if isinstance(below, dict) else None


def _is_there(data: Any, path: tuple[str, ...]) -> bool:
    return isinstance(_first_below(data, path), dict)


def _first_below(data: Any, path: tuple[str, ...]) -> Any:
    """Return what appears at a path, where <name> and <n> are the first entry; None where nothing does."""
    for part in path:
        if isinstance(data, dict):
            data = next(iter(data.values()), None) if part == "<name>" else data.get(part)
        elif isinstance(data, list) and part == "<n>":
            data = data[0] if data else None
        else:
            return None
    return data
