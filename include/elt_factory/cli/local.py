"""Airflow on this machine: its home in the project, its database, and what airflow_settings.yaml gives it.

Where AIRFLOW_HOME is set already, someone runs Airflow their own way, and nothing here is touched.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from elt_factory.cli.metadata import SQLITE, metadata_url, shown
from elt_factory.cli.settings_file import SETTINGS_FILE, Settings, checked_settings, read_text, settings_of
from elt_factory.core.extras import missing
from elt_factory.core.failures import ServiceError
from elt_factory.core.private import private_files
from elt_factory.core.project import OWN_AIRFLOW, PROJECT_VARIABLE, config_folder, dbt_folder, project_root
from elt_factory.dag.dbt_fresh import changed_since

OWN_FILE = ".env"
_OWN = ("AIRFLOW_CONN_", "AIRFLOW_VAR_")
_MARK = ".settings"
_LOCK = ".setup.lock"
# every YAML a DAG file of its own: one that is broken shows its own import error, and a new one is seen within seconds
_BUNDLE = {"refresh_interval": 5, "parse_together": 25}
BUNDLES = [{"name": "sources", "classpath": "elt_factory.dag.bundle.YamlBundle", "kwargs": _BUNDLE}]
# What every Airflow that runs the DAGs should have, wherever it is
AIRFLOW_SETTINGS: Mapping[str, str] = {
    "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(BUNDLES),
    # the bundle marks what has changed: all else need not be read again, and does not keep what has changed waiting
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "86400",
    # else what is parsed soon after the last change is not stored, in the hope of the next parse
    "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "0",
    "AIRFLOW__COSMOS__ENABLE_TELEMETRY": "False",
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    # logs are their writer's alone, as all else that is written
    "AIRFLOW__LOGGING__FILE_TASK_HANDLER_NEW_FOLDER_PERMISSIONS": "0o700",
    "AIRFLOW__LOGGING__FILE_TASK_HANDLER_NEW_FILE_PERMISSIONS": "0o600",
}

# those of them that are of the bundle: where a loader makes the DAGs, every change must be read again
BUNDLE_SETTINGS = (
    "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL",
)


def local_environment(root: Path) -> dict[str, str]:
    """Return the environment variables that make Airflow run in the project's own folder.

    It is quiet and sends no telemetry.
    """
    return {
        **AIRFLOW_SETTINGS,
        "AIRFLOW_HOME": str(root / OWN_AIRFLOW),
        "AIRFLOW__CORE__DAGS_FOLDER": str(root / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(root / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__COSMOS__CACHE_DIR": str(root / OWN_AIRFLOW / "cosmos"),
        # Cosmos looks for the dbt command even when it calls dbt as a library
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "ELT_PROJECT": str(root),
    }


def is_ours(root: Path) -> bool:
    """Whether Airflow's home is the project's own, as it is unless AIRFLOW_HOME names another."""
    ours = str(root / OWN_AIRFLOW)
    return os.environ.get("AIRFLOW_HOME", ours) == ours


def use_local_airflow() -> bool:
    """Point this process at the project's own Airflow before Airflow is imported.

    Returns:
        Whether the Airflow is ours; False where AIRFLOW_HOME names another.
    """
    root = project_root()
    if not is_ours(root):
        return False
    environment = local_environment(root)
    path = environment.pop("PATH")
    environment |= {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": metadata_url(root / OWN_AIRFLOW)} | own_connections(root)
    for name, value in environment.items():
        os.environ.setdefault(name, value)
    os.environ["PATH"] = path
    return True


def own_connections(root: Path) -> dict[str, str]:
    """Return the connections and variables of this machine alone.

    AIRFLOW_CONN_ and AIRFLOW_VAR_ in `.env`, which git ignores. `astro dev start` reads the same file.
    """
    file = root / OWN_FILE
    # some have a virtual environment of that name
    lines = read_text(file).splitlines() if file.is_file() else []
    pairs = (line.removeprefix("export ").partition("=") for line in map(str.strip, lines))
    return {name.strip(): _unquoted(value.strip()) for name, _, value in pairs if name.startswith(_OWN)}


def _unquoted(text: str) -> str:
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    return text[1:-1] if quoted else text


def ensure_local_airflow() -> None:
    """Make the project's Airflow ready: database, connections, pools, variables, dbt manifest.

    Quick when all is there.
    """
    read_metadata_database()
    if not use_local_airflow():
        return
    root = project_root()
    home = Path(os.environ["AIRFLOW_HOME"])
    with private_files():
        _prepare(root, home)


def _prepare(root: Path, home: Path) -> None:
    settings = read_text(root / SETTINGS_FILE)
    database = shown(home)
    # a newer Airflow may need other tables
    state = f"# Airflow {version('apache-airflow')} in {database}\n{settings}"
    if not _is_ready(home, database, state):
        given = settings_of(settings)
        _require_project(root)
        home.mkdir(parents=True, exist_ok=True)
        with (home / _LOCK).open("w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # another command may have made it meanwhile
            if not _is_ready(home, database, state):
                migrate_database()
                _apply(given)
                (home / _MARK).write_text(state, encoding="utf-8")
    ensure_manifest()


def _is_ready(home: Path, database: str, state: str) -> bool:
    mark = home / _MARK
    is_there = database != SQLITE or (home / "airflow.db").exists()
    return is_there and mark.exists() and mark.read_text(encoding="utf-8") == state


def _require_project(root: Path) -> None:
    """Refuse to make an Airflow in a folder that is not a project."""
    if not (config_folder().is_dir() or (root / SETTINGS_FILE).exists()):
        raise ServiceError(
            f"{root} has neither {config_folder().name}/ nor {SETTINGS_FILE}; hint: change to the folder of the "
            f"project, set {PROJECT_VARIABLE} to it, or start one with elt init"
        )


def read_metadata_database() -> None:
    """Let this process find connections in Airflow's database, as Airflow's own commands do.

    Tasks ask the API server instead.
    """
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"


def migrate_database() -> None:
    """Create or upgrade Airflow's metadata database."""
    _quietly([sys.executable, "-m", "airflow", "db", "migrate"], "could not create Airflow's database")


def apply_settings(settings: Mapping[str, Any]) -> None:
    """Give Airflow the connections, pools and variables of airflow_settings.yaml; what is there already is replaced."""
    _apply(checked_settings(settings))


def _apply(given: Settings) -> None:
    from airflow.models import Connection, Pool, Variable
    from airflow.utils.session import create_session
    from sqlalchemy import delete

    with create_session() as session:
        for entry in given["connections"]:
            session.execute(delete(Connection).where(Connection.conn_id == entry["conn_id"]))
            session.add(_connection(entry))
        for entry in given["pools"]:
            Pool.create_or_update_pool(
                entry["pool_name"],
                int(entry["pool_slot"]),
                entry.get("pool_description") or "",
                include_deferred=False,
                session=session,
            )
        for entry in given["variables"]:
            Variable.set(entry["variable_name"], entry["variable_value"], session=session)


def _connection(entry: Mapping[str, Any]) -> Any:
    from airflow.models import Connection

    if entry.get("conn_uri"):
        return Connection(conn_id=entry["conn_id"], uri=entry["conn_uri"])
    names = {"conn_host": "host", "conn_schema": "schema", "conn_login": "login", "conn_password": "password"}
    fields = {field: str(entry[name]) for name, field in names.items() if entry.get(name)}
    extra = entry.get("conn_extra")
    return Connection(
        conn_id=entry["conn_id"],
        conn_type=entry["conn_type"],
        port=int(entry["conn_port"]) if entry.get("conn_port") else None,
        extra=extra if isinstance(extra, str) or extra is None else json.dumps(extra),
        **fields,
    )


def ensure_manifest() -> None:
    """Make the dbt manifest that the DAGs are drawn from, when a file of the dbt project is newer."""
    # a project may have a dbt folder and no use for it yet; a config that uses dbt says itself what is missing
    if not (dbt_folder() / "dbt_project.yml").exists() or missing("dbt") or changed_since(dbt_folder()) is None:
        return
    # in a process of its own: dbt keeps what it has loaded
    _quietly([sys.executable, "-m", "elt_factory.dag.dbt_project"], "could not parse the dbt project")


def _quietly(command: list[str], problem: str) -> None:
    """Run a command; its output is shown only when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=project_root())  # noqa: S603 - ELT Factory's own
    if done.returncode:
        sys.stderr.write(done.stdout + done.stderr)
        raise SystemExit(f"{problem}: see above")
