"""DAGs really run, task after task: what the form asks for, what is tried again and what is not."""

import json
import os
from datetime import UTC, datetime

import pytest
from airflow.exceptions import ParamValidationError

from elt_factory.dag.loader import load_dags

DAY = {"window_start": "2013-01-01", "window_end": "2013-01-02"}
TINY = """
name: tiny
start_date: 2012-12-01
retries: {count: 2, delay: 1s}
extract: {type: files, connection: inbox}
tables:
  first: {path: input.csv, primary_key: [id], write_disposition: merge}
  second: {path: input.csv, primary_key: [id], write_disposition: merge}
quality:
  second: [{row_count: {min: 1}}]
"""
ONE = TINY.replace("  second: {path: input.csv, primary_key: [id], write_disposition: merge}\n", "").replace(
    "second", "first"
)
pytestmark = pytest.mark.timeout(300)


def states(outcome) -> dict[str, str]:
    return {task.task_id: task.state for task in outcome.tasks}


def failure(outcome) -> tuple[str, str]:
    """The one task that failed, and its error."""
    ((task, detail),) = [(task.task_id, task.detail) for task in outcome.tasks if task.state == "failed"]
    return task, detail


def test_tables_that_the_form_leaves_out_are_skipped_and_the_rest_goes_on(tiny):
    line = tiny(TINY)
    outcome = line.run("tiny", tables=["second"], **DAY)
    assert outcome.state == "success"
    ended = states(outcome)
    assert {task: state for task, state in ended.items() if "second" in task} == {
        "tables.second.extract": "success",
        "tables.second.load": "success",
        "quality.second": "success",
    }
    assert ended["tables.first.extract"] == ended["quality.first"] == "skipped"
    assert line.query("select table_name, rows_loaded from _elt.loads") == [("second", 2)]


def test_a_table_that_is_not_there_is_refused_before_any_task_runs(tiny):
    line = tiny(ONE)
    with pytest.raises(ParamValidationError, match="'frist' is not one of"):
        line.run("tiny", tables=["frist"], **DAY)


def test_an_empty_window_fails_at_once(tiny):
    line = tiny(ONE)
    outcome = line.run("tiny", window_start="2013-01-01", window_end="2013-01-01")
    task, detail = failure(outcome)
    assert task == "tables.first.extract"
    assert "is empty: its end must come after its start" in detail
    assert line.tries(outcome)[task] == 1


def test_what_may_heal_is_tried_again_ever_later(tiny, tmp_path):
    line = tiny(ONE)
    (tmp_path / "project" / "inbox" / "input.csv").unlink()
    outcome = line.run("tiny", **DAY)
    task, detail = failure(outcome)
    assert task == "tables.first.extract"
    assert detail.startswith('tiny.first: no file matches "input.csv" in')
    assert line.tries(outcome)[task] == 3
    assert outcome.seconds > 1 + 2


def test_a_retry_heals_the_run(tiny, tmp_path):
    line, inbox = tiny(ONE), tmp_path / "project" / "inbox"
    # a folder where the file should be: nothing to read at the first look
    (inbox / "input.csv").rename(inbox / "late.csv")
    healing = line.when_screen_says("no file matches", lambda: (inbox / "late.csv").rename(inbox / "input.csv"))
    outcome = line.run("tiny", **DAY)
    healing.join()
    assert outcome.state == "success"
    assert line.tries(outcome)["tables.first.extract"] == 2
    assert line.one("select count(*) from tiny.first") == 2


def test_a_full_refresh_replaces_the_table_from_its_beginning(tiny, tmp_path):
    line, file = tiny(ONE), tmp_path / "project" / "inbox" / "input.csv"
    line.run("tiny", **DAY)
    file.write_text("id,amount\n3,1.5\n")
    line.run("tiny", **DAY)
    assert line.query("select id from tiny.first order by id") == [(1,), (2,), (3,)]
    assert line.run("tiny", full_refresh=True, **DAY).state == "success"
    assert line.query("select id from tiny.first") == [(3,)]
    # the loads whose rows it took away are no longer committed
    ((start, full),) = line.query("select window_start, full_refresh from _elt.loads where replaced_by is null")
    assert (start.date().isoformat(), full) == ("2012-12-01", True)


def test_a_check_that_does_not_hold_fails_the_run_at_once_and_is_kept(tiny):
    line = tiny(ONE.replace("{min: 1}", "{min: 3}"))
    outcome = line.run("tiny", **DAY)
    task, detail = failure(outcome)
    assert (task, line.tries(outcome)[task]) == ("quality.first", 1)
    assert detail == "tiny.first: row count: the load has 2 rows; the minimum is 3"
    kept = line.query("select check_name, severity from _elt.quality_results where status = 'failed'")
    assert kept == [("row count", "error")]


def test_a_warning_lets_the_run_go_on_and_is_kept(tiny, tmp_path):
    """The check compares what was read with what the delivery declares."""
    counted = ONE.replace("{min: 1}}", "{within: 0%, of: source}, severity: warn}")
    line = tiny(counted.replace("path: input.csv", 'path: input.csv, declared_rows: {file: "{stem}.ctl"}'))
    (tmp_path / "project" / "inbox" / "input.ctl").write_text("3\n")
    assert line.run("tiny", **DAY).state == "success"
    (message,) = line.query("select message from _elt.quality_results where status = 'warned'")
    assert message == ("the load read 2 rows; the source has 3; the allowed deviation is 0%",)


def test_people_are_told_of_a_failed_task_once_and_not_of_its_retries(tiny, webhook, tmp_path):
    line = tiny(ONE + "alerts: {to: [slack]}\n")
    line.connect("slack", conn_type="http", host=f"http://127.0.0.1:{webhook.server_address[1]}", password="x")
    (tmp_path / "project" / "inbox" / "input.csv").unlink()
    outcome = line.run("tiny", **DAY)
    ((_, text),) = webhook.messages
    assert text.startswith(f"tiny: task tables.first.extract failed in run {outcome.run_id}: tiny.first: no file")
    (tmp_path / "project" / "inbox" / "input.csv").write_text("id,amount\n1,2.5\n")
    outcome = line.run("tiny", **DAY)
    assert outcome.state == "success"
    _, (_, text) = webhook.messages
    assert text.startswith(f"tiny has recovered: run {outcome.run_id} ended well. Reported before: tiny: task tables")


def test_the_form_asks_for_rejects_to_be_replayed_or_dismissed(tiny, tmp_path):
    typed = ONE.replace("write_disposition: merge}", "write_disposition: merge, columns: {amount: {type: float}}}")
    line = tiny(typed, rows="id,amount\n1,2.5\n2,n/a\n3,none\n")
    assert line.run("tiny", **DAY).state == "success"
    assert line.one("select count(*) from tiny.first") == 1
    (tmp_path / "project" / "dag_configs" / "tiny.yaml").write_text(
        typed.replace("columns:", 'format: {type: csv, null_values: ["", n/a]}, columns:')
    )
    outcome = line.run("tiny", replay_rejects=True, window_start="2013-01-02", window_end="2013-01-03")
    assert any("1 reject healed and 1 left open" in task.detail for task in outcome.tasks)
    assert line.one("select count(*) from tiny.first where id = 2 and amount is null") == 1
    assert line.one("select count(*) from _elt.rejects where state = 'open'") == 1

    # nothing is read or loaded for that, and nothing is checked
    loads = line.one("select count(*) from _elt.load_log")
    outcome = line.run("tiny", dismiss_rejects=" known to the shop ", **DAY)
    assert (outcome.state, set(states(outcome).values())) == ("success", {"skipped"})
    assert line.one("select count(*) from _elt.load_log") == loads
    assert line.one("select count(*) from _elt.rejects where state = 'open'") == 0
    ((why, who),) = line.query("select why, who from _elt.reject_states where state = 'dismissed'")
    # whom Airflow names as the one who started the run
    assert (why, who) == ("known to the shop", "dag_test")


def test_a_load_tells_its_figures_with_the_asset(tiny, airflow_db):
    import sqlite3
    from contextlib import closing

    outcome = tiny(ONE).run("tiny", **DAY)
    with closing(sqlite3.connect(airflow_db)) as metadata:
        ((extra,),) = metadata.execute(
            "select e.extra from asset_event e join asset a on a.id = e.asset_id "
            "where a.name = 'tiny.first' and e.source_run_id = ?",
            [outcome.run_id],
        ).fetchall()
    figures = json.loads(extra)
    assert {name: figures[name] for name in ("rows_read", "rows_loaded", "rows_rejected", "total_rows")} == {
        "rows_read": 2,
        "rows_loaded": 2,
        "rows_rejected": 0,
        "total_rows": 2,
    }
    assert figures["window"] == "[2013-01-01T00:00:00Z, 2013-01-02T00:00:00Z)"
    assert datetime.fromisoformat(figures["load_id"].split("-")[0])


def test_a_load_takes_away_the_landings_that_are_too_old(tiny, tmp_path):
    line = tiny(ONE + "retention: {landing: 2d}\n")
    line.run("tiny", **DAY)
    (old,) = (folder := next(tmp_path.rglob("landing/tiny/first"))).iterdir()
    for path in old.rglob("*"):
        os.utime(path, (0, 0))
    # a file that is loaded already is not read again
    (tmp_path / "project" / "inbox" / "input.csv").write_text("id,amount\n3,4.5\n")
    assert line.run("tiny", window_start="2013-01-02", window_end="2013-01-03").state == "success"
    assert [path.name[:8] for path in folder.iterdir()] == ["20130102"]


def test_the_maintenance_dag_removes_in_airflow_what_is_past_its_retention_and_a_second_run_finds_nothing(
    tiny, tmp_path
):
    kept = TINY.replace("write_disposition: merge}", "write_disposition: merge, retention: {rows: 400d, by: at}}", 1)
    line = tiny(kept)
    project = tmp_path / "project"
    (project / "dag_configs" / "_maintenance.yaml").write_text('schedule: "0 4 * * 0"\n')
    (project / "inbox" / "input.csv").write_text("id,at\n1,2013-01-01T00:00:00Z\n2,2100-01-01T00:00:00Z\n")
    assert line.run("tiny", **DAY).state == "success"
    with line.using():
        dag = load_dags(project / "dag_configs")["elt_maintenance"]
        first, second = (dag.test(logical_date=datetime.now(UTC)) for _ in range(2))
    for run in (first, second):
        (task,) = run.get_task_instances()
        assert (run.state, task.task_id, task.state, task.pool) == ("success", "remove_expired", "success", "warehouse")
    # the other table says nothing of retention
    assert line.query("select id from tiny.first") == [(2,)]
    assert line.query("select count(*) from tiny.second") == [(2,)]
    removed = "select source, table_name, what, rows_removed, run_id from _elt.removals"
    assert line.query(removed) == [("tiny", "first", "rows", 1, first.run_id)]


@pytest.mark.parametrize(
    ("task", "changed"),
    [
        ("quality.first", ("{row_count: {min: 1}}", '{query: "SELECT content FROM read_text(FILE)"}')),
        ("quality.first", ("{row_count: {min: 1}}", '{expression: "error((SELECT content FROM read_text(FILE)))"}')),
        ("tables.first.extract", ("merge}", 'merge, where: "error((SELECT content FROM read_text(FILE)))"}')),
    ],
)
def test_no_sql_of_a_config_reads_a_file_of_the_worker(tiny, tmp_path, task, changed):
    file = tmp_path / "secret"
    file.write_text("s3cr3t")
    line = tiny(ONE.replace(*changed).replace("FILE", f"'{file}'"))
    outcome = line.run("tiny", **DAY)
    assert failure(outcome)[0] == task
    assert "Cannot access file" in failure(outcome)[1]
    assert "s3cr3t" not in str(outcome)
