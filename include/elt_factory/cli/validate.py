"""`elt validate`: every mistake of every config, with its place and its hint, before Airflow sees it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated

import typer

from elt_factory.cli.output import AsJson, errors, fail, print_json, say
from elt_factory.cli.tables import screen
from elt_factory.config.mistakes.across import LoadedConfig
from elt_factory.core.project import config_folder, dbt_folder
from elt_factory.describe.findings import Finding, Verdict
from elt_factory.describe.findings import validate as find
from elt_factory.describe.selections import (
    doubtful_selections,
    empty_selections,
    selections_without_dbt,
    unlisted_executables,
)

Look = Callable[[Sequence[LoadedConfig]], Iterable[Finding]]

_STYLES = {"error": "bold red", "warning": "bold yellow"}


def validate(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Configs or folders of configs. Default: all of dag_configs.")
    ] = None,
    as_json: AsJson = False,
    github: Annotated[bool, typer.Option("--github", help="Print annotations for GitHub Actions.")] = False,
    connections: Annotated[
        bool, typer.Option("--connections", help="Check that the Airflow connections exist, with types that fit.")
    ] = False,
    live: Annotated[
        bool,
        typer.Option(
            "--live",
            help="Read a sample of every table and check it against its columns: the first page of an API, the first "
            "100 rows of a database, the first file whole. Nothing is loaded.",
        ),
    ] = False,
    start: Annotated[str | None, typer.Option(help="With --live: start of the window to read.")] = None,
    end: Annotated[str | None, typer.Option(help="With --live: end of the window. Default: the latest window.")] = None,
) -> None:
    """Validate all configs: errors and warnings. Exits with 1 on errors."""
    chosen = paths or [config_folder()]
    missing = [path for path in chosen if not path.exists()]
    if missing:
        fail(f"no such file or folder: {', '.join(map(str, missing))}")
    verdict = find(chosen, config_folder())
    looks = list(_looks(connections, live, start, end))
    verdict = verdict.with_more([*_selections(verdict), *_closer_look(verdict, looks)])
    (_entries if as_json else _annotations if github else _text)(verdict)
    if verdict.count("error"):
        raise typer.Exit(1)


def _selections(verdict: Verdict) -> Iterator[Finding]:
    """Yield what dbt says of selectors that are not plainly right.

    This takes the seconds that Airflow and Cosmos take.
    """
    without_dbt = list(selections_without_dbt(verdict.configs))
    yield from without_dbt
    yield from unlisted_executables(verdict.configs)
    doubtful = doubtful_selections(verdict.configs, dbt_folder())
    if doubtful and not without_dbt:
        from elt_factory.cli.local import use_local_airflow

        use_local_airflow()
        # what Airflow logs while it is imported is not a finding
        with redirect_stdout(sys.stderr):
            yield from empty_selections(doubtful, dbt_folder())


def _looks(connections: bool, live: bool, start: str | None, end: str | None) -> Iterator[Look]:
    if connections or live:
        from elt_factory.cli.local import ensure_local_airflow

        # before Airflow is imported, which finds its home only then
        ensure_local_airflow()
    if connections:
        from elt_factory.cli.live import connection_problems

        yield connection_problems
    if live:
        from elt_factory.cli.live import Sampler

        # what is read is said as it is read: someone's system is asked
        yield Sampler(start, end, lambda line: errors.print(line, markup=False, highlight=False)).sample_all


def _closer_look(verdict: Verdict, looks: Sequence[Look]) -> list[Finding]:
    return [finding for look in looks for finding in look(verdict.configs)]


def _entries(verdict: Verdict) -> None:
    print_json([finding.entry() for finding in verdict.findings])


def _annotations(verdict: Verdict) -> None:
    for finding in verdict.findings:
        say(finding.annotation())


def _text(verdict: Verdict) -> None:
    console = screen()
    for finding in verdict.findings:
        first, *rest = finding.problem.render().splitlines()
        console.print(f"{finding.severity}: ", style=_STYLES[finding.severity], end="")
        console.print("\n".join([first, *rest]), markup=False, highlight=False, soft_wrap=True)
    counts = ", ".join([_counted(verdict.count("error"), "error"), _counted(verdict.count("warning"), "warning")])
    console.print(f"{_counted(len(verdict.files), 'config')}: {counts}", highlight=False)


def _counted(count: int, what: str) -> str:
    return f"{count or 'no'} {what}{'' if count == 1 else 's'}"
