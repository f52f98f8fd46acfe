"""The contract over records that are mostly good, as SQL: DuckDB's own casts, and the exact ones for the rest.

What only rejects need, a reason and the record, is left out: `landing.direct` gets them in a second pass. Each step
names what the next one uses, so that no value is cast twice.
"""

from __future__ import annotations

from elt_factory.core.sql_text import identifier
from elt_factory.landing.casting import is_usual, plain_cast
from elt_factory.landing.contract import named_rows, typed_value
from elt_factory.landing.file_names import AGAIN, MET, PATH, UNDECODED, proven_name
from elt_factory.landing.planned import ContractPlan, PlannedColumn
from elt_factory.landing.presumption import confirmed
from elt_factory.landing.reasons import refusals


def good_records(relation: str, plan: ContractPlan) -> str:
    """SELECT of the good ones of the records under their names."""
    raw = [f"{identifier(name)} AS {plan.raw(name)}" for name in plan.raw_columns] or ["NULL AS r0"]
    own = {PATH: "file", AGAIN: "again", UNDECODED: "undecoded"}
    raw += [f"{identifier(name)} AS {own[name]}" for name in plan.own_columns if name in own]
    raw += [f"{identifier(proven_name(name))} AS {_proven(name, plan)}" for name in sorted(plan.proven)]
    raw += [f"{identifier(MET)} AS met"] if plan.proven else []
    cast = [column for column in plan.columns if _is_cast(column, plan)]
    plain = "".join(f", {_cast(c, plan)} AS {_plain(c, plan)}" for c in cast)
    typed = "".join(f", {_value(column, plan)} AS {plan.typed(column.name)}" for column in plan.columns)
    refused = refusals(plan)
    good = f" WHERE {' AND '.join(f'NOT ({refusal})' for refusal in refused)}" if refused else ""
    records = f"SELECT *{typed} FROM (SELECT *{plain} FROM (SELECT {', '.join(raw)} FROM {relation}) AS raw) AS plain"
    return named_rows(plan, f"(SELECT * FROM ({records}) AS typed{good}) AS staged")


def _proven(name: str, plan: ContractPlan) -> str:
    return f"t{plan.raw(name)[1:]}"


def _cast(column: PlannedColumn, plan: ContractPlan) -> str:
    cast = plain_cast(plan.raw(column.name), column.type)
    return f"CASE WHEN NOT met THEN {cast} END" if column.name in plan.proven else cast


def _plain(column: PlannedColumn, plan: ContractPlan) -> str:
    return f"p{plan.raw(column.name)[1:]}"


def _is_cast(column: PlannedColumn, plan: ContractPlan) -> bool:
    """Whether DuckDB's own cast is tried first."""
    if column.name in plan.presumed.tests:
        return True
    signs = plan.signs is not None and plan.signs.takes(column.type)
    is_own = signs or column.written or plan.is_cut(column) or column.name in plan.of_bytes
    return column.found and not column.hashed and not is_own and bool(is_usual("", "", column.type))


def _value(column: PlannedColumn, plan: ContractPlan) -> str:
    value = _asked(column, plan)
    if column.name not in plan.proven:
        return value
    return f"CASE WHEN met THEN {_proven(column.name, plan)} ELSE {value} END"


def _asked(column: PlannedColumn, plan: ContractPlan) -> str:
    if not _is_cast(column, plan):
        return typed_value(column, plan)
    raw, value = plan.raw(column.name), _plain(column, plan)
    if test := plan.presumed.tests.get(column.name):
        return confirmed(raw, value, test)
    if plan.is_sure(column):
        return value
    return f"CASE WHEN {is_usual(raw, value, column.type)} THEN {value} ELSE {typed_value(column, plan)} END"
