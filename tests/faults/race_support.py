"""An extract task and its load as a process of their own, which can be held at a step while others go on."""

import importlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
from orphans_support import assert_nothing_orphaned

from elt_factory.config.loading import load_config
from elt_factory.core.window import Window
from elt_factory.dag.operators import ExtractOperator, LoadOperator
from elt_factory.dag.runtime import Run, landing_place, project_name
from elt_factory.dag.splitting import PartOperator
from elt_factory.warehouse.duckdb.warehouse import DuckDBWarehouse

YAML = """
name: src
start_date: 2013-01-01
extract: {{type: files, connection: inbox}}
tables:
  tab:
    path: input_%Y-%m-%d*.csv
{more}    write_disposition: {disposition}
    primary_key: [id]
    columns: {{id: {{type: integer}}}}
"""
# what an extract and a load import, most of it where they first need it: in each process that was half of its CPU
IMPORTED = (
    "airflow.providers.common.io.assets.file",
    "airflow.sdk.execution_time.supervisor",
    "duckdb",
    "elt_factory.config.loading",
    "elt_factory.dag.operators",
    "elt_factory.formats.csv",
    "elt_factory.formats.recognised",
    "elt_factory.landing.land",
    "elt_factory.sources.files.reader",
    "elt_factory.sources.read",
    "elt_factory.warehouse.compaction",
    "elt_factory.warehouse.duckdb.warehouse",
    "elt_factory.warehouse.erasing",
    "elt_factory.warehouse.replay",
    "msgspec",
    "pyarrow",
)
# where a task can be held, in the order in which it comes there: a function, and before or after it
STEPS = {
    "begun": ("elt_factory.landing.attempt:Attempt.begin", "after"),
    "read": ("elt_factory.sources.read:read", "after"),
    "parts written": ("elt_factory.landing.land:_write_parts", "after"),
    "manifest to come": ("elt_factory.landing.land:write_manifest", "before"),
    "landed": ("elt_factory.landing.land:write_manifest", "after"),
    "about to load": ("elt_factory.landing.manifest:read_manifest", "before"),
    "manifest read": ("elt_factory.landing.manifest:read_manifest", "after"),
}
# where a load can be held that joins parts
STEPS_OF_JOIN = {
    "parts known": ("elt_factory.landing.joint:join_parts", "before"),
    "join to come": ("elt_factory.landing.joint:exchange_manifest", "before"),
    "joined": ("elt_factory.landing.joint:exchange_manifest", "after"),
}


@dataclass(frozen=True)
class Shop:
    """A project: its source, a landing and a warehouse."""

    folder: Path
    disposition: str
    landing: Mapping[str, str]  # environment variables
    more: str = ""  # lines of the table

    def __post_init__(self) -> None:
        # once, before any process begins: one that reads while this is written would find an empty file
        (self.folder / "src.yaml").write_text(YAML.format(disposition=self.disposition, more=self.more))

    def deliver(self, version: str, ids: range, number: int = 1) -> None:
        """Give the source other content for a day."""
        lines = ["id,v", *(f"{number},{version}" for number in ids)]
        (self.folder / "inbox").mkdir(parents=True, exist_ok=True)
        (self.folder / "inbox" / f"input_2013-01-{number:02}.csv").write_text("\n".join(lines) + "\n")

    def environment(self) -> dict[str, str]:
        connections = {
            "inbox": {"conn_type": "fs", "extra": {"path": str(self.folder / "inbox")}},
            "warehouse": {"conn_type": "duckdb", "host": str(self.folder / "warehouse.duckdb")},
        }
        named = {f"AIRFLOW_CONN_{name.upper()}": json.dumps(fields) for name, fields in connections.items()}
        return {**named, **self.landing, "ELT_PROJECT": str(self.folder)}

    def config(self) -> Any:
        return load_config(self.folder / "src.yaml").config

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.folder / "warehouse.duckdb")) as connection:
            return sorted(connection.execute(statement).fetchall())

    def assert_nothing_left(self) -> None:
        """What all loads so far have left is gone once its retention is over."""
        with pytest.MonkeyPatch.context() as patch, DuckDBWarehouse(self.folder / "warehouse.duckdb") as opened:
            for name, value in self.environment().items():
                patch.setenv(name, value)
            assert_nothing_orphaned(opened, landing_place("src", "tab"), project_name())


def day(number: int) -> Window:
    start = datetime(2013, 1, number, tzinfo=UTC)
    return Window(start, start + timedelta(days=1))


class Pair:
    """One run's extract and load of a window, in a process that begins at once."""

    def __init__(self, context: BaseContext, shop: Shop, name: str, window: Window, hold_at: str | None = None) -> None:
        self._here, there = context.Pipe()
        self._process = context.Process(target=self._target(), args=(shop, name, window, hold_at, there))
        self._process.start()

    def _target(self) -> Callable[..., None]:
        return _work

    def until_held(self) -> None:
        """Wait until the process is at its step."""
        assert self._here.recv() == "held"

    def go_on(self) -> None:
        """Let it go on."""
        self._here.send("go")

    def end(self) -> dict[str, Any]:
        """What extract and load returned, with the error of the one that failed."""
        told = self._here.recv()
        self._process.join()
        return told

    def kill(self) -> None:
        self._process.kill()
        self._process.join()


def _work(shop: Shop, name: str, window: Window, hold_at: str | None, there: Connection) -> None:
    if hold_at:
        _hold(*STEPS[hold_at], there)
    there.send(extracted_and_loaded(shop, name, window))


def extracted_and_loaded(shop: Shop, name: str, window: Window, *, full_refresh: bool = False) -> dict[str, Any]:
    """What the two tasks of a run return in this process, with the error of the one that failed."""
    os.environ |= shop.environment()
    config = load_config(shop.folder / "src.yaml").config
    run = Run(name, config, window, frozenset(config.all_tables), full_refresh=full_refresh)
    told: dict[str, Any] = {}
    try:
        told["extract"] = ExtractOperator(task_id="extract", config=config, table="tab").work(run, {})
        told["load"] = load_alone(run, told["extract"])
    except Exception as error:  # noqa: BLE001 - the test's to judge
        told["error"] = f"{type(error).__name__}: {error}"
    return told


class Joins(Pair):
    """The load of a split table, whose parts are landed already."""

    def __init__(self, context: BaseContext, shop: Shop, told: Any, hold_at: str | None = None) -> None:
        self._told = told
        super().__init__(context, shop, "run", day(1), hold_at)

    def _target(self) -> Callable[..., None]:
        return partial(_join, self._told)


def _join(parts: Any, shop: Shop, name: str, window: Window, hold_at: str | None, there: Connection) -> None:
    os.environ |= shop.environment()
    if hold_at:
        _hold(*STEPS_OF_JOIN[hold_at], there)
    told: dict[str, Any] = {}
    try:
        config = load_config(shop.folder / "src.yaml").config
        told["load"] = join_alone(Run(name, config, window, frozenset({"tab"}), full_refresh=False), parts)
    except Exception as error:  # noqa: BLE001 - the test's to judge
        told["error"] = f"{type(error).__name__}: {error}"
    there.send(told)


def read_part(run: Run, part: Mapping[str, Any]) -> dict[str, Any]:
    """The extract task of a part, as Airflow maps it in the config's DAG."""
    operator = ExtractOperator(task_id="extract", config=run.config, table="tab")
    operator.__class__ = PartOperator
    operator.part = part
    return operator.work(run, {})


def join_alone(run: Run, parts: Any) -> dict[str, Any]:
    """The load task of a split table; `parts` is what the split and the extract tasks have returned."""
    split, extracted = parts
    pull = SimpleNamespace(xcom_pull=lambda task_ids: split if task_ids.endswith("split") else extracted)
    context = {"ti": pull, "outlet_events": {}}
    return LoadOperator(task_id="load", config=run.config, table="tab").work(run, context)


def load_alone(run: Run, extracted: Mapping[str, Any], table: str = "tab") -> dict[str, Any]:
    """The load task, as where it is cleared by itself: what the extract task returned is still there."""
    context = {"ti": SimpleNamespace(xcom_pull=lambda task_ids: extracted), "outlet_events": {}}
    return LoadOperator(task_id="load", config=run.config, table=table).work(run, context)


def _hold(where: str, moment: str, there: Connection) -> None:
    """Make a function stop, the first time, before or after its work."""
    module, _, name = where.partition(":")
    owner = importlib.import_module(module)
    *parents, attribute = name.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    real: Callable[..., Any] = getattr(owner, attribute)
    left = [True]

    def stop() -> None:
        if left and left.pop():
            there.send("held")
            there.recv()

    def held(*given: Any, **named: Any) -> Any:
        if moment == "before":
            stop()
        answer = real(*given, **named)
        if moment == "after":
            stop()
        return answer

    setattr(owner, attribute, held)
