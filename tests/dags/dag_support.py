"""Configs and Airflow contexts as short as a test can read them."""

import json
from collections.abc import Mapping
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import yaml

from elt_factory.config.loading import load_config
from elt_factory.config.models.source import Config

TINY = """
name: tiny
start_date: 2013-01-01
extract: {type: files, connection: inbox}
tables:
  input: {path: input.csv, primary_key: [id], write_disposition: merge}
"""


def config_of(folder: Path, text: str = TINY, **changes: object) -> Config:
    """The config of a YAML text, with changes at its top."""
    data = yaml.safe_load(text) | changes
    file = folder / f"{data['name']}.yaml"
    file.write_text(yaml.safe_dump(data))
    return load_config(file).config


def context_of(
    interval: tuple[str, str] | None = None, run_after: str = "2013-01-09T12:00:00Z", **params: object
) -> Mapping[str, object]:
    """What Airflow hands to a task, as far as ours read it."""
    start, end = (moment(text) for text in interval) if interval else (None, None)
    run = SimpleNamespace(data_interval_start=start, data_interval_end=end, run_after=moment(run_after))
    return {"params": params, "dag_run": run, "run_id": "manual__1", "ti": SimpleNamespace(try_number=1)}


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


SECRET = "T000/B000/s3cretpath"


class Webhook(ThreadingHTTPServer):
    """Takes messages as Slack does, and answers with `status`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Receiver)
        self.status, self.messages = 200, []


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.messages.append((self.path, body["text"]))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass
