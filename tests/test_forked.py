"""A process that a test begins knows the environment of that test, whichever test began the server of processes."""

import os
from pathlib import Path

import pytest

from forked import Forked

pytestmark = pytest.mark.services


def write_environment(file: Path) -> None:
    file.write_text(os.environ.get("OF_THIS_TEST", "unset"))


def said(file: Path) -> str:
    process = Forked().Process(target=write_environment, args=(file,))
    process.start()
    process.join(60)
    return file.read_text()


def test_a_process_has_the_environment_that_holds_where_it_is_made(monkeypatch, tmp_path):
    monkeypatch.delenv("OF_THIS_TEST", raising=False)
    assert said(tmp_path / "before") == "unset"
    monkeypatch.setenv("OF_THIS_TEST", "here")
    assert said(tmp_path / "after") == "here"


def test_each_test_begins_such_processes_this_way():
    server = "get_context(" + '"forkserver"'
    files = {file.name for file in Path(__file__).parent.rglob("*.py") if server in file.read_text()}
    assert files == set()
