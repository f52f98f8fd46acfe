"""What Airflow's own OpenLineage provider emits of a real run: from the file through the landing to dbt's models."""

import json

import pytest
from bundle_support import write

from providers_support import ROOT, run_with_providers

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]
CONFIGS = {
    "fleet": """
name: fleet
start_date: 2013-01-01
extract: {type: files, connection: inbox}
tables:
  airlines: {path: airlines.csv, primary_key: [carrier], write_disposition: merge, columns: {name: {pii: hash}}}
transform: {dbt: {select: stg_airlines, tests: none}}
""",
    # of each model a task that builds it, where no triggerer waits for the one dbt process
    "again": """
name: again
start_date: 2013-01-01
transform: {dbt: {select: stg_airlines, tests: none, tasks: watched}}
""",
}
RUNS = """
import sys
from pathlib import Path
from rich.console import Console
from elt_factory.cli.execution import run_dag
for name in sys.argv[1:]:
    outcome = run_dag(name, {}, Console(), Path(f"{name}.log"))
    assert outcome.state == "success", (outcome, Path(f"{name}.log").read_text())
"""


@pytest.fixture(scope="module")
def emitted(lines, tmp_path_factory) -> dict[str, dict]:
    """The event of each task that has ended, as a receiver of lineage gets it."""
    folder = tmp_path_factory.mktemp("lineage")
    project = folder / "project"
    for name, text in CONFIGS.items():
        write(project / "dag_configs" / f"{name}.yaml", text)
    write(project / "inbox" / "airlines.csv", "carrier,name\nAA,American\nDL,Delta\n")
    (project / "include").mkdir()
    (project / "include" / "dbt").symlink_to(ROOT / "include" / "dbt")
    line = lines(folder / "data", ELT_PROJECT=str(project))
    line.connect("inbox", conn_type="fs", extra={"path": str(project / "inbox")})
    file = folder / "events.json"
    transport = {"type": "file", "log_file_path": str(file), "append": True}
    settings = {"AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(transport), "AIRFLOW__OPENLINEAGE__NAMESPACE": "elt"}
    run_with_providers(folder, RUNS, *CONFIGS, **line.environment, **settings)
    events = map(json.loads, file.read_text().splitlines())
    found = {event["job"]["name"]: event for event in events if event["eventType"] == "COMPLETE"}
    # what comes first has built it: the one process, or the model's own task
    both = (found["again.transform.build"], found["again.transform.stg_airlines"])
    (found["the watched model"],) = (event for event in both if event["outputs"])
    return found


def sides(event: dict) -> tuple[list[str], list[str]]:
    """The datasets that a task read and wrote."""
    first, second = (
        [f"{one['namespace']} {one['name']}" for one in event.get(side, [])] for side in ("inputs", "outputs")
    )
    return first, second


def columns(event: dict) -> dict[str, list[str]]:
    """Of each column of the only output the columns that it comes from, each with its dataset."""
    (output,) = event["outputs"]
    fields = output["facets"]["columnLineage"]["fields"]
    return {
        name: [f"{one['namespace']} {one['name']} {one['field']}" for one in field["inputFields"]]
        for name, field in fields.items()
    }


def test_each_task_says_what_it_read_and_wrote_and_the_next_one_begins_there(emitted):
    (file,), (landing,) = sides(emitted["fleet.tables.airlines.extract"])
    assert (file.split("/")[-1], landing.split("/")[-2:]) == ("airlines.csv", ["fleet", "airlines"])
    (landed,), (table,) = sides(emitted["fleet.tables.airlines.load"])
    assert landed == landing
    assert table.startswith("duckdb:///")
    (read,), (model,) = sides(emitted["fleet.transform.stg_airlines_run"])
    assert read == table
    assert model.endswith(".stg_airlines")
    assert sides(emitted["fleet.quality.airlines"]) == ([table], [])


@pytest.mark.parametrize(
    "task",
    [
        "fleet.tables.airlines.extract",
        "fleet.tables.airlines.load",
        "fleet.transform.stg_airlines_run",
        "the watched model",
    ],
)
def test_each_column_says_from_which_one_it_comes(emitted, task):
    (read,), _ = sides(emitted[task])
    assert columns(emitted[task])["carrier"] == [f"{read} carrier"]


def test_a_watched_model_is_told_once_and_as_one_with_a_task_that_builds_it(emitted):
    assert sides(emitted["the watched model"]) == sides(emitted["fleet.transform.stg_airlines_run"])


def test_rows_columns_and_what_is_hashed_are_told_with_the_output(emitted):
    (landing,) = emitted["fleet.tables.airlines.extract"]["outputs"]
    assert landing["outputFacets"]["outputStatistics"]["rowCount"] == 2
    assert [one["name"] for one in landing["facets"]["schema"]["fields"]] == ["carrier", "name"]
    (name,) = landing["facets"]["columnLineage"]["fields"]["name"]["inputFields"]
    assert name["transformations"][0] | {"masking": True} == name["transformations"][0]
