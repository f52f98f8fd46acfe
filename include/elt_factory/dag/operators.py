"""The tasks of a table: extract, load, quality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from elt_factory.config.models.checks import CheckStage
from elt_factory.config.models.source import SOURCES, Source
from elt_factory.config.models.table import Table
from elt_factory.core.amount import amount
from elt_factory.core.clock import Clock
from elt_factory.core.disk import scratch_folder
from elt_factory.core.failures import EltError, JobRunningError, QualityError
from elt_factory.core.private import private_files
from elt_factory.core.project import project_root
from elt_factory.dag.alerts import checked, loaded, schema_changed
from elt_factory.dag.asset_events import asset_of, key_of_window, mark_loaded, windows_of
from elt_factory.dag.cleanup import Landings, forget_old
from elt_factory.dag.jobs import JobTrigger, PlaceMemory
from elt_factory.dag.lineage import Names, names_of, of_checks, of_extract, of_load
from elt_factory.dag.metrics import Moved, count_checks, count_extract, count_load, followed
from elt_factory.dag.parents import ATTEMPT, keys_of, landed_attempt
from elt_factory.dag.parts import EXTRACT, joined_parts
from elt_factory.dag.replays import dismiss_rejects, replay_rejects
from elt_factory.dag.retry import worker_given_back
from elt_factory.dag.runtime import (
    Run,
    get_connection,
    landing_place,
    project_name,
    purpose,
    run_of,
    shared_place,
    warehouse,
)
from elt_factory.dag.skipping import skip_what_follows
from elt_factory.extract.request import NOTHING_READ, CursorRange, Ledger, ReadRequest, Spool
from elt_factory.warehouse.dialect import Relation

if TYPE_CHECKING:
    from elt_factory.checks.run import Result
    from elt_factory.config.models.values import ColumnType
    from elt_factory.landing.attempt import Attempt
    from elt_factory.landing.manifest import Manifest
    from elt_factory.landing.places import Place
    from elt_factory.landing.request import LandRequest
    from elt_factory.warehouse.base import LoadReport, Warehouse


@dataclass(frozen=True)
class Begun:
    """What an extract task begins with: its attempt, and what the warehouse says; of a load in parts, its part.

    `clock` says what was seen later of a source's files.
    """

    attempt: Attempt
    clock: Clock
    existing: Mapping[str, ColumnType] | None
    cursor: CursorRange
    ledger: Ledger | None = None
    part: Mapping[str, Any] | None = None


class TableOperator(BaseOperator):
    """A task for one table of one source; skipped when the run's form leaves the table out."""

    ui_color = "#eef4fb"

    def __init__(self, *, config: Source, table: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = config
        self.table = table
        self.told = ""  # the figures in a few words, for who watches the run
        self.moved: Moved | None = None  # what lineage tells
        self.names: Names | None = None

    @property
    def spec(self) -> Table:
        """What the YAML says of the table."""
        return self.config.all_tables[self.table]

    def execute(self, context: Mapping[str, Any]) -> Any:
        """Run the task unless the form left the table out; returns the figures that the UI shows as XCom."""
        run = run_of(context, self.config)
        if self.table not in run.tables:
            raise AirflowSkipException(f"the run is limited to other tables: {', '.join(sorted(run.tables))}")
        stage = (
            self.task_id.rpartition(".")[2] if self.task_id.startswith("tables.") else self.task_id.partition(".")[0]
        )
        # the provider asks in a process of its own, which cannot ask Airflow for connections
        self.names = names_of(self.config, self.table)
        with private_files(), followed(stage, self.config.name, self.table, run.load_id(self.table)):
            return self.work(run, context)

    def work(self, run: Run, context: Mapping[str, Any]) -> Any:
        """Do the task's work; subclasses say what it is."""
        raise NotImplementedError


class ExtractOperator(TableOperator):
    """Read the source for the window, hold the records to the contract, leave a landing with its manifest."""

    first_step = EXTRACT
    reading: ReadRequest | None = None

    def work(self, run: Run, context: Mapping[str, Any]) -> dict[str, Any]:  # noqa: D102
        self.dismiss_if_asked(run, context)
        from elt_factory.landing.request import LandRequest
        from elt_factory.landing.schema import KnownTable

        load = run.load_id(self.table)
        window = run.table_window(self.table)
        place = landing_place(self.config.name, self.table).below(load)
        begun = self.begin(run, place)
        attempt, cursor, existing = begun.attempt, begun.cursor, begun.existing
        memory = PlaceMemory.of(place, run.run_id, attempt.started)
        with scratch_folder() as workdir, worker_given_back(context, self.log.info):
            keys = keys_of(self.config, self.table, run, context, workdir, self.log.info)
            self.reading = replace(self.request(run, begun, workdir), keys=keys, memory=memory)
            known = KnownTable.of(self.config, self.table, existing)
            request = LandRequest(
                known,
                window,
                load,
                NOTHING_READ,
                place,
                workdir,
                self.log.info,
                project_name(),
                attempt,
                cursor.after,
                cursor.token,
                self.config.timezone,
            )
            manifest = self._landed(request, self.reading, memory)
        if self.spec.has_job:
            memory.forget()
        self.moved = Moved(manifest, manifest.rows)
        count_extract(manifest)
        self.log.info(
            "%s: read %s rows for %s: %s to load, %s rejected, %s duplicates",
            known.label,
            manifest.rows_read,
            window,
            manifest.rows,
            manifest.rows_rejected,
            manifest.rows_duplicate,
        )
        self.told = f"{amount(manifest.rows_read, 'row')} read, {manifest.rows_rejected:,} rejected"
        if manifest.rows_filtered:
            self.told += f", {manifest.rows_filtered:,} filtered"
        for drift in manifest.drift:
            self.log.warning("%s: %s", known.label, drift)
        if manifest.keys_rejected:
            self.log.warning("%s: %s keys cannot be read: no deletes are followed", known.label, manifest.keys_rejected)
        if manifest.rows_null_cursor:
            self.log.warning("%s: %s", known.label, manifest.null_cursor_words)
            self.told += f", {manifest.rows_null_cursor:,} without {manifest.cursor_column}"
        return {
            "load_id": load,
            ATTEMPT: manifest.attempt,
            "rows_read": manifest.rows_read,
            "rows_rejected": manifest.rows_rejected,
            "rows_null_cursor": manifest.rows_null_cursor,
        }

    def begin(self, run: Run, place: Place) -> Begun:  # noqa: ARG002
        """Return what a try begins with; `place` is that of the load's landings."""
        from elt_factory.landing.attempt import Attempt

        existing, cursor, ledger, clock = self._state(run.load_id(self.table), run)
        # of two attempts the later one counts, and what counts is when it began to read, or started its job
        return Begun(Attempt.begin(clock.showed), clock, existing, cursor, ledger)

    def request(self, run: Run, begun: Begun, workdir: Path) -> ReadRequest:
        """Return what is asked of the source; raw records go to the folder."""
        lag = self.spec.incremental.time_lag if self.spec.incremental else timedelta()
        conn_id = self.config.extract.connection
        return ReadRequest(
            source=self.config,
            table=self.table,
            window=run.table_window(self.table).reach_back(lag),
            load_id=run.load_id(self.table),
            connection=get_connection(conn_id) if conn_id else None,
            workdir=workdir,
            project=project_root(),
            log=self.log.info,
            warn=self.log.warning,
            cursor=begun.cursor,
            ledger=begun.ledger,
            run_id=run.run_id,
            params=run.params,
            shared=shared_place(),
            part=begun.part,
            clock=begun.clock,
        )

    def dismiss_if_asked(self, run: Run, context: Mapping[str, Any]) -> None:
        """Close the open rejects of the table where the form asks for it: nothing is read, loaded or checked then.

        Raises:
            AirflowSkipException: they are closed.
        """
        if not run.dismiss_rejects:
            return
        who = getattr(context["dag_run"], "triggering_user_name", None) or run.run_id
        with warehouse(purpose(run, "load", self.table)) as opened:
            count = dismiss_rejects(opened, run, self.table, who)
        skip_what_follows(self, keep=self.first_step)
        self.told = f"{amount(count, 'reject')} dismissed by {who}: {run.dismiss_rejects}"
        raise AirflowSkipException(self.told)

    def _landed(self, request: LandRequest, asked: ReadRequest, memory: PlaceMemory) -> Manifest:
        """Read and land; what is read already goes through the contract while the rest comes."""
        from elt_factory.landing.land import land, land_while_reading

        if not self.spec.has_job:
            return land_while_reading(request, lambda growing: self._read(replace(asked, growing=growing)))
        spool = self._read(asked)
        # an attempt is as old as its job
        return land(replace(request, spool=spool, attempt=replace(request.attempt, started=memory.began)))

    def _read(self, request: ReadRequest) -> Spool:
        """Read the source. A job that it does for us is waited for in the triggerer."""
        from elt_factory.sources.read import read

        try:
            return read(request)
        except JobRunningError as error:
            self.log.info("%s; the task gives its worker back", error)
            self.defer(trigger=JobTrigger.of(request, error), method_name=self.look_again.__name__)

    def get_openlineage_facets_on_complete(self, _: Any) -> Any:
        """Return what was read and landed, where Airflow's OpenLineage provider asks."""
        return of_extract(self.config.tables[self.table], self.names, self.moved)

    def look_again(self, context: Mapping[str, Any], event: Any = None) -> Any:  # noqa: ARG002
        """Begin again when the job needs a worker; the source is not asked for another one."""
        return self.execute(context)

    def on_kill(self) -> None:
        """Cancel the job that the source does for us: a person has ended the task."""
        kind = SOURCES.get(self.config.extract.type)
        if self.reading is not None and self.spec.has_job and kind.jobs:
            try:
                kind.jobs.cancel(self.reading)
            except EltError as error:
                self.log.warning("%s", error)

    def _state(self, load: str, run: Run) -> tuple[Any, CursorRange, Ledger | None, Clock]:
        """Return the table's columns, its cursor, its files, and the warehouse's clock.

        A moment at the warehouse, which others wait for.
        """
        from elt_factory.landing.schema import as_declared
        from elt_factory.warehouse.ledger import ledger_of
        from elt_factory.warehouse.state import beginning

        with warehouse(purpose(run, "load", self.table)) as opened:
            # what is asked next takes a while
            clock = Clock(opened.moment_begun(self.config.name, self.table))
            existing = opened.columns_as(Relation(self.config.name, self.table), self.spec.types)
            ledger = None if run.full_refresh else ledger_of(opened, Relation(self.config.name, self.table), self.spec)
            if run.full_refresh:
                return as_declared(existing, self.spec), CursorRange(), ledger, clock
            window = run.table_window(self.table)
            cursor = beginning(opened, self.config.name, self.table, self.spec, load, window)
            return existing, cursor, ledger, clock


class LoadOperator(TableOperator):
    """Write the landing to the warehouse, rows and their row in `_elt.loads` in one transaction."""

    def work(self, run: Run, context: Mapping[str, Any]) -> dict[str, Any]:  # noqa: D102
        from elt_factory.warehouse import forgetting
        from elt_factory.warehouse.order import LoadOrder

        load = run.load_id(self.table)
        landings = Landings(landing_place(self.config.name, self.table), project_name())
        place = landings.place.below(load)
        manifest = self.landed(context, place, load)
        order = LoadOrder.of(self.config, self.table, manifest, place, run.run_id, full_refresh=run.full_refresh)
        with warehouse(purpose(run, "load", self.table)) as opened:
            report, landed = forgetting.load(opened, order)
            order = replace(order, manifest=landed)
            replayed = replay_rejects(opened, run, self.table, landings, self.log.info)
            forget_old(opened, self.config, self.table, landings, self.log.info)
        self.told = f"{amount(report.rows_loaded, 'row')} loaded, {report.total_rows:,} in the table"
        if report.rows_deleted:
            self.told += f", {report.rows_deleted:,} deleted in the source"
        if replayed:
            self.told += f", {amount(replayed[0], 'reject')} healed and {replayed[1]:,} left open"
        if report.gave_way:
            self.told = "nothing written: a later run or retry has already loaded this window"
        self.moved = Moved(order.manifest, report.rows_loaded)
        count_load(order.manifest, report)
        self.log.info("%s.%s: %s", self.config.name, self.table, self.told)
        # a retry finds done what the try before it did: the landing knows of that too
        changes = dict.fromkeys(map(str, (*order.manifest.drift, *report.changes)))
        schema_changed(self.config, self.table, list(changes), run.run_id)
        return self.announce(run, context, order.manifest, report, replayed)

    def landed(self, context: Mapping[str, Any], place: Place, load: str) -> Manifest:
        """Return the landing that this run's extract tasks have left, and no other."""
        from elt_factory.landing.manifest import Owner, read_manifest

        owner = Owner(project_name(), self.config.name, self.table, load, "")
        extract = f"{self.task_id.removesuffix('load')}{EXTRACT}"
        if self.spec.in_parts:
            return joined_parts(context, extract, place, owner, self.config)
        attempt = landed_attempt(context, extract, f"{self.config.name}.{self.table}")
        return read_manifest(place, replace(owner, attempt=attempt))

    def announce(
        self,
        run: Run,
        context: Mapping[str, Any],
        manifest: Manifest,
        report: LoadReport,
        replayed: tuple[int, int] | None = None,
    ) -> dict[str, Any]:
        """Tell who waits for the table that it is loaded; the figures."""
        figures = {
            "load_id": manifest.load_id,
            "rows_read": report.rows_read,
            "rows_loaded": report.rows_loaded,
            "rows_rejected": report.rows_rejected,
            "rows_duplicate": report.rows_duplicate,
            "rows_unchanged": report.rows_unchanged,
            "rows_filtered": report.rows_filtered,
            "rows_deleted": report.rows_deleted,
            "total_rows": report.total_rows,
            **({"gave_way": True} if report.gave_way else {}),
            **({"rejects_healed": replayed[0], "rejects_open": replayed[1]} if replayed else {}),
        }
        loaded(self.config, self.table, figures, run.run_id, run.window.end)
        for outlet in self.outlets:
            context["outlet_events"][outlet].extra = {**figures, "window": str(run.table_window(self.table))}
        if self.outlets:
            context["outlet_events"][windows_of(self.config.name, self.table)].add_partitions(key_of_window(run.window))
        mark_loaded(context, [asset_of(self.config.name, self.table)])
        return figures

    def get_openlineage_facets_on_complete(self, _: Any) -> Any:
        """Return what was loaded, where Airflow's OpenLineage provider asks."""
        return of_load(self.names, self.moved)


class QualityOperator(TableOperator):
    """Run a table's checks of some stages; every result is kept, and one of severity error fails the task."""

    def __init__(self, *, stages: Sequence[CheckStage] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stages = tuple(stages)
        self.results: tuple[Result, ...] = ()

    def work(self, run: Run, context: Mapping[str, Any]) -> dict[str, int]:  # noqa: ARG002, D102
        from elt_factory.checks.kind import CheckRequest
        from elt_factory.checks.run import keep, keep_figures, run_checks

        window = run.table_window(self.table)
        with warehouse(purpose(run, "quality", self.table)) as opened:
            count = partial(self._source_count, run, opened)
            request = CheckRequest(self.config, self.table, run.load_id(self.table), window, run.run_id, count)
            # an author of YAML may not see more of a worker than its warehouse
            opened.confine()
            results = run_checks(opened, request, self.stages)
            keep(opened, self.config.name, run.run_id, self.task_id, results)
            keep_figures(opened, request, results)
        for result in results:
            self.log.info("%s: %s.%s %s: %s", result.status, self.config.name, self.table, result.check, result.message)
            if result.failing_keys:
                self.log.info("failing rows, for example: %s", result.failing_keys)
        counts = {status: sum(r.status == status for r in results) for status in ("passed", "warned", "failed")}
        self.told = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
        failed = [result for result in results if result.status == "failed"]
        checked(self.config, self.table, results, run.run_id, run.window.end)
        self.results = tuple(results)
        count_checks(self.config.name, self.table, len(failed))
        if failed:
            causes = "; ".join(f"{result.check}: {result.message}" for result in failed)
            raise QualityError(f"{self.config.name}.{self.table}: {causes}")
        return counts

    def _source_count(self, run: Run, opened: Warehouse) -> int | None:
        """Ask the source how many rows it has of the window that the load read, or in the files that it read."""
        from elt_factory.sources.read import count
        from elt_factory.warehouse.ledger import files_of_load

        conn_id = self.config.extract.connection
        lag = self.spec.incremental.time_lag if self.spec.incremental else timedelta()
        load_id, of_files = run.load_id(self.table), self.spec.of_files
        with scratch_folder() as workdir:
            return count(
                ReadRequest(
                    source=self.config,
                    table=self.table,
                    window=run.table_window(self.table).reach_back(lag),
                    load_id=load_id,
                    connection=get_connection(conn_id) if conn_id else None,
                    workdir=workdir,
                    project=project_root(),
                    log=self.log.info,
                    warn=self.log.warning,
                    run_id=run.run_id,
                    params=run.params,
                    ledger=files_of_load(opened, self.config.name, self.table, load_id) if of_files else None,
                )
            )

    def get_openlineage_facets_on_complete(self, _: Any) -> Any:
        """Return what the checks found, where Airflow's OpenLineage provider asks, also after a failure."""
        return of_checks(self.names, self.results)
