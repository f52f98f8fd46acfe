"""`elt validate`: what it finds, how it tells it, and what it never touches."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
import yaml
from cli_support import ORDERS, ROOT, Project, python

CUSTOMERS = ORDERS.replace("orders", "customers").replace("ordered_at", "created_at")


def entries(project: Project, *arguments: str) -> list[dict]:
    told = project.elt("validate", "--json", *arguments).stdout
    # a command in a process of its own sends Airflow's log elsewhere; here it may come before
    return json.loads(told[told.index("[\n") if "[\n" in told else 0 :])


def codes(project: Project, *arguments: str) -> list[tuple[str, str, int]]:
    return [(e["code"], e["severity"], e["line"]) for e in entries(project, *arguments)]


def test_a_good_project_has_no_findings(project: Project):
    project.write("orders", ORDERS)
    done = project.elt("validate")
    assert (done.exit_code, done.stdout) == (0, "1 config: no errors, no warnings\n")


def test_all_mistakes_of_all_files_are_told_at_once_with_the_line_and_a_caret(project: Project):
    project.write("orders", ORDERS.replace("owner:", "onwer:").replace("merge", "upsert"))
    project.write("broken", "name: [\n")
    done = project.elt("validate")
    assert done.exit_code == 1
    assert "error: dag_configs/orders.yaml:2:1: " in done.stdout
    assert "  | onwer: sales\n  | ^\n" in done.stdout
    assert 'hint: did you mean "owner"?' in done.stdout
    assert 'did you mean "merge"?' in done.stdout
    assert "dag_configs/broken.yaml" in done.stdout
    assert done.stdout.endswith("2 configs: 3 errors, no warnings\n")


def test_json_has_the_place_the_code_and_the_hint_of_every_finding(project: Project):
    project.write("orders", ORDERS.replace("owner:", "onwer:"))
    (entry,) = [e for e in entries(project) if e["severity"] == "error"]
    assert entry == {
        "file": "dag_configs/orders.yaml",
        "line": 2,
        "column": 1,
        "code": "unknown-key",
        "message": 'unknown key "onwer"',
        "hint": 'did you mean "owner"?',
        "severity": "error",
    }


def test_github_gets_annotations_that_nothing_in_a_message_can_break(project: Project):
    project.write("orders", ORDERS.replace("within: 26h", "within: '20%, a::b'"))
    done = project.elt("validate", "--github")
    assert done.exit_code == 1
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("::error ")]
    assert line.startswith("::error file=dag_configs/orders.yaml,line=19,col=")
    assert ',title=bad-value::quality.orders.0.freshness.business_date_within: invalid duration "20%25, a::b"' in line
    assert "%0Ahint: " in line


def test_configs_are_held_against_each_other(project: Project):
    ready = "sensors: {before_transform: [{source: {name: %s}}]}\n"
    project.write("orders", ORDERS + ready % "customers")
    project.write("customers", CUSTOMERS + ready % "orders")
    assert [code for code, severity, _ in codes(project) if severity == "error"] == ["cycle", "cycle"]


def test_one_file_is_held_against_its_folder_and_told_alone(project: Project):
    file = project.write("orders", ORDERS + "sensors: {before_transform: [{source: {name: customers}}]}\n")
    project.write("customers", CUSTOMERS.replace("owner: customers", "").replace("owner: sales\n", ""))
    project.write("broken", "name: [\n")
    assert codes(project, str(file)) == []


def test_a_mistake_in_the_defaults_is_told_once(project: Project):
    project.write("orders", ORDERS)
    project.write("customers", CUSTOMERS)
    (project.configs / "_defaults.yaml").write_text("retries: {count: often}\n")
    assert codes(project) == [("wrong-type", "error", 1)]
    assert codes(project, "dag_configs/_defaults.yaml") == [("wrong-type", "error", 1)]


def test_a_path_that_is_not_there_is_said(project: Project):
    done = project.elt("validate", "nowhere.yaml")
    assert done.exit_code == 1
    assert "nowhere.yaml" in done.stderr


@pytest.mark.parametrize(
    ("change", "code", "line"),
    [
        (("owner: sales\n", ""), "no-owner", 1),
        (('deadline: {by: "06:00"}\n', ""), "no-deadline", 3),
        (("    business_date: ordered_at\n", ""), "no-business-date", 8),
        (("    - freshness: {business_date_within: 26h}\n", ""), "no-freshness", 12),
        ((ORDERS[ORDERS.index("quality:") :], ""), "no-quality", 7),
        (
            ("    write_disposition: merge\n", "    incremental: {cursor: id}\n    write_disposition: merge\n"),
            "no-lag",
            11,
        ),
        (("write_disposition: merge", "write_disposition: scd2"), "window-is-all", 11),
    ],
)
def test_what_is_legal_and_unwise_is_a_warning(change: tuple[str, str], code: str, line: int, project: Project):
    text = ORDERS.replace(*change)
    if code in ("no-business-date", "no-freshness"):
        text = text.replace("    - freshness: {business_date_within: 26h}\n", "")
    project.write("orders", text)
    assert (code, "warning", line) in codes(project)
    assert project.elt("validate").exit_code == 0


def test_a_table_that_every_run_appends_again_is_a_warning(project: Project):
    source = "extract: {type: sql, connection: shop}\ntables:\n  orders: {primary_key: [id]}\n"
    project.write("orders", f"name: orders\nowner: us\n{source}")
    assert ("append-again", "warning", 5) in codes(project)


def test_a_child_that_appends_again_what_changed_is_an_error_and_what_is_read_whole_a_warning(project: Project):
    merge = "write_disposition: merge, primary_key: [id]"
    by_window, all_of_it, by_day = (
        "/o?since={{ window.start }}",
        "/o",
        "/o/{{ orders.id }}?on={{ window.start | date }}",
    )
    keyed, drops = "primary_key: [id], incremental: {cursor: at}", "incremental: {cursor: at, outside_window: drop}"
    cases = (
        (by_window, merge, "/o/{{ orders.id }}", "primary_key: [id]", ["conflict"]),
        (by_window, merge, "/o/{{ orders.id }}", merge, []),
        (by_window, merge, "/o/{{ orders.id }}", "write_disposition: replace", []),
        (by_window, merge, "/o/{{ orders.id }}", keyed, []),
        (by_window, merge, "/o/{{ orders.id }}", drops, []),
        (by_window, merge, by_day, "primary_key: [id]", []),
        (by_window, "primary_key: [id]", "/o/{{ orders.id }}", "primary_key: [id]", []),
        (all_of_it, merge, "/o/{{ orders.id }}", "primary_key: [id]", ["append-again"]),
        (all_of_it, merge, by_day, "primary_key: [id]", []),
    )
    for path, parent, below, more, expected in cases:
        tables = f'  orders: {{path: "{path}", {parent}}}\n  lines: {{for_each: orders, path: "{below}", {more}}}\n'
        api = "extract: {type: rest_api, connection: shop}\ntables:\n"
        project.write("orders", f"name: orders\nowner: us\n{api}{tables}")
        found = [code for code, _, line in codes(project) if code in ("append-again", "conflict") and line == 6]
        assert found == expected, (path, parent, below, more)


def test_a_key_whose_type_does_not_keep_its_text_is_a_warning(project: Project):
    api = "extract: {type: rest_api, connection: shop}\ntables:\n"
    for kind, path, expected in (
        ("timestamp", "/o/{{ orders.at }}", True),
        ("float", "/o/{{ orders.at }}", True),
        ("text", "/o/{{ orders.at }}", False),
        ("timestamp", "/o/{{ orders.at | date }}", False),
    ):
        parent = f"  orders: {{path: /orders, columns: {{at: {{type: {kind}}}}}, write_disposition: replace}}\n"
        below = f'  lines: {{for_each: orders, path: "{path}", write_disposition: replace}}\n'
        project.write("orders", f"name: orders\nowner: us\n{api}{parent}{below}")
        assert (("key-rewritten", "warning", 6) in codes(project)) is expected, (kind, path)


def test_an_api_that_is_not_asked_for_the_window_is_a_warning(project: Project):
    api = "extract: {type: rest_api, connection: shop}\ntables:\n  orders:\n    path: /orders\n"
    table = "    incremental: {cursor: at, lag: 1h}\n    write_disposition: merge\n    primary_key: [id]\n"
    project.write("orders", f"name: orders\nowner: us\n{api}{table}")
    assert ("window-unused", "warning", 7) in codes(project)
    project.write("orders", f"name: orders\nowner: us\n{api}{table}" + '    params: {since: "{{ window.start }}"}\n')
    assert "window-unused" not in [code for code, _, _ in codes(project)]


def test_a_table_that_another_config_watches_needs_no_freshness_of_its_own(project: Project):
    project.write("orders", ORDERS.replace("    - freshness: {business_date_within: 26h}\n", ""))
    assert "no-freshness" in [code for code, _, _ in codes(project)]
    wait = "sensors: {before_transform: [{source: {name: orders, business_date_within: 1d}}]}\n"
    project.write("customers", CUSTOMERS + wait)
    assert "no-freshness" not in [code for code, _, _ in codes(project)]


def test_every_planted_mistake_is_found_where_the_tests_of_configs_expect_it(tmp_path: Path):
    from elt_factory.describe.findings import validate

    for file in sorted((ROOT / "tests" / "config" / "mistakes").glob("*.yaml")):
        expected = re.search(r"# expect: line=(\d+) column=\d+ code=([\w-]+)", file.read_text(errors="replace"))
        found = {(f.problem.position.line, f.problem.code) for f in validate([file], file.parent.parent).findings}
        assert expected is None or (int(expected[1]), expected[2]) in found, file.name


@pytest.mark.services
def test_it_neither_imports_engines_nor_opens_anything(project: Project):
    project.write("orders", ORDERS)
    check = (
        "import sys; from elt_factory.cli.main import app\n"
        "try: app(['validate'])\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "heavy = {'airflow', 'duckdb', 'pyarrow', 'cosmos', 'dbt', 'httpx', 'sqlalchemy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = python("-c", check, cwd=project.root)
    assert done.returncode == 0, done.stderr
    assert not (project.root / ".airflow").exists()


def test_the_pre_commit_hook_runs_a_command_that_there_is():
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert hook["entry"] == "elt validate"
    assert re.search(hook["files"], "dag_configs/flights.yaml")
    assert not re.search(hook["files"], "dag_configs/source.schema.json")


def test_a_connection_that_airflow_does_not_have_is_found_at_its_place(project: Project, airflow_db: Path):
    project.write("orders", ORDERS.replace("folder: inbox", "connection: nowhere"))
    found = [e for e in entries(project, "--connections") if e["code"] == "unknown-connection"]
    assert [(e["line"], e["column"], e["severity"]) for e in found] == [(6, 24, "error")]
    assert 'unknown Airflow connection "nowhere"' in found[0]["message"]
    assert "airflow_settings.yaml" in found[0]["hint"]


@pytest.fixture
def inbox(project: Project, airflow_db: Path) -> Path:
    folder = project.root / "inbox"
    folder.mkdir()
    project.write("orders", ORDERS)
    return folder


DAY = ("--start", "2024-01-01", "--end", "2024-01-02")
HEADER = "id,ordered_at,email\n"


def test_live_reads_a_sample_says_what_and_finds_nothing_wrong_with_good_records(project: Project, inbox: Path):
    (inbox / "orders_2024-01-01.csv").write_text(HEADER + "1,2024-01-01T10:00:00Z,a@b.c\n")
    done = project.elt("validate", "--live", *DAY)
    assert (done.exit_code, done.stdout) == (0, "1 config: no errors, no warnings\n")
    assert "orders.orders: reading the whole file orders_2024-01-01.csv" in done.stderr
    assert "orders.orders: 1 row read, 0 do not fit" in done.stderr
    assert [file.name for file in project.root.iterdir()] == ["dag_configs", "inbox"]


def test_live_tells_which_values_do_not_fit(project: Project, inbox: Path):
    rows = "1,2024-01-01T10:00:00Z,\nx,2024-01-01T10:00:00Z,\n"
    (inbox / "orders_2024-01-01.csv").write_text(HEADER + rows)
    (entry,) = entries(project, "--live", *DAY)
    assert (entry["code"], entry["severity"], entry["line"]) == ("sample-rejected", "warning", 8)
    assert 'id is not a valid integer: "x"' in entry["message"]


def test_live_tells_of_a_source_that_does_not_answer(project: Project, inbox: Path):
    (entry,) = entries(project, "--live", *DAY)
    assert (entry["code"], entry["severity"], entry["line"]) == ("no-answer", "error", 8)
    assert "orders_2024-01-01.csv" in entry["message"]


def test_live_starts_no_job_and_says_so(project: Project, airflow_db: Path, monkeypatch: pytest.MonkeyPatch):
    # an address that refuses every request
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", json.dumps({"conn_type": "http", "host": "http://127.0.0.1:1"}))
    job = "{id: id, path: '/jobs/{{ job.id }}', result: url}"
    config = f"""
name: shop
owner: us
extract: {{type: rest_api, connection: shop}}
tables:
  export: {{path: /exports, job: {job}, primary_key: [id], write_disposition: replace}}
  lines: {{for_each: export, path: "/x/{{{{ export.id }}}}", primary_key: [id], write_disposition: replace}}
"""
    project.write("shop", config)
    done = project.elt("validate", "--live")
    assert done.exit_code == 0
    for table in ("export", "lines"):
        assert f"shop.{table}: not read: a sample starts no job" in done.stderr


def test_live_reads_a_hundred_rows_of_a_database(project: Project, airflow_db: Path, monkeypatch: pytest.MonkeyPatch):
    import sqlite3

    database = project.root / "shop.sqlite"
    with sqlite3.connect(database) as connection:
        connection.execute("create table orders (id integer, at text)")
        connection.executemany("insert into orders values (?, '2024-01-01')", [(n,) for n in range(1000)])
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", json.dumps({"conn_type": "sqlite", "host": str(database)}))
    table = "{primary_key: [id], write_disposition: replace}"
    config = f"name: shop\nowner: us\nextract: {{type: sql, connection: shop}}\ntables: {{orders: {table}}}\n"
    project.write("shop", config)
    done = project.elt("validate", "--live")
    assert done.exit_code == 0
    assert "shop.orders: 100 rows read, 0 do not fit" in done.stderr


@pytest.mark.timeout(60)
def test_files_that_cannot_be_read_are_findings_and_do_not_keep_validate_or_list_waiting(project: Project):
    configs = project.write("orders", ORDERS).parent
    os.mkfifo(configs / "fifo.yaml")
    (configs / "loop.yaml").symlink_to("loop.yaml")
    (configs / "device.yaml").symlink_to("/dev/zero")
    found = {Path(entry["file"]).name: entry["code"] for entry in entries(project) if entry["severity"] == "error"}
    assert found == dict.fromkeys(("fifo.yaml", "loop.yaml", "device.yaml"), "unreadable")
    listed = project.elt("list")
    assert listed.exit_code == 1
    assert "orders" in listed.stdout
    assert "Traceback" not in listed.output


MANIFEST = {
    "metadata": {"project_name": "shop"},
    "nodes": {
        "model.shop.orders": {
            "name": "orders",
            "resource_type": "model",
            "original_file_path": "models/orders.sql",
            "package_name": "shop",
            "depends_on": {"nodes": []},
            "tags": ["orders"],
            "config": {"materialized": "table"},
            "fqn": ["shop", "orders"],
        }
    },
}


@pytest.mark.parametrize(
    ("select", "found"),
    [
        ("tag:orders", []),
        ("orders", []),
        ("config.materialized:table", []),
        ("+orders,tag:orders", []),
        ("tag:ordres", ["dbt-selection"]),
        ("ordres", ["dbt-selection"]),
        ("config.materialized:view", ["dbt-selection"]),
        ("tag:orders,tag:nightly", ["dbt-selection"]),
    ],
)
def test_a_dbt_selector_that_picks_nothing_is_an_error(project: Project, select: str, found: list[str]):
    project.write("shop", f'name: shop\nowner: data\ntransform: {{dbt: {{select: "{select}"}}}}\n')
    assert entries(project) == []  # nothing is known without a manifest
    target = project.root / "include" / "dbt" / "target"
    target.mkdir(parents=True)
    (target / "manifest.json").write_text(json.dumps(MANIFEST))
    told = entries(project)
    assert [entry["code"] for entry in told] == found
    assert all((entry["line"], entry["severity"]) == (3, "error") for entry in told)


@pytest.mark.services
def test_a_dbt_selector_that_is_plainly_right_imports_neither_airflow_nor_cosmos(project: Project):
    project.write("shop", "name: shop\nowner: data\ntransform: {dbt: {select: orders}}\n")
    target = project.root / "include" / "dbt" / "target"
    target.mkdir(parents=True)
    (target / "manifest.json").write_text(json.dumps(MANIFEST))
    script = (
        "import sys; from elt_factory.cli.main import app; from typer.testing import CliRunner; "
        "done = CliRunner().invoke(app, ['validate']); "
        "print(done.exit_code, {'airflow', 'cosmos', 'duckdb'} & {*sys.modules})"
    )
    assert python("-c", script, cwd=project.root).stdout == "0 set()\n"


def test_a_dbt_that_the_deployment_does_not_list_is_found_where_the_list_is_and_warned_of_elsewhere(
    project: Project, monkeypatch: pytest.MonkeyPatch
):
    project.write("orders", f'{ORDERS}transform: {{dbt: {{select: "tag:orders", executable: /opt/b/dbt}}}}\n')
    line = ORDERS.count("\n") + 1

    def found() -> list[tuple[str, str, int]]:
        return [entry for entry in codes(project) if entry[0] == "dbt-executable"]

    monkeypatch.delenv("ELT_DBT_EXECUTABLES", raising=False)
    assert found() == [("dbt-executable", "warning", line)]
    monkeypatch.setenv("ELT_DBT_EXECUTABLES", "/opt/a/dbt")
    assert found() == [("dbt-executable", "error", line)]
    monkeypatch.setenv("ELT_DBT_EXECUTABLES", "/opt/a/dbt:/opt/b/dbt")
    assert found() == []
