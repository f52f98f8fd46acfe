"""What only a SQL parser finds in conditions and checks: `elt validate` asks for it, reading a DAG does not."""

from __future__ import annotations

from collections.abc import Iterator

from elt_factory.checks.expression import condition_mistakes, not_condition, not_duckdb
from elt_factory.config.errors import Problem
from elt_factory.config.mistakes.across import LoadedConfig
from elt_factory.config.models.checks import QUARANTINE, TABLE_CHECKS, Check
from elt_factory.config.models.source import Config
from elt_factory.config.models.table import Path, Table


def expression_problems(item: LoadedConfig) -> Iterator[Problem]:
    """Yield what is wrong with the SQL of a config's checks, and of the conditions of its tables."""
    for name, filtered in item.config.all_tables.items():
        for mistake in not_condition("where", filtered.where) if filtered.where else ():
            yield Problem(item.source.at(("tables", name, "where")), mistake.code, mistake.message, mistake.hint)
    for name, checks in item.config.quality.items():
        table = item.config.all_tables.get(name)
        for index, check in enumerate(checks if table else ()):
            more = not_duckdb(check.kind, check.spec) if check.severity == QUARANTINE else ()
            for mistake in (*TABLE_CHECKS.get(check.kind).sql_mistakes(check.spec, table), *more):
                at = ("quality", name, index, check.kind, *mistake.at)
                yield Problem(item.source.at(at), mistake.code, mistake.message, mistake.hint)
    for path, asked, of in _with_conditions(item.config):
        where = asked.where or ""
        more = not_duckdb("where", where) if asked.severity == QUARANTINE else ()
        for mistake in (*condition_mistakes("where", where, of), *more):
            yield Problem(item.source.at((*path, "where")), mistake.code, mistake.message, mistake.hint)


def _with_conditions(config: Config) -> Iterator[tuple[Path, Check, Table]]:
    """Yield the checks that look at some rows only, each with its place and its table."""
    for name, table in config.all_tables.items():
        for index, check in enumerate(config.quality.get(name, ())):
            if check.where:
                yield ("quality", name, index), check, table
        for column_name, column in table.columns.items():
            for index, of_column in enumerate(column.checks):
                if of_column.where:
                    yield ("tables", name, "columns", column_name, "checks", index), of_column, table
