"""From which column of which table a column of a dbt model comes: what OpenLineage's reading of SQL leaves open.

Models begin with `with orders as (select * from <table>)`. OpenLineage's parser does not follow the star, and names
`orders` as the dataset, which is none. Here each CTE is read by itself, by the same parser, and what it says is joined.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple


def _words_of(text: str) -> re.Pattern[str]:
    return re.compile(
        r"""(?P<skipped> \s+ | --[^\n]* | /\*.*?\*/ )"""
        r"""| (?P<quoted> "(?:[^"]|"")*" | `[^`]*` )"""
        rf"""| (?P<text> {text} | \$\$.*?\$\$ )"""
        r"""| (?P<word> \w+ ) | (?P<sign> . )""",
        re.VERBOSE | re.DOTALL,
    )


_WORDS = _words_of(r"'(?:[^']|'')*'")
_WORDS_OF = {"snowflake": _words_of(r"'(?:[^'\\]|\\.|'')*'")}  # where a backslash escapes
_STAR = re.compile(r"\bselect\s+(?:distinct\s+)?(?:\w+\s*\.\s*)?\*", re.IGNORECASE)

Table = tuple[str | None, str | None, str]  # database, schema, name


class Origin(NamedTuple):
    """A column of a table."""

    table: Table
    column: str


@dataclass(frozen=True, eq=False)
class _Query:
    """A query, and the CTEs before it by name, each with those before itself."""

    text: str
    named: Mapping[str, _Query]
    dialect: str | None

    @cached_property
    def parsed(self) -> Any:
        """What OpenLineage's parser says of it; None where it says nothing."""
        from openlineage.common.sql import parse  # type: ignore[import-untyped]

        return parse([self.text], dialect=self.dialect)

    @cached_property
    def starred(self) -> Table | None:
        """The only table that it reads, with a star."""
        tables = [(one.database, one.schema, one.name) for one in self.parsed.in_tables] if self.parsed else []
        return tables[0] if len(tables) == 1 and _STAR.search(self.text) else None

    @cached_property
    def columns(self) -> dict[str, list[Origin]]:
        """Where each of its columns comes from."""
        inner = self.inner(self.starred)
        found = dict(inner.columns) if inner else {}
        for one in self.parsed.column_lineage if self.parsed else ():
            metas = [(meta.origin, meta.name) for meta in one.lineage if meta.origin]
            traced = [self.traced((origin.database, origin.schema, origin.name), name) for origin, name in metas]
            found[one.descendant.name] = list(dict.fromkeys(origin for origins in traced for origin in origins))
        return found

    def inner(self, table: Table | None) -> _Query | None:
        """Return the CTE that a table is."""
        return self.named.get(table[2].lower()) if table and table[:2] == (None, None) else None

    def traced(self, table: Table, column: str) -> list[Origin]:
        """Return where a column of a table that it reads comes from: of a CTE, what that reads."""
        inner = self.inner(table)
        if inner is None:
            return [Origin(table, column)]
        found = {name.lower(): origins for name, origins in inner.columns.items()}
        if column.lower() in found:
            return found[column.lower()]
        return inner.traced(inner.starred, column) if inner.starred else []


def complete(events: Iterable[Any]) -> None:
    """Say in OpenLineage's events of dbt models from which columns of which tables theirs come, in place."""
    for event in events:
        sql = (event.job.facets or {}).get("sql")
        for output in event.outputs or () if sql else ():
            _complete(output, event.inputs or (), sql)


def _complete(output: Any, inputs: Sequence[Any], sql: Any) -> None:
    from openlineage.client.facet_v2 import column_lineage_dataset as lineage

    names = {one.name.lower(): one.name for one in inputs}
    fields = {
        column: [lineage.InputField(output.namespace, name, field) for name, field in _named(origins, names)]
        for column, origins in origins_of(sql.query, sql.dialect).items()
    }
    found = {column: lineage.Fields(origins) for column, origins in fields.items() if origins}
    if found:
        output.facets["columnLineage"] = lineage.ColumnLineageDatasetFacet(found)
    elif not _is_of_tables(output.facets.get("columnLineage"), names):
        del output.facets["columnLineage"]


def _is_of_tables(told: Any, names: Mapping[str, str]) -> bool:
    """Whether what OpenLineage says itself names inputs alone, and no CTE."""
    fields = told.fields.values() if told else ()
    return all(one.name.lower() in names for field in fields for one in field.inputFields)


def _named(origins: Sequence[Origin], inputs: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the origins by the names of the inputs; of names without a schema only those that are inputs."""
    for (database, schema, table), column in origins:
        name = ".".join(filter(None, (database, schema, table)))
        if known := inputs.get(name.lower(), name if schema else None):
            yield known, column


def origins_of(sql: str, dialect: str | None = None) -> dict[str, tuple[Origin, ...]]:
    """Return of each column of a query from which columns it is computed; columns that are not said are left out."""
    found = _split(sql, dialect).columns
    return {column: tuple(origins) for column, origins in found.items() if origins}


def _split(sql: str, dialect: str | None) -> _Query:
    """Split a query into its CTEs and what comes after them."""
    words = [word for word in _WORDS_OF.get(dialect or "", _WORDS).finditer(sql) if word.lastgroup != "skipped"]
    named: dict[str, _Query] = {}
    place, rest = _first_name(words), sql
    while place:
        opened = next((at for at in range(place, len(words)) if _opens_a_body(words, at)), None)
        if opened is None:
            break
        closed = _closed(words, opened)
        body = sql[words[opened].end() : words[closed].start()]
        named[words[place][0].strip('"`').lower()] = _Query(body, dict(named), dialect)
        rest = sql[words[closed].end() :]
        place = closed + 2 if closed + 1 < len(words) and words[closed + 1][0] == "," else 0
    return _Query(rest, named, dialect)


def _first_name(words: Sequence[re.Match[str]]) -> int:
    """Return the place of the first CTE's name; 0 where a query begins without one."""
    first = [word[0].lower() for word in words[:2]]
    return 0 if first[:1] != ["with"] else 2 if first[1:] == ["recursive"] else 1


def _opens_a_body(words: Sequence[re.Match[str]], at: int) -> bool:
    """Whether the query of a CTE begins at a parenthesis, and not the list of its columns."""
    return words[at][0] == "(" and words[at - 1][0].lower() in ("as", "materialized")


def _closed(words: Sequence[re.Match[str]], opened: int) -> int:
    depth = 0
    for at in range(opened, len(words)):
        depth += {"(": 1, ")": -1}.get(words[at][0], 0)
        if not depth:
            return at
    return len(words) - 1
