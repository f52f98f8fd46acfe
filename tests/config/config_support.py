"""What the tests of configs share."""

from __future__ import annotations

import os
import re
from pathlib import Path

from hypothesis import HealthCheck, settings

from elt_factory.config.errors import ConfigError, Problem
from elt_factory.config.loading import LoadedConfig, load_config

DAG_CONFIGS = Path(__file__).parents[2] / "dag_configs"
DEFECTS = Path(__file__).parent / "defects"

# a few hundred examples in every run; ELT_HYPOTHESIS_EXAMPLES=10000 looks harder
thorough = settings(
    max_examples=int(os.environ.get("ELT_HYPOTHESIS_EXAMPLES", "300")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)

SMALL = """\
name: fleet
extract: {type: sql, connection: fleet_db}
tables:
  planes: {primary_key: [tailnum], business_date: built}
  owners: {}
"""
NORTH_STAR = """\
# yaml-language-server: $schema=source.schema.json
name: flights
owner: data-platform
schedule: "0 3 * * *"
start_date: 2013-01-01
deadline: {by: "06:00", timezone: America/New_York}      # or {within: 2h}
extract:
  type: rest_api
  connection: flights_api                                # an Airflow connection holds the address and the secret
  paginator: {type: cursor, cursor_path: next, cursor_param: cursor}
  rate_limit: 500/minute
tables:
  flights:
    path: /v1/flights
    params: {since: "{{ window.start }}", until: "{{ window.end }}"}
    records: results
    primary_key: [flight_id]
    write_disposition: merge
    incremental: {cursor: updated_at, lag: 1h, initial: 2013-01-01}
    business_date: time_hour
    columns:
      tail_number: {type: text, pii: hash}
      distance: {type: integer, checks: [{between: [0, 6000]}]}
sensors:
  before_extract: [{http: {connection: flights_api, path: /health}}]
  before_transform:
    - freshness: {table: flights, business_date_within: 26h}
    - source: {name: fleet}                              # its load for this window is committed
transform: {dbt: {select: "tag:flights"}}
quality:
  flights:
    - row_count: {within: 20%, of: trailing_7_runs, severity: warn}
alerts: {on: [failure, deadline_missed, schema_changed], to: [slack_data]}
warehouse: {load: LOADING, transform: TRANSFORMING}
"""


def load_text(folder: Path, text: str, name: str = "a.yaml") -> LoadedConfig:
    """Load a config from text."""
    file = folder / name
    file.write_bytes(text.encode())
    return load_config(file)


def problems_of(folder: Path, text: str) -> tuple[Problem, ...]:
    """The problems of a config that cannot be loaded."""
    try:
        load_text(folder, text)
    except ConfigError as error:
        return error.problems
    raise AssertionError("it loads")


def is_inside(problem: Problem) -> bool:
    """Whether a problem's position is a place in its file, the end of a line included."""
    lines = problem.position.file.read_text(encoding="utf-8", errors="replace").splitlines() or [""]
    line, column = problem.position.line, problem.position.column
    return 1 <= line <= len(lines) and 1 <= column <= len(lines[line - 1]) + 1


EXPECTATION = re.compile(
    r"# expect: line=(?P<line>\d+) column=(?P<column>\d+) code=(?P<code>[\w-]+) "
    r'message~"(?P<message>.*)" hint~"(?P<hint>.*)"'
)
