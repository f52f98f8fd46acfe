"""Where the boxes of a picture appear: layers from left to right along the edges, few crossings, straight lines."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

Edge = tuple[str, str]
_SWEEPS = 12


@dataclass(frozen=True)
class Layout:
    """The layer and the height of every box, in rows, and the way of every edge as points in the same measures."""

    layers: Mapping[str, int]
    rows: Mapping[str, float]
    routes: Mapping[Edge, tuple[tuple[int, float], ...]]

    @property
    def height(self) -> float:
        """How many rows high the whole is."""
        return max((row for row in self.rows.values()), default=0.0) + 1


def layered(names: Sequence[str], edges: Iterable[Edge]) -> Layout:
    """Lay out a graph without rings: every edge leads to a later layer.

    An edge that passes layers gets a place of its own in each of them, so that it runs between the boxes.
    """
    wanted = [edge for edge in dict.fromkeys(edges) if edge[0] in names and edge[1] in names]
    layers = _layers(names, wanted)
    chains = {edge: _chain(edge, layers) for edge in wanted}
    steps = [step for chain in chains.values() for step in pairwise(chain)]
    places = {**layers, **{stop: layers[chain[0]] + n for chain in chains.values() for n, stop in enumerate(chain)}}
    order = _ordered(places, steps)
    rows = _rows(order, steps)
    routes = {edge: tuple((places[stop], rows[stop]) for stop in chain) for edge, chain in chains.items()}
    return Layout(layers, {name: rows[name] for name in names}, routes)


def _layers(names: Sequence[str], edges: Sequence[Edge]) -> dict[str, int]:
    """Return the longest way to each box."""
    layers = dict.fromkeys(names, 0)
    for _ in names:
        changed = False
        for before, after in edges:
            if layers[after] <= layers[before]:
                layers[after], changed = layers[before] + 1, True
        if not changed:
            break
    return layers


def _chain(edge: Edge, layers: Mapping[str, int]) -> list[str]:
    before, after = edge
    between = range(layers[before] + 1, layers[after])
    return [before, *(f"{before}\x00{after}\x00{layer}" for layer in between), after]


def _ordered(places: Mapping[str, int], steps: Sequence[Edge]) -> list[list[str]]:
    """Return the boxes of each layer from top to bottom, near those that they are connected with."""
    order: list[list[str]] = [[] for _ in range(max(places.values(), default=0) + 1)]
    for name, layer in places.items():
        order[layer].append(name)
    before, after = _neighbours(steps)
    for sweep in range(_SWEEPS):
        forward = sweep % 2 == 0
        neighbours = before if forward else after
        for layer in range(len(order)) if forward else reversed(range(len(order))):
            here = {name: index for row in order for index, name in enumerate(row)}
            order[layer].sort(key=lambda name, at=here: _mean([at[o] for o in neighbours[name]], at[name]))  # type: ignore[misc]
    return order


def _rows(order: Sequence[Sequence[str]], steps: Sequence[Edge]) -> dict[str, float]:
    """Heights: as near to the neighbours as the order and one row between boxes allow."""
    rows = {name: float(index) for layer in order for index, name in enumerate(layer)}
    before, after = _neighbours(steps)
    for sweep in range(_SWEEPS):
        forward = sweep % 2 == 0
        for layer in order if forward else reversed(order):
            neighbours = before if forward else after
            wanted = [_mean([rows[other] for other in neighbours[name]], rows[name]) for name in layer]
            rows.update(zip(layer, _apart(wanted), strict=True))
    top = min(rows.values(), default=0.0)
    return {name: round(row - top, 3) for name, row in rows.items()}


def _apart(wanted: Sequence[float]) -> list[float]:
    """Return the wanted heights, moved until each is a row below the one above; the whole keeps its middle."""
    placed: list[float] = []
    for height in wanted:
        placed.append(max(height, placed[-1] + 1) if placed else height)
    shift = _mean([want - place for want, place in zip(wanted, placed, strict=True)], 0.0)
    return [place + shift for place in placed]


def _neighbours(steps: Iterable[Edge]) -> tuple[Mapping[str, list[str]], Mapping[str, list[str]]]:
    before: dict[str, list[str]] = defaultdict(list)
    after: dict[str, list[str]] = defaultdict(list)
    for left, right in steps:
        before[right].append(left)
        after[left].append(right)
    return before, after


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise
