"""A plan as a picture: a panel for each stage of the DAG, a box for each task."""

from __future__ import annotations

from collections.abc import Sequence

from elt_factory.describe.graph_svg import Box, Panel, graph_svg
from elt_factory.describe.plan import Plan, TaskPlan

_TITLES = {
    "before_extract": "BEFORE EXTRACT",
    "tables": "TABLES",
    "before_transform": "BEFORE TRANSFORM",
    "transform": "TRANSFORM",
    "quality": "QUALITY",
}


def plan_svg(plan: Plan) -> str:
    """Return the SVG of a plan."""
    return graph_svg(plan.config.name, f"window {plan.covers}   ·   deadline {plan.due}", panels_of(plan.tasks))


def panels_of(tasks: Sequence[TaskPlan]) -> list[Panel]:
    """Return a panel for each stage of a DAG, with its tasks and what each waits for within the stage."""
    stages: dict[str, list[TaskPlan]] = {}
    for task in tasks:
        stages.setdefault(task.group[0] if task.group else "", []).append(task)
    return [_panel(stage, found) for stage, found in stages.items()]


def _panel(stage: str, tasks: Sequence[TaskPlan]) -> Panel:
    inside = {task.task_id for task in tasks}
    edges = tuple((before, task.task_id) for task in tasks for before in task.upstream if before in inside)
    boxes = tuple(Box(task.task_id, _title(task), task.detail, task.kind) for task in tasks)
    return Panel(_TITLES.get(stage, stage.upper()), boxes, edges)


def _title(task: TaskPlan) -> str:
    """Return the task's name within its stage, as in `planes · extract`; dbt's own tasks by their model."""
    return " · ".join(task.task_id.split(".")[1:]) or task.task_id
