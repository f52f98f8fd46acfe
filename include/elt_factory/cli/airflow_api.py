"""A running Airflow by its REST API: the one that `elt up` started, or that of the connection `airflow_api`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from elt_factory.cli import background
from elt_factory.cli.local import use_local_airflow
from elt_factory.cli.standalone import login_of, running
from elt_factory.core.connection import Connection
from elt_factory.core.failures import AccessDeniedError, BadRequestError, SourceUnavailableError, UnknownConnectionError

if TYPE_CHECKING:
    import httpx

CONNECTION_ID = "airflow_api"
_SECONDS = 30.0
_PAGE = 100
_NO_TOKEN, _DENIED, _MISSING, _IS_THERE, _BUSY = 401, 403, 404, 409, 429


@dataclass(frozen=True)
class DagNow:
    """What Airflow says of a DAG at this moment."""

    paused: bool
    max_active_runs: int


@dataclass(frozen=True)
class Address:
    """Where an Airflow is, and how to log in: by a user and a password, or with a token as the password alone."""

    url: str
    user: str = ""
    secret: str = ""


def running_airflow() -> Address | None:
    """Return the Airflow that would do runs; None where none is known to run.

    Raises:
        ServiceError: the one of this project runs on another machine.
    """
    from elt_factory.dag.runtime import get_connection

    try:
        return address_of(get_connection(CONNECTION_ID))
    except UnknownConnectionError:
        pass
    # whether AIRFLOW_HOME is the project's own, as `elt up` has it
    if not use_local_airflow() or not Path(os.environ["AIRFLOW_HOME"]).is_dir():
        return None
    server = running()
    if server is None:
        return None
    login = login_of(server)
    return Address(login.url, login.user, login.password)


def address_of(connection: Connection) -> Address:
    """Return the address that a connection says: a URL or a name as its host, a port, a scheme in `schema`."""
    host = connection.host or ""
    url = host if "://" in host else f"{connection.schema or 'http'}://{host}"
    port = f":{connection.port}" if connection.port else ""
    return Address(url.rstrip("/") + port, connection.login or "", connection.password or "")


class AirflowApi:
    """Runs of one DAG, asked of Airflow's REST API with the user's own permission. Use it as a context manager."""

    def __init__(self, address: Address, dag_id: str) -> None:
        import httpx

        self.url, self._dag, self._address = address.url, dag_id, address
        # what is on this machine is not asked through a proxy
        remote = background.HOST not in address.url
        self._client = httpx.Client(base_url=address.url, timeout=_SECONDS, trust_env=remote)
        self._token = "" if address.user else address.secret

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._client.close()

    def dag(self) -> DagNow | None:
        """Return what Airflow says of the DAG; None where it does not have it."""
        answer = self._ask("GET", f"{self._path}/details", missing=True)
        return None if answer is None else DagNow(bool(answer["is_paused"]), int(answer["max_active_runs"]))

    def trigger(self, run_id: str, conf: Mapping[str, Any], note: str) -> None:
        """Queue a run; one of that id that is there already is that run."""
        body = {"dag_run_id": run_id, "logical_date": None, "conf": dict(conf), "note": note}
        self._ask("POST", f"{self._path}/dagRuns", body)

    def state(self, run_id: str) -> str:
        """Return the state of a run: queued, running, success, failed; failed too where it was deleted."""
        answer = self._ask("GET", f"{self._path}/dagRuns/{quote(run_id, safe='')}", missing=True)
        return "failed" if answer is None else str(answer["state"])

    def runs(self, prefix: str) -> dict[str, str]:
        """Return the states of the runs whose ids begin so."""
        found: dict[str, str] = {}
        while True:
            query = f"run_id_prefix_pattern={quote(prefix, safe='')}&limit={_PAGE}&offset={len(found)}"
            answer = self._ask("GET", f"{self._path}/dagRuns?{query}") or {}
            page = {run["dag_run_id"]: run["state"] for run in answer["dag_runs"]}
            found |= page
            if not page or len(found) >= answer["total_entries"]:
                return found

    def link(self, run_id: str) -> str:
        """Return where a person sees a run."""
        return f"{self.url}/dags/{self._dag}/runs/{quote(run_id, safe='')}"

    @property
    def _path(self) -> str:
        return f"/api/v2/dags/{quote(self._dag, safe='')}"

    def _ask(self, method: str, path: str, body: Any = None, *, missing: bool = False) -> Any:
        answer = self._send(method, path, body)
        if answer.status_code in (_NO_TOKEN, _DENIED) and self._address.user:
            # the token has expired, or is of before Airflow was started again: 403, as for who may not
            self._token = ""
            answer = self._send(method, path, body)
        if answer.status_code == _MISSING and missing:
            return None
        if answer.status_code == _IS_THERE and method == "POST":
            return {}
        self._refuse(answer)
        return answer.json()

    def _send(self, method: str, path: str, body: Any) -> httpx.Response:
        import httpx

        try:
            if not self._token:
                self._token = self._log_in()
            headers = {"Authorization": f"Bearer {self._token}"}
            return self._client.request(method, path, json=body, headers=headers)
        except httpx.HTTPError as error:
            raise SourceUnavailableError(f"Airflow at {self.url} does not answer: {type(error).__name__}") from error

    def _log_in(self) -> str:
        named = {"username": self._address.user, "password": self._address.secret}
        answer = self._client.post("/auth/token", json=named)
        self._refuse(answer)
        return str(answer.json()["access_token"])

    def _refuse(self, answer: httpx.Response) -> None:
        status = answer.status_code
        if answer.is_success:
            return
        told = f"Airflow at {self.url} answered {status}: {_detail(answer)}"
        if status in (_NO_TOKEN, _DENIED):
            raise AccessDeniedError(f"{told}; it must permit this user to trigger runs of {self._dag}")
        if status == _BUSY or answer.is_server_error:
            raise SourceUnavailableError(told)
        raise BadRequestError(told)


def _detail(answer: httpx.Response) -> str:
    try:
        detail = answer.json()["detail"]
    except (ValueError, KeyError, TypeError):
        return answer.reason_phrase
    return detail if isinstance(detail, str) else json.dumps(detail)[:300]
