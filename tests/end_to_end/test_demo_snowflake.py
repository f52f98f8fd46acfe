"""The demo's week on Snowflake's protocol: the same DAGs, YAML and SQL, and another connection named `warehouse`.

The warehouse is a fakesnow server, asked through the provider's real hook, the real connector and dbt's real adapter.
"""

import hashlib
import json
import os
import shutil
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from leaks import Search, marked
from week_support import COUNTS, DAGS, MARTS, WEEK, failures

from elt_process import Elt, elt_commands
from fakesnow_exceptions import DBT_EXCEPTIONS

pytest.importorskip("fakesnow", reason="fakesnow stands in for Snowflake; it is not installed")

ROOT = Path(__file__).parents[2]
PASSWORD = "sn0w-hush-hush"
API_KEY = "nyc-flights-demo"
BROKEN = marked("password of broken_db")
MODELS = 8
pytestmark = [pytest.mark.timeout(600), pytest.mark.filterwarnings("ignore::DeprecationWarning")]


@dataclass(frozen=True)
class OnSnowflake:
    """A line whose warehouse is a database of a fakesnow server."""

    line: Any
    commands: Elt

    def run(self) -> dict[str, Any]:
        """Run the week's DAGs up to the first that fails, for which the others would wait; how they ended."""
        outcomes = {}
        for name in DAGS:
            outcomes[name] = self.line.run(name, **WEEK)
            if outcomes[name].state != "success":
                break
        return outcomes

    def query(self, statement: str) -> list[tuple]:
        from elt_factory.dag.runtime import warehouse

        with self.line.using(), warehouse() as opened:
            return opened.query(statement).rows

    def checksums(self) -> dict[str, str]:
        """What every table and mart holds, but for when it was loaded."""
        found = {}
        for table in (*COUNTS, *MARTS):
            columns = "* exclude (_loaded_at)" if table in COUNTS else "*"
            rows = sorted(map(repr, self.query(f"select {columns} from {table}")))
            found[table] = hashlib.sha256(repr(rows).encode()).hexdigest()
        return found

    def elt(self, *arguments: str) -> str:
        """What the `elt` command prints, in a process of its own."""
        done = self.commands(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def snow(lines, demo_sources, demo_api, fake_snowflake, tmp_path_factory):
    folder = tmp_path_factory.mktemp("snow")
    shutil.copytree(demo_sources, folder / "sources")
    line = lines(folder, demo_api, DBT_EXCLUDE_RESOURCE_TYPES=" ".join(DBT_EXCEPTIONS))
    line.connect("warehouse", **(fake_snowflake.fields(network_timeout=60) | {"password": PASSWORD}))
    # what a command says that cannot reach a database
    broken = {"conn_type": "postgres", "host": "127.0.0.1", "port": 1, "login": "reader", "password": BROKEN}
    line.connect("broken_db", **broken)
    environment = os.environ | line.environment | {"PYTHONPATH": str(ROOT / "include"), "ELT_PROJECT": str(ROOT)}
    with elt_commands(environment, ROOT) as commands:
        yield OnSnowflake(line, commands)


@pytest.fixture(scope="module")
def week(snow):
    """How each DAG's run of the week ended."""
    return snow.run()


def green(outcomes) -> bool:
    return all(outcome.state == "success" and not failures(outcome) for outcome in outcomes.values())


def test_every_dag_runs_green(snow, week):
    assert green(week), snow.line.screen
    assert tuple(week) == tuple(DAGS)


def test_status_has_the_figures_of_duckdb(snow, week):
    found = json.loads(snow.elt("status", "--json"))
    figures = ("rows_read", "rows_loaded", "rows_rejected", "rows_duplicate", "total_rows")
    assert {f"{entry['source']}.{entry['table']}": tuple(entry[name] for name in figures) for entry in found} == {
        table: (count, count, 0, 0, count) for table, count in COUNTS.items()
    }
    assert {entry["last_window_end"] for entry in found} == {"2013-01-08T05:00:00+00:00"}
    assert {entry["last_business_date"] for entry in found if entry["source"] == "flights"} == {
        "2013-01-08T04:00:00.000000Z"
    }


def test_moments_and_hashes_are_those_of_duckdb(snow, week):
    ((first, last),) = snow.query("select min(time_hour), max(time_hour) from flights.flights")
    assert (first.isoformat(), last.isoformat()) == ("2013-01-01T10:00:00+00:00", "2013-01-08T04:00:00+00:00")
    ((joined,),) = snow.query("select count(*) from flights.flights join fleet.planes on tail_number = tailnum")
    assert joined > 5_000


def test_the_marts_are_there_under_the_names_that_people_write(snow, week):
    told = snow.elt("sql", "--json", "select sum(flights) as flights from marts.delay_by_carrier_hour")
    assert json.loads(told) == [{"flights": COUNTS["flights.flights"]}]
    for mart in MARTS:
        ((rows,),) = snow.query(f"select count(*) from {mart}")
        assert rows > 0


def test_every_check_is_kept_and_none_fails(snow, week):
    kept = Counter(f"{kind} {status}" for kind, status in snow.query("select kind, status from _elt.quality_results"))
    assert not [status for status in kept if status.endswith("failed")]
    assert kept["dbt_model passed"] == MODELS
    assert kept["dbt_test passed"] > 40
    assert kept["check passed"] >= 5


def test_dbt_parses_the_project_once_for_all_sources_and_runs(snow, week):
    assert snow.line.log_file.read_text().count("Unable to do partial parsing") <= 1


def test_the_password_is_in_no_file(snow, week, fake_snowflake):
    places = [snow.line.folder, Path(os.environ["AIRFLOW_HOME"]), fake_snowflake.folder, ROOT / "include" / "dbt"]
    assert any(any(place.rglob("profiles.yml")) for place in places)
    # by another process: when this one closes a file of its SQLite database, it loses its locks on that
    searched = subprocess.run(["grep", "-rlaF", PASSWORD, *places], capture_output=True, text=True, check=False)
    assert (searched.returncode, searched.stdout, searched.stderr) == (1, "", ""), "1 is that nothing was found"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("doctor",), None),
        (("diagnose", "flights"), None),
        (("sql", "select broken("), 1),
        (("sql", f"select * from '{PASSWORD[:4]}'"), 1),
        (("new", "broken", "--connection", "broken_db"), 1),
    ],
    ids=["doctor", "diagnose", "wrong SQL", "no such table", "no such server"],
)
def test_no_secret_is_in_what_a_command_prints_also_when_it_fails(snow, week, arguments, code):
    done = snow.commands(*arguments)
    assert code in (None, done.returncode)
    said = done.stdout + done.stderr
    assert said
    assert Search({"warehouse": PASSWORD, "broken_db": BROKEN, "api": API_KEY}).text("the screen", said) == []


def test_a_second_run_by_the_command_changes_no_row(snow, week):
    before = snow.checksums()
    assert "flights success" in snow.elt("run", "flights", "--start", "2013-01-01", "--end", "2013-01-08")
    assert snow.checksums() == before
    assert snow.query("select count(*) from _elt.loads") == [(len(COUNTS),)]
