"""What only a SQL parser finds in quality checks: `elt validate` asks for it, reading a DAG does not."""

from __future__ import annotations

from collections.abc import Iterator

from elt_factory.config.errors import Problem
from elt_factory.config.mistakes.across import LoadedConfig
from elt_factory.config.models.checks import TABLE_CHECKS


def expression_problems(item: LoadedConfig) -> Iterator[Problem]:
    """Yield what is wrong with the SQL of a config's checks."""
    for name, checks in item.config.quality.items():
        table = item.config.all_tables.get(name)
        for index, check in enumerate(checks if table else ()):
            for mistake in TABLE_CHECKS.get(check.kind).sql_mistakes(check.spec, table):
                at = ("quality", name, index, check.kind, *mistake.at)
                yield Problem(item.source.at(at), mistake.code, mistake.message, mistake.hint)
