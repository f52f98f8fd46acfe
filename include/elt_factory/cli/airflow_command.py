"""`elt airflow`: the commands of the project's own Airflow."""

from __future__ import annotations

import os
import sys

import typer

# what follows is Airflow's, options too
TAKES_ALL = {"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False}


def airflow(context: typer.Context) -> None:
    """Run a command of the project's Airflow, such as: elt airflow dags unpause flights."""
    from elt_factory.cli.local import ensure_local_airflow

    ensure_local_airflow()
    os.execv(sys.executable, [sys.executable, "-m", "airflow", *context.args])  # noqa: S606
