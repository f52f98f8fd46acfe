"""Imported by a Celery worker when it starts, so that the processes it forks for every task need not import it again.

`[celery] extra_celery_config` names it: see docs/guides/workers.md. Nothing here may start a thread, open a connection
or read a config: a worker is forked with all that is in its memory.
"""

from __future__ import annotations

from elt_factory.core.ahead import import_ahead

_NEEDED = (
    "duckdb",
    "pyarrow",
    "httpx",
    "airflow.sdk.execution_time.task_runner",
    "elt_factory.dag.loader",
    "elt_factory.dag.config_dag",
    "elt_factory.dag.runtime",
    "elt_factory.landing.land",
    "elt_factory.formats.every",
    "elt_factory.sources.files.reader",
    "elt_factory.sources.rest_api.reader",
    "elt_factory.warehouse.base",
    "elt_factory.warehouse.opening",
)

import_ahead(_NEEDED)
