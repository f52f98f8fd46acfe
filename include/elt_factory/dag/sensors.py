"""One sensor operator for everything a run waits for; the kind of the sensor says whether it is ready, and why not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, BaseSensorOperator
from airflow.sdk.exceptions import AirflowSensorTimeout

from elt_factory.config.models.durations import format_duration
from elt_factory.config.models.sensors import SENSORS, Sensor
from elt_factory.config.models.source import Config
from elt_factory.core.failures import TransientError
from elt_factory.core.private import private_files
from elt_factory.core.project import project_root
from elt_factory.core.verdict import Verdict
from elt_factory.dag.asset_events import remember, still_unloaded
from elt_factory.dag.runtime import get_connection, purpose, run_of, warehouse
from elt_factory.sensors.kind import Look, SensorKind

if TYPE_CHECKING:
    from airflow.sdk import Context

LONGEST_PAUSE = timedelta(minutes=15)


class ReadySensor(BaseSensorOperator):
    """Wait until one thing is ready. Between two looks, whose pauses grow, the task gives its worker slot back.

    Args:
        config: The config whose run waits.
        sensor: What to wait for.
        tables: The tables of the warehouse that it waits for, where they are known.
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
            raise AirflowSensorTimeout(f"{self.told}; timed out after {waited}") from error

    def poke(self, context: Context) -> bool:
        """Look once; what is not ready yet is reported in the log with its reason."""
        verdict = still_unloaded(context, self._assets) or self._probe(context)
        self.told = verdict.message
        self.log.info("%s: %s", "ready" if verdict.holds else "not ready yet", verdict.message)
        return verdict.holds

    def _probe(self, context: Context) -> Verdict:
        kind: SensorKind = SENSORS.get(self.sensor.kind)
        run, asked = run_of(context, self.config), datetime.now(UTC)
        look = Look(
            config=self.config,
            window=run.window,
            chosen=run.tables,
            awaited=self.tables,
            project=project_root(),
            connection=get_connection,
            warehouse=lambda table: warehouse(purpose(run, "quality", table)),
        )
        try:
            with private_files():
                verdict = kind.poke(self.sensor.spec, look)
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
