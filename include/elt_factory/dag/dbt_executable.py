"""Which program a config may start as its dbt: the deployment lists them."""

from __future__ import annotations

import os

from elt_factory.config.errors import near_name
from elt_factory.config.models.source import Dbt
from elt_factory.dag.dbt_errors import ExecutableError

EXECUTABLES = "ELT_DBT_EXECUTABLES"


def executable_of(dbt: Dbt) -> str | None:
    """Return the program that a config names, if the deployment lists it: a config may not start any other.

    Raises:
        ExecutableError: it does not.
    """
    listed = [path for path in os.environ.get(EXECUTABLES, "").split(os.pathsep) if path]
    if dbt.executable is None or dbt.executable in listed:
        return dbt.executable
    near = near_name(dbt.executable, listed)
    add = f"add it to {EXECUTABLES}, paths separated by {os.pathsep}, in the environment of DAG processor and workers"
    raise ExecutableError(
        f'the deployment does not list "{dbt.executable}" as a dbt', " Or ".join(filter(None, [near, add]))
    )
