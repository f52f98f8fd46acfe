"""From one YAML file to its DAG, and every way this can fail told with the place in the file."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from airflow.sdk import BaseOperator

from elt_factory.config.errors import ConfigError, Problem
from elt_factory.config.mistakes.across import LoadedConfig
from elt_factory.config.models.source import Config
from elt_factory.core.extras import MissingExtraError
from elt_factory.core.failures import PermanentError
from elt_factory.dag.dbt_errors import ExecutableError, ManifestError, SelectionError
from elt_factory.dag.source_dag import SourceDag
from elt_factory.sources.extras import missing_extras

ERROR_TAG = "config-error"


class BuildError(ConfigError):
    """A config that is right cannot become a DAG: the cause is none that its author could know."""


def dag_of(
    item: LoadedConfig, tables_of: Mapping[str, tuple[str, ...]], clock_of: Callable[[str], Config | None] | None = None
) -> SourceDag:
    """Return the DAG of a config.

    Raises:
        ConfigError: the DAG cannot be built; says where in the file the cause is.
    """
    from elt_factory.dag.factory import build_dag

    if lacking := list(missing_extras(item)):
        raise ConfigError(lacking)
    try:
        return build_dag(item.config, tables_of, *([clock_of] if clock_of else [])).shown_as(item.file)
    except Exception as error:
        known = _known_problem(item, error)
        if known:
            raise ConfigError([known]) from None
        told = f"internal error while building the DAG: {type(error).__name__}: {error}"
        raise BuildError([Problem(item.source.at(("name",)), "cannot-build", told)]) from error


def error_dag(name: str, text: str) -> SourceDag:
    """Return a DAG for a config that cannot be used.

    No schedule, the error as documentation, one task that fails with it.
    """
    dag = SourceDag(
        dag_id=re.sub(r"[^\w.-]", "_", name),
        description="Invalid config: see the documentation of this DAG.",
        schedule=None,
        tags=[ERROR_TAG],
        doc_md=f"### This config cannot be used\n\n```\n{text}\n```",
        auto_register=False,
    )
    ConfigErrorOperator(task_id="config_error", text=text, dag=dag)
    return dag


class ConfigErrorOperator(BaseOperator):
    """Fail with the error of a config, so that it is seen wherever people look."""

    ui_color = "#fbe4e4"

    def __init__(self, *, text: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.text = text

    def execute(self, context: Any) -> None:  # noqa: ARG002
        """Fail."""
        raise PermanentError(self.text)


def _known_problem(item: LoadedConfig, error: Exception) -> Problem | None:
    """Return what an author can fix, with its place in the file."""
    if isinstance(error, SelectionError):
        return Problem(item.source.at(("transform", "dbt", "select")), "dbt-selection", error.message, error.hint)
    if isinstance(error, ExecutableError):
        return Problem(item.source.at(("transform", "dbt", "executable")), "dbt-executable", error.message, error.hint)
    if isinstance(error, ManifestError):
        return Problem(item.source.at(("transform", "dbt")), "dbt-manifest", error.message, error.hint)
    if isinstance(error, MissingExtraError):
        return Problem(item.source.at_key(("transform", "dbt")), "missing-extra", error.message, error.hint)
    return None
