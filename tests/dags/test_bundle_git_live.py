"""A whole Airflow over a git repository: each run keeps the configs of the revision it began with."""

from pathlib import Path

import pytest
from bundle_support import GOOD, commit, git, write, write_good

from live_support import Deployment, api_of, deployment_over, done, until

pytest.importorskip("airflow.providers.git", reason="needs apache-airflow-providers-git")
pytestmark = [pytest.mark.live, pytest.mark.timeout(280)]


@pytest.fixture
def deployment(tmp_path: Path, airflow_template: Path) -> Deployment:
    """A deployment whose `dag_configs` is in a repository of its own."""
    project = tmp_path / "project"
    write_good(project / "dag_configs", ["a", "b"])
    git(project, "init", "--quiet", "--initial-branch=main")
    commit(project)
    write(project / "inbox" / "input.csv", "id,amount\n1,2.5\n2,3.5\n")
    return deployment_over(project, tmp_path / "airflow", airflow_template)


def bundle_of(deployment: Deployment) -> list[dict[str, object]]:
    where = {"repo_url": str(deployment.project), "tracking_ref": "main", "subdir": "dag_configs"}
    kwargs = {**where, "refresh_interval": 2}
    return [{"name": "sources", "classpath": "elt_factory.dag.bundle_git.GitYamlBundle", "kwargs": kwargs}]


def test_a_run_keeps_its_revision_and_a_commit_makes_a_version_of_the_dag_it_changes_alone(deployment: Deployment):
    url, server = deployment.serve(bundle_of(deployment))
    first = git(deployment.project, "rev-parse", "HEAD")
    versions = "select dag_id, bundle_version from dag_version order by dag_id, version_number"
    with deployment.running(["dag-processor"], server):
        until(lambda: deployment.alive() == {"a", "b"}, 120, deployment.import_errors)
        assert deployment.query(versions) == [("a", first), ("b", first)]
        api = api_of(url)
        done(lambda: api.patch("/api/v2/dags/a", json={"is_paused": False}))
        done(lambda: api.post("/api/v2/dags/a/dagRuns", json={"logical_date": None}))

        # the run would fail with this one
        changed = GOOD.format(name="a").replace("path: input.csv", "path: nowhere.csv") + "description: changed\n"
        write(deployment.configs / "a.yaml", changed)
        second = commit(deployment.project)
        until(lambda: ("a", second) in deployment.query(versions), 15, lambda: deployment.query(versions))
        (told,) = deployment.query("select description from dag where dag_id = 'a'")
        assert told == ("changed",)
        shown = [
            api.get(f"/api/v2/dagSources/a?version_number={number}", headers={"Accept": "text/plain"}).text
            for number in (1, 2)
        ]
        assert shown == [GOOD.format(name="a"), changed]

        with deployment.running(["scheduler"]):
            runs = "select state, bundle_version from dag_run where run_type = 'manual'"
            until(lambda: deployment.query(runs) == [("success", first)], 90, lambda: deployment.query(runs))
        assert deployment.query(versions) == [("a", first), ("a", second), ("b", first)]
