"""The commands that run a config and look at it, in a project of their own, with an Airflow of their own."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from elt_process import Elt, elt_commands

pytestmark = pytest.mark.live

ROOT = Path(__file__).resolve().parents[2]
HOMES = """\
name: homes
extract: {type: files, folder: data/incoming}
tables:
  homes:
    path: homes.csv
    primary_key: [carrier]
    write_disposition: replace
"""
ROWS = "carrier,home,since\nDL,ATL,1941-01-01\nUA,ORD,1961-06-30\nB6,JFK,1999-08-01\n"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("project")
    shutil.copytree(ROOT / "dags", root / "dags", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "plugins", root / "plugins", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "airflow_settings.yaml", root)
    for folder in ("dag_configs", "data/incoming"):
        (root / folder).mkdir(parents=True)
    (root / "dag_configs" / "homes.yaml").write_text(HOMES)
    (root / "data" / "incoming" / "homes.csv").write_text(ROWS)
    return root


@pytest.fixture(scope="module")
def elt(project: Path) -> Iterator[Elt]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "_AIRFLOW", "ELT_"))}
    with elt_commands({**kept, "ELT_PROJECT": str(project), "PYTHONPATH": str(ROOT / "include")}, project) as commands:
        yield commands


@pytest.fixture(scope="module")
def loaded(elt: Elt) -> Elt:
    done = elt("run", "homes")
    assert done.returncode == 0, done.stdout + done.stderr
    return elt


def test_list_names_the_config_its_tables_and_schedule(elt: Elt) -> None:
    done = elt("list", "--json")
    assert done.returncode == 0
    assert [(entry["name"], entry["tables"], entry["schedule"]) for entry in json.loads(done.stdout)] == [
        ("homes", ["homes"], None)
    ]


def test_status_before_the_first_load_says_what_to_do(elt: Elt) -> None:
    done = elt("status")
    assert done.returncode == 0
    assert "No loads yet" in done.stdout


def test_a_run_shows_each_task_as_it_ends_and_its_figures(loaded: Elt) -> None:
    done = loaded("run", "homes")
    assert done.returncode == 0
    assert "tables.homes.extract" in done.stdout
    assert "3 rows loaded, 3 in the table" in done.stdout


def test_types_are_found_in_the_data(loaded: Elt) -> None:
    done = loaded("sql", "select carrier, since, typeof(since) as kind from homes.homes order by carrier", "--json")
    assert json.loads(done.stdout)[0] == {"carrier": "B6", "since": "1999-08-01", "kind": "DATE"}


def test_status_has_every_figure_a_machine_wants(loaded: Elt) -> None:
    (entry,) = json.loads(loaded("status", "--json").stdout)
    assert (entry["source"], entry["table"], entry["total_rows"], entry["rows_rejected"]) == ("homes", "homes", 3, 0)


def test_bad_rows_become_rejects_with_their_reasons_and_the_others_are_loaded(loaded: Elt, project: Path) -> None:
    file = project / "data" / "incoming" / "homes.csv"
    file.write_text(ROWS + "AA,DFW\nWN,DAL,soon\n")
    assert loaded("run", "homes").returncode == 0
    rejects = json.loads(loaded("sql", "select reason from _elt.rejects order by reason", "--json").stdout)
    assert [reject["reason"] for reject in rejects] == [
        "homes.csv line 5: Expected Number of Columns: 3 Found: 2",
        'since is not a valid date: "soon"',
    ]
    (entry,) = json.loads(loaded("status", "--json").stdout)
    assert (entry["total_rows"], entry["rows_rejected"], entry["failed"]) == (3, 2, False)
    assert entry["acknowledged"] is None
    # as the Sources page writes it into Airflow's audit log
    said = json.dumps({"table": "homes", "code": entry["code"], "why": "the airline [knows]"})
    with closing(sqlite3.connect(project / ".airflow" / "airflow.db")) as airflow, airflow:
        airflow.execute(
            "INSERT INTO log (dttm, event, dag_id, owner, extra) VALUES (?, 'elt_acknowledge', 'homes', 'ann', ?)",
            [f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f}", said],
        )
    (entry,) = json.loads(loaded("status", "--json").stdout)
    assert (entry["acknowledged"]["who"], entry["acknowledged"]["why"]) == ("ann", "the airline [knows]")
    assert "ann takes care of it: the airline [knows]" in loaded("status").stdout


def test_rejects_are_listed_with_their_reasons_until_they_are_healed(loaded: Elt, project: Path) -> None:
    file = project / "data" / "incoming" / "homes.csv"
    file.write_text(ROWS + "AA,DFW\n")
    assert loaded("run", "homes").returncode == 0
    (load,) = json.loads(loaded("rejects", "list", "homes", "--json").stdout)
    assert (load["table"], load["rows"], load["state"]) == ("homes", 1, "open")
    assert "homes.homes" in loaded("rejects", "list").stdout
    assert "Expected Number of Columns: 3 Found: 2" in loaded("rejects", "show", "homes").stdout
    file.write_text(ROWS)
    assert loaded("run", "homes").returncode == 0
    assert "No open rejects of homes" in loaded("rejects", "show", "homes").stdout
    assert [load["state"] for load in json.loads(loaded("rejects", "list", "--all", "--json").stdout)] == ["healed"] * 2


def test_rejects_are_replayed_by_the_corrected_yaml_and_others_are_dismissed(loaded: Elt, project: Path) -> None:
    config, file = project / "dag_configs" / "homes.yaml", project / "data" / "incoming" / "homes.csv"
    file.write_text(ROWS + "WN,DAL,n/a\nAA,DFW,soon\n")
    assert loaded("run", "homes").returncode == 0
    done = loaded("rejects", "replay", "homes", "--json")
    (left,) = json.loads(done.stdout)
    assert (done.returncode, left["healed"], left["open"]) == (1, 0, 2)
    config.write_text(HOMES + '    format: {type: csv, null_values: ["", "n/a"]}\n')
    try:
        done = loaded("rejects", "replay", "homes")
        assert done.returncode == 1, done.stderr
        assert 'since is not a valid date: "soon"' in done.stdout
        rows = json.loads(loaded("sql", "select carrier, since from homes.homes order by carrier", "--json").stdout)
        assert [row["carrier"] for row in rows] == ["B6", "DL", "UA", "WN"]
        assert rows[-1]["since"] is None
        assert loaded("rejects", "dismiss", "homes", "--reason", " ").returncode == 1
        done = loaded("rejects", "dismiss", "homes", "--reason", "a joke of the supplier")
        assert "homes.homes: 1 reject dismissed" in done.stdout
        assert "No open rejects" in loaded("rejects", "replay", "homes").stdout
        every = json.loads(loaded("rejects", "list", "--all", "--json").stdout)
        said = {load["state"]: load["why"] for load in every}
        assert said == {"dismissed": "a joke of the supplier", "healed": ""}
        assert ": a joke of the" in loaded("rejects", "list", "--all").stdout
    finally:
        config.write_text(HOMES)
        file.write_text(ROWS)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("replay", "hoems"), 'unknown config "hoems"; did you mean "homes"?'),
        (("dismiss", "homes", "--reason", "x", "--table", "home"), 'homes has no table "home"; did you mean "homes"?'),
        (("list", "hoems"), 'unknown config "hoems"; did you mean "homes"?'),
        (("show", "hoems"), 'unknown config "hoems"; did you mean "homes"?'),
        (("show", "homes", "--table", "home"), 'homes has no table "home"; did you mean "homes"?'),
    ],
)
def test_rejects_of_a_name_that_nothing_has_are_an_error(loaded: Elt, asked: tuple[str, ...], said: str) -> None:
    done = loaded("rejects", *asked)
    assert (done.returncode, said in done.stderr) == (1, True)


def test_a_query_that_is_wrong_is_answered_in_the_warehouse_s_own_words(loaded: Elt) -> None:
    done = loaded("sql", "selct 1")
    assert done.returncode == 1
    assert "syntax error" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_name_gets_the_near_one(elt: Elt) -> None:
    done = elt("run", "hoems")
    assert done.returncode == 1
    assert 'did you mean "homes"?' in done.stderr


def test_a_broken_config_fails_the_list_with_its_place_and_costs_only_itself(elt: Elt, project: Path) -> None:
    broken = project / "dag_configs" / "broken.yaml"
    broken.write_text("name: broken\nextract: {type: files}\ntabels: {}\n")
    try:
        done = elt("list")
        assert done.returncode == 1
        assert "homes" in done.stdout
        assert "broken.yaml:3:1" in done.stderr
    finally:
        broken.unlink()


def test_a_config_that_fails_says_why_and_exits_with_1(elt: Elt, project: Path) -> None:
    lost = project / "dag_configs" / "lost.yaml"
    lost.write_text(HOMES.replace("homes", "lost") + "retries: {count: 0}\n")
    try:
        done = elt("run", "lost")
        assert done.returncode == 1
        assert 'no file matches "lost.csv"' in " ".join(done.stdout.split())
    finally:
        lost.unlink()


def test_what_is_kept_is_reported_and_a_person_forgotten_with_a_receipt(loaded: Elt, project: Path) -> None:
    (kept,) = json.loads(loaded("maintenance", "report", "--json").stdout)
    assert (kept["source"], kept["keeps"], kept["landings"] > 0) == ("homes", "landings 30d, audit 365d", True)
    refused = loaded("forget", "homes", "--key", "carrier=UA")
    assert (refused.returncode, refused.stderr.strip()) == (
        1,
        "this cannot be undone: look with --dry-run, then add --yes",
    )
    looked = loaded("forget", "homes", "--key", "carrier=UA", "--dry-run")
    assert "Would erase 1 of homes.homes: table homes.homes" in looked.stdout, looked.stderr
    done = loaded("forget", "homes", "--key", "carrier=UA", "--yes", "--json")
    receipt = json.loads(done.stdout)
    assert (done.returncode, receipt["left"], receipt["erased"][0]["rows"]) == (0, [], 1), done.stderr
    query = (
        "select (select count(*) from homes.homes where carrier = 'UA') as n, max(key_hash) as h from _elt.forgotten"
    )
    assert json.loads(loaded("sql", query, "--json").stdout) == [{"n": 0, "h": receipt["key_hash"]}]
