"""The rows that a table is asked with: those that another task of the run has landed, or a query of the warehouse."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from elt_factory.config.models.source import Source
from elt_factory.core.amount import amount
from elt_factory.core.failures import LandingError, PermanentError
from elt_factory.dag.runtime import Run, landing_place, project_name, purpose, warehouse
from elt_factory.landing.manifest import Manifest
from elt_factory.landing.parents import Keys, keys_of_landings, queried_keys
from elt_factory.landing.places import Place

ATTEMPT = "attempt"  # in what an extract task returns: the landing that others of the same run read


def landed_attempt(context: Mapping[str, Any], task_id: str, label: str) -> str:
    """Return the attempt that an extract task of this run has landed, and of no other run.

    Raises:
        LandingError: it has landed none.
    """
    told = context["ti"].xcom_pull(task_ids=task_id)
    if not isinstance(told, Mapping) or not told.get(ATTEMPT):
        raise LandingError(
            f"{label}: no landing from the task {task_id} of this run: it did "
            "not run, its XCom was removed, or an earlier version of ELT Factory ran it; clear it together with "
            "this task"
        )
    return str(told[ATTEMPT])


def keys_of(
    config: Source, table: str, run: Run, context: Mapping[str, Any], workdir: Path, log: Callable[[str], None]
) -> Path | None:
    """Return a file with the rows that a table is asked with; None for a table that needs none.

    Raises:
        PermanentError: the run leaves out the table that they come from.
        LandingError: its landing is missing, another's, or damaged.
    """
    spec = config.all_tables[table]
    query, columns = spec.query_of_keys, spec.columns_of_parent
    if not spec.parents and query is None:
        return None
    if not spec.parents:
        with warehouse(purpose(run, "load", table)) as opened:
            found = queried_keys(opened.query(str(query)).dicts(), columns, workdir)
    else:
        landings = {parent: _landing(config, (table, parent), run, context) for parent in spec.parents}
        found = keys_of_landings(landings, query, columns, workdir)
    _tell(found, f"{config.name}.{table}", "the query" if query else spec.parents[0], log)
    return found.file


def _landing(config: Source, names: tuple[str, str], run: Run, context: Mapping[str, Any]) -> tuple[Place, Manifest]:
    from elt_factory.landing.manifest import Owner, read_manifest

    table, parent = names
    if parent not in run.tables:
        raise PermanentError(
            f"{config.name}.{table}: it is read with the rows of {parent}, which this run leaves out; "
            f"hint: choose {parent}, too"
        )
    task = context["ti"].task_id
    attempt = landed_attempt(
        context, f"{task.removesuffix(f'{table}.extract')}{parent}.extract", f"{config.name}.{table}"
    )
    load = run.load_id(parent)
    place = landing_place(config.name, parent).below(load)
    return place, read_manifest(place, Owner(project_name(), config.name, parent, load, attempt))


def _tell(found: Keys, label: str, parent: str, log: Callable[[str], None]) -> None:
    log(f"{label}: asking for {found.count:,} of {parent}")
    if found.left_out:
        log(f"{label}: {amount(found.left_out, 'row')} of {parent} without a value to ask with: left out")
    for column in found.rewritten:
        log(
            f"{label}: {parent}.{column} is sent as its type is written, such as 2013-01-01T05:00:00Z or 1.5; to send "
            f"what the API wrote, declare it in {parent}: columns: {{{column}: {{type: text}}}}"
        )
