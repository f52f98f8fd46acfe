"""A dbt manifest that is older than its project: made again where that can be, told where it cannot."""

import json
import logging
import os
import shutil
import threading
import time
from pathlib import Path

import pytest

from elt_factory.dag import dbt_fresh
from elt_factory.dag.dbt_fresh import changed_since, keep_fresh, manifest_file

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with two models, older than its manifest."""
    folder = tmp_path / "dbt"
    for file in ("dbt_project.yml", "models/staging/a.sql", "models/b.sql", "target/manifest.json"):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text("")
    ago = time.time() - 60
    for file in folder.rglob("*"):
        os.utime(file, (ago, ago))
    os.utime(manifest_file(folder), (ago + 1, ago + 1))
    return folder


def read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    # root, as whom tests run here and there, may write everywhere
    monkeypatch.setattr(dbt_fresh, "_is_writable", lambda _: False)


def test_a_manifest_that_is_newer_than_its_project_is_left_alone(project, caplog):
    assert changed_since(project) is None
    keep_fresh(project)
    assert not caplog.messages


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda folder: (folder / "models" / "b.sql").write_text("select 1"), "models/b.sql"),
        (lambda folder: (folder / "models" / "new.sql").write_text("select 1"), "models"),
        (lambda folder: (folder / "models" / "b.sql").unlink(), "models"),
        (lambda folder: manifest_file(folder).unlink(), None),
    ],
)
def test_what_changed_came_or_went_is_seen(project, change, told):
    change(project)
    changed = changed_since(project)
    assert changed is not None
    assert told is None or changed in (project / told, project / told / "new.sql")


@pytest.mark.parametrize("file", ["target/compiled/b.sql", "logs/x.yml", "dbt_packages/p/m.sql", ".user.yml"])
def test_what_dbt_writes_itself_is_no_change(project, file):
    (project / file).parent.mkdir(parents=True, exist_ok=True)
    (project / file).write_text("")
    assert changed_since(project) is None


def test_where_nothing_can_be_written_each_change_is_told_once_with_the_hint(project, caplog, monkeypatch):
    read_only(monkeypatch)
    model = project / "models" / "b.sql"
    for moment in (time.time() + 60, time.time() + 120):
        os.utime(model, (moment, moment))
        keep_fresh(project)
        keep_fresh(project)
    told = f"{model} is newer than the dbt manifest: run `elt setup` to update the DAGs"
    assert caplog.messages == [told, told]


def wait_for(project: Path) -> None:
    until = time.monotonic() + 90
    while project in dbt_fresh._parsing:
        assert time.monotonic() < until
        time.sleep(0.2)
        keep_fresh(project)


@pytest.mark.services
def test_a_new_model_comes_into_the_manifest_by_itself_and_readers_never_see_half_of_it(
    tmp_path, connect, monkeypatch, caplog
):
    caplog.set_level(logging.INFO)
    project = tmp_path / "include" / "dbt"
    shutil.copytree(ROOT / "include" / "dbt", project, ignore=shutil.ignore_patterns("target", "logs"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "include"))
    connect("warehouse", conn_type="duckdb", host=str(tmp_path / "warehouse.duckdb"))
    keep_fresh(project)
    wait_for(project)
    assert "rebuilding the manifest" in caplog.text
    assert changed_since(project) is None

    (project / "models" / "brand_new.sql").write_text("select 1 as one")
    keep_fresh(project)
    broken, done = [], threading.Event()

    def read() -> None:
        while not done.is_set():
            try:
                json.loads(manifest_file(project).read_bytes())
            except (OSError, ValueError) as error:
                broken.append(error)
            time.sleep(0.002)

    reader = threading.Thread(target=read)
    reader.start()
    wait_for(project)
    done.set()
    reader.join()
    assert broken == []
    assert "model.elt_factory.brand_new" in json.loads(manifest_file(project).read_bytes())["nodes"]

    # what dbt cannot parse leaves the manifest as it was, and is told with dbt's own words
    before = manifest_file(project).read_bytes()
    (project / "models" / "brand_new.sql").write_text("select * from {{ ref('nowhere') }}")
    keep_fresh(project)
    wait_for(project)
    assert manifest_file(project).read_bytes() == before
    assert "dbt cannot parse" in caplog.text
    assert "nowhere" in caplog.text
    assert not list(manifest_file(project).parent.glob(".parse-*"))
