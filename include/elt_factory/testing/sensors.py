"""What every kind of sensor must do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest

from elt_factory.config.loading import load_config
from elt_factory.config.models.sensors import SENSORS, Sensor, Stage
from elt_factory.config.models.source import Config
from elt_factory.core.connection import Connection
from elt_factory.core.failures import PermanentError
from elt_factory.core.verdict import Verdict
from elt_factory.core.window import Window
from elt_factory.dag.runtime import Run
from elt_factory.dag.waiting import Waiting
from elt_factory.describe.reference import reference
from elt_factory.describe.schema import config_schema
from elt_factory.sensors.kind import Look, SensorKind
from elt_factory.warehouse.base import Warehouse
from elt_factory.warehouse.duckdb.warehouse import DuckDBWarehouse

_CONFIG = """
name: tiny
start_date: 2013-01-01
extract: {{type: files, folder: inbox}}
tables: {{input: {{path: input.csv, primary_key: [id], write_disposition: merge, business_date: at}}}}
sensors: {{{stage}: [{sensor}]}}
"""


class SensorSuite:
    """A kind of sensor.

    Subclass it, and set the sensor as YAML has it. `make_ready` lets what it waits for be there; before that it is not.
    The config of the sensor is called `tiny`, has one table, `input`, and its run covers the first week of 2013.
    """

    sensor: ClassVar[dict[str, Any]]
    stage: ClassVar[Stage] = "before_extract"
    awaited: ClassVar[tuple[str, ...]] = ()
    window: ClassVar[Window] = Window(datetime(2013, 1, 1, tzinfo=UTC), datetime(2013, 1, 8, tzinfo=UTC))

    def make_ready(self) -> None:
        """Let what the sensor waits for be there."""
        raise NotImplementedError

    def connections(self) -> Mapping[str, Connection]:
        """Return the Airflow connections that a look may use, by their ids."""
        return {}

    @pytest.fixture(autouse=True)
    def _given(self, tmp_path: Path) -> None:
        self.folder = tmp_path
        self.runs: dict[str, int] = {}
        self.updates: dict[str, datetime] = {}
        file = tmp_path / "tiny.yaml"
        file.write_text(_CONFIG.format(stage=self.stage, sensor=json.dumps(self.sensor)))
        self.config: Config = load_config(file).config

    @property
    def made(self) -> Sensor:
        """The sensor."""
        found: Sensor = getattr(self.config.sensors, self.stage)[0]
        return found

    @property
    def kind(self) -> SensorKind:
        """The kind that the sensor names."""
        found: SensorKind = SENSORS.get(self.made.kind)
        return found

    def open_warehouse(self, table: str = "") -> AbstractContextManager[Warehouse]:  # noqa: ARG002 - as a look opens it
        """Open the warehouse, a file of the test's own."""
        return DuckDBWarehouse(self.folder / "warehouse.duckdb", log=lambda _: None)

    def look(self) -> Verdict:
        """Look once."""
        return self.kind.poke(self.made.spec, self._look())

    def _look(self) -> Look:
        return Look(
            config=self.config,
            window=self.window,
            chosen=frozenset(self.config.all_tables),
            awaited=self.awaited,
            project=self.folder,
            connection=self._connection,
            warehouse=self.open_warehouse,
            dag_runs=lambda _, __: self.runs,
            updated=lambda asset, _: self.updates.get(asset),
        )

    def _connection(self, conn_id: str) -> Connection:
        try:
            return self.connections()[conn_id]
        except KeyError:
            raise PermanentError(f"no connection {conn_id}") from None

    def test_it_is_not_ready_until_it_is_and_says_why(self) -> None:
        before = self._seen()
        self.make_ready()
        after = self.look()
        assert (before.holds, after.holds) == (False, True), (before, after)
        for said in (before.message, after.message):
            # the line of the log is one line, and says whose it is
            assert said
            assert "\n" not in said
        assert before.message != after.message

    def _seen(self) -> Verdict:
        """Return what a look says, as the sensor sees it: what waiting may heal is not ready."""
        made = Waiting(self.config, self.made, self._run(), self.awaited)
        return made.seen_by(self._look()).verdict

    def _run(self) -> Run:
        return Run("r1", self.config, self.window, frozenset(self.config.all_tables), full_refresh=False)

    def test_the_triggerer_gets_all_of_it(self) -> None:
        made = Waiting(self.config, self.made, self._run(), self.awaited)
        assert Waiting.of_stored(json.loads(json.dumps(made.stored()))) == made

    def test_it_has_words_and_a_name_for_its_task(self) -> None:
        assert self.made.words
        about = self.kind.about(self.made.spec)
        assert all(sign.isalnum() or sign in "_.-" for sign in about)

    def test_it_is_in_the_schema_and_in_the_reference(self) -> None:
        assert self.kind.name in config_schema()["definitions"]["Sensor"]["properties"]
        assert f"| `{self.kind.name}` |" in reference()
