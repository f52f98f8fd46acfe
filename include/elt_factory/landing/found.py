"""Looking at the spooled records: which columns they have, of which types, and how DuckDB reads them as text."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from elt_factory.config.models.table import loaded_name, source_name
from elt_factory.config.models.values import ColumnType, TypeName
from elt_factory.core.sql_text import identifier
from elt_factory.extract.request import ParquetGroup, Spool
from elt_factory.landing import casting, csv_sql, csv_stream, memory, ndjson, parquet_groups
from elt_factory.landing.csv_files import by_first_record, by_header, check_is_known, is_header_again
from elt_factory.landing.csv_sifting import forget_broken_lines
from elt_factory.landing.file_names import AGAIN, PATH, ROW, UNDECODED, with_path
from elt_factory.landing.inference import of_usual_form, types_of_text
from elt_factory.landing.lines import LINES, BrokenLinesError, only_first
from elt_factory.landing.numbers import Signs
from elt_factory.landing.parquet_types import types_in_groups
from elt_factory.landing.planned import ContractPlan
from elt_factory.landing.record_form import form_of
from elt_factory.landing.schema import KnownTable, check_names, check_width, settled

if TYPE_CHECKING:
    import duckdb

Found = dict[str, ColumnType | None]
ReadFields = Callable[[Mapping[str, str]], str]  # makes a relation of fields of NDJSON, in the given DuckDB types
# the types of fields whose values are all of these kinds; all others are JSON
_TYPES: Mapping[int, TypeName] = {
    ndjson.TEXT: "text",
    ndjson.BOOLEAN: "boolean",
    ndjson.INTEGER: "integer",
    ndjson.NUMBER: "float",
    ndjson.NUMBER | ndjson.INTEGER: "float",
}
# what every cast to a date or time asks of a text; there may be an escape of JSON in place of each sign
_LIKE_A_YEAR = re.compile(r'"\s*\d{0,4}[-/\\]')
_LIKE_A_DAY = re.compile(r'"\d{4}-\d{1,2}-\d{1,2}')
_BYTES = "BLOB"
_SURE_DIGITS = 18
_SURE_OF_FLOATS = 15  # signs of a number that a double holds for certain
_PROVABLE = ("integer", "float", "boolean", "date")
_FORM_PART = 4  # of the first records a quarter says their form: one of another form costs itself alone
_EXACT = ("text", "integer", "decimal")  # types whose values a double may not hold


@dataclass(frozen=True)
class JsonKind:
    """What the values of a field are: their kinds as bits, the least, the greatest, and the length of the longest."""

    bits: int | None
    least: str
    greatest: str
    longest: int

    @property
    def type(self) -> ColumnType:
        """The type of such values, where they need no look one by one."""
        return ColumnType(_TYPES.get(self.bits or 0, "json"))

    @property
    def may_be_moments(self) -> bool:
        """Whether all may be texts of dates or times: of a column with any other text none of them is."""
        return self.bits == ndjson.TEXT and all(_LIKE_A_YEAR.match(text) for text in (self.least, self.greatest))

    @property
    def is_unsure(self) -> bool:
        """Whether the values need a look one by one: numbers of many digits, and texts that may be moments."""
        if self.bits == ndjson.TEXT:
            return all(_LIKE_A_DAY.match(text) for text in (self.least, self.greatest))
        if self.type.name == "float":
            return self.longest > _SURE_OF_FLOATS
        return self.bits == ndjson.INTEGER and self.longest > _SURE_DIGITS


class Look:
    """A look at all values of columns for their types, and at all of their digits."""

    of_digits = True

    def note_keys(self, names: Sequence[str]) -> None:
        """Note the keys of NDJSON."""

    def types_of_text(self, connection: duckdb.DuckDBPyConnection, names: Sequence[str], relation: str) -> Found:
        """Return the types of columns of text."""
        return types_of_text(connection, names, relation)

    def types_of_json(
        self, connection: duckdb.DuckDBPyConnection, kinds: Mapping[str, JsonKind], read: ReadFields
    ) -> Found:
        """Return the types of fields whose kinds are known; those without a value are left out."""
        unsure = {name: kind.type for name, kind in kinds.items() if kind.bits is not None and kind.is_unsure}
        relation = read(dict.fromkeys(unsure, "VARCHAR"))
        memory.set_threads(connection, len(unsure))
        # of 1.0 and its like a look at the texts alone would make integers
        floats = {name: kind for name, kind in unsure.items() if kind.name == "float"}
        sure = of_usual_form(connection, floats, relation)
        others = [name for name in unsure if name not in sure]
        looked = self.types_of_text(connection, others, relation) if others else {}
        return {name: looked.get(name) or kind.type for name, kind in kinds.items() if kind.bits is not None}


_WHOLE = Look()


def find_columns(connection: duckdb.DuckDBPyConnection, known: KnownTable, spool: Spool, look: Look = _WHOLE) -> Found:
    """Return the columns of the records in their order, each with its type in the data.

    None where no record has a value. They have the names under which they are loaded. Files of NDJSON have been offered
    to the connection, and those of Parquet are in groups.
    """
    found = _FIND[spool.format](connection, known, spool, look) if spool.files else {}
    return {loaded_name(name): kind for name, kind in found.items()}


def raw_relations(connection: duckdb.DuckDBPyConnection, spool: Spool, plan: ContractPlan) -> list[str]:
    """Return the records as relations, one after the other, in which every planned column is text."""
    renamed = {name: source_name(name) for name in plan.raw_columns}
    in_source = replace(
        plan,
        columns=tuple(replace(column, name=source_name(column.name)) for column in plan.columns),
        unwanted=tuple(map(source_name, plan.unwanted)),
        presumed=plan.presumed.renamed(source_name),
        of_bytes=frozenset(map(source_name, plan.of_bytes)),
    )
    relations = _RELATIONS[spool.format](connection, spool, in_source)
    if all(name == there for name, there in renamed.items()):
        return relations
    columns = ", ".join(f"{identifier(there)} AS {identifier(name)}" for name, there in renamed.items())
    own = "".join(f", {identifier(name)}" for name in plan.own_columns)
    return [f"(SELECT {columns}{own} FROM {relation})" for relation in relations]


def _find_ndjson(connection: duckdb.DuckDBPyConnection, known: KnownTable, spool: Spool, look: Look) -> Found:
    names = [row[0] for row in connection.execute(ndjson.shapes(spool.longest)).fetchall()]
    if None in names:
        raise BrokenLinesError
    look.note_keys(names)
    # without a record the columns are those that files name by themselves
    names = names or list(spool.types if spool.sources else ())
    check_names(known, list(map(loaded_name, names)))
    check_width(known, list(map(loaded_name, names)))
    if spool.texts:
        for header, files in by_first_record(spool).items():
            check_is_known(known, header, files)
    # the YAML and the table come before what the source says of its columns
    given = {**{name: kind for name, kind in spool.types.items() if name in names}, **_given(known, names)}
    unknown = [name for name in names if name not in given]
    if spool.texts and unknown:
        texts = ndjson.read_columns(dict.fromkeys(unknown, "VARCHAR"))
        signs = Signs.of(spool.csv)
        kinds = _infer(connection, known, unknown, signs.to_look_at(texts, unknown) if signs else texts, look)
    else:
        kinds = _types_of_json(connection, unknown, spool, look)
    # what the table and the YAML name comes first
    declared = map(source_name, [*(known.existing or {}), *known.table.columns])
    return {name: given.get(name) or kinds.get(name) for name in dict.fromkeys([*declared, *names]) if name in names}


def _types_of_json(connection: duckdb.DuckDBPyConnection, names: Sequence[str], spool: Spool, look: Look) -> Found:
    if not names:
        return {}
    memory.set_threads(connection, len(names))
    read: ReadFields = ndjson.read_columns
    if look.of_digits and _has_long_numbers(connection, spool.files, frozenset(names)):
        read = partial(ndjson.read_exactly, names=frozenset(names), marker=uuid.uuid4().hex)
    answer = connection.execute(ndjson.kinds(names, read(dict.fromkeys(names, "JSON")))).fetchall()[0]
    kinds = {name: JsonKind(*answer[4 * index : 4 * index + 4]) for index, name in enumerate(names)}
    return look.types_of_json(connection, kinds, read)


def _find_parquet(connection: duckdb.DuckDBPyConnection, known: KnownTable, spool: Spool, look: Look) -> Found:
    names = list(dict.fromkeys(name for group in spool.groups for name in group.kinds))
    check_names(known, list(map(loaded_name, names)))
    check_width(known, list(map(loaded_name, names)))
    # what does not say its type is found in the values, whatever other files have in the column
    texts = [
        name
        for name in names
        if name not in spool.types and any(group.kinds.get(name) == "VARCHAR" for group in spool.groups)
    ]
    relation = f"({' UNION ALL '.join(_columns_of(group, texts) for group in spool.groups)})"
    others = [name for name in names if name not in texts]
    return (
        dict.fromkeys(names)
        | types_in_groups(connection, known, spool, others)
        | _infer(connection, known, texts, relation, look)
    )


def _columns_of(group: ParquetGroup, names: Sequence[str]) -> str:
    """SELECT of columns of a group's files as text."""
    columns = [f"{_text_in(group, name)} AS {identifier(name)}" for name in names]
    return f"SELECT {', '.join(columns) or 'NULL'} FROM {parquet_groups.read(group)}"


def _text_in(group: ParquetGroup, name: str) -> str:
    kind = group.kinds.get(name)
    return _as_text(parquet_groups.column(name), kind) if kind else "CAST(NULL AS VARCHAR)"


def nanosecond_columns(spool: Spool) -> frozenset[str]:
    """Return the columns whose type in the source holds nanoseconds, by the names under which they are loaded."""
    return _columns_with(spool, casting.is_of_nanoseconds)


def binary_columns(spool: Spool) -> frozenset[str]:
    """Return the columns whose type in files is that of bytes, by the names under which they are loaded."""
    # those of Avro are hex digits in NDJSON; what else says its types there are not files
    in_ndjson = spool.types.items() if spool.format == "ndjson" and spool.sources else ()
    return _columns_with(spool, _BYTES.__eq__) | {
        loaded_name(name) for name, kind in in_ndjson if kind.name == "binary"
    }


def _columns_with(spool: Spool, is_meant: Callable[[str], bool]) -> frozenset[str]:
    kinds = [(name, kind) for group in spool.groups for name, kind in group.kinds.items()]
    return frozenset(loaded_name(name) for name, kind in kinds if is_meant(kind))


def _find_csv(connection: duckdb.DuckDBPyConnection, known: KnownTable, spool: Spool, look: Look) -> Found:
    found: Found = dict.fromkeys(chain(*by_header(spool)))
    having: dict[str, list[str]] = {}  # of each column the relations that have it
    for header, files in by_header(spool).items():
        check_names(known, list(map(loaded_name, header)))
        check_width(known, list(map(loaded_name, header)))
        check_is_known(known, header, files)
        relation = csv_sql.read(files, header, spool.csv, spool.longest)
        unknown = [name for name in header if name not in spool.types]
        records = f"(FROM {relation} WHERE NOT ({is_header_again(header, spool)}))"
        signs = Signs.of(spool.csv)
        looked = signs.to_look_at(records, unknown) if signs and unknown else records
        for name in unknown:
            having.setdefault(name, []).append(looked)
    found |= {name: spool.types[name] for name in found if name in spool.types}
    for names, relation in _together(having):
        found |= _infer(connection, known, names, relation, look)
    forget_broken_lines(connection)
    return found


def _together(having: Mapping[str, Sequence[str]]) -> Iterator[tuple[list[str], str]]:
    """Yield columns with a relation of all their values: those of one header, and at last those of several."""
    alone: dict[str, list[str]] = {}
    shared: dict[str, list[str]] = {}
    for name, relations in having.items():
        for relation in relations:
            (shared if len(relations) > 1 else alone).setdefault(relation, []).append(name)
    for relation, names in alone.items():
        yield names, relation
    names = [name for name, relations in having.items() if len(relations) > 1]
    columns = {relation: _or_null(names, there) for relation, there in shared.items()}
    if names:
        yield names, f"({' UNION ALL '.join(f'SELECT {listed} FROM {one}' for one, listed in columns.items())})"


def _or_null(names: Sequence[str], there: Sequence[str]) -> str:
    found = frozenset(there)
    return ", ".join(f"{'' if name in found else 'CAST(NULL AS VARCHAR) AS '}{identifier(name)}" for name in names)


def _infer(
    connection: duckdb.DuckDBPyConnection, known: KnownTable, names: Sequence[str], relation: str, look: Look
) -> Found:
    """Types of text columns, from their values; those that are settled are not looked through again."""
    given = _given(known, names)
    open_names = [name for name in names if name not in given]
    if not open_names:
        return dict(given)
    memory.set_threads(connection, len(open_names))
    return {**given, **look.types_of_text(connection, open_names, relation)}


def _given(known: KnownTable, names: Sequence[str]) -> dict[str, ColumnType]:
    """Return the types that are settled before the data are looked through, by the names that the source uses."""
    settled_names = [name for name in names if settled(known, [loaded_name(name)])]
    return {name: known.type_of(loaded_name(name)) or ColumnType("text") for name in settled_names}


def _ndjson_relations(connection: duckdb.DuckDBPyConnection, spool: Spool, plan: ContractPlan) -> list[str]:
    types = _read_types(plan)
    if not types:
        return [LINES]
    if plan.of_bytes:
        relations = _ndjson_relations(connection, spool, replace(plan, of_bytes=frozenset()))
        return [_of_hex(relation, types, plan) for relation in relations]
    presumed = plan.presumed
    # so does one whose kind is presumed
    in_json = {name: "JSON" if name in presumed.in_json | presumed.texts else kind for name, kind in types.items()}
    exact = _exact_fields(plan) | _presumed_floats(plan)
    # of what is still being read no one knows yet
    if exact and (spool.growing or _has_long_numbers(connection, spool.files, exact)):
        return [ndjson.read_exactly(in_json, exact, uuid.uuid4().hex, plan.own_columns, presumed)]
    return [ndjson.read_columns(in_json, plan.own_columns, presumed=presumed)]


def _of_hex(relation: str, types: Mapping[str, str], plan: ContractPlan) -> str:
    """Return a relation with what bytes say as UTF-8 in place of their hex digits; see `_undecoded`."""
    decoded, undecoded = [], []
    for name in sorted(plan.of_bytes):
        column = identifier(name)
        digits = f"json_extract_string({column}, '$')" if types[name] == "JSON" else column
        text = f"TRY(decode(TRY(from_hex({digits}))))"
        decoded.append(f"coalesce({text}, CAST({column} AS VARCHAR)) AS {column}")
        undecoded.append(f"CASE WHEN {text} IS NULL AND {digits} IS NOT NULL THEN '{plan.raw(name)}' END")
    own = f"CAST([{', '.join(undecoded)}] AS VARCHAR[]) AS {identifier(UNDECODED)}"
    return f"(SELECT * REPLACE ({', '.join(decoded)}), {own} FROM {relation})"


def _read_types(plan: ContractPlan) -> dict[str, str]:
    types = dict.fromkeys(plan.raw_columns, "VARCHAR")
    # a nested value keeps its JSON form, a text in it its quotes
    return types | {c.name: "JSON" for c in plan.columns if c.found and c.type.name == "json"}


def relation_by_form(
    connection: duckdb.DuckDBPyConnection, spool: Spool, plan: ContractPlan
) -> tuple[str, frozenset[str]] | None:
    """Return presumed records of NDJSON as a relation, by the form of the first, and the columns that it proves.

    None where they have no form, or numbers that their form could not prove.
    """
    same_names = all(source_name(name) == name for name in plan.raw_columns)
    exact = _exact_fields(plan)
    if spool.format != "ndjson" or plan.of_bytes or not plan.presumed.keys or not plan.raw_columns or not same_names:
        return None
    if exact and ndjson.may_begin_with_long_numbers(spool.files):
        return None
    types, kinds = _read_types(plan), _provable(plan)
    # of a key that is not a column only the form counts
    of_keys = {key: types.get(key, "JSON") for key in plan.presumed.keys}
    with only_first(connection, spool, _FORM_PART):
        form = form_of(connection, of_keys, LINES, {key: kinds[key] for key in of_keys if key in kinds})
    if form is None:
        return None
    exact |= _presumed_floats(plan)
    relation = ndjson.read_by_form(of_keys, form, plan.own_columns, plan.presumed, exact)
    return relation, frozenset(form.kinds)


def _provable(plan: ContractPlan) -> dict[str, str]:
    """Return the DuckDB types of the columns whose values the bytes of a record can prove."""
    return {
        column.name: casting.duckdb_type(column.type)
        for column in plan.columns
        if column.found and not (column.hashed or column.written) and column.type.name in _PROVABLE
    }


def _exact_fields(plan: ContractPlan) -> frozenset[str]:
    """Return the fields whose numbers must keep every digit; in nested ones every field.

    Where a kind is presumed, a number that a double does not hold is none of it.
    """
    presumed = plan.presumed.in_json | plan.presumed.texts
    found = [column for column in plan.columns if column.found and column.name not in presumed]
    if any(column.type.name == "json" for column in found):
        return ndjson.ANY_FIELD
    return frozenset(column.name for column in found if column.hashed or column.type.name in _EXACT)


def _presumed_floats(plan: ContractPlan) -> frozenset[str]:
    """Return the fields whose numbers are asked whether a double holds them."""
    return frozenset(c.name for c in plan.columns if c.name in plan.presumed.tests and c.type.name == "float")


def _has_long_numbers(connection: duckdb.DuckDBPyConnection, files: Sequence[Path], exact: frozenset[str]) -> bool:
    if not ndjson.may_have_long_numbers(files):
        return False
    condition = ndjson.has_long_number(exact)
    return bool(connection.execute(f"SELECT 1 FROM {LINES} WHERE {condition} LIMIT 1").fetchall())


def _parquet_relations(_: duckdb.DuckDBPyConnection, spool: Spool, plan: ContractPlan) -> list[str]:
    relations = []
    for group in spool.groups:
        columns = [f"{_raw(group, name, plan)} AS {identifier(name)}" for name in plan.raw_columns]
        columns += [f"{_undecoded(group, plan)} AS {identifier(UNDECODED)}"] if plan.of_bytes else []
        columns.append(f"{parquet_groups.place_of(group, spool)} AS {identifier(ROW)}")
        columns += [identifier(PATH)] if plan.by_file else []
        relations.append(f"(SELECT {', '.join(columns)} FROM {parquet_groups.read(group, by_file=plan.by_file)})")
    return relations


def _raw(group: ParquetGroup, name: str, plan: ContractPlan) -> str:
    text = _text_in(group, name)
    return f"coalesce({_decoded(name)}, {text})" if _is_decoded(group, name, plan) else text


def _undecoded(group: ParquetGroup, plan: ContractPlan) -> str:
    """Return the list of the columns in which a row has bytes that are not text; their values are hex digits."""
    tests = [
        f"CASE WHEN {_decoded(name)} IS NULL AND {parquet_groups.column(name)} IS NOT NULL THEN '{plan.raw(name)}' END"
        for name in sorted(plan.of_bytes)
        if _is_decoded(group, name, plan)
    ]
    return f"CAST([{', '.join(tests)}] AS VARCHAR[])"


def _is_decoded(group: ParquetGroup, name: str, plan: ContractPlan) -> bool:
    return name in plan.of_bytes and group.kinds.get(name) == _BYTES


def _decoded(name: str) -> str:
    return f"TRY(decode({parquet_groups.column(name)}))"


def _csv_relations(connection: duckdb.DuckDBPyConnection, spool: Spool, plan: ContractPlan) -> list[str]:
    if spool.growing is not None:
        (header,) = by_header(spool)
        read = ", ".join(map(identifier, plan.raw_columns)) or "NULL"
        return [f"(SELECT {read} FROM {csv_stream.offer(connection, spool.growing, header)})"]
    parts = []
    for header, files in by_header(spool).items():
        columns = [
            identifier(n) if n in header else f"CAST(NULL AS VARCHAR) AS {identifier(n)}" for n in plan.raw_columns
        ]
        relation = csv_sql.read(files, header, spool.csv, spool.longest)
        if plan.by_file:
            columns, relation = [*columns, identifier(PATH)], with_path(relation)
        if plan.by_header:
            columns.append(f"{is_header_again(header, spool)} AS {identifier(AGAIN)}")
        parts.append(f"(SELECT {', '.join(columns or ['NULL'])} FROM {relation})")
    return parts


_FIND: Mapping[str, Callable[[duckdb.DuckDBPyConnection, KnownTable, Spool, Look], Found]] = {
    "ndjson": _find_ndjson,
    "parquet": _find_parquet,
    "csv": _find_csv,
}
_RELATIONS: Mapping[str, Callable[[duckdb.DuckDBPyConnection, Spool, ContractPlan], list[str]]] = {
    "ndjson": _ndjson_relations,
    "parquet": _parquet_relations,
    "csv": _csv_relations,
}


def _as_text(column: str, kind: str) -> str:
    if kind == "VARCHAR":
        return column
    if kind == _BYTES:
        return f"hex({column})"
    if "VARIANT" in kind:
        # to_json makes doubles of the decimals in it
        return f"CAST(CAST(CAST({column} AS VARIANT) AS JSON) AS VARCHAR)"
    if casting.from_duckdb_type(kind) == ColumnType("json"):
        return f"CAST(to_json({column}) AS VARCHAR)"
    return f"CAST({column} AS VARCHAR)"
