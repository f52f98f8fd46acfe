"""What the DAG processor does once, so that the processes it forks for every file need not do it again."""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path

from elt_factory.core.content import content_of
from elt_factory.core.extras import missing
from elt_factory.core.project import dbt_folder
from elt_factory.dag.dbt_fresh import keep_fresh, manifest_file

log = logging.getLogger(__name__)

_WARM = """
name: warm
extract: {type: files, connection: none}
tables: {table: {path: table.csv, primary_key: [id], columns: {id: {type: integer}}}}
"""


def preload(configs: Path) -> None:
    """Import what DAGs are built with, and read what they share."""
    try:
        _preload(configs)
    except Exception:
        # every DAG that it concerns reports the same as its own import error
        log.exception("cannot preload what the DAGs share")


def _preload(configs: Path) -> None:
    from elt_factory.dag.neighbours import read_ahead

    _warm_up()
    files = [file for found in read_ahead(configs).values() for file in found]
    if any(file_mentions_dbt(file) for file in files) and not missing("dbt"):
        keep_fresh(dbt_folder())
        if manifest_file(dbt_folder()).is_file():
            from elt_factory.dag import transform  # noqa: F401
            from elt_factory.dag.dbt_manifest import load_manifest

            load_manifest(dbt_folder())


@cache
def _warm_up() -> None:
    """Build and serialise a DAG: what this imports and keeps, Airflow's own included, no child needs to do again."""
    from airflow.serialization.serialized_objects import DagSerialization

    from elt_factory.config.loading import load_text
    from elt_factory.dag import loader  # noqa: F401 - every stub's
    from elt_factory.dag.config_dag import dag_of

    # a folder without defaults of anyone's
    home = Path(__file__).parent
    DagSerialization.to_dict(dag_of(load_text(home / "warm.yaml", _WARM, home), {}))


def file_mentions_dbt(file: Path) -> bool:
    """Return whether a config may have a dbt: whether it has the word."""
    try:
        return b"dbt" in content_of(file)
    except OSError:
        return False
