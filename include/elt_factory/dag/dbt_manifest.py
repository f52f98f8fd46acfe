"""The dbt manifest: parsed once per process and change, and cut to the nodes that one config asks for.

Cosmos parses the whole file again for every group. Here its own functions read the nodes and select among them, but
from one copy of the file in memory, and for a plain `tag:` selector among the nodes of that tag alone, so that a group
costs the same at any size of project.
"""

from __future__ import annotations

import copy
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypedDict

import airflow.sdk  # noqa: F401 - it loads Cosmos' plugin, which must not find Cosmos half imported
import msgspec

from elt_factory.config.errors import near_name
from elt_factory.core.extras import needs
from elt_factory.dag.dbt_errors import ManifestError, SelectionError
from elt_factory.dag.dbt_fresh import SETUP_COMMAND, manifest_file

with needs("dbt", "transform.dbt"):
    from cosmos.constants import DbtResourceType
    from cosmos.dbt.graph import DbtNode, _build_dbt_node_from_manifest_resource
    from cosmos.dbt.project import get_dbt_packages_subpath
    from cosmos.dbt.selector import select_nodes
    from cosmos.exceptions import CosmosValueError

_PLAIN_TAG = re.compile(r"tag:([^\s,+@*:]+)")
_RUNNABLE = (DbtResourceType.MODEL, DbtResourceType.SEED, DbtResourceType.SNAPSHOT)


class _Node(TypedDict, total=False):
    """What Cosmos reads of a node; all else in the file, above all the SQL, is never decoded."""

    original_file_path: str
    package_name: str | None
    resource_type: str
    depends_on: dict[str, Any]
    tags: list[str] | None
    config: dict[str, Any] | None
    freshness: dict[str, Any] | None
    fqn: list[str] | None


class _Metadata(TypedDict, total=False):
    project_name: str | None


class _File(TypedDict, total=False):
    nodes: dict[str, _Node]
    sources: dict[str, _Node]
    exposures: dict[str, _Node]
    metadata: _Metadata


_decoder = msgspec.json.Decoder(_File)


@dataclass(frozen=True)
class DbtManifest:
    """The nodes of a dbt project as Cosmos sees them."""

    file: Path
    project: Path
    nodes: Mapping[str, DbtNode]
    _order: Mapping[str, int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_order", {node_id: place for place, node_id in enumerate(self.nodes)})
        for node in self.nodes.values():
            node.has_test = node.has_non_detached_test = node.unique_id in self._tests_of

    def cut(self, select: str, exclude: str | None, *, untested: bool = False) -> dict[str, DbtNode]:
        """Return the nodes that a selector picks and the tests on them, in the order of the manifest.

        Args:
            select: What is picked.
            exclude: What of it is left out.
            untested: Leave out the tests, too, that dbt leaves out because of `exclude`. Cosmos draws them.

        Raises:
            SelectionError: the selector is wrong, or picks nothing that runs.
        """
        candidates = {node_id: copy.copy(node) for node_id, node in self._candidates(select)}
        try:
            picked = select_nodes(self.project, candidates, select.split(), (exclude or "").split())
        except (CosmosValueError, ValueError) as error:
            hint = "use dbt's syntax: tag:name, path:folder, a model name, +model for its ancestors"
            raise SelectionError(f'invalid dbt selector "{select}": {error}', hint) from error
        if not any(node.resource_type in _RUNNABLE for node in picked.values()):
            raise self._nothing_picked(select, exclude)
        gone = self._excluded(exclude) if untested and exclude else frozenset[str]()
        tests = {
            test: copy.copy(self.nodes[test])
            for node_id in picked
            for test in self._tests_of.get(node_id, ())
            if test not in gone
        }
        # Cosmos holds the ids in a set on the way, so its order changes from process to process
        return dict(sorted({**picked, **tests}.items(), key=lambda item: self._order[item[0]]))

    def _excluded(self, exclude: str) -> frozenset[str]:
        nodes = {node_id: copy.copy(node) for node_id, node in self.nodes.items()}
        found = [*select_nodes(self.project, nodes, exclude.split(), [])]
        # Cosmos knows a test by its name with its hash alone
        found += [name for name in nodes if name.startswith("test.") and name.split(".")[2] in exclude.split()]
        # dbt leaves out a test with any of what it tests
        return frozenset([*found, *(test for node_id in found for test in self._tests_of.get(node_id, ()))])

    @cached_property
    def tags(self) -> Mapping[str, tuple[str, ...]]:
        """The ids of the nodes by tag; a test has the tags of what it tests first, as in Cosmos."""
        found: dict[str, list[str]] = defaultdict(list)
        for node_id, node in self.nodes.items():
            parent = self.nodes.get(node.depends_on[0]) if _is_test(node) and node.depends_on else node
            for tag in parent.tags if parent else ():
                found[tag].append(node_id)
        return {tag: tuple(ids) for tag, ids in found.items()}

    @cached_property
    def _tests_of(self) -> Mapping[str, list[str]]:
        tests: dict[str, list[str]] = defaultdict(list)
        for node_id, node in self.nodes.items():
            for parent in node.depends_on if _is_test(node) else ():
                tests[parent].append(node_id)
        return dict(tests)

    def _candidates(self, select: str) -> Iterator[tuple[str, DbtNode]]:
        plain = _PLAIN_TAG.fullmatch(select)
        ids = self.tags.get(plain[1], ()) if plain else self.nodes
        return ((node_id, self.nodes[node_id]) for node_id in ids)

    def _nothing_picked(self, select: str, exclude: str | None) -> SelectionError:
        plain = _PLAIN_TAG.fullmatch(select)
        near = near_name(plain[1], self.tags) if plain else ""
        new = f"if the model is new, run `{SETUP_COMMAND}` to rebuild the manifest"
        without = f' without "{exclude}"' if exclude else ""
        return SelectionError(
            f'dbt selector "{select}"{without} matches no models', " Or ".join(filter(None, [near, new]))
        )


def _is_test(node: DbtNode) -> bool:
    return bool(node.resource_type == DbtResourceType.TEST)


_read: dict[Path, tuple[tuple[int, int], DbtManifest]] = {}


def load_manifest(project: Path) -> DbtManifest:
    """Return the manifest of a dbt project; read again only when the file has changed.

    Raises:
        ManifestError: there is none, or it is not a manifest.
    """
    file = manifest_file(project)
    try:
        stat = file.stat()
    except FileNotFoundError:
        raise ManifestError(
            f"{file} does not exist", f"run `{SETUP_COMMAND}` to build it from the dbt project"
        ) from None
    state = (stat.st_mtime_ns, stat.st_size)
    known = _read.get(file)
    if known is None or known[0] != state:
        known = _read[file] = (state, _parse(file, project))
    return known[1]


def _parse(file: Path, project: Path) -> DbtManifest:
    try:
        found = _decoder.decode(file.read_bytes())
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ManifestError(f"{file} is not a dbt manifest: {error}", f"run `{SETUP_COMMAND}` to rebuild it") from error
    packages = get_dbt_packages_subpath(project)
    name = found.get("metadata", {}).get("project_name")
    resources = {**found.get("nodes", {}), **found.get("sources", {}), **found.get("exposures", {})}
    read = (
        _build_dbt_node_from_manifest_resource(node_id, dict(raw), project, packages, name)
        for node_id, raw in resources.items()
    )
    return DbtManifest(file, project, {node.unique_id: node for node in read if node is not None})
