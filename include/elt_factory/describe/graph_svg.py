"""Pictures as SVG, for any browser: panels from left to right, each a graph of boxes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from elt_factory.describe.layout import Edge, Layout, layered

_BOX_HEIGHT, _ROW, _GAP = 46, 62, 44
_PANEL_GAP, _PADDING, _TITLE = 46, 18, 34
_MARGIN, _HEAD = 28, 64
_LETTER, _SMALL_LETTER, _NARROWEST, _LONGEST = 7.9, 6.1, 110, 48

# fill, edge and the word of the legend for each kind of box
_KINDS: dict[str, tuple[str, str, str]] = {
    "system": ("#eceff3", "#5d6b7d", "system"),
    "table": ("#e9e8fd", "#5b54d6", "table"),
    "sensor": ("#e9f7ee", "#2f9e5f", "waits"),
    "extract": ("#e7f1fd", "#2b7de0", "extracts"),
    "job": ("#f3ecfa", "#8e5bc0", "runs a job"),
    "load": ("#e9e8fd", "#5b54d6", "loads"),
    "model": ("#fff0e2", "#e8751a", "dbt model"),
    "test": ("#fdf7dc", "#c9a200", "dbt test"),
    "quality": ("#f8e8f6", "#b23ca2", "checks"),
    "exposure": ("#e6f5f7", "#1b8a9a", "uses it"),
    "other": ("#f3f4f6", "#8a94a3", "task"),
}
_STYLE = (
    "text{font-family:Inter,system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif;fill:#1d2733}"
    ".h{font-size:20px;font-weight:700}.s{font-size:13px;fill:#5b6776}.p{font-size:12px;font-weight:600;fill:#5b6776;"
    "letter-spacing:.04em}.t{font-size:13px;font-weight:600}.d{font-size:11px;fill:#5b6776}"
    ".e{fill:none;stroke:#9aa6b5;stroke-width:1.6}"
)
_ARROW = (
    '<defs><marker id="a" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<path d="M0 0.6 L7.4 4 L0 7.4 z" fill="#9aa6b5"/></marker></defs>'
)


@dataclass(frozen=True)
class Box:
    """One box: its name in the graph, a title, a line of detail, and what kind of thing it is."""

    name: str
    title: str
    detail: str = ""
    kind: str = "other"

    @property
    def width(self) -> float:
        """How wide it must be for its texts."""
        longest = max(len(_cut(self.title)) * _LETTER, len(_cut(self.detail)) * _SMALL_LETTER)
        return max(_NARROWEST, longest + 30)


@dataclass(frozen=True)
class Panel:
    """A graph with a title of its own; without one it appears on the bare page."""

    title: str
    boxes: tuple[Box, ...]
    edges: tuple[Edge, ...] = ()


def graph_svg(title: str, subtitle: str, panels: Sequence[Panel]) -> str:
    """Return an SVG document: the panels from left to right, each leading to the next."""
    placed = [_Placed(panel) for panel in panels if panel.boxes]
    tallest = max((panel.height for panel in placed), default=0.0)
    met = {box.kind for panel in panels for box in panel.boxes}
    kinds = [kind for kind in _KINDS if kind in met]
    width = sum(panel.width for panel in placed) + _PANEL_GAP * max(len(placed) - 1, 0) + 2 * _MARGIN
    width = max(width, 2 * _MARGIN + len(subtitle) * _LETTER, 2 * _MARGIN + 110 * len(kinds))
    height = _HEAD + tallest + 2 * _MARGIN + 30
    size = f'width="{width:.0f}" height="{height:.0f}"'
    attributes = f'viewBox="0 0 {width:.0f} {height:.0f}" {size} role="img" aria-label="{escape(title)}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {attributes}>',
        f"<style>{_STYLE}</style>{_ARROW}",
        f'<rect {size} rx="14" fill="#ffffff"/>',
        f'<text class="h" x="{_MARGIN}" y="{_MARGIN + 18}">{escape(title)}</text>',
        f'<text class="s" x="{_MARGIN}" y="{_MARGIN + 40}">{escape(subtitle)}</text>',
        *_drawn(placed, tallest),
        *_legend(kinds, height - _MARGIN + 4),
    ]
    return "\n".join([*lines, "</svg>", ""])


class _Placed:
    """A panel with the places of its boxes, from its own top left corner."""

    def __init__(self, panel: Panel) -> None:
        self.panel = panel
        self.layout: Layout = layered([box.name for box in panel.boxes], panel.edges)
        self.boxes = {box.name: box for box in panel.boxes}
        self.widths = self._widths()
        self.lefts = [_PADDING + sum(self.widths[:n]) + n * _GAP for n in range(len(self.widths))]
        title = len(panel.title) * 8 + 2 * _PADDING
        self.width = max(sum(self.widths) + _GAP * (len(self.widths) - 1) + 2 * _PADDING, title)
        self.top = _TITLE if panel.title else _PADDING
        self.height = self.top + (self.layout.height - 1) * _ROW + _BOX_HEIGHT + _PADDING

    def _widths(self) -> list[float]:
        layers = self.layout.layers
        last = max(layers.values())
        return [
            max(box.width for name, box in self.boxes.items() if layers[name] == layer) for layer in range(last + 1)
        ]

    def draw(self, x: float, y: float) -> Iterator[str]:
        """Yield the panel with its corner at a point."""
        if self.panel.title:
            yield (
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{self.width:.1f}" height="{self.height:.1f}" rx="12" '
                'fill="#f7f8fa" stroke="#e2e6eb"/>'
            )
            yield f'<text class="p" x="{x + _PADDING:.1f}" y="{y + 22:.1f}">{escape(self.panel.title)}</text>'
        for route in self.layout.routes.values():
            yield self._edge(route, x, y)
        for name, box in self.boxes.items():
            layer = self.layout.layers[name]
            yield from _box(box, x + self.lefts[layer], y + self._middle(self.layout.rows[name]), self.widths[layer])

    def _middle(self, row: float) -> float:
        return self.top + row * _ROW + _BOX_HEIGHT / 2

    def _edge(self, route: Sequence[tuple[int, float]], x: float, y: float) -> str:
        """Return a line from the right side of a box to the left side of another.

        Straight through the layers between.
        """
        points: list[tuple[float, float]] = []
        for layer, row in route:
            left, right = x + self.lefts[layer], x + self.lefts[layer] + self.widths[layer]
            points += [(left, y + self._middle(row)), (right, y + self._middle(row))]
        points = points[1:-1]
        path = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
        for (x1, y1), (x2, y2) in pairwise(points):
            bend = (x2 - x1) / 2
            path += f" C{x1 + bend:.1f} {y1:.1f} {x2 - bend:.1f} {y2:.1f} {x2:.1f} {y2:.1f}"
        return f'<path class="e" d="{path}" marker-end="url(#a)"/>'


def _drawn(placed: Sequence[_Placed], tallest: float) -> Iterator[str]:
    x, top = float(_MARGIN), _HEAD + _MARGIN
    for index, panel in enumerate(placed):
        if index:
            middle = top + tallest / 2
            yield f'<path class="e" d="M{x - _PANEL_GAP + 4:.1f} {middle:.1f} H{x - 4:.1f}" marker-end="url(#a)"/>'
        yield from panel.draw(x, top + (tallest - panel.height) / 2)
        x += panel.width + _PANEL_GAP


def _box(box: Box, x: float, middle: float, width: float) -> Iterator[str]:
    fill, edge, _ = _KINDS.get(box.kind, _KINDS["other"])
    y = middle - _BOX_HEIGHT / 2
    yield f"<g><title>{escape(f'{box.title} {box.detail}'.strip())}</title>"
    yield (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{_BOX_HEIGHT}" rx="9" fill="{fill}" '
        f'stroke="{edge}" stroke-opacity=".55"/>'
    )
    yield f'<rect x="{x:.1f}" y="{y + 9:.1f}" width="4" height="{_BOX_HEIGHT - 18}" rx="2" fill="{edge}"/>'
    lines = [("t", box.title), ("d", box.detail)] if box.detail else [("t", box.title)]
    first = middle + (4.5 if len(lines) == 1 else -3)
    for number, (style, text) in enumerate(lines):
        place = f'x="{x + 15:.1f}" y="{first + number * 16:.1f}"'
        yield f'<text class="{style}" {place}>{escape(_cut(text))}</text>'
    yield "</g>"


def _legend(kinds: Sequence[str], y: float) -> Iterator[str]:
    x = float(_MARGIN)
    for kind in kinds:
        fill, edge, word = _KINDS.get(kind, _KINDS["other"])
        yield f'<rect x="{x:.1f}" y="{y - 10:.1f}" width="12" height="12" rx="3" fill="{fill}" stroke="{edge}"/>'
        yield f'<text class="d" x="{x + 18:.1f}" y="{y:.1f}">{word}</text>'
        x += 44 + len(word) * _SMALL_LETTER


def _cut(text: str) -> str:
    """Return a text that is not too long, without its middle where it is: beginnings and ends tell names apart."""
    if len(text) <= _LONGEST:
        return text
    half = (_LONGEST - 1) // 2
    return f"{text[:half]}…{text[-half:]}"
