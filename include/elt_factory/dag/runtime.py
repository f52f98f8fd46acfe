"""What a task needs while it runs: its window and choices, connections, the warehouse, the landing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Literal, cast
from zoneinfo import ZoneInfo

from elt_factory.config.errors import MistakeError
from elt_factory.config.models.source import Config
from elt_factory.config.models.templates import Value
from elt_factory.config.models.values import param_like
from elt_factory.core.connection import Connection
from elt_factory.core.failures import EmptyWindowError, PermanentError, UnknownConnectionError
from elt_factory.core.project import project_root
from elt_factory.core.window import Window, load_id, moment_in
from elt_factory.dag.asset_events import window_of_key
from elt_factory.dag.connection_places import require_places, require_readable_variable
from elt_factory.dag.metrics import count_work
from elt_factory.dag.timetables import end_of, last_interval
from elt_factory.landing.places import LocalPlace, Place
from elt_factory.warehouse.base import Warehouse
from elt_factory.warehouse.kind import ANY_PURPOSE, Purpose
from elt_factory.warehouse.opening import CONNECTION_ID, PATIENCE, open_warehouse, warehouse_name

_WINDOW = ("window_start", "window_end")
LANDING_VARIABLE = "elt_landing"
LANDING_DEFAULT = "data/landing"
PROJECT_VARIABLE = "elt_project"
SHARED, ALERTS = "_shared", "_alerts"  # next to the landings; no source has such a name
LANDING_CONNECTION = "landing"  # opens a landing in object storage; without it the worker's own identity does


@dataclass(frozen=True)
class Run:
    """One DAG run as the tasks obey it: the window it covers and what the trigger form chose."""

    run_id: str
    config: Config
    window: Window
    tables: frozenset[str]
    full_refresh: bool
    params: Mapping[str, Value] = field(default_factory=dict)
    replay_rejects: bool = False
    dismiss_rejects: str = ""  # why; the run does nothing else

    def table_window(self, table: str) -> Window:
        """Return the window a table is loaded for; a full refresh begins where the table's data begin.

        One of a history by snapshots is the snapshot at the window's end: those before it are not part of it.
        """
        spec = self.config.all_tables[table]
        incremental = spec.incremental
        if not self.full_refresh or (spec.write_disposition == "scd2" and incremental is None):
            return self.window
        initial = incremental.initial if incremental and not isinstance(incremental.initial, int) else None
        # a cursor without a zone has a clock of its own, and begins by it
        zone = (spec.cursor_zone if initial else None) or self.config.timezone
        start = _in_zone(datetime.fromisoformat(str(initial or self.config.start_date)), zone)
        return Window(min(start, self.window.start), self.window.end)

    def load_id(self, table: str) -> str:
        """Return the id of a table's load in this run."""
        return load_id(self.config.name, table, self.table_window(table))


def run_of(context: Mapping[str, Any], config: Config) -> Run:
    """Read the run's window and choices from Airflow's context.

    Raises:
        EmptyWindowError: the run has no window, or one of no width.
        PermanentError: the form names a table that is not there, or a time that is not one.
    """
    params = context["params"]
    chosen = frozenset(params.get("tables") or config.all_tables)
    unknown = chosen - set(config.all_tables)
    if unknown:
        raise PermanentError(
            f"{config.name}: unknown tables in the trigger form: {', '.join(sorted(unknown))}; "
            f"the config has {', '.join(config.all_tables) or 'none'}"
        )
    start, end = _window_ends(context, config)
    try:
        window = Window(start, end)
    except ValueError as error:
        # also when Airflow's own interval is: on the day that skips the hour of the schedule
        raise EmptyWindowError(f"{config.name}: {error}; set window_start and window_end in the form") from error
    return Run(
        context["run_id"],
        config,
        window,
        chosen,
        bool(params.get("full_refresh")),
        _given(params, config),
        bool(params.get("replay_rejects")),
        str(params.get("dismiss_rejects") or "").strip(),
    )


def _given(params: Mapping[str, Any], config: Config) -> dict[str, Value]:
    """Return the config's own params as the run has them: of the type of their defaults, as the form asks for them."""
    given = {}
    for name, default in config.params.items():
        value = given[name] = params.get(name, default)
        try:
            param_like(default, value)
        except MistakeError as error:
            raise PermanentError(f"{config.name}: the param {name}: {error}") from None
    return given


def _window_ends(context: Mapping[str, Any], config: Config) -> tuple[datetime, datetime]:
    params = context["params"]
    given = tuple(params.get(name) for name in _WINDOW)
    if all(given):
        start, end = (_chosen(config, name, str(text)) for name, text in zip(_WINDOW, given, strict=True))
        return start, end
    if any(given):
        raise EmptyWindowError(f"{config.name}: set both window_start and window_end, or neither")
    run = context["dag_run"]
    if loaded := window_of_key(context.get("partition_key")):
        return loaded.start, loaded.end
    start, end = run.data_interval_start, run.data_interval_end
    # without a schedule Airflow gives an interval of no width
    if start and end and (config.timetable or start < end):
        return start, end
    if config.timetable:
        return last_interval(config, run.run_after)
    return _everything(config, run.run_after)


def _chosen(config: Config, name: str, text: str) -> datetime:
    try:
        return moment_in(text, config.timezone)
    except ValueError as error:
        raise PermanentError(f"{config.name}: {name}: {error}") from None


def _everything(config: Config, now: datetime) -> tuple[datetime, datetime]:
    """All there is, where reading it again does no harm."""
    appending = sorted(name for name, table in config.all_tables.items() if table.write_disposition == "append")
    if appending:
        raise EmptyWindowError(
            f"{config.name} has no schedule, so its runs have no window, and {', '.join(appending)} would be appended "
            "twice; set window_start and window_end in the form, or set a schedule"
        )
    return _in_zone(datetime.fromisoformat(str(config.start_date)), config.timezone), min(now, end_of(config) or now)


def _in_zone(moment: datetime, zone: str) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(zone))


def get_connection(conn_id: str) -> Connection:
    """Return an Airflow connection by id.

    Raises:
        UnknownConnectionError: there is none.
        ConnectionsUnavailableError: where it may be cannot be read.
        PermanentError: a variable of the environment holds one that is not valid.
    """
    found = _find_connection(conn_id)
    if found is None:
        require_places(conn_id)
        raise UnknownConnectionError(
            f'unknown Airflow connection "{conn_id}"; create it under Admin > Connections or in airflow_settings.yaml'
        )
    return found


def _find_connection(conn_id: str) -> Connection | None:
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    require_readable_variable(conn_id)
    try:
        found = BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        return None
    connection = as_connection(conn_id, found)
    _mask(connection)
    return connection


def as_connection(conn_id: str, found: Any) -> Connection:
    """Return a connection as Airflow has it, of its SDK or of its database."""
    return Connection(
        conn_id=conn_id,
        conn_type=found.conn_type or "",
        host=found.host,
        port=found.port,
        schema=found.schema,
        login=found.login,
        password=found.password,
        extra=cast("Mapping[str, Any]", found.extra_dejson),
    )


def _mask(connection: Connection) -> None:
    """Let Airflow mask the connection's secrets in every log and XCom, in each form that they may have."""
    from airflow.sdk.log import mask_secret

    from elt_factory.extract.label import secrets_of

    for form in secrets_of(connection):
        mask_secret(form)


def purpose(run: Run, step: Literal["load", "quality"], table: str = "", says: str = "") -> Purpose:
    """Return what a run opens the warehouse for: what its statements say of themselves, and on which virtual warehouse.

    `says` is what they say where it is not the step itself: a sensor works where the checks do.
    """
    config = run.config
    tag = {"source": config.name, "table": table, "dag": config.name, "run": run.run_id, "step": says or step}
    if table:
        tag["load"] = run.load_id(table)
    return Purpose(tag, getattr(config.warehouse, step, None))


def warehouse(purpose: Purpose = ANY_PURPOSE, patience: float = PATIENCE) -> Warehouse:
    """Open the warehouse behind the connection of that name; the type of the connection picks which.

    A DuckDB file that another process has is waited for, `patience` seconds.
    """
    import logging

    # waiting for the file is reported where people look: the task's log
    log = logging.getLogger("elt_factory.warehouse").info
    opened = open_warehouse(get_connection(CONNECTION_ID), project_root(), log, patience, purpose)
    if purpose.tag:
        opened.when_done = partial(count_work, purpose)
    return opened


def landing_place(source: str, table: str) -> Place:
    """Where the landings of a table are. Raises as `landing_root` does."""
    return landing_root().below(source, table)


def shared_place() -> Place:
    """Where the workers of all machines agree on something. Raises as `landing_root` does."""
    return landing_root().below(SHARED)


def landing_root() -> Place:
    """Where all landings are: the folder or URL that the Variable `elt_landing` says.

    Raises:
        AccessDeniedError: the URL is of no storage that we know, or the connection `landing` does not fit it.
    """
    from airflow.sdk import Variable

    from elt_factory.core.stores import is_url
    from elt_factory.landing.remote import open_place

    base = str(Variable.get(LANDING_VARIABLE, default=LANDING_DEFAULT))
    if is_url(base):
        return open_place(base, _find_connection(LANDING_CONNECTION))
    return LocalPlace(project_root() / base)


def project_name() -> str:
    """Whose landings these are: the Variable `elt_project`, else the warehouse that they are loaded into.

    The warehouse is the same for every worker and survives deploys, wherever the project's folder is: an account and a
    database of Snowflake, or a DuckDB file.
    """
    from airflow.sdk import Variable

    named = Variable.get(PROJECT_VARIABLE, default=None)
    return str(named) if named else warehouse_name(get_connection(CONNECTION_ID), project_root())
