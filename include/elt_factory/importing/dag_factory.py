"""DAGs of dag-factory as configs: tasks that read rows become tables, all others are listed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from elt_factory.discover.periods import sane_name
from elt_factory.importing.project import Imported, NotAProjectError, head_of, read_yaml, valid_only
from elt_factory.importing.shape import OTHERS, check

_QUERY = re.compile(r"\s*(select|with)\b", re.IGNORECASE)
_CONNECTIONS = ("conn_id", "sql_conn_id", "source_conn_id", "postgres_conn_id", "mysql_conn_id", "oracle_conn_id")
_SHAPE: dict[str, Any] = {"tasks": ({OTHERS: {}}, [{}]), "default_args": {}}
_PARTS = ("tasks", "task_groups", "default_args", "schedule", "schedule_interval", "description", "catchup", "tags")


def imported(path: Path) -> list[Imported]:
    """Return a config for each DAG of a file.

    Raises:
        NotAProjectError: it has none.
    """
    root = read_yaml(path)
    dags = {
        name: dag for name, dag in root.items() if name != "default" and isinstance(dag, Mapping) and "tasks" in dag
    }
    if not dags:
        raise NotAProjectError(f"{path}: no DAG with tasks is there")
    for name, dag in dags.items():
        check(dag, _SHAPE, path, str(name))
    default = root.get("default")
    shared = default if isinstance(default, Mapping) else {}
    return [_config(str(name), {**shared, **dag}) for name, dag in dags.items()]


def _config(dag_id: str, dag: Mapping[str, Any]) -> Imported:
    found = Imported(head_of(sane_name(dag_id) or "imported", **_head(dag)) | {"tables": {}})
    kinds: dict[str, dict[str, Any]] = {}
    for task_id, task in _tasks(dag):
        operator = str(task.get("operator") or task.get("decorator") or "")
        made = _table(operator.rpartition(".")[2], task)
        if made is None:
            found.left_out[task_id] = f"{operator.rpartition('.')[2] or 'a task'} reads no rows: keep it in a DAG"
            continue
        extract, table = made
        first = next(iter(kinds.values()), extract)
        if first != extract:
            found.left_out[task_id] = "it reads another source: write a config of its own"
            continue
        name = found.free(task_id)
        if not name:
            continue
        kinds[task_id] = extract
        found.config["tables"][name] = table
        found.note(name, "dag-factory keeps no cursor: add incremental, or the window")
        if others := sorted(set(task) - {"operator", "task_id", "sql", "endpoint", "method", "data", *_CONNECTIONS}):
            found.note(name, f"keys without a counterpart: {', '.join(map(str, others))}")
    found.config["extract"] = next(iter(kinds.values()), {"type": "sql", "connection": "source"})
    for key in sorted(set(dag) - set(_PARTS) - {"doc_md", "start_date"}):
        found.left_out[str(key)] = "a setting of the DAG without a counterpart"
    found.left_out |= _unsaid(dag)
    return valid_only(found)


def _unsaid(dag: Mapping[str, Any]) -> dict[str, str]:
    """Return what of the parts that are read is in no config."""
    found = {key: "a setting of the DAG without a counterpart" for key in ("tags", "task_groups") if dag.get(key)}
    schedule = dag.get("schedule", dag.get("schedule_interval"))
    if schedule is not None and not isinstance(schedule, str):
        found["schedule"] = f"it ran {schedule}: write schedule"
    if dag.get("catchup"):
        found["catchup"] = "its tasks read no window: with one, write catchup: true"
    arguments = dag.get("default_args")
    others = sorted(map(str, set(arguments) - {"owner", "start_date"})) if isinstance(arguments, Mapping) else []
    return found | ({"default_args": f"without a counterpart: {', '.join(others)}"} if others else {})


def _tasks(dag: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    tasks = dag["tasks"]
    listed = tasks.items() if isinstance(tasks, Mapping) else ((one.get("task_id"), one) for one in tasks or [])
    for task_id, task in listed:
        if isinstance(task, Mapping):
            yield str(task_id), task


def _table(operator: str, task: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]] | None:
    if operator in ("HttpOperator", "SimpleHttpOperator") and str(task.get("method", "POST")).upper() == "GET":
        connection = str(task.get("http_conn_id") or "http_default")
        table = {"path": f"/{str(task.get('endpoint') or '').lstrip('/')}", "write_disposition": "replace"}
        given = task.get("data")
        return (
            {"type": "rest_api", "connection": connection},
            table | ({"params": dict(given)} if isinstance(given, Mapping) else {}),
        )
    connection = next((str(task[name]) for name in _CONNECTIONS if task.get(name)), "")
    query = task.get("sql")
    if not connection or not isinstance(query, str) or not _QUERY.match(query) or "{{" in query:
        return None
    return {"type": "sql", "connection": connection}, {"query": query.strip(), "write_disposition": "replace"}


def _head(dag: Mapping[str, Any]) -> dict[str, Any]:
    arguments = dag.get("default_args") if isinstance(dag.get("default_args"), Mapping) else {}
    schedule = dag.get("schedule", dag.get("schedule_interval"))
    begins = re.match(r"\d{4}-\d{2}-\d{2}", str((arguments or {}).get("start_date") or dag.get("start_date") or ""))
    return {
        "owner": str(arguments["owner"]) if arguments and arguments.get("owner") else None,
        "schedule": schedule if isinstance(schedule, str) else None,
        "start_date": begins[0] if begins else None,
        "description": str(dag["description"]) if dag.get("description") else None,
    }
