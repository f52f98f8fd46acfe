"""Everyday expectations of Great Expectations and checks of Soda, as checks of a config.

What has no check that says the same returns none: a check that says nearly the same would hide what it does not see.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

Check = dict[str, Any]
_SODA = re.compile(
    r"(?P<metric>[a-z_]+)(?:\s*\((?P<column>[^)]*)\))?\s*"
    r"(?:(?P<operator>between|!=|<=|>=|<|>|=)\s*(?P<limit>.+))?",
    re.IGNORECASE,
)
_INTERVAL = re.compile(r"([0-9]+)([dhm])")


def of_great_expectations(name: str, arguments: Mapping[str, Any]) -> Check | None:
    """Return the check of an expectation.

    Args:
        name: As in `expect_column_values_to_not_be_null`.
        arguments: What the expectation is given; `column` says whose check it is, without one it is of the table.
    """
    made = _EXPECTATIONS.get(name)
    check = made(arguments) if made else None
    if check is None or not _takes(name, arguments):
        return None
    mostly = arguments.get("mostly", 1)
    rows = f"{round((1 - mostly) * 100, 10):g}%" if mostly < 1 else None
    if rows and not _OF_ROWS.intersection(check):
        return None
    severity = {"severity": "warn"} if arguments.get("severity") in ("warning", "info") else {}
    condition = {"where": arguments["row_condition"]} if arguments.get("row_condition") else {}
    return {**check, **({"max_failing": rows} if rows else {}), **condition, **severity}


# of duplicates others count all rows, or the values, where `unique` counts the rows that repeat one
_OF_ROWS = frozenset({"not_null", "between", "accepted_values", "regex", "length"})
_COMMON = frozenset({"column", "column_list", "mostly", "severity", "row_condition", "condition_parser", "meta"})
_OWN = {
    "expect_column_values_to_be_between": {"min_value", "max_value"},
    "expect_column_values_to_be_in_set": {"value_set"},
    "expect_column_values_to_match_regex": {"regex"},
    "expect_column_value_lengths_to_be_between": {"min_value", "max_value"},
    "expect_column_value_lengths_to_equal": {"value"},
    "expect_compound_columns_to_be_unique": {"ignore_row_if"},
    "expect_table_row_count_to_be_between": {"min_value", "max_value"},
    "expect_table_row_count_to_equal": {"value"},
    "expect_column_sum_to_be_between": {"min_value", "max_value"},
    "expect_column_mean_to_be_between": {"min_value", "max_value"},
    "expect_column_pair_values_a_to_be_greater_than_b": {"column_A", "column_B", "or_equal"},
    "unexpected_rows_expectation": {"unexpected_rows_query"},
}


def _takes(name: str, arguments: Mapping[str, Any]) -> bool:
    """Whether all that an expectation is given is known: `strict_min` and the like would mean another check."""
    known = _COMMON | _OWN.get(name, set())
    return all(key in known or not value for key, value in arguments.items())


def _limits(arguments: Mapping[str, Any]) -> dict[str, Any]:
    named = (("min", arguments.get("min_value")), ("max", arguments.get("max_value")))
    return {name: value for name, value in named if value is not None}


def _between(arguments: Mapping[str, Any]) -> Check | None:
    limits, column = _limits(arguments), arguments["column"]
    if len(limits) == 2:  # noqa: PLR2004 - a range has two ends
        return {"between": [limits["min"], limits["max"]]}
    conditions = [f"{column} {'>=' if name == 'min' else '<='} {value!r}" for name, value in limits.items()]
    # a condition is one of the table, with shares of its own
    return {"expression": conditions[0]} if conditions and "mostly" not in arguments else None


def _limited(key: str) -> Callable[[Mapping[str, Any]], Check | None]:
    def made(arguments: Mapping[str, Any]) -> Check | None:
        limits = _limits(arguments)
        return {key: limits} if limits else None

    return made


def _exactly(key: str) -> Callable[[Mapping[str, Any]], Check]:
    return lambda arguments: {key: {"min": arguments["value"], "max": arguments["value"]}}


def _greater(arguments: Mapping[str, Any]) -> Check:
    sign = ">=" if arguments.get("or_equal") else ">"
    return {"expression": f"{arguments['column_A']} {sign} {arguments['column_B']}"}


_EXPECTATIONS: Mapping[str, Callable[[Mapping[str, Any]], Check | None]] = {
    "expect_column_values_to_not_be_null": lambda _: {"not_null": True},
    "expect_column_values_to_be_unique": lambda _: {"unique": True},
    "expect_column_values_to_be_between": _between,
    "expect_column_values_to_be_in_set": lambda given: {"accepted_values": list(given["value_set"])},
    "expect_column_values_to_match_regex": lambda given: {"regex": given["regex"]},
    "expect_column_value_lengths_to_be_between": _limited("length"),
    "expect_column_value_lengths_to_equal": _exactly("length"),
    "expect_compound_columns_to_be_unique": lambda given: {"unique": list(given["column_list"])},
    "expect_table_row_count_to_be_between": _limited("row_count"),
    "expect_table_row_count_to_equal": _exactly("row_count"),
    "expect_column_sum_to_be_between": _limited("sum"),
    "expect_column_mean_to_be_between": _limited("mean"),
    "expect_column_pair_values_a_to_be_greater_than_b": _greater,
    "unexpected_rows_expectation": lambda given: {"query": given["unexpected_rows_query"]},
}


def of_soda(text: str, configured: Mapping[str, Any] | None = None) -> Check | None:
    """Return the check of a line of SodaCL, such as `missing_count(origin) = 0`.

    Args:
        text: The line.
        configured: What is written below it: `valid values`, `valid regex` and so on.
    """
    found = _SODA.fullmatch(text.strip())
    below = {key: value for key, value in (configured or {}).items() if key != "name"}
    if found is None:
        return None
    metric, columns = found["metric"].lower(), [c.strip() for c in (found["column"] or "").split(",") if c.strip()]
    operator, limit = (found["operator"] or "").lower(), (found["limit"] or "").strip()
    if metric in _BROKEN:
        return _broken(metric, columns, operator, limit, below)
    if below:
        return None
    if metric == "freshness" and operator in ("<", "<="):
        # theirs is the age of the newest value of a column: of the business date
        interval = _INTERVAL.fullmatch(limit)
        return {"freshness": {"business_date_within": limit}} if interval else None
    return _figure(metric, operator, limit)


_BROKEN = frozenset(f"{what}_{unit}" for what in ("missing", "duplicate", "invalid") for unit in ("count", "percent"))
_FIGURES = {"row_count": "row_count", "sum": "sum", "avg": "mean"}


def _broken(metric: str, columns: list[str], operator: str, limit: str, below: Mapping[str, Any]) -> Check | None:
    allowed = _allowed(operator, limit, percent=metric.endswith("percent"))
    if allowed is None or not columns:
        return None
    more = {"max_failing": allowed} if allowed not in (0, "0%") else {}
    if metric.startswith("duplicate"):
        return {"unique": True if len(columns) == 1 else columns} if not below and not more else None
    if metric.startswith("missing"):
        return {"not_null": True, **more} if not below else None
    check = _valid(below)
    return {**check, **more} if check else None


def _valid(below: Mapping[str, Any]) -> Check | None:
    if set(below) == {"valid values"}:
        return {"accepted_values": list(below["valid values"])}
    if set(below) == {"valid regex"}:
        return {"regex": below["valid regex"]}
    if set(below) == {"valid min", "valid max"}:
        return {"between": [below["valid min"], below["valid max"]]}
    lengths = {"valid min length": "min", "valid max length": "max"}
    if below and set(below) <= set(lengths):
        return {"length": {lengths[key]: value for key, value in below.items()}}
    length = below.get("valid length")
    return {"length": {"min": length, "max": length}} if set(below) == {"valid length"} else None


def _allowed(operator: str, limit: str, *, percent: bool) -> int | str | None:
    """Return how many rows may fail; None for a limit that wants some to fail."""
    number = limit.removesuffix("%").strip()
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", number):
        return None
    if percent:
        return f"{float(number):g}%" if operator == "<=" or (operator == "=" and float(number) == 0) else None
    whole = int(float(number))
    if operator == "<":
        return whole - 1 if whole else None
    return whole if operator == "<=" or (operator == "=" and whole == 0) else None


def _figure(metric: str, operator: str, limit: str) -> Check | None:
    key, numbers = _FIGURES.get(metric), re.findall(r"-?[0-9]+(?:\.[0-9]+)?", limit)
    values = [float(n) if "." in n else int(n) for n in numbers]
    if key is None or not values or not re.fullmatch(r"[-0-9. and]+", limit):
        return None
    if operator == "between" and len(values) == 2:  # noqa: PLR2004 - a range has two ends
        return {key: {"min": values[0], "max": values[1]}}
    if operator == "=":
        return {key: {"min": values[0], "max": values[0]}}
    whole = 1 if key == "row_count" else None
    step = {">": whole, "<": whole, ">=": 0, "<=": 0}.get(operator)
    if step is None:
        return None
    return {key: {"min": values[0] + step} if operator.startswith(">") else {"max": values[0] - step}}
