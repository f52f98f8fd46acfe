"""The text of a YAML that is being written: what is wrong in it, and the DAG that it would make.

Nothing of the text leads anywhere: no variable of the environment, no file and no connection that it names is read, no
function that it names is imported, and nothing is written. What is read besides it are the defaults of the folder of
configs, the configs that the user may read, and dbt's manifest.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock

from elt_factory.config.errors import ConfigError, Problem
from elt_factory.config.layers.defaults import defaults_of
from elt_factory.config.loading import load_text
from elt_factory.config.mistakes.across import LoadedConfig, problems_across
from elt_factory.config.mistakes.cycles import cycles
from elt_factory.config.yaml.source import parse_yaml
from elt_factory.config.yaml.variables import unread_variables
from elt_factory.core.project import config_folder
from elt_factory.describe.plan import TaskPlan, tasks_of
from elt_factory.describe.plan_svg import panels_of
from elt_factory.describe.unread import variable_lines
from elt_factory.ui.estate import Estate
from elt_factory.ui.graphs import placed
from elt_factory.ui.models import Checked, DraftMistake, Stage

_NAME = re.compile(r"^name:[ \t]*[\"']?([a-z][a-z0-9_]*)[\"']?[ \t]*(?:#.*)?$", re.MULTILINE)
_MOST_TASKS = 400  # that are drawn
_building = Lock()  # Airflow keeps the DAG that is being built for the whole process


def checked(text: str, estate: Estate, readable: Collection[str]) -> Checked:
    """Return what is wrong in a text, and the DAG that it would make, among the configs that a user may read."""
    folder = config_folder()
    named = _NAME.search(text)
    file = folder / f"{named[1] if named else 'new_source'}.yaml"
    others = [item for name, item in estate.configs.items() if name in readable and item.file != file]
    with unread_variables():
        tasks, found = _read(file, text, folder, others)
        variable = set(_lines_of_variables(file, text, folder))
    notes = [one for one in found if (one.position.file, one.position.line) in variable]
    mistakes = [one for one in found if one not in notes]
    return Checked(
        file=file.name,
        mistakes=[_mistake(one, file) for one in mistakes],
        notes=[_mistake(one, file) for one in notes],
        stages=_stages(tasks) if len(tasks) <= _MOST_TASKS else [],
        undrawn=_why_not(tasks, notes, mistakes),
    )


def _read(
    file: Path, text: str, folder: Path, others: Sequence[LoadedConfig]
) -> tuple[Sequence[TaskPlan], Sequence[Problem]]:
    """Return the tasks of the DAG that a text makes, or what is wrong with it."""
    try:
        item = load_text(file, text, folder)
        found = _among(item, others)
        if found:
            return (), found
        tables_of = {other.config.name: tuple(other.config.all_tables) for other in (*others, item)}
        with _building:
            return tasks_of(item, tables_of), ()
    except ConfigError as error:
        return (), error.problems


def _among(item: LoadedConfig, others: Sequence[LoadedConfig]) -> list[Problem]:
    """Return what is wrong with a config among others."""
    together = [item, *(other for other in others if other.config.name != item.config.name)]
    found = list(problems_across(together, ()).get(item.file, ()))
    return [*found, *(problem for waiting, problem in cycles(together) if waiting is item)]


def _lines_of_variables(file: Path, text: str, folder: Path) -> Iterator[tuple[Path, int]]:
    """Yield where a value has a variable without a default, in the text and in the defaults it is laid over."""
    with suppress(ConfigError):
        yield from variable_lines(parse_yaml(file, text))
        defaults = defaults_of(file.parent, folder)
        if defaults:
            yield from variable_lines(defaults)


def _stages(tasks: Sequence[TaskPlan]) -> list[Stage]:
    panels = panels_of(tasks)
    return [Stage(title=panel.title.lower(), graph=placed(panel.boxes, panel.edges, {})) for panel in panels]


def _why_not(tasks: Sequence[TaskPlan], notes: Sequence[Problem], mistakes: Sequence[Problem]) -> str:
    if len(tasks) > _MOST_TASKS:
        return f"The DAG has {len(tasks):,} tasks: too many to draw here."
    return "The DAG depends on variables that are not read here." if notes and not mistakes else ""


def _mistake(problem: Problem, file: Path) -> DraftMistake:
    position = problem.position
    return DraftMistake(
        line=position.line,
        column=position.column,
        code=problem.code,
        message=problem.message,
        hint=problem.hint,
        file="" if position.file == file else position.file.name,
    )
