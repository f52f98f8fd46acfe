"""The bundle over a git repository: new commits are seen, and a run keeps the configs of the revision it began with."""

import shutil
from pathlib import Path

import pytest
from bundle_support import GOOD, commit, git, write, write_good

pytest.importorskip("airflow.providers.git", reason="needs apache-airflow-providers-git")
pytestmark = pytest.mark.services


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    write_good(folder / "dag_configs", ["a", "b"])
    commit(folder)
    return folder


@pytest.fixture
def bundle_of(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Make a bundle over the repository: of the branch, or as a worker has it, of a version."""
    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH", str(tmp_path / "bundles"))

    def make(version: str | None = None):
        from elt_factory.dag.bundle_git import GitYamlBundle

        where = {"repo_url": str(repository), "tracking_ref": "main", "subdir": "dag_configs"}
        bundle = GitYamlBundle(name="sources", version=version, **where)
        bundle.initialize()
        return bundle

    return make


def dags(bundle) -> dict[str, object]:
    from airflow.dag_processing.dagbag import BundleDagBag

    bag = BundleDagBag(bundle.path, bundle_path=bundle.path, bundle_name=bundle.name)
    assert bag.import_errors == {}
    return bag.dags


def test_the_dags_of_the_branch_with_their_yaml_as_code(bundle_of, repository):
    bundle = bundle_of()
    found = dags(bundle)
    assert sorted(found) == ["a", "b"]
    assert found["a"].relative_fileloc == "a.yaml.py"
    assert Path(found["a"].fileloc).read_text() == GOOD.format(name="a")
    assert bundle.get_current_version().version == git(repository, "rev-parse", "HEAD")


def test_a_refresh_brings_what_was_committed_and_takes_what_was_removed(bundle_of, repository):
    bundle = bundle_of()
    (repository / "dag_configs" / "a.yaml").unlink()
    write_good(repository / "dag_configs", ["c"])
    version = commit(repository)
    bundle.refresh()
    assert bundle.get_current_version().version == version
    assert sorted(dags(bundle)) == ["b", "c"]


def test_a_worker_gets_the_configs_of_the_revision_its_run_began_with(bundle_of, repository):
    old = bundle_of().get_current_version().version
    changed = GOOD.format(name="a") + "description: another\n"
    write(repository / "dag_configs" / "a.yaml", changed)
    new = commit(repository)
    found = {version: dags(bundle_of(version))["a"] for version in (old, new)}
    assert [found[version].description for version in (old, new)] == [None, "another"]
    assert {dag.relative_fileloc for dag in found.values()} == {"a.yaml.py"}


def test_stubs_of_versions_that_airflow_threw_away_go_too(bundle_of, repository):
    tracking = bundle_of()
    old = bundle_of(tracking.get_current_version().version)
    assert old.path.is_dir()
    shutil.rmtree(old.repo_path)
    tracking.refresh()
    assert not old.path.exists()
    assert sorted(dags(tracking)) == ["a", "b"]
