"""What is written on disk is its writer's alone, and a folder that others could have prepared is refused."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import pytest
import yaml

from elt_factory.cli import background
from elt_factory.cli.background import Service
from elt_factory.cli.local import own_connections
from elt_factory.core.failures import EltError
from elt_factory.core.private import UnsafeFolderError, own_folder, private_files, require_own_way
from elt_factory.dag.stubs import StubFolder

ROOT = Path(__file__).parents[2]


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.parametrize(
    ("umask", "folder", "file"), [("", 0o700, 0o600), ("077", 0o700, 0o600), ("007", 0o770, 0o660)]
)
def test_files_are_their_writers_or_by_one_setting_the_groups(tmp_path, monkeypatch, umask, folder, file):
    monkeypatch.setenv("ELT_UMASK", umask)
    before = os.umask(0o022)
    with private_files():
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder" / "file").write_text("x")
    assert os.umask(before) == 0o022
    assert (mode(tmp_path / "folder"), mode(tmp_path / "folder" / "file")) == (folder, file)


@pytest.mark.parametrize("umask", ["022", "0", "rw", "777", "-7"])
def test_a_umask_that_gives_others_access_is_refused(monkeypatch, umask):
    monkeypatch.setenv("ELT_UMASK", umask)
    with pytest.raises(EltError, match="invalid ELT_UMASK"), private_files():
        pass


@pytest.mark.services
def test_the_files_of_a_process_in_the_background_are_private(tmp_path, unused_port):
    folder = tmp_path / "service"
    write = "import time; open('made', 'w').write('x'); print('hello', flush=True); time.sleep(99)"
    command = [sys.executable, "-c", f"import os; os.chdir({str(folder)!r}); {write}"]
    service = Service("a test", folder, "t", lambda _: command, lambda _: (folder / "made").exists())
    background.start(service, unused_port)
    try:
        assert {path.name: mode(path) for path in folder.iterdir()} == dict.fromkeys(("t.pid", "t.log", "made"), 0o600)
        assert mode(folder) == 0o700
    finally:
        background.stop(service)


@pytest.fixture
def shared_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder like /tmp."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    folder.chmod(0o1777)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_a_folder_in_a_shared_tmp_that_another_user_made_is_refused(shared_tmp, monkeypatch):
    assert mode(own_folder("pace")) == 0o700
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    (shared_tmp / "elt-4242").symlink_to(shared_tmp / f"elt-{os.getuid()}")
    with pytest.raises(UnsafeFolderError, match="not a folder owned by this user"):
        own_folder("pace")


def test_stubs_are_private_and_not_taken_from_a_folder_that_others_can_write_to(shared_tmp, tmp_path):
    configs = tmp_path / "dag_configs"
    configs.mkdir()
    (configs / "a.yaml").write_text("name: a\n")
    stubs = StubFolder(configs, tmp_path / "home" / "bundles")
    stubs.sync()
    assert {mode(path) for path in stubs.path.rglob("*")} == {0o600}
    assert mode(stubs.path) == 0o700
    stubs.path.chmod(0o777)
    with pytest.raises(UnsafeFolderError, match="by every user"):
        stubs.sync()
    stubs.path.chmod(0o700)
    (tmp_path / "home").chmod(0o777)
    with pytest.raises(UnsafeFolderError, match="by every user"):
        stubs.sync()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make another user's folder")
def test_a_folder_above_the_stubs_that_another_user_made_in_a_shared_tmp_is_refused(shared_tmp):
    theirs = shared_tmp / "airflow"
    (theirs / "bundles").mkdir(parents=True)
    os.chown(theirs, 4242, 4242)
    with pytest.raises(UnsafeFolderError, match="belongs to another user"):
        require_own_way(theirs / "bundles")


def test_the_bundles_stubs_are_not_in_a_shared_tmp():
    from elt_factory.dag.bundle import stub_parent

    assert stub_parent("sources").is_relative_to(os.environ["AIRFLOW_HOME"])


def test_connections_of_this_machine_come_from_a_file_that_git_ignores(tmp_path):
    (tmp_path / ".env").write_text(
        '# mine\nAIRFLOW_CONN_SHOP=\'{"password": "a=b"}\'\nexport AIRFLOW_VAR_X=1\nAIRFLOW__X__KEY=no\nOTHER=2\n\n'
    )
    assert own_connections(tmp_path) == {"AIRFLOW_CONN_SHOP": '{"password": "a=b"}', "AIRFLOW_VAR_X": "1"}
    assert own_connections(tmp_path / "none") == {}
    assert ".env" in (ROOT / ".gitignore").read_text().splitlines()


def test_the_settings_in_git_hold_no_secret():
    settings = (ROOT / "airflow_settings.yaml").read_text()
    given = yaml.safe_load(settings)["airflow"]["connections"]
    # the demo's own API prints this key for everybody
    assert [entry["conn_password"] for entry in given if "conn_password" in entry] == ["nyc-flights-demo"]
    assert not any("conn_uri" in entry for entry in given)
    assert ".env" in settings
