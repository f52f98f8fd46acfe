"""The contract as SQL: every raw value arrives as text and leaves typed, protected, or as a reject with its reason.

Pure functions from values to DuckDB SQL text; `landing.land` runs them. In `staged`, which `landing.staging`
makes, the columns have names of ELT Factory's own, so that no name of a source can meet them.
"""

from __future__ import annotations

from collections.abc import Sequence

from elt_factory.core.sql_text import LITERAL_PATHS, file_list, identifier, text_literal
from elt_factory.landing import csv_sql, json_rules, ndjson
from elt_factory.landing.casting import (
    bound_text,
    cast_text,
    duckdb_type,
    has_nanoseconds,
    is_of_another_clock,
    plain_cast,
)
from elt_factory.landing.file_names import AGAIN, FILE_ID, PATH, ROW, UNDECODED
from elt_factory.landing.lines import BROKEN_LINES
from elt_factory.landing.planned import STAYS, WHERE, ContractPlan, PlannedColumn
from elt_factory.landing.presumption import confirmed
from elt_factory.landing.reasons import bad_value_count, row_reason
from elt_factory.landing.rejected import KEPT, kept_of_reject, of_line
from elt_factory.landing.time_formats import cast_written

_MOST_ROWS = 2**40  # no Parquet file has more
# a column with more values in a row group has no dictionary; by itself DuckDB collects five times as many in vain
_MOST_IN_DICTIONARY = 4096


def parquet_relation(files: Sequence[str]) -> str:
    """Parquet files as a relation, columns matched by name."""
    return f"read_parquet({file_list(files)}, {LITERAL_PATHS}, union_by_name = true)"


def place_in_parquet(file: str = "file_index") -> str:
    """Return the expression for where a row is in a list of Parquet files, from the number of its file."""
    return f"CAST({file} * {_MOST_ROWS} + file_row_number AS BIGINT)"


def stage_records(relation: str, plan: ContractPlan) -> str:
    """SELECT of what is staged of the records: the typed columns, `reason`, `record` and `bad_values`.

    `reason` is NULL when the row is good; what is kept of a reject is NULL then, too. Raw columns become r0, r1,
    ..., these c0, c1, ..., and both together the reason: each step names what the next one uses, so nothing is written,
    planned or computed twice.
    """
    raw = ", ".join(f"{identifier(name)} AS {plan.raw(name)}" for name in plan.raw_columns) or "NULL AS r0"
    own = {PATH: "file", AGAIN: "again", ROW: "place", UNDECODED: "undecoded"}
    raw += "".join(f", {identifier(name)} AS {own[name]}" for name in plan.own_columns)
    typed = "".join(f", {typed_value(column, plan)} AS {plan.typed(column.name)}" for column in plan.columns)
    kept = "".join(f"{name}, " for name in (*map(plan.typed, (c.name for c in plan.columns)), *plan.staged_columns))
    kept += f"CASE WHEN reason IS NULL THEN {plan.kept} ELSE TRUE END AS kept, " if plan.kept else ""
    of_rejects = ", ".join(
        f"CASE WHEN reason IS NOT NULL THEN {value} END AS {name}" for name, value in kept_of_reject(plan).items()
    )
    return (
        f"SELECT {kept}reason, {of_rejects}, bad_values "
        f"FROM (SELECT *, {row_reason(plan)} AS reason, {bad_value_count(plan)} AS bad_values "
        f"FROM (SELECT *{typed} FROM (SELECT {raw} FROM {relation}) AS raw) AS typed) AS judged"
    )


def condition_macros(plan: ContractPlan) -> list[str]:
    """CREATE MACRO of the conditions for rows: the parameters are the columns, whatever their names."""
    given = {WHERE: plan.where, STAYS: plan.stays}
    return [_macro(plan, name, condition) for name, condition in given.items() if condition]


def asked_of_nothing(plan: ContractPlan) -> list[str]:
    """SELECT of each condition over no rows of the types that there will be: what cannot be asked of them fails."""
    given = {WHERE: plan.where, STAYS: plan.stays}
    return [
        f"SELECT {name}({', '.join(plan.given_to(condition).values())}) FROM ({no_records(plan)})"
        for name, condition in given.items()
        if condition
    ]


def _macro(plan: ContractPlan, name: str, condition: str) -> str:
    names = ", ".join(map(identifier, plan.given_to(condition)))
    return f"CREATE OR REPLACE TEMP MACRO {name}({names}) AS coalesce(({condition}\n), false)"


def no_records(plan: ContractPlan) -> str:
    """SELECT of what is staged where there are no records."""
    kinds = {plan.typed(column.name): duckdb_type(column.landed_type) for column in plan.columns}
    kinds |= {"file": "VARCHAR"} if plan.by_file else {}
    kinds |= {"reason": "VARCHAR", **KEPT, "bad_values": "INTEGER", "place": "BIGINT"}
    columns = (f"CAST(NULL AS {kind}) AS {name}" for name, kind in kinds.items())
    return f"SELECT {', '.join(columns)} WHERE FALSE"


def typed_value(column: PlannedColumn, plan: ContractPlan) -> str:
    """Return the column's value in its landed type, from its raw text; NULL where it cannot be read."""
    if plan.is_mark(column):
        return f"CASE WHEN {plan.unmet} THEN now() END"
    if not column.found:
        return f"CAST(NULL AS {duckdb_type(column.landed_type)})"
    raw = plan.raw(column.name)
    if column.hashed:
        return raw if plan.protected else f"sha256({raw})"
    if test := plan.presumed.tests.get(column.name):
        return confirmed(raw, plain_cast(raw, column.type), test)
    if plan.is_plain_text(column):
        return raw
    value = cast_written(raw, column.type, column.written) if column.written else _cast(column, plan)
    undecoded = plan.is_undecoded(column)
    return f"CASE WHEN NOT {undecoded} THEN {value} END" if undecoded else value


def _cast(column: PlannedColumn, plan: ContractPlan) -> str:
    raw = plan.raw(column.name)
    if column.name in plan.not_bytes:
        # its text may look like the digits of bytes
        return f"CAST(NULL AS {duckdb_type(column.type)})"
    if column.name in plan.written_bytes:
        return cast_text(f"('\\x' || lower({raw}))", column.type)
    text = plan.signs.plain(raw) if plan.signs and plan.signs.takes(column.type) else raw
    value = cast_text(text, column.type)
    if column.name in plan.clocks:
        return f"CASE WHEN NOT ({is_of_another_clock(raw)}) THEN {value} END"
    if plan.single_keys and column.type.name == "json":
        return f"CASE WHEN {json_rules.shape(raw)} NOT IN (SELECT shape FROM repeated_keys) THEN {value} END"
    if plan.is_cut(column):
        return f"CASE WHEN NOT {has_nanoseconds(raw)} THEN {value} END"
    return value


def good_rows(plan: ContractPlan) -> str:
    """SELECT of the good rows under their names."""
    return f"{named_rows(plan, 'staged')} WHERE staged.reason IS NULL"


def named_rows(plan: ContractPlan, staged: str) -> str:
    """SELECT of rows under their names, each with the file that it came from."""
    columns = ", ".join(f"staged.c{index} AS {identifier(column.name)}" for index, column in enumerate(plan.columns))
    if not plan.by_file:
        return f"SELECT {columns} FROM {staged}"
    if plan.only_file:
        named = f", {text_literal(plan.only_file.name)} AS {identifier(plan.file_column)}" if plan.file_column else ""
        return f"SELECT {columns}{named}, {text_literal(plan.only_file.id)} AS {identifier(FILE_ID)} FROM {staged}"
    named = f", delivered.name AS {identifier(plan.file_column)}" if plan.file_column else ""
    return (
        f"SELECT {columns}{named}, delivered.file_id AS {identifier(FILE_ID)} "
        f"FROM {staged} JOIN delivered ON delivered.path = staged.file"
    )


def rejected_records(relation: str, plan: ContractPlan) -> str:
    """SELECT of what is staged of the records that are rejected."""
    kept = ", ".join([*plan.staged_columns, "reason", *KEPT, "bad_values"])
    return f"SELECT {kept} FROM ({stage_records(relation, plan)}) WHERE reason IS NOT NULL"


def landed_as_staged(parts: str, plan: ContractPlan) -> str:
    """SELECT of rows that were landed, as they would be staged."""
    columns = ", ".join(f"parts.{identifier(column.name)} AS {plan.typed(column.name)}" for column in plan.columns)
    more = "CAST(NULL AS VARCHAR) AS reason, CAST(NULL AS VARCHAR) AS record, 0 AS bad_values"
    if not plan.by_file:
        return f"SELECT {columns}, {more} FROM {parts} AS parts"
    if plan.only_file:
        return f"SELECT {columns}, {text_literal(plan.only_file.path)} AS file, {more} FROM {parts} AS parts"
    here = f"delivered.file_id = parts.{identifier(FILE_ID)}"
    return f"SELECT {columns}, delivered.path AS file, {more} FROM {parts} AS parts JOIN delivered ON {here}"


def newest_rows(plan: ContractPlan) -> str:
    """SELECT of the good rows, one for each key: the one with the greatest cursor, of those the last read.

    A record that says that its row is deleted may have no cursor: among the rows of its key the last read is the one.
    """
    good, order = good_rows(plan), [f"{plan.staged(plan.cursor)} DESC NULLS LAST"] if plan.cursor else []
    if plan.cursor and plan.deleted:
        removal = f"{plan.deleted} AND {plan.staged(plan.cursor)} IS NULL"
        by_place = f"bool_or({removal}) OVER (PARTITION BY {_keys(plan)}) AS by_place"
        good = named_rows(plan, f"(SELECT *, {by_place} FROM staged WHERE reason IS NULL) AS staged")
        order = [f"CASE WHEN NOT staged.by_place THEN {plan.staged(plan.cursor)} END DESC NULLS LAST"]
    ranking = ", ".join([*order, "staged.place DESC"])
    return f"{good} QUALIFY row_number() OVER (PARTITION BY {_keys(plan)} ORDER BY {ranking}) = 1"


def duplicate_count(plan: ContractPlan) -> str:
    """SELECT of how many good rows have the key of another."""
    return (
        "SELECT coalesce(sum(n - 1), 0) FROM (SELECT count(*) AS n FROM staged "
        f"WHERE reason IS NULL GROUP BY {_keys(plan)} HAVING count(*) > 1)"
    )


def null_cursors(plan: ContractPlan) -> str:
    """SELECT of how many good rows have no cursor value, and do not only say that they are deleted."""
    empty = f"{plan.staged(plan.cursor)} IS NULL" if plan.cursor else "TRUE"
    stays = f" AND NOT {plan.deleted}" if plan.deleted else ""
    return f"SELECT count(*) FROM staged WHERE reason IS NULL AND {empty}{stays}"


def _keys(plan: ContractPlan) -> str:
    return ", ".join([*map(plan.staged, plan.primary_key), *(["staged.file"] if plan.key_of_file else [])])


def bounds(plan: ContractPlan, column: str) -> str:
    """SELECT of a column's min and max over the good rows, as text."""
    name = plan.staged(column)
    kind = next(planned.landed_type for planned in plan.columns if planned.name == column)
    low, high = (bound_text(f"{which}({name})", kind) for which in ("min", "max"))
    return f"SELECT {low}, {high} FROM staged WHERE reason IS NULL"


def numbers_in_text(plan: ContractPlan, column: str) -> str:
    """SELECT of whether all texts of a column are whole numbers, and of the lengths of the shortest and the longest."""
    name = plan.staged(column)
    are_numbers = f"bool_and(regexp_full_match({name}, '-?(0|[1-9][0-9]*)'))"
    return f"SELECT {are_numbers}, min(length({name})), max(length({name})) FROM staged WHERE reason IS NULL"


def copy_statement(select: str, folder: str, part_bytes: int, row_group_bytes: int) -> str:
    """COPY of a SELECT to Parquet parts; returns one row a file: path, rows, bytes.

    A part ends with the row group that fills it. Row groups have their limit in bytes, too, else long texts would make
    them take more memory than there is; DuckDB keeps to it only where rows need not stay in their order.
    """
    return (
        f"COPY ({select}) TO {text_literal(folder)} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880, "
        f"ROW_GROUP_SIZE_BYTES {row_group_bytes}, DICTIONARY_SIZE_LIMIT {_MOST_IN_DICTIONARY}, "
        f"FILE_SIZE_BYTES {part_bytes}, FILENAME_PATTERN 'part-{{i}}', RETURN_STATS)"
    )


def copy_whole(select: str, file: str) -> str:
    """COPY of a SELECT to one Parquet file; returns path, rows, bytes."""
    return f"COPY ({select}) TO {text_literal(file)} (FORMAT parquet, COMPRESSION zstd, RETURN_STATS)"


def broken_csv(plan: ContractPlan) -> str:
    """SELECT of the CSV lines that are not records: file, line, cause, and the line where none is personal.

    In `staged` they have NULL in `bad_values`.
    """
    record = "NULL" if plan.secret else "to_json({'line': text})"
    came = "file, " if plan.by_file else ""
    other = "NOT EXISTS (FROM surplus WHERE surplus.file = broken.file AND surplus.replaced = broken.text)"
    lines = (
        f"SELECT file, line, message, text FROM ({csv_sql.BROKEN}) AS broken WHERE {other} "
        "UNION ALL SELECT file, line, message, text FROM surplus"
    )
    return (
        "SELECT concat(parse_filename(file), ' line ', line, ': ', message) AS reason, "
        f"{of_line(record)}, {came}CAST(NULL AS INTEGER) AS bad_values FROM ({lines}) "
        "ORDER BY parse_filename(file), file, line"
    )


def broken_lines(plan: ContractPlan) -> str:
    """SELECT of the NDJSON lines that are not records, which `sift` has put into a file of their own."""
    record = "NULL" if plan.secret else "record"
    names = ("reason", "record", *(("file",) if plan.by_file else ()))
    broken = ndjson.read_columns(dict.fromkeys(names, "VARCHAR"), [ROW], name=BROKEN_LINES)
    came = "file, " if plan.by_file else ""
    return (
        f"SELECT reason, {of_line(record)}, {came}CAST(NULL AS INTEGER) AS bad_values, "
        f"{identifier(ROW)} AS place FROM {broken}"
    )
