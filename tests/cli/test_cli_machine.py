"""What the machine refuses is one message with a hint, an exit code that is not 0, and nothing half done is left."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from cli_support import ORDERS, Project

from elt_factory.cli import background
from elt_factory.cli.machine import of_database, of_system

pytestmark = pytest.mark.services
ELT = [sys.executable, "-c", "from elt_factory.cli.main import main; main()"]


def elt(*arguments: str, output: str = "/dev/null", **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "AIRFLOW_HOME"} | variables
    with Path(output).open("w") as stream:
        return subprocess.run(
            [*ELT, *arguments], env=environment, stdout=stream, stderr=subprocess.PIPE, text=True, check=False
        )


@pytest.mark.parametrize("command", [("list",), ("list", "--json")], ids=" ".join)
def test_an_answer_that_the_disk_does_not_take_is_one_message(project: Project, command):
    project.write("orders", ORDERS)
    done = elt(*command, output="/dev/full")
    assert (done.returncode, done.stderr.strip()) == (1, "No space left on device; hint: free space on the disk")


def test_a_file_where_a_folder_should_be_is_named(project: Project):
    project.write("orders", ORDERS)
    (project.root / "build").write_text("")
    done = elt("docs")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "build" in done.stderr


@pytest.mark.parametrize("command", [("status",), ("sql", "select 1"), ("setup",)], ids=" ".join)
def test_no_airflow_is_made_in_a_folder_that_is_not_a_project(project: Project, command):
    project.configs.rmdir()
    done = elt(*command)
    assert done.returncode == 1
    said = " ".join(done.stderr.split())
    assert "has neither dag_configs/ nor airflow_settings.yaml; hint: change to the folder of the project" in said
    assert not list(project.root.iterdir())


@pytest.mark.parametrize("command", ["docs", "diagnose"])
def test_a_folder_without_configs_is_not_green(project: Project, command):
    project.configs.rmdir()
    done = project.elt(command)
    assert done.exit_code == 1
    assert "no configs in dag_configs" in done.output
    assert not list(project.root.iterdir())


def test_a_port_that_none_can_be_and_an_empty_query_are_refused(project: Project):
    assert "65535" in project.elt("up", "--port", "99999").output
    done = project.elt("sql", " ")
    assert (done.exit_code, done.output.split(";")[0]) == (1, "the query is empty")


def test_a_service_whose_file_cannot_be_written_does_not_live_on(tmp_path, monkeypatch):
    def full(*_: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    sleeps = [sys.executable, "-c", "import time; time.sleep(99)"]
    service = background.Service("It", tmp_path, "it", lambda _: sleeps, lambda _: True)
    monkeypatch.setattr(json, "dumps", full)
    before = {child.pid for child in psutil.Process().children()}
    with pytest.raises(OSError, match="No space left"):
        background.start(service, background.free_port(0))
    assert {child.pid for child in psutil.Process().children()} <= before
    assert background.find(service) is None


def test_the_words_of_the_system_have_the_file_and_those_of_the_database_no_statement():
    refused = PermissionError(errno.EACCES, "Permission denied", "/data/x")
    assert of_system(refused) == (
        "/data/x: Permission denied; hint: give this user the right to it, or use another folder"
    )
    from sqlalchemy.exc import OperationalError

    error = OperationalError("SELECT secret", {}, Exception("no such table: dag"))
    assert "SELECT" not in of_database(error)
    assert "no such table: dag" in of_database(error)


def test_where_no_config_is_there_it_is_not_said_that_nothing_is_kept(project: Project, monkeypatch):
    # a folder without any config is the wrong folder: what is there without a config is not looked for
    from contextlib import nullcontext

    from elt_factory.cli import maintenance
    from elt_factory.dag import upkeep

    monkeypatch.setattr(maintenance, "_upkeep", nullcontext)
    monkeypatch.setattr(upkeep, "report", lambda *_: [])
    done = project.elt("maintenance", "report")
    assert (done.exit_code, done.output.split(";")[0]) == (1, "no configs in dag_configs")
