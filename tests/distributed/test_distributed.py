"""Two Celery workers that are killed all the time: every window is loaded once, and nothing is left behind.

In CI a few kills; `make test-distributed` does as much as MINUTES, SOURCES, TABLES, SENSORS and BROKER say.

The warehouse is a DuckDB file, which one process has at a time and others wait for: a process that is
killed takes its transaction with it, so what is in the file is what was committed. The stand-in for Snowflake keeps the
transactions of clients that were killed open, which no account does, and would be what is tested.
"""

import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from chaos import Chaos
from cluster import Cluster, cluster_over, seconds_of_children, source_over, why_not
from estate import LIMIT, LIMITED_ROWS, PAGE, ROWS, Size, checksum, configs_of, good_rows, rows_of
from leftovers import assert_nothing_left

from elt_factory.core.connection import Connection
from elt_factory.warehouse.opening import open_warehouse
from live_support import api_of, until

BROKER = os.environ.get("ELT_BROKER", "redis")
MINUTES = float(os.environ.get("ELT_MINUTES", "0"))
SIZE = Size(
    sources=int(os.environ.get("ELT_SOURCES", "2")),
    tables=int(os.environ.get("ELT_TABLES", "2")),
    sensors=int(os.environ.get("ELT_SENSORS", "3")),
    minutes=MINUTES,
)
LEAST_KILLS, MOST_ROUNDS = 4, 4
# for a machine that others keep busy
PATIENCE = float(os.environ.get("ELT_PATIENCE") or 240 + 60 * MINUTES + 12 * SIZE.sources)
pytestmark = [
    pytest.mark.live,
    pytest.mark.timeout(900 + 240 * MINUTES + PATIENCE),
    pytest.mark.skipif(bool(why_not(BROKER)), reason=why_not(BROKER) or "-"),
]
DAYS = [f"2013-{1 + number // 27:02}-{1 + number % 27:02}" for number in range(12 * 27)]  # whose next is in the month


def window(number: int) -> dict[str, str]:
    return {"window_start": DAYS[number], "window_end": DAYS[number][:8] + f"{int(DAYS[number][8:]) + 1:02}"}


class Estate:
    """The cluster, its API and its warehouse, as a test asks them."""

    def __init__(self, cluster: Cluster, source: str) -> None:
        self.cluster, self.source, self.api = cluster, source, api_of(cluster.url)

    def trigger(self, name: str, conf: dict[str, str], run_id: str) -> None:
        """Begin a run, also where the API server is away; the same id begins it once."""
        body = {"logical_date": None, "conf": conf, "dag_run_id": run_id}
        self.ask(lambda: self.api.post(f"/api/v2/dags/{name}/dagRuns", json=body), also=409)

    def ask(self, call: Callable[[], httpx.Response], also: int = 200) -> httpx.Response:
        answers: list[httpx.Response] = []

        def answered() -> bool:
            with suppress(httpx.HTTPError):
                answers.append(call())
                return answers[-1].is_success or answers[-1].status_code == also
            return False

        until(answered, 120, lambda: answers[-1].text if answers else "no answer")
        return answers[-1]

    def states(self, dag: str) -> list[str | None]:
        return [row[0] for row in self.cluster.query(f"select state from task_instance where dag_id = '{dag}'")]

    def runs(self, like: str) -> list[tuple]:
        return self.cluster.query(f"select dag_id, run_id, run_type, state from dag_run where dag_id like '{like}'")

    def ended(self, dag: str) -> bool:
        return [state for *_, state in self.runs(dag)] == ["success"]

    def unfinished(self) -> list[tuple]:
        """What a failed wait shows."""
        return self.cluster.query(
            "select dag_id, run_id, task_id, state, try_number, hostname from task_instance"
            " where dag_id != 'crowd' and (state is null or state != 'success') order by updated_at desc limit 30"
        )

    def seen(self) -> dict[str, list]:
        return httpx.get(f"{self.source}/seen", timeout=20).json()

    def warehouse(self, statement: str) -> list[tuple]:
        """What the warehouse says, as soon as no task has its file."""
        file = str(self.cluster.home / "warehouse.duckdb")
        with open_warehouse(Connection("warehouse", "duckdb", host=file), self.cluster.project, print, 120) as opened:
            return list(opened.query(statement).rows)


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    base = tmp_path_factory.mktemp("distributed")
    project, home = base / "project", base / "airflow"
    (project / "dag_configs").mkdir(parents=True)
    home.mkdir()
    for name, text in configs_of(SIZE).items():
        (project / "dag_configs" / f"{name}.yaml").write_text(text)
    (project / "inbox").mkdir()
    (project / "inbox" / "input.csv").write_text("id,amount\n1,2.5\n2,3.5\n")
    began, used = time.monotonic(), seconds_of_children()
    with source_over(home) as source, cluster_over(project, home, BROKER, SIZE.concurrency, source) as cluster:
        made = Estate(cluster, source)
        alive = "select count(*) from dag where not is_stale"
        wrong = "select filename, stacktrace from import_error"
        until(
            lambda: cluster.query(alive) == [(len(configs_of(SIZE)),)] or cluster.query(wrong),
            PATIENCE,
            lambda: log_ends(home),
        )
        assert cluster.query(wrong) == []
        for name in configs_of(SIZE):
            made.ask(lambda n=name: made.api.patch(f"/api/v2/dags/{n}", json={"is_paused": False}))
        report(f"started in {time.monotonic() - began:.0f} s")
        try:
            yield made
        finally:
            keep_logs(home)
    report(", ".join(f"{name} {seconds:.0f} s" for name, seconds in cluster.seconds.items()))
    report(f"in all {time.monotonic() - began:.0f} s, {seconds_of_children() - used:.0f} s of CPU")


def log_ends(home: Path) -> str:
    return "\n".join("\n".join([str(log), *log.read_text().splitlines()[-15:]]) for log in home.glob("*.log"))


def keep_logs(home: Path) -> None:
    """Where ELT_KEEP_LOGS names a folder, copy the logs of all components there."""
    if folder := os.environ.get("ELT_KEEP_LOGS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        for log in home.glob("*.log"):
            (Path(folder) / log.name).write_bytes(log.read_bytes())


def report(line: str) -> None:
    """Print a line, also where tests are quiet."""
    sys.__stdout__.write(f"{line}\n")
    sys.__stdout__.flush()


# CI asks the same of an Airflow without workers: tests/dags/test_waiting_live.py
@pytest.mark.skipif("ELT_MINUTES" not in os.environ, reason="two minutes of waiting: make test-distributed")
def test_what_waits_holds_no_worker_what_is_late_delays_one_and_a_limit_is_shared(estate: Estate):
    estate.trigger("crowd", {}, "first")
    # how often two workers ask is seen where nothing else keeps one of them busy
    until(lambda: estate.ended("arrivals"), PATIENCE, estate.unfinished)
    estate.trigger("limited", window(0), "first")

    until(lambda: estate.states("crowd").count("deferred") == SIZE.sensors, PATIENCE, lambda: estate.states("crowd"))
    # all of them wait, and each slot of a worker or a pool is free for others
    assert estate.states("crowd").count("running") == 0
    assert estate.states("crowd").count("deferred") == SIZE.sensors
    until(lambda: estate.ended("limited"), PATIENCE, estate.unfinished)
    assert estate.runs("departures") == []

    (estate.cluster.project / "inbox" / "weather_is_there").touch()
    until(lambda: estate.ended("departures"), PATIENCE, estate.unfinished)
    assert [state for *_, state in estate.runs("departures")] == ["success"]

    # the triggerer waits for the file as tasks do
    missed = "select source, run_id from _elt.deadline_misses"
    until(lambda: estate.warehouse(missed) == [("crowd", "first")], PATIENCE, lambda: estate.warehouse(missed))
    until(lambda: any("crowd" in message for message in estate.seen()["messages"]), 60, estate.seen)

    asked = [(at, worker) for at, source, worker in estate.seen()["asked"] if source == "limited"]
    assert_limit_was_shared(asked)


def assert_limit_was_shared(asked: list[tuple[float, str]]) -> None:
    """Both workers asked, in turns, and together not more often than one may."""
    workers = [worker for _, worker in asked]
    assert len(asked) == SIZE.limited_tables * LIMITED_ROWS // PAGE
    assert set(workers) == {"worker-a", "worker-b"}
    # while both had something to ask
    begins = max(workers.index(worker) for worker in set(workers))
    ends = min(len(workers) - 1 - workers[::-1].index(worker) for worker in set(workers))
    together = [at for at, _ in asked[begins : ends + 1]]
    took = together[-1] - together[0]
    report(f"rate limit: {len(together)} requests of two workers in {took:.1f} s at {LIMIT} a second")
    assert len(together) > 2 * SIZE.limited_tables
    # the first may come as late after its turn as the machine is busy
    assert took >= (len(together) - 1) / LIMIT - 0.5


def test_every_window_is_loaded_once_whatever_is_killed(estate: Estate):
    seed = int(os.environ.get("ELT_SEED", random.SystemRandom().randrange(10**6)))
    chaos = Chaos(estate.cluster, random.Random(seed))
    began = time.monotonic()
    rounds = 0
    done_by = began + 60 * MINUTES
    # on a busy machine a round may be over before enough was killed
    enough = False
    while not enough or time.monotonic() < done_by:
        for name in SIZE.names:
            estate.trigger(name, window(rounds), f"round-{rounds}")
        rounds += 1
        chaos.go_on(lambda: all_ended(estate), done_by)
        enough = sum(chaos.kills.values()) >= LEAST_KILLS or rounds >= MOST_ROUNDS
    cleared = end_well(estate)
    took = time.monotonic() - began
    assert chaos.kills["task"] >= 1
    assert sum(chaos.kills.values()) >= LEAST_KILLS

    until(lambda: not estate.cluster.tasks(), 60, estate.cluster.tasks)
    commits, windows = assert_loaded_once(estate, rounds)
    unfinished = assert_nothing_left(estate.cluster, SIZE)
    retries = estate.cluster.query("select sum(try_number - 1) from task_instance where dag_id like 'source_%'")[0][0]
    report(
        f"seed {seed}, {BROKER}: {SIZE.sources} sources x {SIZE.tables} tables, {rounds} windows each, {took:.0f} s\n"
        f"killed: {', '.join(f'{count} {kind}' for kind, count in sorted(chaos.kills.items()))}\n"
        f"tries beyond the first: {retries}; runs cleared by hand: {cleared};"
        f" landings that killed tasks did not finish, removed by retention: {unfinished}\n"
        f"{windows} windows of tables in {commits} commits, rows and checksums equal to the sources'"
    )


def all_ended(estate: Estate) -> bool:
    return all(state in ("success", "failed") for *_, state in estate.runs("source_%"))


def end_well(estate: Estate) -> int:
    """Wait until all runs have ended, and clear those that failed, as an operator does; how many."""
    cleared = 0
    for _ in range(3):
        until(lambda: all_ended(estate), PATIENCE, estate.unfinished)
        failed = [(dag, run) for dag, run, _, state in estate.runs("source_%") if state == "failed"]
        for dag, run in failed:
            body = {"dry_run": False, "dag_run_id": run, "only_failed": True, "reset_dag_runs": True}
            estate.ask(lambda d=dag, b=body: estate.api.post(f"/api/v2/dags/{d}/clearTaskInstances", json=b))
        cleared += len(failed)
        if not failed:
            return cleared
    raise AssertionError(estate.unfinished())


def assert_loaded_once(estate: Estate, rounds: int) -> tuple[int, int]:
    """Each window of each table is there once, row by row, and every row that was read is accounted for."""
    loads = {
        (source, table, day): (read, loaded + rejected + duplicate + unchanged + filtered)
        for source, table, day, read, loaded, rejected, duplicate, unchanged, filtered in estate.warehouse(
            "select source, table_name, strftime(window_start, '%Y-%m-%d'), rows_read, rows_loaded, rows_rejected,"
            " rows_duplicate, rows_unchanged, rows_filtered from _elt.loads where source like 'source_%'"
        )
    }
    days = [window(number)["window_start"] for number in range(rounds)]
    expected = {(source, table, day) for source in SIZE.names for table in SIZE.table_names for day in days}
    assert set(loads) == expected
    assert set(loads.values()) == {(ROWS, ROWS)}
    (counted,) = estate.warehouse("select count(*) from _elt.loads where source like 'source_%'")
    assert counted == (len(expected),)
    (commits,) = estate.warehouse("select count(*) from _elt.load_log where source like 'source_%'")
    for source in SIZE.names:
        for table in SIZE.table_names:
            rows = estate.warehouse(f"select id, day::varchar, amount, note from {source}.{table}")
            wanted = [row for day in days for row in good_rows(source, table, day)]
            assert checksum(rows) == checksum(wanted), f"{source}.{table}"
            rejected = estate.warehouse(
                f"select count(*) from _elt.rejects where source = '{source}' and table_name = '{table}'"
            )
            assert rejected == [(len(days) * ROWS - len(wanted),)], f"{source}.{table}"
    return commits[0], len(expected)


def test_rows_of_a_source_are_the_same_whenever_they_are_asked_for():
    assert rows_of("a", "table_0", "2013-01-01") == rows_of("a", "table_0", "2013-01-01")
    assert rows_of("a", "table_0", "2013-01-01") != rows_of("a", "table_0", "2013-01-02")
    assert checksum([(1, "a"), (2, "b")]) == checksum([(2, "b"), (1, "a")]) != checksum([(1, "a")])
