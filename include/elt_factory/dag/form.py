"""The trigger form: which tables, everything anew, another window."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param

from elt_factory.config.source import Config
from elt_factory.config.templates import Value


def form(config: Config) -> dict[str, Param]:
    """The params of a config's DAG, as the UI shows them."""
    window = {
        "window_start": _moment(
            "Window start", f"Included. Without an offset it is in {config.timezone}. Empty: the run's own window."
        ),
        "window_end": _moment("Window end", "Not included."),
    }
    own = {name: Param(default, title=name, **_schema(default)) for name, default in config.params.items()}
    tables = list(config.all_tables)
    if not tables:
        return {**own, **window}
    return {
        "tables": Param(
            tables,
            type="array",
            items={"type": "string"},
            examples=tables,
            title="Tables",
            description="The tables to load; the others are skipped.",
        ),
        "full_refresh": Param(
            False,
            type="boolean",
            title="Full refresh",
            description="Read the tables from the beginning and replace what they hold.",
        ),
        **own,
        **window,
    }


def _schema(default: Value) -> dict[str, Any]:
    """What a run may say in the place of a param's default: a value of its type."""
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string"}
    return {"type": kinds[type(default)]}


def _moment(title: str, description: str) -> Param:
    return Param(None, title=title, description=description, type=["null", "string"], format="date-time")
