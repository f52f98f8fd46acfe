"""What is kept of a rejected row: enough to put it through the contract again, and nothing personal in the clear.

`record` is the raw row without what is personal, `protected` what the contract made of that: hashes, as the table has
them. `key` and `cursor` say which later row takes the place of the rejected one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from elt_factory.core.sql_text import identifier, text_literal
from elt_factory.landing import limits
from elt_factory.landing.casting import bound_text

if TYPE_CHECKING:
    from elt_factory.landing.planned import ContractPlan, PlannedColumn

# what `staged` has of a rejected row next to its reason, with the types of DuckDB
KEPT: Mapping[str, str] = {
    "record": "VARCHAR",
    "whole": "BOOLEAN",
    "key": "VARCHAR",
    "cursor": "VARCHAR",
    "protected": "VARCHAR",
}
_NULL = "CAST(NULL AS VARCHAR)"
_NOT_A_KEY = ("binary", "json")  # a text of theirs is not the same in every warehouse


def kept_of_reject(plan: ContractPlan) -> Mapping[str, str]:
    """Return what is kept of a rejected row, as SQL over a row with its raw and its typed columns."""
    return {
        "record": record_json(plan),
        "whole": f"{_raw_bytes(plan, _shown(plan))} <= {limits.KEPT_RECORD_BYTES}" if _shown(plan) else "TRUE",
        "key": _key_json(plan),
        "cursor": _cursor_text(plan),
        "protected": _protected_json(plan),
    }


def of_line(record: str) -> str:
    """Return what is kept of a line that is not a record: of it nothing but the line can be read again."""
    values = {"record": f"CAST({record} AS VARCHAR)", "whole": "FALSE"}
    return ", ".join(f"{values.get(name, f'CAST(NULL AS {kind})')} AS {name}" for name, kind in KEPT.items())


def record_json(plan: ContractPlan) -> str:
    """Return the raw record as JSON text, without what is personal."""
    shown = _shown(plan)
    if not shown:
        return "'{}'"
    fields = ", ".join(f"{identifier(name)} := {plan.raw(name)}" for name in shown)
    # what is too long for a text of the warehouse is kept in part
    whole = f"CAST(to_json(struct_pack({fields})) AS VARCHAR)"
    part = f"CAST(to_json(struct_pack(part := left({whole}, {limits.KEPT_LINE_CHARACTERS}))) AS VARCHAR)"
    return f"CASE WHEN {_raw_bytes(plan, shown)} > {limits.KEPT_RECORD_BYTES} THEN {part} ELSE {whole} END"


def key_names(keys: Sequence[str]) -> str:
    """Return how a kept key says of which columns it is."""
    return ",".join(keys)


def copy_rejects(plan: ContractPlan, file: str) -> str:
    """COPY of the rejected rows, in the order they were read, to one Parquet file; returns path, rows, bytes.

    `ordinal` counts them; lines that are not records come last. `place` is where a row is among all that were read.
    """
    named = "delivered.name" if plan.by_file else _NULL
    join = " LEFT JOIN delivered ON delivered.path = staged.file" if plan.by_file else ""
    order = "ORDER BY staged.bad_values IS NULL, staged.place"
    kept = ", ".join(f"staged.{name}" for name in ("reason", *KEPT))
    select = (
        f"SELECT {kept}, {named} AS file, row_number() OVER ({order}) AS ordinal, staged.place AS place "
        f"FROM staged{join} WHERE staged.reason IS NOT NULL ORDER BY ordinal"
    )
    return f"COPY ({select}) TO {text_literal(file)} (FORMAT parquet, COMPRESSION zstd, RETURN_STATS)"


def _shown(plan: ContractPlan) -> list[str]:
    return [name for name in plan.raw_columns if name not in plan.secret]


def _raw_bytes(plan: ContractPlan, names: Sequence[str]) -> str:
    return f"strlen(concat({', '.join(map(plan.raw, names))}))"


def _key_json(plan: ContractPlan) -> str:
    """Return the names of the key's columns and its values as a JSON array; NULL where a value cannot be read."""
    found = {column.name: column for column in plan.columns if column.found}
    keys = [found[name] for name in plan.primary_key if name in found]
    if not keys or len(keys) < len(plan.primary_key) or any(key.landed_type.name in _NOT_A_KEY for key in keys):
        return _NULL
    values = ", ".join([text_literal(key_names(plan.primary_key)), *(_text(plan, key) for key in keys)])
    are_read = " AND ".join(f"{plan.typed(key.name)} IS NOT NULL" for key in keys)
    return f"CASE WHEN {are_read} THEN CAST(to_json([{values}]) AS VARCHAR) END"


def _cursor_text(plan: ContractPlan) -> str:
    column = next((one for one in plan.columns if one.name == plan.cursor and one.found), None)
    return _text(plan, column) if column else _NULL


def _text(plan: ContractPlan, column: PlannedColumn) -> str:
    return f"CAST({bound_text(plan.typed(column.name), column.landed_type)} AS VARCHAR)"


def _protected_json(plan: ContractPlan) -> str:
    """Return the hashes of what is personal as JSON, and the names of what was dropped."""
    if not plan.secret:
        return _NULL
    hashed = [column.name for column in plan.columns if column.hashed and column.found]
    hashes = ", ".join(f"{identifier(name)} := {plan.typed(name)}" for name in hashed)
    dropped = ", ".join(map(text_literal, sorted(plan.secret.difference(hashed))))
    parts = [f"hashed := struct_pack({hashes})"] if hashes else []
    parts.append(f"dropped := CAST([{dropped}] AS VARCHAR[])")
    return f"CAST(to_json(struct_pack({', '.join(parts)})) AS VARCHAR)"
