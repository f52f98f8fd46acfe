"""A running Airflow, asked over its REST API, and the warehouse that its tasks write."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, sleep

import httpx

from elt_factory.core.connection import Connection
from elt_factory.warehouse.opening import open_warehouse

ENDED = ("success", "failed")


@dataclass(frozen=True)
class Live:
    """A running Airflow: its REST API, and the project whose warehouse its tasks write."""

    api: httpx.Client
    folder: Path

    def trigger(self, dag_id: str, **conf: str) -> str:
        """Let a DAG run by hand and return the id of the run."""
        self.api.patch(f"/dags/{dag_id}", json={"is_paused": False}).raise_for_status()
        body = {"logical_date": datetime.now(UTC).isoformat(), "conf": conf}
        answer = self.api.post(f"/dags/{dag_id}/dagRuns", json=body)
        assert answer.is_success, answer.text
        return str(answer.json()["dag_run_id"])

    def get(self, path: str) -> dict:
        return self.api.get(path).raise_for_status().json()

    def dags(self) -> set[str]:
        return {dag["dag_id"] for dag in self.get("/dags")["dags"]}

    def tasks(self, dag_id: str, run_id: str) -> dict[str, tuple[str, int]]:
        """The state and the number of tries of each task of a run, when the run has ended."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}"
        within(400, lambda: self.get(path)["state"] in ENDED)
        found = self.get(f"{path}/taskInstances")["task_instances"]
        return {task["task_id"]: (task["state"], task["try_number"]) for task in found}

    def query(self, statement: str) -> list[tuple]:
        """Ask the warehouse, as soon as the tasks let go of its file."""
        file = str(self.folder / "data" / "warehouse.duckdb")
        with open_warehouse(Connection("warehouse", "duckdb", host=file), self.folder, print, 60) as opened:
            return list(opened.query(statement).rows)


def within(seconds: float, found: Callable[[], object]) -> object:
    """What is found, looked for so long; the last look's answer when it is not."""
    deadline = monotonic() + seconds
    while not (answer := found()) and monotonic() < deadline:
        sleep(0.5)
    return answer


@contextmanager
def signed_in(port: int, home: Path, folder: Path) -> Iterator[Live]:
    """The Airflow on a port, whose home has the password."""
    passwords = home / "simple_auth_manager_passwords.json.generated"
    user, password = next(iter(json.loads(passwords.read_text()).items()))
    url = f"http://127.0.0.1:{port}"
    answer = httpx.post(f"{url}/auth/token", json={"username": user, "password": password}, timeout=30, trust_env=False)
    token = {"Authorization": f"Bearer {answer.raise_for_status().json()['access_token']}"}
    # a machine that does all of the tests at once answers slowly; what is never answered fails all the same
    with httpx.Client(base_url=f"{url}/api/v2", headers=token, timeout=120, trust_env=False) as api:
        yield Live(api, folder)
