"""One dbt process for all models: what each task makes of its word, and what failures, retries and clearings leave."""

import asyncio
import itertools
import json
import os
import random
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.triggers.base import TaskSkippedEvent, TaskSuccessEvent

from elt_factory.config.models.source import Dbt
from elt_factory.core.connection import Connection
from elt_factory.core.failures import ModelTestError, PermanentError, TransientError
from elt_factory.dag.dbt_errors import ExecutableError
from elt_factory.dag.dbt_outcomes import Outcome, Outcomes, says_anything
from elt_factory.dag.dbt_running import SupervisedHook
from elt_factory.dag.dbt_trigger import DoneTrigger, look, states_of
from elt_factory.dag.dbt_verdicts import Seen, left_to_build, waiting
from forked import Forked

MODEL, TEST, OTHER = "model.p.orders", "test.p.unique_orders.abc", "test.p.not_null.def"
GOOD, BAD, SKIPPED = Outcome("passed"), Outcome("failed", "broken"), Outcome("skipped")


def finished(unique_id: str, status: str, message: str = "") -> dict:
    """The event of dbt 1.11 that says how a node ended."""
    node = {"unique_id": unique_id, "node_status": status}
    result = {"status": status, "message": message, "execution_time": 0.5}
    return {
        "info": {"name": "NodeFinished", "level": "debug", "msg": f"Finished running node {unique_id}"},
        "data": {"node_info": node, "run_result": result},
    }


def test_a_model_is_known_when_its_tests_are():
    heard = Outcomes({MODEL: (TEST, OTHER)})
    heard.hear(finished(MODEL, "success"))
    heard.hear(finished(TEST, "pass"))
    assert heard.known() == {}
    heard.hear(finished(OTHER, "warn"))
    assert heard.known() == {MODEL: Outcome("passed", seconds=0.5)}


def test_an_event_that_says_nothing_need_not_be_read():
    info = finished(MODEL, "success")["info"]
    assert says_anything(info["level"], info["name"])
    assert says_anything("info", "LogStartLine")
    assert not says_anything("debug", "SQLQuery")


@pytest.mark.parametrize(
    ("events", "outcome"),
    [
        ([finished(MODEL, "error", "no such column")], Outcome("failed", "no such column", seconds=0.5)),
        ([finished(MODEL, "skipped")], Outcome("skipped")),
        (
            [finished(MODEL, "success"), finished(TEST, "fail", "Got 2 results"), finished(OTHER, "pass")],
            Outcome("failed", "unique_orders: Got 2 results", tests=True, seconds=0.5),
        ),
        (
            [finished(MODEL, "success"), finished(TEST, "fail", "Got 2 results"), finished(OTHER, "error", "locked")],
            Outcome("failed", "unique_orders: Got 2 results; not_null: locked", seconds=0.5),
        ),
    ],
)
def test_an_outcome_says_what_failed_and_whether_a_retry_may_heal_it(events, outcome):
    heard = Outcomes({MODEL: (TEST, OTHER)})
    for event in events:
        heard.hear(event)
    assert heard.known() == {MODEL: outcome}


def test_the_log_of_a_process_says_the_same_and_its_report_the_rest():
    heard = Outcomes({MODEL: (TEST,), "seed.p.states": ()})
    line = (
        '{"info": {"name": "LogModelResult", "level": "info", "msg": "1 of 2 OK created [\\u001b[32mOK\\u001b[0m]"},'
        ' "data": {"node_info": {"unique_id": "model.p.orders", "node_status": "success"}}}'
    )
    for said in ("Running with dbt", "{broken", line):
        heard.hear_line(said)
    assert heard.known() == {}
    heard.settle({"results": [{"unique_id": "seed.p.states", "status": "success", "execution_time": 1}]})
    # the test that was not asked for is not waited for
    assert {name: outcome.state for name, outcome in heard.known().items()} == {
        MODEL: "passed",
        "seed.p.states": "passed",
    }
    assert heard.known()[MODEL].lines == ("1 of 2 OK created [OK]",)


LOOSE, HOOK = "test.p.not_null_ephemeral_id.1", "operation.p.p-on-run-end-0"


@pytest.mark.parametrize(
    ("failed", "error", "message"),
    [
        ({}, None, ""),
        # what the tasks of models say themselves: a model, its test, a unit test, a test that another task runs
        ({MODEL: "error", TEST: "fail", "unit_test.p.orders.sums": "fail", OTHER: "fail"}, None, ""),
        ({LOOSE: "fail"}, ModelTestError, "s: dbt tests failed: not_null_ephemeral_id: broken"),
        ({LOOSE: "error"}, TransientError, "s: dbt failed: not_null_ephemeral_id: broken"),
        # a retry finds every model built, and would not run the hook again
        ({LOOSE: "fail", HOOK: "error"}, PermanentError, "p-on-run-end-0: broken; hint: clear this task together"),
        ({"operation.p.p-on-run-start-0": "error"}, TransientError, "s: dbt failed: p-on-run-start-0: broken"),
    ],
)
def test_what_fails_and_belongs_to_no_model_fails_the_process(failed, error, message):
    from elt_factory.dag.dbt_watched import raise_failures

    results = [{"unique_id": name, "status": status, "message": "broken"} for name, status in failed.items()]
    good = [{"unique_id": "test.p.unique_ephemeral_id.2", "status": "warn"}, {"unique_id": "x", "status": "skipped"}]
    loose = Outcomes({MODEL: (TEST,)}).without_a_task({"results": [*good, *results]}, {OTHER})
    if error is None:
        raise_failures("s", loose)
        return
    with pytest.raises(error, match=message) as caught:
        raise_failures("s", loose)
    assert type(caught.value) is error


@pytest.mark.usefixtures("dbt_manifest")
def test_dbts_report_of_a_test_without_a_model_fails_the_task(tmp_path):
    build = drawn().get_task("transform.build")
    build.callback = None
    (tmp_path / "target").mkdir()
    report = {"results": [{"unique_id": LOOSE, "status": "fail", "message": "Got 1 result"}]}
    (tmp_path / "target" / "run_results.json").write_text(json.dumps(report))
    build._handle_post_execution(str(tmp_path), {})
    with pytest.raises(ModelTestError, match="Got 1 result"):
        build.handle_exception_dbt_runner(SimpleNamespace(exception=None))
    with pytest.raises(ModelTestError, match="Got 1 result"):
        build.handle_exception_subprocess(SimpleNamespace(exit_code=1))


def graph_of(*ids: str):
    """The graph of nodes that read nothing of each other."""
    import airflow.sdk  # noqa: F401 - first, as Cosmos is a plugin of it
    from cosmos.constants import DbtResourceType
    from cosmos.dbt.graph import DbtNode

    from elt_factory.dag.dbt_graph import ModelGraph

    def node(name: str) -> DbtNode:
        kind, package, short, *_ = name.split(".")
        return DbtNode(name, DbtResourceType(kind), [], Path(), Path(), fqn=[package, short])

    return ModelGraph.of({name: node(name) for name in ids})


def test_a_test_without_a_model_is_known_by_its_selector():
    """It is selected by itself at a retry, which leaves out what is built."""
    graph = graph_of(MODEL, "test.p.t.1")
    assert graph.loose == ("fqn:p.t",)
    assert graph.tests == {MODEL: ()}


@pytest.mark.parametrize(
    ("seen", "verdict"),
    [
        (Seen(None, "", "", None, []), "wait"),
        (Seen(None, "a", "", "running", []), "wait"),
        (Seen(GOOD, "a", "", "running", []), "passed"),
        (Seen(BAD, "a", "", "running", []), "failed"),
        # the word that the try before it used up: it builds, also while the process is still at others
        (Seen(BAD, "a", "a", "running", []), "build"),
        (Seen(GOOD, "a", "a", "success", ["success"]), "build"),
        (Seen(GOOD, "a", "a", "success", ["running"]), "wait"),
        # another process, of a retry or of a run that was cleared, has a word of its own
        (Seen(None, "b", "a", "running", []), "wait"),
        (Seen(GOOD, "b", "a", "running", []), "passed"),
        # a parent failed: dbt skipped the model, which waits for the retry of the parent
        (Seen(SKIPPED, "a", "", "running", ["up_for_retry"]), "wait"),
        (Seen(SKIPPED, "a", "", "success", ["success", "success"]), "build"),
        (Seen(SKIPPED, "a", "", "success", ["success", "failed"]), "skip"),
        (Seen(None, "a", "", "success", ["success"]), "build"),
        # a test of its source failed, which fails the process: the model is not built on it
        (Seen(SKIPPED, "a", "", "running", []), "wait"),
        (Seen(SKIPPED, "a", "", "running", ["success"]), "wait"),
        (Seen(SKIPPED, "a", "", "failed", []), "skip"),
        (Seen(SKIPPED, "a", "", "success", []), "build"),
        # dbt itself failed: nothing is started that would fail as it did
        (Seen(None, "", "", "failed", []), "skip"),
        (Seen(None, "", "", "up_for_retry", []), "wait"),
        # the process is cleared with the model: it comes, though the words of the last one are still there
        (Seen(GOOD, "a", "a", None, [], over=True), "wait"),
        (Seen(GOOD, "a", "a", "queued", ["success"], over=True), "wait"),
        (Seen(GOOD, "a", "a", "running", ["success"], over=True), "wait"),
        (Seen(SKIPPED, "a", "", "queued", ["success"], over=True), "wait"),
        (Seen(GOOD, "a", "a", "success", ["success"], over=True), "build"),
    ],
)
def test_what_the_task_of_a_model_does(seen, verdict):
    assert seen.verdict == verdict


def test_a_retry_of_the_process_leaves_to_others_what_is_theirs():
    parents = {"a": (), "b": ("a",), "c": ("b",), "d": (), "e": ("d", "b")}
    assert left_to_build(parents, {}) == ["a", "b", "c", "d", "e"]
    assert left_to_build(parents, {"a": "success", "b": "deferred"}) == ["b", "c", "d", "e"]
    # b is being built by its own task: what reads it waits for it
    assert left_to_build(parents, {"a": "success", "b": "running"}) == ["d"]
    assert left_to_build(parents, {"a": "failed"}) == ["d"]
    assert left_to_build(parents, dict.fromkeys(parents, "success")) == []


def test_a_process_comes_again_for_what_waits_for_the_next_try_of_others():
    parents = {"a": (), "b": ("a",), "c": ("b",), "d": ()}
    passed = {"a": GOOD, "d": GOOD}
    assert waiting(parents, {}, passed | {"b": BAD, "c": SKIPPED}) == ["c"]
    # a later turn waits, too, until the delay of b is over, and then builds both
    assert left_to_build(parents, {"a": "success", "d": "success", "b": "up_for_retry"}, 1) == []
    assert waiting(parents, {"a": "success", "d": "success", "b": "up_for_retry"}, {}) == ["c"]
    assert left_to_build(parents, {"a": "success", "d": "success", "b": "deferred"}, 1) == ["b", "c"]
    # nothing else waits for c, whose task builds it; a test that fails, and a model that has failed, are not waited for
    assert waiting(parents, {}, passed | {"b": GOOD, "c": BAD}) == []
    assert waiting(parents, {}, passed | {"b": Outcome("failed", tests=True), "c": SKIPPED}) == []
    assert waiting(parents, {"b": "failed"}, passed) == []


class Run:
    """A run of tasks, by the same verdicts: the dbt process dies, models fail, in any order that chance gives."""

    def __init__(self, parents: dict[str, tuple[str, ...]], chance: random.Random, broken: set[str], kills: int):
        self.parents, self.chance, self.broken, self.kills = parents, chance, broken, kills
        self.states: dict[str, str | None] = dict.fromkeys(parents, "deferred")
        self.used = dict.fromkeys(parents, "")
        self.build, self.tries, self.words, self.over = "up_for_retry", 0, {}, False
        self.begun, self.alone, self.turn = False, 0, 0
        self.built: list[str] = []

    @property
    def process(self) -> str:
        return f"process {self.tries}/{self.turn}" if self.tries else ""

    def step(self) -> None:
        moves = [self._act(name) for name, state in self.states.items() if state == "deferred"]
        moves += [self._end(name) for name, state in self.states.items() if state == "running"]
        if self.build in ("up_for_retry", "up_for_reschedule"):
            moves.append(self._start_process)
        if self.build == "running":
            moves += [self._build_next] * 3 if self.begun else [self._begin]
        self.chance.choice(moves)()

    def _start_process(self) -> None:
        # what the process before it said is there until this one begins
        self.again, self.build, self.begun = self.build == "up_for_reschedule", "running", False

    def _begin(self) -> None:
        self.turn, self.tries = (self.turn + 1, self.tries) if self.again else (0, self.tries + 1)
        self.begun, self.words, self.over, self.before = True, {}, False, dict(self.states)
        self.left = left_to_build(self.parents, self.states, self.turn)

    def _build_next(self) -> None:
        if self.kills and self.chance.random() < 0.2:
            self.kills -= 1
            self.build, self.words = "up_for_retry", {}
        elif self.left:
            name = self.left.pop(0)
            skipped = any(self.words.get(parent, GOOD).state != "passed" for parent in self.parents[name])
            self.words[name] = SKIPPED if skipped else self._built(name)
        else:
            later = waiting(self.parents, self.before, self.words)
            self.build, self.over = "up_for_reschedule" if later else "success", True

    def clear(self, names: list[str]) -> None:
        """Clear models, all that read them, and the process."""
        for name, parents in self.parents.items():
            if name in names or any(self.states[parent] == "deferred" for parent in parents):
                self.states[name] = "deferred"
        self.build, self.alone = "up_for_retry", 0
        self.built = [name for name, state in self.states.items() if state == "success"]

    def to_its_end(self) -> None:
        for _ in itertools.takewhile(lambda _: set(self.states.values()) != {"success"}, range(20_000)):
            self.step()
        assert set(self.states.values()) == {"success"}

    def _built(self, name: str) -> Outcome:
        # what it reads is there and good, by either of the two
        assert set(self.parents[name]) <= {*self.built}, f"{name} was built before what it reads"
        assert self.states[name] != "running", f"{name} was built twice at the same time"
        if name in self.broken:
            self.broken.discard(name)
            return BAD
        self.built.append(name)
        return GOOD

    def _act(self, name: str):
        def act() -> None:
            parents = [self.states[parent] for parent in self.parents[name]]
            verdict = Seen(self.words.get(name), self.process, self.used[name], self.build, parents, self.over).verdict
            if verdict != "wait":
                self.used[name] = self.process
            self.alone += verdict == "build"
            # a task that fails is deferred again at its next try
            self.states[name] = {"passed": "success", "build": "running"}.get(verdict, "deferred")
            assert verdict != "skip", f"{name} gives up"

        return act

    def _end(self, name: str):
        def end() -> None:
            self.states[name] = "deferred"
            self.states[name] = "success" if self._built(name).state == "passed" else "deferred"

        return end


@pytest.mark.parametrize("number", range(50))
def test_fifty_runs_with_failures_end_right(number):
    """In each run a few models fail once and the process is killed a few times; in the end all is built, in order."""
    chance = random.Random(number)
    names = [f"m{place}" for place in range(30)]
    parents = {
        name: tuple(chance.sample(names[:place], min(place, chance.randint(0, 3)))) for place, name in enumerate(names)
    }
    run = Run(parents, chance, set(chance.sample(names, number % 8)), kills=number % 4)
    run.to_its_end()
    assert not run.broken
    assert set(run.built) == set(names)
    # where nothing fails, what is cleared together with the process is built by it, and nothing builds itself
    run.kills = 0
    run.clear(chance.sample(names, 3))
    run.to_its_end()
    assert sorted(run.built) == sorted(names)
    assert run.alone == 0


def drawn(**config: object):
    """The DAG of the demo's models of flights, with a task for each that watches one dbt process."""
    from airflow.sdk import DAG

    from elt_factory.dag.transform import dbt_group

    with DAG("d", schedule=None, start_date=datetime(2020, 1, 1, tzinfo=UTC)) as dag:
        dbt_group(dag, "s", Dbt(**{"select": "tag:fleet", "tasks": "watched"} | config), "warehouse")
    return dag


@pytest.fixture
def states(monkeypatch) -> dict[str, str]:
    """The states of the tasks of a run, where Airflow is asked for them."""
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    given: dict[str, str] = {}
    monkeypatch.setattr(RuntimeTaskInstance, "get_task_states", lambda **_: {"r": {**given}})
    return given


def context_of(task_id: str) -> dict[str, object]:
    return {"ti": SimpleNamespace(dag_id="d", run_id="r", task_id=task_id, try_number=2), "run_id": "r"}


def of_done(done):
    """What the trigger of the last task of a group says."""
    trigger = DoneTrigger(**done.start_trigger_args.trigger_kwargs)
    assert trigger.serialize() == (done.start_trigger_args.trigger_cls, done.start_trigger_args.trigger_kwargs)
    trigger.task_instance = context_of(done.task_id)["ti"]

    async def events() -> list[object]:
        return [event async for event in trigger.run()]

    return asyncio.run(events())


@pytest.mark.usefixtures("dbt_manifest")
@pytest.mark.parametrize("tests", ["build", "after_all"])
def test_the_end_is_good_only_if_every_model_is_built(tests, states):
    """Airflow's "clear only failed" leaves the models below a failed one skipped: the run must not end as if built."""
    from airflow.sdk.exceptions import AirflowSkipException

    dag = drawn(tests=tests)
    done = dag.get_task("transform.done")
    assert done.trigger_rule == "none_failed"
    states |= {task.task_id: None for task in dag.tasks}  # with `after_all` the tests of all are still to come
    states |= dict.fromkeys(done.upstream_task_ids | {"transform.start"}, "success") | {done.task_id: "running"}
    assert ("transform.test" in states) == (tests == "after_all")
    done.execute(context_of(done.task_id))
    assert [*of_done(done)] == [TaskSuccessEvent()]
    states["transform.stg_airports"] = "skipped"
    with pytest.raises(PermanentError, match=r"not built: transform\.stg_airports; hint: clear these tasks as well"):
        done.execute(context_of(done.task_id))
    # a worker says it, with the names, as the triggerer cannot
    [missing] = of_done(done)
    with pytest.raises(PermanentError, match="not built"):
        getattr(done, done.start_trigger_args.next_method)(context_of(done.task_id), missing.payload)
    states |= dict.fromkeys(states, "skipped")
    assert [*of_done(done)] == [TaskSkippedEvent()]
    with pytest.raises(AirflowSkipException, match="nothing to transform"):
        done.execute(context_of(done.task_id))


@pytest.mark.parametrize("ends", ["passed", "skip"])
def test_while_dbt_runs_its_words_are_enough_and_states_are_looked_at_before_they_count(ends, states, monkeypatch):
    from airflow.sdk.execution_time.xcom import XCom

    from elt_factory.dag import dbt_trigger

    monkeypatch.setattr(dbt_trigger, "_EVERY", 0.001)
    monkeypatch.setattr(dbt_trigger, "_STATES_EVERY", 3600)
    states |= {"g.build": "running"}
    asked: list[str] = []
    outcome = {"passed": {"state": "passed", "seconds": 2.0}, "skip": {"state": "skipped"}}[ends]

    def said(**_: object) -> dict[str, object]:
        asked.append("words")
        if asked.count("words") < 5:
            return {}
        if ends == "skip":
            states.update({"g.build": "success", "g.parent": "failed"})
        return {"process": "a", "models": {MODEL: outcome}, "over": ends == "skip"}

    monkeypatch.setattr(XCom, "get_one", said)
    trigger = dbt_trigger.ModelTrigger(MODEL, "g.build", ["g.parent"])
    trigger.task_instance = SimpleNamespace(dag_id="d", run_id=f"r{ends}", task_id="g.m", try_number=1)
    monkeypatch.setattr(dbt_trigger, "states_of", lambda *_: asked.append("states") or dict(states))

    async def first() -> object:
        return await anext(aiter(trigger.run()))

    event = asyncio.run(first())
    if ends == "passed":
        assert event == TaskSuccessEvent(xcoms={"return_value": {"process": "a", "seconds": 2.0}})
        assert (asked[:2], asked.count("states")) == (["states", "words"], 1)
    else:
        assert event == TaskSkippedEvent()
        assert (asked[-2:], asked.count("states")) == (["states", "words"], 2)


def test_the_states_of_a_group_are_asked_for_without_the_group_for_which_a_server_reads_the_whole_dag(monkeypatch):
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    def states(**asked: object) -> dict[str, dict[str, str]]:
        assert asked == {"dag_id": "d", "run_ids": ["r"]}
        return {
            "r": {"transform.start": "success", "transform.a": "deferred", "transformed": "failed", "load": "failed"}
        }

    monkeypatch.setattr(RuntimeTaskInstance, "get_task_states", states)
    assert states_of("d", "r", "transform") == {"transform.start": "success", "transform.a": "deferred"}


def test_a_look_asks_for_the_states_before_the_words(states, monkeypatch):
    """A process that ends between the two has then written all that it will; else its model would build itself."""
    from airflow.sdk.execution_time.xcom import XCom

    states |= {"g.build": "running"}

    def ends(**_: object) -> dict[str, object]:
        states["g.build"] = "success"
        return {"process": "a", "models": {}}

    monkeypatch.setattr(XCom, "get_one", ends)
    ti = SimpleNamespace(dag_id="d", run_id="r", task_id="g.m", try_number=1)
    assert look(ti, MODEL, "g.build", []).verdict == "wait"


@pytest.mark.usefixtures("dbt_manifest")
@pytest.mark.parametrize(
    ("exclude", "gone"),
    [
        (None, set()),
        ("not_null_stg_planes_seats", {"not_null_stg_planes_seats"}),
        ("fqn:elt_factory.staging.fleet.unique_stg_planes_tail_number", {"unique_stg_planes_tail_number"}),
        # dbt leaves out a test with any of what it tests
        ("source:fleet.planes", {"stg_flights_tail_number_is_a_known_plane"}),
    ],
)
def test_a_model_waits_for_no_test_that_is_excluded(exclude, gone):
    def tests_of(given: str | None) -> set[str]:
        graph = drawn(select="stg_planes stg_flights", exclude=given).get_task("transform.build").graph
        return {name.split(".")[2] for tests in graph.tests.values() for name in tests}

    assert tests_of(None) - tests_of(exclude) == gone


@pytest.mark.usefixtures("dbt_manifest")
@pytest.mark.parametrize(("tests", "without"), [("build", ""), ("none", " resource_type:test resource_type:unit_test")])
def test_a_retry_leaves_out_what_the_config_does(tests, without, states, monkeypatch):
    from cosmos.operators.local import DbtBuildLocalOperator

    asked = []
    monkeypatch.setattr(DbtBuildLocalOperator, "build_and_run_cmd", lambda dbt, **_: asked.append(dbt))
    dag = drawn(exclude="not_null_stg_planes_seats", tests=tests)
    states |= {"transform.stg_airports": "success"}
    context = context_of("transform.build")
    context["ti"].id, context["ti"].xcom_push = "a", lambda **_: None
    dag.get_task("transform.build").execute(context)
    dag.get_task("transform.stg_planes").act(context, {"verdict": "build", "process": "a"})
    assert "stg_airports" not in asked[0].select
    assert {dbt.exclude for dbt in asked} == {f"not_null_stg_planes_seats{without}"}


@pytest.mark.usefixtures("dbt_manifest")
def test_the_process_puts_itself_off_until_the_next_try_of_what_others_read(states, monkeypatch):
    from airflow.sdk.exceptions import AirflowRescheduleException
    from cosmos.operators.local import DbtBuildLocalOperator

    written, asked = [], []
    build = drawn(select="path:models", tests="none").get_task("transform.build")
    child = next(name for name, parents in build.graph.parents.items() if parents)
    parent = build.graph.parents[child][0]

    def dbt(operator: object, **_: object) -> None:
        asked.append(operator.select)
        failed = parent if len(asked) == 1 else None
        for name in operator._outcomes.tests_of:
            status = "error" if name == failed else "skipped" if failed and name == child else "success"
            operator._outcomes.hear(finished(name, status))

    monkeypatch.setattr(DbtBuildLocalOperator, "build_and_run_cmd", dbt)
    context = context_of("transform.build")
    context["ti"].id, context["ti"].xcom_push = "a", lambda value, **_: written.append(value["process"])
    assert build.retries == 0
    build.execute(context)
    assert len(asked) == 1, "without retries there is no next try to wait for"
    asked.clear()
    written.clear()
    build.retries = 2
    with pytest.raises(AirflowRescheduleException):
        build.execute(context)
    tasks = {name: f"transform.{task}" for name, task in build.graph.names.items()}
    states |= dict.fromkeys(tasks.values(), "success") | {tasks[parent]: "up_for_retry", tasks[child]: "deferred"}
    context["task_reschedule_count"] = 1
    with pytest.raises(AirflowRescheduleException):
        build.execute(context)
    assert len(asked) == 1, "the delay before the next try is kept"
    states[tasks[parent]] = "deferred"
    context["task_reschedule_count"] = 2
    build.execute(context)
    assert asked[1:] == [" ".join(build.graph.selectors[name] for name in (parent, child))]
    assert len({*written}) == 2, "each turn has a word of its own"


@pytest.mark.usefixtures("dbt_manifest")
@pytest.mark.parametrize("asked", [True, False])
def test_dbts_artifacts_are_read_for_openlineage_only_where_a_provider_asks(asked, monkeypatch):
    from cosmos.operators.local import DbtBuildLocalOperator

    read = []
    cosmos = "calculate_openlineage_events_completes"
    monkeypatch.setattr(DbtBuildLocalOperator, cosmos, lambda *given: bool(read.append(given[1:])) or True)
    monkeypatch.setattr("elt_factory.dag.lineage.is_asked", lambda: asked)
    build = drawn().get_task("transform.build")
    assert build.calculate_openlineage_events_completes({}, Path("project"), ["build"]) is asked
    assert read == ([({}, Path("project"), ["build"])] if asked else [])


@contextmanager
def heeding(number: int) -> Iterator[None]:
    before = signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(number, before)


@pytest.mark.services
@pytest.mark.usefixtures("dbt_manifest")
def test_a_model_that_is_killed_ends_its_dbt(tmp_path, monkeypatch):
    from airflow.sdk.exceptions import AirflowException

    from elt_factory.dag import runtime

    dbt, began = tmp_path / "dbt", tmp_path / "began"
    # no child of the shell's own: with one it would pass over a signal that comes while that ends
    dbt.write_text(f"#!/bin/sh\n: > {began}\nexec sleep 30\n")
    dbt.chmod(0o755)
    warehouse = Connection("warehouse", conn_type="duckdb", host=f"{tmp_path}/w.duckdb")
    monkeypatch.setattr(runtime, "get_connection", lambda _: warehouse)
    monkeypatch.setenv("ELT_DBT_EXECUTABLES", str(dbt))
    task = drawn(executable=str(dbt)).get_task("transform.stg_planes")
    context = context_of(task.task_id)
    context["ti"].xcom_push = lambda **_: None
    # as Airflow does for its tasks: what runs tests in the background may ignore this signal, and so would its children
    with heeding(signal.SIGINT), ThreadPoolExecutor(1) as pool:
        running = pool.submit(task.act, context, {"verdict": "build", "process": "a"})
        # a busy machine runs what was started before Cosmos, which signals it, has noted that it was
        while not (began.exists() and task._building.subprocess_hook.sub_process) and not running.done():
            time.sleep(0.02)
        task.on_kill()
        with pytest.raises(AirflowException, match="exit code 130"):
            running.result(timeout=20)


@pytest.mark.usefixtures("dbt_manifest")
@pytest.mark.parametrize("tasks", ["per_model", "watched", "one"])
def test_every_dbt_process_is_supervised(tasks, monkeypatch):
    monkeypatch.setenv("ELT_DBT_EXECUTABLES", "/opt/a/dbt")
    drawn_tasks = drawn(executable="/opt/a/dbt", tasks=tasks, tests="after_all").tasks
    hooks = {type(task.subprocess_hook) for task in drawn_tasks if hasattr(task, "subprocess_hook")}
    assert hooks == {SupervisedHook}


def _killed_as_it_starts(dbt: str) -> None:
    """A task that is killed when dbt runs and before Cosmos has noted that it does."""
    from cosmos.hooks import subprocess

    real = subprocess.Popen

    def start(*given, **named):
        real(*given, **named)
        while not Path(f"{dbt}.pid").exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGKILL)

    subprocess.Popen = start
    SupervisedHook().run_command([dbt])


def test_a_task_that_is_killed_as_its_dbt_starts_ends_it(tmp_path):
    dbt = tmp_path / "dbt"
    dbt.write_text('#!/bin/sh\necho $$ > "$0.new"\nmv "$0.new" "$0.pid"\nexec sleep 100\n')
    dbt.chmod(0o755)
    process = Forked().Process(target=_killed_as_it_starts, args=(str(dbt),))
    process.start()
    process.join(100)
    assert process.exitcode == -signal.SIGKILL
    until = time.monotonic() + 30
    while Path("/proc", Path(f"{dbt}.pid").read_text().strip()).exists():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_model_named_as_a_task_of_the_group_has_its_package_in_the_name():
    models = [f"model.p.{name}" for name in ("start", "build", "done", "test", "orders")]
    assert set(graph_of(*models).names.values()) == {"p.start", "p.build", "p.done", "p.test", "orders"}


@pytest.mark.usefixtures("dbt_manifest")
@pytest.mark.parametrize("tasks", ["per_model", "watched", "one"])
def test_a_config_starts_no_program_that_the_deployment_does_not_list(tasks, monkeypatch):
    monkeypatch.delenv("ELT_DBT_EXECUTABLES", raising=False)
    with pytest.raises(ExecutableError, match=r'does not list "/bin/sh" as a dbt; add it to ELT_DBT_EXECUTABLES'):
        drawn(executable="/bin/sh", tasks=tasks)
    monkeypatch.setenv("ELT_DBT_EXECUTABLES", "/opt/a/dbt:/opt/b/dbt")
    with pytest.raises(ExecutableError, match="/bin/sh"):
        drawn(executable="/bin/sh", tasks=tasks)
    found = {getattr(task, "dbt_executable_path", "") for task in drawn(executable="/opt/b/dbt", tasks=tasks).tasks}
    assert found - {""} == {"/opt/b/dbt"}
