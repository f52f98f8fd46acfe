"""dbt selectors that pick nothing: a look at the manifest for most, and dbt's own rules for the others."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from elt_factory.config.mistakes.across import LoadedConfig
from elt_factory.core.extras import MissingExtraError, missing
from elt_factory.dag.dbt_errors import ExecutableError, ManifestError, SelectionError
from elt_factory.dag.dbt_executable import EXECUTABLES, executable_of
from elt_factory.dag.dbt_fresh import manifest_file
from elt_factory.describe.findings import Finding, Severity, finding

_PLAIN = re.compile(r"(?P<tag>tag:)?(?P<word>[A-Za-z0-9_.\-]+)")
_RUNNABLE = ("model", "seed", "snapshot")
_AT = ("transform", "dbt", "select")


def doubtful_selections(configs: Sequence[LoadedConfig], project: Path) -> list[LoadedConfig]:
    """Return the configs whose selector is not a plain tag or name that the manifest has.

    None where there is no manifest.
    """
    asking = [item for item in configs if item.config.transform.dbt]
    nodes = _nodes(manifest_file(project)) if asking else None
    return [item for item in asking if not _is_plain(item, nodes)] if nodes is not None else []


def empty_selections(configs: Sequence[LoadedConfig], project: Path) -> Iterator[Finding]:
    """Yield what Airflow's loader will say of each selector.

    Wrong for dbt, or nothing picked. Imports Airflow and Cosmos.
    """
    import airflow  # noqa: F401 - Cosmos, which selects the models, can only be imported after it

    from elt_factory.dag.dbt_manifest import load_manifest

    for item in configs:
        dbt = item.config.transform.dbt
        if dbt is None:
            continue
        try:
            load_manifest(project).cut(dbt.select, dbt.exclude)
        except SelectionError as error:
            yield finding(item, _AT, "error", "dbt-selection", error.message, error.hint)
        except ManifestError as error:
            yield finding(item, _AT[:2], "error", "dbt-manifest", error.message, error.hint)


def selections_without_dbt(configs: Sequence[LoadedConfig]) -> Iterator[Finding]:
    """Yield the configs that transform with dbt, where it is not installed."""
    users = [item for item in configs if item.config.transform.dbt]
    module = missing("dbt") if users else ""
    for item in users if module else ():
        error = MissingExtraError("transform.dbt", "dbt", module)
        yield finding(item, _AT[:2], "error", "missing-extra", error.message, error.hint)


def _nodes(manifest: Path) -> list[Any] | None:
    """Return the nodes of the manifest that dbt can run; None where there is none, or it cannot be read."""
    import msgspec

    try:
        found = msgspec.json.decode(manifest.read_bytes())
        return [node for node in found["nodes"].values() if node.get("resource_type") in _RUNNABLE]
    except (OSError, msgspec.MsgspecError, KeyError, TypeError, AttributeError):
        return None


def _is_plain(item: LoadedConfig, nodes: Sequence[Any] | None) -> bool:
    """Whether a selector surely picks something: a plain tag or name that is there, and nothing left out."""
    dbt = item.config.transform.dbt
    found = _PLAIN.fullmatch(dbt.select) if dbt and not dbt.exclude else None
    if found is None:
        return False
    if found["tag"]:
        return any(found["word"] in (node.get("tags") or ()) for node in nodes or ())
    return any(found["word"] == node.get("name") for node in nodes or ())


def unlisted_executables(configs: Sequence[LoadedConfig]) -> Iterator[Finding]:
    """Yield the configs whose dbt the deployment does not list.

    A warning where nothing is listed here: the variable may be set only where Airflow runs.
    """
    severity: Severity = "error" if os.environ.get(EXECUTABLES) else "warning"
    for item in configs:
        dbt = item.config.transform.dbt
        try:
            if dbt:
                executable_of(dbt)
        except ExecutableError as error:
            yield finding(item, (*_AT[:2], "executable"), severity, "dbt-executable", error.message, error.hint)
