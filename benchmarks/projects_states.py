"""The state that dlt itself keeps of what it has read, for `projects_first_runs.py`.

What is read, by a Python that has dlt, is a table of PostgreSQL, or what a project's configuration of the REST API
source says; nothing of the project is run.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from elt_factory.importing import dlt
from elt_factory.importing.dlt_rest.literals import Called, Joined, Unknown

_READS = """
import json, sys
import dlt
from dlt.sources.rest_api import rest_api_source
from dlt.sources.sql_database import sql_database

given = json.loads(sys.argv[1])
if "rest" in given:
    source = rest_api_source(given["rest"], name=given["name"])
else:
    table = given["table"]
    source = sql_database(table["address"], schema=table["schema"]).with_resources(table["name"])
    hints = {"incremental": dlt.sources.incremental(table["cursor"]), "primary_key": table["key"] or None}
    source.resources[table["name"]].apply_hints(**hints)
folder = given["folder"]
target = dlt.destinations.duckdb(folder + "/old.duckdb")
pipeline = dlt.pipeline("old", pipelines_dir=folder + "/pipelines", destination=target, dataset_name="raw")
pipeline.run(source)
"""
_ORDER = ("cursor_path", "initial_value")


def state_of(python: str, given: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Let dlt read what is given, and return what its pipeline has kept of sources.

    Args:
        python: A Python that has dlt.
        given: `table` or `rest` with its `name`.
        folder: Where the pipeline is kept.
    """
    text = json.dumps({**given, "folder": str(folder)})
    done = subprocess.run([python, "-c", _READS, text], capture_output=True, text=True, check=False, cwd=folder)
    if done.returncode:
        raise RuntimeError(f"dlt: {' '.join(done.stderr.split())[-300:]}")
    return dlt.states_in(folder / "pipelines")


def rest_of(said: Mapping[str, Any], resource: str, address: str) -> dict[str, Any]:
    """Return a project's configuration of one resource, asked of another server that has one page."""
    defaults = {**(said.get("resource_defaults") or {})}
    chosen = next(one for one in said["resources"] if isinstance(one, Mapping) and one.get("name") == resource)
    endpoint = {**(defaults.pop("endpoint", None) or {}), **_endpoint(chosen.get("endpoint"), resource)}
    endpoint["paginator"] = "single_page"
    endpoint.pop("response_actions", None)
    whole = {**defaults, **{key: chosen[key] for key in ("name", "primary_key", "write_disposition") if key in chosen}}
    found: dict[str, Any] = _plain({"client": {"base_url": address}, "resources": [{**whole, "endpoint": endpoint}]})
    return found


def _endpoint(given: Any, resource: str) -> dict[str, Any]:
    return dict(given) if isinstance(given, Mapping) else {"path": given or resource}


def _plain(value: Any) -> Any:
    """Return a value with something in place of what only a run of the project knows."""
    if isinstance(value, Mapping):
        # a beginning that only a run knows is none
        value = {key: below for key, below in value.items() if key != "initial_value" or not isinstance(below, Unknown)}
        return {str(key): _plain(below) for key, below in value.items()}
    if isinstance(value, list):
        return [_plain(below) for below in value]
    if isinstance(value, Called):
        return _plain({"type": "incremental", **dict(zip(_ORDER, value.args, strict=False)), **value.given})
    if isinstance(value, Joined):
        return "".join(str(_plain(part)) for part in value.parts)
    return "x" if isinstance(value, Unknown) else value
