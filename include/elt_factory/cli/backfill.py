"""`elt backfill`: the windows of a range, in Airflow where it runs and else here, after a preview."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from elt_factory.cli.airflow_api import AirflowApi, running_airflow
from elt_factory.cli.backfill_journal import Journal
from elt_factory.cli.backfill_loop import Progress, work
from elt_factory.cli.backfill_runs import InAirflow, InProcesses, InThisProcess, Runner, step_name, succeeded
from elt_factory.cli.ending import EndedError
from elt_factory.cli.local import ensure_local_airflow
from elt_factory.cli.local_runs import free_killed
from elt_factory.cli.names import ConfigName
from elt_factory.cli.opening import opened_warehouse
from elt_factory.cli.output import AsJson, fail, named_config, print_json, short, warn
from elt_factory.cli.tables import screen
from elt_factory.config.errors import near_name
from elt_factory.config.models.durations import parse_duration
from elt_factory.config.models.source import Config
from elt_factory.core.amount import amount
from elt_factory.core.project import project_root
from elt_factory.core.window import Window
from elt_factory.describe.backfills import (
    Estimate,
    LoadedWindows,
    Step,
    Tables,
    known_of,
    preview_of,
    steps_of,
    tables_of,
)
from elt_factory.describe.windows import in_zone, moment_text
from elt_factory.diagnosis.words import long

_SHOWN = 40  # windows of a preview; of more the first and the last ones
console = screen()


@dataclass(frozen=True)
class Asked:
    """What the command line says."""

    start: str
    end: str
    chunk: timedelta | None
    tables: tuple[str, ...]
    gaps: bool

    def entry(self) -> dict[str, Any]:
        """Return what makes two backfills the same one."""
        return asdict(self) | {"chunk": str(self.chunk)}


@dataclass(frozen=True)
class Planned:
    """A step with what is known of it: loaded already, done by this backfill before it was ended, its estimate."""

    step: Step
    loaded: bool
    done: bool
    estimate: Estimate

    def cells(self) -> tuple[str, str, str]:
        """Return what people see of it."""
        state = "[green]done[/]" if self.done else "loaded, again" if self.loaded else "to load"
        rows, seconds = self.estimate.rows, self.estimate.seconds
        return (
            state,
            "-" if rows is None or self.done else f"{rows:,}",
            "-" if seconds is None or self.done else long(timedelta(seconds=seconds)),
        )

    def entry(self) -> dict[str, Any]:
        """Return it for machines."""
        return {
            "window_start": self.step.window.start,
            "window_end": self.step.window.end,
            "tables": list(self.step.tables),
            "loaded": self.loaded,
            "done": self.done,
            "rows": self.estimate.rows,
            "seconds": self.estimate.seconds,
        }


def backfill(  # noqa: PLR0913 - an option each
    name: ConfigName,
    start: Annotated[str, typer.Option(help="Start of the range, in the config's time zone, such as 2013-01-01.")],
    end: Annotated[str, typer.Option(help="End of the range, exclusive. A window is loaded if it begins before.")],
    chunk: Annotated[
        str | None, typer.Option(help="Length up to which windows are joined, such as 7d: fewer and longer runs.")
    ] = None,
    parallel: Annotated[int, typer.Option(min=1, help="Maximum number of runs at the same time.")] = 1,
    tables: Annotated[str | None, typer.Option(help="Tables to load, separated by commas. By default, all.")] = None,
    gaps: Annotated[bool, typer.Option("--gaps", help="Load only the windows that are not loaded.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", "--preview", help="Show the windows and load nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Begin from the first window, also if this backfill was interrupted.")
    ] = False,
    local: Annotated[bool, typer.Option("--local", help="Run here, although an Airflow runs.")] = False,
    as_json: AsJson = False,
) -> None:
    """Load the windows of a range: through Airflow where it runs, else here. Repeat the command to resume it."""
    config = named_config(name).config
    asked = Asked(start, end, _chunk(chunk), _chosen(config, tables), gaps)
    found = _tables(config, asked.tables)
    within = _range(config, asked)
    ensure_local_airflow()
    free_killed(warn)
    steps = _steps(config, found, within, asked.chunk)
    with ExitStack() as until_end:
        journal = until_end.enter_context(Journal(project_root() / "logs" / "backfills", name, asked.entry()))
        if again:
            journal.forget()
        api = None if local else _airflow(config, until_end)
        planned, now = _plan(config, steps, journal, api, gaps=gaps)
        left = [one.step for one in planned if not one.done]
        at_once = _at_once(config, parallel, api)
        if as_json:
            print_json([one.entry() for one in planned])
        else:
            _show(config, found, planned, at_once, journal)
        if dry_run or as_json:
            return
        if not left:
            journal.finish()
            return
        if not yes:
            _confirm(len(left), api)
        _work(config, left, journal, _runner(config, journal.began or journal.begin(now), api, at_once), at_once)


def _chunk(text: str | None) -> timedelta | None:
    if text is None:
        return None
    try:
        return parse_duration(text) or fail("--chunk must be longer than nothing")
    except ValueError as error:
        fail(f"--chunk: {error}")


def _chosen(config: Config, text: str | None) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(filter(None, map(str.strip, (text or "").split(",")))))
    for name in names:
        if name not in config.all_tables:
            fail(f'{config.name} has no table "{name}"; {near_name(name, config.all_tables)}')
    return names


def _tables(config: Config, chosen: Sequence[str]) -> Tables:
    found = tables_of(config, chosen)
    for table in chosen:
        if table in found.never:
            fail(f"{config.name}.{table} cannot be backfilled: {found.never[table]}")
    if config.all_tables and not (found.windows or found.once):
        fail("\n".join(f"{config.name}.{table} cannot be backfilled: {why}" for table, why in found.never.items()))
    return found


def _range(config: Config, asked: Asked) -> Window:
    try:
        return Window(in_zone(asked.start, config), in_zone(asked.end, config))
    except ValueError as error:
        fail(f"{config.name}: {error}")


def _steps(config: Config, tables: Tables, within: Window, chunk: timedelta | None) -> list[Step]:
    try:
        return steps_of(config, tables, within, chunk, datetime.now(UTC))
    except ValueError as error:
        fail(f"{config.name}: {error}")


def _airflow(config: Config, until_end: ExitStack) -> AirflowApi | None:
    """Return the Airflow that runs; ends the command where its runs would wait until someone acts."""
    address = running_airflow()
    if address is None:
        return None
    api = until_end.enter_context(AirflowApi(address, config.name))
    dag = api.dag()
    if dag is None:
        fail(f"the Airflow at {api.url} has no DAG {config.name}; look at its import errors, or use --local")
    if dag.paused:
        fail(f"{config.name} is paused in the Airflow at {api.url}: switch the DAG on, or use --local to run it here")
    return api


def _plan(
    config: Config, steps: Sequence[Step], journal: Journal, api: AirflowApi | None, *, gaps: bool
) -> tuple[list[Planned], datetime]:
    """Return the steps with what is known of them, and the moment by the warehouse's clock."""
    known = api.runs(_prefix(journal.began)) if api and journal.began else {}
    with opened_warehouse() as warehouse:
        now = warehouse.now()
        try:
            preview = preview_of(config, steps, *known_of(warehouse, config))
        except ValueError as error:
            fail(f"{config.name}: {error}")
    # the runs in this process write their log
    logging.disable(logging.NOTSET)
    planned = []
    since = LoadedWindows(preview.loads, preview.runs, journal.began)
    for one in preview.steps:
        name = step_name(config, one.step)
        done = journal.began is not None and (name in journal.done or succeeded(known, name) or since.cover(one.step))
        planned.append(Planned(one.step, one.loaded, done or (gaps and one.loaded), one.estimate))
    return planned, now


def _prefix(began: datetime) -> str:
    return f"elt_backfill__{began.astimezone(UTC):%Y%m%dT%H%M%SZ}__"


def _at_once(config: Config, parallel: int, api: AirflowApi | None) -> int:
    """Return how many runs are done at a time: one that the schedule starts meanwhile finds a place, too."""
    if any(table.counts_on for table in config.all_tables.values()):
        return 1
    dag = api.dag() if api else None
    return max(1, min(parallel, dag.max_active_runs - 1)) if dag else parallel


def _runner(config: Config, began: datetime, api: AirflowApi | None, at_once: int) -> Runner:
    if api:
        runner = InAirflow(config, api, _prefix(began), lambda line: console.print(line, style="yellow"))
        runner.look()
        return runner
    log = project_root() / "logs" / f"{config.name}.log"
    console.print(f"Running [bold]{config.name}[/] here; Airflow's log: {short(log)}")
    return InProcesses(config) if at_once > 1 else InThisProcess(config, log)


def _show(config: Config, tables: Tables, planned: Sequence[Planned], at_once: int, journal: Journal) -> None:
    shown = Table(box=SIMPLE_HEAD)
    shown.add_column(f"window, {config.timezone}", no_wrap=True)
    for name in ("tables", "state"):
        shown.add_column(name, no_wrap=name != "tables")
    for name in ("rows", "time"):
        shown.add_column(name, justify="right", no_wrap=True)
    listed = planned if len(planned) <= _SHOWN else [*planned[: _SHOWN // 2], *planned[-_SHOWN // 2 :]]
    for number, one in enumerate(listed):
        if len(listed) < len(planned) and number == _SHOWN // 2:
            shown.add_row(f"... {len(planned) - len(listed):,} more", "", "", "", "")
        shown.add_row(_text(config, one.step), ", ".join(one.step.tables) or "-", *one.cells())
    console.print(shown)
    for table, why in tables.never.items():
        console.print(f"{config.name}.{table} is left out: {why}", style="yellow", markup=False, highlight=False)
    if journal.began:
        console.print(
            f"This backfill was begun at {journal.began:%Y-%m-%d %H:%M} UTC and continues; --again begins with the "
            "first window."
        )
    console.print(_sum(config, [one for one in planned if not one.done], at_once), highlight=False)


def _sum(config: Config, left: Sequence[Planned], at_once: int) -> str:
    """Return what is left to do in a sentence."""
    if not left:
        return f"[bold]{config.name}[/]: nothing is left to load"
    rows = [one.estimate.rows for one in left if one.estimate.rows is not None]
    seconds = [one.estimate.seconds for one in left if one.estimate.seconds is not None]
    told = f"[bold]{config.name}[/]: {_runs(len(left))}, {at_once} at a time"
    if rows:
        told += f", about {amount(sum(rows), 'row')}"
    if seconds:
        told += f", about {long(timedelta(seconds=sum(seconds) / at_once))}, as earlier runs took"
    return told if rows or seconds else f"{told}; no earlier run says how long they take"


def _runs(count: int) -> str:
    return f"{count:,} run{'' if count == 1 else 's'}"


def _text(config: Config, step: Step) -> str:
    start, end = (
        moment_text(moment, config.timezone).rpartition(" ")[0] for moment in (step.window.start, step.window.end)
    )
    return f"{start} - {end}"


def _confirm(count: int, api: AirflowApi | None) -> None:
    where = f"in the Airflow at {api.url}" if api else "here"
    if not sys.stdin.isatty():
        fail("add --yes to start the runs: there is no terminal to ask")
    if not typer.confirm(f"Start {_runs(count)} {where}?"):
        raise typer.Exit(1)


def _work(config: Config, left: Sequence[Step], journal: Journal, runner: Runner, at_once: int) -> None:
    progress = Progress(
        len(left), lambda line: console.print(line, highlight=False, soft_wrap=True), lambda step: _text(config, step)
    )
    try:
        work(left, runner, at_once, progress, lambda step: journal.note(step_name(config, step)))
    except EndedError:
        rest = "; Airflow continues the runs that it has" if isinstance(runner, InAirflow) else ""
        console.print(f"{progress.done:,} of {_runs(len(left))} done{rest}; the same command resumes this backfill")
        raise
    if progress.done == len(left):
        journal.finish()
        console.print(f"[bold]{config.name}[/] is loaded: {_runs(len(left))} in {progress.took}")
        return
    console.print(
        f"[red]{len(progress.failed):,} of {_runs(len(left))} failed[/], {progress.done:,} done; the same command "
        "does the others"
    )
    raise typer.Exit(1)
