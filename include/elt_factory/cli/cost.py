"""`elt cost`: credits by source, step or day on Snowflake, with what was idle; elsewhere the seconds of tasks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from elt_factory.cli.choices import choice
from elt_factory.cli.names import config_names
from elt_factory.cli.opening import opened_warehouse
from elt_factory.cli.output import AsJson, print_json, refuse_unknown, say, warn
from elt_factory.cli.tables import screen
from elt_factory.config.loading import load_folder
from elt_factory.core.project import config_folder

if TYPE_CHECKING:
    from elt_factory.config.models.budget import Budget, Unit
    from elt_factory.config.models.source import Config
    from elt_factory.warehouse.base import Warehouse
    from elt_factory.warehouse.spending import Bill, Meter

By = Literal["source", "step", "day"]
_ENOUGH = 0.02  # of what was metered: more than that without a query is said


@dataclass(frozen=True)
class Row:
    """What a source, a step or a day cost."""

    name: str
    seconds: float
    credits: float | None = None
    queries: int | None = None


@dataclass(frozen=True)
class Costs:
    """What a time has cost: by what was asked for, and on Snowflake the rest of the bill, each part named."""

    since: datetime
    until: datetime
    by: By
    unit: Unit
    rows: Sequence[Row]
    rest: dict[str, float] = field(default_factory=dict)
    metered: float | None = None


def cost(
    name: Annotated[str | None, typer.Argument(help="Only of this config.", autocompletion=config_names)] = None,
    by: Annotated[By, choice("--by", words=get_args(By), say="What a line is.")] = "source",
    days: Annotated[int, typer.Option(min=1, max=365, help="Days to look back.")] = 30,
    as_json: AsJson = False,
) -> None:
    """Show what sources cost: credits on Snowflake, elsewhere seconds of tasks; and what is used of each budget.

    Snowflake's figures are complete up to about eight hours ago. Idle time of virtual warehouses has a line of its own.
    """
    configs = {item.config.name: item.config for item in load_folder(config_folder()).configs}
    if name is not None and name not in configs:
        refuse_unknown(name, configs)
    until = datetime.now(UTC)
    since = until - timedelta(days=days)
    chosen = [configs[name]] if name else list(configs.values())
    with opened_warehouse() as warehouse:
        from elt_factory.dag.runtime import get_connection
        from elt_factory.warehouse.opening import CONNECTION_ID, kind_of

        meter = kind_of(get_connection(CONNECTION_ID)).meter
        budgets = [_budget(warehouse, meter, config, config.budget, until) for config in chosen if config.budget]
        bill = meter.bill(warehouse, since, until) if meter else None
    found = billed(bill, by, since, until, name) if bill else _seconds([c.name for c in chosen], by, since, until)
    if as_json:
        print_json(_entry(found, budgets))
    else:
        _show(found, budgets)


def billed(bill: Bill, by: By, since: datetime, until: datetime, name: str | None = None) -> Costs:
    """Return the lines of a bill: of one source what is its own, of all of them everything that was metered."""
    parts: dict[str, list[Any]] = defaultdict(list)
    for one in bill.spent:
        if name in (None, one.source):
            parts[_key(one, by)].append(one)
    rows = [
        Row(key, sum(p.seconds for p in found), sum(p.credits for p in found), sum(p.queries for p in found))
        for key, found in parts.items()
    ]
    rest = {
        "other queries": bill.other_queries,
        "idle": bill.idle,
        "cloud services": bill.cloud_services,
        "not attributed": bill.not_attributed,
    }
    ordered = _ordered(rows, by)
    of_one = Costs(since, until, by, "credits", ordered)
    return of_one if name else replace(of_one, rest=rest, metered=bill.credits)


def _seconds(names: Sequence[str], by: By, since: datetime, until: datetime) -> Costs:
    """Return the seconds of tasks, as the page counts them."""
    from elt_factory.diagnosis import task_seconds
    from elt_factory.diagnosis.gather import here

    opened = here().session
    found: dict[str, float] = defaultdict(float)
    if opened:
        with opened() as session:
            for task in task_seconds.since(session, names, since):
                found[_key(task, by)] += task.seconds
    return Costs(since, until, by, "seconds", _ordered((Row(key, seconds) for key, seconds in found.items()), by))


def _key(one: Any, by: By) -> str:
    return str(getattr(one, by)) or "(no step)"


def _ordered(rows: Iterable[Row], by: By) -> list[Row]:
    """Return days in their order, all else by what costs most."""
    if by == "day":
        return sorted(rows, key=lambda row: row.name)
    return sorted(rows, key=lambda row: (-(row.credits or 0), -row.seconds, row.name))


def _budget(warehouse: Warehouse, meter: Meter | None, config: Config, budget: Budget, now: datetime) -> dict[str, Any]:
    from elt_factory.warehouse.spending import used

    began = budget.began(now, config.timezone)
    return {
        "source": config.name,
        "unit": budget.unit,
        "per": budget.per,
        "limit": budget.limit,
        "used": used(warehouse, meter, config.name, budget, began),
        "since": began,
        "severity": budget.severity,
    }


def _entry(costs: Costs, budgets: Sequence[dict[str, Any]]) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "since": costs.since,
        "until": costs.until,
        "by": costs.by,
        "unit": costs.unit,
        "rows": [{costs.by: row.name, **_figures(row)} for row in costs.rows],
        "budgets": list(budgets),
    }
    if costs.metered is not None:
        entry |= {part.replace(" ", "_"): value for part, value in costs.rest.items()} | {"metered": costs.metered}
    return entry


def _figures(row: Row) -> dict[str, Any]:
    if row.credits is None:
        return {"seconds": row.seconds}
    return {"credits": row.credits, "seconds": row.seconds, "queries": row.queries}


def _show(costs: Costs, budgets: Sequence[dict[str, Any]]) -> None:
    if not costs.rows:
        say(f"Nothing has run since {costs.since:%Y-%m-%d}.")
    else:
        screen().print(_table(costs))
    for budget in budgets:
        spent = "unknown" if budget["used"] is None else f"{budget['used']:,.2f}"
        say(f"budget of {budget['source']}: {spent} of {budget['limit']:g} {budget['unit']} of this {budget['per']}")
    if costs.metered and abs(costs.rest["not attributed"]) > _ENOUGH * costs.metered:
        share = costs.rest["not attributed"] / costs.metered
        warn(f"{share:.1%} of what was metered is not attributed to queries yet; ask again in some hours")


def _table(costs: Costs) -> Table:
    in_credits = costs.unit == "credits"
    heads = (costs.by, "credits", "share", "seconds", "queries") if in_credits else (costs.by, "seconds", "share")
    table = Table(box=SIMPLE_HEAD)
    for index, head in enumerate(heads):
        table.add_column(head, justify="left" if index == 0 else "right")
    whole = costs.metered or sum(row.credits if in_credits and row.credits else row.seconds for row in costs.rows)
    for row in costs.rows:
        if row.credits is None:
            table.add_row(row.name, f"{row.seconds:,.1f}", _share(row.seconds, whole))
        else:
            shown = f"{row.credits:,.4f}", _share(row.credits, whole), f"{row.seconds:,.1f}", f"{row.queries:,}"
            table.add_row(row.name, *shown)
    for part, credits_used in costs.rest.items():
        table.add_row(f"({part})", f"{credits_used:,.4f}", _share(credits_used, whole), "", "")
    if costs.metered is not None:
        table.add_row("metered", f"{costs.metered:,.4f}", _share(costs.metered, whole), "", "")
    return table


def _share(part: float, whole: float) -> str:
    return f"{part / whole:.1%}" if whole else ""
