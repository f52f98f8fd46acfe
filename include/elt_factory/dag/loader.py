"""Every config a DAG, every broken config a DAG that says what is wrong with it.

Two ways lead here: `dags/sources.py` asks for all of a folder at the same time, the bundle's stubs for one file each.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airflow.sdk import get_parsing_context

from elt_factory.config.errors import ConfigError
from elt_factory.config.loading import config_files
from elt_factory.config.maintenance import maintenance_files
from elt_factory.config.models.maintenance import MAINTENANCE_FILE
from elt_factory.core.content import is_ordinary
from elt_factory.dag.config_dag import BuildError, dag_of, error_dag
from elt_factory.dag.environment import EnvironmentFailedError, is_of_machine
from elt_factory.dag.neighbours import Neighbours
from elt_factory.dag.source_dag import SourceDag

log = logging.getLogger(__name__)

_BUNDLES = "elt_factory.dag.bundle"


def discover(folder: Path) -> dict[str, SourceDag]:
    """Return the DAGs of a folder for Airflow; none where a bundle of ELT Factory gives it the same ones."""
    return {} if bundle_is_active() else load_dags(folder)


def load_dags(folder: Path) -> dict[str, SourceDag]:
    """Return the DAGs of a folder by id. A worker that runs one task reads and builds only the DAG of that task."""
    wanted = get_parsing_context().dag_id
    neighbours = Neighbours(folder)
    own = neighbours.file_of(wanted) if wanted else None
    files = [own] if own else [*config_files(folder), *maintenance_files(folder)]
    dags = (_dag_or_error(file, neighbours) for file in files)
    return {dag.dag_id: dag for dag in dags if wanted in (None, dag.dag_id)}


def load_dag(folder: Path, name: str) -> SourceDag:
    """Return the DAG of a config, by its name.

    Raises:
        KeyError: there is none.
        ConfigError: see `load_file`.
    """
    file = Neighbours(folder).file_of(name)
    if file is None:
        raise KeyError(name)
    return load_file(folder, file)


def load_file(folder: Path, file: Path) -> SourceDag:
    """Return the DAG of one file.

    Raises:
        ConfigError: everything that is wrong in the file, each with its line and a hint.
        EnvironmentFailedError: this machine cannot read it now.
    """
    try:
        return _build(file, Neighbours(folder))
    except BuildError:
        raise
    except ConfigError as error:
        # shown to the author of the file, whom a traceback through ELT Factory does not help
        raise ConfigError(error.problems) from None


def load_files(folder: Path, files: Mapping[str, Path]) -> dict[str, SourceDag]:
    """Return the DAGs of several files, each by the place of its DAG file; a file that is not right is left out.

    Its own process says what is wrong with it.
    """
    neighbours = Neighbours(folder)
    found: dict[str, SourceDag] = {}
    for place, file in files.items():
        try:
            found[place] = _build(file, neighbours).placed_at(place)
        except Exception:  # noqa: BLE001 - whatever it is, the process of its own has it too, and shows it
            log.info("%s is not right, and is read once more by itself", file)
    return found


def bundle_is_active() -> bool:
    """Whether Airflow is configured to take DAGs from a bundle of ELT Factory."""
    from airflow.configuration import conf

    bundles: Any = conf.getjson("dag_processor", "dag_bundle_config_list", fallback=None) or []
    return any(str(bundle.get("classpath", "")).startswith(_BUNDLES) for bundle in bundles)


def _build(file: Path, neighbours: Neighbours) -> SourceDag:
    try:
        return _checked(file, neighbours)
    except Exception as error:
        cause = error.__cause__ if isinstance(error, BuildError) else error
        if cause is not None and is_of_machine(cause):
            raise EnvironmentFailedError(file, cause) from cause
        raise


def _checked(file: Path, neighbours: Neighbours) -> SourceDag:
    if file.name == MAINTENANCE_FILE:
        from elt_factory.dag.maintenance import maintenance_dag

        return maintenance_dag(file)
    item = neighbours.load(file)
    # a worker has a task to run: what is wrong between files was reported when the DAG was read for all to see
    if get_parsing_context().dag_id is None:
        neighbours.check(item)
    return dag_of(item, neighbours, neighbours.clock_of)


def _dag_or_error(file: Path, neighbours: Neighbours) -> SourceDag:
    try:
        return _build(file, neighbours)
    except (ConfigError, EnvironmentFailedError) as error:
        dag = error_dag(_error_name(file, neighbours), str(error))
        # Airflow reads what it shows as the code
        return dag.shown_as(file) if is_ordinary(file) else dag


def _error_name(file: Path, neighbours: Neighbours) -> str:
    """Return the name in a broken config, so that its history continues; its path where another file has that name."""
    for name, files in neighbours.files_by_name.items():
        if file == files[0]:
            return name
    return "_".join(file.relative_to(neighbours.folder).parts)
