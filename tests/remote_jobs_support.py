"""Remote systems in one small server: a table says how each writes its requests, its answers and its statuses."""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any

import pytest
from boto3.session import Session

from elt_factory.config.models.remote_jobs import RemoteJob
from elt_factory.core.connection import Connection
from elt_factory.core.failures import EltError, JobRunningError, PermanentError, SourceBusyError, TransientError
from elt_factory.sources.remote_job import aws, transport
from elt_factory.sources.remote_job.asked import JobRequest
from elt_factory.sources.remote_job.description import Description
from elt_factory.sources.remote_job.remote import RemoteRun
from elt_factory.sources.rest_api import http
from elt_factory.sources.rest_api.api_model import RestApi
from elt_factory.sources.rest_api.exchange import Patience
from elt_factory.sources.rest_api.settings import HttpSettings

DATE = "{{ window.start | date }}"
DAY = datetime(2013, 1, 1, tzinfo=UTC)
VALUES = {"window.start": DAY, "window.end": DAY + timedelta(days=1), "cursor": DAY, "run_id": "r", "load_id": "l"}
KEYS = re.compile(r"elt-[0-9a-f]{32}")


@dataclass
class Job:
    """A job there. `states` are what the next looks see; the last one stays."""

    id: str
    key: str
    states: list[str]
    cancelled: bool = False

    @property
    def state(self) -> str:
        return "cancelled" if self.cancelled else self.states[0]

    @property
    def over(self) -> bool:
        return self.state in ("done", "failed", "cancelled", "gone")

    def seen(self) -> str:
        state = self.state
        if len(self.states) > 1:
            self.states.pop(0)
        return state


@dataclass(frozen=True)
class System:
    """How one system speaks. Routes are patterns of `METHOD path`, of AWS of the operation."""

    spec: Mapping[str, Any]
    words: Mapping[str, Any]
    start: str
    look: str
    cancel: str = "-"
    listed: str = "-"
    started: Callable[[Job], Any] = lambda job: {"id": job.id}
    shown: Callable[[Job, Any], Any] = lambda job, word: {"status": word}
    list: Callable[[list[tuple[Job, Any]]], Any] = lambda jobs: [{"id": job.id} for job, _ in jobs]
    conflict: Any = 409
    keyed: bool = False
    joined: bool = False  # a start while one runs is answered with that one
    refused: bool = False  # a start while one runs is a conflict
    own_retries: bool = False
    headers: Callable[[Job], Mapping[str, str]] = lambda _: {}


def _words(*words: Any) -> dict[str, Any]:
    return dict(zip(("running", "retrying", "done", "failed", "cancelled"), words, strict=True))


UUID = "8c775d4c-2b4d-4f3a-9c5b-6a1f2e3d4c5b"
SYSTEMS: Mapping[str, System] = {
    "http": System(
        {
            "start": {"method": "POST", "path": "/jobs", "json": {"label": "{{ job.key }}", "day": DATE}},
            "id": "id",
            "look": {"path": "/jobs/{{ job.id }}"},
            "status": "state",
            "done": ["finished"],
            "failed": ["error"],
            "cancelled": ["cancelled"],
            "error": "message",
            "link": "https://jobs.example.com/{{ job.id }}/log",
            "find": {"path": "/jobs?limit=9", "items": "jobs", "id": "id", "key": "label"},
            "cancel": {"method": "DELETE", "path": "/jobs/{{ job.id }}"},
        },
        _words("running", "running", "finished", "error", "cancelled"),
        "POST /jobs",
        r"GET /jobs/(\w+)",
        r"DELETE /jobs/(\w+)",
        r"GET /jobs\?.*",
        shown=lambda job, word: {"state": word, "message": "disk full"},
        list=lambda jobs: {"jobs": [{"id": job.id, "label": job.key} for job, _ in jobs]},
    ),
    "airbyte": System(
        {"connection_id": UUID, "workspace_id": "w1"},
        _words("running", "incomplete", "succeeded", "failed", "cancelled"),
        "POST /jobs",
        r"GET /jobs/(\w+)",
        r"DELETE /jobs/(\w+)",
        r"GET /jobs\?.*",
        started=lambda job: {"jobId": int(job.id), "status": "running"},
        shown=lambda job, word: {"jobId": int(job.id), "status": word},
        list=lambda jobs: {"data": [{"jobId": int(job.id)} for job, _ in jobs]},
        own_retries=True,
    ),
    "fivetran": System(
        {"connection_id": "warm"},
        _words("syncing", "syncing", "scheduled", "scheduled", "scheduled"),
        "POST /v1/connections/warm/sync",
        "GET /v1/connections/warm()",
        started=lambda _: {"code": "Success"},
        keyed=True,
        joined=True,
    ),
    "dbt_cloud": System(
        {"account_id": 1, "job_id": 2},
        {"running": 3, "retrying": 3, "done": 10, "failed": 20, "cancelled": 30},
        "POST /api/v2/accounts/1/jobs/2/run/",
        r"GET /api/v2/accounts/1/runs/(\w+)/",
        r"POST /api/v2/accounts/1/runs/(\w+)/cancel/",
        r"GET /api/v2/accounts/1/runs/\?.*",
        started=lambda job: {"data": {"id": int(job.id), "href": f"https://cloud.example.com/runs/{job.id}"}},
        shown=lambda job, word: {"data": {"id": int(job.id), "status": word, "status_message": "disk full"}},
        list=lambda jobs: {"data": [{"id": int(job.id), "trigger": {"cause": f"by {job.key}"}} for job, _ in jobs]},
    ),
    "prefect": System(
        {"deployment_id": UUID, "parameters": {"day": DATE}},
        _words("RUNNING", "SCHEDULED", "COMPLETED", "FAILED", "CANCELLED"),
        f"POST /deployments/{UUID}/create_flow_run",
        r"GET /flow_runs/(\w+)",
        r"POST /flow_runs/(\w+)/set_state",
        shown=lambda job, word: {"id": job.id, "state": {"type": word, "message": "disk full"}},
        keyed=True,
        own_retries=True,
    ),
    "matillion": System(
        {"project_id": "p1", "pipeline": "load.orch.yaml", "environment": "prod"},
        _words("RUNNING", "RUNNING", "SUCCESS", "FAILED", "CANCELLED"),
        "POST /v1/projects/p1/pipeline-executions",
        r"GET /v1/projects/p1/pipeline-executions/(\w+)",
        r"PATCH /v1/projects/p1/pipeline-executions/(\w+)",
        r"GET /v1/pipeline-executions\?.*",
        started=lambda job: {"pipelineExecutionId": job.id},
        shown=lambda job, word: {"result": {"status": word, "message": "disk full"}},
        list=lambda jobs: {"results": [{"pipelineExecutionId": job.id} for job, _ in jobs]},
    ),
    "airflow": System(
        {"dag_id": "load_sales", "conf": {"day": DATE}},
        _words("running", "running", "success", "failed", "failed"),
        "POST /api/v2/dags/load_sales/dagRuns",
        r"GET /api/v2/dags/load_sales/dagRuns/([\w-]+)",
        r"PATCH /api/v2/dags/load_sales/dagRuns/([\w-]+)",
        started=lambda job: {"dag_run_id": job.key},
        shown=lambda job, word: {"dag_run_id": job.key, "state": word},
        own_retries=True,
    ),
    "aws_step_functions": System(
        {"state_machine": "arn:aws:states:eu-central-1:1:stateMachine:load", "input": {"day": DATE}},
        _words("RUNNING", "RUNNING", "SUCCEEDED", "FAILED", "ABORTED"),
        "StartExecution",
        "DescribeExecution",
        "StopExecution",
        started=lambda job: {"executionArn": job.id, "startDate": 1.0},
        shown=lambda job, word: {
            "executionArn": job.id, "stateMachineArn": "a", "name": job.key, "status": word, "startDate": 1.0,
            "cause": "disk full",
        },
        conflict="ExecutionAlreadyExists",
        keyed=True,
        own_retries=True,
    ),
    "aws_glue": System(
        {"job_name": "load"},
        _words("RUNNING", "RUNNING", "SUCCEEDED", "FAILED", "STOPPED"),
        "StartJobRun",
        "GetJobRuns",
        "BatchStopJobRun",
        started=lambda job: {"JobRunId": job.id},
        list=lambda jobs: {
            "JobRuns": [
                {"Id": job.id, "JobRunState": word, "Arguments": {"--elt_key": job.key}, "ErrorMessage": "disk full"}
                for job, word in jobs
                if word != "gone"
            ]
        },
        conflict="ConcurrentRunsExceededException",
        own_retries=True,
    ),
}  # fmt: skip


MORE: Mapping[str, System] = {
    "orchestra": System(
        {"pipeline_id": "daily", "inputs": {"day": DATE}},
        _words("RUNNING", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED"),
        "POST /api/engine/public/pipelines/daily/start",
        r"GET /api/engine/public/pipeline_runs/(\w+)/status",
        r"POST /api/engine/public/pipeline_runs/(\w+)/cancel",
        started=lambda job: {"pipelineRunId": job.id},
        shown=lambda _, word: {"runStatus": word, "message": "disk full"},
        own_retries=True,
    ),
    "aws_ecs": System(
        {"cluster": "loaders", "task_definition": "load:3"},
        _words("RUNNING", "RUNNING", 0, 1, 137),
        "RunTask",
        "DescribeTasks",
        "StopTask",
        started=lambda job: {"tasks": [{"taskArn": job.id}]},
        shown=lambda job, word: {
            "tasks": [
                {"taskArn": job.id, "lastStatus": word, "containers": [{}]}
                if word == "RUNNING"
                else {
                    "taskArn": job.id,
                    "lastStatus": "STOPPED",
                    "containers": [{"exitCode": word}],
                    "stoppedReason": "disk full",
                    **({"stopCode": "UserInitiated"} if job.state == "cancelled" else {}),
                }
            ]
        },
        keyed=True,
    ),
    "aws_lambda": System(
        {"function": "load", "payload": {"day": DATE}},
        _words("", "", "", "Unhandled", ""),
        r"POST /2015-03-31/functions/load/invocations",
        "-",
        started=lambda job: {"errorMessage": "disk full"} if job.state == "failed" else {"rows": 2},
        headers=lambda job: {"X-Amz-Function-Error": "Unhandled"} if job.state == "failed" else {},
    ),
    "tableau": System(
        {"site_id": "s1", "site": "sales", "workbook_id": "w1"},
        _words(None, None, "0", "1", "2"),
        "POST /api/3.24/sites/s1/workbooks/w1/refresh",
        r"GET /api/3.24/sites/s1/jobs/(\w+)",
        r"PUT /api/3.24/sites/s1/jobs/(\w+)",
        started=lambda job: {"job": {"id": job.id}},
        refused=True,
        shown=lambda job, word: {
            "job": {
                "id": job.id,
                "progress": "50",
                **({"finishCode": word, "statusNotes": {"statusNote": [{"text": "disk full"}]}} if word else {}),
            }
        },
    ),
    "power_bi": System(
        {"tenant": "example.com", "group_id": "g1", "dataset_id": "d1"},
        _words("Unknown", "Unknown", "Completed", "Failed", "Cancelled"),
        "POST /v1.0/myorg/groups/g1/datasets/d1/refreshes",
        r"GET /v1.0/myorg/groups/g1/datasets/d1/refreshes/(\w+)",
        r"DELETE /v1.0/myorg/groups/g1/datasets/d1/refreshes/(\w+)",
        listed=r"GET /v1.0/myorg/groups/g1/datasets/d1/refreshes\?.*",
        started=lambda _: {},
        headers=lambda job: {"Location": f"https://api.example.com/v1.0/refreshes/{job.id}"},
        shown=lambda _, word: {"status": word, "messages": [{"message": "disk full"}]},
        list=lambda jobs: {"value": [{"requestId": job.id} for job, _ in jobs]},
    ),
    "looker": System(
        {"model": "sales", "view": "orders"},
        _words("running", "running", "complete", "error", "killed"),
        "GET /api/4.0/derived_table/sales/orders/start",
        r"GET /api/4.0/derived_table/(\w+)/check",
        r"GET /api/4.0/derived_table/(\w+)/stop",
        started=lambda job: {"materialization_id": job.id},
        joined=True,
        shown=lambda _, word: {"resp_text": json.dumps({"status": word, "message": "disk full"})},
    ),
    "superset": System(
        {"chart_id": 12},
        _words("", "", "", "", ""),
        "PUT /api/v1/chart/warm_up_cache",
        "-",
        started=lambda job: {"result": [{"chart_id": 12, "viz_error": "disk full" if job.state == "failed" else None}]},
    ),
    "metabase": System(
        {"model_id": 34},
        _words("refreshing", "refreshing", "persisted", "error", "off"),
        "POST /api/persist/card/34/refresh",
        "GET /api/persist/card/34()",
        started=lambda _: None,
        joined=True,
    ),
}
EVERY: Mapping[str, System] = {**SYSTEMS, **MORE}
_LOGINS = (
    "/applications/token",
    "/auth/token",
    "/oauth/token",
    "/api/3.24/auth/signin",
    "/api/4.0/login",
    "/api/v1/security/login",
)


@dataclass
class Faults:
    """What goes wrong, as often as a number says."""

    start_500: int = 0
    start_lost: int = 0  # the job is started, and no answer comes
    start_again: int = 0  # the answer says that it runs already, as where a proxy has sent the request twice
    look_500: int = 0
    look_401: int = 0
    look_garbage: int = 0


class Remote(ThreadingHTTPServer):
    """One remote system."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.become("http")

    def become(self, name: str) -> None:
        self.name, self.system = name, EVERY[name]
        self.jobs: list[Job] = []
        self.states = ["running", "done"]
        self.faults = Faults()
        self.asked: list[str] = []
        self.bodies: list[Any] = []
        self.at_once = 0  # jobs that were started while another one ran

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def job(self, body: str) -> Job:
        """Start a job; a system that knows keys returns the one that it has."""
        found = KEYS.search(body)
        key = found[0] if found else ""
        for known in self.jobs:
            if (self.system.keyed and known.key == key and key) or (self.system.joined and not known.over):
                return known
        self.at_once += any(not known.over for known in self.jobs)
        made = Job(str(len(self.jobs) + 1), key, list(self.states))
        self.jobs.append(made)
        return made


class _Handler(BaseHTTPRequestHandler):
    server: Remote
    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        remote, system = self.server, self.server.system
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        target = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
        route = target or f"{self.command} {self.path}"
        if self.path in _LOGINS:
            self._send({"access_token": "issued", "credentials": {"token": "issued"}})
            return
        remote.asked.append(route)
        for name in ("start", "listed", "look", "cancel"):
            found = re.fullmatch(getattr(system, name), route)
            if found:
                getattr(self, f"_{name}")(body, (found.groups() or ("",))[0])
                return
        self._send({"error": "no such route"}, 404)

    def _start(self, body: str, _: str) -> None:
        remote, faults = self.server, self.server.faults
        if faults.start_500:
            faults.start_500 -= 1
            self._send({"message": "down"}, 500)
            return
        same = [job for job in remote.jobs if job.key and job.key in body]
        if remote.name == "airflow" and same:
            self._send({"detail": "exists"}, 409)
            return
        if remote.name == "aws_step_functions" and any(job.over for job in same):
            # a name is used once; only an execution that still runs is answered as the first time
            self._refused(remote.system.conflict)
            return
        runs_there = [job for job in remote.jobs if not job.over]
        if remote.system.refused and runs_there:
            runs_there[0].seen()
            self._refused(remote.system.conflict)
            return
        remote.bodies.append(json.loads(body) if body else None)
        job = remote.job(body)
        if faults.start_lost:
            faults.start_lost -= 1
            self.close_connection = True
            return
        if faults.start_again:
            faults.start_again -= 1
            self._refused(remote.system.conflict)
            return
        self._send(remote.system.started(job), 200, remote.system.headers(job))

    def _refused(self, conflict: Any) -> None:
        if isinstance(conflict, int):
            self._send({"message": "already running"}, conflict)
        else:
            self._send({"__type": conflict, "message": "already running"}, 400)

    def _look(self, body: str, id_: str) -> None:
        remote, faults = self.server, self.server.faults
        if faults.look_500:
            faults.look_500 -= 1
            self._send({"message": "down"}, 500)
        elif faults.look_401:
            faults.look_401 -= 1
            self._send(
                {"__type": "UnrecognizedClientException", "message": "expired"},
                400 if remote.name.startswith("aws") else 401,
            )
        elif faults.look_garbage:
            faults.look_garbage -= 1
            self._send(b"<html>maintenance</html>")
        elif remote.name == "fivetran":
            self._connection()
        elif remote.name == "metabase":
            self._model()
        elif remote.name == "aws_glue":
            self._send(remote.system.list([(job, self._word(job.seen())) for job in reversed(remote.jobs)]))
        else:
            self._one(id_ or body)

    def _one(self, id_: str) -> None:
        remote = self.server
        job = next(
            (job for job in remote.jobs if job.id == id_ or (job.key and job.key in id_) or f'"{job.id}"' in id_), None
        )
        state = job.seen() if job else "gone"
        if job is None or state == "gone":
            self._send({"__type": "ExecutionDoesNotExist"}, 400 if remote.name.startswith("aws") else 404)
        else:
            self._send(remote.system.shown(job, self._word(state)))

    def _word(self, state: str) -> Any:
        return self.server.system.words.get(state, state)

    def _connection(self) -> None:
        """Answer as a system without ids: how the newest job ended is in two moments."""
        jobs = self.server.jobs
        states = [job.seen() if job is jobs[-1] else job.state for job in jobs]
        if "gone" in states[-1:]:
            self._send({"code": "NotFound"}, 404)
            return
        ended = {word: states.count(word) for word in ("done", "failed")}
        self._send(
            {
                "data": {
                    "succeeded_at": f"2013-01-{ended['done']:02}" if ended["done"] else None,
                    "failed_at": f"2013-01-{ended['failed']:02}" if ended["failed"] else None,
                    "status": {"sync_state": self._word(states[-1]) if states else "scheduled"},
                }
            }
        )

    def _model(self) -> None:
        jobs = self.server.jobs
        state = jobs[-1].seen() if jobs else "done"
        if state == "gone":
            self._send({"message": "not persisted"}, 404)
            return
        ended = f"2013-01-{len(jobs) + 1:02}" if state in ("done", "failed") else "2013-01-01"
        error = "disk full" if state == "failed" else None
        self._send({"state": self._word(state), "refresh_end": ended, "error": error})

    def _listed(self, *_: str) -> None:
        self._send(self.server.system.list([(job, "") for job in reversed(self.server.jobs)]))

    def _cancel(self, body: str, id_: str) -> None:
        for job in self.server.jobs:
            if job.id == id_ or (job.key and job.key in (id_ or body)) or f'"{job.id}"' in body:
                job.cancelled = True
        self._send({})

    def _send(self, content: Any, status: int = 200, headers: Mapping[str, str] = MappingProxyType({})) -> None:
        data = content if isinstance(content, bytes) else b"" if content is None else json.dumps(content).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def do_PATCH(self) -> None:
        self._serve()

    def log_message(self, *_: object) -> None:
        pass


@dataclass
class Kept:
    """A memory that outlives the tries of a run; `dies_at` is the write at which its worker is killed."""

    content: bytes | None = None
    dies_at: int = 0
    writes: int = 0
    seen: list[bytes] = field(default_factory=list)

    def read(self) -> bytes | None:
        return self.content

    def write(self, content: bytes) -> None:
        self.writes += 1
        if self.writes == self.dies_at:
            raise KeyboardInterrupt
        self.content = content

    def forget(self) -> None:
        self.content = None


@dataclass
class Runs:
    """One run of a job, driven as Airflow drives it: a clock that jumps, and a new process for each try."""

    remote: Remote | None
    job: RemoteJob
    memory: Kept = field(default_factory=Kept)
    now: datetime = DAY
    said: list[str] = field(default_factory=list)
    errors: list[EltError] = field(default_factory=list)

    @property
    def connection(self) -> Connection:
        aws, url = self.job.kind.startswith("aws"), self.remote.url if self.remote else None
        endpoint = {"endpoint_url": url} if url else {}
        return Connection(
            "there",
            "aws" if aws else "http",
            host=None if aws else url,
            login="id",
            password="s3cret-of-the-system",
            extra={"region_name": "eu-central-1", **endpoint} if aws else {},
        )

    @property
    def request(self) -> JobRequest:
        return JobRequest(
            self.job, self.connection, "shop", "job", VALUES, "UTC", self.memory, self.said.append, lambda: self.now
        )

    def once(self) -> str:
        with RemoteRun.of(self.request) as run:
            return str(run.finish().id)

    def drive(self, tries: int = 4) -> str:
        """Return how it ended: done, or the name of the error that no retry heals."""
        for _ in range(60):
            try:
                self.once()
            except (JobRunningError, SourceBusyError):
                self.now += self.job.every
            except KeyboardInterrupt:
                self.memory.dies_at = 0
            except TransientError as error:
                self.errors.append(error)
                tries -= 1
                if not tries:
                    return type(error).__name__
            except PermanentError as error:
                self.errors.append(error)
                return type(error).__name__
            else:
                return "done"
        return "hung"


CONTEXT = ssl.create_default_context()
SESSION = Session("id", "s3cret-of-the-system", region_name="eu-central-1")


def quickly(server: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make tries cheap: no pause, and certificates and the models of AWS are read once, not for every try."""
    monkeypatch.setattr(http, "PATIENCE", Patience(tries=1))
    monkeypatch.setattr(HttpSettings, "tls", lambda _: CONTEXT)
    monkeypatch.setattr(aws, "session_of", lambda _: SESSION)
    monkeypatch.setattr(aws, "_TRIES", 1)
    asked = transport.api_of

    def api_of(how: Description, connection: Connection) -> RestApi:
        if server.name != "matillion":
            return asked(how, connection)
        # its token comes from a host of its own
        auth = {**(how.auth or {}), "token_url": f"{server.url}/oauth/token"}
        return RestApi.model_validate({"type": "rest_api", "connection": connection.conn_id, "auth": auth})

    monkeypatch.setattr(transport, "api_of", api_of)


def job_of(server: Remote, changes: Mapping[str, Any]) -> RemoteJob:
    """Return a job of the system that the server is."""
    token = {"token_url": f"{server.url}/oauth/token"} if server.name == "power_bi" else {}
    return RemoteJob.model_validate({server.name: {**server.system.spec, **token}, **changes})
