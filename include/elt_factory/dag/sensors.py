"""One sensor operator for everything a run waits for; a probe per kind says whether it is ready, and why not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, BaseSensorOperator
from airflow.sdk.exceptions import AirflowSensorTimeout

from elt_factory.checks.freshness import Limits, Verdict
from elt_factory.config.sensors import Sensor
from elt_factory.config.source import Config, RestSource
from elt_factory.config.values import format_duration
from elt_factory.dag.asset_events import remember, still_unloaded
from elt_factory.dag.runtime import Run, get_connection, purpose, run_of, warehouse
from elt_factory.failures import AccessDeniedError, EltError, TransientError
from elt_factory.private import private_files
from elt_factory.project import project_root

if TYPE_CHECKING:
    from airflow.sdk import Context

_PROBE_TIME = timedelta(seconds=30)
_REFUSALS = (401, 403)
LONGEST_PAUSE = timedelta(minutes=15)


class ReadySensor(BaseSensorOperator):
    """Wait until one thing is ready. Between two looks, whose pauses grow, the task gives its worker slot back.

    Args:
        config: The config whose run waits.
        sensor: What to wait for.
        tables: For a source: the tables it loads by its own config, where that is known.
    """

    ui_color = "#e6f7e9"

    def __init__(self, *, config: Config, sensor: Sensor, tables: tuple[str, ...] = (), **kwargs: Any) -> None:
        super().__init__(
            mode="reschedule",
            poke_interval=sensor.poke_interval.total_seconds(),
            timeout=sensor.timeout.total_seconds(),
            # a look may wake a warehouse up: who waits for hours looks ever less often
            exponential_backoff=True,
            max_wait=longest_pause(sensor),
            **kwargs,
        )
        self.config = config
        self.sensor = sensor
        self.tables = tables
        self.told = ""  # what it saw last, for who watches the run

    def execute(self, context: Context) -> Any:
        """Look, and give the slot back until the next look; a time-out says what it waited for."""
        try:
            return super().execute(context)
        except AirflowSensorTimeout as error:
            waited = format_duration(self.sensor.timeout)
            raise AirflowSensorTimeout(f"{self.told}; it did not come within {waited}") from error

    def poke(self, context: Context) -> bool:
        """Look once; what is not ready yet is told in the log with its reason."""
        verdict = still_unloaded(context, self._assets) or self._probe(context)
        self.told = verdict.message
        self.log.info("%s: %s", "ready" if verdict.holds else "not ready yet", verdict.message)
        return verdict.holds

    def _probe(self, context: Context) -> Verdict:
        run, asked = run_of(context, self.config), datetime.now(UTC)
        try:
            with private_files():
                verdict = _PROBES[self.sensor.kind](self.sensor, run, self.tables)
        except TransientError as error:
            # a source that is down is what this sensor waits out
            return Verdict(False, str(error))
        if self._assets:
            remember(context, verdict, asked)
        return verdict

    @property
    def _assets(self) -> list[Asset]:
        return [inlet for inlet in self.inlets if isinstance(inlet, Asset)]


def longest_pause(sensor: Sensor) -> timedelta:
    """Up to which pause the time between two looks grows: ten times the first, a quarter of an hour at most."""
    return max(sensor.poke_interval, min(10 * sensor.poke_interval, LONGEST_PAUSE))


def _http(sensor: Sensor, run: Run, _: tuple[str, ...]) -> Verdict:
    from elt_factory.config.extract import NoAuth, RestApi
    from elt_factory.extract.http import Answer, HttpClient
    from elt_factory.extract.subject import Subject, secrets_of

    connection = get_connection(sensor.spec.connection)
    subject = Subject(run.config.name, "http sensor", secrets_of(connection))
    api = run.config.extract if isinstance(run.config, RestSource) else None
    # the source's own server gets the source's own key; any other server gets none
    if api is None or api.connection != sensor.spec.connection:
        api = RestApi(type="rest_api", connection=sensor.spec.connection, auth=NoAuth(type="none"))
    with HttpClient(api.model_copy(update={"timeout": _PROBE_TIME}), connection, subject) as client:
        url, answer = client.shown_at(sensor.spec.path), client.probe(sensor.spec.path)
    if not isinstance(answer, Answer):
        return Verdict(False, subject.clean(f"{run.config.name}: {url} does not answer: {answer}"))
    if answer.status in _REFUSALS:
        hint = f'check the login and password of the connection "{connection.conn_id}", and auth: in the config'
        raise subject.error(AccessDeniedError, f"{url} answered {answer.status}", hint)
    return Verdict(answer.is_success, f"{run.config.name}: {url} answered {answer.status}")


def _file(sensor: Sensor, run: Run, _: tuple[str, ...]) -> Verdict:
    from elt_factory.extract.files import matching_files, source_folder
    from elt_factory.extract.subject import Subject

    connection = get_connection(sensor.spec.connection) if sensor.spec.connection else None
    try:
        folder = source_folder(connection, None, project_root())
        found = matching_files(folder, sensor.spec.path, run.window, run.config.timezone)
    except EltError as error:
        raise Subject(run.config.name, "file sensor").error(type(error), str(error)) from None
    return Verdict(True, f"{run.config.name}: {len(found)} files match {sensor.spec.path}")


def _sql(sensor: Sensor, run: Run, _: tuple[str, ...]) -> Verdict:
    from elt_factory.extract.sql import first_value
    from elt_factory.extract.subject import Subject, secrets_of

    connection = get_connection(sensor.spec.connection)
    subject = Subject(run.config.name, "sql sensor", secrets_of(connection))
    value = first_value(connection, project_root(), sensor.spec.query, subject)
    return Verdict(bool(value), f"{run.config.name}: {sensor.spec.query.strip()} answered {value!r}")


def _freshness(sensor: Sensor, run: Run, _: tuple[str, ...]) -> Verdict:
    from elt_factory.checks.freshness import fresh, window_committed

    spec, name = sensor.spec, run.config.name
    if spec.table not in run.tables:
        return Verdict(True, f"{name}.{spec.table} is not part of this run")
    limits = Limits(spec.business_date_within, spec.loaded_within)
    with warehouse(purpose(run, "quality", spec.table)) as opened:
        committed = window_committed(opened, name, spec.table, run.window)
        if not committed.holds:
            return committed
        return fresh(opened, name, spec.table, run.window, limits, run.config.timezone)


def _source(sensor: Sensor, run: Run, tables: tuple[str, ...]) -> Verdict:
    from elt_factory.checks.freshness import all_of, fresh, window_checked

    spec = sensor.spec
    awaited = spec.tables or tables
    if not awaited:
        # its config is broken or gone: nothing would say that it is late
        return Verdict(False, f"{run.config.name}: no table of the source {spec.name} is known; is its config right?")
    limits = Limits(business_date_within=spec.business_date_within)
    verdicts = []
    with warehouse(purpose(run, "quality")) as opened:
        for table in awaited:
            checked = window_checked(opened, spec.name, table, run.window)
            verdicts.append(checked)
            if checked.holds and limits.business_date_within:
                verdicts.append(fresh(opened, spec.name, table, run.window, limits, run.config.timezone))
    return all_of(verdicts)


_PROBES: Mapping[str, Callable[[Sensor, Run, tuple[str, ...]], Verdict]] = {
    "http": _http,
    "file": _file,
    "sql": _sql,
    "freshness": _freshness,
    "source": _source,
}
