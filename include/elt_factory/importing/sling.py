"""A replication of sling as a config of a database."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from elt_factory.discover.periods import sane_name
from elt_factory.importing.beginning import above, after_the_last, begin, first_value
from elt_factory.importing.project import Imported, NotAProjectError, head_of, read_yaml, valid_only
from elt_factory.importing.shape import OTHERS, TEXTS, check

_UNSAID = {
    "sql": "its own SQL takes sling's variables: write query: with {{ cursor }}",
    "transforms": "transforms: write them in dbt",
    "hooks": "hooks",
    "select": "select: every column comes; columns: drops some by pii: drop",
    "files": "a list of files",
    "where": None,
}
_SAID = ("mode", "primary_key", "update_key", "where", "object", "disabled", "description")
_STREAM = {"primary_key": TEXTS, "update_key": "text", "mode": "text", "where": "text"}
_SHAPE = {"defaults": _STREAM, "streams": {OTHERS: _STREAM}}
_MODES = ("full-refresh", "truncate", "incremental", "snapshot", "backfill", "definition-only", "change-capture")


def imported(path: Path, since: str | None) -> list[Imported]:
    """Return the config of a replication.

    Args:
        path: Its file.
        since: The value of the update key up to which the old target has the rows: sling keeps it in the target alone.

    Raises:
        NotAProjectError: it is not a replication.
    """
    root = read_yaml(path)
    streams = root.get("streams")
    if isinstance(streams, Mapping):
        check(root, _SHAPE, path)
    if not isinstance(streams, Mapping) or not root.get("source"):
        raise NotAProjectError(f"{path}: not a replication of sling: source and streams are needed")
    name = sane_name(path.stem.removeprefix("replication").strip("._-") or str(root["source"])) or "imported"
    connection = sane_name(str(root["source"])) or "source"
    found = Imported(head_of(name))
    found.config |= {"extract": {"type": "sql", "connection": connection}, "tables": {}}
    found.held = {"type, host, schema, login, password": f"those of sling's connection {root['source']}"}
    for key in sorted(set(root) - {"source", "target", "defaults", "streams"}):
        found.left_out[str(key)] = "a key of the replication without a counterpart"
    schemas = {str(key).rpartition(".")[0] for key in streams if "://" not in str(key)} - {""}
    if len(schemas) == 1:
        found.config["extract"]["schema"] = next(iter(schemas))
    for stream, given in streams.items():
        whole = _whole(root, given)
        reason = _refusal(str(stream), whole, schemas)
        if reason:
            found.left_out[str(stream)] = reason
        else:
            _add(found, str(stream), whole, since)
    _of_one_key(found, since)
    begin(found.config)
    return [valid_only(found)]


def _of_one_key(found: Imported, since: str | None) -> None:
    """Say where one value cannot be that of all cursors."""
    tables = {name: made for name, made in found.config["tables"].items() if "incremental" in made}
    cursors = sorted({str(made["incremental"]["cursor"]) for made in tables.values()})
    for name in tables if since and len(cursors) > 1 else ():
        text = f"--since {since} was taken for each of {', '.join(cursors)}: write initial and where of its own cursor"
        found.note(name, text)


def _whole(root: Mapping[str, Any], given: Any) -> dict[str, Any]:
    return {**(root.get("defaults") or {}), **(given or {})}


def _refusal(stream: str, said: Mapping[str, Any], schemas: set[str]) -> str:
    """Return why a stream cannot be a table; empty text where it can."""
    mode = str(said.get("mode") or "full-refresh")
    checks = (
        (said.get("disabled"), "it is disabled"),
        ("://" in stream, "files are a config of their own: elt new --file"),
        (
            "*" in stream or "{" in stream,
            "its tables are not in the file: elt new --connection lists them",
        ),
        (mode not in _MODES[:3], f"mode {mode}"),
        (
            schemas and len(schemas) > 1 and stream.rpartition(".")[0],
            "tables of several schemas need a config for each",
        ),
        (re.search(r"[^\w.$\"`\[\]-]", stream), "a name that is not a table's"),
    )
    found = next((text for holds, text in checks if holds), "")
    return found or next((why for key, why in _UNSAID.items() if why and said.get(key)), "")


def _add(found: Imported, stream: str, said: Mapping[str, Any], since: str | None) -> None:
    origin = stream.rpartition(".")[2].strip('"`[]')
    table = sane_name(origin) or "records"
    made: dict[str, Any] = {} if table == origin else {"table": origin}
    if table in found.config["tables"]:
        found.left_out[stream] = f"another stream is the table {table}"
        return
    made |= _written(found, table, said, since)
    conditions = [str(said["where"])] if said.get("where") else []
    if conditions:
        found.note(table, "where was SQL of the source, and is asked of the rows that come")
    if since and "incremental" in made and not since.isdecimal():
        # runs begin with a day; rows of the very value may have come after the old target read it: a key finds them
        conditions.append(above(made["incremental"]["cursor"], since, ties="primary_key" in made))
    if conditions:
        made["where"] = conditions[0] if len(conditions) == 1 else f"({conditions[0]}) and {conditions[1]}"
    if others := sorted(key for key, value in said.items() if key not in (*_SAID, *_UNSAID) and value):
        found.note(table, f"keys without a counterpart: {', '.join(others)}")
    if said.get("object"):
        found.note(table, f"the old target is {said['object']}; this one is {found.config['name']}.{table}")
    found.config["tables"][table] = made


def _written(found: Imported, table: str, said: Mapping[str, Any], since: str | None) -> dict[str, Any]:
    key, cursor = _listed(said.get("primary_key")), said.get("update_key")
    made: dict[str, Any] = {"primary_key": key} if key else {}
    if said.get("mode") == "incremental" and cursor:
        made["write_disposition"] = "merge" if key else "append"
        made["incremental"] = {"cursor": str(cursor)}
        if since:
            made["incremental"]["initial"] = first_value(since, ties=bool(key))
        if since and not key:
            found.note(table, after_the_last(since))
        if not since:
            found.note(table, "where the old target ends is not in the file: elt import sling ... --since VALUE")
        return made
    if said.get("mode") == "incremental":
        found.note(table, "incremental without update_key: every load reads the whole table")
    return {**made, "write_disposition": "replace"}


def _listed(value: Any) -> list[str]:
    if isinstance(value, str):
        return [one.strip() for one in value.split(",") if one.strip()]
    return [str(one) for one in value or []]
