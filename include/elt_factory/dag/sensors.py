"""One sensor operator for everything a run waits for; the kind of the sensor says whether it is ready, and why not."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator
from airflow.sdk.exceptions import AirflowSensorTimeout, AirflowSkipException, TaskDeferralTimeout

from elt_factory.config.models.durations import format_duration
from elt_factory.config.models.sensors import Sensor
from elt_factory.config.models.source import Config
from elt_factory.core.failures import EltError
from elt_factory.dag.runtime import run_of, warehouse
from elt_factory.dag.skipping import skip_what_follows
from elt_factory.dag.task_notes import keep_seen
from elt_factory.dag.waiting import Waiting

if TYPE_CHECKING:
    from airflow.sdk import Context

# what a triggerer that is down may be late before the scheduler ends the wait in its place
_GRACE = timedelta(minutes=10)


class ReadySensor(BaseSensorOperator):
    """Wait until one thing is ready: after one look here the triggerer looks, and no worker is held.

    Args:
        config: The config whose run waits.
        sensor: What to wait for.
        tables: The tables of the warehouse that it waits for, where they are known.
    """

    ui_color = "#e6f7e9"

    def __init__(self, *, config: Config, sensor: Sensor, tables: tuple[str, ...] = (), **kwargs: Any) -> None:
        super().__init__(
            poke_interval=sensor.poke_interval.total_seconds(), timeout=sensor.timeout.total_seconds(), **kwargs
        )
        self.config = config
        self.sensor = sensor
        self.tables = tables
        self.told = ""  # what it saw last, for who watches the run

    def execute(self, context: Context) -> None:
        """Look once, and let the triggerer look from then on."""
        self._wait(context, datetime.now(UTC))

    def _wait(self, context: Context, began: datetime) -> None:
        from elt_factory.dag.ready_trigger import ReadyTrigger

        waiting, until = self._waiting(context), began + self.sensor.timeout
        if waiting.run.dismiss_rejects:
            self.log.info("the run dismisses rejects and loads nothing: there is nothing to wait for")
            return
        seen = waiting.look()
        self.told = seen.verdict.message
        self.log.info(waiting.line(seen.verdict, until))
        if seen.verdict.holds:
            return
        keep_seen(context, f"{self.sensor.words}; {self.told}", until)
        left = until - datetime.now(UTC)
        if left <= timedelta():
            self._give_up(context)
            return
        self.defer(
            trigger=ReadyTrigger.of(waiting, began, until, seen),
            method_name=self.after_waiting.__name__,
            timeout=left + _GRACE,
        )

    def after_waiting(self, context: Context, event: Mapping[str, str]) -> None:
        """Do what the triggerer found: the run continues, the time is up, or a look must be had here."""
        self.told = event["message"]
        if event["outcome"] == "look_again":
            # an error is reported by who has the task's log and retries
            self._wait(context, datetime.fromisoformat(event["began"]))
        elif event["outcome"] == "timed_out":
            self._give_up(context)
        else:
            self.log.info("ready: %s; %s", self.sensor.words, self.told)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> None:
        """Continue after the wait. One that the scheduler ended, because no triggerer ran, has timed out too."""
        try:
            # not a sensor's own way, which knows nothing of `on_timeout`
            super(BaseSensorOperator, self).resume_execution(next_method, next_kwargs, context)
        except TaskDeferralTimeout:
            self.told = f"{self.sensor.words}: no triggerer has looked; is `airflow triggerer` running?"
            self._give_up(context)

    def poke(self, context: Context) -> bool:
        """Look once."""
        verdict = self._waiting(context).look().verdict
        self.told = verdict.message
        return verdict.holds

    def _waiting(self, context: Context) -> Waiting:
        return Waiting(self.config, self.sensor, run_of(context, self.config), self.tables)

    def _give_up(self, context: Context) -> None:
        """Do what `on_timeout` says."""
        message = f"{self.told}; timed out after {format_duration(self.sensor.timeout)}"
        if self.sensor.on_timeout == "fail":
            raise AirflowSensorTimeout(message)
        if self.sensor.on_timeout == "skip":
            skip_what_follows(self)
            raise AirflowSkipException(message)
        self.told = f"{message}; the run continues without it (on_timeout: continue)"
        self.log.warning("%s: %s", self.sensor.words, self.told)
        self._write_down(context, message)

    def _write_down(self, context: Context, message: str) -> None:
        """Keep the warning where `elt status`, `elt diagnose` and alerts read; without it the run continues too."""
        from elt_factory.checks.run import Result, keep

        awaited = self.sensor.awaited
        table = self.tables[0] if awaited and not awaited.source and len(self.tables) == 1 else ""
        told = Result("sensor", table, self.sensor.words, "warn", "warned", None, message, 0.0)
        try:
            with warehouse() as opened:
                opened.prepare()
                keep(opened, self.config.name, context["run_id"], self.task_id, [told])
        except EltError as error:
            self.log.warning("the warning is not in _elt.quality_results: %s", error)
