"""A config, as its YAML has it, as a data contract."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from elt_factory.config.models.durations import parse_duration
from elt_factory.describe.contracts.merging import merged
from elt_factory.describe.contracts.rules import rule_of

API_VERSION = "v3.1.0"
BUSINESS_DATE = "businessDate"
_TYPES = {
    "text": "string",
    "integer": "integer",
    "float": "number",
    "decimal": "number",
    "boolean": "boolean",
    "date": "date",
    "time": "time",
    "timestamp": "timestamp",
    "datetime": "timestamp",
    "json": "object",
    "binary": "string",
}
_HOUR = 3600


@dataclass(frozen=True)
class Names:
    """What a contract calls tables and columns that a config calls something else."""

    tables: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[tuple[str, str], str] = field(default_factory=dict)


def contract_of(data: Mapping[str, Any], names: Names | None = None) -> dict[str, Any]:
    """Return the contract of a config."""
    names = names or Names()
    name, description = str(data["name"]), data.get("description")
    team = {"members": [{"username": str(data["owner"]), "role": "owner"}]} if data.get("owner") else None
    found = {
        "version": "1.0.0",
        "kind": "DataContract",
        "apiVersion": API_VERSION,
        "id": name,
        "name": name,
        "status": "active",
        "description": {"purpose": description} if description else None,
        "tags": list(data["tags"]) if data.get("tags") else None,
        "team": team,
        "schema": [_object(key, data, names) for key in data.get("tables") or {}],
        "slaProperties": list(_promises(data, names)) or None,
    }
    return {key: value for key, value in found.items() if value is not None}


def updated(document: Mapping[str, Any], before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Return a contract with what has changed between two configs; the rest of it as it is."""
    found: dict[str, Any] = merged(document, before, now)
    return found


def _object(key: str, data: Mapping[str, Any], names: Names) -> dict[str, Any]:
    table = data["tables"][key] or {}
    name = names.tables.get(key, key)
    columns = table.get("columns") or {}
    keys = list(table.get("primary_key") or ())
    listed = [*columns, *(column for column in keys if column not in columns)]
    rules = [rule_of(check) for check in (data.get("quality") or {}).get(key) or () if "freshness" not in check]
    custom = [{"property": BUSINESS_DATE, "value": table["business_date"]}] if table.get("business_date") else None
    found = {
        "name": name,
        "physicalName": table.get("table"),
        "logicalType": "object",
        "physicalType": "table",
        "description": table.get("description"),
        "properties": [_property(column, columns.get(column) or {}, keys, names, key) for column in listed] or None,
        "quality": rules or None,
        "customProperties": custom,
    }
    return {key: value for key, value in found.items() if value is not None}


def _property(column: str, said: Mapping[str, Any], keys: list[str], names: Names, table: str) -> dict[str, Any]:
    kind = str(said.get("type") or "").split("(", 1)[0].strip().lower()
    name = names.columns.get((table, column), column)
    checks = said.get("checks") or ()
    rules = [rule_of(check) for check in checks if "relationships" not in check]
    parents = [_relationship(check["relationships"], names) for check in checks if "relationships" in check]
    found = {
        "name": name,
        "physicalName": column if name != column else None,
        "primaryKey": True if column in keys else None,
        "primaryKeyPosition": keys.index(column) + 1 if column in keys else None,
        "logicalType": _TYPES.get(kind),
        "physicalType": said.get("type"),
        "required": True if said.get("nullable") is False else None,
        "description": said.get("description"),
        "classification": "personal" if said.get("pii") else None,
        "relationships": parents or None,
        "quality": rules or None,
    }
    return {key: value for key, value in found.items() if value is not None}


def _relationship(said: Mapping[str, Any], names: Names) -> dict[str, Any]:
    table, column = str(said["table"]), str(said["column"])
    to = f"{names.tables.get(table, table)}.{names.columns.get((table, column), column)}"
    return {"type": "foreignKey", "to": to}


def _promises(data: Mapping[str, Any], names: Names) -> Iterator[dict[str, Any]]:
    """Yield the freshness of tables, the time by which a run ends, and how often one begins."""
    for key, checks in (data.get("quality") or {}).items():
        name, column = names.tables.get(key, key), ((data.get("tables") or {}).get(key) or {}).get("business_date")
        for check in checks or ():
            limits = check.get("freshness") or {}
            if limits.get("business_date_within") and column:
                element = f"{name}.{names.columns.get((key, column), column)}"
                yield {"property": "latency", **_duration(limits["business_date_within"]), "element": element}
            if limits.get("loaded_within"):
                yield {"property": "latency", **_duration(limits["loaded_within"]), "element": name}
    deadline = data.get("deadline") or {}
    if deadline.get("by"):
        zone = deadline.get("timezone") or data.get("timezone")
        yield {"property": "timeOfAvailability", "value": str(deadline["by"]), **({"unit": zone} if zone else {})}
    if data.get("schedule"):
        yield {"property": "frequency", "value": str(data["schedule"]), "unit": "cron"}


def _duration(text: Any) -> dict[str, Any]:
    seconds = int(parse_duration(str(text)).total_seconds())
    for unit, size in (("d", 24 * _HOUR), ("h", _HOUR), ("m", 60)):
        if seconds % size == 0:
            return {"value": seconds // size, "unit": unit}
    return {"value": seconds, "unit": "s"}


def plain_name(text: str) -> str:
    """Return a text as the name of a config or a table: small letters, digits and _."""
    name = re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text).lower()).strip("_")[:63]
    return name if name[:1].isalpha() else f"t_{name}"[:63]
