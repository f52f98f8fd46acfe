"""What a resource of dlt reads by its changes: its cursor, where the pipeline's state says that it stopped."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

from elt_factory.core.sql_text import identifier, text_literal
from elt_factory.importing.beginning import day_of
from elt_factory.importing.dlt_rest.literals import SPREAD, Called, Unknown
from elt_factory.importing.dlt_rest.saying import path_of, shown, steps
from elt_factory.importing.manifest.saying import UnsaidError

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}|\d{8}")  # what dlt takes for a date and not for a time
_TYPED = re.compile(r"^[\uf026-\uf02f]")  # how dlt marks times in its states
_NAMES = ("cursor_path", "initial_value", "last_value_func", "primary_key", "end_value")
_KNOWN = {*_NAMES, "type", "start_param", "end_param", "lag", "on_cursor_value_missing", "row_order", "range_start"}
_KNOWN |= {"range_end", "allow_external_schedulers"}


@dataclass(frozen=True)
class Cursor:
    """What is read by its changes.

    Args:
        column: The column that grows.
        way: Its path in the record, where that is not the column.
        start: The template of where a read begins.
        end: The template of where it ends.
        incremental: What the table says of it.
        last: What the pipeline has read, or the value that it begins with; None where neither is known.
        taken_over: Whether `last` is of a pipeline's state.
        params: The parameters that carry the ends.
    """

    column: str
    way: str | None
    start: str
    end: str
    incremental: dict[str, Any]
    last: str | int | None
    taken_over: bool
    params: dict[str, str]

    @property
    def day(self) -> str | None:
        """The day of the last value, where it is a time."""
        return day_of(self.last)

    def newer(self) -> str | None:
        """Return the condition for the rows that the pipeline has not read; None where the cursor alone says it."""
        # a lag reads below the last value, and those rows have to be loaded
        if not self.taken_over or not isinstance(self.last, str) or "lag" in self.incremental:
            return None
        return f"{identifier(self.column)} >= {text_literal(self.last)}"


def cursor_of(endpoint: Mapping[str, Any], state: Mapping[str, Any]) -> Cursor | None:
    """Return what a resource is read by; None where it is read whole.

    Args:
        endpoint: The endpoint of the resource.
        state: What the pipeline has kept of the resource.

    Raises:
        UnsaidError: it is code, or ends at a value.
    """
    said, params = _said(endpoint)
    if said is None:
        return None
    for name in ("convert", "transform"):
        if said.get(name) is not None:
            raise UnsaidError(f"{name} of the cursor is code: {shown(said[name])}")
    by = said.get("last_value_func")
    if by is not None and not (isinstance(by, Unknown) and by.text == "max"):
        raise UnsaidError(f"last_value_func of the cursor: {shown(by)}")
    if said.get("end_value") is not None:
        raise UnsaidError("a cursor that ends at a value: elt backfill reads a period")
    if odd := sorted(map(str, set(said) - _KNOWN)):
        raise UnsaidError(f"the cursor's {', '.join(odd)}")
    parts = steps(said.get("cursor_path"))
    initial = said.get("initial_value")
    last, taken = _last(state, str(said.get("cursor_path"))), True
    if last is None:
        last, taken = (initial if isinstance(initial, str | int) else None), False
    return _made(parts, (last, initial), said, params, taken=taken)


def _made(parts: list[str], values: tuple[Any, Any], said: Any, params: dict[str, str], *, taken: bool) -> Cursor:
    last, initial = values
    column = "_".join(parts)
    way = path_of(parts) if len(parts) > 1 else None
    lag = _lag(said.get("lag"), values)
    if isinstance(last, int):
        found = {"cursor": column, "initial": last, **lag}
        return Cursor(column, way, "{{ cursor }}", "{{ window.end | epoch }}", found, last, taken, params)
    # what dlt sends is what the records have
    form = " | date" if isinstance(initial, str) and _DAY.fullmatch(initial) else ""
    found = {"cursor": column, "outside_window": "drop", **lag}
    if day := day_of(last):
        found["initial"] = day
    start, end = (f"{{{{ window.{one}{form} }}}}" for one in ("start", "end"))
    return Cursor(column, way, start, end, found, last, taken, params)


def _lag(given: Any, values: tuple[Any, Any]) -> dict[str, Any]:
    """Return the lag: of a number as it is, of a date in days, of a time in seconds, as dlt reads it.

    Args:
        given: What the cursor says.
        values: The last value, and the one that it begins with, which decides where it is a date or a time.
    """
    if isinstance(given, bool) or not isinstance(given, int | float) or not given:
        return {}
    last, initial = values
    if isinstance(last, int):
        return {"lag": given}
    decides = initial if isinstance(initial, str) else last
    dated = isinstance(decides, str) and _DATE.fullmatch(decides) is not None
    return {"lag": f"{ceil(given)}{'d' if dated else 's'}"}


def _said(endpoint: Mapping[str, Any]) -> tuple[Mapping[str, Any] | None, dict[str, str]]:
    """Return what is said of the cursor, and the parameters that carry its ends."""
    params = endpoint.get("params")
    for name, value in params.items() if isinstance(params, Mapping) else ():
        called = isinstance(value, Called) and value.name.lower() == "incremental"
        if called:
            return {**dict(zip(_NAMES, value.args, strict=False)), **value.given}, {name: "start"}
        if isinstance(value, Mapping) and value.get("type") == "incremental":
            return value, {name: "start"}
    said = endpoint.get("incremental")
    if said is None:
        return None, {}
    if not isinstance(said, Mapping) or SPREAD in said:
        raise UnsaidError(f"a cursor by code: {shown(said)}")
    ends = {"start_param": "start", "end_param": "end"}
    return said, {str(said[key]): end for key, end in ends.items() if said.get(key)}


def _last(state: Mapping[str, Any], way: str) -> str | int | None:
    kept = (state.get("incremental") or {}).get(way) or {}
    last = kept.get("last_value")
    if isinstance(last, str):
        return _TYPED.sub("", last)
    return last if isinstance(last, int) and not isinstance(last, bool) else None
