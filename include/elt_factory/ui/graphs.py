"""Pictures of a source among the others: who waits for whom, and where its data come from and go to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from elt_factory.config.models.sensors import STAGES
from elt_factory.config.models.source import Config
from elt_factory.core.project import dbt_folder
from elt_factory.describe.graph_svg import Box as Drawn
from elt_factory.describe.layout import Edge, layered
from elt_factory.describe.lineage import lineage, reached
from elt_factory.describe.models import DbtRelation, Models, read_models
from elt_factory.ui.models import Arrow, Box, Graph


def waiting_graph(configs: Sequence[Config], about: str, states: Mapping[str, str]) -> Graph:
    """Return who waits for whom, as far as it leads to or from a source."""
    edges = [(awaited, config.name) for config in configs for awaited in awaited_sources(config)]
    kept = reached({about}, edges) | reached({about}, [(after, before) for before, after in edges])
    boxes = [
        Drawn(config.name, config.name, states.get(config.name, ""), "source")
        for config in configs
        if config.name in kept
    ]
    return placed(boxes, edges, states)


def awaited_sources(config: Config) -> Iterator[str]:
    """Yield the other sources that a config's sensors wait for."""
    for stage in STAGES:
        for sensor in getattr(config.sensors, stage):
            awaited = sensor.awaited
            if awaited and awaited.source and awaited.source != config.name:
                yield awaited.source


def lineage_graph(configs: Sequence[Config], about: Config) -> Graph:
    """Return where a config's data come from and where they go to, through the dbt models."""
    boxes, edges = lineage(configs, models_now(configs), [about])
    return placed(boxes, edges, {})


def placed(boxes: Sequence[Drawn], edges: Sequence[Edge], states: Mapping[str, str]) -> Graph:
    """Return a picture of boxes and edges, each at its place."""
    layout = layered([box.name for box in boxes], edges)
    return Graph(
        boxes=[
            Box(
                name=box.name,
                title=box.title,
                detail=box.detail,
                kind=box.kind,
                column=layout.layers[box.name],
                row=layout.rows[box.name],
                state=states.get(box.name, ""),
                source=box.name.partition(".")[0] if box.kind in ("table", "source") else "",
            )
            for box in boxes
        ],
        arrows=[Arrow(points=list(points)) for points in layout.routes.values()],
    )


_picked: dict[tuple[int, str, str], tuple[str, ...]] = {}


def models_now(configs: Sequence[Config]) -> Models:
    """Return the dbt models of the configs. What a selector picks is kept while dbt's manifest is the same."""
    manifest = dbt_folder() / "target" / "manifest.json"
    made = manifest.stat().st_mtime_ns if manifest.is_file() else 0
    return Models(_relations(manifest, made), {config.name: _of(config, made) for config in configs})


def _of(config: Config, made: int) -> tuple[str, ...]:
    from elt_factory.core.failures import EltError
    from elt_factory.describe.models import models_of

    if config.transform.dbt is None:
        return ()
    key = (made, config.transform.dbt.select, config.transform.dbt.exclude or "")
    if key not in _picked:
        try:
            _picked[key] = models_of(config, dbt_folder())
        except EltError:
            _picked[key] = ()
    return _picked[key]


@lru_cache(maxsize=1)
def _relations(manifest: Path, _: int) -> Mapping[str, DbtRelation]:
    return read_models(manifest)
