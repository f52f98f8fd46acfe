"""What dbt needs: its packages, a profile out of the warehouse connection, a manifest as new as its project."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from elt_factory.cli.health.found import Found
from elt_factory.config.mistakes.across import LoadedConfig
from elt_factory.core.connection import Connection
from elt_factory.core.extras import install, missing
from elt_factory.core.project import dbt_folder, project_root
from elt_factory.dag.dbt_fresh import SETUP_COMMAND, changed_since, manifest_file
from elt_factory.dag.runtime import get_connection
from elt_factory.warehouse.kind import DbtProfile
from elt_factory.warehouse.opening import CONNECTION_ID, kind_of
from elt_factory.warehouse.snowflake.profile import snowflake_profile


def dbt(configs: Sequence[LoadedConfig]) -> Iterator[Found]:
    """Look at dbt as far as a config uses it."""
    users = [item.config.name for item in configs if item.config.transform.dbt]
    if not users:
        yield Found("dbt", "ok", "no config uses it")
        return
    connection = get_connection(CONNECTION_ID)
    extras = ("dbt", "dbt-snowflake") if connection.conn_type == "snowflake" else ("dbt",)
    lacking = {module: extra for extra in extras if (module := missing(extra))}
    for module, extra in lacking.items():
        found = f"{module} is not installed, and {', '.join(users)} transform with dbt"
        yield Found("dbt", "error", found, install(extra))
    if lacking:
        return
    yield Found("dbt", "ok", f"profile of type {_profile(connection).settings['type']}")


def _profile(connection: Connection) -> DbtProfile:
    if connection.conn_type == "snowflake":
        # a token would cost a request to its server; that there is one is seen when it is used
        return snowflake_profile(connection, None, lambda _: "")
    return kind_of(connection).dbt_profile(connection, project_root(), None)


def manifest(configs: Sequence[LoadedConfig]) -> Iterator[Found]:
    """Compare the manifest that DAGs are drawn from with the dbt project, where a config uses it."""
    if not any(item.config.transform.dbt for item in configs):
        return
    folder = dbt_folder()
    changed = changed_since(folder)
    if not manifest_file(folder).exists():
        yield Found("manifest", "error", f"{manifest_file(folder)} does not exist", SETUP_COMMAND)
    elif changed:
        yield Found("manifest", "warning", f"{changed} is newer than the dbt manifest", SETUP_COMMAND)
    else:
        yield Found("manifest", "ok", "as new as the dbt project")
