"""Why a record is rejected, as SQL over its raw and typed columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from elt_factory.config.models.table import TIMES
from elt_factory.core.sql_text import text_literal
from elt_factory.landing import json_rules, limits
from elt_factory.landing.bad_times import why_no_time
from elt_factory.landing.casting import has_nanoseconds
from elt_factory.landing.planned import ContractPlan, PlannedColumn
from elt_factory.landing.quarantine import set_aside

_SHOWN = 100  # characters of a bad value that a reason shows


@dataclass(frozen=True)
class _Cause:
    """A condition under which a record is rejected, and what is said of it."""

    condition: str
    text: str


def row_reason(plan: ContractPlan) -> str:
    """Why a row is rejected, all causes joined by '; '; NULL for a good row."""
    causes = [
        cause.text if cause.condition == "TRUE" else f"CASE WHEN {cause.condition} THEN {cause.text} END"
        for cause in _causes(plan)
    ]
    found = f"NULLIF(concat_ws('; ', {', '.join(causes)}), '')" if causes else "CAST(NULL AS VARCHAR)"
    if plan.quarantines:
        # a row that has a fault of its own is not asked about more
        found = f"coalesce({found}, {set_aside(plan)})"
    return f"CASE WHEN again THEN 'the line repeats the header' ELSE {found} END" if plan.by_header else found


def refusals(plan: ContractPlan) -> list[str]:
    """Return the conditions under which a record is rejected; `row_reason` is NULL where none of them holds.

    Checks that set rows aside are not among them: where there are some, every record is staged.
    """
    return [*(["again"] if plan.by_header else []), *(cause.condition for cause in _causes(plan))]


def _causes(plan: ContractPlan) -> list[_Cause]:
    none = [] if plan.columns else [_Cause("TRUE", text_literal("no column has a value"))]
    return [*_bad_values(plan), *_missing_values(plan), *_unwanted_values(plan), *none]


def bad_value_count(plan: ContractPlan) -> str:
    """How many values of a row become NULL because their columns cannot hold them."""
    tests = [f"CAST({_is_bad(c, plan)} AS INTEGER)" for c in _checked(plan) if c.on_bad_value == "null"]
    return _sum(tests) if tests else "0"


def _sum(terms: Sequence[str]) -> str:
    # a thousand terms one after another are deeper than DuckDB lets an expression be
    if len(terms) == 1:
        return terms[0]
    middle = len(terms) // 2
    return f"({_sum(terms[:middle])} + {_sum(terms[middle:])})"


def _checked(plan: ContractPlan) -> list[PlannedColumn]:
    """Return the columns that may have bad values; what contradicts a presumption ends the whole statement."""
    sure = plan.presumed.tests
    return [c for c in plan.columns if c.found and not c.hashed and not plan.is_plain_text(c) and c.name not in sure]


def _is_bad(column: PlannedColumn, plan: ContractPlan) -> str:
    return f"({plan.raw(column.name)} IS NOT NULL AND {plan.typed(column.name)} IS NULL)"


def _bad_values(plan: ContractPlan) -> list[_Cause]:
    return [
        _Cause(
            _unless_deleted(_is_bad(c, plan), c.name, plan),
            f"concat({text_literal(f'{c.name} ')}, {_why_bad(c, plan)})",
        )
        for c in _checked(plan)
        if c.on_bad_value == "reject"
    ]


def _unless_deleted(condition: str, name: str, plan: ContractPlan) -> str:
    # a record that says that its row is deleted needs its key alone: rejected, the row would stay
    if plan.deleted is None or plan.deletes is None or name in (*plan.primary_key, plan.deletes.column):
        return condition
    return f"({condition} AND NOT {plan.deleted})"


def _why_bad(column: PlannedColumn, plan: ContractPlan) -> str:
    undecoded = plan.is_undecoded(column)
    if undecoded is None:
        return _why_not_valid(column, plan)
    text = f"concat('has bytes that are not UTF-8 text: ', {_shown(column.name, plan)})"
    return f"CASE WHEN {undecoded} THEN {text} ELSE {_why_not_valid(column, plan)} END"


def _why_not_valid(column: PlannedColumn, plan: ContractPlan) -> str:
    raw, kind = plan.raw(column.name), column.type
    other = f"concat({text_literal(f'is not a valid {kind}: ')}, {_shown(column.name, plan)})"
    if kind.name in (*TIMES, "time") and not column.written:
        cause = why_no_time(raw, kind, found=column.name in plan.clocks)
        other = f"concat(coalesce({cause}, {text_literal(f'is not a valid {kind}: ')}), {_shown(column.name, plan)})"
    if plan.is_cut(column):
        longer = (
            f"concat({text_literal(f'has nanoseconds, and a {kind} has microseconds: ')}, {_shown(column.name, plan)})"
        )
        return f"CASE WHEN {has_nanoseconds(raw)} THEN {longer} ELSE {other} END"
    if column.name in plan.not_bytes:
        return f"concat('is not binary in the source: ', {_shown(column.name, plan)})"
    match kind.name:
        case "text":
            return text_literal(f"is longer than {limits.TEXT_BYTES:,} bytes")
        case "binary":
            longer = text_literal(f"is longer than {limits.BINARY_BYTES:,} bytes")
            return f"CASE WHEN strlen({raw}) > {2 * limits.BINARY_BYTES} THEN {longer} ELSE {other} END"
        case "json":
            return json_rules.reason(raw, other)
    return other


def _missing_values(plan: ContractPlan) -> list[_Cause]:
    needed = [c for c in plan.columns if c.name in plan.primary_key or not c.nullable]
    # a key that no record has a value for is not among the columns
    absent = set(plan.primary_key).difference(column.name for column in plan.columns)
    return [
        *(
            _Cause(
                _unless_deleted(f"{_given_value(column, plan)} IS NULL", column.name, plan),
                text_literal(f"{column.name} has no value"),
            )
            for column in needed
        ),
        *(_Cause("TRUE", text_literal(f"{name} has no value")) for name in sorted(absent)),
    ]


def _given_value(column: PlannedColumn, plan: ContractPlan) -> str:
    # a value that was discarded is not a value; one that is rejected has its own cause already
    if not column.found or column.on_bad_value == "null":
        return plan.typed(column.name)
    return plan.raw(column.name)


def _unwanted_values(plan: ContractPlan) -> list[_Cause]:
    return [
        _Cause(
            _unless_deleted(f"{plan.raw(name)} IS NOT NULL", name, plan),
            text_literal(f"{name} is not in the contract"),
        )
        for name in plan.unwanted
    ]


def _shown(name: str, plan: ContractPlan) -> str:
    if name in plan.secret:
        return "'(hidden)'"
    return f"concat('\"', left(CAST({plan.raw(name)} AS VARCHAR), {_SHOWN}), '\"')"
