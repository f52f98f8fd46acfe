"""What the UI says of a DAG, out of its YAML: the pipeline's specification, its lineage, its data dictionary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from elt_factory.config.models.in_words import (
    PII,
    alerts_words,
    covers_words,
    deadline_words,
    retries_words,
    role_words,
)
from elt_factory.config.models.source import Config, TransformOnly
from elt_factory.config.models.table import Column, Table

_TABLES = ("table", "one row is", "key", "written", "business date")
_COLUMNS = ("column", "type", "empty?", "description", "role", "checks")


def dag_document(config: Config) -> str:
    """Return the document as Markdown."""
    lines = [f"### {config.name}", "", config.description, ""]
    lines += [f"- **{name}** {_plain(text)}" for name, text in _facts(config) if text]
    tables = config.all_tables
    if tables:
        lines += ["", *_grid(_TABLES, [_table_row(name, table) for name, table in tables.items()])]
    for name, table in tables.items():
        rows = list(_column_rows(table))
        if rows:
            lines += ["", f"#### {name}", "", *_grid(_COLUMNS, rows)]
    return "\n".join(lines)


def _facts(config: Config) -> Iterator[tuple[str, str]]:
    yield "owner", config.owner
    yield "schedule", f"`{config.schedule}` {config.timezone}" if config.schedule else "manual"
    yield "covers", covers_words(config)
    yield "deadline", deadline_words(config)
    yield "budget", config.budget.words if config.budget else ""
    yield "source", _source(config)
    yield "sensors before extract", "; ".join(sensor.words for sensor in config.sensors.before_extract)
    yield "sensors before transform", "; ".join(sensor.words for sensor in config.sensors.before_transform)
    yield "transforms", f"dbt `{config.transform.dbt.select}`" if config.transform.dbt else ""
    yield "lineage", _lineage(config)
    checks = [f"{table}: {check.words}" for table, found in config.quality.items() for check in found]
    yield "checks", "; ".join(checks)
    yield "trigger form params", ", ".join(f"{name} ({default})" for name, default in config.params.items())
    yield "retries", retries_words(config)
    yield "alerts", alerts_words(config)


def _source(config: Config) -> str:
    if isinstance(config, TransformOnly):
        return "other pipelines"
    kind, connection = config.extract.type, config.extract.connection
    return f"{kind} behind the connection `{connection}`" if connection else kind


def _lineage(config: Config) -> str:
    if isinstance(config, TransformOnly):
        return ""
    loaded = ", ".join(f"`{config.name}.{table}`" for table in config.tables)
    models = f" → dbt `{config.transform.dbt.select}`" if config.transform.dbt else ""
    return f"`{config.extract.connection or config.extract.type}` → {loaded}{models}"


def _table_row(name: str, table: Table) -> tuple[str, ...]:
    return name, table.description, ", ".join(table.primary_key), table.written, table.business_date or ""


def _column_rows(table: Table) -> Iterator[tuple[str, ...]]:
    """Yield the columns that the YAML names; others are found in the data and added."""
    roles = role_words(table)
    for name in dict.fromkeys((*roles, *table.columns)):
        column = table.columns.get(name, Column())
        kind = "text" if column.pii == "hash" else str(column.type or "inferred")
        empty = "nullable" if column.nullable and name not in table.primary_key else "never"
        told = [*roles.get(name, ()), *([PII[column.pii]] if column.pii else [])]
        yield name, kind, empty, column.description, ", ".join(told), "; ".join(check.words for check in column.checks)


def _grid(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [heads, ["---"] * len(heads), *rows]
    return [f"| {' | '.join(map(_cell, line))} |" for line in lines]


def _cell(text: str) -> str:
    """Return a text that neither ends its cell nor its row."""
    return _plain(text).replace("|", r"\|") or "-"


def _plain(text: str) -> str:
    return " ".join(text.split())
