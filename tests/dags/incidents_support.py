"""A line on which incidents happen: small configs, a real API that refuses, a dbt project of a few models."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from time import sleep

ROOT = Path(__file__).parents[2]
NOW = datetime.now(UTC)
# the window that is due ended six to seven hours ago, whenever this runs
ENDED = NOW.replace(minute=0, second=0, microsecond=0) - timedelta(hours=6)
DAY = timedelta(days=1)
STATUSES = {"/login": 401, "/lost": 404, "/limited": 429}

HEAD = f"""\
name: {{name}}
owner: sales
schedule: "0 {ENDED.hour} * * *"
start_date: 2024-01-01
retries: {{{{count: 0}}}}
"""
FILES = "extract: {type: files, connection: inbox}\n"
TABLE = "tables:\n  rows: {path: NAME.csv, primary_key: [id], write_disposition: merge, business_date: at}\n"
API = "extract: {type: rest_api, connection: shop}\ntables:\n  rows: {path: /NAME, records: rows}\n"
MERGE = "primary_key: [id], write_disposition: merge"
CONFIGS = {
    "login": API,
    "lost": API,
    "limited": API,
    "down": API.replace("shop", "nowhere"),
    "unknown": FILES.replace("inbox", "not_there") + TABLE,
    "absent": FILES + TABLE,
    "refused": FILES + f"tables:\n  rows: {{path: refused.csv, {MERGE}, columns: {{id: {{type: integer}}}}}}\n",
    "rejecting": FILES
    + f"tables:\n  rows: {{path: rejecting.csv, {MERGE}, columns: {{id: {{type: integer}}}}, rejects: {{max: 50%}}}}\n",
    "frozen": FILES + f"tables:\n  rows: {{path: frozen.csv, {MERGE}, schema_contract: freeze}}\n",
    "grown": FILES + f"tables:\n  rows: {{path: grown.csv, {MERGE}}}\n",
    "few": FILES + TABLE + "quality:\n  rows: [{row_count: {min: 100}}]\n",
    "warned": FILES + TABLE + "quality:\n  rows: [{row_count: {min: 100}, severity: warn}]\n",
    "gap": FILES + TABLE.replace("gap.csv", "gap_%Y-%m-%d.csv").replace("NAME.csv", "NAME_%Y-%m-%d.csv"),
    "old": FILES + TABLE,
    "never": FILES + TABLE,
    "behind": FILES + TABLE + "quality:\n  rows: [{freshness: {business_date_within: 26h}, severity: warn}]\n",
    "tight": "deadline: {within: 1s}\n" + API,
    "stopped": FILES + TABLE,
    "good": FILES + TABLE,
    "early": FILES + TABLE,
    "unseen": FILES + TABLE,
    "full": FILES + TABLE,
    "mart_early": 'transform: {dbt: {select: "tag:early"}}\n',
    "mart_unseen": 'transform: {dbt: {select: "tag:unseen"}}\n',
    "mart_broken": 'transform: {dbt: {select: "tag:broken"}}\n',
}
BROKEN = "name: broken\nextract: {type: files, folder: inbox}\ntabels: {}\n"
PROJECT = """\
name: elt_factory
profile: elt
flags: {send_anonymous_usage_stats: false}
models: {elt_factory: {+materialized: table}}
"""
SOURCES = """\
sources:
  - {name: early, schema: early, tables: [{name: rows}]}
  - {name: unseen, schema: unseen, tables: [{name: rows}]}
models:
  - {name: mart_of_early, config: {tags: [early]}}
  - {name: mart_of_unseen, config: {tags: [unseen]}}
  - {name: broken_mart, config: {tags: [broken]}}
"""
MODELS = {
    "mart_of_early": "select count(*) as n from {{ source('early', 'rows') }}",
    "mart_of_unseen": "select count(*) as n from {{ source('unseen', 'rows') }}",
    "broken_mart": "select no_such_column",
}


def lay(project: Path) -> None:
    """Write the project: configs, files to read, dbt models and their manifest."""
    configs, inbox, dbt = project / "dag_configs", project / "inbox", project / "include" / "dbt"
    for folder in (configs, inbox, dbt / "models"):
        folder.mkdir(parents=True)
    for name, text in CONFIGS.items():
        (configs / f"{name}.yaml").write_text(HEAD.format(name=name) + text.replace("NAME", name))
        (inbox / f"{name}.csv").write_text(rows_until(ENDED))
    (configs / "broken.yaml").write_text(BROKEN)
    (inbox / "absent.csv").unlink()
    (inbox / "behind.csv").write_text(rows_until(ENDED - 5 * DAY))
    (inbox / "refused.csv").write_text("id\nx\ny\n")
    (inbox / "rejecting.csv").write_text("id\n1\n2\nz\n")
    for back in range(1, 6):
        (inbox / f"gap_{ENDED - back * DAY:%Y-%m-%d}.csv").write_text(rows_until(ENDED - (back - 1) * DAY))
    (inbox / f"gap_{ENDED:%Y-%m-%d}.csv").write_text(rows_until(ENDED))
    (dbt / "dbt_project.yml").write_text(PROJECT)
    (dbt / "profiles.yml").write_text((ROOT / "include" / "dbt" / "profiles.yml").read_text())
    (dbt / "models" / "sources.yml").write_text(SOURCES)
    for name, text in MODELS.items():
        (dbt / "models" / f"{name}.sql").write_text(text)
    environment = os.environ | {"ELT_PROJECT": str(project), "PYTHONPATH": str(ROOT / "include")}
    parse = [sys.executable, "-m", "elt_factory.dag.dbt_project"]
    subprocess.run(parse, env=environment, cwd=project, check=True, capture_output=True)


def rows_until(moment: datetime) -> str:
    """Five rows of the day before a moment."""
    lines = [f"{number},{moment - timedelta(hours=number + 1):%Y-%m-%d %H:%M:%S}" for number in range(5)]
    return "id,at\n" + "\n".join(lines) + "\n"


def window(back: int = 0) -> dict[str, str]:
    """The form for a window of a day that ended some days before the last one."""
    end = ENDED - back * DAY
    return {"window_start": (end - DAY).isoformat(), "window_end": end.isoformat()}


class _Refusing(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        answer = b""
        if path == "/tight":
            # a run takes longer than its deadline allows, however fast the machine is
            sleep(1)
            answer = b'{"rows": [{"id": 1}]}'
        self.send_response(STATUSES.get(path, 200))
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def refusing_api() -> Iterator[str]:
    """An API that refuses everything, each path in its way, but one, which is slow."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Refusing)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
