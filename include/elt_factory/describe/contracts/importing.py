"""A data contract as a config: what its YAML can hold, and the names that the contract has for it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from elt_factory.describe.contracts.exporting import BUSINESS_DATE, Names, contract_of, plain_name
from elt_factory.describe.contracts.merging import not_held
from elt_factory.describe.contracts.rules import check_of

_TYPES = {
    "string": "text",
    "integer": "integer",
    "number": "float",
    "boolean": "boolean",
    "date": "date",
    "time": "time",
    "timestamp": "timestamp",
    "object": "json",
    "array": "json",
}
_DECIMAL = re.compile(r"(?:decimal|numeric|number)\s*\(\s*(\d{1,2})\s*(?:,\s*(\d{1,2})\s*)?\)", re.IGNORECASE)
_UNITS = {"d": "d", "day": "d", "days": "d", "h": "h", "hr": "h", "hour": "h", "hours": "h", "m": "m", "minutes": "m"}
_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
_MOST_DIGITS = 38
# by the names that a contract has for a table and a column: those of the config
Parents = Mapping[tuple[str, str], tuple[str, str]]


@dataclass(frozen=True)
class Imported:
    """What a contract says of a config.

    Args:
        data: The config, as YAML has it.
        names: What the contract calls tables and columns.
        kept: The parts of the contract that the config does not hold, each as a path.
    """

    data: Mapping[str, Any]
    names: Names
    kept: tuple[str, ...]


def imported(document: Mapping[str, Any]) -> Imported:
    """Return a contract as a config."""
    objects = [entry for entry in document.get("schema") or () if isinstance(entry, Mapping) and entry.get("name")]
    keys = {str(entry["name"]): plain_name(str(entry["name"])) for entry in objects}
    columns = {
        (keys[str(entry["name"])], _column(known)): str(known["name"])
        for entry in objects
        for known in _properties(entry)
    }
    names = Names({key: name for name, key in keys.items()}, columns)
    data = {key: value for key, value in _config(document, objects, keys).items() if value}
    data.setdefault("tables", {})
    held = contract_of(data, names)
    return Imported(data, names, tuple(".".join(place) for place in not_held(document, held)))


def _config(document: Mapping[str, Any], objects: list[Mapping[str, Any]], keys: Mapping[str, str]) -> dict[str, Any]:
    description = document.get("description")
    name = plain_name(str(document.get("name") or document.get("dataProduct") or document.get("id") or "contract"))
    servers = document.get("servers") or [{}]
    schema = servers[0].get("schema") if isinstance(servers[0], Mapping) else None
    parents = {
        (str(entry["name"]), str(known["name"])): (keys[str(entry["name"])], _column(known))
        for entry in objects
        for known in _properties(entry)
    }
    tables = {keys[str(entry["name"])]: _table(entry, keys, parents) for entry in objects}
    quality = {keys[str(entry["name"])]: list(_table_checks(entry)) for entry in objects}
    for key, check, date in _freshness(document, keys, parents):
        quality[key].append(check)
        if date:
            tables[key].setdefault("business_date", date)
    promises = [entry for entry in document.get("slaProperties") or () if isinstance(entry, Mapping)]
    return {
        "name": name,
        "description": _text(description.get("purpose") if isinstance(description, Mapping) else description),
        "owner": _owner(document.get("team")),
        "tags": [tag for tag in document.get("tags") or () if isinstance(tag, str)],
        "schedule": next((p["value"] for p in promises if _is_cron(p)), None),
        "deadline": _deadline(promises),
        "extract": {"type": "sql", "connection": f"{name}_db", **({"schema": schema} if schema else {})},
        "tables": tables,
        "quality": {key: checks for key, checks in quality.items() if checks},
    }


def _is_cron(promise: Mapping[str, Any]) -> bool:
    return promise.get("property") == "frequency" and promise.get("unit") == "cron"


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _owner(team: Any) -> str | None:
    members = team.get("members") if isinstance(team, Mapping) else team
    for member in members or ():
        if isinstance(member, Mapping) and "owner" in str(member.get("role", "")).lower():
            return _text(member.get("username"))
    return None


def _properties(entry: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [known for known in entry.get("properties") or () if isinstance(known, Mapping) and known.get("name")]


def _column(known: Mapping[str, Any]) -> str:
    return str(known.get("physicalName") or known["name"])


def _table(entry: Mapping[str, Any], keys: Mapping[str, str], parents: Parents) -> dict[str, Any]:
    name, physical = str(entry["name"]), entry.get("physicalName")
    original = str(physical or name)
    properties = _properties(entry)
    primary = sorted(
        (known for known in properties if known.get("primaryKey")),
        key=lambda known: known.get("primaryKeyPosition") or 0,
    )
    custom = {c.get("property"): c.get("value") for c in entry.get("customProperties") or () if isinstance(c, Mapping)}
    found = {
        "description": _text(entry.get("description")),
        "table": original if original != keys[name] else None,
        "primary_key": [_column(known) for known in primary],
        "business_date": custom.get(BUSINESS_DATE),
        "columns": {_column(known): _said(known, original, parents) for known in properties},
    }
    return {key: value for key, value in found.items() if value}


def _said(known: Mapping[str, Any], table: str, parents: Parents) -> dict[str, Any]:
    checks = [found for rule in known.get("quality") or () if (found := _check(rule, table, _column(known)))]
    checks += _parents(known, parents)
    if known.get("unique") and {"unique": True} not in checks:
        checks.append({"unique": True})
    found = {
        "type": _type(known),
        "nullable": False if known.get("required") else None,
        "description": _text(known.get("description")),
        "checks": checks or None,
    }
    return {key: value for key, value in found.items() if value is not None}


def _check(rule: Any, table: str, column: str) -> dict[str, Any] | None:
    found = check_of(rule, table, column) if isinstance(rule, Mapping) else None
    return found[0] if found and not found[1] else None


def _parents(known: Mapping[str, Any], parents: Parents) -> Iterator[dict[str, Any]]:
    for relationship in known.get("relationships") or ():
        to = relationship.get("to") if isinstance(relationship, Mapping) else None
        table, _, column = to.rpartition(".") if isinstance(to, str) else ("", "", "")
        if (table, column) in parents:
            found, name = parents[table, column]
            yield {"relationships": {"table": found, "column": name}}


def _table_checks(entry: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the checks of a table: its own rules, and those of columns that are a query."""
    table = str(entry.get("physicalName") or entry["name"])
    for column, rules in [(None, entry.get("quality")), *((_column(p), p.get("quality")) for p in _properties(entry))]:
        for rule in rules or ():
            found = check_of(rule, table, column) if isinstance(rule, Mapping) else None
            if found and found[1]:
                yield found[0]


def _type(known: Mapping[str, Any]) -> str | None:
    physical = str(known.get("physicalType") or "")
    decimal = _DECIMAL.fullmatch(physical.strip())
    if decimal and int(decimal[2] or 0) <= int(decimal[1]) <= _MOST_DIGITS and int(decimal[1]):
        return f"decimal({decimal[1]},{decimal[2] or 0})"
    if physical in ("text", "integer", "float", "boolean", "date", "time", "timestamp", "datetime", "json", "binary"):
        return physical
    return _TYPES.get(str(known.get("logicalType") or ""))


def _freshness(
    document: Mapping[str, Any], keys: Mapping[str, str], parents: Parents
) -> Iterator[tuple[str, dict[str, Any], str | None]]:
    """Yield the table, the check and the business date of every promise of latency."""
    for promise in document.get("slaProperties") or ():
        element = str(promise.get("element") or "") if isinstance(promise, Mapping) else ""
        table, _, column = element.partition(".")
        unit, value = _UNITS.get(str(promise.get("unit") or "")), promise.get("value")
        if promise.get("property") != "latency" or table not in keys or unit is None or not isinstance(value, int):
            continue
        if not column:
            yield keys[table], {"freshness": {"loaded_within": f"{value}{unit}"}}, None
        elif (table, column) in parents:
            check = {"freshness": {"business_date_within": f"{value}{unit}"}}
            yield keys[table], check, parents[table, column][1]


def _deadline(promises: list[Mapping[str, Any]]) -> dict[str, Any] | None:
    times = [p for p in promises if p.get("property") == "timeOfAvailability"]
    if len(times) != 1 or not _TIME.fullmatch(str(times[0].get("value"))):
        return None
    zone = times[0].get("unit")
    return {"by": str(times[0]["value"]), **({"timezone": zone} if zone else {})}
