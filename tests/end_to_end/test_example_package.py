"""A package of someone else adds kinds: installed beside ours, in an empty folder, nothing else has to be said."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "acme-elt"


@dataclass(frozen=True)
class Project:
    """An empty folder with the example's config, and the package on the path as an installer puts it there."""

    folder: Path
    environment: dict[str, str]

    def __call__(self, *command: str, exits: int = 0) -> str:
        command = (sys.executable, *command)
        ran = subprocess.run(
            command, check=False, cwd=self.folder, env=self.environment, capture_output=True, text=True
        )
        assert ran.returncode == exits, ran.stdout + ran.stderr
        return ran.stdout + ran.stderr

    def elt(self, *arguments: str, exits: int = 0) -> str:
        return self("-c", "from elt_factory.cli.main import main; main()", *arguments, exits=exits)

    @property
    def config(self) -> Path:
        return self.folder / "dag_configs" / "days.yaml"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example as a wheel, unpacked with its entry points."""
    built, site = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("site")
    source = shutil.copytree(EXAMPLE, built / "acme-elt")
    builder = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
    command = [sys.executable, "-c", builder, str(built)]
    ran = subprocess.run(command, check=True, cwd=source, capture_output=True, text=True)
    shutil.unpack_archive(built / ran.stdout.split()[-1], site, "zip")
    return site


@pytest.fixture
def project(installed: Path, tmp_path: Path) -> Project:
    folder = tmp_path / "project"
    for part in ("dag_configs", "web_logs"):
        shutil.copytree(EXAMPLE / part, folder / part)
    connections = {
        "WAREHOUSE": {"conn_type": "duckdb", "host": str(folder / "warehouse.duckdb")},
        "OPERATIONS_LOG": {"conn_type": "logfile", "host": str(folder / "alerts.log")},
    }
    given = {f"AIRFLOW_CONN_{name}": json.dumps(fields) for name, fields in connections.items()}
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, (str(installed), os.environ.get("PYTHONPATH")))),
        "ELT_PROJECT": str(folder),
        "AIRFLOW_HOME": str(folder / ".airflow"),
        **given,
    }
    for name in ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"):
        environment.pop(name, None)
    return Project(folder, environment)


def test_its_config_validates_is_planned_and_runs(project):
    assert "2 configs: no errors, no warnings" in project.elt("validate")
    assert "the days of [2013-01-02T00:00:00Z, 2013-01-03T00:00:00Z)" in project.elt(
        "plan", "days", "--date", "2013-01-03"
    )
    assert "days success" in project.elt("run", "days", "--start", "2013-01-01", "--end", "2013-01-08")
    with duckdb.connect(str(project.folder / "warehouse.duckdb")) as warehouse:
        assert warehouse.execute("select count(*), min(weekday), max(weekday) from days.days").fetchall() == [(7, 1, 7)]
        checked = warehouse.execute("select check_name, status from _elt.quality_results order by 1").fetchall()
    assert ("iso_week multiple of 1", "passed") in checked


def test_files_of_its_format_are_loaded_and_what_is_not_a_record_is_rejected(project):
    assert "requests success" in project.elt("run", "requests", "--start", "2013-01-01", "--end", "2013-01-02")
    with duckdb.connect(str(project.folder / "warehouse.duckdb")) as warehouse:
        assert warehouse.execute("select path, ms from requests.requests order by ms").fetchall() == [
            ("/a b", 7),
            ("/", 12),
            ("/orders", 31),
        ]
        (rejected,) = warehouse.execute("select reason, record from _elt.rejects").fetchall()
    assert rejected == ("web.logfmt line 4: not key=value all along", '{"line":"restarted by hand"}')


def test_its_failure_is_reported_by_its_notifier(project):
    project.config.write_text(project.config.read_text().replace("multiple_of: 1", "multiple_of: 50"))
    project.elt("run", "days", "--start", "2013-01-01", "--end", "2013-01-08", exits=1)
    assert "failure days: task quality.days failed" in (project.folder / "alerts.log").read_text()


@pytest.mark.parametrize(
    ("right", "wrong", "place", "message", "hint"),
    [
        ("type: calendar", "type: calender", "8:17", 'unknown source type "calender"', 'did you mean "calendar"?'),
        (
            "business_date",
            "first_weekda: monday\n    business_date",
            "13:5",
            'unknown key "first_weekda"',
            "first_weekday",
        ),
        ("multiple_of: 1", "multiple_of: 0", "17:56", "is out of range", "more than 0"),
        ("multiple_of: 1", "multiples_of: 1", "17:43", 'unknown key "multiples_of"', 'did you mean "multiple_of"?'),
    ],
)
def test_a_mistake_in_it_has_its_place_and_a_hint(project, right, wrong, place, message, hint):
    project.config.write_text(project.config.read_text().replace(right, wrong, 1))
    told = project.elt("validate", exits=1)
    assert f"days.yaml:{place}: " in told
    assert message in told
    assert hint in told


def test_it_is_in_the_schema_and_the_reference_and_passes_the_conformance_suites(project):
    (project.folder / "tests").mkdir()
    shutil.copy(EXAMPLE / "tests" / "test_acme_elt.py", project.folder / "tests")
    told = project("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests")
    assert "24 passed, 4 skipped" in told
