"""The maintenance DAG, where `_maintenance.yaml` is: it removes what is past its retention and says what it was."""

import logging
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from bundle_support import write_good

from elt_factory.config.errors import ConfigError
from elt_factory.config.maintenance import load_maintenance
from elt_factory.config.models.maintenance import DAG_ID, MAINTENANCE_FILE, Maintenance
from elt_factory.core.failures import MaintenanceError
from elt_factory.dag.alert_memory import AlertMemory
from elt_factory.dag.loader import load_dags, load_file
from elt_factory.dag.maintenance import MaintenanceOperator
from elt_factory.dag.runtime import ALERTS
from elt_factory.dag.stubs import StubFolder
from elt_factory.dag.upkeep import Upkeep, remove_expired, remove_source, report
from elt_factory.describe.findings import validate
from elt_factory.landing.places import LocalPlace
from elt_factory.testing.warehouses.loader import MERGE, PROJECT, Loader, day

SHOP = """\
name: src
extract: {type: sql, connection: db}
tables:
  tab:
    table: t
    primary_key: [id]
    write_disposition: merge
    retention: {rows: 400d, by: at}
"""
OLD, NEW = "2013-01-01T00:00:00Z", "2100-01-01T00:00:00Z"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    configs = tmp_path / "dag_configs"
    write_good(configs, ["a"])
    (configs / MAINTENANCE_FILE).write_text('schedule: "0 4 * * 0"\ntimezone: Europe/Berlin\nowner: ops\n')
    return configs


def test_the_file_becomes_a_dag_with_a_stub_of_its_own_and_no_file_no_dag(folder: Path, tmp_path: Path):
    dags = load_dags(folder)
    assert set(dags) == {"a", DAG_ID}
    dag = dags[DAG_ID]
    assert (dag.task_ids, dag.owner, dag.max_active_runs) == (["remove_expired"], "ops", 1)
    assert (dag.schedule.expression, str(dag.schedule.timezone)) == ("0 4 * * 0", "Europe/Berlin")
    stubs = StubFolder(folder, tmp_path / "bundle")
    stubs.sync()
    assert {file.name for file in stubs.path.glob("*.py")} == {"a.yaml.py", "_maintenance.yaml.py"}
    (folder / MAINTENANCE_FILE).unlink()
    stubs.sync()
    assert {file.name for file in stubs.path.glob("*.py")} == {"a.yaml.py"}
    assert set(load_dags(folder)) == {"a"}


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("schedule: daily at four\n", "1:11", "invalid cron expression"),
        ("removed_sources: 1h\n", "1:18", "shorter than a day"),
        ("owner: ops\nremoved_source: 90d\n", "2:1", 'did you mean "removed_sources"?'),
        ("", "1:1", "empty file"),
    ],
)
def test_a_mistake_in_the_file_is_said_with_its_place(folder: Path, text, place, said):
    file = folder / MAINTENANCE_FILE
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_file(folder, file)
    assert str(caught.value).startswith(f"{file}:{place}: ")
    assert said in str(caught.value)
    for asked in (folder, file):
        (finding,) = (one for one in validate([asked], folder).findings if one.severity == "error")
        assert said in finding.problem.message + finding.problem.hint
    assert load_dags(folder)["_maintenance.yaml"].tags == {"config-error"}


@pytest.fixture
def upkeep(folder: Path, opened, tmp_path: Path):
    """A source with a config and old rows, and one whose config is gone."""
    (folder / "src.yaml").write_text(SHOP)
    with opened() as warehouse:
        loader = Loader(tmp_path / "landing", warehouse, spec=MERGE)
        loader.load([{"id": 1, "at": OLD}, {"id": 2, "at": NEW}], day(1))
        Loader(tmp_path / "landing", warehouse, "gone", spec=MERGE).load([{"id": 1}], day(1))
        yield Upkeep(folder, warehouse, LocalPlace(tmp_path / "landing"), PROJECT, print, "run")


def test_a_run_removes_rows_and_landings_and_keeps_removed_sources_until_it_is_told(upkeep: Upkeep):
    later = replace(upkeep, moment=datetime.now(UTC) + timedelta(days=100))
    removed, left = remove_expired(later, Maintenance())
    assert (left, sorted(str(row["what"]) for row in removed)) == ([], ["landings", "rows"])
    kept = {row["source"]: row for row in report(later)}
    assert (kept["src"]["rows"], kept["src"]["landings"], kept["src"]["oldest_row"][:4]) == (1, 0, "2100")
    assert kept["src"]["keeps"] == "rows 400d, landings 30d, audit 365d"
    assert (kept["gone"]["has_config"], kept["gone"]["landings"], kept["gone"]["loads"]) == (False, 1, 1)
    removed, left = remove_expired(later, Maintenance(removed_sources=timedelta(days=90)))
    assert {str(row["source"]) for row in removed} == {"gone"}
    assert [row["source"] for row in report(later)] == ["a", "src"]
    assert upkeep.warehouse.query("SELECT count(*) FROM gone.tab").rows == [(1,)]


def test_a_broken_config_is_no_removed_source_and_no_config_at_all_is_the_wrong_folder(upkeep: Upkeep, tmp_path: Path):
    (upkeep.folder / "gone.yaml").write_text("name: gone\nextract: [\n")
    assert upkeep.removed() == []
    (upkeep.folder / "gone.yaml").unlink()
    assert [source.name for source in upkeep.removed()] == ["gone"]
    empty = tmp_path / "empty"
    empty.mkdir()
    nothing = Upkeep(empty, upkeep.warehouse, upkeep.root, PROJECT, print)
    assert nothing.removed() == []


def test_landings_of_another_project_stay_when_a_source_is_removed(upkeep: Upkeep):
    other = Upkeep(upkeep.folder, upkeep.warehouse, upkeep.root, "another", print)
    (gone,) = other.removed()
    assert "landings" not in {row["what"] for row in remove_source(other, gone, "asked")}
    assert upkeep.root.below("gone", "tab").files()


def test_what_was_reported_of_a_removed_source_goes_with_it_and_of_no_other(upkeep: Upkeep):
    for name in ("gone", "src"):
        AlertMemory(upkeep.root.below(ALERTS, name)).is_new("failure-1", "failure", f"{name} has failed", "run 1")
    (gone,) = upkeep.removed()
    remove_source(upkeep, gone, "asked")
    assert set(upkeep.root.below(ALERTS).files()) == {"src/reported.json"}
    over = {name: AlertMemory(upkeep.root.below(ALERTS, name)).over(lambda _: False) for name in ("gone", "src")}
    assert {name: list(found) for name, found in over.items()} == {"gone": [], "src": ["failure-1"]}


def test_what_killed_processes_left_of_small_files_goes_an_hour_later(upkeep: Upkeep):
    old, young = (upkeep.root.folder / name for name in ("_alerts/gone/.reported.json", "_shared/.clock"))
    left = [file.with_name(f"{file.name}.{'5f' * 16}") for file in (old, young)]
    kept = [old.with_name("reported.json"), old.with_name(".reported.json.5f")]
    for file in (*left, *kept):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    moment = young.parent.stat().st_mtime - 3601
    for file in (left[0], *kept):
        os.utime(file, (moment, moment))
    remove_expired(upkeep, Maintenance())
    assert [file.exists() for file in (*left, *kept)] == [False, True, True, True]
    assert not (upkeep.root.folder / "_alerts" / "clock").exists()


def test_the_task_does_all_it_can_and_fails_with_the_place_of_what_it_cannot(
    folder: Path, opened, connect, tmp_path: Path, monkeypatch, caplog
):
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("AIRFLOW_VAR_ELT_LANDING", str(tmp_path / "landing"))
    monkeypatch.setenv("AIRFLOW_VAR_ELT_PROJECT", PROJECT)
    file = folder / "src.yaml"
    file.write_text(SHOP.replace("by: at", "by: id"))
    with opened() as warehouse:
        Loader(tmp_path / "landing", warehouse, spec=MERGE).load([{"id": 1, "at": OLD}], day(1))
    settings = load_maintenance(folder / MAINTENANCE_FILE)
    task = MaintenanceOperator(task_id="t", settings=settings, configs=str(folder))
    with pytest.raises(MaintenanceError) as caught:
        task.execute({"run_id": "r"})
    said = 'src.tab: rows cannot be deleted by the age of "id": the table has it as integer; name a column of type '
    assert str(caught.value) == f"{file}:8:33: {said}timestamp, datetime or date"
    file.write_text(SHOP)
    assert task.execute({"run_id": "r"}) == {"rows": 1}
    assert task.execute({"run_id": "r"}) == {}
