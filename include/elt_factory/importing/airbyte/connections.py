"""Connections of Airbyte as configs: their streams, keys and cursors, from the state that they had."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from elt_factory.config.models import secrets
from elt_factory.discover.periods import sane_name
from elt_factory.importing.airbyte.said import (
    DATABASES,
    WHOLE,
    Computed,
    ConnectionSaid,
    SourceSaid,
    StreamSaid,
    computed_in,
    pick,
)
from elt_factory.importing.airbyte.schedules import schedule_of
from elt_factory.importing.airbyte.states import OF_SOURCE, StateFound, message, state_of
from elt_factory.importing.beginning import above, after_the_last, begin, first_value
from elt_factory.importing.project import KEPT_ALL, Imported, head_of, valid_only, with_own_names
from elt_factory.sources.connectors.known import AIRBYTE_PREFIX

# finds the package of a connector with its version: that which ran, else the newest; None where there is none
Pin = Callable[[str, str | None], str | None]
# writes a stream as a table
Write = Callable[[Imported, str, StreamSaid, StateFound], dict[str, Any]]
_MASKED = re.compile(r"\*{4,}|\$\{?[A-Za-z_]|://[^/\s]*@")
_KNOWN_KEYS = frozenset((
    "name", "connection_id", "source_id", "destination_id", "workspace_id", "source_name", "destination_name",
    "source", "destination", "catalog", "sync_catalog", "configurations", "schedule", "schedule_type",
    "schedule_data", "status", "created_at", "updated_at", "latest_sync_job_status", "latest_sync_job_created_at",
    "is_syncing", "catalog_id", "source_catalog_id", "catalog_diff", "schema_change", "breaking_change",
    "operation_ids", "operations", "geography", "data_residency", "prefix", "namespace_definition",
    "namespace_format", "state", "connection_state", "skip_reset", "notify_schema_changes",
    "notify_schema_changes_by_email", "non_breaking_changes_preference", "non_breaking_schema_updates_behavior",
    "resource_requirements", "source_actor_definition_version", "status_reason",
    "destination_actor_definition_version", "workspace_name", "id", "organization_id", "lifecycle",
))  # fmt: skip
_SAID_OF = {
    "operation_ids": "what ran after the load: transform: has dbt, after: has jobs",
    "prefix": "the tables are in a schema of their own, and have no prefix",
    "namespace_format": "the schema in the warehouse is the name of the config",
    "resource_requirements": "memory_mb, and pods: say what a task may use",
}
_NEUTRAL = {"namespace_format": ("${SOURCE_NAMESPACE}", "SOURCE_NAMESPACE"), "status": ("active",)}
_NO_NAMES = "its streams are not in the export: elt new {name} --airbyte '{package}' asks the connector for them"


def imported(found: Sequence[ConnectionSaid], states: Mapping[str, Any], pin: Pin) -> list[Imported]:
    """Return a config for each connection.

    Args:
        found: The connections of an export.
        states: Their states by their ids, or by their sources; one without either is of the only connection.
        pin: Finds the version of a connector's package.
    """
    own = _OwnNames()
    given = _states_for(found, states)
    return with_own_names([_config(one, own.of(one), given[place], pin) for place, one in enumerate(found)])


class _OwnNames:
    """Names of sources: two sources that have one name are read with connections of their own."""

    def __init__(self) -> None:
        self.taken: dict[str, Any] = {}

    def of(self, said: ConnectionSaid) -> str:
        base = sane_name(said.source.name) or sane_name(said.name) or "imported"
        source, name, number = said.source.id or said.source, base, 2
        while self.taken.setdefault(name, source) != source:
            name, number = f"{base}_{number}", number + 1
        return name


def _states_for(found: Sequence[ConnectionSaid], states: Mapping[str, Any]) -> list[StateFound]:
    """Return the state of each connection; one that may be of several of them is of none, and is listed."""
    connectors = Counter(one.source.connector for one in found)
    made = []
    for one in found:
        own, source = str(pick(one.about, "connection_id") or ""), f"{OF_SOURCE}{one.source.connector}"
        given = (states.get(own) if own else None) or one.state
        shared = states.get(source) or states.get("")
        several = connectors[one.source.connector] > 1 if source in states else len(found) > 1
        state = state_of(given or (None if several else shared))
        if shared and several and not given:
            text = "a state was given that does not say of which connection it is: the first load reads all; "
            state.unsaid = f"{text}import this connection alone, with its own state"
        made.append(state)
    return made


def _config(said: ConnectionSaid, name: str, state: StateFound, pin: Pin) -> Imported:
    schedule, unsaid = schedule_of(said.schedule)
    found = Imported(head_of(name, **schedule))
    found.config |= {"extract": {}, "tables": {}}
    found.left_out |= {f"{said.name}: {key}": text for key, text in _unsaid(said, unsaid).items()}
    database = DATABASES.get(said.source.connector or "")
    write = _database if database else _connector
    written = write(found, said, state, pin)
    if "schedule" not in schedule and "catchup" in found.config:
        found.note("schedule", "it had none that ELT Factory has: with this one the runs continue from the cursors")
    elif "schedule" not in schedule:
        del found.config["schedule"]
    if not written:
        return found
    if state.unsaid:
        found.left_out[f"{said.name}: state"] = state.unsaid
    for stream in state.besides([(one.name, one.namespace) for one in said.streams or ()]):
        found.left_out[f"{said.name}: state of {stream}"] = "not that of a stream in the export: it is not taken over"
    return valid_only(found)


def _unsaid(said: ConnectionSaid, schedule: str) -> dict[str, str]:
    """Return what of a connection is in no config."""
    found = {"schedule": schedule} if schedule else {}
    found |= said.unread
    for key in said.about:
        plain = re.sub(r"(?<=[a-z])([A-Z])", r"_\1", str(key)).casefold()
        value = said.about[key]
        empty = value in (None, "", [], {}) or value in _NEUTRAL.get(plain, ())
        empty = empty or (isinstance(value, Mapping) and not any(value.values()))
        if plain in _SAID_OF and not empty:
            found[plain] = _SAID_OF[plain]
        elif plain == "status" and not empty:
            found[plain] = f"it was {_text(value)}: keep the DAG paused"
        elif plain not in _KNOWN_KEYS and not empty:
            found[plain] = "a setting of the connection without a counterpart"
    return found


def _connector(found: Imported, said: ConnectionSaid, state: StateFound, pin: Pin) -> bool:
    """Write the config of a connector that is run."""
    source, name = said.source, found.config["name"]
    if not source.connector:
        found.left_out[said.name] = "which connector its source is, is not in the export: elt new --airbyte"
        return False
    package = pin(f"{AIRBYTE_PREFIX}{source.connector.removeprefix('source-')}", source.version)
    if package is None:
        why = "not a Python package: elt import airbyte, or elt new --airbyte, reads a manifest.yaml; Java is not run"
        found.left_out[said.name] = f"{source.connector}: {why}"
        return False
    own, held = _settings(source)
    found.held = {f"extra.{key}" if key != WHOLE else "extra": value for key, value in held.items()}
    found.config["extract"] = {
        "type": "airbyte",
        "package": package,
        **({"connection": f"{name}_connector"} if held else {}),
        **({"config": own} if own else {}),
    }
    if source.version and not package.endswith(f"=={source.version}"):
        found.left_out[f"{said.name}: version {source.version}"] = f"not a package; this one is {package}"
    if said.streams is None:
        found.left_out[said.name] = _NO_NAMES.format(name=name, package=package)
        return False
    for stream in said.streams:
        _add(found, stream, _table, state)
    return True


def _add(found: Imported, stream: StreamSaid, write: Write, state: StateFound) -> None:
    table = sane_name(stream.name) or "records"
    if stream.unsaid:
        found.left_out[stream.name] = stream.unsaid
    elif not stream.selected:
        found.left_out[stream.name] = "it was not selected"
    elif table in found.config["tables"]:
        found.left_out[stream.name] = f"another stream is the table {table}"
    else:
        found.config["tables"][table] = write(found, table, stream, state)


def _table(found: Imported, table: str, stream: StreamSaid, state: StateFound) -> dict[str, Any]:
    made: dict[str, Any] = {"stream": stream.name} if stream.name != table else {}
    made |= {"namespace": stream.namespace} if stream.namespace else {}
    kept = state.of(stream.name, stream.namespace)
    key = _key(found, table, stream)
    _history(found, table, stream)
    columns = _columns(found, table, stream)
    if stream.reads != "incremental" or not key:
        if stream.reads == "incremental":
            text = "it was read by its changes, and its key is not in the export: write primary_key, "
            found.note(table, text + "write_disposition: merge, sync: incremental and initial_state")
        return {**made, **({"primary_key": key} if key else {}), "write_disposition": "replace", **columns}
    made |= {"primary_key": key, "write_disposition": "merge", "sync": "incremental"}
    if len(stream.cursor) == 1 and not stream.own_cursor:
        made["cursor_field"] = stream.cursor[0]
    elif stream.cursor and not stream.own_cursor:
        found.note(table, f"its cursor {'.'.join(stream.cursor)} is within a value: the connector's own is used")
    if kept is not None:
        made["initial_state"] = message(stream.name, stream.namespace, kept)
    elif not state.unsaid:
        found.note(table, "no state of it was found: the first load reads all; elt import airbyte ... --state FILE")
    return {**made, **columns}


def _key(found: Imported, table: str, stream: StreamSaid) -> list[str]:
    if any(len(path) > 1 for path in stream.key):
        found.note(table, f"its key {', '.join('.'.join(path) for path in stream.key)} is within a value")
        return []
    return [path[0] for path in stream.key]


def _history(found: Imported, table: str, stream: StreamSaid) -> None:
    if stream.writes == "append":
        found.note(table, KEPT_ALL)


def _columns(found: Imported, table: str, stream: StreamSaid) -> dict[str, Any]:
    """Return the columns that were not selected as dropped ones, and those that were hashed."""
    if stream.changed:
        found.note(table, f"mappers changed what came, and do not here: {', '.join(stream.changed)}")
    chosen = {name: {"pii": "hash"} for name in stream.hashed}
    if stream.fields is None:
        return {"columns": chosen} if chosen else {}
    dropped = [name for name in stream.columns if name not in stream.fields]
    if not stream.columns:
        text = f"only {', '.join(stream.fields)} were selected: every column comes; drop others by pii: drop"
        found.note(table, text)
    chosen |= {name: {"pii": "drop"} for name in dropped}
    return {"columns": chosen} if chosen else {}


def _database(found: Imported, said: ConnectionSaid, state: StateFound, _: Pin) -> bool:
    """Write the config of a database, which is read by ELT Factory itself."""
    connection = str(found.config["name"])
    found.config["extract"] = {"type": "sql", "connection": connection}
    kind = DATABASES[str(said.source.connector)]
    found.held = {f"type {kind}, host, schema, login, password": f"those of Airbyte's source {said.source.name}"}
    if said.streams is None:
        found.left_out[said.name] = f"its tables are not in the export: elt new --connection {connection} lists them"
        return False
    schemas = {one.namespace for one in said.streams if one.selected and one.namespace}
    if len(schemas) == 1:
        found.config["extract"]["schema"] = next(iter(schemas))
    for stream in said.streams:
        if len(schemas) > 1:
            found.left_out[stream.name] = "tables of several schemas need a config for each"
            continue
        _add(found, stream, _of_database, state)
    _begins(found)
    return True


def _of_database(found: Imported, table: str, stream: StreamSaid, state: StateFound) -> dict[str, Any]:
    made: dict[str, Any] = {"table": stream.name} if stream.name != table else {}
    key = _key(found, table, stream)
    made |= {"primary_key": key} if key else {}
    columns = _columns(found, table, stream)
    cursor = stream.cursor[0] if len(stream.cursor) == 1 and not stream.cursor[0].startswith("_ab_cdc") else None
    if stream.reads != "incremental" or cursor is None:
        if stream.reads == "incremental":
            text = "it was read from the log of changes, or by xmin: write incremental: {cursor: ...}, and deletes"
            found.note(table, text)
        _history(found, table, stream)
        return {**made, "write_disposition": "replace", **columns}
    keeps_all = stream.writes == "append" or not key
    made["write_disposition"] = "append" if keeps_all else "merge"
    made["incremental"] = {"cursor": cursor}
    if "timezone" in found.config:
        # Airbyte compares the values as they are, whatever clock its schedule is by
        made["incremental"]["timezone"] = "UTC"
        zone = found.config["timezone"]
        found.note(table, f"a cursor without a time zone is taken for UTC: remove its timezone where it is {zone}")
    since = _since(state.of(stream.name, stream.namespace), cursor)
    if since is None:
        return {**made, **columns}
    ties = not keeps_all
    made["incremental"]["initial"] = first_value(since, ties=ties)
    if keeps_all:
        found.note(table, after_the_last(since))
    if condition := above(cursor, since, ties=ties):
        made["where"] = condition
    return {**made, **columns}


def _begins(found: Imported) -> None:
    """Begin the runs where the tables are read up to, and tell of those whose place is not known."""
    caught_up = begin(found.config)
    reads = "runs begin with start_date" if caught_up else "write catchup: true, or run elt backfill"
    for table, made in found.config["tables"].items():
        if "incremental" in made and "initial" not in made["incremental"]:
            found.note(table, f"no state of it was found: {reads}; elt import airbyte ... --state FILE")


def _since(state: Mapping[str, Any] | None, cursor: str) -> str | None:
    """Return the value of a cursor in the state of a database's table; None where it has none."""
    fields = pick(state, "cursor_field")
    value = pick(state, "cursor")
    same = not fields or cursor in fields
    return str(value) if isinstance(value, str | int) and same and value != "" else None


def _settings(source: SourceSaid) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the settings for the config, and those for the connection: secrets, and what the export does not have."""
    own, held = dict[str, Any](), dict[str, str]()
    for key, value in source.settings.items():
        if isinstance(value, Computed):
            held[str(key)] = f"the value of {value.text}"
        elif computed_in(value) or secrets.may_hold_one(str(key), value, _MASKED):
            held[str(key)] = "the secret that Airbyte has"
        else:
            own[str(key)] = value
    return own, held


def _text(value: Any) -> str:
    return value.text if isinstance(value, Computed) else str(value)
