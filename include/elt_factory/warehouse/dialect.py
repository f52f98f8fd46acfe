"""What differs between warehouses in the SQL we write."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from elt_factory.config.models.table import Table
from elt_factory.config.models.values import ColumnType, TypeName
from elt_factory.core.sql_text import Value


@dataclass(frozen=True)
class TableOptions:
    """What a table is next to its columns, as its YAML says; `comments` are those of columns."""

    comment: str = ""
    comments: Mapping[str, str] = field(default_factory=dict)
    transient: bool = False
    cluster_by: tuple[str, ...] = ()

    @classmethod
    def of(cls, table: Table) -> TableOptions:
        """Return what the YAML says of a table."""
        comments = {name: column.description for name, column in table.columns.items() if column.description}
        return cls(table.description, comments, table.transient, table.cluster_by)


@dataclass(frozen=True)
class Dialect:
    """One warehouse's names and types.

    `name` quotes an identifier so that plain lower-case SQL (dbt's, an analyst's) finds it. `types` maps our types to
    the warehouse's. `literal` writes a value. `json_value` turns JSON text into the warehouse's JSON, `json_text` that
    into text; `json_element` is one element of an array in JSON text, as text. `to_hex` are the hex digits of bytes,
    `from_hex` the bytes of a text of hex digits, NULL where it is none. `same_json` is the condition for two values
    that are the same, in whatever order their keys were written. `matches` is the condition that a regular expression
    is found in a text. `earlier_text` is a value as text as earlier versions had it.
    `instant` is the moment at which clocks in a zone show a time; one that they show twice is the second of the two.
    `alters_type` says whether ALTER TABLE can make a type a wider one,
    `stores_options` whether CREATE TABLE takes TRANSIENT, CLUSTER BY and COMMENT.
    """

    name: Callable[[str], str]
    types: Mapping[TypeName, str]
    literal: Callable[[Value], str]
    json_value: Callable[[str], str]
    same_json: Callable[[str, str], str]
    instant: Callable[[str, str], str]
    matches: Callable[[str, str], str] = lambda text, pattern: f"regexp_matches(CAST({text} AS VARCHAR), {pattern})"
    json_text: Callable[[str], str] = lambda column: f"CAST({column} AS VARCHAR)"
    json_element: Callable[[str, int], str] = lambda column, place: f"json_extract_string({column}, '$[{place}]')"
    to_hex: Callable[[str], str] = lambda binary: f"hex({binary})"
    from_hex: Callable[[str], str] = lambda text: f"TRY(from_hex({text}))"
    earlier_text: Callable[[str, ColumnType], str] = lambda column, _: f"CAST({column} AS VARCHAR)"
    alters_type: Callable[[ColumnType, ColumnType], bool] = lambda _old, _new: True
    stores_options: bool = False

    def type(self, column_type: ColumnType) -> str:
        """Return the warehouse's name of a type."""
        text = self.types[column_type.name]
        return f"{text}({column_type.precision}, {column_type.scale})" if column_type.name == "decimal" else text

    def names(self, names: tuple[str, ...]) -> str:
        """Quoted names, separated by commas."""
        return ", ".join(self.name(name) for name in names)


@dataclass(frozen=True)
class Relation:
    """A table or view by schema and name."""

    schema: str
    name: str

    @classmethod
    def of(cls, source: str, name: str, table: Table) -> Relation:
        """Return where a table of a config is: where another system loads it, or in the config's own schema."""
        return cls(*(table.stored_in or (source, name)))

    def sql(self, dialect: Dialect) -> str:
        """Return the quoted name."""
        return f"{dialect.name(self.schema)}.{dialect.name(self.name)}"
