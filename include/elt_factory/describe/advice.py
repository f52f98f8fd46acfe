"""Warnings: what is legal in a config, and unwise."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

from elt_factory.config.errors import Problem
from elt_factory.config.mistakes.across import LoadedConfig
from elt_factory.config.models.checks import TABLE_CHECKS
from elt_factory.config.models.sensors import STAGES, Awaited
from elt_factory.config.models.source import SOURCES, Config, Pipeline, Source
from elt_factory.config.models.table import Table
from elt_factory.config.models.template_rules import unused_params
from elt_factory.describe.misspelt import misspelt_columns

Finding = tuple[tuple[str | int, ...], str, str, str]  # path, code, message, hint

_FAR = timedelta(days=366)
_NOBODY: str = Pipeline.model_fields["owner"].default


def advice(item: LoadedConfig, dated: Mapping[str, Sequence[Awaited]]) -> Iterator[Problem]:
    """Yield what a careful colleague would ask about a config.

    Args:
        item: The config.
        dated: What the sensors of its folder ask of business dates, by source (`dated_sensors`).
    """
    watched = _watched(item.config, dated.get(item.config.name, ()))
    yield from _idle_params(item)
    for ask in _OF_THE_RUN:
        yield from (_problem(item, finding) for finding in ask(item.config))
    for name, table in item.config.all_tables.items():
        for look in _OF_A_TABLE:
            yield from (_problem(item, finding) for finding in look(name, table))
        if table.business_date and name not in watched:
            message = f"no check or sensor covers the freshness of {name}.{table.business_date}"
            hint = f"add quality: {{{name}: [{{freshness: {{business_date_within: 26h}}}}]}}, or a sensor"
            yield _problem(item, (("tables", name, "business_date"), "no-freshness", message, hint))


def _problem(item: LoadedConfig, finding: Finding) -> Problem:
    path, code, message, hint = finding
    return Problem(item.source.at_key(path), code, message, hint)


def _idle_params(item: LoadedConfig) -> Iterator[Problem]:
    """Params of this file that nothing names; those of the defaults may be meant for others."""
    for name in unused_params(item.config.all_tables, item.config.params):
        position = item.source.at_key(("params", name))
        if position.file == item.file:
            hint = f'use "{{{{ params.{name} }}}}" in a path, params or query, or remove it'
            yield Problem(position, "unused-param", f'unused param "{name}"', hint)


def dated_sensors(configs: Iterable[LoadedConfig]) -> Mapping[str, Sequence[Awaited]]:
    """Return what sensors ask of the business dates of each source, from any of the configs."""
    found: dict[str, list[Awaited]] = {}
    for item in configs:
        for stage in STAGES:
            for sensor in getattr(item.config.sensors, stage):
                awaited = sensor.awaited
                if awaited and awaited.business_date_within is not None:
                    found.setdefault(awaited.source or item.config.name, []).append(awaited)
    return found


def _watched(config: Config, sensors: Sequence[Awaited]) -> set[str]:
    """Return the tables whose business date a check or a sensor looks at."""
    checked = {
        name
        for name, checks in config.quality.items()
        for check in checks
        if TABLE_CHECKS.get(check.kind).watches_business_date(check.spec)
    }
    return checked | {table for awaited in sensors for table in awaited.tables or config.all_tables}


def _owner(config: Config) -> Iterator[Finding]:
    if config.owner == _NOBODY:
        yield ("owner",), "no-owner", "this config has no owner", "add owner: here or in _defaults.yaml"


def _deadline(config: Config) -> Iterator[Finding]:
    if config.schedule and config.deadline is None:
        yield ("schedule",), "no-deadline", "no alert is sent when a run is late", "add deadline: {within: 2h}"


def _start(config: Config) -> Iterator[Finding]:
    if config.start_date > datetime.now(UTC).date() + _FAR:
        yield ("start_date",), "start-in-future", f"no run starts before {config.start_date}", "use an earlier date"


def _first_value(config: Config) -> Iterator[Finding]:
    """Where a cursor begins in a year to come."""
    for name, table in config.all_tables.items():
        initial = table.incremental.initial if table.incremental else None
        if isinstance(initial, date) and initial.year > (datetime.now(UTC) + _FAR).year:
            at = ("tables", name, "incremental", "initial")
            yield at, "start-in-future", f"nothing before {initial:%Y-%m-%d} is read", "use an earlier date"


def _of_the_kind(config: Config) -> Iterator[Finding]:
    if isinstance(config, Source):
        yield from SOURCES.get(config.extract.type).advice(config)


def _quality(config: Config) -> Iterator[Finding]:
    tables = config.all_tables
    checked = any(config.quality.values()) or any(c.checks for t in tables.values() for c in t.columns.values())
    if tables and not checked:
        hint = f"add quality: {{{next(iter(tables))}: [{{row_count: {{min: 1}}}}]}}, or checks to columns"
        yield ("tables",), "no-quality", "loaded rows are not checked", hint


def _column(config: Config) -> Iterator[Finding]:
    for path, column, near in misspelt_columns(config):
        message = f'column "{column}" is not declared, but "{near}" is'
        yield path, "near-column", message, f'did you mean "{near}"? Otherwise declare {column}: under columns:'


def _business_date(name: str, table: Table) -> Iterator[Finding]:
    # a table that is exchanged whole has no past that could end, and a history says itself since when a row holds
    if table.business_date is None and table.write_disposition not in ("replace", "scd2"):
        hint = "add business_date: with the column that holds when the event happened"
        yield ("tables", name), "no-business-date", f"{name} has no business date", hint


def _lag(name: str, table: Table) -> Iterator[Finding]:
    incremental = table.incremental
    if incremental is None:
        return
    at = ("tables", name, "incremental")
    by_time = not isinstance(incremental.initial, int)
    if table.write_disposition in ("merge", "scd2") and by_time and not incremental.lag:
        hint = f"add lag: 1h next to cursor: {incremental.cursor}"
        yield at, "no-lag", "rows that arrive late, behind the cursor, are never read", hint


def _again(name: str, table: Table) -> Iterator[Finding]:
    # of files the ledger says which ones were loaded
    again = not table.takes_window and not table.of_files and table.incremental is None
    if table.write_disposition == "append" and again:
        hint = "use write_disposition: merge or replace, or read by window"
        yield ("tables", name), "append-again", f"every run appends all rows of {name} again", hint


def _picture(name: str, table: Table) -> Iterator[Finding]:
    if table.write_disposition == "scd2" and table.takes_window and table.incremental is None:
        message = f"only a window's rows of {name} are read, so the versions of all other rows end"
        hint = "add incremental: with the column that holds when a row changed, unless each response has all rows"
        yield ("tables", name, "write_disposition"), "window-is-all", message, hint


def _where(name: str, table: Table) -> Iterator[Finding]:
    # a load that exchanges all rows has no old versions
    keeps = table.write_disposition == "merge" or (table.write_disposition == "scd2" and table.incremental)
    follows = table.follows_deletes
    # a key that is compared is still there
    if table.where and keeps and (follows is None or follows.marker is None):
        message = f"a row of {name} that no longer meets where keeps its old version in the warehouse"
        can = "deletes" in type(table).model_fields and table.write_disposition == "merge" and not follows
        hint = f"{'add deletes: {filtered: true}, or ' if can else ''}filter in the transform"
        yield ("tables", name, "where"), "where-keeps-old", message, hint


def _json_key(name: str, table: Table) -> Iterator[Finding]:
    """Yield columns of a key that warehouses compare as JSON, each in its own way."""
    for key in table.primary_key if table.write_disposition != "replace" and not table.stored_in else ():
        column = table.columns.get(key)
        if column and column.pii != "hash" and column.type and column.type.name == "json":
            message = (
                f'"{key}" is part of the primary_key, and Snowflake does not find json again: rows are loaded twice'
            )
            hint = "write type: text, which keeps it as it is written, and run once with full refresh"
            yield ("tables", name, "columns", key, "type"), "json-key", message, hint


_OF_THE_RUN: tuple[Callable[[Config], Iterator[Finding]], ...] = (
    _owner,
    _deadline,
    _start,
    _first_value,
    _of_the_kind,
    _quality,
    _column,
)
_OF_A_TABLE: tuple[Callable[[str, Table], Iterator[Finding]], ...] = (
    _business_date,
    _lag,
    _again,
    _picture,
    _where,
    _json_key,
)
