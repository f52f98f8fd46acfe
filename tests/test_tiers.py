"""Each test is of one tier, a unit test starts no process, and the longest file of tests begins first."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pytest

import durations
from tiers import TIERS, is_elsewhere, tier_of


def test_each_test_is_of_one_tier(request):
    tiers = {item.nodeid: {mark.name for mark in item.iter_markers()} & set(TIERS) for item in request.session.items}
    assert {name: marks for name, marks in tiers.items() if len(marks) != 1} == {}


def test_a_unit_test_that_starts_a_process_fails():
    with pytest.raises(AssertionError, match="is of the tier unit and starts a process"):
        subprocess.run([sys.executable, "--version"], check=True)


def test_a_unit_test_that_opens_a_database_file_is_warned_of(tmp_path):
    with pytest.warns(pytest.PytestWarning, match="is of the tier unit and opens a database file"):
        duckdb.connect(str(tmp_path / "a.duckdb"))
    assert duckdb.connect().execute("SELECT 1").fetchall() == [(1,)]


def test_folders_without_a_test_of_the_tier_that_is_asked_for_are_not_imported():
    assert is_elsewhere(Path("tests/proof"), "unit")
    assert not is_elsewhere(Path("tests/proof"), "proof")
    assert not is_elsewhere(Path("tests/landing"), "unit")
    for expression in ("", "unit or proof", "not unit"):
        assert not is_elsewhere(Path("tests/proof"), expression)


def item(path="tests/config/test_x.py", fixtures=(), marks=(), case=None):
    given = {"path": Path(path), "nodeid": f"{path}::test", "fixturenames": fixtures}
    if case:
        given["callspec"] = SimpleNamespace(id=case)
    return SimpleNamespace(**given, iter_markers=lambda: [SimpleNamespace(name=mark) for mark in marks])


@pytest.mark.parametrize(
    ("test", "tier"),
    [
        (item(), "unit"),
        (item(fixtures=["tmp_path", "postgres"]), "services"),
        (item(case="fakesnow-append"), "fakesnow"),
        (item(case="duckdb-append"), "duckdb"),
        (item(fixtures=["fake_snowflake", "airflow_template"]), "live"),
        (item("tests/end_to_end/test_x.py", fixtures=["fake_snowflake"]), "live"),
        (item("tests/faults/test_x.py", fixtures=["s3_server"]), "proof"),
        (item("tests/package/test_x.py"), "live"),
        (item("tests/landing/test_x.py"), "duckdb"),
        (item("tests/landing/test_x.py", fixtures=["s3_server"]), "services"),
        (item("tests/landing/test_x.py", marks=["unit"]), "unit"),
        (item("tests/faults/test_x.py", marks=["services", "timeout"]), "services"),
    ],
)
def test_a_mark_comes_before_a_folder_and_a_folder_before_fixtures(test, tier):
    assert tier_of(test) == tier


def test_two_tiers_are_an_error():
    with pytest.raises(pytest.UsageError, match="more than one tier: live, unit"):
        tier_of(item(marks=["live", "unit"]))


def test_the_longest_file_begins_first_and_a_new_one_in_the_middle(monkeypatch, tmp_path):
    monkeypatch.setattr(durations, "FILE", tmp_path / "durations.json")
    durations.FILE.write_text(json.dumps({"tests/short.py": 1, "tests/long.py": 100}))
    items = [item(path) for path in ("tests/short.py", "tests/new.py", "tests/long.py", "tests/short.py")]
    durations.longest_first(items)
    assert [one.nodeid for one in items] == [f"tests/{name}.py::test" for name in ("long", "new", "short", "short")]


def test_what_a_file_took_is_written_down_and_what_is_gone_goes(monkeypatch, tmp_path):
    monkeypatch.setattr(durations, "FILE", tmp_path / "durations.json")
    durations.FILE.write_text(json.dumps({"tests/gone.py": 9, "tests/tiers.py": 9, "tests/conftest.py": 9}))
    recorder = durations.Recorder()
    for seconds in (1.2, 2.4):
        recorder.pytest_runtest_logreport(SimpleNamespace(nodeid="tests/tiers.py::test", duration=seconds))
    recorder.pytest_sessionfinish()
    assert json.loads(durations.FILE.read_text()) == {"tests/tiers.py": 4, "tests/conftest.py": 9}
