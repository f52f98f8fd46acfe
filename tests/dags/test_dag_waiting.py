"""How a run waits: in the triggerer, looking ever less often, until it is ready or the time is up."""

import asyncio
import json
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from time import monotonic, sleep

import pytest
from dag_support import config_of, context_of
from test_dag_sensors import FLEET, WEEK, checked, loaded

from elt_factory.config.loading import load_config
from elt_factory.core.verdict import Verdict
from elt_factory.dag import asset_events, ready_trigger, waiting
from elt_factory.dag.asset_events import asset_of
from elt_factory.dag.factory import build_dag
from elt_factory.dag.ready_trigger import ReadyTrigger
from elt_factory.dag.runtime import run_of
from elt_factory.dag.waiting import Seen, Waiting, pause_after

ROOT = Path(__file__).parents[2]
DAY = {"window_start": "2013-01-01", "window_end": "2013-01-02"}
PATIENT = """
name: tiny
start_date: 2013-01-01
extract: {type: files, connection: inbox}
retries: {count: 0}
tables: {input: {path: input.csv, primary_key: [id], write_disposition: merge}}
sensors:
  before_extract:
    - {file: {connection: inbox, path: flag_%Y.txt}, poke_interval: 1s, MORE}
"""


def test_a_time_out_says_what_was_waited_for(tiny):
    outcome = tiny(PATIENT.replace("MORE", "timeout: 2s")).run("tiny", **DAY)
    assert outcome.state == "failed"
    (failed,) = [task for task in outcome.tasks if task.state == "failed"]
    assert failed.task_id == "before_extract.file_inbox"
    assert failed.detail.startswith('tiny.file sensor: no file matches "flag_2013.txt" in')
    assert failed.detail.endswith("timed out after 2s")


def test_a_sensor_waits_in_the_triggerer_until_what_it_waits_for_is_there(tiny, tmp_path, caplog, capsys):
    flag = tmp_path / "project" / "inbox" / "flag_2013.txt"

    def after_the_first_look() -> None:
        while "running trigger in line" not in caplog.text:
            sleep(0.1)
        flag.touch()

    line = tiny(PATIENT.replace("MORE", "timeout: 1m"))
    Thread(target=after_the_first_look, daemon=True).start()
    assert line.run("tiny", **DAY).state == "success"
    assert line.one("select count(*) from tiny.input") == 2
    said = capsys.readouterr().out
    assert "not ready yet: files flag_%Y.txt; tiny.file sensor: no file matches" in said
    assert "; waiting until 20" in said


def test_a_time_out_that_skips_ends_the_run_without_a_failure_and_without_a_load(tiny):
    line = tiny(PATIENT.replace("MORE", "timeout: 1s, on_timeout: skip"))
    outcome = line.run("tiny", **DAY)
    assert outcome.state == "success"
    assert {task.state for task in outcome.tasks} == {"skipped"}
    assert not line.warehouse_file.exists()


def test_a_time_out_that_continues_loads_with_a_warning_that_stays(tiny, capsys):
    line = tiny(PATIENT.replace("MORE", "timeout: 1s, on_timeout: continue"))
    outcome = line.run("tiny", **DAY)
    assert outcome.state == "success"
    assert line.one("select count(*) from tiny.input") == 2
    assert "the run continues without it (on_timeout: continue)" in capsys.readouterr().out
    ((task, check, severity, status, message),) = line.query(
        "select task_id, check_name, severity, status, message from _elt.quality_results where kind = 'sensor'"
    )
    assert (task, check) == ("before_extract.file_inbox", "files flag_%Y.txt")
    assert (severity, status) == ("warn", "warned")
    assert 'no file matches "flag_2013.txt"' in message
    assert message.endswith("timed out after 1s")


@pytest.mark.parametrize(
    ("given", "longest"),
    [({}, 600), ({"poke_interval": "1s"}, 10), ({"poke_interval": "5m"}, 900), ({"poke_interval": "30m"}, 1800)],
)
def test_the_pauses_between_looks_grow_up_to_a_limit(tmp_path, given, longest):
    """A look may wake a warehouse up: who waits six hours looks less than 60 times, and not 360 times."""
    sensor = {"source": {"name": "other"}} | given
    config = config_of(tmp_path, schedule="@daily", sensors={"before_transform": [sensor]})
    (made,) = config.sensors.before_transform
    pauses, elapsed = [], timedelta()
    while elapsed < timedelta(hours=6):
        pauses.append(pause_after(elapsed, made))
        elapsed += pauses[-1]
    assert pauses[0] == made.poke_interval
    assert pauses == sorted(pauses)
    assert max(pauses) == timedelta(seconds=longest)
    assert longest != 600 or len(pauses) < 60


def task_of(folder: Path, sensor: dict, stage: str = "before_extract", tables_of=None):
    dag = build_dag(config_of(folder, schedule="@daily", sensors={stage: [sensor]}), tables_of or {})
    (task,) = [task for task in dag.tasks if task.task_id.startswith(stage)]
    return task


def waiting_of(folder: Path, sensor: dict, tables_of=None) -> Waiting:
    return task_of(folder, sensor, tables_of=tables_of)._waiting(context_of(WEEK))


def outcome_of(made: Waiting, seconds: float, seen: Seen | None = None) -> dict[str, str]:
    """What the triggerer finds, made of what was stored of the trigger."""
    now = datetime.now(UTC)
    seen = seen or Seen(Verdict(False, "nothing yet"))
    path, kwargs = ReadyTrigger.of(made, now, now + timedelta(seconds=seconds), seen).serialize()
    assert path == "elt_factory.dag.ready_trigger.ReadyTrigger"
    trigger = ReadyTrigger(**json.loads(json.dumps(kwargs)))

    async def first() -> dict[str, str]:
        (event,) = [event async for event in trigger.run()]
        assert event.payload.pop("began") == now.isoformat()
        return event.payload

    return asyncio.run(first())


FILE = {"file": {"connection": "inbox", "path": "w.csv"}, "poke_interval": "1s"}


def test_the_triggerer_says_ready_or_that_the_time_is_up(connect, tmp_path):
    connect("inbox", conn_type="fs", extra={"path": str(tmp_path)})
    made = waiting_of(tmp_path, FILE)
    found = outcome_of(made, 1.5)
    assert found["outcome"] == "timed_out"
    assert 'no file matches "w.csv"' in found["message"]
    (tmp_path / "w.csv").touch()
    assert outcome_of(made, 10) == {"outcome": "ready", "message": "tiny: 1 file matches w.csv"}


def test_what_waiting_does_not_heal_is_left_to_a_worker_to_say(tmp_path):
    found = outcome_of(waiting_of(tmp_path, FILE), 10)
    assert found["outcome"] == "look_again"
    assert 'unknown Airflow connection "inbox"' in found["message"]


def test_a_worker_that_looks_again_says_what_is_wrong_or_waits_on_until_the_same_end(connect, tmp_path):
    from airflow.sdk.exceptions import TaskDeferred

    from elt_factory.core.failures import PermanentError

    task, began = task_of(tmp_path, FILE), datetime.now(UTC) - timedelta(hours=2)
    event = {"outcome": "look_again", "message": "?", "began": began.isoformat()}
    with pytest.raises(PermanentError, match='unknown Airflow connection "inbox"'):
        task.after_waiting(context_of(WEEK), event)
    connect("inbox", conn_type="fs", extra={"path": str(tmp_path)})
    with pytest.raises(TaskDeferred) as deferred:
        task.after_waiting(context_of(WEEK), event)
    assert datetime.fromisoformat(deferred.value.trigger.until) == began + timedelta(hours=6)
    # the scheduler ends the wait where no triggerer does
    assert timedelta(hours=4) < deferred.value.timeout < timedelta(hours=4, minutes=11)


def test_a_wait_that_no_triggerer_looked_after_has_timed_out(tmp_path):
    from airflow.models.trigger import TRIGGER_FAIL_REPR, TriggerFailureReason
    from airflow.sdk.exceptions import AirflowSensorTimeout

    task = task_of(tmp_path, FILE)
    with pytest.raises(AirflowSensorTimeout, match="no triggerer has looked; is `airflow triggerer` running"):
        task.resume_execution(TRIGGER_FAIL_REPR, {"error": TriggerFailureReason.TRIGGER_TIMEOUT}, context_of(WEEK))


def test_a_look_that_hangs_stops_neither_other_triggers_nor_the_time_out(connect, tmp_path, monkeypatch):
    connect("inbox", conn_type="fs", extra={"path": str(tmp_path)})
    ended, looks = threading.Event(), []

    def hang(*_: object) -> Seen:
        looks.append(threading.current_thread().name)
        ended.wait(30)
        return Seen(Verdict(False, "late"))

    monkeypatch.setattr(Waiting, "look", hang)
    monkeypatch.setattr(ready_trigger, "LONGEST_LOOK", timedelta(seconds=1))
    began = monotonic()
    found = outcome_of(waiting_of(tmp_path, FILE), 3)
    ended.set()
    assert found == {"outcome": "timed_out", "message": "the check has not ended within 1s"}
    assert monotonic() - began < 10
    # never two looks of one sensor
    assert len(looks) == 1
    assert looks[0].startswith("elt-sensor")


def test_every_kind_of_config_comes_back_from_what_the_triggerer_is_given(tmp_path):
    context = context_of(WEEK)
    files = sorted((ROOT / "tests" / "config" / "valid").glob("*.yaml"))
    seen = 0
    for file in files:
        config = load_config(file).config
        for sensor in (*config.sensors.before_extract, *config.sensors.before_transform):
            made = Waiting(config, sensor, run_of(context, config), ("t",))
            assert Waiting.of_stored(json.loads(json.dumps(made.stored()))) == made
            seen += 1
    assert seen > 5


HOLD = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.readline()"


@pytest.mark.duckdb
def test_a_look_from_the_triggerer_does_not_wait_for_a_file_that_a_load_has(opened, tmp_path, monkeypatch, marks):
    """It says busy immediately, and looks again in seconds; what the warehouse answered before is not forgotten."""
    for table in FLEET["fleet"]:
        loaded(opened, "fleet", table, "r1")
        checked(opened, "fleet", table, "r1")
    made = waiting_of(tmp_path, {"source": {"name": "fleet"}, "poke_interval": "1m"}, FLEET)
    monkeypatch.setattr(waiting, "still_unloaded", lambda *_: None)
    monkeypatch.setattr(ready_trigger, "_BUSY", timedelta(seconds=0.5))
    command = [sys.executable, "-c", HOLD, str(tmp_path / "warehouse.duckdb")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as load:
        assert load.stdout.readline() == "held\n"
        began = monotonic()
        seen = made.look(patience=0)
        assert monotonic() - began < 2
        assert (seen.verdict.holds, seen.busy) == (False, True)
        assert "is still in use by process" in seen.verdict.message
        Thread(target=lambda: (sleep(1.5), load.stdin.close()), daemon=True).start()
        found = outcome_of(made, 30, seen)
    assert found["outcome"] == "ready", found


@pytest.fixture
def look(tmp_path, monkeypatch):
    """A sensor that waits for `fleet`; each call is a look, and returns what it saw and if it asked the warehouse."""
    made = waiting_of(tmp_path, {"source": {"name": "fleet", "business_date_within": "26h"}}, FLEET)
    asked: list[object] = []
    real = waiting.warehouse
    monkeypatch.setattr(waiting, "warehouse", lambda *args: asked.append(args) or real(*args))

    def look_again() -> tuple[bool, bool]:
        asked.clear()
        look_again.seen = made.look(look_again.seen.answer)
        return look_again.seen.verdict.holds, bool(asked)

    look_again.seen = Seen(Verdict(False, ""))
    return look_again


def test_the_warehouse_is_not_asked_again_before_a_load_has_ended(look, opened, marks):
    """Each SELECT resumes a suspended warehouse for a minute at least; what Airflow knows costs nothing."""
    assert look() == (False, True)
    assert look() == (False, False)
    assert "fleet.planes has not loaded" in look.seen.verdict.message
    assert "no load of these tables in Airflow since" in look.seen.verdict.message

    for table in FLEET["fleet"]:
        loaded(opened, "fleet", table, "r1", "2013-01-07T12:00:00.000000Z")
    marks["fleet.planes"] = datetime.now(UTC).isoformat()
    assert look() == (False, True)
    # loaded and not checked: no mark tells when the checks end, so the warehouse is asked
    assert look() == (False, True)

    for table in FLEET["fleet"]:
        checked(opened, "fleet", table, "r1")
    assert look() == (True, True)


def test_an_old_business_date_waits_for_the_next_load_without_the_warehouse(look, opened, marks):
    for table in FLEET["fleet"]:
        loaded(opened, "fleet", table, "r1", "2013-01-05T12:00:00.000000Z")
        checked(opened, "fleet", table, "r1")
    assert [look(), look()] == [(False, True), (False, False)]
    assert "newest business date is 2013-01-05" in look.seen.verdict.message


@pytest.mark.parametrize(("minutes", "asked"), [(59, False), (61, True)])
def test_the_warehouse_is_asked_once_an_hour_for_loads_that_leave_no_mark(look, opened, marks, minutes, asked):
    look()
    answer = replace(look.seen.answer, asked=datetime.now(UTC) - timedelta(minutes=minutes))
    look.seen = Seen(look.seen.verdict, answer)
    assert look() == (False, asked)


@pytest.mark.parametrize("hours", [-2, 2])
def test_a_load_by_a_worker_whose_clock_is_wrong_is_a_load_since(look, opened, marks, hours):
    assert [look(), look()] == [(False, True), (False, False)]
    marks["fleet.airlines"] = (datetime.now(UTC) + timedelta(hours=hours)).isoformat()
    assert [look(), look()] == [(False, True), (False, False)]


def test_a_mark_that_airflow_cannot_give_back_leads_to_the_warehouse(look, opened, marks):
    look()
    marks["fleet.planes"] = "broken"
    assert look() == (False, True)


def test_a_load_leaves_its_mark_for_the_triggerer(tiny, marks_of_airflow):
    line = tiny(PATIENT.replace("MORE", "timeout: 1s, on_timeout: continue"))
    before = datetime.now(UTC)
    assert line.run("tiny", **DAY).state == "success"
    (found,) = marks_of_airflow(asset_of("tiny", "input").name, asset_events._KEY)
    assert before < datetime.fromisoformat(json.loads(found)) < datetime.now(UTC)


@pytest.fixture
def marks_of_airflow(airflow_db):
    import sqlite3
    from contextlib import closing

    def read(asset: str, key: str) -> list[str]:
        with closing(sqlite3.connect(airflow_db)) as metadata:
            return [
                value
                for (value,) in metadata.execute(
                    "select s.value from asset_state_store s join asset a on a.id = s.asset_id "
                    "where a.name = ? and s.key = ?",
                    [asset, key],
                )
            ]

    return read
