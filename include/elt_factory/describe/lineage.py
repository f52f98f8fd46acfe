"""Where data come from and where they go: systems, loaded tables, dbt models, as a picture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from elt_factory.config.models.source import Config, TransformOnly
from elt_factory.describe.graph_svg import Box, Panel, graph_svg
from elt_factory.describe.layout import Edge
from elt_factory.describe.models import Models


def lineage_svg(title: str, configs: Sequence[Config], models: Models, about: Iterable[Config]) -> str:
    """Return the SVG of what some configs load and transform, with everything before and after it.

    Empty without any.
    """
    shown, inside = lineage(configs, models, about)
    if not shown:
        return ""
    return graph_svg(title, "from the systems through the loaded tables to the models", [Panel("", shown, inside)])


def lineage(
    configs: Sequence[Config], models: Models, about: Iterable[Config]
) -> tuple[tuple[Box, ...], tuple[Edge, ...]]:
    """Return what some configs load and transform, with everything before and after it, as boxes and edges."""
    boxes, edges = _graph(configs, models)
    centre = {name for config in about for name in _own(config, models)}
    kept = reached(centre, edges) | reached(centre, [(after, before) for before, after in edges])
    shown = tuple(box for name, box in boxes.items() if name in kept)
    return shown, tuple(edge for edge in edges if edge[0] in kept and edge[1] in kept)


def _graph(configs: Sequence[Config], models: Models) -> tuple[dict[str, Box], list[Edge]]:
    boxes = {box.name: box for config in configs for box in _loaded(config)}
    edges = [edge for config in configs for edge in _loading(config)]
    tables = {
        ".".join(config.place_of(name)).lower(): f"{config.name}.{name}"
        for config in configs
        for name in config.all_tables
    }
    used = {model for ids in models.of_config.values() for model in ids}
    for model in used:
        relation = models.relations[model]
        boxes[model] = Box(model, relation.name, f"in {relation.schema}", "model")
    for model in sorted(used):
        for parent in models.relations[model].parents:
            name = _name(parent, models)
            # a table that another system loads is where that puts it
            name = tables.get(name.lower(), name)
            if name in boxes:
                edges.append((name, model))
    exposed = [relation for name, relation in sorted(models.relations.items()) if name.startswith("exposure.")]
    for relation in exposed:
        read = [name for parent in relation.parents if (name := _name(parent, models)) in boxes]
        if read:
            boxes[relation.id] = Box(relation.id, relation.name, "exposure", "exposure")
            edges += [(name, relation.id) for name in read]
    return dict(sorted(boxes.items())), edges


def _loaded(config: Config) -> Iterator[Box]:
    if isinstance(config, TransformOnly):
        return
    yield Box(_system(config), config.extract.connection or config.extract.type, config.extract.type, "system")
    for name, table in config.all_tables.items():
        yield Box(f"{config.name}.{name}", f"{config.name}.{name}", table.written, "table")


def _loading(config: Config) -> Iterator[Edge]:
    for name, table in config.all_tables.items():
        yield _system(config), f"{config.name}.{name}"
        for parent in table.parents:
            yield f"{config.name}.{parent}", f"{config.name}.{name}"


def _system(config: Config) -> str:
    if isinstance(config, TransformOnly):
        return ""
    return f"system:{config.extract.type}:{config.extract.connection or config.name}"


def _name(node_id: str, models: Models) -> str:
    """Return the box of a dbt node: a source is a table that a config loads."""
    relation = models.relations.get(node_id)
    return f"{relation.schema}.{relation.name}" if relation and node_id.startswith("source.") else node_id


def _own(config: Config, models: Models) -> Iterator[str]:
    yield from (f"{config.name}.{table}" for table in config.all_tables)
    yield from models.of_config.get(config.name, ())


def reached(names: Iterable[str], edges: Sequence[Edge]) -> set[str]:
    """Return the names, and all that the edges lead to from them."""
    onward: Mapping[str, list[str]] = {before: [] for before, _ in edges}
    for before, after in edges:
        onward[before].append(after)
    found, queue = set(names), list(names)
    while queue:
        fresh = [name for name in onward.get(queue.pop(), ()) if name not in found]
        found.update(fresh)
        queue += fresh
    return found
