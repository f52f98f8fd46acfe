"""`elt doctor`: whether this machine's Airflow has all that the configs need to run."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

import typer

from elt_factory.cli.output import AsJson, print_json, short, silence
from elt_factory.cli.tables import screen
from elt_factory.config.loading import Folder, load_folder
from elt_factory.core.project import config_folder

if TYPE_CHECKING:
    from elt_factory.cli.health.found import Check, Found

_STYLES = {"ok": "green", "warning": "bold yellow", "error": "bold red"}


def doctor(as_json: AsJson = False) -> None:
    """Check packages, Airflow's settings, connections, dbt, folders and clocks. Exits with 1 on errors."""
    with silence():
        found = list(_examined())
    if as_json:
        print_json([asdict(line) for line in found])
    else:
        _show(found)
    if any(line.status == "error" for line in found):
        raise typer.Exit(1)


def _examined() -> Iterator[Found]:
    from elt_factory.cli.local import read_metadata_database, use_local_airflow

    read_metadata_database()
    use_local_airflow()
    # what Airflow logs on the way is found by the checks, too
    logging.disable(logging.CRITICAL)
    from elt_factory.cli.health.found import found_by

    try:
        for name, check in _checks():
            yield from found_by(name, check)
    finally:
        logging.disable(logging.NOTSET)


def _checks() -> Iterator[tuple[str, Check]]:
    from elt_factory.cli.health import clock, components, deployment, installed, storage, transform, workers

    folder = load_folder(config_folder())
    yield "python", installed.python
    yield "packages", installed.packages
    yield "plugin", installed.plugin
    yield "kinds", installed.kinds
    yield "settings", deployment.settings
    yield "airflow", components.airflow
    yield "configs", partial(_configs, folder)
    yield "connections", partial(deployment.connections, folder.configs)
    yield "warehouse", deployment.warehouse
    yield "runs", components.runs
    yield "pool", deployment.pool
    yield "pools of splits", partial(deployment.pools_of_splits, folder.configs)
    yield "dbt", partial(transform.dbt, folder.configs)
    yield "manifest", partial(transform.manifest, folder.configs)
    yield "landing", storage.landing
    yield "workers", workers.workers
    yield "folder", storage.warehouse_folder
    yield "scratch", storage.scratch
    yield "disk", storage.disk
    yield "zones", partial(clock.zones, folder.configs)
    yield "clock", clock.clocks


def _configs(folder: Folder) -> Iterator[Found]:
    from elt_factory.cli.health.found import Found

    place = short(config_folder())
    if folder.errors:
        names = ", ".join(file.name for file in folder.errors)
        yield Found("configs", "error", f"{len(folder.errors)} of {place} are invalid: {names}", "elt validate")
    elif folder.configs:
        yield Found("configs", "ok", f"{len(folder.configs)} in {place}")
    else:
        yield Found("configs", "warning", f"none in {config_folder()}", "elt new NAME, or set ELT_PROJECT")


def _show(found: list[Found]) -> None:
    console = screen()
    for line in found:
        console.print(f"{line.status:8}", style=_STYLES[line.status], end="")
        console.print(f"{line.what:12}{line.found}", markup=False, highlight=False, soft_wrap=True)
        if line.hint:
            console.print(f"{'':20}hint: {line.hint}", markup=False, highlight=False, soft_wrap=True)
