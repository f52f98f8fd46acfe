"""The contract as SQL: every raw value arrives as text and leaves typed, protected, or as a reject with its reason.

Pure functions from values to DuckDB SQL text; `landing.land` runs them. In `staged`, which `landing.staging`
makes, the columns have names of ELT Factory's own, so that no name of a source can meet them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from elt_factory.config.models.values import ColumnType
from elt_factory.core.sql_text import LITERAL_PATHS, file_list, identifier, text_literal
from elt_factory.landing import csv_sql, json_rules, limits, ndjson
from elt_factory.landing.casting import bound_text, cast_text, duckdb_type, has_nanoseconds
from elt_factory.landing.file_names import AGAIN, FILE_ID, PATH, ROW
from elt_factory.landing.lines import BROKEN_LINES
from elt_factory.landing.numbers import Signs
from elt_factory.landing.presumption import Presumption, confirmed
from elt_factory.landing.rejected import KEPT, kept_of_reject, of_line
from elt_factory.landing.time_formats import cast_written

_TIMES = ("time", "datetime", "timestamp")
# where a row is in a list of Parquet files: none has more rows than that
PLACE_IN_PARQUET = f"CAST(file_index * {2**40} + file_row_number AS BIGINT)"
_SHOWN = 100  # characters of a bad value that a reason shows

_WHERE = "where_holds"


@dataclass(frozen=True)
class PlannedColumn:
    """What the contract does with one column of the records."""

    name: str
    type: ColumnType
    nullable: bool = True
    hashed: bool = False
    found: bool = True
    on_bad_value: Literal["reject", "null"] = "reject"
    written: str | None = None  # how a date or time is written, where it is not in ISO 8601

    @property
    def landed_type(self) -> ColumnType:
        """The type in the landing: a hash is text."""
        return ColumnType("text") if self.hashed else self.type


@dataclass(frozen=True)
class ContractPlan:
    """What the contract does with one load.

    `unwanted` columns reject the rows that have a value in them. `signs` are those of numbers in the text. With
    `single_keys` JSON of a shape in the table `repeated_keys` is a bad value: it has a key twice in one object.
    `by_file`: the records come from a source's files, and each row says from which; `file_column` then holds the file's
    name. With `key_of_file` a key
    distinguishes the rows of one file from each other. `by_header`: a row says whether it is its file's
    header line again. `nanoseconds` are the columns whose source has a type for them: a time of theirs is never cut.
    `numbered`: a row says at which place it was read; else one thread has to stage the rows, in their order.
    `where` is the condition for the good rows to keep. `presumed` is what the first records say of all. `protected`:
    the values of hashed columns are hashes already.
    """

    columns: tuple[PlannedColumn, ...]
    primary_key: tuple[str, ...] = ()
    cursor: str | None = None
    unwanted: tuple[str, ...] = ()
    secret: frozenset[str] = field(default_factory=frozenset)
    single_keys: bool = False
    signs: Signs | None = None
    by_file: bool = False
    key_of_file: bool = False
    by_header: bool = False
    file_column: str | None = None
    nanoseconds: frozenset[str] = frozenset()
    numbered: bool = False
    where: str | None = None
    presumed: Presumption = field(default_factory=Presumption)
    protected: bool = False

    @property
    def own_columns(self) -> tuple[str, ...]:
        """The columns of the records as they are read that are not the source's."""
        own = {PATH: self.by_file, AGAIN: self.by_header, ROW: self.numbered}
        return tuple(name for name, is_there in own.items() if is_there)

    @property
    def staged_columns(self) -> tuple[str, ...]:
        """What `staged` calls what it keeps of them."""
        return (*(("file",) if self.by_file else ()), *(("place",) if self.numbered else ()))

    @property
    def where_columns(self) -> tuple[PlannedColumn, ...]:
        """The columns that the condition may mean: those whose names are in its text."""
        text = (self.where or "").casefold()
        return tuple(column for column in self.columns if column.name.casefold() in text)

    @property
    def raw_columns(self) -> tuple[str, ...]:
        """Every column that is read, kept or only looked at."""
        return (*(column.name for column in self.columns if column.found), *self.unwanted)

    def raw(self, name: str) -> str:
        """Return what a column of the records is called while it is staged."""
        return f"r{self.raw_columns.index(name)}"

    def typed(self, name: str) -> str:
        """Return what a planned column is called once it has its type."""
        return f"c{[column.name for column in self.columns].index(name)}"

    def staged(self, name: str) -> str:
        """Return what a planned column is called in `staged`."""
        return f"staged.{self.typed(name)}"


def read_parquet(files: Sequence[str]) -> str:
    """Parquet files as a relation, columns matched by name."""
    return f"read_parquet({file_list(files)}, {LITERAL_PATHS}, union_by_name = true)"


def stage_records(relation: str, plan: ContractPlan) -> str:
    """SELECT of what is staged of the records: the typed columns, `reason`, `record` and `bad_values`.

    `reason` is NULL when the row is good; what is kept of a reject is NULL then, too. Raw columns become r0, r1,
    ..., these c0, c1, ..., and both together the reason: each step names what the next one uses, so nothing is written,
    planned or computed twice.
    """
    raw = ", ".join(f"{identifier(name)} AS {plan.raw(name)}" for name in plan.raw_columns) or "NULL AS r0"
    own = {PATH: "file", AGAIN: "again", ROW: "place"}
    raw += "".join(f", {identifier(name)} AS {own[name]}" for name in plan.own_columns)
    typed = "".join(f", {typed_value(column, plan)} AS {plan.typed(column.name)}" for column in plan.columns)
    kept = "".join(f"{name}, " for name in (*map(plan.typed, (c.name for c in plan.columns)), *plan.staged_columns))
    meant = ", ".join(plan.typed(column.name) for column in plan.where_columns)
    kept += f"CASE WHEN reason IS NULL THEN {_WHERE}({meant}) ELSE TRUE END AS kept, " if plan.where else ""
    of_rejects = ", ".join(
        f"CASE WHEN reason IS NOT NULL THEN {value} END AS {name}" for name, value in kept_of_reject(plan).items()
    )
    return (
        f"SELECT {kept}reason, {of_rejects}, bad_values "
        f"FROM (SELECT *, {row_reason(plan)} AS reason, {bad_value_count(plan)} AS bad_values "
        f"FROM (SELECT *{typed} FROM (SELECT {raw} FROM {relation}) AS raw) AS typed) AS judged"
    )


def where_macro(plan: ContractPlan) -> str:
    """CREATE MACRO of the condition for the rows to keep: its parameters are the columns, whatever their names."""
    names = ", ".join(identifier(column.name) for column in plan.where_columns)
    return f"CREATE OR REPLACE TEMP MACRO {_WHERE}({names}) AS coalesce(({plan.where}\n), false)"


def no_records(plan: ContractPlan) -> str:
    """SELECT of what is staged where there are no records."""
    kinds = {plan.typed(column.name): duckdb_type(column.landed_type) for column in plan.columns}
    kinds |= {"file": "VARCHAR"} if plan.by_file else {}
    kinds |= {"reason": "VARCHAR", **KEPT, "bad_values": "INTEGER", "place": "BIGINT"}
    columns = (f"CAST(NULL AS {kind}) AS {name}" for name, kind in kinds.items())
    return f"SELECT {', '.join(columns)} WHERE FALSE"


def typed_value(column: PlannedColumn, plan: ContractPlan) -> str:
    """Return the column's value in its landed type, from its raw text; NULL where it cannot be read."""
    if not column.found:
        return f"CAST(NULL AS {duckdb_type(column.landed_type)})"
    raw = plan.raw(column.name)
    if column.hashed:
        return raw if plan.protected else f"sha256({raw})"
    if test := plan.presumed.tests.get(column.name):
        return confirmed(raw, test, duckdb_type(column.type))
    return cast_written(raw, column.type, column.written) if column.written else _cast(column, plan)


def _cast(column: PlannedColumn, plan: ContractPlan) -> str:
    raw = plan.raw(column.name)
    text = plan.signs.plain(raw) if plan.signs and plan.signs.takes(column.type) else raw
    value = cast_text(text, column.type)
    if plan.single_keys and column.type.name == "json":
        return f"CASE WHEN {json_rules.shape(raw)} NOT IN (SELECT shape FROM repeated_keys) THEN {value} END"
    if _is_cut(column, plan):
        return f"CASE WHEN NOT {has_nanoseconds(raw)} THEN {value} END"
    return value


def _is_cut(column: PlannedColumn, plan: ContractPlan) -> bool:
    return column.name in plan.nanoseconds and column.type.name in _TIMES


def row_reason(plan: ContractPlan) -> str:
    """Why a row is rejected, all causes joined by '; '; NULL for a good row."""
    causes = [*_bad_values(plan), *_missing_values(plan), *_unwanted_values(plan)]
    if not plan.columns:
        causes.append(text_literal("no column has a value"))
    found = f"NULLIF(concat_ws('; ', {', '.join(causes)}), '')" if causes else "CAST(NULL AS VARCHAR)"
    return f"CASE WHEN again THEN 'the line repeats the header' ELSE {found} END" if plan.by_header else found


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


def good_rows(plan: ContractPlan, staged: str = "staged") -> str:
    """SELECT of the good rows under their names, of what is staged or of a SELECT of what would be."""
    columns = ", ".join(f"staged.c{index} AS {identifier(column.name)}" for index, column in enumerate(plan.columns))
    if not plan.by_file:
        return f"SELECT {columns} FROM {staged} WHERE staged.reason IS NULL"
    named = f", delivered.name AS {identifier(plan.file_column)}" if plan.file_column else ""
    return (
        f"SELECT {columns}{named}, delivered.file_id AS {identifier(FILE_ID)} "
        f"FROM {staged} JOIN delivered ON delivered.path = staged.file WHERE staged.reason IS NULL"
    )


def good_records(relation: str, plan: ContractPlan) -> str:
    """SELECT of the good ones of the records under their names."""
    return good_rows(plan, f"({stage_records(relation, plan)}) AS staged")


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
    here = f"delivered.file_id = parts.{identifier(FILE_ID)}"
    return f"SELECT {columns}, delivered.path AS file, {more} FROM {parts} AS parts JOIN delivered ON {here}"


def newest_rows(plan: ContractPlan) -> str:
    """SELECT of the good rows, one for each key: the one with the greatest cursor, of those the last read."""
    order = [f"{plan.staged(plan.cursor)} DESC NULLS LAST"] if plan.cursor else []
    ranking = ", ".join([*order, "staged.place DESC"])
    return f"{good_rows(plan)} QUALIFY row_number() OVER (PARTITION BY {_keys(plan)} ORDER BY {ranking}) = 1"


def duplicate_count(plan: ContractPlan) -> str:
    """SELECT of how many good rows have the key of another."""
    return (
        "SELECT coalesce(sum(n - 1), 0) FROM (SELECT count(*) AS n FROM staged "
        f"WHERE reason IS NULL GROUP BY {_keys(plan)} HAVING count(*) > 1)"
    )


def null_cursors(plan: ContractPlan) -> str:
    """SELECT of how many good rows have no cursor value."""
    empty = f"{plan.staged(plan.cursor)} IS NULL" if plan.cursor else "TRUE"
    return f"SELECT count(*) FROM staged WHERE reason IS NULL AND {empty}"


def _keys(plan: ContractPlan) -> str:
    return ", ".join([*map(plan.staged, plan.primary_key), *(["staged.file"] if plan.key_of_file else [])])


def bounds(plan: ContractPlan, column: str) -> str:
    """SELECT of a column's min and max over the good rows, as text."""
    name = plan.staged(column)
    kind = next(planned.landed_type for planned in plan.columns if planned.name == column)
    low, high = (bound_text(f"{which}({name})", kind) for which in ("min", "max"))
    return f"SELECT {low}, {high} FROM staged WHERE reason IS NULL"


def copy_statement(select: str, folder: str, part_bytes: int, row_group_bytes: int) -> str:
    """COPY of a SELECT to Parquet parts; returns one row a file: path, rows, bytes.

    A part ends with the row group that fills it. Row groups have their limit in bytes, too, else long texts would make
    them take more memory than there is; DuckDB keeps to it only where rows need not stay in their order.
    """
    return (
        f"COPY ({select}) TO {text_literal(folder)} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880, "
        f"ROW_GROUP_SIZE_BYTES {row_group_bytes}, FILE_SIZE_BYTES {part_bytes}, FILENAME_PATTERN 'part-{{i}}', "
        "RETURN_STATS)"
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


def _checked(plan: ContractPlan) -> list[PlannedColumn]:
    return [c for c in plan.columns if c.found and not c.hashed]


def _is_bad(column: PlannedColumn, plan: ContractPlan) -> str:
    return f"({plan.raw(column.name)} IS NOT NULL AND {plan.typed(column.name)} IS NULL)"


def _bad_values(plan: ContractPlan) -> list[str]:
    return [
        f"CASE WHEN {_is_bad(c, plan)} THEN concat({text_literal(f'{c.name} ')}, {_why_bad(c, plan)}) END"
        for c in _checked(plan)
        if c.on_bad_value == "reject"
    ]


def _why_bad(column: PlannedColumn, plan: ContractPlan) -> str:
    raw, kind = plan.raw(column.name), column.type
    other = f"concat({text_literal(f'is not a valid {kind}: ')}, {_shown(column.name, plan)})"
    if _is_cut(column, plan):
        longer = (
            f"concat({text_literal(f'has nanoseconds, and a {kind} has microseconds: ')}, {_shown(column.name, plan)})"
        )
        return f"CASE WHEN {has_nanoseconds(raw)} THEN {longer} ELSE {other} END"
    match kind.name:
        case "text":
            return text_literal(f"is longer than {limits.TEXT_BYTES:,} bytes")
        case "binary":
            longer = text_literal(f"is longer than {limits.BINARY_BYTES:,} bytes")
            return f"CASE WHEN strlen({raw}) > {2 * limits.BINARY_BYTES} THEN {longer} ELSE {other} END"
        case "json":
            return json_rules.reason(raw, other)
    return other


def _missing_values(plan: ContractPlan) -> list[str]:
    needed = [c for c in plan.columns if c.name in plan.primary_key or not c.nullable]
    # a key that no record has a value for is not among the columns
    absent = set(plan.primary_key).difference(column.name for column in plan.columns)
    return [
        *(
            f"CASE WHEN {_given_value(column, plan)} IS NULL THEN {text_literal(f'{column.name} has no value')} END"
            for column in needed
        ),
        *(text_literal(f"{name} has no value") for name in sorted(absent)),
    ]


def _given_value(column: PlannedColumn, plan: ContractPlan) -> str:
    # a value that was discarded is not a value; one that is rejected has its own cause already
    if not column.found or column.on_bad_value == "null":
        return plan.typed(column.name)
    return plan.raw(column.name)


def _unwanted_values(plan: ContractPlan) -> list[str]:
    return [
        f"CASE WHEN {plan.raw(name)} IS NOT NULL THEN {text_literal(f'{name} is not in the contract')} END"
        for name in plan.unwanted
    ]


def _shown(name: str, plan: ContractPlan) -> str:
    if name in plan.secret:
        return "'(hidden)'"
    return f"concat('\"', left(CAST({plan.raw(name)} AS VARCHAR), {_SHOWN}), '\"')"
