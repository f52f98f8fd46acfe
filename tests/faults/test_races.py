"""Two runs of one window, a zombie and its retry, a run beside a backfill: real processes, held at every step.

Each load reads what its own extract landed, whole; what began to read later stays; nobody removes what another needs.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from race_support import IMPORTED, STEPS, STEPS_OF_JOIN, Joins, Pair, Shop, day, load_alone, read_part

from elt_factory.core.failures import LandingError
from elt_factory.dag.operators import ExtractOperator
from elt_factory.dag.runtime import Run
from elt_factory.dag.splitting import SplitOperator
from elt_factory.landing.manifest import Owner, read_manifest
from elt_factory.landing.places import LocalPlace
from forked import Forked

sys.path.append(str(Path(__file__).parents[1] / "landing"))
from remote_support import SECRET, URL, empty_bucket, s3_server

OLD, NEW = range(100), range(1, 150)
ROWS = "select id, v from src.tab"
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def processes():
    """Processes that begin with everything imported and nothing open."""
    return Forked(*IMPORTED, "elt_factory.landing.remote", "obstore")


@pytest.fixture(scope="module")
def storage():
    with s3_server() as address:
        yield address


@pytest.fixture
def landing(request, tmp_path) -> dict[str, str]:
    if getattr(request, "param", "folder") == "folder":
        return {"AIRFLOW_VAR_ELT_LANDING": str(tmp_path / "landing")}
    address = request.getfixturevalue("storage")
    empty_bucket(address)
    extra = {"endpoint_url": address, "region_name": "us-east-1"}
    fields = {"conn_type": "aws", "login": "key", "password": SECRET, "extra": extra}
    return {"AIRFLOW_VAR_ELT_LANDING": URL, "AIRFLOW_CONN_LANDING": json.dumps(fields)}


@pytest.fixture
def shop(tmp_path, landing) -> Iterator[Shop]:
    made = Shop(tmp_path, "append", landing)
    yield made
    if (tmp_path / "warehouse.duckdb").exists():
        made.assert_nothing_left()


def rows(version: str, ids: range) -> list[tuple[int, str]]:
    return [(number, version) for number in ids]


# a process that opens object storage takes seconds: there it is held where it has uploaded something
PLACES = [*(("folder", step) for step in STEPS), ("s3", "manifest to come"), ("s3", "about to load")]


@pytest.mark.parametrize(("landing", "step"), PLACES, indirect=["landing"])
def test_a_run_that_is_held_at_any_step_beside_another_of_its_window_leaves_what_was_read_later(processes, shop, step):
    shop.deliver("old", OLD)
    slow = Pair(processes, shop, "slow", day(1), hold_at=step)
    slow.until_held()
    shop.deliver("new", NEW)
    quick = Pair(processes, shop, "quick", day(1)).end()
    assert quick["load"]["rows_loaded"] == len(NEW), quick
    slow.go_on()
    told = slow.end()
    if step == "read":
        # it was in the middle of the file that changed: nothing of it is landed, and its retry reads the file again
        assert told["error"].startswith("SourceNotReadyError: input_2013-01-01.csv was changed or removed"), told
    else:
        assert told["load"] == told["load"] | {"gave_way": True, "rows_loaded": 0, "total_rows": len(NEW)}
    assert shop.query(ROWS) == rows("new", NEW)
    assert shop.query("select run_id, rows_read, rows_loaded from _elt.loads") == [("quick", len(NEW), len(NEW))]


def test_what_was_read_later_takes_the_place_of_what_is_loaded_already(processes, shop):
    shop.deliver("old", OLD)
    earlier = Pair(processes, shop, "earlier", day(1), hold_at="about to load")
    earlier.until_held()
    shop.deliver("new", NEW)
    later = Pair(processes, shop, "later", day(1), hold_at="about to load")
    later.until_held()
    earlier.go_on()
    assert earlier.end()["load"]["rows_loaded"] == len(OLD)
    later.go_on()
    assert later.end()["load"]["rows_loaded"] == len(NEW)
    assert shop.query(ROWS) == rows("new", NEW)


@pytest.mark.parametrize("landing", ["folder", "s3"], indirect=True)
def test_the_late_manifest_of_a_zombie_leaves_the_landing_of_its_retry_as_it_is(processes, shop, monkeypatch):
    shop.deliver("old", OLD)
    zombie = Pair(processes, shop, "run", day(1), hold_at="manifest to come")
    zombie.until_held()
    shop.deliver("new", NEW)
    retry = Pair(processes, shop, "run", day(1), hold_at="about to load")
    retry.until_held()
    zombie.go_on()
    late = zombie.end()
    retry.go_on()
    told = retry.end()
    assert late["load"]["rows_loaded"] == len(OLD)
    assert told["load"]["rows_loaded"] == len(NEW)
    assert shop.query(ROWS) == rows("new", NEW)
    # clearing the load task alone loads the same landing again
    for name, value in shop.environment().items():
        monkeypatch.setenv(name, value)
    run = Run("run", shop.config(), day(1), frozenset({"tab"}), full_refresh=False)
    assert load_alone(run, told["extract"]) == told["load"]
    assert load_alone(run, late["extract"])["gave_way"]
    assert shop.query(ROWS) == rows("new", NEW)


@pytest.mark.parametrize("step", ["parts written", "manifest read"])
def test_a_run_beside_a_backfill_of_another_window_loads_its_own(processes, shop, step):
    shop.deliver("run", OLD, 2)
    daily = Pair(processes, shop, "daily", day(2), hold_at=step)
    daily.until_held()
    shop.deliver("backfill", NEW)
    assert Pair(processes, shop, "backfill", day(1)).end()["load"]["rows_loaded"] == len(NEW)
    daily.go_on()
    assert daily.end()["load"]["rows_loaded"] == len(OLD)
    assert shop.query(ROWS) == sorted(rows("run", OLD) + rows("backfill", NEW))


def test_a_range_backfilled_at_once_beside_the_daily_run_is_the_table_of_a_serial_load(
    processes, tmp_path, monkeypatch
):
    at_once, serial = (Shop(folder, "merge\n    incremental: {cursor: v}", {}) for folder in _folders(tmp_path))
    for shop in (at_once, serial):
        for number in range(1, 7):
            # most ids come on several days, each time in a newer version
            shop.deliver(str(number), range(number * 10, number * 10 + 30), number)
    # the schedule loads days 5 and 6 while days 1 to 4 are backfilled, two at a time, in another order
    for numbers in ([5, 4, 1], [6, 2, 3]):
        pairs = [Pair(processes, at_once, f"run {number}", day(number)) for number in numbers]
        assert not [told["error"] for pair in pairs if "error" in (told := pair.end())]
    for name, value in serial.environment().items():
        monkeypatch.setenv(name, value)
    for number in range(1, 7):
        run = Run(f"run {number}", serial.config(), day(number), frozenset({"tab"}), full_refresh=False)
        load_alone(run, ExtractOperator(task_id="extract", config=run.config, table="tab").work(run, {}))
    account = "select load_id, run_id, window_start, window_end, rows_read, cursor_value from _elt.loads"
    for query in ("select id, v, _load_id from src.tab", account):
        assert at_once.query(query) == serial.query(query)
    assert (len(at_once.query(account)), len(at_once.query(ROWS))) == (6, 80)


def _folders(tmp_path):
    for name in ("at_once", "serial"):
        (tmp_path / name).mkdir()
        yield tmp_path / name


@pytest.mark.parametrize("disposition", ["append", "merge", "replace"])
def test_runs_of_one_window_at_once_all_succeed_and_are_there_once(processes, shop, disposition):
    shop = Shop(shop.folder, disposition, shop.landing)
    shop.deliver("new", NEW)
    for number in range(3):
        pairs = [Pair(processes, shop, f"{number} {name}", day(1)) for name in "ab"]
        told = [pair.end() for pair in pairs]
        assert not [pair["error"] for pair in told if "error" in pair]
        assert max(pair["load"]["rows_loaded"] for pair in told) == len(NEW)
        assert shop.query(ROWS) == rows("new", NEW)


def test_a_killed_extract_leaves_nothing_that_its_retry_could_load(processes, shop):
    shop.deliver("old", OLD)
    killed = Pair(processes, shop, "run", day(1), hold_at="manifest to come")
    killed.until_held()
    killed.kill()
    shop.deliver("new", NEW)
    assert Pair(processes, shop, "run", day(1)).end()["load"]["rows_loaded"] == len(NEW)
    assert shop.query(ROWS) == rows("new", NEW)


@pytest.mark.parametrize("told", [None, {}, {"load_id": "x", "rows_read": 1}])
def test_a_load_whose_extract_told_nothing_of_an_attempt_says_what_to_clear(shop, monkeypatch, told):
    shop.deliver("new", NEW)
    for name, value in shop.environment().items():
        monkeypatch.setenv(name, value)
    run = Run("run", shop.config(), day(1), frozenset({"tab"}), full_refresh=False)
    with pytest.raises(LandingError, match=r"src\.tab: no landing from the task extract of this run"):
        load_alone(run, told)


def test_a_load_refuses_what_another_project_landed(processes, shop, monkeypatch, tmp_path):
    """`prod` and `dev` share a landing: what one landed the other never loads."""
    shop.deliver("dev", OLD)
    dev = Pair(processes, shop, "run", day(1)).end()
    for name, value in shop.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AIRFLOW_VAR_ELT_PROJECT", "prod")
    run = Run("run", shop.config(), day(1), frozenset({"tab"}), full_refresh=False)
    owners = r'belongs to another owner: written by .*project "duckdb .*expected .*"prod"'
    with pytest.raises(LandingError, match=owners):
        load_alone(run, dev["extract"])


def test_a_landing_keeps_its_owner_wherever_the_project_is(processes, tmp_path):
    shop = Shop(tmp_path, "append", {"AIRFLOW_VAR_ELT_LANDING": "landing", "AIRFLOW_VAR_ELT_PROJECT": "prod"})
    shop.deliver("new", NEW)
    told = Pair(processes, shop, "run", day(1)).end()["extract"]
    place = LocalPlace(tmp_path / "landing" / "src" / "tab" / told["load_id"])
    owner = Owner("prod", "src", "tab", told["load_id"], told["attempt"])
    assert read_manifest(place, owner).rows == len(NEW)


@pytest.mark.parametrize("again", [False, True], ids=["same parts", "a part read again"])
@pytest.mark.parametrize("landing", ["folder", "s3"], indirect=True)
@pytest.mark.parametrize("step", STEPS_OF_JOIN)
def test_the_join_of_a_zombie_that_ends_after_that_of_its_retry_leaves_what_was_read_later(
    processes, tmp_path, landing, monkeypatch, step, again
):
    shop = Shop(tmp_path, "append", landing, more="    split: {tasks: 2}\n")
    for name, value in shop.environment().items():
        monkeypatch.setenv(name, value)
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    (inbox / "input_2013-01-01a.csv").write_text("id,v\n1,old\n2,old\n")
    (inbox / "input_2013-01-01b.csv").write_text("id,v\n3,old\n4,old\n")
    run = Run("run", shop.config(), day(1), frozenset({"tab"}), full_refresh=False)
    split = SplitOperator(task_id="split", config=run.config, table="tab").work(run, {})
    extracted = [read_part(run, part) for part in split]
    zombie = Joins(processes, shop, (split, extracted), hold_at=step)
    zombie.until_held()
    expected, parts = [(number, "old") for number in range(1, 5)], extracted
    if again:
        # the part is cleared, because its file came anew
        (inbox / "input_2013-01-01a.csv").write_text("id,v\n1,new\n2,new\n9,new\n")
        expected, parts = [(1, "new"), (2, "new"), *expected[2:], (9, "new")], [read_part(run, split[0]), extracted[1]]
    told = Joins(processes, shop, (split, parts)).end()
    assert told["load"]["rows_loaded"] == len(expected), told
    zombie.go_on()
    late = zombie.end()
    if again and step != "joined":
        assert late["error"].startswith("LandingChangedError: src.tab: another task has joined the parts"), late
    else:
        assert late["load"]["total_rows"] == len(expected), late
    account = [(len(expected), len(expected))]
    # the retry's load finds what it has done
    for _ in range(2):
        assert shop.query(ROWS) == expected
        assert shop.query("select rows_read, rows_loaded from _elt.loads") == account
        assert Joins(processes, shop, (split, parts)).end()["load"]["total_rows"] == len(expected)
    shop.assert_nothing_left()
