"""The statements of a load, each a small function from values to text; the dialect makes them one warehouse's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime

from elt_factory.config.models.values import ColumnType
from elt_factory.config.models.widening import UNDECLARED
from elt_factory.core.sql_text import Value
from elt_factory.warehouse import audit
from elt_factory.warehouse.dialect import Dialect, Relation, TableOptions
from elt_factory.warehouse.statement import Statement

LOAD_ID = "_load_id"
LOADED_AT = "_loaded_at"
OWN_COLUMNS: Mapping[str, ColumnType] = {LOAD_ID: ColumnType("text"), LOADED_AT: ColumnType("timestamp")}
VALID_FROM = "_valid_from"
VALID_TO = "_valid_to"
_DESCRIPTIONS = "the descriptions of the YAML"
VALIDITY: Mapping[str, ColumnType] = {VALID_FROM: ColumnType("timestamp"), VALID_TO: ColumnType("timestamp")}


def create_schema(dialect: Dialect, schema: str) -> Statement:
    """CREATE SCHEMA where it is not there yet."""
    return Statement(f"CREATE SCHEMA IF NOT EXISTS {dialect.name(schema)}", "if it does not exist")


def create_table(
    dialect: Dialect, table: Relation, columns: Mapping[str, ColumnType], options: TableOptions | None = None
) -> Statement:
    """CREATE TABLE where it is not there yet, with its options where the warehouse takes them."""
    given = options if options and dialect.stores_options else TableOptions()
    comments = {name: f" COMMENT {dialect.literal(text)}" for name, text in given.comments.items()}
    listed = ", ".join(
        f"{dialect.name(name)} {dialect.type(kind)}{comments.get(name, '')}" for name, kind in columns.items()
    )
    transient = "TRANSIENT " if given.transient else ""
    clustered = f" CLUSTER BY ({dialect.names(given.cluster_by)})" if given.cluster_by else ""
    comment = f" COMMENT = {dialect.literal(given.comment)}" if given.comment else ""
    return Statement(
        f"CREATE {transient}TABLE IF NOT EXISTS {table.sql(dialect)} ({listed}){clustered}{comment}",
        "if it does not exist, with every column that the data have",
    )


def comment_table(dialect: Dialect, table: Relation, text: str) -> Statement:
    """COMMENT ON a table."""
    return Statement(f"COMMENT ON TABLE {table.sql(dialect)} IS {dialect.literal(text)}", _DESCRIPTIONS)


def comment_columns(dialect: Dialect, table: Relation, comments: Mapping[str, str]) -> Statement:
    """Return the comments of many columns in one round trip."""
    if dialect.stores_options:
        listed = ", ".join(f"COLUMN {dialect.name(n)} COMMENT {dialect.literal(text)}" for n, text in comments.items())
        return Statement(f"ALTER TABLE {table.sql(dialect)} ALTER {listed}", _DESCRIPTIONS)
    each = (
        f"COMMENT ON COLUMN {table.sql(dialect)}.{dialect.name(n)} IS {dialect.literal(text)}"
        for n, text in comments.items()
    )
    return Statement("; ".join(each), _DESCRIPTIONS)


def add_columns(dialect: Dialect, table: Relation, columns: Mapping[str, ColumnType]) -> str:
    """ALTER TABLE for new columns: one statement for all of them where the warehouse takes it, else one round trip."""
    listed = [f"{dialect.name(name)} {dialect.type(kind)}" for name, kind in columns.items()]
    alter = f"ALTER TABLE {table.sql(dialect)} ADD COLUMN IF NOT EXISTS "
    if dialect.stores_options:
        return alter + ", ".join([listed[0], *(f"IF NOT EXISTS {column}" for column in listed[1:])])
    return "; ".join(alter + column for column in listed)


def alter_type(dialect: Dialect, table: Relation, name: str, kind: ColumnType, using: str = "") -> str:
    """ALTER TABLE for a wider type of a column; `using` are its values, where they are not those of a plain cast."""
    alter = f"ALTER TABLE {table.sql(dialect)} ALTER COLUMN {dialect.name(name)} SET DATA TYPE {dialect.type(kind)}"
    return alter + (f" USING {using}" if using else "")


def key_as_text(value: str, kind: ColumnType) -> str:
    """Return a column of a key as text: of a number without the zeros that its type adds, as the source writes it.

    A scale that was declared is that of the source, which writes 12.50 itself.
    """
    return without_zeros(value, kind) if kind == UNDECLARED else f"CAST({value} AS VARCHAR)"


def without_zeros(value: str, kind: ColumnType) -> str:
    """Return a column as text, a number without the zeros at the end of its fraction."""
    text = f"CAST({value} AS VARCHAR)"
    return f"regexp_replace({text}, '[.]?0+$', '')" if kind.name == "decimal" and kind.scale else text


def rebuild_table(dialect: Dialect, table: Relation, values: Mapping[str, str], options: TableOptions) -> str:
    """CREATE OR REPLACE TABLE with the table's own rows: one statement, after which a reader finds the new table.

    Grants are kept. Comments are not: a load writes those of the YAML.
    """
    given = options if dialect.stores_options else TableOptions()
    selected = ", ".join(f"{value} AS {dialect.name(name)}" for name, value in values.items())
    transient = "TRANSIENT " if given.transient else ""
    # Snowflake asks for the columns where it is to cluster by some of them
    listed = f" ({dialect.names(tuple(values))})"
    clustered = f"{listed} CLUSTER BY ({dialect.names(given.cluster_by)})" if given.cluster_by else ""
    grants = " COPY GRANTS" if dialect.stores_options else ""
    return (
        f"CREATE OR REPLACE {transient}TABLE {table.sql(dialect)}{clustered}{grants} "
        f"AS SELECT {selected} FROM {table.sql(dialect)}"
    )


def drop_table(dialect: Dialect, table: Relation) -> str:
    """DROP TABLE where it is there."""
    return f"DROP TABLE IF EXISTS {table.sql(dialect)}"


def rename_table(dialect: Dialect, table: Relation, to: Relation) -> str:
    """ALTER TABLE for another name in the same schema."""
    name = to.sql(dialect) if dialect.stores_options else dialect.name(to.name)
    return f"ALTER TABLE {table.sql(dialect)} RENAME TO {name}"


def drop_column(dialect: Dialect, table: Relation, name: str) -> str:
    """ALTER TABLE that takes a column away."""
    return f"ALTER TABLE {table.sql(dialect)} DROP COLUMN {dialect.name(name)}"


def rename_column(dialect: Dialect, table: Relation, name: str, to: str) -> str:
    """ALTER TABLE for another name of a column."""
    return f"ALTER TABLE {table.sql(dialect)} RENAME COLUMN {dialect.name(name)} TO {dialect.name(to)}"


def delete_own(dialect: Dialect, table: Relation, load_id: str, unless: str = "") -> Statement:
    """DELETE of the rows that an earlier commit of this load wrote, `unless` they have a value in that column."""
    own = f"{dialect.name(LOAD_ID)} = {dialect.literal(load_id)}"
    more = f" AND {dialect.name(unless)} IS NULL" if unless else ""
    return Statement(
        f"DELETE FROM {table.sql(dialect)} WHERE {own}{more}", "delete what an earlier attempt of this window wrote"
    )


def delete_between(dialect: Dialect, table: Relation, load_id: str, cursor: str, start: date, end: date) -> Statement:
    """DELETE of the rows of a load whose cursor is between two moments, the end not included."""
    own, column = f"{dialect.name(LOAD_ID)} = {dialect.literal(load_id)}", dialect.name(cursor)
    return Statement(
        f"DELETE FROM {table.sql(dialect)} "
        f"WHERE {own} AND {column} >= {dialect.literal(start)} AND {column} < {dialect.literal(end)}",
        "delete what a full refresh wrote for this window",
    )


def delete_versions(
    dialect: Dialect, table: Relation, load_id: str, staging: Relation, keys: tuple[str, ...], cursor: str
) -> Statement:
    """DELETE of the rows of a load that staging brings again: the same key and the same cursor, or none."""
    conditions = [f"t.{dialect.name(LOAD_ID)} = {dialect.literal(load_id)}"]
    conditions += [f"t.{dialect.name(key)} = s.{dialect.name(key)}" for key in keys]
    conditions.append(f"t.{dialect.name(cursor)} IS NOT DISTINCT FROM s.{dialect.name(cursor)}")
    return Statement(
        f"DELETE FROM {table.sql(dialect)} AS t USING {staging.sql(dialect)} AS s WHERE {' AND '.join(conditions)}",
        "delete what a full refresh wrote of these rows",
    )


def delete_all(dialect: Dialect, table: Relation) -> Statement:
    """DELETE of every row; unlike TRUNCATE it is part of the transaction everywhere."""
    return Statement(f"DELETE FROM {table.sql(dialect)}", "delete all rows")


def delete_without_cursor(dialect: Dialect, table: Relation, cursor: str) -> Statement:
    """DELETE of the rows without a cursor value: every load that includes them brings all of them."""
    return Statement(
        f"DELETE FROM {table.sql(dialect)} WHERE {dialect.name(cursor)} IS NULL",
        "delete the rows without a cursor value: all of them are read again",
    )


def delete_matching(
    dialect: Dialect,
    table: Relation,
    staging: Relation,
    keys: tuple[str, ...],
    cursor: str | None,
    later: str = "",
    in_any_case: Sequence[str] = (),
) -> Statement:
    """DELETE of the rows that staging brings again: same key, and no newer than what comes.

    `later` is a query for the ids of loads whose rows are newer, where no cursor says so. `in_any_case` are conditions
    for rows `t` that make way for `s` whatever a cursor or `later` says.
    """
    conditions = [f"t.{dialect.name(key)} = s.{dialect.name(key)}" for key in keys]
    no_newer = ""
    if cursor:
        column = dialect.name(cursor)
        no_newer = f"t.{column} IS NULL OR t.{column} <= s.{column}"
    elif later:
        no_newer = f"coalesce(t.{dialect.name(LOAD_ID)}, '') NOT IN ({later})"
    if no_newer:
        conditions.append(f"({' OR '.join([no_newer, *in_any_case])})" if cursor or in_any_case else no_newer)
    return Statement(
        f"DELETE FROM {table.sql(dialect)} AS t USING {staging.sql(dialect)} AS s WHERE {' AND '.join(conditions)}",
        "delete the rows that are read again" + (", unless they are newer" if no_newer else ""),
    )


def insert_rows(
    dialect: Dialect,
    table: Relation,
    staging: Relation,
    columns: Mapping[str, str],
    load_id: str,
    loaded_at: datetime,
    unless_newer: tuple[str, ...] = (),
) -> Statement:
    """INSERT of `staged_values` with internal columns; `unless_newer` are keys of which only absent ones go in."""
    names, values = tuple(columns), list(columns.values())
    where = ""
    if unless_newer:
        same = " AND ".join(f"t.{dialect.name(key)} = s.{dialect.name(key)}" for key in unless_newer)
        where = f" WHERE NOT EXISTS (SELECT 1 FROM {table.sql(dialect)} AS t WHERE {same})"
    values += [dialect.literal(load_id), dialect.literal(loaded_at)]
    return Statement(
        f"INSERT INTO {table.sql(dialect)} ({dialect.names((*names, LOAD_ID, LOADED_AT))}) "
        f"SELECT {', '.join(values)} FROM {staging.sql(dialect)} AS s{where}",
        "the new rows, with every column that the data have"
        + ("; what is there already stays" if unless_newer else ""),
    )


def insert_rejects(
    dialect: Dialect, staging: Relation, source: str, table: str, load_id: str, at: datetime
) -> Statement:
    """INSERT of the staged rejects, as those of the table's newest commit."""
    names = tuple(audit.log_columns("rejects"))
    given: Mapping[str, Value] = {"load_id": load_id, "source": source, "table_name": table, "rejected_at": at}
    of_load = {name: dialect.literal(value) for name, value in given.items()}
    of_load["turn"] = f"({audit.newest_turn(dialect, source, table)})"
    values = [of_load.get(name, f"s.{dialect.name(name)}") for name in names]
    return Statement(
        f"INSERT INTO {audit.log('rejects').sql(dialect)} ({dialect.names(names)}) "
        f"SELECT {', '.join(values)} FROM {staging.sql(dialect)} AS s",
        "the rejected rows, each with its reason",
    )


def count_rows(dialect: Dialect, table: Relation) -> Statement:
    """SELECT of the number of rows."""
    return Statement(f"SELECT count(*) FROM {table.sql(dialect)}", "count the rows")


def staged_values(
    dialect: Dialect, landed: Mapping[str, ColumnType], table: Mapping[str, ColumnType]
) -> dict[str, str]:
    """Return the staged columns as SQL, each in the type of the table's, which holds all that it may have."""
    return {name: _staged_value(dialect, name, kind, table.get(name, kind)) for name, kind in landed.items()}


def _staged_value(dialect: Dialect, name: str, landed: ColumnType, kind: ColumnType) -> str:
    column = f"s.{dialect.name(name)}"
    if landed == kind:
        return dialect.json_value(column) if kind.name == "json" else column
    # JSON is staged as text
    return column if landed.name == "json" else f"CAST({column} AS {dialect.type(kind)})"
