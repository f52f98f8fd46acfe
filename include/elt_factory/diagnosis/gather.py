"""Gather the facts of all tables: configs, audit tables and Airflow's database, each read once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from elt_factory.config.loading import Folder, load_folder
from elt_factory.config.models.source import Config
from elt_factory.core.failures import EltError
from elt_factory.diagnosis.audit_facts import Audit, Key, ModelRun, business_moment, read_audit
from elt_factory.diagnosis.facts import Airflow, Facts, Reader, WarehouseProblem
from elt_factory.diagnosis.readers import Reads, reads_of, waits_for
from elt_factory.diagnosis.schedule import expected_of

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from elt_factory.warehouse.base import Warehouse

PATIENCE = 5.0  # seconds to wait for a warehouse that another process has
_ANCESTORS = ("EltError", "Exception", "BaseException", "object")


@dataclass(frozen=True)
class Around:
    """Where facts are found.

    Args:
        configs: The folder of the configs.
        dbt: The folder of the dbt project.
        warehouse: Opens the warehouse; what it raises is a fact, too.
        session: Opens Airflow's metadata database; None where there is none to read.
        folder: Gives the configs where they are read already; None where the folder is to be read.
        audit: Gives what the audit tables say where that is kept; None where they are to be read.
    """

    configs: Path
    dbt: Path
    warehouse: Callable[[], AbstractContextManager[Warehouse]]
    session: Callable[[], AbstractContextManager[Session]] | None
    folder: Callable[[], Folder] | None = None
    audit: Callable[[Sequence[Config], datetime], Audit] | None = None


def here() -> Around:
    """Return the project of this process and its Airflow: outside of tasks, which may not read Airflow's database."""
    from airflow.utils.session import create_session

    from elt_factory.core.project import config_folder, dbt_folder

    return Around(config_folder(), dbt_folder(), _warehouse, create_session)


def gather(around: Around, names: Collection[str] = (), now: datetime | None = None) -> list[Facts]:
    """Return the facts of every table, by source and table; of those of some configs where names are given.

    What cannot be read is a fact itself: a broken YAML, a warehouse that is locked, an Airflow without a database.
    """
    moment = now or datetime.now(UTC)
    folder = around.folder() if around.folder else load_folder(around.configs)
    configs = [item.config for item in folder.configs]
    reads = reads_of(configs, _manifest(around.dbt))
    wanted = _wanted(configs, names, reads)
    audit = _audit(around, wanted, moment)
    broken = [entry for entry in _broken(folder, around.configs, moment) if not names or entry.source in names]
    files = {item.config.name: item.file for item in folder.configs}
    stems = {config.name: files[config.name].stem for config in wanted}
    stems |= {entry.source: Path(entry.file).stem for entry in broken}
    airflow = _airflow(around, stems)
    found: dict[Key, Facts] = {}
    for config in wanted:
        for table in config.all_tables or ("",):
            facts = _facts(config, table, audit, airflow[config.name], moment)
            expected, when = expected_of(config, facts.loads, moment)
            readers = tuple(_readers(config, table, configs, reads, audit, airflow))
            file = _shown(files[config.name], around.configs)
            found[config.name, table] = replace(facts, expected=expected, due=when, readers=readers, file=file)
    for (name, table), facts in found.items():
        if not table:
            found[name, table] = replace(facts, inputs=_inputs(name, reads, found))
    chosen = [facts for (name, _), facts in sorted(found.items()) if not names or name in names]
    return chosen + [replace(entry, airflow=airflow[entry.source]) for entry in broken]


def _wanted(configs: Sequence[Config], names: Collection[str], reads: Mapping[str, Reads]) -> list[Config]:
    """Return the configs that are asked for, those that transform their tables, and those whose tables they read."""
    if not names:
        return list(configs)
    near = set(names)
    for name, of in reads.items():
        sources = {table.partition(".")[0] for table in of.of_table}
        if name in names:
            near |= sources
        if sources & set(names):
            near.add(name)
    return [config for config in configs if config.name in near]


def _warehouse() -> AbstractContextManager[Warehouse]:
    from elt_factory.core.project import project_root
    from elt_factory.dag.runtime import get_connection
    from elt_factory.warehouse.opening import CONNECTION_ID, open_warehouse

    return open_warehouse(get_connection(CONNECTION_ID), project_root(), _quietly, PATIENCE)


def _quietly(_: str) -> None:
    """Progress that no one asked for."""


def _manifest(dbt: Path) -> Path:
    from elt_factory.dag.dbt_fresh import manifest_file

    return manifest_file(dbt)


def _audit(around: Around, configs: Sequence[Config], now: datetime) -> Audit:
    try:
        if around.audit is not None:
            return around.audit(configs, now)
        with around.warehouse() as opened:
            return read_audit(opened, configs, now)
    except EltError as error:
        return unread(error)


def unread(error: EltError) -> Audit:
    """Return what is known of a warehouse that could not be read: why."""
    kinds = tuple(kind.__name__ for kind in type(error).__mro__ if kind.__name__ not in _ANCESTORS)
    return Audit(problem=WarehouseProblem(kinds, str(error)))


def _airflow(around: Around, stems: Mapping[str, str]) -> dict[str, Airflow]:
    if around.session is None:
        return dict.fromkeys(stems, Airflow(known=False, why="there is no Airflow to ask"))
    from sqlalchemy.exc import SQLAlchemyError

    from elt_factory.diagnosis.airflow_facts import read_airflow

    try:
        with around.session() as session:
            return read_airflow(session, stems)
    except SQLAlchemyError as error:
        first = str(error).strip().splitlines()[0]
        return dict.fromkeys(stems, Airflow(known=False, why=f"Airflow's database cannot be read: {first}"))


def _broken(folder: Folder, root: Path, now: datetime) -> Iterator[Facts]:
    """Yield what is known of configs that cannot be read."""
    from elt_factory.dag.neighbours import name_in

    for file, error in folder.errors.items():
        yield Facts(now, name_in(file), "", None, Airflow(known=False), error.problems, _shown(file, root))


def _shown(file: Path, root: Path) -> str:
    """Return a file's place from the project's folder."""
    project = root.parent
    return str(file.relative_to(project)) if file.is_relative_to(project) else str(file)


def _facts(config: Config, table: str, audit: Audit, airflow: Airflow, now: datetime) -> Facts:
    key = (config.name, table)
    loads = audit.loads.get(key, ())
    own, dbt = audit.checks.get(key, ()), audit.checks.get((config.name, ""), ())
    return Facts(
        now=now,
        source=config.name,
        table=table,
        config=config,
        airflow=airflow,
        loads=[load for load in loads if not load.failed],
        last=audit.last.get(key),
        business_date=business_moment(audit.dates.get(key), config.timezone),
        rows=audit.rows.get(key),
        rejects=audit.rejects.get(key, ()),
        drift=audit.drift.get(key, ()),
        checks=[*own, *dbt] if table else dbt,
        misses=audit.misses.get(config.name, ()),
        warehouse=audit.problem,
        asked_at=audit.asked_at,
    )


def _readers(
    config: Config,
    table: str,
    configs: Sequence[Config],
    reads: Mapping[str, Reads],
    audit: Audit,
    airflow: Mapping[str, Airflow],
) -> Iterator[Reader]:
    """Yield the configs whose models read a table, with when those models were built last."""
    label = f"{config.name}.{table}".lower()
    for other in configs:
        names = reads[other.name].of_table.get(label) if other.name in reads else None
        if not names:
            continue
        built = [run for run in audit.models if run.config == other.name and run.model in names and run.good]
        newest = _first_of_newest(built)
        dag = airflow[other.name].dag if other.name in airflow else None
        run = next((one for one in dag.runs if newest and one.run_id == newest.run_id), None) if dag else None
        yield Reader(
            config=other.name,
            waits=config.name in waits_for(other) or other.name == config.name,
            paused=bool(dag and dag.paused),
            scheduled=other.schedule is not None,
            started_at=newest.started_at if newest else None,
            ended_at=newest.ended_at if newest else None,
            window=run.window if run else None,
            busy=bool(dag and any(one.state in ("queued", "running") for one in dag.runs)),
        )


def _first_of_newest(built: Sequence[ModelRun]) -> ModelRun | None:
    """Return the model that the newest run built first: what came later in the table, it has not seen."""
    last = max(built, key=lambda run: run.ended_at, default=None)
    same = [run for run in built if last is not None and run.run_id == last.run_id]
    return min(same, key=lambda run: run.started_at, default=None)


def _inputs(name: str, reads: Mapping[str, Reads], found: Mapping[Key, Facts]) -> list[Facts]:
    """Return the facts of the tables that a transform reads."""
    if name not in reads:
        return []
    return [facts for (source, table), facts in found.items() if f"{source}.{table}".lower() in reads[name].of_table]
