"""All columns of all tables, as `elt docs` writes them into its data dictionary."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from elt_factory.describe.dictionary import entries
from elt_factory.ui.estate import Estate
from elt_factory.ui.graphs import models_now
from elt_factory.ui.models import ColumnRow


def catalogue(estate: Estate, readable: Collection[str]) -> Iterator[ColumnRow]:
    """Yield the columns of the tables that a user may see: those of the YAML, and those that dbt's files know."""
    configs = [item.config for item in estate.configs.values() if item.config.name in readable]
    models = models_now(configs)
    for config in configs:
        for table in config.all_tables:
            for entry in entries(config, table, models, {}):
                yield ColumnRow(
                    source=config.name,
                    table=table,
                    column=entry.name,
                    type=entry.type,
                    nullable=entry.nullable,
                    pii=entry.pii,
                    description=entry.description,
                    roles=list(entry.roles),
                    checks=list(entry.checks),
                    owner=config.owner,
                )
