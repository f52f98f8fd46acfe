"""Quality rules of the standard, and checks of a config: each as the other, where there is one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

ENGINE = "elt-factory"  # rules of this engine are checks as a YAML file writes them
_SEVERITY = {"warn": "warning", "error": "error"}
_OPERATORS = {
    "mustBe": "value = {0}",
    "mustNotBe": "value <> {0}",
    "mustBeGreaterThan": "value > {0}",
    "mustBeGreaterOrEqualTo": "value >= {0}",
    "mustBeGreaterThanOrEqualTo": "value >= {0}",
    "mustBeLessThan": "value < {0}",
    "mustBeLessOrEqualTo": "value <= {0}",
    "mustBeLessThanOrEqualTo": "value <= {0}",
    "mustBeBetween": "value BETWEEN {0} AND {1}",
    "mustNotBeBetween": "value NOT BETWEEN {0} AND {1}",
}
_OLD_METRICS = {
    "nullCheck": "nullValues",
    "duplicateCount": "duplicateValues",
    "uniqueCheck": "duplicateValues",
    "validValues": "invalidValues",
}


def rule_of(check: Mapping[str, Any]) -> dict[str, Any]:
    """Return the rule of a check, as YAML has it: a metric of the standard's library, else a rule of this engine."""
    severity = _SEVERITY.get(check.get("severity", "error"))
    library = None if check.get("where") or severity is None else _library(check)
    if library is None:
        return {"type": "custom", "engine": ENGINE, "implementation": dict(check)}
    return {"type": "library", **library, "severity": severity}


def _library(check: Mapping[str, Any]) -> dict[str, Any] | None:
    count = check.get("row_count")
    if isinstance(count, Mapping) and not count.get("within"):
        return {"metric": "rowCount", **_limits(count.get("min"), count.get("max"))}
    metric = next((made(check[name]) for name, made in _METRICS.items() if name in check), None)
    return None if metric is None else {**metric, **_at_most(check.get("max_failing", 0))}


def _duplicates(columns: Any) -> dict[str, Any]:
    return {"metric": "duplicateValues", **({} if columns is True else {"arguments": {"properties": list(columns)}})}


_METRICS: Mapping[str, Callable[[Any], dict[str, Any]]] = {
    "not_null": lambda _: {"metric": "nullValues"},
    "unique": _duplicates,
    "accepted_values": lambda values: {"metric": "invalidValues", "arguments": {"validValues": list(values)}},
    "regex": lambda pattern: {"metric": "invalidValues", "arguments": {"pattern": pattern}},
}


def _at_most(allowed: int | str) -> dict[str, Any]:
    if isinstance(allowed, str):
        return {"mustBeLessOrEqualTo": float(allowed.rstrip("% ")), "unit": "percent"}
    return {"mustBeLessOrEqualTo": allowed} if allowed else {"mustBe": 0}


def _limits(low: int | None, high: int | None) -> dict[str, Any]:
    if low is not None and high is not None:
        return {"mustBeBetween": [low, high]}
    return {"mustBeGreaterOrEqualTo": low} if low is not None else {"mustBeLessOrEqualTo": high}


def check_of(rule: Mapping[str, Any], table: str, column: str | None) -> tuple[dict[str, Any], bool] | None:
    """Return the check of a rule, and whether it is one of a table; None where there is no such check.

    `table` is as SQL names it; `column` is None for a rule of the table.
    """
    found = _check(rule, table, column)
    if found is None:
        return None
    check, of_table = found
    severity = str(rule.get("severity", "error")).lower()
    warns = {"severity": "warn"} if severity in ("warn", "warning", "info", "low") else {}
    return {**check, **warns}, of_table


def _check(rule: Mapping[str, Any], table: str, column: str | None) -> tuple[dict[str, Any], bool] | None:
    kind = rule.get("type") or ("library" if _metric(rule) else "")
    if kind == "custom" and rule.get("engine") == ENGINE and isinstance(rule.get("implementation"), Mapping):
        return dict(rule["implementation"]), column is None
    if kind == "sql" and isinstance(rule.get("query"), str):
        return _query(rule, table, column)
    if kind != "library" or any(name.startswith("must") and name not in _OPERATORS for name in rule):
        return None
    metric = _metric(rule)
    if metric == "rowCount" and rule.get("unit", "rows") == "rows":
        limits = _row_limits(rule)
        return ({"row_count": limits}, True) if limits else None
    allowed = _allowed(rule)
    condition = None if allowed is None else _condition(metric, rule, column)
    if condition is None or allowed is None:
        return None
    return {**condition, **({"max_failing": allowed} if allowed else {})}, column is None


def _metric(rule: Mapping[str, Any]) -> str:
    written = str(rule.get("metric") or rule.get("rule") or "")
    return _OLD_METRICS.get(written, written)


def _condition(metric: str, rule: Mapping[str, Any], column: str | None) -> dict[str, Any] | None:
    given = rule.get("arguments")
    arguments: Mapping[str, Any] = {
        **(given if isinstance(given, Mapping) else {}),
        **{key: rule[key] for key in ("validValues",) if key in rule},
    }
    if metric == "duplicateValues":
        names = arguments.get("properties")
        if column is None:
            return {"unique": list(names)} if names else None
        return {"unique": True}
    if column is None:
        return None
    if metric == "nullValues" and not arguments:
        return {"not_null": True}
    if metric == "invalidValues" and set(arguments) == {"validValues"}:
        values = [value for value in arguments["validValues"] if value is not None]
        return {"accepted_values": values} if values else None
    return {"regex": arguments["pattern"]} if metric == "invalidValues" and set(arguments) == {"pattern"} else None


def _operators(rule: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in rule.items() if name in _OPERATORS and value is not None}


def _allowed(rule: Mapping[str, Any]) -> int | str | None:
    """Return how many rows may fail; None where a rule wants some to fail. Without an operator none may."""
    operators = _operators(rule)
    most: dict[str, Any] = {"mustBe": 0}
    if operators:
        ((name, value),) = operators.items() if len(operators) == 1 else (("", None),)
        if name == "mustBeLessThan" and isinstance(value, int) and rule.get("unit", "rows") == "rows":
            name, value = "mustBeLessOrEqualTo", value - 1
        if not name.startswith("mustBeLess") and not (name == "mustBe" and value == 0):
            return None
        if name == "mustBeLessThan":
            return None
        most = {name: value}
    (value,) = most.values()
    if rule.get("unit") in ("percent", "%"):
        return f"{value:g}%" if value else 0
    return int(value) if float(value).is_integer() and value >= 0 else None


def _row_limits(rule: Mapping[str, Any]) -> dict[str, int] | None:
    limits: dict[str, Any] = {}
    for name, value in _operators(rule).items():
        low, high = value if isinstance(value, Sequence) and not isinstance(value, str) else (value, value)
        if name in ("mustBe", "mustBeBetween"):
            limits |= {"min": low, "max": high}
        elif name.startswith("mustBeGreater"):
            limits["min"] = low + (name == "mustBeGreaterThan")
        elif name.startswith("mustBeLess"):
            limits["max"] = low - (name == "mustBeLessThan")
        else:
            return None
    whole = bool(limits) and all(isinstance(value, int) and value >= 0 for value in limits.values())
    return limits if whole else None


def _query(rule: Mapping[str, Any], table: str, column: str | None) -> tuple[dict[str, Any], bool] | None:
    """Return a query that finds a row where the value that another one answers with is not as it must be."""
    operators = _operators(rule)
    if not operators:
        return None
    conditions = []
    for name, value in operators.items():
        numbers = value if isinstance(value, list) else [value]
        if not all(isinstance(number, int | float) for number in numbers):
            return None
        conditions.append(_OPERATORS[name].format(*numbers))
    text = str(rule["query"]).strip().rstrip(";")
    for placeholder, meant in (("object", table), ("table", table), ("property", column), ("column", column)):
        if meant:
            text = re.sub(rf"\$?\{{{placeholder}\}}", meant, text)
    if re.search(r"\$?\{", text):
        return None
    return {"query": f"SELECT value FROM (\n{text}\n) AS answer(value) WHERE NOT ({' AND '.join(conditions)})"}, True
