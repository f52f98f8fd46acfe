"""The language of tables that other systems load: `extract:`, and what is known of the tables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, ValidationInfo, WithJsonSchema, field_validator, model_validator

from elt_factory.config.errors import KEY, MistakeError, raise_found
from elt_factory.config.models.durations import Duration
from elt_factory.config.models.remote_jobs import REMOTE_JOBS, RemoteJob
from elt_factory.config.models.source import Extract, Source
from elt_factory.config.models.table import Table, WriteDisposition
from elt_factory.config.models.values import ColumnName, ConnectionId, Name

_RELATION = r"^[A-Za-z_][A-Za-z0-9_]*\.[A-Za-z_][A-Za-z0-9_]*$"
# what only a load of ELT Factory's own can do
_OF_A_LOAD = (
    "write_disposition",
    "incremental",
    "schema_contract",
    "where",
    "rejects",
    "max_columns",
    "transient",
    "cluster_by",
)
_NO_EFFECT = "{} has no effect: another system loads this table"
_OF_A_COLUMN = ("type", "format", "nullable", "on_bad_value", "pii")


def _check_relation(value: str) -> str:
    if not re.fullmatch(_RELATION, value):
        hint = "write schema.table; for a table of another database create a view in this one"
        raise MistakeError(f'"{value}" is not a table of the warehouse', hint)
    return value


RelationName = Annotated[str, AfterValidator(_check_relation), WithJsonSchema({"type": "string", "pattern": _RELATION})]


class RemoteExtract(Extract):
    """A job of another system that loads tables of the warehouse by itself."""

    type: Literal["remote_job"]
    connection: ConnectionId | None = Field(
        None,
        description="Airflow connection that holds the system's address and credentials.",
        examples=["airbyte_api"],
    )
    job: RemoteJob = Field(
        description="The job.", examples=[{"airbyte": {"connection_id": "8c775d4c-2b4d-4f3a-9c5b-6a1f2e3d4c5b"}}]
    )

    @model_validator(mode="after")
    def _has_connection(self) -> Self:
        if self.connection is None:
            hint = "add connection: with the name of an Airflow connection"
            raise MistakeError("extract needs a connection", hint, code="incomplete")
        return self


class RemoteTable(Table):
    """A table that another system loads. Its rows are counted and checked where they are."""

    schema_rules: ClassVar[Sequence[dict[str, Any]]] = (
        {"properties": dict.fromkeys(_OF_A_LOAD, False)},
        {
            "properties": {
                "columns": {"additionalProperties": {"properties": dict.fromkeys(_OF_A_COLUMN, False)}},
            }
        },
    )
    relation: RelationName = Field(
        description="The table, or a view on it, in the warehouse: schema.table.", examples=["raw.orders"]
    )
    loaded_at: ColumnName | None = Field(
        None,
        description=(
            "Column in which the tool says when it loaded a row. By default, the one that the job's system is known "
            "for (`_airbyte_extracted_at`, `_fivetran_synced`)."
        ),
        examples=["_airbyte_extracted_at"],
    )
    unchanged: Literal["fail", "allow"] = Field(
        "fail",
        description=(
            "What follows when the job has succeeded and neither new rows nor a newer business date are there: fail "
            "the task, or record a load of no rows, for tables that may not change for a while."
        ),
        examples=["allow"],
    )
    business_date_within: Duration | None = Field(
        None,
        description=(
            "Largest gap between the newest business date and the end of the window. Without it, the newest business "
            "date has to be later than that of the windows before."
        ),
        examples=["26h"],
    )

    # what another system does again does no harm
    write_disposition: WriteDisposition = Field("replace", description="How it is written.", examples=["replace"])

    @property
    def written(self) -> str:
        """How it is written, for people."""
        return "by another system"

    @property
    def stored_in(self) -> tuple[str, str]:
        """The schema and the name of the table in the warehouse."""
        schema, _, name = self.relation.partition(".")
        return schema, name

    @property
    def has_job(self) -> bool:
        """Whether another system does a job for a load."""
        return True

    @field_validator(*_OF_A_LOAD, mode="before")
    @classmethod
    def _not_written(cls, _: object, info: ValidationInfo) -> object:
        raise MistakeError(_NO_EFFECT.format(info.field_name), "remove it", at=(KEY,), code="conflict")

    @model_validator(mode="after")
    def _only_what_is_known(self) -> Self:
        raise_found([*_not_ours(self)])
        if self.business_date_within is not None and not self.business_date:
            hint = "add business_date: with the column that says when it happened"
            message = "business_date_within needs a business_date"
            raise MistakeError(message, hint, at=("business_date_within", KEY), code="incomplete")
        return self


def _not_ours(table: RemoteTable) -> Iterator[MistakeError]:
    for column, spec in table.columns.items():
        for name in _OF_A_COLUMN:
            if name in spec.model_fields_set:
                yield MistakeError(
                    _NO_EFFECT.format(name),
                    "remove it, or use checks",
                    at=("columns", column, name, KEY),
                    code="conflict",
                )


class RemoteSource(Source):
    """Tables that a job of another system loads."""

    extract: RemoteExtract = Field(
        description="The job that loads the tables.",
        examples=[
            {
                "type": "remote_job",
                "connection": "airbyte_api",
                "job": {"airbyte": {"connection_id": "8c775d4c-2b4d-4f3a-9c5b-6a1f2e3d4c5b"}},
            }
        ],
    )
    tables: dict[Name, RemoteTable] = Field(
        min_length=1,
        description="Tables that the job loads.",
        examples=[{"orders": {"relation": "raw.orders", "business_date": "order_date"}}],
    )

    @property
    def remote_job(self) -> RemoteJob:
        """The job that loads the tables."""
        return self.extract.job

    def loaded_at_of(self, table: str) -> str:
        """Return the column that says when a row of a table was loaded."""
        return self.tables[table].loaded_at or str(REMOTE_JOBS.get(self.extract.job.kind).loaded_at)

    @model_validator(mode="after")
    def _says_when(self) -> Self:
        for name in self.tables:
            if not self.loaded_at_of(name):
                message = f"{self.extract.job.kind} has no column of its own that says when a row was loaded"
                hint = "add loaded_at: with the column of the table that does"
                raise MistakeError(message, hint, at=("tables", name, "relation", KEY), code="incomplete")
        return self
