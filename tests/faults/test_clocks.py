"""Workers whose clocks are hours apart: what was read, checked or seen later stays, whatever their clocks say."""

import os
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from itertools import pairwise

import pytest
from clock_support import Worker, error_of_clock, worker_ahead_by
from race_support import Shop, day, extracted_and_loaded, join_alone, load_alone, read_part

from elt_factory.checks.run import Result, keep
from elt_factory.dag.operators import ExtractOperator
from elt_factory.dag.runtime import Run
from elt_factory.dag.splitting import SplitOperator
from elt_factory.dag.waiting import Waiting
from elt_factory.warehouse.duckdb.warehouse import DuckDBWarehouse
from elt_factory.warehouse.state import committed_loads, run_verdict

HOURS = 2
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def ahead() -> Iterator[Worker]:
    with worker_ahead_by(HOURS) as worker:
        yield worker


@pytest.fixture(scope="module")
def behind() -> Iterator[Worker]:
    with worker_ahead_by(-HOURS) as worker:
        yield worker


def test_the_workers_of_these_tests_have_wrong_clocks(ahead, behind):
    for worker, hours in ((ahead, HOURS), (behind, -HOURS)):
        assert abs(worker.do(error_of_clock) - timedelta(hours=hours)) < timedelta(minutes=5)


@pytest.mark.parametrize("disposition", ["append", "merge\n    incremental: {cursor: v}", "replace"])
def test_of_two_workers_the_one_that_reads_later_stays_whatever_their_clocks_say(ahead, behind, tmp_path, disposition):
    shop = Shop(tmp_path, disposition, {"AIRFLOW_VAR_ELT_LANDING": str(tmp_path / "landing")})
    for number, worker in enumerate((behind, ahead, behind, ahead, behind)):
        ids = range(number, 100)
        shop.deliver(f"v{number}", ids)
        told = worker.do(extracted_and_loaded, shop, f"run {number}", day(1))
        assert told["load"] == told["load"] | {"rows_read": len(ids), "rows_loaded": len(ids)}, told
        assert {(row["id"], row["v"]) for row in rows(shop) if row["id"] >= number} == {(i, f"v{number}") for i in ids}
    # the moments of the commits count as the commits do
    moments = shop.query("select turn, loaded_at, started_at from _elt.load_log")
    assert [turn for turn, *_ in moments] == [1, 2, 3, 4, 5]
    for (_, loaded, _), (_, later, started) in pairwise(moments):
        assert loaded < started <= later
    [(run_id, *numbers)] = shop.query(
        "select run_id, rows_read, rows_loaded + rows_rejected + rows_duplicate + rows_unchanged from _elt.loads"
    )
    assert (run_id, *numbers) == ("run 4", 96, 96)
    shop.assert_nothing_left()


def rows(shop: Shop) -> list[dict]:
    return [dict(zip(("id", "v"), row, strict=True)) for row in shop.query("select id, v from src.tab")]


def test_a_full_refresh_by_a_worker_whose_clock_is_behind_is_not_taken_for_an_old_one(ahead, behind, tmp_path):
    shop = Shop(tmp_path, "merge", {"AIRFLOW_VAR_ELT_LANDING": str(tmp_path / "landing")})
    for number in (1, 2):
        shop.deliver("old", range(100), number)
        assert "error" not in ahead.do(extracted_and_loaded, shop, f"day {number}", day(number))
    for number in (1, 2):
        shop.deliver("new", range(50), number)
    refreshed = behind.do(partial(extracted_and_loaded, full_refresh=True), shop, "refresh", day(2))
    assert refreshed["load"]["rows_loaded"] == 50, refreshed
    assert {row["v"] for row in rows(shop)} == {"new"}


def test_a_file_that_is_read_later_in_parts_stays_whatever_the_clocks_of_their_workers_say(ahead, behind, tmp_path):
    landing = {"AIRFLOW_VAR_ELT_LANDING": str(tmp_path / "landing")}
    shop = Shop(tmp_path, "append", landing, more="    split: {tasks: 2}\n")
    # only the parts are read by others: what the split and the load say of time is right as one clock
    for number, worker in enumerate((ahead, behind, ahead)):
        shop.deliver(f"v{number}", range(100))
        split = behind.do(divided, shop, f"run {number}")
        extracted = worker.do(parts_read, shop, f"run {number}", split)
        told = behind.do(joined, shop, f"run {number}", (split, extracted))
        assert told == told | {"rows_loaded": 100, "total_rows": 100}, told
        assert {row["v"] for row in rows(shop)} == {f"v{number}"}
    shop.assert_nothing_left()


def run_of(shop: Shop, name: str) -> Run:
    os.environ |= shop.environment()
    return Run(name, shop.config(), day(1), frozenset({"tab"}), full_refresh=False)


def divided(shop: Shop, name: str) -> list:
    run = run_of(shop, name)
    return SplitOperator(task_id="split", config=run.config, table="tab").work(run, {})


def parts_read(shop: Shop, name: str, split: list) -> list:
    run = run_of(shop, name)
    return [read_part(run, part) for part in split]


def joined(shop: Shop, name: str, parts: tuple) -> dict:
    return join_alone(run_of(shop, name), parts)


def test_a_file_that_is_being_written_is_waited_for_whatever_the_clock_of_the_worker_says(ahead, behind, tmp_path):
    shop = Shop(tmp_path, "append", {"AIRFLOW_VAR_ELT_LANDING": str(tmp_path / "landing")})
    with (tmp_path / "src.yaml").open("a") as yaml:
        yaml.write("sensors: {before_extract: [{file: {path: input_%Y-%m-%d.csv, unchanged_for: 1h}}]}\n")
    shop.deliver("v", range(10))
    assert [worker.do(file_is_ready, shop) for worker in (ahead, behind)] == [False, False]
    file = tmp_path / "inbox" / "input_2013-01-01.csv"
    old = file.stat().st_mtime - 3700
    os.utime(file, (old, old))
    assert [worker.do(file_is_ready, shop) for worker in (ahead, behind)] == [True, True]


def file_is_ready(shop: Shop) -> bool:
    run = run_of(shop, "run")
    return Waiting(run.config, run.config.sensors.before_extract[0], run, ()).look(None, 1).verdict.holds


def test_the_results_of_a_retry_take_the_place_of_those_of_the_try_before_it(ahead, behind, tmp_path):
    shop = Shop(tmp_path, "replace", {"AIRFLOW_VAR_ELT_LANDING": str(tmp_path / "landing")})
    shop.deliver("v", range(10))
    ahead.do(extracted_and_loaded, shop, "run", day(1))
    for worker, status in ((ahead, "failed"), (behind, "passed"), (ahead, "failed"), (behind, "passed")):
        worker.do(check, shop, status)
        with DuckDBWarehouse(shop.folder / "warehouse.duckdb") as opened:
            (load,) = committed_loads(opened, "src", "tab", day(1))
            checked, failed = run_verdict(opened, "src", "tab", load)
        assert (checked, bool(failed)) == (True, status == "failed")


def check(shop: Shop, status: str) -> None:
    with DuckDBWarehouse(shop.folder / "warehouse.duckdb") as opened:
        result = Result("check", "tab", "row_count", "error", status, None, "", 0.1)
        keep(opened, "src", "run", "quality.tab", [result])


@pytest.mark.parametrize(("committed", "first_loads_last"), [(False, False), (False, True), (True, True)])
def test_of_two_extracts_at_the_same_time_the_one_that_began_later_stays_whatever_their_clocks_say(
    ahead, behind, tmp_path, committed, first_loads_last
):
    shop = Shop(tmp_path, "append", {"AIRFLOW_VAR_ELT_LANDING": str(tmp_path / "landing")})
    if committed:
        # both that follow begin before the moment of this commit, by any clock that is right
        shop.deliver("v0", range(100))
        assert "error" not in ahead.do(extracted_and_loaded, shop, "run 0", day(1))
    one, other = (behind, behind) if committed else (ahead, behind)
    shop.deliver("old", range(100))
    first = one.do(extracted, shop, "run 1")
    shop.deliver("new", range(50))
    second = other.do(extracted, shop, "run 2")
    both = [("run 1", first), ("run 2", second)]
    for name, landed in reversed(both) if first_loads_last else both:
        behind.do(loaded, shop, name, landed)
    assert {(row["id"], row["v"]) for row in rows(shop)} == {(number, "new") for number in range(50)}
    assert shop.query("select run_id, rows_loaded from _elt.loads") == [("run 2", 50)]
    shop.assert_nothing_left()


def extracted(shop: Shop, name: str) -> dict:
    return ExtractOperator(task_id="extract", config=shop.config(), table="tab").work(run_of(shop, name), {})


def loaded(shop: Shop, name: str, landed: dict) -> dict:
    return load_alone(run_of(shop, name), landed)
