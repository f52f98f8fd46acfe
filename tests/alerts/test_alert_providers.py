"""Notifiers of Airflow's own providers, as a route names them: their real code, against a receiver of this test's."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from providers_support import run_with_providers

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]
KEY = "a-key-of-thirty-two-characters-00"
# the routes are those of docs/guides/operations.md
CONFIG = """
name: flights
start_date: 2013-01-01
extract: {type: files, connection: inbox}
tables: {flights: {path: flights.csv}}
alerts:
  on: [failure]
  routes:
    - notifier: airflow.providers.pagerduty.notifications.pagerduty.PagerdutyNotifier
      arguments:
        pagerduty_events_conn_id: pager
        severity: "{{ message.severity }}"
        source: "{{ message.source }}"
        dedup_key: "{{ message.key }}"
        action: "{{ 'resolve' if message.recovered else 'trigger' }}"
        custom_details: "{{ message.body }}"
    - notifier: airflow.providers.opsgenie.notifications.opsgenie.OpsgenieNotifier
      arguments:
        opsgenie_conn_id: genie
        payload:
          message: "{{ message.text[:130] }}"
          alias: "{{ message.key }}"
          description: "{{ message.body }}"
          priority: P2
"""
# what a task does when it fails, and what its run does when it ends well
SENDS = """
import os
from pathlib import Path
from types import SimpleNamespace
import pagerduty
from elt_factory.config.loading import load_config
from elt_factory.dag.alerts import on_failure, on_success
# the only thing that is not PagerDuty's: where it is
pagerduty.EventsApiV2Client.url = property(lambda _: os.environ["RECEIVER"], lambda *_: None)
config = load_config(Path("flights.yaml")).config
error = ValueError("no such column {{ 6 * 7 }}")
for _ in range(2):
    on_failure(config)({"ti": SimpleNamespace(task_id="tables.flights.load"), "run_id": "r1", "exception": error})
on_success(config)({"run_id": "r2"})
"""


class Receiver(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.got: list[tuple[str, dict, dict]] = []


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.got.append((self.path, dict(self.headers), body))
        answer = json.dumps({"status": "success", "dedup_key": "k", "result": "ok", "took": 0.1, "requestId": "1"})
        self.send_response(202)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_pagerduty_and_opsgenie_take_what_airflow_s_own_notifiers_send(receiver, tmp_path):
    """One message for a cause, the secret from the connection alone, and PagerDuty's incident resolved at the end."""
    url = f"http://127.0.0.1:{receiver.server_address[1]}"
    (tmp_path / "flights.yaml").write_text(CONFIG)
    said = run_with_providers(
        tmp_path,
        SENDS,
        RECEIVER=url,
        AIRFLOW_CONN_PAGER=json.dumps({"conn_type": "pagerduty_events", "password": KEY}),
        AIRFLOW_CONN_GENIE=json.dumps({"conn_type": "opsgenie", "host": url, "password": KEY}),
        AIRFLOW_VAR_ELT_LANDING=str(tmp_path / "landing"),
        ELT_PROJECT=str(tmp_path),
    )
    assert KEY not in said
    pages = [body for path, _, body in receiver.got if path == "/v2/enqueue"]
    assert [page["event_action"] for page in pages] == ["trigger", "resolve"]
    assert {page["routing_key"] for page in pages} == {KEY}
    (key,) = {page["dedup_key"] for page in pages}
    assert key.startswith("elt-factory/flights/")
    first = pages[0]["payload"]
    assert (first["severity"], first["source"]) == ("error", "flights")
    # what a source has said is text
    assert first["summary"] == "flights: task tables.flights.load failed in run r1: no such column {{ 6 * 7 }}"
    assert first["custom_details"].splitlines()[:2] == [first["summary"], "Next: elt diagnose flights"]
    alerts = [(headers["Authorization"], body) for path, headers, body in receiver.got if path == "/v2/alerts"]
    assert {secret for secret, _ in alerts} == {f"GenieKey {KEY}"}
    assert alerts[0][1]["alias"] == key
    assert alerts[0][1]["message"] == first["summary"][:130]
