"""The tasks of jobs of other systems: one starts and waits for it, others verify what it has loaded."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from airflow.sdk import BaseOperator

from elt_factory.config.models.remote_jobs import AfterJob, RemoteJob
from elt_factory.config.models.source import Config
from elt_factory.core.failures import EltError, JobRunningError, LandingError
from elt_factory.core.private import private_files
from elt_factory.core.window import load_id
from elt_factory.dag.operators import LoadOperator
from elt_factory.dag.remote_trigger import JobOfRun, RemoteTrigger
from elt_factory.dag.retry import worker_given_back
from elt_factory.dag.runtime import Run, get_connection, purpose, run_of, warehouse
from elt_factory.warehouse.dialect import Relation

JOB = "job"  # the task that starts the job that loads the tables


class RemoteJobOperator(BaseOperator):
    """Start a job of another system, or join the one that an earlier try has started; wait without a worker."""

    ui_color = "#f3ecfa"

    def __init__(self, *, config: Config, job: RemoteJob, **kwargs: Any) -> None:
        super().__init__(**kwargs, on_success_callback=forget)
        self.config = config
        self.job = job
        self.told = ""
        self.asked: JobOfRun | None = None

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """Return the job when it has succeeded, and what the tables had reached before it."""
        from elt_factory.sources.remote_job.remote import RemoteRun

        run = run_of(context, self.config)
        asked = self.asked = self.of_run(run)
        with private_files(), worker_given_back(context, self.log.info):
            request = self._request(asked)
            with RemoteRun.of(request) as remote:
                remote.renew(int(getattr(context["dag_run"], "clear_number", 0) or 0))
                try:
                    state = remote.finish(lambda: self._before(run))
                except JobRunningError as error:
                    self.log.info("%s; the task gives its worker back", error)
                    trigger = RemoteTrigger.of(asked, request.memory.read(), error)
                    self.defer(trigger=trigger, method_name=self.look_again.__name__)
        self.told = f"{self.job.words}: job {state.id}"
        return {"job": state.id, "link": state.link, **(state.extra or {})}

    def look_again(self, context: Mapping[str, Any], event: Any = None) -> Any:  # noqa: ARG002
        """Begin again when the job needs a worker: it is joined."""
        return self.execute(context)

    def on_kill(self) -> None:
        """Cancel the job: a person has ended the task."""
        from elt_factory.sources.remote_job.remote import cancel

        if self.asked is not None:
            try:
                cancel(self._request(self.asked))
            except EltError as error:
                self.log.warning("%s", error)

    def of_run(self, run: Run) -> JobOfRun:
        """Return the job of a run."""
        given = {**self.config.params, **run.params}
        values = {
            "run_id": run.run_id,
            "load_id": load_id(self.config.name, self.task_id, run.window),
            **{f"params.{name}": value for name, value in given.items()},
        }
        zone = self.config.timezone
        return JobOfRun(
            self.config.name, self.task_id, self.job, self._connection, run.window, run.run_id, values, zone
        )

    @property
    def _connection(self) -> str:
        if isinstance(self.job, AfterJob):
            return self.job.connection
        return str(getattr(getattr(self.config, "extract", None), "connection", ""))

    def _request(self, asked: JobOfRun) -> Any:
        from elt_factory.sources.remote_job.asked import JobRequest

        connection, memory = get_connection(asked.connection), asked.memory()
        return JobRequest(
            asked.job, connection, asked.source, asked.step, asked.all_values, asked.zone, memory, self.log.info
        )

    def _before(self, run: Run) -> dict[str, Any]:
        """Return what the tables have reached, and when by the warehouse's clock."""
        if isinstance(self.job, AfterJob):
            return {}
        from elt_factory.warehouse.remote import reached

        with warehouse(purpose(run, "load")) as opened:
            now = opened.now()
            found = {table: reached(opened, watched_of(self.config, table)) for table in self.config.all_tables}
        before = {table: [one.loaded_at, one.business_date] for table, one in found.items()}
        return {"began": now.isoformat(), "before": before}


def forget(context: Mapping[str, Any]) -> None:
    """Forget the job of a task that has succeeded: another run of the task is another job."""
    task = context["task"]
    task.of_run(run_of(context, task.config)).memory().forget()


def watched_of(config: Any, table: str) -> Any:
    """Return a table that another system loads, as the warehouse looks at it."""
    from elt_factory.warehouse.remote import Watched

    spec = config.tables[table]
    return Watched(
        source=config.name,
        table=table,
        relation=Relation.of(config.name, table, spec),
        loaded_at=config.loaded_at_of(table),
        business_date=spec.business_date,
        within=spec.business_date_within,
        may_stay=spec.unchanged == "allow",
        zone=config.timezone,
    )


class VerifyOperator(LoadOperator):
    """Verify in the warehouse what a job of another system has loaded, and record it as a load."""

    def work(self, run: Run, context: Mapping[str, Any]) -> dict[str, Any]:
        """Count the new rows, see that they are as new as they should be, and record them."""
        from elt_factory.dag.metrics import Moved, count_load
        from elt_factory.warehouse.remote import Reached, Verifying, verify

        told = context["ti"].xcom_pull(task_ids=JOB)
        label = f"{self.config.name}.{self.table}"
        if not isinstance(told, Mapping) or self.table not in told.get("before", {}):
            raise LandingError(f"{label}: no job from the task {JOB} of this run; clear it together with this task")
        before, load = Reached(*told["before"][self.table]), run.load_id(self.table)
        began = datetime.fromisoformat(told["began"])
        asked = Verifying(load, run.table_window(self.table), run.run_id, before, began)
        with warehouse(purpose(run, "load", self.table)) as opened:
            report, manifest = verify(opened, watched_of(self.config, self.table), asked)
        where = f", {told['link']}" if told.get("link") else ""
        self.told = f"{report.rows_loaded:,} new rows, {report.total_rows:,} in the table (job {told['job']}{where})"
        self.moved = Moved(manifest, report.rows_loaded)
        count_load(manifest, report)
        self.log.info("%s: %s", label, self.told)
        return self.announce(run, context, manifest, report)
