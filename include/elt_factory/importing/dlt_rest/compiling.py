"""From a configuration of dlt's REST API source to a config, from the state that its pipeline had."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from elt_factory.discover.periods import sane_name
from elt_factory.importing.beginning import begin
from elt_factory.importing.dlt_rest.finding import RestConfig
from elt_factory.importing.dlt_rest.literals import SPREAD
from elt_factory.importing.dlt_rest.requesting import auth_of, key_in_header, paging_of
from elt_factory.importing.dlt_rest.saying import Words, hidden, shown
from elt_factory.importing.dlt_rest.tables import CHOSEN, Shared, TableSaid, table_of, whole_of
from elt_factory.importing.manifest.saying import UnsaidError
from elt_factory.importing.project import Imported, head_of, valid_only

_CLIENT = {"base_url", "auth", "headers", "paginator"}
_CONFIG = {"client", "resources", "resource_defaults"}


def config_of(found: RestConfig, state: Mapping[str, Any]) -> Imported:
    """Return the config of a configuration.

    Args:
        found: The configuration.
        state: What the pipeline has kept of the source.
    """
    name = sane_name(found.source) or "imported"
    made = Imported(head_of(name) | {"extract": {"type": "rest_api", "connection": f"{name}_api"}, "tables": {}})
    try:
        _Compilation(made, found.said, state.get("resources") or {}).run()
    except UnsaidError as error:
        made.left_out[found.source] = str(error)
        made.config["tables"] = {}
    return made


class _Compilation:
    def __init__(self, made: Imported, said: Any, state: Mapping[str, Any]) -> None:
        self.made, self.said, self.state = made, said, state
        self.params: dict[str, Any] = {}
        self.tables: dict[str, TableSaid] = {}

    def run(self) -> None:
        if not isinstance(self.said, Mapping):
            raise UnsaidError(f"a configuration by code: {shown(self.said)}")
        client = self.said.get("client")
        if not isinstance(client, Mapping) or SPREAD in client:
            raise UnsaidError(f"its client is code: {shown(client)}")
        resources = self.said.get("resources")
        if not isinstance(resources, list):
            raise UnsaidError(f"its resources are code: {shown(resources)}")
        shared = Shared(client.get("base_url"), self.params, self.made.held)
        self._client(client)
        for key in sorted(map(str, (set(self.said) - _CONFIG) | (set(client) - _CLIENT))):
            self.made.left_out[key] = "a key of the configuration without a counterpart"
        defaults = self.said.get("resource_defaults") or {}
        if not isinstance(defaults, Mapping) or SPREAD in defaults:
            raise UnsaidError(f"its resource_defaults are code: {shown(defaults)}")
        for number, resource in enumerate(resources):
            self._add(number, resource, defaults, shared)
        self._with_parents()
        self._write()

    def _client(self, client: Mapping[str, Any]) -> None:
        extract, held = self.made.config["extract"], self.made.held
        base = client.get("base_url")
        held["host"] = base if isinstance(base, str) else f"dlt's base_url: {shown(base)}"
        headers = client.get("headers") or {}
        if not isinstance(headers, Mapping) or SPREAD in headers:
            raise UnsaidError(f"its headers are code: {shown(headers)}")
        key = key_in_header(headers)
        words = Words(self.params)
        if key and not client.get("auth"):
            name, before, value = key
            held["password"] = f"the value of {shown(value)}"
            bearer = (name.lower(), before) == ("authorization", "Bearer ")
            prefix = {"prefix": before} if before else {}
            extract["auth"] = {"type": "bearer"} if bearer else {"type": "api_key", "header": name, **prefix}
        else:
            extract["auth"] = auth_of(client.get("auth"), held, words)
        plain: dict[str, Any] = {}
        for name, value in headers.items():
            if isinstance(value, str):
                plain[name] = value
            elif key is None or name != key[0]:
                self.made.left_out[f"header {name}"] = f"its value is {'a secret' if hidden(value) else shown(value)}"
        if plain:
            extract["headers"] = plain
        notes: list[str] = []
        extract["paginator"] = paging_of(client.get("paginator"), notes)
        self.guesses = notes

    def _add(self, number: int, resource: Any, defaults: Mapping[str, Any], shared: Shared) -> None:
        named = resource.get("name") if isinstance(resource, Mapping) else resource
        called = named if isinstance(named, str) else f"resource {number + 1}"
        try:
            whole = whole_of(resource, defaults)
            state = self.state.get(whole["name"]) or {}
            said = table_of(whole, state, shared)
        except UnsaidError as error:
            self.made.left_out[called] = str(error)
            return
        table = sane_name(called) or "records"
        if table in self.tables:
            self.made.left_out[called] = f"another resource is the table {table}"
            return
        if "paginator" not in said.table:
            said.notes += self.guesses
        self.tables[table] = said

    def _with_parents(self) -> None:
        """Leave out the tables whose parents are not there, and give parents the columns that others need."""
        for _ in range(len(self.tables)):
            for table, said in list(self.tables.items()):
                if odd := next((parent for parent in said.parents if parent not in self.tables), None):
                    reason = self.made.left_out.get(odd, "it is not in the configuration")
                    self.made.left_out[table] = f"its parent {odd}: {reason}"
                    del self.tables[table]
        for table, said in self.tables.items():
            for parent, columns in said.parents.items():
                nested = {column: way for column, way in columns.items() if column != way}
                if nested:
                    self.tables[parent].table.setdefault("flatten", {}).update(nested)
            chosen = said.table["write_disposition"] == "replace" and self._changes(table)
            if chosen and any(note.endswith(CHOSEN) for note in said.notes):
                said.table["write_disposition"] = "merge" if said.table.get("primary_key") else "append"

    def _changes(self, table: str) -> bool:
        """Whether a table is read with one that is read by its changes."""
        return any(self.tables[parent].cursor or self._changes(parent) for parent in self.tables[table].parents)

    def _write(self) -> None:
        made = self.made
        if self.params:
            made.config["params"] = dict(self.params)
        made.config["tables"] = {name: said.table for name, said in self.tables.items()}
        begin(made.config)
        for name, said in self.tables.items():
            for note in said.notes:
                made.note(name, note)
        valid_only(made, {name: list(said.parents) for name, said in self.tables.items()})
        used = str(made.config["tables"])
        made.config["params"] = {name: value for name, value in self.params.items() if f"params.{name}" in used}
        if not made.config["params"]:
            del made.config["params"]
        made.held |= {f"params: {name}": "set it in the config" for name in made.config.get("params", {})}
