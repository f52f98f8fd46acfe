"""The roles of ELT Factory on Snowflake, each with the least that its statements need.

A schema that does not exist is created here, so that no role may create schemas. Who creates a table owns it, and
needs nothing more for what changes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from elt_factory.warehouse import audit
from elt_factory.warehouse.snowflake.sql import name
from elt_factory.warehouse.snowflake.warehouse import STAGE

Job = Literal["loader", "transformer", "auditor", "page"]
JOBS: tuple[Job, ...] = ("loader", "transformer", "auditor", "page")
# `query_history` is read with the one, what is metered and attributed with the other
_BOOKS = ("GOVERNANCE_VIEWER", "USAGE_VIEWER")


@dataclass(frozen=True)
class Estate:
    """What is in the database, as configs and dbt's manifest say.

    Args:
        database: Its name.
        warehouses: The virtual warehouses to work on.
        sources: The schemas that loads write.
        models: The schemas that dbt writes.
        others: The schemas whose tables other systems load.
        integration: The storage integration of the landing, if Snowflake reads it by itself.
        counts_credits: Whether a config has a budget of credits.
        prefix: What the names of roles begin with; alone, the role of the connection `warehouse`.
        user: The user of that connection.
    """

    database: str
    warehouses: Sequence[str]
    sources: Sequence[str]
    models: Sequence[str] = ()
    others: Sequence[str] = ()
    integration: str = ""
    counts_credits: bool = False
    prefix: str = "ELT"
    user: str = ""

    def role(self, job: Job | None = None) -> str:
        """Return the name of a role in SQL."""
        return name(f"{self.prefix}_{job}" if job else self.prefix)

    def schema(self, schema: str) -> str:
        """Return the name of a schema in SQL."""
        return f"{name(self.database)}.{name(schema)}"


def grants(estate: Estate) -> list[str]:
    """Return the statements that make the roles, for a role that may: they can be run again at any time."""
    return [
        *_objects(estate),
        *_everyone(estate),
        *_loader(estate),
        *_transformer(estate),
        *_readers(estate),
        *_connection(estate),
    ]


def _objects(estate: Estate) -> Iterator[str]:
    for role in (*map(estate.role, JOBS), estate.role()):
        yield f"CREATE ROLE IF NOT EXISTS {role}"
    for schema in dict.fromkeys((audit.SCHEMA, *estate.sources, *estate.models)):
        yield f"CREATE SCHEMA IF NOT EXISTS {estate.schema(schema)}"
    yield f"CREATE STAGE IF NOT EXISTS {_stage(estate)}"


def _everyone(estate: Estate) -> Iterator[str]:
    for job in JOBS:
        yield f"GRANT USAGE ON DATABASE {name(estate.database)} TO ROLE {estate.role(job)}"
        for warehouse in estate.warehouses:
            yield f"GRANT USAGE ON WAREHOUSE {name(warehouse)} TO ROLE {estate.role(job)}"


def _loader(estate: Estate) -> Iterator[str]:
    role = estate.role("loader")
    made = "USAGE, CREATE TABLE, CREATE VIEW, CREATE STAGE"
    yield f"GRANT {made} ON SCHEMA {estate.schema(audit.SCHEMA)} TO ROLE {role}"
    yield f"GRANT READ, WRITE ON STAGE {_stage(estate)} TO ROLE {role}"
    for schema in estate.sources:
        yield f"GRANT USAGE, CREATE TABLE ON SCHEMA {estate.schema(schema)} TO ROLE {role}"
    yield from _reads(estate, "loader", estate.others, ("TABLES", "VIEWS"))
    if estate.integration:
        yield f"GRANT USAGE ON INTEGRATION {name(estate.integration)} TO ROLE {role}"
    if estate.counts_credits:
        yield from _books(estate, "loader")


def _transformer(estate: Estate) -> Iterator[str]:
    yield from _reads(estate, "transformer", (*estate.sources, *estate.others), ("TABLES", "VIEWS"))
    for schema in estate.models:
        made = "USAGE, CREATE TABLE, CREATE VIEW"
        yield f"GRANT {made} ON SCHEMA {estate.schema(schema)} TO ROLE {estate.role('transformer')}"


def _readers(estate: Estate) -> Iterator[str]:
    for job in ("auditor", "page"):
        yield from _reads(estate, job, (audit.SCHEMA,), ("TABLES", "VIEWS"))
    yield from _books(estate, "auditor")
    # the page counts the rows of what other systems load: no load says it
    yield from _reads(estate, "page", estate.others, ("TABLES", "VIEWS"))


def _connection(estate: Estate) -> Iterator[str]:
    for job in ("loader", "transformer"):
        yield f"GRANT ROLE {estate.role(job)} TO ROLE {estate.role()}"
    if estate.user:
        yield f"GRANT ROLE {estate.role()} TO USER {name(estate.user)}"


def _reads(estate: Estate, job: Job, schemas: Sequence[str], kinds: Sequence[str]) -> Iterator[str]:
    for schema in dict.fromkeys(schemas):
        place, role = estate.schema(schema), estate.role(job)
        yield f"GRANT USAGE ON SCHEMA {place} TO ROLE {role}"
        for kind in kinds:
            for which in ("ALL", "FUTURE"):
                yield f"GRANT SELECT ON {which} {kind} IN SCHEMA {place} TO ROLE {role}"


def _books(estate: Estate, job: Job) -> Iterator[str]:
    for books in _BOOKS:
        yield f"GRANT DATABASE ROLE SNOWFLAKE.{books} TO ROLE {estate.role(job)}"


def _stage(estate: Estate) -> str:
    return f"{estate.schema(STAGE.schema)}.{name(STAGE.name)}"
