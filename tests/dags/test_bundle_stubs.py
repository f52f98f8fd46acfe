"""The stubs: one per YAML, whole at every moment, marked when their YAML changes."""

import ast
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bundle_support import write, write_good

from elt_factory.config.errors import ConfigError
from elt_factory.dag import stubs as stubs_module
from elt_factory.dag.loader import load_dags, load_file
from elt_factory.dag.stubs import StubFolder


@pytest.fixture
def configs(tmp_path: Path) -> Path:
    write_good(tmp_path / "dag_configs", ["a", "b"])
    return tmp_path / "dag_configs"


@pytest.fixture
def stubs(configs: Path, tmp_path: Path) -> StubFolder:
    return StubFolder(configs, tmp_path / "bundle", shared=(tmp_path / "manifest.json",))


def names(stubs: StubFolder) -> list[str]:
    return sorted(str(file.relative_to(stubs.path)) for file in stubs.path.rglob("*.py"))


def marks(stubs: StubFolder) -> dict[str, int]:
    return {name: (stubs.path / name).stat().st_mtime_ns for name in names(stubs)}


def settle() -> None:
    """Wait until the changes of a folder are older than a clock can be wrong."""
    time.sleep(1.1)


def changed_by(stubs: StubFolder, change) -> set[str]:
    """The stubs that are marked when the folder is synced after a change."""
    stubs.sync()
    time.sleep(0.05)  # longer than the clock of a file system lags
    before = marks(stubs)
    change()
    stubs.sync()
    after = marks(stubs)
    return {name for name in after if after[name] != before.get(name)}


def test_every_yaml_has_a_stub_and_defaults_have_none(stubs, configs):
    write(configs / "_defaults.yaml", "owner: me\n")
    write(configs / "more" / "c.yml", "name: c\n")
    stubs.sync()
    assert names(stubs) == ["a.yaml.py", "b.yaml.py", "more/c.yml.py"]


def test_a_stub_is_python_that_airflow_takes_for_a_dag_file(stubs):
    from airflow.utils.file import list_py_file_paths

    stubs.sync()
    assert len(list_py_file_paths(stubs.path, safe_mode=True)) == 2
    for name in names(stubs):
        ast.parse((stubs.path / name).read_text())


def test_nothing_changed_marks_nothing(stubs):
    assert changed_by(stubs, lambda: None) == set()


def test_a_changed_yaml_marks_its_stub_alone(stubs, configs):
    assert changed_by(stubs, lambda: write(configs / "a.yaml", "name: a\n")) == {"a.yaml.py"}


WAIT = "name: {name}\nsensors:\n  before_extract:\n    - source:\n        name: {other}\n"


def test_who_waits_for_a_file_that_changed_came_or_went_is_read_again_too_near_and_far(stubs, configs):
    for name, other in {"near": "a", "far": "near", "else": "b", "early": "later"}.items():
        write(configs / f"{name}.yaml", WAIT.format(name=name, other=other))
    reached = {"near.yaml.py", "far.yaml.py"}
    assert changed_by(stubs, lambda: write(configs / "a.yaml", "name: a\n")) == {"a.yaml.py"} | reached
    assert changed_by(stubs, (configs / "a.yaml").unlink) == reached
    assert changed_by(stubs, lambda: write(configs / "later.yaml", "name: later\n")) == {
        "later.yaml.py",
        "early.yaml.py",
    }


def test_who_has_the_same_name_is_read_again_too(stubs, configs):
    write(configs / "twin.yaml", "name: a\n")
    assert changed_by(stubs, lambda: write(configs / "a.yaml", "name: other\n")) == {"a.yaml.py", "twin.yaml.py"}


def test_a_change_is_marked_once_more_when_a_parse_that_began_before_it_is_over(stubs, configs):
    stubs.sync()
    write(configs / "a.yaml", "name: a\n")
    stubs.sync()
    early = marks(stubs)
    time.sleep(stubs_module._PARSE_ENDS / 1e9 + 0.1)
    stubs.sync()
    late = marks(stubs)
    stubs.sync()
    assert late["a.yaml.py"] > early["a.yaml.py"]
    assert marks(stubs) == late


def test_a_change_that_keeps_the_old_time_is_seen_all_the_same(stubs, configs, tmp_path):
    def replace_by_older():
        older = write(tmp_path / "older.yaml", "name: a\n")
        os.utime(older, (1, 1))
        older.replace(configs / "a.yaml")

    assert changed_by(stubs, replace_by_older) == {"a.yaml.py"}


def test_new_and_renamed_files_get_stubs_and_old_stubs_go(stubs, configs):
    stubs.sync()
    (configs / "a.yaml").rename(configs / "z.yaml")
    write_good(configs, ["new"])
    stubs.sync()
    assert names(stubs) == ["b.yaml.py", "new.yaml.py", "z.yaml.py"]


@pytest.mark.parametrize("shared", ["dag_configs/_defaults.yaml", "manifest.json"])
def test_what_all_dags_are_drawn_from_marks_all_when_it_comes_changes_or_goes(stubs, tmp_path, shared):
    everything = {"a.yaml.py", "b.yaml.py"}
    assert changed_by(stubs, lambda: write(tmp_path / shared, "owner: me\n")) == everything
    assert changed_by(stubs, lambda: write(tmp_path / shared, "owner: you\n")) == everything
    assert changed_by(stubs, (tmp_path / shared).unlink) == everything


def test_a_worker_looks_at_folders_alone_where_nothing_came_or_went(stubs, configs, monkeypatch):
    settle()
    stubs.sync()
    monkeypatch.setattr(StubFolder, "sync", lambda _: pytest.fail("all files were looked at"))
    write(configs / "a.yaml", "name: changed\n")
    stubs.ensure()


@pytest.mark.parametrize("new", ["new.yaml", "deep/er/new.yaml", "team/new.yaml", "empty/new.yaml"])
def test_a_worker_makes_the_stub_of_a_file_that_came(stubs, configs, new):
    write(configs / "team" / "t.yaml", "name: t\n")
    (configs / "empty").mkdir()
    settle()
    stubs.sync()
    write(configs / new, "name: new\n")
    stubs.ensure()
    assert f"{new}.py" in names(stubs)


def test_a_worker_does_not_trust_a_folder_that_changed_just_now(stubs, configs):
    stubs.sync()
    (stubs.path / "a.yaml.py").unlink()
    stubs.ensure()
    assert "a.yaml.py" in names(stubs)


def test_a_worker_on_a_machine_without_stubs_makes_them(stubs):
    stubs.ensure()
    assert names(stubs) == ["a.yaml.py", "b.yaml.py"]


def test_two_folders_do_not_share_stubs_though_their_bundles_have_one_name(configs, tmp_path):
    write_good(tmp_path / "other", ["x"])
    mine, other = StubFolder(configs, tmp_path / "bundle"), StubFolder(tmp_path / "other", tmp_path / "bundle")
    for stubs in (mine, other, mine):
        stubs.sync()
    assert (names(mine), names(other)) == (["a.yaml.py", "b.yaml.py"], ["x.yaml.py"])


REFRESH = """
import ast, random, sys, time
from pathlib import Path
from elt_factory.dag.stubs import StubFolder
configs, parent, seed = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
dice, stubs, seen = random.Random(seed), StubFolder(configs, parent), 0
until = time.monotonic() + 4
while time.monotonic() < until:
    name = configs / f"moving_{dice.randrange(10)}.yaml"
    if dice.random() < 0.5:
        name.write_text("name: moving")
    else:
        name.unlink(missing_ok=True)
    stubs.sync()
    for stub in stubs.path.glob("*.py"):
        try:
            text = stub.read_text()
        except FileNotFoundError:
            continue
        ast.parse(text)
        assert text.rstrip().endswith(")"), text
        seen += 1
    kept = {f"kept_{number}.yaml.py" for number in range(40)}
    missing = kept - {stub.name for stub in stubs.path.glob("*.py")}
    assert not missing, missing
assert seen
"""


@pytest.mark.services
def test_twenty_processes_refresh_one_folder_and_never_see_a_broken_or_missing_stub(tmp_path):
    write_good(tmp_path / "dag_configs", [f"kept_{number}" for number in range(40)])
    StubFolder(tmp_path / "dag_configs", tmp_path / "bundle").sync()
    command = [sys.executable, "-c", REFRESH, str(tmp_path / "dag_configs"), str(tmp_path / "bundle")]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2] / "include")}
    running = [
        subprocess.Popen([*command, str(seed)], env=environment, stderr=subprocess.PIPE, text=True)
        for seed in range(20)
    ]
    errors = [process.communicate(timeout=120)[1] for process in running]
    assert [process.returncode for process in running] == [0] * 20, "".join(errors)
    stubs = StubFolder(tmp_path / "dag_configs", tmp_path / "bundle")
    stubs.sync()
    files = (tmp_path / "dag_configs").glob("*.yaml")
    assert names(stubs) == sorted(f"{file.name}.py" for file in files)


@pytest.mark.parametrize("file", ["Dockerfile", ".env.example"])
def test_docker_and_astro_are_given_the_same_bundle_as_a_laptop(file):
    from elt_factory.cli.local import local_environment

    root = Path(__file__).parents[2]
    shipped = (root / file).read_text()
    for name, value in local_environment(root).items():
        if "DAG_PROCESSOR" in name or "SERIALIZED" in name:
            assert f"{name}={value}" in shipped.replace("'", "")


def hostile(configs: Path) -> dict[str, str]:
    """Files that cannot be read to an end, each with what its error says."""
    os.mkfifo(configs / "fifo.yaml")
    (configs / "device.yaml").symlink_to("/dev/zero")
    (configs / "loop.yaml").symlink_to("loop.yaml")
    with (configs / "huge.yaml").open("wb") as file:
        file.truncate(1_500_000_000)
    return {"fifo": "it is a FIFO", "device": "it is a device", "loop": "symbolic links", "huge": "more than 2000000"}


@pytest.mark.timeout(60)
def test_a_fifo_a_device_a_loop_and_a_huge_file_have_stubs_that_stay_and_no_sync_waits_for_them(stubs, configs):
    odd = hostile(configs)
    stubs.sync()
    made = {name: (stubs.path / name).stat().st_ino for name in names(stubs)}
    assert set(made) == {f"{name}.yaml.py" for name in ("a", "b", *odd)}
    stubs.sync()
    assert {name: (stubs.path / name).stat().st_ino for name in names(stubs)} == made


@pytest.mark.timeout(60)
def test_their_dag_files_fail_with_their_own_error_and_the_others_are_dags(configs):
    odd = hostile(configs)
    for name, told in odd.items():
        with pytest.raises(ConfigError, match=told):
            load_file(configs, configs / f"{name}.yaml")
    assert load_file(configs, configs / "a.yaml").dag_id == "a"
    dags = load_dags(configs)
    assert set(dags) == {"a", "b", *odd}
    for name, told in odd.items():
        assert told in dags[name].doc_md
        # Airflow reads the file that it shows as the code
        assert dags[name].yaml_file is None
