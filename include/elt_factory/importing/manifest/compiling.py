"""From a manifest to a config: the tables that can be said, and the reason for each stream that cannot."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from elt_factory.config.errors import ConfigError, MistakeError
from elt_factory.config.loading import load_text
from elt_factory.importing.manifest.saying import OF_EXTRA, Settings, UnsaidError
from elt_factory.importing.manifest.streams import TableSaid, table_name, table_of
from elt_factory.importing.manifest.tree import Node, streams_of
from elt_factory.importing.writing import yaml_text


@dataclass
class Compiled:
    """A config made of a manifest.

    Args:
        config: The config as YAML has it; without tables where no stream could be said.
        host: The address that the connection needs, as the manifest writes it.
        held: Which setting belongs into which field of the connection.
        left_out: The streams that are not in the config, each with the reason.
        notes: What was left out of tables, by table.
    """

    config: dict[str, Any]
    host: str = ""
    held: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)


def compiled(root: Node, name: str) -> Compiled:
    """Return the config of a manifest. Each table in it is valid by itself."""
    spec = (root.get("spec") or {}).get("connection_specification") or {}
    return _Compilation(name, Settings(spec)).run(streams_of(root))


class _Compilation:
    def __init__(self, name: str, settings: Settings) -> None:
        self.name, self.settings = name, settings
        self.said: dict[str, TableSaid] = {}
        self.reasons: dict[str, str] = {}
        self.running: set[str] = set()

    def run(self, streams: list[Node]) -> Compiled:
        asked = {table_name(stream): str(stream.get("name")) for stream in streams}
        for stream in streams:
            self._compile(stream)
        self._one_address()
        self._only_with_keys()
        extract, held, host = self._extract()
        for table, one in self.said.items():
            one.table = self._as_table(table, one, extract)
        self._only_valid(extract)
        tables = {table: one.table for table, one in self.said.items()}
        return Compiled(
            self._config(extract, tables),
            host,
            held,
            {asked.get(table, table): reason for table, reason in self.reasons.items()},
            {table: one.notes for table, one in self.said.items() if one.notes},
        )

    def _compile(self, stream: Node) -> None:
        table = table_name(stream)
        if table in self.said or table in self.reasons:
            return
        self.running.add(table)
        try:
            self.said[table] = table_of(stream, self.settings, self._need)
        except UnsaidError as error:
            self.reasons[table] = str(error)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            # a manifest that is not as Airbyte's own schema says
            self.reasons[table] = f"a part that is not as usual: {type(error).__name__} {error}"[:200]
        finally:
            self.running.discard(table)

    def _need(self, parent: Node) -> str:
        table = table_name(parent)
        if table in self.running:
            raise UnsaidError("it is its own parent")
        self._compile(parent)
        if table not in self.said:
            raise UnsaidError(f"its parent {table}: {self.reasons[table]}")
        return table

    def _one_address(self) -> None:
        """Leave out what is at another address: a connection has one."""
        hosts = Counter(one.host for one in self.said.values())
        if not hosts:
            return
        host, _ = hosts.most_common(1)[0]
        elsewhere = {table: one.host for table, one in self.said.items() if one.host != host}
        for table, other in elsewhere.items():
            self._leave_out(table, f"it is at another address: {other}; write a config of its own")

    def _only_with_keys(self) -> None:
        """Leave out what is asked for by a column of its parent that the manifest computes, and no table has."""
        for table, one in list(self.said.items()):
            for parent in one.parents:
                lost = self.said[parent].lost if parent in self.said else set()
                missing = [name for name in lost if f"{{{{ {parent}.{name} }}}}" in str(one.table)]
                if missing:
                    self._leave_out(table, f'its parent {parent}: the manifest computes its column "{missing[0]}"')

    def _leave_out(self, table: str, reason: str) -> None:
        one = self.said.pop(table, None)
        if one is None:
            return
        self.reasons[table] = reason
        for child in [name for name, other in self.said.items() if table in other.parents]:
            self._leave_out(child, f"its parent {table}: {reason}")

    def _extract(self) -> tuple[dict[str, Any], dict[str, str], str]:
        extract: dict[str, Any] = {"type": "rest_api", "connection": f"{self.name}_api"}
        held: dict[str, str] = {}
        if not self.said:
            return extract, held, ""
        texts = Counter(str(one.auth) for one in self.said.values())
        usual, _ = texts.most_common(1)[0]
        extract["auth"] = next(one.auth for one in self.said.values() if str(one.auth) == usual)
        pages = Counter(str(one.table.get("paginator")) for one in self.said.values())
        most, count = pages.most_common(1)[0]
        if count > 1 and most != "None":
            extract["paginator"] = next(
                one.table["paginator"] for one in self.said.values() if str(one.table.get("paginator")) == most
            )
        for one in self.said.values():
            held |= one.held
            used = re.findall(rf"{re.escape(OF_EXTRA)}(\w+)", str(one.table))
            held |= {f"extra.{name}": self.settings.held[name] for name in used if name in self.settings.held}
        return extract, held, next(iter(self.said.values())).host

    def _as_table(self, table: str, one: TableSaid, extract: Mapping[str, Any]) -> dict[str, Any]:
        found = dict(one.table)
        if one.auth != extract.get("auth"):
            found["auth"] = one.auth
        if found.get("paginator") == extract.get("paginator", {"type": "single_page"}):
            found.pop("paginator", None)
        elif "paginator" not in found and "paginator" in extract:
            found["paginator"] = {"type": "single_page"}
        for other in self.said.values():
            for parent, column, way in other.flattened:
                if parent == table:
                    found.setdefault("flatten", {})[column] = way
        return found

    def _only_valid(self, extract: Mapping[str, Any]) -> None:
        """Leave out tables that the language refuses, each with the message."""
        for table in list(self.said):
            if table not in self.said:
                continue
            wanted = self._with_parents(table)
            text = yaml_text(self._config(extract, {name: self.said[name].table for name in wanted}))
            try:
                load_text(Path(f"{self.name}.yaml"), text, Path())
            except ConfigError as error:
                self._leave_out(table, error.problems[0].message)
            except MistakeError as error:
                self._leave_out(table, str(error))

    def _with_parents(self, table: str) -> list[str]:
        found = [table]
        for name in found:
            found += [parent for parent in self.said[name].parents if parent not in found and parent in self.said]
        return found

    def _config(self, extract: Mapping[str, Any], tables: Mapping[str, Any]) -> dict[str, Any]:
        used = set(re.findall(r"\{\{\s*params\.(\w+)", str(tables)))
        params = {name: value for name, value in self.settings.params.items() if name in used}
        return {
            "name": self.name,
            "schedule": "0 3 * * *",
            "start_date": "2024-01-01",
            **({"params": params} if params else {}),
            "extract": dict(extract),
            "tables": dict(tables),
        }
