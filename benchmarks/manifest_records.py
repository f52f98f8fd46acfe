"""Values for the records of a mock API: by their JSON schema, made out of names and numbers alone."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

END = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
START = END - timedelta(days=7)
_DEPTH = 3
Node = Mapping[str, Any]
Record = dict[str, Any]


class UnservedError(Exception):
    """What a manifest says that is not served here."""


def written_as(when: datetime, form: str) -> str:
    """Return a time as a manifest writes it."""
    if form in ("%s", "%ms"):
        return str(int(when.timestamp()) * (1000 if form == "%ms" else 1))
    if "%epoch" in form or "%_ms" in form:
        raise UnservedError(f"times as {form}")
    return when.strftime(form.replace("%ms", "000"))


def read_as(text: str, form: str) -> datetime:
    """Return the time in a text."""
    if text.isdigit() and form in ("%s", "%ms"):
        return datetime.fromtimestamp(int(text) / (1000 if form == "%ms" else 1), UTC)
    if re.match(r"\d{4}-\d\d-\d\dT", text):
        return datetime.fromisoformat(text).astimezone(UTC)
    found = datetime.strptime(text, form.replace("%ms", "%f"))  # noqa: DTZ007 - without a zone it is UTC
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found


def made(name: str, schema: Node, number: int, depth: int) -> Any:
    """Return a value that fits a schema, the same for the same number."""
    if not isinstance(schema, Mapping):
        return f"{name} {number}"
    choices = [one for one in schema.get("anyOf") or schema.get("oneOf") or () if one.get("type") != "null"]
    if choices:
        return made(name, choices[0], number, depth)
    kinds = schema.get("type")
    kind = next((one for one in ([kinds] if isinstance(kinds, str) else kinds or ["string"]) if one != "null"), "null")
    if kind == "object":
        below = schema.get("properties") or {}
        return {key: made(key, one, number, depth + 1) for key, one in below.items()} if depth < _DEPTH else {}
    if kind == "array":
        items = schema.get("items")
        return [made(name, items, number, depth + 1)] if isinstance(items, Mapping) and items and depth < _DEPTH else []
    return _plain(name, kind, str(schema.get("format")), number)


def _plain(name: str, kind: str, form: str, number: int) -> Any:
    day = START + timedelta(days=number % 7)
    texts = {"date": f"{day:%Y-%m-%d}", "date-time": f"{day:%Y-%m-%dT%H:%M:%SZ}", "time": "10:00:00"}
    values: dict[str, Any] = {"integer": number, "number": number + 0.25, "boolean": number % 2 == 0, "null": None}
    return values[kind] if kind in values else texts.get(form, f"{name} {number}")


def at(record: Any, way: Sequence[str]) -> Any:
    """Return what is at a way below a record; None where there is nothing."""
    for step in way:
        record = record.get(step) if isinstance(record, dict) else None
    return record


def put(record: Record, way: Sequence[str], value: Any) -> None:
    """Put a value at a way below a record."""
    *above, last = way
    for step in above:
        below = record.get(step)
        record[step] = below if isinstance(below, dict) else {}
        record = record[step]
    record[last] = value
