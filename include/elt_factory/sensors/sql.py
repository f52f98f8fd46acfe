"""Wait until a query is true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from pydantic import Field

from elt_factory.config.models.base import Model
from elt_factory.config.models.schema_patterns import NO_TEMPLATE, READS_ROWS
from elt_factory.config.models.values import ConnectionId, PlainQuery
from elt_factory.core.verdict import Verdict
from elt_factory.sensors.kind import Look, SensorKind
from elt_factory.sources.sql.connections import EXTRAS, TYPES


class SqlReady(Model):
    """Wait until a query's first value is true."""

    schema_patterns: ClassVar[Mapping[str, Sequence[str]]] = {"query": (READS_ROWS, NO_TEMPLATE)}

    connection: ConnectionId = Field(description="Airflow connection of the database.", examples=["fleet_db"])
    query: PlainQuery = Field(
        description="Query whose first value must be true.", examples=["select count(*) > 0 from planes"]
    )


def _poke(spec: SqlReady, look: Look) -> Verdict:
    from elt_factory.extract.label import TableLabel, secrets_of
    from elt_factory.sources.sql.reader import first_value

    connection = look.connection(spec.connection)
    label = TableLabel(look.config.name, "sql sensor", secrets_of(connection))
    value = first_value(connection, look.project, spec.query, label)
    return Verdict(bool(value), f"{look.config.name}: {spec.query.strip()} returned {value!r}")


def _words(spec: SqlReady) -> str:
    return f"{spec.query.strip()} is true in {spec.connection}"


def _about(spec: SqlReady) -> str:
    return spec.connection


KIND = SensorKind(
    name="sql",
    model=SqlReady,
    description="Wait until a query returns true.",
    examples=({"connection": "fleet_db", "query": "select count(*) > 0 from planes"},),
    poke=_poke,
    words=_words,
    about=_about,
    connection_types=TYPES,
    extras=EXTRAS,
)
