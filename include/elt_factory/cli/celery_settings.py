"""What Airflow should have where its tasks run on Celery workers, next to the settings of every Airflow."""

from __future__ import annotations

import json
from collections.abc import Mapping

# To fill in: where the broker, the metadata and the API server are
CELERY_ADDRESSES: Mapping[str, str] = {
    "AIRFLOW__CELERY__BROKER_URL": "redis://redis:6379/0",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql://airflow@postgres/airflow",
    "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": "http://api-server:8080/execution/",
}
CELERY_SETTINGS: Mapping[str, str] = {
    "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
    # a worker imports what tasks need once, and not in each of its tasks
    "AIRFLOW__CELERY__EXTRA_CELERY_CONFIG": json.dumps({"imports": ["elt_factory.dag.worker_preload"]}),
    # with Redis: a message that a killed worker had taken comes back after this long, not after a day; a task that is
    # still running elsewhere is not run twice
    "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": "600",
    # what ran on a worker that was killed is tried again after two minutes, not after five
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "120",
    # the tasks of a scheduler that ended are taken over by the next one soon, not after five minutes
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "15",
    # tasks wait a minute and more for an API server that is started again
    "AIRFLOW__WORKERS__EXECUTION_API_RETRIES": "12",
    "AIRFLOW__WORKERS__EXECUTION_API_RETRY_WAIT_MAX": "10",
}
