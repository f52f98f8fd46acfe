"""`elt privileges`: the SQL of Snowflake roles with the least that this project's statements need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from elt_factory.cli.opening import warehouse_connection
from elt_factory.cli.output import AsJson, fail, print_json, say
from elt_factory.config.loading import load_folder
from elt_factory.core.project import config_folder, dbt_folder
from elt_factory.describe.models import read_models

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from elt_factory.config.models.source import Config
    from elt_factory.core.connection import Connection


def privileges(
    database: Annotated[str | None, typer.Option(help="Database; by default, that of the connection.")] = None,
    warehouse: Annotated[
        list[str] | None, typer.Option(help="Virtual warehouse, in addition to those of configs. Repeatable.")
    ] = None,
    prefix: Annotated[str, typer.Option(help="What the names of the roles begin with.")] = "ELT",
    as_json: AsJson = False,
) -> None:
    """Print the SQL that makes Snowflake roles for loads, dbt, the page and who reads the audit tables.

    Each may do what its statements need and nothing more. An administrator runs it, again after a new source.
    """
    from elt_factory.warehouse.snowflake.privileges import Estate, grants

    connection = _connection()
    extra = connection.extra if connection else {}
    chosen = database or database_of(connection)
    configs = [item.config for item in load_folder(config_folder()).configs]
    computes = [*(warehouse or ()), *_computes(configs), *filter(None, [str(extra.get("warehouse") or "")])]
    models = (one for one in read_models(dbt_folder() / "target" / "manifest.json").values())
    estate = Estate(
        database=chosen,
        warehouses=tuple(dict.fromkeys(computes)),
        sources=sorted(config.name for config in configs if config.all_tables and config.remote_job is None),
        models=sorted({one.schema for one in models if one.id.startswith(("model.", "seed.", "snapshot."))}),
        others=sorted(_others(configs)),
        integration=str(extra.get("landing_integration") or ""),
        counts_credits=any(config.budget and config.budget.unit == "credits" for config in configs),
        prefix=prefix,
        user=(connection.login or "") if connection else "",
    )
    found = grants(estate)
    if as_json:
        print_json(found)
    else:
        say("\n".join(f"{statement};" for statement in found))


def database_of(connection: Connection | None) -> str:
    """Return the database of the connection `warehouse`, or end with what is missing."""
    if connection is None:
        fail("the connection `warehouse` is not of type snowflake; hint: use --database ANALYTICS --warehouse LOADING")
    if not (found := str(connection.extra.get("database") or "")):
        fail(
            "the connection `warehouse` names no database; "
            'hint: add "database" to its extra, or use --database ANALYTICS'
        )
    return found


def _connection() -> Connection | None:
    """Return the connection `warehouse` where it is one of Snowflake."""
    found = warehouse_connection()
    return found if found.conn_type == "snowflake" else None


def _computes(configs: Sequence[Config]) -> Iterator[str]:
    for config in configs:
        if config.warehouse:
            yield from filter(None, (config.warehouse.load, config.warehouse.transform, config.warehouse.quality))


def _others(configs: Sequence[Config]) -> set[str]:
    """Return the schemas of tables that other systems load."""
    return {config.place_of(table)[0] for config in configs if config.remote_job for table in config.all_tables}
