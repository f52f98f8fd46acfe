"""What a scheduler that forks the processes of tasks imports before it does."""

import os
import subprocess
import sys

import pytest

from elt_factory.dag import scheduler_preload
from elt_factory.dag.scheduler_preload import DBT, ImportsBeforeTasks

STARTS = """
import sys, threading
from airflow.cli.commands import scheduler_command
from airflow.jobs.job import Job
assert "dbt" not in sys.modules
Job()
missed = {missed!r} - set(sys.modules)
assert not missed, missed
# tasks are forked from it: a thread would be missing there, with what it has locked
assert threading.active_count() == 1
"""


def a_config(folder, text):
    configs = folder / "dag_configs"
    configs.mkdir()
    (configs / "shop.yaml").write_text(text)
    return configs


@pytest.mark.services
def test_a_scheduler_has_what_dbt_needs_before_its_workers_are_forked(tmp_path):
    a_config(tmp_path, "transform: {dbt: {tasks: watched}}")
    environment = os.environ | {"ELT_PROJECT": str(tmp_path), "AIRFLOW__CORE__EXECUTOR": "LocalExecutor"}
    subprocess.run([sys.executable, "-c", STARTS.format(missed=set(DBT))], check=True, env=environment)


@pytest.mark.parametrize(
    ("of_scheduler", "executor", "config", "imports"),
    [
        (True, "LocalExecutor", "transform: {dbt: {tasks: watched}}", True),
        (False, "LocalExecutor", "transform: {dbt: {tasks: watched}}", False),
        (True, "CeleryExecutor", "transform: {dbt: {tasks: watched}}", False),
        (True, "LocalExecutor", "extract: {type: files}", False),
    ],
)
def test_only_where_its_tasks_have_a_use_for_it(of_scheduler, executor, config, imports, tmp_path, monkeypatch):
    a_config(tmp_path, config)
    monkeypatch.setenv("ELT_PROJECT", str(tmp_path))
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", executor)
    monkeypatch.setitem(sys.modules, scheduler_preload._SCHEDULER, sys if of_scheduler else None)
    asked = []
    monkeypatch.setattr(scheduler_preload, "import_ahead", asked.append)
    ImportsBeforeTasks().on_starting(component=None)
    assert asked == [DBT] * imports
