"""Columns that a config names and does not declare, while it declares one of nearly that name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import SequenceMatcher

from elt_factory.config.models.checks import TABLE_CHECKS
from elt_factory.config.models.source import Config
from elt_factory.config.models.table import Path, Table

_NEAR = 0.8
_DIGITS = re.compile(r"[0-9]+")


def misspelt_columns(config: Config) -> Iterator[tuple[Path, str, str]]:
    """Where a column is named, its name, and the declared one that is likely meant."""
    for name, table in config.all_tables.items():
        for path, column in [*_named(name, table), *_checked(name, config)]:
            near = next((known for known in table.columns if _is_near(column, known)), None)
            if near and column not in table.columns:
                yield path, column, near


def _named(name: str, table: Table) -> Iterator[tuple[Path, str]]:
    at = ("tables", name)
    yield from (((*at, "primary_key"), column) for column in table.primary_key)
    yield from (((*at, "cluster_by"), column) for column in table.cluster_by)
    if table.incremental:
        yield (*at, "incremental", "cursor"), table.incremental.cursor
    if table.business_date:
        yield (*at, "business_date"), table.business_date


def _checked(name: str, config: Config) -> Iterator[tuple[Path, str]]:
    for index, check in enumerate(config.quality.get(name, ())):
        named = TABLE_CHECKS.get(check.kind).columns(check.spec)
        yield from ((("quality", name, index, check.kind), column) for column, _ in named)


def _is_near(name: str, known: str) -> bool:
    """Whether names differ by case or a slip; those that differ by their numbers, line_1 and line_2, are two."""
    if _DIGITS.sub("", name) == _DIGITS.sub("", known):
        return False
    return name.casefold() == known.casefold() or SequenceMatcher(None, name, known).ratio() >= _NEAR
