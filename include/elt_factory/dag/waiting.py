"""What a sensor of a run needs for a look at what it waits for, wherever the look is: a worker, or the triggerer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from elt_factory.config.models.sensors import SENSORS, Sensor
from elt_factory.config.models.source import SOURCES, Config, Source, TransformOnly
from elt_factory.core.failures import TransientError, WarehouseBusyError
from elt_factory.core.private import private_files
from elt_factory.core.project import project_root
from elt_factory.core.verdict import Verdict
from elt_factory.core.window import Window, iso_utc
from elt_factory.dag.airflow_answers import last_update, runs_by_state
from elt_factory.dag.asset_events import Answer, asset_of, marks_of, still_unloaded
from elt_factory.dag.runtime import Run, get_connection, purpose, shared_place, warehouse
from elt_factory.sensors.kind import Look, SensorKind
from elt_factory.warehouse.opening import PATIENCE

LONGEST_PAUSE = timedelta(minutes=15)


class Seen(NamedTuple):
    """What a look saw.

    Args:
        verdict: Whether it is ready, and why not.
        answer: What the warehouse said, where only another load can change it.
        busy: Whether the warehouse could not be looked at, so that the next look is soon.
    """

    verdict: Verdict
    answer: Answer | None = None
    busy: bool = False


@dataclass(frozen=True)
class Waiting:
    """A sensor of a run, with the tables of the warehouse that it waits for, where they are known."""

    config: Config
    sensor: Sensor
    run: Run
    tables: tuple[str, ...] = ()

    def look(self, answer: Answer | None = None, patience: float = PATIENCE) -> Seen:
        """Look once.

        Args:
            answer: The warehouse's last answer, which holds until a load ends.
            patience: Seconds to wait for a DuckDB file that another process has.

        Raises:
            EltError: waiting does not heal it.
        """
        awaited = self.sensor.awaited
        assets = [asset_of(awaited.source or self.config.name, table) for table in self.tables] if awaited else []
        if unchanged := still_unloaded(answer, assets):
            return Seen(unchanged, answer)
        asked, marks = datetime.now(UTC), marks_of(assets) if assets else None
        seen = self.seen_by(self._look(patience))
        verdict = seen.verdict
        return seen._replace(answer=Answer(verdict.message, asked, marks) if verdict.needs_load and assets else None)

    def seen_by(self, look: Look) -> Seen:
        """Return what a look sees: what waiting may heal is not ready yet."""
        kind: SensorKind = SENSORS.get(self.sensor.kind)
        try:
            with private_files():
                return Seen(kind.poke(self.sensor.spec, look))
        except TransientError as error:
            # a source that is down is what this sensor waits out
            return Seen(Verdict(False, str(error)), busy=isinstance(error, WarehouseBusyError))

    def _look(self, patience: float) -> Look:
        return Look(
            config=self.config,
            window=self.run.window,
            chosen=self.run.tables,
            awaited=self.tables,
            project=project_root(),
            connection=get_connection,
            warehouse=lambda table: warehouse(purpose(self.run, "quality", table, "wait"), patience),
            dag_runs=runs_by_state,
            updated=last_update,
            now=lambda: shared_place().now(),
        )

    def line(self, verdict: Verdict, until: datetime) -> str:
        """Return one line: what is waited for, what was seen, until when."""
        if verdict.holds:
            return f"ready: {self.sensor.words}; {verdict.message}"
        return f"not ready yet: {self.sensor.words}; {verdict.message}; waiting until {iso_utc(until)}"

    def stored(self) -> dict[str, Any]:
        """Return what another process makes this of: plain values, and no secrets."""
        run = self.run
        return {
            "config": self.config.model_dump(mode="json", by_alias=True, exclude_unset=True),
            "sensor": self.sensor.model_dump(mode="json", by_alias=True, exclude_unset=True),
            "tables": list(self.tables),
            "run": {
                "run_id": run.run_id,
                "window": [run.window.start.isoformat(), run.window.end.isoformat()],
                "tables": sorted(run.tables),
                "full_refresh": run.full_refresh,
                "params": dict(run.params),
            },
        }

    @classmethod
    def of_stored(cls, stored: Mapping[str, Any]) -> Waiting:
        """Return what was stored."""
        config = _config_of(stored["config"])
        kept = stored["run"]
        window = Window(*(datetime.fromisoformat(moment) for moment in kept["window"]))
        run = Run(kept["run_id"], config, window, frozenset(kept["tables"]), kept["full_refresh"], kept["params"])
        return cls(config, Sensor.model_validate(stored["sensor"]), run, tuple(stored["tables"]))


def longest_pause(sensor: Sensor) -> timedelta:
    """Up to which pause the time between two looks grows: ten times the first, a quarter of an hour at most."""
    return max(sensor.poke_interval, min(10 * sensor.poke_interval, LONGEST_PAUSE))


def pause_after(waited: timedelta, sensor: Sensor) -> timedelta:
    """Return the pause before the next look, after having waited that long.

    As long as the wait so far, so it doubles: that needs no count, which a triggerer that restarts would lose.
    """
    return min(max(waited, sensor.poke_interval), longest_pause(sensor))


def _config_of(stored: Mapping[str, Any]) -> Config:
    if "extract" not in stored:
        return TransformOnly.model_validate(stored)
    found: Source = SOURCES.get(stored["extract"]["type"]).config.model_validate(stored)
    return found
