"""Where the project is on this machine."""

from __future__ import annotations

import os
from pathlib import Path

PROJECT_VARIABLE = "ELT_PROJECT"
OWN_AIRFLOW = ".airflow"


def project_root() -> Path:
    """Return the folder that holds dag_configs/, or dags/dag_configs/.

    It is `$ELT_PROJECT`, else the checkout this package is in, else the current folder.
    """
    named = os.environ.get(PROJECT_VARIABLE)
    if named:
        return Path(named).resolve()
    checkout = Path(__file__).resolve().parents[2]
    return checkout if (checkout / "dag_configs").is_dir() else Path.cwd()


def has_own_airflow() -> bool:
    """Whether this process uses the Airflow that `elt setup` makes in the project."""
    return os.environ.get("AIRFLOW_HOME") == str(project_root() / OWN_AIRFLOW)


def config_folder() -> Path:
    """Return the folder of the YAML files: `dags/dag_configs` where there is one, else `dag_configs`.

    `astro deploy --dags` takes what is in `dags/`, and nothing else.
    """
    shipped = project_root() / "dags" / "dag_configs"
    return shipped if shipped.is_dir() else project_root() / "dag_configs"


def dbt_folder() -> Path:
    """Return the folder of the dbt project."""
    return project_root() / "include" / "dbt"
