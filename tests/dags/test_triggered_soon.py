"""When the process of the triggers says that one has ended."""

import asyncio
import sys
from types import SimpleNamespace

import pytest

from elt_factory.dag import triggered_soon
from elt_factory.dag.triggered_soon import report_soon


@pytest.fixture
def runner(monkeypatch):
    """A process of triggers with one that has begun, as far as this asks."""

    class TriggerRunner:
        def __init__(self) -> None:
            self.triggers: dict[int, dict[str, object]] = {}
            self.to_create: list[float] = []
            self.reported: list[list[int]] = []

        async def create_triggers(self):
            for number, seconds in enumerate(self.to_create, len(self.triggers)):
                self.triggers[number] = {"task": asyncio.create_task(asyncio.sleep(seconds))}
            self.to_create = []

        async def cleanup_finished_triggers(self):
            ended = [number for number, details in self.triggers.items() if details["task"].done()]
            for number in ended:
                del self.triggers[number]
            return ended

        async def sync_state_to_supervisor(self, finished_ids):
            self.reported.append(finished_ids)

    monkeypatch.setitem(sys.modules, triggered_soon._TRIGGERER, SimpleNamespace(TriggerRunner=TriggerRunner))
    monkeypatch.setattr(triggered_soon, "_BRIEF", 0.05)
    return TriggerRunner


@pytest.mark.parametrize(("seconds", "reported"), [([30, 0], [[1]]), ([30, 30], []), ([], [])])
def test_what_ends_as_soon_as_it_begins_is_reported_in_the_same_turn(seconds, reported, runner):
    report_soon()
    report_soon()

    async def turn():
        one = runner()
        one.to_create = list(seconds)
        await one.create_triggers()
        return one.reported, len(one.triggers)

    assert asyncio.run(turn()) == (reported, len(seconds) - len(reported))


def test_airflows_triggerer_is_as_it_is_known(monkeypatch):
    from airflow.jobs import triggerer_job_runner

    real = triggerer_job_runner.TriggerRunner
    monkeypatch.setattr(real, "create_triggers", real.create_triggers)
    report_soon()
    assert real.create_triggers.reports


def test_another_triggerer_is_left_alone(runner, monkeypatch, caplog):
    monkeypatch.setattr(runner, "sync_state_to_supervisor", lambda _self: None)
    report_soon()
    assert not hasattr(runner.create_triggers, "reports")
    assert "takes a second longer" in caplog.text
