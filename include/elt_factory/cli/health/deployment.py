"""What Airflow was given: settings, connections, the pool."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from elt_factory.cli.health.found import Found
from elt_factory.cli.live import config_connection_problems, named_connections
from elt_factory.cli.local import AIRFLOW_SETTINGS, BUNDLE_SETTINGS
from elt_factory.cli.output import short
from elt_factory.config.mistakes.across import LoadedConfig
from elt_factory.core.failures import WarehouseBusyError
from elt_factory.core.project import project_root
from elt_factory.dag.runtime import get_connection
from elt_factory.warehouse.duckdb.warehouse import duckdb_path
from elt_factory.warehouse.opening import CONNECTION_ID, open_warehouse

_BUNDLES = "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"
_OURS = "elt_factory."
_PATIENCE = 1.0  # seconds to wait for a warehouse file that is in use


def settings() -> Iterator[Found]:
    """Hold Airflow's settings to the ones that every Airflow with these DAGs should have."""
    bundle = _bundle()
    yield bundle
    # without the bundle nothing marks what has changed, so each file must be read again often
    left_out = (_BUNDLES,) if bundle.status == "ok" else BUNDLE_SETTINGS
    wanted = {name: value for name, value in AIRFLOW_SETTINGS.items() if name not in left_out}
    differing = {name: found for name in wanted if (found := _setting(name)).lower() != wanted[name].lower()}
    for name, found in differing.items():
        hint = f"set the environment variable {name}={wanted[name]}"
        yield Found("settings", "warning", f"{name} is {found or 'not set'}", hint)
    if not differing:
        yield Found("settings", "ok", f"{len(wanted)} settings as recommended")


def _bundle() -> Found:
    found = [entry for entry in json.loads(_setting(_BUNDLES) or "[]") if entry["classpath"].startswith(_OURS)]
    if found:
        return Found("bundle", "ok", f"{found[0]['name']}: {found[0]['classpath']}")
    hint = f"set the environment variable {_BUNDLES}='{AIRFLOW_SETTINGS[_BUNDLES]}'"
    folder = Path(_setting("AIRFLOW__CORE__DAGS_FOLDER"))
    loader = next((file for file in folder.glob("*.py") if "elt_factory" in file.read_text(encoding="utf-8")), None)
    if loader:
        return Found("bundle", "warning", f"all configs are one DAG file, {loader}: new configs appear later", hint)
    return Found("bundle", "error", f"no DAG bundle of ELT Factory, and no loader in {folder}", hint)


def _setting(variable: str) -> str:
    """Return what Airflow goes by: its configuration for its own variables, the environment for others."""
    from airflow.configuration import conf

    prefix, _, rest = variable.partition("__")
    section, _, key = rest.partition("__")
    if prefix != "AIRFLOW":
        return os.environ.get(variable, "")
    return str(conf.get(section.lower(), key.lower(), fallback=""))


def connections(configs: Sequence[LoadedConfig]) -> Iterator[Found]:
    """Look up every connection that a config names."""
    problems = list(config_connection_problems(configs))
    for finding in problems:
        problem = finding.problem
        place = f"{short(problem.position.file)}:{problem.position.line}"
        yield Found("connections", finding.severity, f"{place}: {problem.message}", problem.hint)
    if not problems:
        names = {named.conn_id: None for item in configs for named in named_connections(item.config)}
        yield Found("connections", "ok", ", ".join(names) or "the configs name none")


def warehouse() -> Iterator[Found]:
    """Open the warehouse; a DuckDB file that is not there yet is left to the first load."""
    connection = get_connection(CONNECTION_ID)
    if connection.conn_type == "duckdb" and not (file := duckdb_path(connection, project_root())).exists():
        yield Found("warehouse", "ok", f"duckdb {file}, made by the first load")
        return
    try:
        with open_warehouse(connection, project_root(), lambda _: None, _PATIENCE) as opened:
            opened.query("SELECT 1")
    except WarehouseBusyError:
        # a load holds it: this is what it is for
        yield Found("warehouse", "ok", f"{connection.conn_type}, in use by a task")
        return
    yield Found("warehouse", "ok", connection.conn_type)


def pool() -> Iterator[Found]:
    """Look at the pool that keeps a DuckDB file to one process, and a Snowflake warehouse busy."""
    from elt_factory.dag.factory import WAREHOUSE_POOL

    slots = _slots(WAREHOUSE_POOL)
    kind = get_connection(CONNECTION_ID).conn_type
    command = f"airflow pools set {WAREHOUSE_POOL} {1 if kind == 'duckdb' else 32} 'Tasks that open the warehouse'"
    if slots is None or slots == 0:
        found = "has no slots" if slots == 0 else "does not exist"
        yield Found("pool", "error", f'the pool "{WAREHOUSE_POOL}" {found}: tasks wait indefinitely', command)
    elif kind == "duckdb" and slots != 1:
        found = f"{slots} slots, and one process at a time can open a DuckDB file: dbt tasks fail"
        yield Found("pool", "error", found, command)
    elif kind != "duckdb" and slots == 1:
        yield Found("pool", "warning", "1 slot: loads, dbt and checks run one at a time", command)
    else:
        yield Found("pool", "ok", f"{WAREHOUSE_POOL}: {slots} slot{'' if slots == 1 else 's'}")


def pools_of_splits(configs: Sequence[LoadedConfig]) -> Iterator[Found]:
    """Look at the pools that tables name under `split`: a task in one that is not there waits indefinitely."""
    named: dict[str, str] = {}
    for config in (item.config for item in configs):
        for name, table in config.all_tables.items():
            if table.in_parts and table.in_parts.pool:
                named.setdefault(table.in_parts.pool, f"{config.name}.{name}")
    for pool_name, user in sorted(named.items()):
        if not _slots(pool_name):
            found = f'the pool "{pool_name}" of {user} does not exist or has no slots: its extract tasks wait'
            yield Found(
                "pool", "error", found, f"airflow pools set {pool_name} 4 'Parts that are read at the same time'"
            )


def _slots(name: str) -> int | None:
    from airflow.models import Pool
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        found: int | None = session.scalar(select(Pool.slots).where(Pool.pool == name))
        return found
