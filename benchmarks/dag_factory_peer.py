"""The same DAGs as YAML of dag-factory: every operator and argument spelled out, objects by its `__type__`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

CONFIG: dict[str, Any] = {}
TABLES = ("orders", "customers")
_OPERATORS = "elt_factory.dag.operators"


def config_of(name: str) -> Any:
    """Return the config that the operators take, ready: dag-factory is not charged for what its YAML cannot say."""
    return CONFIG[name]


def sensor_of(stage: str) -> Any:
    return getattr(CONFIG["shop"].sensors, stage)[0]


def write(folder: Path, count: int, config: Any) -> list[Path]:
    CONFIG["shop"] = config
    files = []
    for number in range(count):
        file = folder / f"dag_factory_{number}.yaml"
        file.write_text(yaml.safe_dump({f"shop_{number}": _dag(f"shop_{number}")}, sort_keys=False))
        files.append(file)
    return files


def as_ours(task_id: str) -> str:
    """Our id of a task: dag-factory wants names that are unique in the file, also of tasks in groups."""
    for table in TABLES:
        task_id = task_id.removesuffix(f"_{table}") if task_id.startswith("tables.") else task_id
    return task_id.replace("quality.check_", "quality.")


def _dag(name: str) -> dict[str, Any]:
    loads = [f"load_{table}" for table in TABLES]
    tasks = {
        "http_shop_api": _sensor("before_extract"),
        "freshness_orders": _sensor("before_transform", loads, pool="warehouse"),
    }
    for table in TABLES:
        tasks |= _table(name, table)
    groups: dict[str, Any] = {group: {} for group in ("before_extract", "tables", "before_transform", "quality")}
    groups |= {table: {"parent_group_name": "tables"} for table in TABLES}
    return {
        "description": f"Orders and customers of shop {name}",
        "schedule": {
            "__type__": "airflow.sdk.CronDataIntervalTimetable",
            "__args__": ["0 3 * * *"],
            "timezone": "Europe/Berlin",
        },
        "start_date": "2024-01-01",
        "catchup": False,
        "tags": ["elt"],
        "params": _form(TABLES),
        "doc_md": "### shop",
        "default_args": {
            "owner": "data-platform",
            "retries": 3,
            "retry_delay_sec": 10,
            "retry_exponential_backoff": 2.0,
            "max_retry_delay": {"__type__": "datetime.timedelta", "minutes": 5},
            "retry_policy": {"__type__": "dag_factory_peer.retry_policy"},
        },
        "task_groups": groups,
        "tasks": tasks,
    }


def retry_policy() -> Any:
    from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

    return ExceptionRetryPolicy(
        [RetryRule("elt_factory.core.failures.PermanentError", RetryAction.FAIL, reason="someone must change it")]
    )


def _form(tables: tuple[str, ...]) -> dict[str, Any]:
    param = {"__type__": "airflow.sdk.Param"}
    moment = {**param, "__args__": [None], "type": ["null", "string"], "format": "date-time"}
    return {
        "tables": {**param, "__args__": [list(tables)], "type": "array", "examples": list(tables)},
        "full_refresh": {**param, "__args__": [False], "type": "boolean"},
        "window_start": moment,
        "window_end": moment,
    }


def _sensor(stage: str, after: list[str] | None = None, **more: Any) -> dict[str, Any]:
    return {
        "operator": "elt_factory.dag.sensors.ReadySensor",
        "task_group_name": stage,
        "config": {"__type__": "dag_factory_peer.config_of", "__args__": ["shop"]},
        "sensor": {"__type__": "dag_factory_peer.sensor_of", "__args__": [stage]},
        "trigger_rule": "none_failed",
        "dependencies": after or [],
        **more,
    }


def _table(name: str, table: str) -> dict[str, Any]:
    common = {"config": {"__type__": "dag_factory_peer.config_of", "__args__": ["shop"]}, "table": table}
    outlet = {"__type__": "airflow.sdk.Asset", "name": f"{name}.{table}", "uri": f"elt://{name}/{table}"}
    return {
        f"extract_{table}": {
            "operator": f"{_OPERATORS}.ExtractOperator",
            "task_group_name": table,
            "dependencies": ["http_shop_api"],
            **common,
        },
        f"load_{table}": {
            "operator": f"{_OPERATORS}.LoadOperator",
            "task_group_name": table,
            "pool": "warehouse",
            "outlets": [outlet],
            "dependencies": [f"extract_{table}"],
            **common,
        },
        f"check_{table}": {
            "operator": f"{_OPERATORS}.QualityOperator",
            "task_group_name": "quality",
            "pool": "warehouse",
            "trigger_rule": "none_failed",
            "dependencies": ["freshness_orders"],
            **common,
        },
    }
