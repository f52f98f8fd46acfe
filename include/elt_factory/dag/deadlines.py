"""Deadlines (what Airflow 2 called SLAs): what happens near one, and when it is missed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import BaseDeadlineReference, DeadlineAlert, DeadlineReference

from elt_factory.config.models.alerts import AlertEvent, Route
from elt_factory.config.models.deadlines import RUNS, Deadline
from elt_factory.config.models.in_words import deadline_text
from elt_factory.config.models.source import Config
from elt_factory.core.failures import EltError
from elt_factory.core.window import iso_utc
from elt_factory.dag.deadline_references import QueuedDeadline, TimeOfDayDeadline

if TYPE_CHECKING:
    from elt_factory.alerts.kind import Message
    from elt_factory.core.sql_text import Value
    from elt_factory.warehouse.base import Warehouse

log = logging.getLogger(__name__)
Listener = str | Mapping[str, Any]
_DECIDED = {"on", "severity", "owners"}  # what says of a route that it hears of the event
_TURN = ("_elt", "deadline_misses")


def deadline_alerts(config: Config) -> list[DeadlineAlert]:
    """Return the deadlines of a config as Airflow knows them, of its runs and of its tables."""
    found = [("", config.deadline), *((name, table.deadline) for name, table in config.all_tables.items())]
    return [alert for table, deadline in found if deadline for alert in _alerts(config, table, deadline)]


def _alerts(config: Config, table: str, deadline: Deadline) -> Iterator[DeadlineAlert]:
    """Yield what Airflow watches for one deadline: the warning near it, and the miss."""
    # in the triggerer: on the executor (SyncCallback) Airflow 3.3 refuses a callback every stored connection
    subject = f"{config.name}.{table}" if table else config.name
    name = f"{subject} {'loaded' if table else 'done'}: {deadline_text(deadline, config.timezone)}"
    whose = {"source": config.name, **({"table": table} if table else {})}
    if deadline.warn_at is not None:
        reference, interval = _reference(config, deadline, deadline.warn_at)
        hear = {"to": list(to)} if (to := _listeners(config, "deadline_near")) else {}
        warning = AsyncCallback(near, kwargs={**whose, "name": name, "share": deadline.warn_at, **hear})
        named = f"{deadline.warn_at:.0%} of the time for {name}"
        yield DeadlineAlert(name=named, reference=reference, interval=interval, callback=warning)
    reference, interval = _reference(config, deadline, 1.0)
    missed = AsyncCallback(miss, kwargs={**whose, "to": list(_listeners(config, "deadline_missed"))})
    yield DeadlineAlert(name=name, reference=reference, interval=interval, callback=missed)


def _reference(config: Config, deadline: Deadline, share: float) -> tuple[BaseDeadlineReference, timedelta]:
    """Return from when a share of the time is counted, and how long it is."""
    runs = ",".join(deadline.of_runs)
    if deadline.by is not None:
        by, zone = deadline.by.isoformat(), deadline.timezone or config.timezone
        return TimeOfDayDeadline(by=by, zone=zone, share=share, runs=runs), timedelta()
    if deadline.within_usual is not None:
        return QueuedDeadline(usual=deadline.within_usual * share, runs=runs), timedelta()
    interval = (deadline.within or timedelta()) * share
    every = deadline.of_runs == RUNS
    return DeadlineReference.DAGRUN_QUEUED_AT if every else QueuedDeadline(runs=runs), interval


def _listeners(config: Config, event: AlertEvent) -> tuple[Listener, ...]:
    return tuple(_as_kept(route, config.timezone) for route in config.alerts.hears(event, config.owner))


def _as_kept(route: Route, zone: str) -> Listener:
    """Return a route as Airflow keeps it until the deadline: its connection, or what else is written about it."""
    timed = {"timezone": route.timezone or zone} if route.after or route.before else {}
    said = route.model_copy(update=timed).model_dump(mode="json", exclude_defaults=True, exclude=_DECIDED)
    return str(route.to) if set(said) == {"to"} else said


def _routes(to: Sequence[Listener]) -> list[Route]:
    """Return the routes that report now."""
    from elt_factory.dag.alerts import open_now

    return open_now(Route.model_validate({"to": one} if isinstance(one, str) else one) for one in to)


def _message(source: str, event: AlertEvent, text: str, cause: str, run_id: str) -> Message:
    """Return the whole message, or what of it is known where the triggerer cannot read the config."""
    from elt_factory.alerts.kind import Message
    from elt_factory.core.project import config_folder
    from elt_factory.dag.alerts import message_of
    from elt_factory.dag.neighbours import Neighbours

    try:
        neighbours = Neighbours(config_folder())
        config = neighbours.load(neighbours.files_by_name[source][0]).config
        return message_of(config, event, text, cause, run_id)
    except Exception as error:  # noqa: BLE001 - the deadline is missed, whatever else is wrong
        log.warning("the config of %s cannot be read here: %s", source, error)
        return Message(source, event, text, cause, next_step=f"elt diagnose {source}")


async def miss(source: str, to: Sequence[Listener], context: Mapping[str, Any], table: str = "") -> None:
    """Record a missed deadline and send the alert, off the triggerer's event loop, which other triggers share."""
    await asyncio.to_thread(record_miss, source, to, context, table)


async def near(
    source: str, name: str, share: float, context: Mapping[str, Any], table: str = "", to: Sequence[Listener] = ()
) -> None:
    """Warn that a share of the time until a deadline is over, off the triggerer's event loop."""
    await asyncio.to_thread(record_near, source, name, share, context, table, to)


def record_miss(source: str, to: Sequence[Listener], context: Mapping[str, Any], table: str = "") -> None:
    """Tell who wants to know of a missed deadline, and write it to `_elt.deadline_misses`.

    Args:
        source: The config's name.
        to: The listeners.
        context: What the scheduler gives a callback: `dag_run`, the run as the REST API shows it, and `deadline`
            with its `deadline_time`, a datetime or, when it was sent over a wire, text.
        table: The table, where the deadline is one of a table: one that the run has loaded in time has not missed it.
    """
    from elt_factory.dag.alerts import is_first, send
    from elt_factory.warehouse.patience import retrying

    run_id, due = _run_and_moment(context)
    if table and _is_loaded(source, table, run_id, due):
        return
    subject = f"{source}.{table}" if table else source
    text = f"{subject} missed its deadline {iso_utc(due)} in run {run_id}"
    log.error(text)
    # first of all: the warehouse may be what is late
    cause = f"deadline {table}".strip()
    routes = _routes(to)
    whose, ends = f"{run_id} {iso_utc(due)}", context["dag_run"].get("data_interval_end")
    upto = datetime.fromisoformat(ends) if isinstance(ends, str) else ends
    if routes and is_first(source, cause, "deadline_missed", text, whose, routes, upto):
        send(routes, _message(source, "deadline_missed", text, cause, run_id))
    row: dict[str, Value] = {"source": source, "run_id": run_id, "deadline": due, "table_name": table or None}
    retrying(lambda: _write_down(row | {"noticed_at": datetime.now(UTC)}))


def record_near(
    source: str, name: str, share: float, context: Mapping[str, Any], table: str = "", to: Sequence[Listener] = ()
) -> None:
    """Warn in the log, by an alert and in `_elt.quality_results`, unless the table is loaded already."""
    from elt_factory.checks.run import Result, keep
    from elt_factory.dag.alerts import is_first, send
    from elt_factory.dag.runtime import warehouse

    run_id, moment = _run_and_moment(context)
    if table and _is_loaded(source, table, run_id, moment):
        return
    message = f"{share:.0%} of the time is over at {iso_utc(moment)}, and it is not done"
    log.warning("%s: run %s: %s", name, run_id, message)
    text, cause, routes = f"{name}: {message} (run {run_id})", f"near {run_id} {table}".strip(), _routes(to)
    # a triggerer that restarts calls again
    if routes and is_first(source, cause, "deadline_near", text, f"{run_id} {iso_utc(moment)}", routes):
        send(routes, _message(source, "deadline_near", text, cause, run_id))
    found = Result("deadline", table, name, "warn", "warned", None, message, 0.0)
    with warehouse() as opened:
        keep(opened, source, run_id, f"deadline.{table}" if table else "deadline", [found])


def _is_loaded(source: str, table: str, run_id: str, due: datetime) -> bool:
    """Whether a run has loaded a table by then; where the warehouse does not say so, it has not."""
    from elt_factory.dag.runtime import warehouse
    from elt_factory.warehouse import state

    try:
        with warehouse() as opened:
            return state.loaded_by(opened, source, table, run_id, due)
    except EltError as error:
        log.warning("whether %s.%s is loaded is not known: %s", source, table, error)
        return False


def _write_down(row: Mapping[str, Value]) -> None:
    """Write one row, however often and by however many: a triggerer that restarts calls again, and two may run."""
    from elt_factory.dag.runtime import warehouse
    from elt_factory.warehouse import audit

    with warehouse() as opened:
        opened.prepare()
        opened.execute(audit.create_turn(opened.dialect, *_TURN))
        with opened.transaction():
            # who comes second waits here, or begins again, and then sees the row of the first
            opened.execute(audit.take_turn(opened.dialect, *_TURN, str(row["run_id"])))
            opened.execute(_insert_where_missing(opened, row))


def _insert_where_missing(opened: Warehouse, row: Mapping[str, Value]) -> str:
    from elt_factory.warehouse import audit

    d = opened.dialect
    keys = ("source", "run_id", "deadline", "table_name")
    same = " AND ".join(f"{d.name(key)} IS NOT DISTINCT FROM {d.literal(row[key])}" for key in keys)
    known = f"SELECT 1 FROM {audit.relation('deadline_misses').sql(d)} WHERE {same}"
    return f"{audit.insert_row(d, 'deadline_misses', row)} WHERE NOT EXISTS ({known})"


def _run_and_moment(context: Mapping[str, Any]) -> tuple[str, datetime]:
    moment = context["deadline"]["deadline_time"]
    return str(context["dag_run"]["dag_run_id"]), datetime.fromisoformat(moment) if isinstance(moment, str) else moment
