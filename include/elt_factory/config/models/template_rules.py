"""Templates that are written right, and whose value no one gives: a param that is not there, a cursor that is none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from elt_factory.config.errors import MistakeError
from elt_factory.config.models.table import Path, Table
from elt_factory.config.models.templates import CURSOR, Use, Value
from elt_factory.config.synonyms import near_word

_NUMBERS = ("integer", "decimal", "float")


def template_mistakes(tables: Mapping[str, Table], params: Mapping[str, Value]) -> Iterator[MistakeError]:
    """Yield what is wrong with the templates of a config's tables."""
    for name, table in tables.items():
        for path, found in table.templates.items():
            at = ("tables", name, *path)
            for use in found:
                yield from _unknown_param(use, params, at)
                yield from _no_cursor(use, table, at)


def unused_params(tables: Mapping[str, Table], params: Mapping[str, Value]) -> list[str]:
    """Return the params that no template names."""
    used = {use.name for table in tables.values() for found in table.templates.values() for use in found}
    return [name for name in params if f"params.{name}" not in used]


def _unknown_param(use: Use, params: Mapping[str, Value], at: Path) -> Iterator[MistakeError]:
    name = use.name.removeprefix("params.")
    if name == use.name or name in params:
        return
    near = near_word(name, params)
    hint = near if near.startswith("did you mean") else f"add params: {{{name}: ...}} to the config"
    yield MistakeError(f'unknown param "{name}"', hint, at=at, code="unknown-name")


def _no_cursor(use: Use, table: Table, at: Path) -> Iterator[MistakeError]:
    if use.name != CURSOR:
        return
    incremental = table.incremental
    if incremental is None:
        hint = "add incremental: {cursor: ...} to the table"
        yield MistakeError('"cursor" needs incremental:', hint, at=at, code="conflict")
        return
    number = isinstance(incremental.initial, int)
    if use.filter and number:
        message = f'the filter "{use.filter}" applies to times only, but the cursor is a number (see initial:)'
        yield MistakeError(message, "remove the filter", at=at)
    column = table.columns.get(incremental.cursor)
    if column and column.type and column.type.name in _NUMBERS and not number:
        message = f'the cursor "{incremental.cursor}" is not a time, so the start of the first extract is unknown'
        yield MistakeError(message, "add initial: 0 to incremental:", at=at, code="conflict")
