"""Columns that `SELECT *` leaves out although they hold data as others do: they are asked for by their names.

Invisible columns of MySQL, MariaDB and Oracle, generated invisible keys of MySQL, and the period columns of tables with
system versions of SQL Server. In other databases `SELECT *` has all that there is. A query says itself what it reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from elt_factory.sources.sql.origin import Origin

_OF_MYSQL = sa.text(
    "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = coalesce(:schema, DATABASE()) "
    "AND TABLE_NAME = :name AND EXTRA LIKE '%INVISIBLE%' ORDER BY ORDINAL_POSITION"
)
# a property that an older server does not know is NULL; columns that the server hides for itself are not generated
_OF_SQL_SERVER = sa.text(
    "SELECT name FROM sys.columns WHERE object_id = OBJECT_ID(:name) "
    "AND COLUMNPROPERTY(object_id, name, 'IsHidden') = 1 "
    "AND COLUMNPROPERTY(object_id, name, 'GeneratedAlwaysType') > 0 ORDER BY column_id"
)
_OF_ORACLE = sa.text(
    "SELECT column_name FROM all_tab_cols WHERE owner = coalesce(:schema, SYS_CONTEXT('USERENV', 'CURRENT_SCHEMA')) "
    "AND table_name = :name AND hidden_column = 'YES' AND user_generated = 'YES' ORDER BY internal_column_id"
)


def all_columns(database: sa.Connection, relation: Origin, place: sa.FromClause) -> sa.TextClause:
    """Return what a SELECT asks for to have all columns of what is read; as text, so that the result names them."""
    find = _FIND.get(database.dialect.name)
    names = find(database, relation) if find and relation.query is None else []
    if not names or not isinstance(place, sa.TableClause):
        return sa.text("*")
    preparer = database.dialect.identifier_preparer
    # Oracle takes no star next to other columns unless it says of which table
    chosen = ", ".join([f"{preparer.format_table(place)}.*", *map(preparer.quote, names)])
    return sa.text(chosen.replace(":", r"\:"))


def _in_mysql(database: sa.Connection, relation: Origin) -> Sequence[str]:
    return database.execute(_OF_MYSQL, {"schema": relation.schema, "name": relation.table}).scalars().all()


def _in_sql_server(database: sa.Connection, relation: Origin) -> Sequence[str]:
    quote = database.dialect.identifier_preparer.quote_identifier
    parts = [quote(part) for part in (relation.schema, relation.table) if part]
    return database.execute(_OF_SQL_SERVER, {"name": ".".join(parts)}).scalars().all()


def _in_oracle(database: sa.Connection, relation: Origin) -> Sequence[str]:
    dialect: Any = database.dialect
    given = {"schema": dialect.denormalize_name(relation.schema), "name": dialect.denormalize_name(relation.table)}
    return [*map(dialect.normalize_name, database.execute(_OF_ORACLE, given).scalars())]


_FIND: Mapping[str, Callable[[sa.Connection, Origin], Sequence[str]]] = {
    **dict.fromkeys(("mysql", "mariadb"), _in_mysql),
    "mssql": _in_sql_server,
    "oracle": _in_oracle,
}
