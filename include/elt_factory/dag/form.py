"""The trigger form: which tables, everything again, another window."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param

from elt_factory.config.models.source import Config
from elt_factory.config.models.templates import Value

# Airflow checks a run's form against this when the run is triggered, so 30 February and the years 1 and 9999 get no
# further. A field of format date-time would have Airflow's picker, which reads what is picked in the zone that the UI
# shows and sends it in UTC: five hours off where the field says New York.
_LEAP_YEAR = "(?:[12][0-9](?:0[48]|[2468][048]|[13579][26])|(?:1[26]|2[048])00)"
_DAY = (
    "(?:[12][0-9]{3}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    f"|02-(?:0[1-9]|1[0-9]|2[0-8]))|{_LEAP_YEAR}-02-29)"
)
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,6})?)?"
_OFFSET = "(?:Z|[+-](?:0[0-9]|1[0-4]):?[0-5][0-9])"
MOMENT = f"^(?:{_DAY}(?:[T ]{_TIME}{_OFFSET}?)?)?$"


def form(config: Config) -> dict[str, Param]:
    """Return the params of a config's DAG, as the UI shows them."""
    window = {
        "window_start": _moment(
            f"Window start ({config.timezone})",
            f"Included, in {config.timezone}: 2013-01-31 or 2013-01-31T06:00. An offset or Z at its end names another "
            "zone. Leave both empty for the run's own window.",
        ),
        "window_end": _moment(f"Window end ({config.timezone})", f"Excluded, in {config.timezone}."),
    }
    own = {name: Param(default, title=name, **_schema(default)) for name, default in config.params.items()}
    tables = list(config.all_tables)
    if not tables:
        return {**own, **window}
    return {
        "tables": Param(
            tables,
            type="array",
            items={"type": "string", "enum": tables},
            examples=tables,
            title="Tables",
            description="Tables to load. The others are skipped.",
        ),
        "full_refresh": Param(
            False,
            type="boolean",
            title="Full refresh",
            description="Reload the tables from the beginning and replace existing rows.",
        ),
        "replay_rejects": Param(
            False,
            type="boolean",
            title="Replay rejects",
            description="For use after the YAML was corrected: after the load, put the open rejects of the tables "
            "through the contract again and load what is valid now.",
        ),
        "dismiss_rejects": Param(
            None,
            type=["null", "string"],
            maxLength=500,
            title="Dismiss rejects",
            description="Why the open rejects of the tables need not be loaded. With a reason the run closes them, and "
            "loads nothing.",
        ),
        **own,
        **window,
    }


def _schema(default: Value) -> dict[str, Any]:
    """Return what a run may say in the place of a param's default: a value of its type."""
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string"}
    return {"type": kinds[type(default)]}


def _moment(title: str, description: str) -> Param:
    return Param(None, title=title, description=description, type=["null", "string"], pattern=MOMENT)
