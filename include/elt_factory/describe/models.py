"""The dbt models as documentation needs them: what they are, their columns, what they read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from elt_factory.config.models.source import Config


@dataclass(frozen=True)
class ColumnNote:
    """What dbt's files say of a column."""

    type: str = ""
    description: str = ""


@dataclass(frozen=True)
class DbtRelation:
    """A dbt model, a source table that dbt knows, or an exposure. `parents` are the ids of what it reads."""

    id: str
    schema: str
    name: str
    description: str = ""
    columns: Mapping[str, ColumnNote] = field(default_factory=dict)
    parents: tuple[str, ...] = ()


@dataclass(frozen=True)
class Models:
    """The dbt project: its models and sources by id, and the models of each config by its name."""

    relations: Mapping[str, DbtRelation] = field(default_factory=dict)
    of_config: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def source(self, schema: str, name: str) -> DbtRelation | None:
        """Return what dbt says of a loaded table."""
        found = (one for one in self.relations.values() if one.id.startswith("source."))
        return next((one for one in found if (one.schema, one.name) == (schema, name)), None)


def read_models(manifest: Path) -> dict[str, DbtRelation]:
    """Return the models, sources and exposures in dbt's manifest; none where there is no manifest."""
    if not manifest.is_file():
        return {}
    found = json.loads(manifest.read_text(encoding="utf-8"))
    kinds = ("model.", "source.", "seed.", "snapshot.", "exposure.")
    nodes = {**found.get("nodes", {}), **found.get("sources", {}), **found.get("exposures", {})}
    return {node_id: _relation(node_id, node) for node_id, node in nodes.items() if node_id.startswith(kinds)}


def models_of(config: Config, project: Path) -> tuple[str, ...]:
    """Return the ids of the models that a config runs, as Airflow's DAG has them.

    Raises:
        PermanentError: the manifest is missing, or the config's selector picks nothing.
    """
    if config.transform.dbt is None:
        return ()
    import airflow  # noqa: F401 - Cosmos, which selects the models, can only be imported after it

    from elt_factory.dag.dbt_manifest import load_manifest

    picked = load_manifest(project).cut(config.transform.dbt.select, config.transform.dbt.exclude)
    return tuple(node_id for node_id in picked if not node_id.startswith(("test.", "unit_test.", "source.")))


def _relation(node_id: str, node: Mapping[str, Any]) -> DbtRelation:
    columns = {
        name: ColumnNote(column.get("data_type") or "", column.get("description") or "")
        for name, column in (node.get("columns") or {}).items()
    }
    parents = tuple((node.get("depends_on") or {}).get("nodes") or ())
    name = node.get("identifier") or node.get("alias") or node["name"]
    if node_id.startswith("exposure."):
        name = node.get("label") or name
    return DbtRelation(node_id, node.get("schema") or "", name, node.get("description") or "", columns, parents)
