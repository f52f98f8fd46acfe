"""One resource of a configuration of dlt as a table: its request, its records, how it is written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from elt_factory.discover.periods import sane_name
from elt_factory.importing.dlt_rest.cursors import Cursor, cursor_of
from elt_factory.importing.dlt_rest.literals import SPREAD, Unknown
from elt_factory.importing.dlt_rest.requesting import auth_of, paging_of
from elt_factory.importing.dlt_rest.saying import Words, hidden, path, path_of, shown, steps
from elt_factory.importing.manifest.saying import UnsaidError

_RECORDS = "dlt finds the list of records in the answer by itself: write records: where the answer is not the list"
CHOSEN = "is chosen"
_NO_BEGINNING = "write where it begins: start_date, catchup: true"
_KNOWN = {"name", "endpoint", "write_disposition", "primary_key", "merge_key", "columns", "include_from_parent"}
_KNOWN |= {"processing_steps", "table_name", "selected", "parallelized", "max_table_nesting"}
_ENDPOINT = {"path", "method", "params", "json", "data", "paginator", "data_selector", "response_actions"}
_ENDPOINT |= {"incremental", "auth", "headers"}
_TYPES = {"text": "text", "double": "float", "bool": "boolean", "timestamp": "timestamp", "date": "date"}
_TYPES |= {"bigint": "integer", "json": "json", "complex": "json"}
_PLACEHOLDER = re.compile(r"\{([\w-]+)\}")
_ENDS_WITH_ONE = re.compile(r"\{[\w.-]+\}[^/]*/?$")


@dataclass
class TableSaid:
    """A table as a resource describes it.

    Args:
        table: What the config says of it.
        parents: The table that it is read with, and which columns it needs of that: the column, its path.
        cursor: What it is read by.
        notes: What a person has to look at.
    """

    table: dict[str, Any] = field(default_factory=dict)
    parents: dict[str, dict[str, str]] = field(default_factory=dict)
    cursor: Cursor | None = None
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Shared:
    """What the tables of a configuration share: its address, params, and fields of the connection."""

    base: Any
    params: dict[str, Any]
    held: dict[str, str]


def whole_of(resource: Any, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return a resource with its name, and what all of them have.

    Raises:
        UnsaidError: it is code.
    """
    given = {"name": resource, "endpoint": {"path": resource}} if isinstance(resource, str) else resource
    if not isinstance(given, Mapping):
        raise UnsaidError(f"a resource by code: {shown(given)}")
    if SPREAD in given:
        raise UnsaidError(f"a part of it is code: {shown(given[SPREAD])}")
    own, usual = given.get("endpoint", {}), defaults.get("endpoint") or {}
    own = {"path": own} if isinstance(own, str) else own
    if not isinstance(own, Mapping) or not isinstance(usual, Mapping) or SPREAD in own:
        raise UnsaidError(f"its endpoint is code: {shown(own)}")
    if not isinstance(given.get("name"), str):
        raise UnsaidError(f"its name is code: {shown(given.get('name'))}")
    endpoint = {**usual, **own}
    for name in ("params", "json"):
        sides = [one.get(name) or {} for one in (usual, own)]
        if any(sides) and all(isinstance(side, Mapping) for side in sides):
            endpoint[name] = {**sides[0], **sides[1]}
    return {**defaults, **given, "endpoint": {"path": given.get("name"), **endpoint}}


def table_of(resource: Mapping[str, Any], state: Mapping[str, Any], shared: Shared) -> TableSaid:
    """Return the table of a resource.

    Args:
        resource: All that is said of it.
        state: What the pipeline has kept of it.
        shared: What all tables have.

    Raises:
        UnsaidError: it says something that no config can.
    """
    endpoint, said = resource["endpoint"], TableSaid()
    said.cursor = cursor_of(endpoint, state)
    ends = (said.cursor.start, said.cursor.end) if said.cursor else (None, None)
    words = Words(shared.params, *ends)
    _request(endpoint, words, shared, said)
    if "paginator" in endpoint:
        said.table["paginator"] = paging_of(endpoint["paginator"], said.notes)
    if endpoint.get("auth") is not None:
        said.table["auth"] = auth_of(endpoint["auth"], shared.held, words)
    _records(endpoint, said)
    _answers(endpoint.get("response_actions"), said)
    _kept(resource, words, said)
    said.parents = words.parents
    if len(said.parents) > 1:
        raise UnsaidError(f"it is read with several resources: {', '.join(said.parents)}")
    if said.parents:
        said.table["for_each"] = next(iter(said.parents))
    _steps(resource.get("processing_steps"), said)
    _written(resource, said)
    odd = sorted(map(str, (set(resource) - _KNOWN) | (set(endpoint) - _ENDPOINT)))
    if odd:
        said.notes.append(f"keys without a counterpart: {', '.join(odd)}")
    return said


def _request(endpoint: Mapping[str, Any], words: Words, shared: Shared, said: TableSaid) -> None:
    method = str(endpoint.get("method") or "GET").upper()
    if method not in ("GET", "POST"):
        raise UnsaidError(f"requests with {method}")
    given = endpoint.get("params") or {}
    if not isinstance(given, Mapping) or SPREAD in given:
        raise UnsaidError(f"its params are code: {shown(given.get(SPREAD) if isinstance(given, Mapping) else given)}")
    params = dict(given)
    address = _path(endpoint.get("path"), params, words, shared)
    made: dict[str, Any] = {"path": address}
    cursor = said.cursor
    for name, end in (cursor.params if cursor else {}).items():
        params[name] = cursor.start if cursor and end == "start" else cursor.end if cursor else None
    for key, value in (("params", params), ("headers", endpoint.get("headers")), ("json", endpoint.get("json"))):
        if value and (found := words.text(value)):
            made[key] = found
    if endpoint.get("data") is not None:
        data = words.text(endpoint["data"])
        made["form" if isinstance(data, Mapping) else "body"] = data
    if method == "POST" and not {"json", "form", "body"} & set(made):
        made["json"] = {}
    said.table |= made


def _path(given: Any, params: dict[str, Any], words: Words, shared: Shared) -> str:
    """Return the path of an endpoint, with the parameters that appear in it taken out of the others."""
    if isinstance(given, str):
        for name in _PLACEHOLDER.findall(given):
            if name not in params:
                raise UnsaidError(f"its path has {{{name}}}, and its params have no {name}")
            given = given.replace(f"{{{name}}}", _value_in_path(params.pop(name), words))
    text = str(words.text(given))
    if "://" in text:
        base = shared.base if isinstance(shared.base, str) else ""
        if not base or not text.startswith(base):
            raise UnsaidError(f"it is not below the others' address: {text[:80]}; write a config of its own")
        text = text.removeprefix(base)
    return "/" + text.lstrip("/")


def _value_in_path(value: Any, words: Words) -> str:
    if isinstance(value, Mapping) and value.get("type") == "resolve":
        return "{{ " + words.of_parent(str(value.get("resource")), str(value.get("field"))) + " }}"
    return str(words.text(value))


def _records(endpoint: Mapping[str, Any], said: TableSaid) -> None:
    selector, way = endpoint.get("data_selector"), endpoint.get("path")
    one = isinstance(way, str) and _ENDS_WITH_ONE.search(way) is not None
    if selector is None and one:
        said.table["records"] = {"one": True}
        said.table.setdefault("paginator", {"type": "single_page"})
    elif selector is None:
        said.notes.append(_RECORDS)
    elif selector == "$":
        said.table["records"] = {"one": True} if one else None
    else:
        parts = steps(selector)
        # what dlt selects is gone through where it is a list
        said.table["records"] = path_of(parts[:-1] if parts[-1] == "[*]" else parts) or None
    if said.table.get("records", ...) is None:
        del said.table["records"]


def _answers(actions: Any, said: TableSaid) -> None:
    rules = []
    for one in actions or []:
        known = isinstance(one, Mapping) and set(one) <= {"status_code", "content", "action"}
        status = one.get("status_code") if known else None
        if not known or one.get("action") not in ("ignore", "raise", "fail") or not isinstance(status, int | None):
            said.notes.append(f"response_actions: {shown(one)} is not convertible: answers: says what answers mean")
            continue
        rule = {"status": status, "contains": one.get("content"), "do": "skip" if one["action"] == "ignore" else "fail"}
        rules.append({key: value for key, value in rule.items() if value is not None})
    if rules:
        said.table["answers"] = rules


def _kept(resource: Mapping[str, Any], words: Words, said: TableSaid) -> None:
    fields = resource.get("include_from_parent") or []
    if fields and not words.parents:
        said.notes.append("include_from_parent without a parent")
        return
    for name in fields:
        (parent,) = words.parents
        # dlt's own name of such a column
        said.table.setdefault("keep", {})[f"_{parent}_{sane_name(str(name))}"] = words.of_parent(parent, str(name))


def _steps(given: Any, said: TableSaid) -> None:
    """Take filters that compare; what else is done to records is named, with its code."""
    for step in given if isinstance(given, list) else []:
        for kind, code in step.items() if isinstance(step, Mapping) else ():
            said.notes.append(
                f"processing_steps: {kind} {shown(code)} is not convertible: it is not done to the records here; "
                "write where:, pii:, or dbt"
            )
    if isinstance(given, Unknown):
        said.notes.append(f"processing_steps: {shown(given)} is not convertible")


def _written(resource: Mapping[str, Any], said: TableSaid) -> None:
    table, cursor = said.table, said.cursor
    key = _listed(resource.get("primary_key"), said)
    if key:
        table["primary_key"] = key
    kind = _disposition(resource.get("write_disposition"), said, keyed=bool(key))
    if cursor:
        _changes(cursor, said)
    table["write_disposition"] = kind
    if kind == "append" and not cursor and not said.parents:
        said.notes.append("append without a cursor: every run adds all rows again, here as with dlt")
    if resource.get("table_name"):
        said.notes.append(f"dlt's table is {shown(resource['table_name'])}")
    if resource.get("selected") is False:
        said.notes.append("dlt does not load it (selected): remove it where no table is read with it")
    if cursor and (newer := cursor.newer()):
        table["where"] = newer
        if not key:
            # dlt knows them by hashes in its state
            said.notes.append(f"rows with the last value {cursor.last} come once more: there is no key to find them by")
    _columns(resource.get("columns"), said)


def _disposition(given: Any, said: TableSaid, *, keyed: bool) -> str:
    strategy = given.get("strategy") if isinstance(given, Mapping) else None
    kind = given.get("disposition", "merge") if isinstance(given, Mapping) else given
    if isinstance(kind, Unknown):
        said.notes.append(f"write_disposition is code: {shown(kind)}")
        kind = None
    if kind is None:
        kind = ("merge" if keyed else "append") if said.cursor else "replace"
        said.notes.append(f"write_disposition is not in the code, and dlt's own is append: {kind} {CHOSEN}")
    if kind == "append" and keyed and said.cursor and isinstance(said.cursor.last, int):
        kind = "merge"
        said.notes.append("append with a cursor that is a number: merge is used, by the primary key")
    if kind == "replace" and said.cursor:
        raise UnsaidError("a cursor, and write_disposition replace: dlt keeps only what has changed since")
    return "scd2" if strategy == "scd2" else str(kind)


def _changes(cursor: Cursor, said: TableSaid) -> None:
    table = said.table
    table["incremental"] = dict(cursor.incremental)
    if cursor.way:
        table.setdefault("flatten", {})[cursor.column] = cursor.way
    if cursor.day or cursor.last is None:
        table.setdefault("columns", {})[cursor.column] = {"type": "timestamp"}
    if not cursor.taken_over:
        begins = f"it begins at dlt's initial value, {cursor.last}" if cursor.last is not None else _NO_BEGINNING
        said.notes.append(f"no state of it was found: {begins}; elt import dlt ... --state FILE")


def _columns(given: Any, said: TableSaid) -> None:
    for name, about in given.items() if isinstance(given, Mapping) else ():
        kind = _TYPES.get(str(about.get("data_type"))) if isinstance(about, Mapping) else None
        if kind and str(name) not in said.table.get("columns", {}):
            said.table.setdefault("columns", {})[str(name)] = {"type": kind}
        elif isinstance(about, Mapping) and about.get("data_type") and kind is None:
            said.notes.append(f"the type of {name}: {shown(about['data_type'])}")
    if given and not isinstance(given, Mapping):
        said.notes.append(f"columns are code: {shown(given)}")


def _listed(given: Any, said: TableSaid) -> list[str]:
    found = [given] if isinstance(given, str) else given if isinstance(given, list) else []
    if (given is not None and not found) or not all(isinstance(one, str) for one in found):
        said.notes.append(f"primary_key is code: {shown(given)}")
        return []
    return [path(one) for one in found if not hidden(one)]
