"""What the DAG processor does once, so that the processes it forks for every file need not do it again."""

from __future__ import annotations

import logging
from pathlib import Path

from elt_factory.core.content import content_of
from elt_factory.core.extras import missing
from elt_factory.core.project import dbt_folder
from elt_factory.dag.dbt_fresh import keep_fresh, manifest_file

log = logging.getLogger(__name__)


def preload(configs: Path) -> None:
    """Import what DAGs are built with, and read what they share."""
    try:
        _preload(configs)
    except Exception:
        # every DAG that it concerns reports the same as its own import error
        log.exception("cannot preload what the DAGs share")


def _preload(configs: Path) -> None:
    from elt_factory.dag import factory  # noqa: F401
    from elt_factory.dag.neighbours import read_ahead

    files = [file for found in read_ahead(configs).values() for file in found]
    if any(_mentions_dbt(file) for file in files) and not missing("dbt"):
        keep_fresh(dbt_folder())
        if manifest_file(dbt_folder()).is_file():
            from elt_factory.dag import transform  # noqa: F401
            from elt_factory.dag.dbt_manifest import load_manifest

            load_manifest(dbt_folder())


def _mentions_dbt(file: Path) -> bool:
    try:
        return b"dbt" in content_of(file)
    except OSError:
        return False
