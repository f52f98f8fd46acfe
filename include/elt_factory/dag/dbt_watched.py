"""One dbt process builds all models of a config while the task of each model watches how its own one fares.

The watching is done in the triggerer, where a task needs no process. A model whose outcome is good ends there; one that
failed wakes a worker up, which says why. A try after that, and a model that dbt did not come to, builds itself.
"""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, BaseOperator, TaskGroup, TriggerRule
from airflow.sdk.exceptions import AirflowRescheduleException, AirflowSkipException
from airflow.triggers.base import StartTriggerArgs

from elt_factory.config.models.source import Dbt
from elt_factory.core.extras import needs
from elt_factory.core.failures import ModelTestError, PermanentError, TransientError
from elt_factory.core.project import dbt_folder
from elt_factory.dag.dbt_graph import DONE, START, ModelGraph
from elt_factory.dag.dbt_manifest import load_manifest
from elt_factory.dag.dbt_outcomes import Outcome, Outcomes, says_anything
from elt_factory.dag.dbt_running import dbt_arguments, excluded, keep_every_result, supervise, tell_columns, turn_of
from elt_factory.dag.dbt_trigger import BUILD, MODELS, USED, DoneTrigger, ModelTrigger, look, not_built, states_of
from elt_factory.dag.dbt_verdicts import left_to_build, waiting

with needs("dbt", "transform.dbt"):
    from cosmos.constants import InvocationMode
    from cosmos.dbt.runner import handle_exception_if_needed
    from cosmos.operators.local import DbtBuildLocalOperator

_EVERY = 1.0  # seconds between two writings of what is known
# Between two turns of the dbt process: where a scheduler hears of the end of one after it has queued the next, it
# takes that for a failure
_PAUSE = timedelta(seconds=30)
_FAILED_NODES = 1  # dbt's exit code where nodes failed; any other is of dbt itself


def watched(dag: DAG, group: TaskGroup, dbt: Dbt, graph: ModelGraph, arguments: Mapping[str, Any]) -> BaseOperator:
    """Draw the tasks: one starts, one is the dbt process, one for each model; return the one after all of them."""
    of_group: dict[str, Any] = {"dag": dag, "task_group": group}
    start = EmptyOperator(task_id=START, **of_group)
    build = DbtProcessOperator(graph=graph, dbt=dbt, task_id=BUILD, extra_context={}, **arguments, **of_group)
    names = [start.task_id.removesuffix(START) + name for name in graph.names.values()]
    done = DoneOperator(task_id=DONE, start=start.task_id, models=names, **of_group)
    start >> build >> done
    tasks: dict[str, ModelOperator] = {}
    for model, parents in graph.parents.items():
        tasks[model] = ModelOperator(
            task_id=graph.names[model],
            model=model,
            build=build.task_id,
            parents=[tasks[parent].task_id for parent in parents],
            selector=graph.selectors[model],
            dbt=dbt,
            source=arguments["callback_args"]["source"],
            compute=arguments["profile_config"].profile_mapping.compute,
            pool=arguments["pool"],
            # not after its parents but with them: its trigger knows what it waits for
            trigger_rule=TriggerRule.ONE_SUCCESS,
            **of_group,
        )
        start >> tasks[model] >> done
        for parent in parents:
            tasks[parent] >> tasks[model]
    return done


def with_tests(dbt: Dbt) -> bool:
    """Return whether models are built with their tests."""
    return dbt.tests not in ("none", "after_all")


class DoneOperator(BaseOperator):
    """The end of all models: it looks whether each is built, since Airflow clears no task that was only skipped.

    It looks in the triggerer, and takes a worker only where one is not.
    """

    start_from_trigger = True

    def __init__(self, *, start: str, models: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "trigger_rule": TriggerRule.NONE_FAILED})
        self.start, self.models = start, list(models)
        self.start_trigger_args = StartTriggerArgs(
            trigger_cls=f"{DoneTrigger.__module__}.{DoneTrigger.__qualname__}",
            trigger_kwargs={"start": self.start, "models": self.models},
            next_method="look",
            next_kwargs={},
            timeout=None,
        )

    def execute(self, context: Mapping[str, Any]) -> None:
        """Look at the states of the models' tasks."""
        self.look(context)

    def look(self, context: Mapping[str, Any], event: Any = None) -> None:  # noqa: ARG002 - Airflow hands it over
        """Look at the states of the models' tasks.

        Raises:
            AirflowSkipException: the run has nothing to transform.
            PermanentError: a model is not built.
        """
        ti = context["ti"]
        states = states_of(ti.dag_id, ti.run_id, self.start.rpartition(".")[0])
        if states.get(self.start) == "skipped":
            raise AirflowSkipException("nothing to transform")
        if missing := not_built(states, self.models):
            raise PermanentError(f"not built: {', '.join(missing)}; hint: clear these tasks as well")


class DbtProcessOperator(DbtBuildLocalOperator):  # type: ignore[misc]  # Cosmos has no types
    """One `dbt build` of all models, that says of each how it ended as soon as it has.

    It fails only if dbt itself does, or what belongs to no model: a model that fails is the matter of its own task. A
    retry leaves out what is done.
    """

    def __init__(self, *, graph: ModelGraph, dbt: Dbt, **kwargs: Any) -> None:
        self.graph, self.with_tests = graph, with_tests(dbt)
        exclude = excluded(dbt, tests=self.with_tests)
        callback = f"{keep_every_result.__module__}.{keep_every_result.__name__}"
        super().__init__(**{**kwargs, "select": dbt.select, "exclude": exclude, "callback": callback})
        self.should_store_compiled_sql = False
        self._outcomes, self._of_others = Outcomes({}), frozenset[str]()
        self._without_a_task: Mapping[str, Mapping[str, Any]] = {}
        if self.invocation_mode == InvocationMode.SUBPROCESS:
            self.log_format = "json"

    def execute(self, context: Mapping[str, Any], **kwargs: Any) -> None:
        """Build what is left to build, and tell of it on the way.

        Raises:
            AirflowRescheduleException: models wait for another try of one that they read; the next turn builds all that
                can be built then.
        """
        graph, ti, turn = self.graph, context["ti"], turn_of(context)
        states = self._states(ti)
        left = left_to_build(graph.parents, states, turn)
        loose = graph.loose if self.with_tests and not turn else ()
        if left or loose:
            if len(left) < len(graph.parents):
                self.log.info("%s of %s models are left to build", len(left), len(graph.parents))
                self.select = " ".join([*(graph.selectors[name] for name in left), *loose])
            self._outcomes = Outcomes({name: graph.tests[name] if self.with_tests else () for name in left})
            done = {name for name, state in states.items() if state == "success"}
            others = {*graph.parents} - {*left} - done
            self._of_others = frozenset(test for name in others for test in graph.tests[name])
            with published(ti, self._outcomes, turn):
                super().execute(context, **kwargs)
        # without retries a model that failed has no next try
        if self.retries and (later := waiting(graph.parents, states, self._outcomes.known())):
            self.log.info("%s models wait for another try of what they read", len(later))
            raise AirflowRescheduleException(datetime.now(UTC) + _PAUSE)  # type: ignore[no-untyped-call]
        if not left and not loose:
            self.log.info("every model is done, or has a task of its own that builds it")

    def _states(self, ti: Any) -> dict[str, str | None]:
        """Return the state of each model's task."""
        prefix = ti.task_id.removesuffix(BUILD)
        states = states_of(ti.dag_id, ti.run_id, prefix.removesuffix("."))
        return {name: states.get(prefix + task) for name, task in self.graph.names.items()}

    def run_dbt_runner(self, command: list[str], env: dict[str, str], cwd: str, **kwargs: Any) -> Any:
        """Listen to dbt in this process."""
        from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]

        def hear(event: Any) -> None:
            if hasattr(event.data, "node_info") and says_anything(event.info.level, event.info.name):
                self._outcomes.hear(MessageToDict(event, preserving_proto_field_name=True))

        self._dbt_runner_callbacks = [hear]
        return super().run_dbt_runner(command, env, cwd, **kwargs)

    def run_subprocess(self, command: list[str], env: dict[str, str], cwd: str, **kwargs: Any) -> Any:
        """Listen to the log of a dbt process."""
        self._process_log_line_callable = lambda line, _: self._outcomes.hear_line(line)
        return super().run_subprocess(command, env, cwd, **kwargs)

    def calculate_openlineage_events_completes(self, *args: Any, **kwargs: Any) -> bool:
        """Have Cosmos read dbt's artifacts for OpenLineage, only where a provider asks for it: it takes a second."""
        from elt_factory.dag.lineage import is_asked

        return is_asked() and bool(super().calculate_openlineage_events_completes(*args, **kwargs))

    def _handle_post_execution(self, tmp_project_dir: str, context: Mapping[str, Any], *rest: Any) -> None:
        report = Path(tmp_project_dir) / "target" / "run_results.json"
        if report.is_file():
            said = json.loads(report.read_text(encoding="utf-8"))
            self._outcomes.settle(said)
            self._without_a_task = self._outcomes.without_a_task(said, self._of_others)
        super()._handle_post_execution(tmp_project_dir, context, *rest)

    def handle_exception_dbt_runner(self, result: Any) -> None:
        """Raise where dbt itself failed, or what has no task of its own, and not where models did."""
        if result.exception is not None:
            handle_exception_if_needed(result)
        raise_failures(self.callback_args["source"], self._without_a_task)

    def handle_exception_subprocess(self, result: Any) -> None:
        """Raise where dbt itself failed, or what has no task of its own, and not where models did."""
        if result.exit_code != _FAILED_NODES:
            super().handle_exception_subprocess(result)
        raise_failures(self.callback_args["source"], self._without_a_task)


def raise_failures(source: str, failed: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise for what failed and belongs to no model.

    Raises:
        ModelTestError: tests failed, which no retry changes.
        PermanentError: a hook at the end failed, and a retry, which leaves out what is built, would not run it again.
        TransientError: what a retry runs again has failed.
    """
    if not failed:
        return
    said = {name.split(".")[2]: result.get("message") or result["status"] for name, result in failed.items()}
    causes = "; ".join(f"{name}: {message}" for name, message in said.items())
    if all(name.startswith("test.") and result["status"] == "fail" for name, result in failed.items()):
        raise ModelTestError(f"{source}: dbt tests failed: {causes}")
    if any("on-run-end" in name for name in failed):
        raise PermanentError(f"{source}: dbt failed: {causes}; hint: clear this task together with those of the models")
    raise TransientError(f"{source}: dbt failed: {causes}")


@contextmanager
def published(ti: Any, outcomes: Outcomes, turn: int = 0) -> Iterator[None]:
    """Write what is known to the task's XCom while a block runs, and all of it at its end."""
    process, over = f"{ti.id}/{turn}", threading.Event()

    def write(**last: bool) -> None:
        models = {name: dataclasses.asdict(outcome) for name, outcome in outcomes.known().items()}
        ti.xcom_push(key=MODELS, value={"process": process, "models": models, **last})

    def follow() -> None:
        told = -1
        while not over.wait(_EVERY):
            if (known := len(outcomes.known())) != told:
                told = known
                write()

    follower = threading.Thread(target=follow, name="elt-dbt-outcomes", daemon=True)
    follower.start()
    try:
        yield
    finally:
        over.set()
        follower.join()
        write(over=True)


class ModelOperator(BaseOperator):
    """The task of one model: it watches in the triggerer, and builds the model itself where the dbt process did not."""

    ui_color = "#fdf3e1"
    start_from_trigger = True

    def __init__(
        self,
        *,
        model: str,
        build: str,
        parents: Sequence[str],
        selector: str,
        dbt: Dbt,
        source: str,
        compute: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.model, self.build, self.parents, self.selector = model, build, list(parents), selector
        self.dbt, self.source, self.compute = dbt, source, compute
        self._building: DbtBuildLocalOperator | None = None
        watching = {"model": model, "build": build, "parents": self.parents}
        self.start_trigger_args = StartTriggerArgs(
            trigger_cls=f"{ModelTrigger.__module__}.{ModelTrigger.__qualname__}",
            trigger_kwargs=watching,
            next_method="act",
            next_kwargs={},
            timeout=None,
        )

    def execute(self, context: Mapping[str, Any]) -> None:
        """Do in this process what the triggerer does elsewhere: in a run without one, such as `elt run`.

        Raises:
            AirflowRescheduleException: there is nothing to do yet.
        """
        ti = context["ti"]
        seen = look(ti, self.model, self.build, self.parents)
        if seen.verdict == "wait":
            raise AirflowRescheduleException(datetime.now(UTC) + timedelta(seconds=1))  # type: ignore[no-untyped-call]
        outcome = dataclasses.asdict(seen.outcome) if seen.outcome else None
        self.act(context, {"verdict": seen.verdict, "process": seen.process, "outcome": outcome})

    def act(self, context: Mapping[str, Any], event: Mapping[str, Any]) -> None:
        """Say what failed, or build the model.

        Raises:
            ModelTestError: tests failed, which no retry changes.
            TransientError: the model failed.
        """
        context["ti"].xcom_push(key=USED, value={"process": event["process"]})
        if event["verdict"] == "skip":
            raise AirflowSkipException("not built: a model that it reads has failed")
        if event["verdict"] == "build":
            self._build(context)
            return
        outcome = Outcome.of_stored(event["outcome"])
        for line in outcome.lines:
            self.log.info(line)
        if outcome.state == "failed":
            raise (ModelTestError if outcome.tests else TransientError)(
                f"{self.model.split('.')[2]}: {outcome.message}"
            )

    def on_kill(self) -> None:
        """End the dbt that builds the model, where it is a process of its own."""
        if self._building is not None:
            self._building.on_kill()

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Return what the model read and wrote, where it was built here: of the others the dbt process tells."""
        from elt_factory.dag.lineage import Lineage

        return self._building.get_openlineage_facets_on_complete(task_instance) if self._building else Lineage()

    def _build(self, context: Mapping[str, Any]) -> None:
        arguments = dbt_arguments(load_manifest(dbt_folder()), self.source, self.pool, self.dbt, self.compute)
        dbt = self._building = DbtBuildLocalOperator(
            task_id=self.task_id,
            select=self.selector,
            exclude=excluded(self.dbt, tests=with_tests(self.dbt)),
            # a test of several models runs where the others are there
            indirect_selection="buildable",
            extra_context={},
            **arguments,
        )
        supervise(dbt)
        dbt.build_and_run_cmd(context=context, cmd_flags=dbt.add_cmd_flags())
        tell_columns(dbt)
