"""From what dlt's source of databases reads to configs, from the state that its pipeline had."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from elt_factory.discover.periods import sane_name
from elt_factory.importing.beginning import above, begin
from elt_factory.importing.dlt_rest.cursors import Cursor, cursor_of
from elt_factory.importing.dlt_rest.saying import shown
from elt_factory.importing.dlt_sql.finding import DATABASE, DatabaseRead, TableRead, is_cursor
from elt_factory.importing.manifest.saying import UnsaidError
from elt_factory.importing.project import Imported, head_of, valid_only

_UNSAID = {
    "table_adapter_callback": "code chooses its columns: drop others by pii: drop",
    "query_adapter_callback": "code writes its query: write query: or where:",
    "type_adapter_callback": "code says its types: write columns:",
    "included_columns": "not every column is read: drop others by pii: drop",
    "excluded_columns": "not every column is read: drop others by pii: drop",
}


def configs_of(found: Sequence[DatabaseRead], module: str, states: Mapping[str, Any]) -> list[Imported]:
    """Return a config for each schema of each database that a module reads.

    Args:
        found: What it reads.
        module: Its name.
        states: What pipelines have kept of sources, by the sources' names.
    """
    places: dict[tuple[str, str], list[DatabaseRead]] = {}
    for one in found:
        places.setdefault((one.credentials, _schema(one)), []).append(one)
    base = sane_name(module.rpartition("/")[2].rpartition(".")[2].removesuffix("_pipeline")) or "imported"
    several = len({schema for _, schema in places}) > 1
    return [
        _config(f"{base}_{sane_name(schema)}" if several and schema else base, base, schema, reads, states)
        for (_, schema), reads in places.items()
    ]


def _schema(read: DatabaseRead) -> str:
    given = read.given.get("schema")
    return given if isinstance(given, str) else ""


def _config(
    name: str, connection: str, schema: str, reads: Sequence[DatabaseRead], states: Mapping[str, Any]
) -> Imported:
    made = Imported(head_of(name) | {"extract": {"type": "sql", "connection": connection}, "tables": {}})
    if schema:
        made.config["extract"]["schema"] = schema
    made.held = {"type, host, schema, login, password": "those of the database that dlt's credentials name"}
    for read in reads:
        _listed(made, read)
        for table in read.read():
            _add(made, table, read, states)
    begin(made.config)
    return valid_only(made)


def _listed(made: Imported, read: DatabaseRead) -> None:
    """List what is read and has no name in the code."""
    where = f"other tables of {read.function or 'the module'}"
    if read.given.get("schema") is not None and not isinstance(read.given["schema"], str):
        made.left_out[f"schema of {read.function or 'the module'}"] = (
            f"the code computes it: {shown(read.given['schema'])}"
        )
    if read.others:
        computed = f"their names are computed: {read.computed}" if read.computed else "they are not in the code"
        made.left_out[where] = f"{computed}: elt new --connection lists them"


def _add(made: Imported, table: TableRead, read: DatabaseRead, states: Mapping[str, Any]) -> None:
    name = sane_name(table.name) or "records"
    if name in made.config["tables"]:
        made.left_out[f"{table.name} of {read.function or 'the module'}"] = f"another read of it is the table {name}"
        return
    try:
        written = _table(made, name, table, states)
    except UnsaidError as error:
        made.left_out[table.name] = str(error)
        return
    made.config["tables"][name] = ({"table": table.name} if name != table.name else {}) | written
    for key in sorted(set(_UNSAID) & set(read.given)):
        made.note(name, _UNSAID[key])
    if table.changed:
        made.note(name, f"code changes its rows ({', '.join(dict.fromkeys(table.changed))}): write where:, or dbt")


def _table(made: Imported, name: str, table: TableRead, states: Mapping[str, Any]) -> dict[str, Any]:
    key, disposition = _key(made, name, table), _disposition(made, name, table)
    written: dict[str, Any] = {"primary_key": key} if key else {}
    cursor = _cursor(table, states)
    if cursor is None or disposition == "replace":
        if cursor is not None:
            made.note(name, f"it was replaced by what is new of {cursor.column}: here by all of it")
        elif disposition == "append":
            made.note(name, "each run appended the whole table: here it replaces it")
        return {**written, "write_disposition": "replace"}
    if disposition == "merge" and not key:
        made.note(name, "dlt takes its key from the database: write primary_key, and write_disposition: merge")
    keyed = disposition == "merge" and bool(key)
    written["write_disposition"] = "merge" if keyed else "append"
    return written | _changes(made, name, cursor, keyed=keyed)


def _changes(made: Imported, name: str, cursor: Cursor, *, keyed: bool) -> dict[str, Any]:
    """Return where the table is read from: rows with the very last value are read again where a key finds them."""
    incremental = {part: value for part, value in cursor.incremental.items() if part != "outside_window"}
    if not cursor.taken_over:
        made.note(name, "no state of it was found: runs begin with start_date; elt import dlt ... --state FOLDER")
        return {"incremental": incremental}
    if isinstance(cursor.last, int):
        incremental["initial"] = cursor.last + (not keyed)
        return {"incremental": incremental}
    if "lag" in incremental:
        made.note(name, "its lag is read again by the first run")
        return {"incremental": incremental}
    return {"incremental": incremental, "where": above(cursor.column, str(cursor.last), ties=keyed)}


def _cursor(table: TableRead, states: Mapping[str, Any]) -> Cursor | None:
    given = table.hints.get("incremental")
    if given is None:
        return None
    if not is_cursor(given):
        raise UnsaidError(f"a cursor by code: {shown(given)}")
    path = {**dict(zip(("cursor_path",), given.args, strict=False)), **given.given}.get("cursor_path")
    if not isinstance(path, str):
        raise UnsaidError(f"a cursor by code: {shown(path)}")
    return cursor_of({"params": {"": given}}, _kept(table.name, path, states))


def _kept(table: str, path: str, states: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a pipeline has kept of a table: of a table alone dlt names the source after the pipeline."""
    of_all = ((name, (state.get("resources") or {}).get(table)) for name, state in states.items())
    found = {name: kept for name, kept in of_all if kept and path in (kept.get("incremental") or {})}
    if DATABASE in found or not found:
        return found.get(DATABASE) or {}
    if len(found) > 1:
        raise UnsaidError(f"the states of {', '.join(sorted(found))} have it: import with that of one pipeline")
    return next(iter(found.values()))


def _key(made: Imported, name: str, table: TableRead) -> list[str]:
    given = table.hints.get("primary_key")
    listed = [given] if isinstance(given, str) else given if isinstance(given, list) else []
    if given is not None and (not listed or not all(isinstance(one, str) for one in listed)):
        made.note(name, f"its key is code: {shown(given)}")
        return []
    return [str(one) for one in listed]


def _disposition(made: Imported, name: str, table: TableRead) -> str:
    given = table.hints.get("write_disposition") or "append"
    if isinstance(given, Mapping):
        if given.get("strategy") not in (None, "delete-insert", "upsert"):
            made.note(name, f"the strategy {shown(given['strategy'])} has no counterpart here")
        given = given.get("disposition")
    if given not in ("append", "merge", "replace"):
        made.note(name, f"how it is written is code: {shown(given)}")
        return "append"
    return str(given)
