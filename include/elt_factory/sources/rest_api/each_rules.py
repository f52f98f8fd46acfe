"""What is wrong with children: names that no one gives, parents that are not there, circles."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

from elt_factory.config.errors import KEY, MistakeError, near_name
from elt_factory.config.models.templates import WINDOW_NAMES, is_own
from elt_factory.sources.rest_api.window_ends import is_of_a_day

if TYPE_CHECKING:
    from elt_factory.sources.rest_api.model import RestTable

_DAY = timedelta(days=1)
_COUNTED = re.compile(r"\bcount\s*\(\s*(distinct\s+)?$", re.IGNORECASE)


def each_mistakes(table: RestTable) -> Iterator[MistakeError]:
    """Yield what is wrong with `for_each` and `keep` of a table."""
    each = table.for_each
    yield from _slices_mistakes(table)
    yield from _split_mistakes(table)
    if each is None:
        if table.keep:
            hint = "add for_each:, or remove keep"
            yield MistakeError("keep needs for_each:", hint, at=("keep", KEY), code="conflict")
        return
    for column, name in table.keep.items():
        if not is_own(name, each.names):
            shapes = [f"{known}COLUMN" if known[-1] == "." else known for known in each.names]
            message = f'unknown name "{name}" in keep'
            yield MistakeError(message, f"use {' or '.join(shapes)}", at=("keep", column), code="unknown-name")
    used = {use.name for found in table.templates.values() for use in found}
    names = [known for known in each.names if not any(is_own(name, [known]) for name in used)]
    if names:
        what = f"{names[0]}COLUMN" if names[0][-1] == "." else names[0]
        message = "every request would be the same: no template uses what for_each gives"
        yield MistakeError(message, f'use "{{{{ {what} }}}}" in path or params', at=("for_each", KEY), code="conflict")


def _slices_mistakes(table: RestTable) -> Iterator[MistakeError]:
    """Yield what keeps the pieces of a window from being asked for, each moment of it once."""
    if table.slices is None:
        return
    at = ("slices", KEY)
    used = [use for found in table.templates.values() for use in found if use.name in WINDOW_NAMES]
    by_day = [use for use in used if is_of_a_day(use.filter)]
    if not used:
        message = "every piece would be asked for with the same request: no template uses the window"
        yield MistakeError(message, 'use "{{ window.start }}" in path or params', at=at, code="conflict")
    elif not by_day and not any(use.name == "window.end" or use.filter.startswith("format") for use in used):
        message = "each piece would be asked for up to the end of the window: no template says where it ends"
        hint = 'use "{{ window.end }}" too, or a day, as in "{{ window.start | date }}"'
        yield MistakeError(message, hint, at=at, code="conflict")
    elif len(by_day) == len(used) and table.slices % _DAY:
        message = "the templates ask for days, and a piece has another length: days would be repeated or left out"
        hint = 'write slices: 1d, or ask by the hour, as in "{{ window.start }}"'
        yield MistakeError(message, hint, at=("slices",), code="conflict")


def _split_mistakes(table: RestTable) -> Iterator[MistakeError]:
    """Yield what keeps the pieces of a window from being read by several tasks."""
    if table.split is None:
        return
    refused = {
        "split spreads the pieces of the window, and slices: is missing": (table.slices is None, "add slices: 1d"),
        "split and job exclude each other: the API does the work of a job": (table.job, "remove split"),
        "split needs requests that are known before anything is read, and for_each takes rows": (
            table.for_each and table.for_each.of_rows,
            "remove split, or list the values in for_each",
        ),
    }
    for message, (broken, hint) in refused.items():
        if broken:
            yield MistakeError(message, hint, at=("split", KEY), code="conflict")


def parent_mistakes(tables: Mapping[str, RestTable]) -> Iterator[MistakeError]:
    """Yield the parents that are not there, lead back to their child, or keep no value to ask with."""
    for name, table in tables.items():
        at = ("tables", name, "for_each")
        for parent in (one for one in table.parents if one in tables and tables[one].split):
            message = f"the rows of {parent} are landed in parts, and are together only when they are loaded"
            yield MistakeError(message, f"remove split from {parent}", at=at, code="conflict")
        unknown = [parent for parent in table.parents if parent not in tables]
        for parent in unknown:
            yield MistakeError(f'unknown table "{parent}"', near_name(parent, tables), at=at, code="unknown-table")
        way = _way_back(name, name, tables)
        if way:
            message = f"{name} would wait for itself: {' -> '.join((name, *way))}"
            yield MistakeError(message, "name a table that does not depend on this one", at=at, code="conflict")
        elif not unknown and table.parents:
            if table.query_of_keys is None:
                yield from _hidden(table, table.parents[0], tables[table.parents[0]], at)
            yield from _appended_again(name, tables, at)


def query_mistakes(name: str, tables: Mapping[str, RestTable]) -> Iterator[MistakeError]:
    """Yield the queries that ask with hashes of personal data; `name` is the config's."""
    for table_name, table in tables.items():
        at = ("tables", table_name, "for_each")
        if table.query_of_keys and all(parent in tables for parent in table.parents):
            yield from _hidden_in_query(table, name, tables, at)


def roots_of(name: str, tables: Mapping[str, RestTable]) -> list[RestTable]:
    """Return the tables without a parent that a table's parents, theirs and so on begin with."""
    found, to_look = dict[str, None](), [*tables[name].parents]
    while to_look:
        parent = to_look.pop()
        if parent in tables and parent not in found:
            found[parent] = None
            to_look += tables[parent].parents
    return [tables[parent] for parent in found if not tables[parent].parents]


def _appended_again(name: str, tables: Mapping[str, RestTable], at: tuple[str | int, ...]) -> Iterator[MistakeError]:
    """Yield a table that would append the rows of a parent's row again when that has changed."""
    table = tables[name]
    again = [parent for parent in table.parents if tables[parent].write_disposition in ("merge", "scd2")]
    by_window = any(root.takes_window for root in roots_of(name, tables))
    if again and by_window and table.appends_all_it_is_sent:
        message = f"a row of {again[0]} that has changed is read again, and would append its rows of {name} once more"
        hint = "use write_disposition: merge with a primary_key"
        yield MistakeError(message, hint, at=at, code="conflict")


def _way_back(name: str, start: str, tables: Mapping[str, RestTable], seen: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return a way from a table over its parents back to where it started; empty where there is none."""
    for parent in tables[name].parents:
        if parent == start:
            return (parent,)
        if parent in tables and parent not in seen:
            further = _way_back(parent, start, tables, (*seen, parent))
            if further:
                return (parent, *further)
    return ()


def _hidden_in_query(
    table: RestTable, name: str, tables: Mapping[str, RestTable], at: tuple[str | int, ...]
) -> Iterator[MistakeError]:
    """Yield the hashes that a query gives to templates, under the names of their columns or others.

    A query is not parsed: what it selects in a way that cannot be seen is not found.
    """
    query, each = table.query_of_keys or "", table.for_each
    read = table.parents or [one for one in tables if re.search(rf'\b{name}"?\."?{one}\b', query, re.IGNORECASE)]
    head = f"{each.of_rows}." if each else ""
    used = {use.name.removeprefix(head).casefold() for found in table.templates.values() for use in found}
    for parent in read:
        called = re.findall(rf'\b{parent}"?\s+(?:as\s+)?"?(\w+)', query, re.IGNORECASE)
        heads = {"", parent, *map(str.casefold, called)} if len(read) > 1 else None
        for column, declared in tables[parent].columns.items():
            if declared.pii and used.intersection(map(str.casefold, _selected(column, heads, query))):
                yield _of_hidden(parent, column, declared.pii, at)


def _selected(column: str, heads: Collection[str] | None, query: str) -> Iterator[str]:
    """Yield what a query calls a column that it selects, of tables that have one of these names; None: of any."""
    one = rf'(?:"?(\w+)"?\.)?"?(?<!\w){re.escape(column)}(?!\w)"?(?![.(])(?:\s*\))*(?:\s+(?:as\s+)?"?(\w+))?'
    for selected in re.findall(r"\bselect\b(.*?)(?:\bfrom\b|$)", query, re.IGNORECASE | re.DOTALL):
        if heads is None and re.search(r"(?<![(\w])\*", selected):
            yield column
        for found in re.finditer(one, selected, re.IGNORECASE):
            counted = _COUNTED.search(selected, 0, found.start())
            if not counted and (heads is None or (found[1] or "").casefold() in heads):
                yield found[2] or column


def _hidden(table: RestTable, parent: str, rows: RestTable, at: tuple[str | int, ...]) -> Iterator[MistakeError]:
    for column in table.columns_of_parent:
        declared = rows.columns.get(column)
        if declared and declared.pii:
            yield _of_hidden(parent, column, declared.pii, at)


def _of_hidden(parent: str, column: str, pii: str, at: tuple[str | int, ...]) -> MistakeError:
    done = {"hash": "hashed", "drop": "dropped"}[pii]
    message = f'"{parent}.{column}" is {done}, so the API cannot be asked with it'
    return MistakeError(message, f"remove pii from {parent}.{column}, or use another column", at=at, code="conflict")
