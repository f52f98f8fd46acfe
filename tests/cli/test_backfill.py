"""`elt backfill`: what it refuses, what it remembers, how many runs it has at a time, and what it asks of Airflow."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from cli_support import ORDERS, Project

from elt_factory.cli import backfill_runs
from elt_factory.cli.airflow_api import Address, AirflowApi, address_of
from elt_factory.cli.backfill_journal import Journal
from elt_factory.cli.backfill_loop import Progress, work
from elt_factory.cli.backfill_runs import Ended, InAirflow, conf_of, step_name
from elt_factory.config.loading import load_text
from elt_factory.core.connection import Connection
from elt_factory.core.failures import AccessDeniedError, ServiceError
from elt_factory.core.window import Window
from elt_factory.describe.backfills import Step

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
PREFIX = "elt_backfill__20260101T000000Z__"


def step(number: int, tables=("orders",)) -> Step:
    start = datetime(2024, 1, number, tzinfo=UTC)
    return Step(Window(start, start + timedelta(days=1)), tuple(tables))


@pytest.fixture
def config(tmp_path):
    return load_text(tmp_path / "orders.yaml", ORDERS, tmp_path).config


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--start", "2024-02-30", "--end", "2024-03-01"), 'invalid date or time "2024-02-30"'),
        (("--start", "2024-03-02", "--end", "2024-03-01"), "is empty: its end must come after its start"),
        (("--start", "2024-03-01", "--end", "2024-03-02", "--chunk", "week"), '--chunk: invalid duration "week"'),
        (("--start", "2024-03-01", "--end", "2024-03-02", "--chunk", "0d"), "--chunk must be longer than nothing"),
        (("--start", "2024-03-01", "--end", "2024-03-02", "--tables", "order"), 'no table "order"; did you mean'),
    ],
)
def test_what_cannot_be_is_one_line_before_airflow_is_started(project: Project, arguments, message):
    project.write("orders", ORDERS)
    result = project.elt("backfill", "orders", *arguments)
    assert result.exit_code == 1
    assert message in " ".join(result.output.split())
    assert not (project.root / "logs").exists()


def test_a_table_whose_past_cannot_be_read_is_refused_with_the_reason(project: Project):
    project.write("orders", ORDERS.replace("orders_%Y-%m-%d.csv", "orders.csv").replace("merge", "scd2"))
    result = project.elt("backfill", "orders", "--start", "2024-03-01", "--end", "2024-03-02")
    assert result.exit_code == 1
    assert "orders.orders cannot be backfilled: scd2 by snapshots" in " ".join(result.output.split())


def test_a_journal_outlives_its_process_and_a_line_that_was_cut_off(tmp_path):
    asked = {"start": "2024-01-01", "end": "2024-02-01"}
    with Journal(tmp_path, "orders", asked) as journal:
        assert journal.began is None
        journal.begin(BEGAN)
        journal.note("one")
        with pytest.raises(ServiceError, match="already running"), Journal(tmp_path, "orders", asked):
            pass
    (file,) = tmp_path.iterdir()
    with file.open("a") as cut_off:
        cut_off.write('{"done": "tw')
    with Journal(tmp_path, "orders", asked) as journal:
        assert (journal.began, journal.done) == (BEGAN, {"one"})
        journal.note("three")
    with Journal(tmp_path, "orders", asked) as journal:
        assert journal.done == {"one", "three"}
        journal.finish()
    # another range is another backfill, and one that was only looked at leaves nothing
    with Journal(tmp_path, "orders", asked | {"end": "2024-03-01"}) as journal:
        assert journal.began is None
    assert not list(tmp_path.iterdir())


class Runs:
    """Runs that end one at a time, the newest first."""

    def __init__(self, failing=()):
        self.active, self.most, self.failing = [], 0, failing

    def start(self, one):
        self.active.append(one)
        self.most = max(self.most, len(self.active))

    def ended(self):
        one = self.active.pop()
        return [Ended(one, one.window.start.day not in self.failing)]


def done_of(runs, parallel, count=9):
    noted, lines = [], []
    progress = Progress(count, lines.append, lambda one: str(one.window))
    work([step(number) for number in range(1, count + 1)], runs, parallel, progress, noted.append)
    return progress, [one.window.start.day for one in noted], lines


def test_no_more_runs_than_asked_for_are_done_at_a_time():
    runs = Runs()
    progress, noted, lines = done_of(runs, 3)
    assert (runs.most, progress.done, sorted(noted)) == (3, 9, list(range(1, 10)))
    assert "9/9" in lines[-1]
    assert "left" not in lines[-1]


def test_a_failed_run_stops_no_others_and_three_in_a_row_do():
    progress, noted, _ = done_of(Runs({2, 4, 5}), 1)
    assert (progress.done, len(progress.failed), noted) == (6, 3, [1, 3, 6, 7, 8, 9])
    progress, noted, _ = done_of(Runs({2, 3, 4}), 1)
    assert (noted, len(progress.failed)) == ([1], 3)


def test_a_run_has_the_window_and_only_the_tables_that_are_not_all(config):
    assert conf_of(config, step(1)) == {"window_start": "2024-01-01T00:00:00Z", "window_end": "2024-01-02T00:00:00Z"}
    assert conf_of(config, step(1, ()))["tables"] == []


@pytest.mark.parametrize(
    ("fields", "url"),
    [
        ({"host": "airflow.example.com", "schema": "https"}, "https://airflow.example.com"),
        ({"host": "https://airflow.example.com/team/"}, "https://airflow.example.com/team"),
        ({"host": "127.0.0.1", "port": 8080}, "http://127.0.0.1:8080"),
    ],
)
def test_the_address_is_that_of_the_connection(fields, url):
    assert address_of(Connection(conn_id="airflow_api", conn_type="http", password="t", **fields)).url == url


class Airflow(BaseHTTPRequestHandler):
    """What is asked of Airflow's API, over HTTP: runs that succeed when they are looked at, and one that had begun."""

    runs: dict[str, str] = {}
    bodies: list[dict] = []
    refused: list[int] = []
    logins = 1

    def do_GET(self):
        path, _, query = self.path.partition("?")
        if self.headers["Authorization"] != f"Bearer token {self.logins}":
            return self.answer(403, {"detail": "Invalid JWT token"})
        if self.refused:
            return self.answer(self.refused.pop(), {"detail": "not now"})
        if path.endswith("/details"):
            return self.answer(200, {"is_paused": False, "max_active_runs": 4})
        if query:
            listed = [{"dag_run_id": name, "state": state} for name, state in self.runs.items()]
            return self.answer(200, {"dag_runs": listed, "total_entries": len(listed)})
        name = path.rpartition("/")[2]
        self.runs[name] = "success"
        return self.answer(200, {"state": self.runs[name]})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/auth/token":
            token = f"token {self.logins}"
            return self.answer(201 if body["password"] == "right" else 401, {"access_token": token, "detail": "no"})
        self.bodies.append(body)
        self.runs[body["dag_run_id"]] = "queued"
        return self.answer(200, {"state": "queued"})

    def answer(self, status, body):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def airflow() -> Iterator[str]:
    Airflow.runs, Airflow.bodies, Airflow.refused, Airflow.logins = {}, [], [], 1
    server = HTTPServer(("127.0.0.1", 0), Airflow)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_runs_are_triggered_in_airflow_and_those_of_before_are_waited_for(config, airflow, monkeypatch):
    monkeypatch.setattr(backfill_runs, "_AIRFLOW_SECONDS", 0.01)
    names = [step_name(config, step(number)) for number in (1, 2)]
    # when it was ended before, one run had failed and one was under way
    Airflow.runs |= {f"{PREFIX}{names[0]}__1": "failed", f"{PREFIX}{names[1]}__1": "running"}
    said = []
    with AirflowApi(Address(airflow, "admin", "right"), "orders") as api:
        assert api.dag().max_active_runs == 4
        runner = InAirflow(config, api, PREFIX, said.append)
        runner.look()
        for number in (1, 2):
            runner.start(step(number))
        # it is started again meanwhile
        Airflow.refused.append(503)
        Airflow.logins = 2
        assert [one.succeeded for one in runner.ended()] == [True, True]
    assert [body["dag_run_id"] for body in Airflow.bodies] == [f"{PREFIX}{names[0]}__2"]
    assert Airflow.bodies[0]["conf"] == conf_of(config, step(1))
    assert len(said) == 1
    assert "503" in said[0]


def test_who_may_not_start_runs_is_told_so(airflow):
    with AirflowApi(Address(airflow, "admin", "wrong"), "orders") as api, pytest.raises(AccessDeniedError, match="401"):
        api.dag()
