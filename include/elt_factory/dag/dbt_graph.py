"""The models that a config picks as a graph of tasks, for one dbt process that builds them all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter

from elt_factory.core.extras import needs
from elt_factory.dag.dbt_trigger import BUILD

with needs("dbt", "transform.dbt"):
    from cosmos.constants import DbtResourceType
    from cosmos.dbt.graph import DbtNode

START, DONE, TESTS = "start", "done", "test"
_OF_THE_GROUP = (START, BUILD, DONE, TESTS)  # tasks of no single model
_BUILT = (DbtResourceType.MODEL, DbtResourceType.SEED, DbtResourceType.SNAPSHOT)


@dataclass(frozen=True)
class ModelGraph:
    """The models that have a task, parents before their children.

    Args:
        parents: What each model reads of the others, also through a model that is only part of queries.
        tests: The tests of each model; one of several models belongs to the last of them.
        names: The name of each model's task.
        selectors: The dbt selector of each model alone.
        loose: The selectors of the tests that belong to no model: of sources, of a model that is only part of queries.
    """

    parents: Mapping[str, tuple[str, ...]]
    tests: Mapping[str, tuple[str, ...]]
    names: Mapping[str, str]
    selectors: Mapping[str, str]
    loose: tuple[str, ...] = ()

    @classmethod
    def of(cls, nodes: Mapping[str, DbtNode]) -> ModelGraph:
        """Return the graph of the nodes that a config picks."""
        built = {name for name, node in nodes.items() if _is_built(node)}
        parents = {name: tuple(dict.fromkeys(_read_by(name, nodes, built))) for name in nodes if name in built}
        order = [*TopologicalSorter(parents).static_order()]
        place = {name: number for number, name in enumerate(order)}
        tests: dict[str, list[str]] = {name: [] for name in order}
        loose: list[str] = []
        for name, node in nodes.items():
            if node.resource_type == DbtResourceType.TEST:
                tested = [parent for parent in node.depends_on if parent in place]
                (tests[max(tested, key=place.__getitem__)] if tested else loose).append(name)
        return cls(
            parents={name: parents[name] for name in order},
            tests={name: tuple(tests[name]) for name in order},
            names=_task_names(order),
            selectors={name: _selector(nodes[name]) for name in order},
            loose=tuple(_selector(nodes[name]) for name in loose),
        )


def _is_built(node: DbtNode) -> bool:
    return node.resource_type in _BUILT and not node.has_ephemeral_materialization


def _read_by(name: str, nodes: Mapping[str, DbtNode], built: set[str]) -> Iterator[str]:
    for parent in nodes[name].depends_on:
        if parent in built:
            yield parent
        elif parent in nodes:
            yield from _read_by(parent, nodes, built)


def _task_names(models: list[str]) -> dict[str, str]:
    """Return the models' names, with their package where two have the same, or a task of the group has it."""
    short = {model: model.split(".", 2)[2].replace(".", "_") for model in models}
    count = Counter([*short.values(), *_OF_THE_GROUP])
    return {model: name if count[name] == 1 else f"{model.split('.')[1]}.{name}" for model, name in short.items()}


def _selector(node: DbtNode) -> str:
    return f"fqn:{'.'.join(node.fqn)}" if node.fqn else str(node.unique_id.split(".")[2])
