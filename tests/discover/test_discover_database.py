"""What `elt new` makes of the tables of a database: whole beginnings, types that hold, odd tables left out."""

from __future__ import annotations

import sqlite3

import pytest

from elt_factory.core.connection import Connection
from elt_factory.core.failures import BadRequestError, EltError
from elt_factory.discover.writing import yaml_of
from elt_factory.sources.sql.discovery import Tables, look_at_tables


@pytest.fixture
def look(tmp_path):
    def run(script: str, *names: str):
        with sqlite3.connect(tmp_path / "shop.db") as database:
            database.executescript(script)
        database.close()
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        return look_at_tables(Tables(Connection("db", "sqlite", "shop.db"), "shop", names, None, tmp_path), scratch)

    return run


def test_a_cursor_begins_where_all_of_the_table_does(look):
    """The least value of a sample may be any: 5,000 of these rows are looked at, and the oldest come last."""
    found = look(
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, updated_at DATETIME NOT NULL);"
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 6000) "
        "INSERT INTO orders SELECT i, "
        "CASE WHEN i > 5000 THEN '2011-03-04 23:30:00' ELSE '2013-01-01 00:00:00' END FROM n"
    )
    (table,) = found.tables
    assert (table.cursor.value, table.beginning.initial, table.beginning.lag) == ("updated_at", "2011-03-04", "1h")
    assert "{cursor: updated_at, lag: 1h, initial: 2011-03-04}" in yaml_of("shop", found, {})


@pytest.mark.parametrize(
    ("value", "cursor"),
    [("'2013-01-01'", "updated_on"), ("'0044-01-01'", None), ("'2999-01-01'", None), ("'soon'", None)],
)
def test_a_cursor_with_values_that_no_window_holds_is_not_chosen(look, value, cursor):
    found = look(f"CREATE TABLE t (id INTEGER PRIMARY KEY, updated_on DATE); INSERT INTO t VALUES (1, {value})")
    (table,) = found.tables
    assert (table.cursor.value if table.cursor else None) == cursor
    assert table.disposition.value == ("merge" if cursor else "replace")
    if cursor:
        assert table.beginning.lag == "1d"


def test_a_column_whose_values_are_not_of_its_type_has_the_type_of_its_values(look):
    found = look(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, long TIME, share INTEGER, day DATE, empty, good DATE);"
        "INSERT INTO t VALUES (1, '838:59:59', 1.5, 'never', NULL, '2013-01-01')"
    )
    (table,) = found.tables
    assert {column.name: str(column.type) for column in table.columns} == {
        "id": "integer", "long": "text", "share": "float", "day": "text", "empty": "text", "good": "date",
    }  # fmt: skip
    assert "declared as date, but 1 values do not fit" in yaml_of("shop", found, {})


def test_a_table_whose_name_looks_like_a_template_is_a_comment_and_the_others_are_written(look):
    found = look('CREATE TABLE good (id INTEGER PRIMARY KEY); CREATE TABLE "{{ x }}" (id INTEGER PRIMARY KEY);')
    assert [table.name for table in found.tables] == ["good"]
    assert [(skipped.name, "cannot name it" in skipped.reason) for skipped in found.skipped] == [("{{ x }}", True)]


def test_an_odd_table_is_a_comment_and_the_others_are_written(look):
    found = look(
        "CREATE TABLE good (id INTEGER PRIMARY KEY);"
        'CREATE TABLE odd (id INTEGER, "a\tb" TEXT); INSERT INTO odd VALUES (1, 2);'
    )
    assert [table.name for table in found.tables] == ["good"]
    assert [skipped.name for skipped in found.skipped] == ["odd"]
    assert "  # skipped odd: " in yaml_of("shop", found, {})


def test_a_pattern_means_the_tables_that_the_catalogue_has(look):
    found = look(
        "CREATE TABLE sales_eu (id INTEGER); CREATE TABLE sales_us (id INTEGER); CREATE TABLE stock (id INTEGER);"
        "CREATE VIEW sales_all AS SELECT 1 AS id",
        "sales_*",
        "sales_us",
    )
    assert [table.name for table in found.tables] == ["sales_eu", "sales_us", "sales_all"]


def test_a_pattern_that_means_no_table_says_which_there_are(look):
    with pytest.raises(BadRequestError, match=r'no table matches "sale\?"; hint: there are stock'):
        look("CREATE TABLE stock (id INTEGER)", "sale?")


def test_no_table_that_can_be_read_is_an_error(look):
    with pytest.raises(EltError, match="no readable table: "):
        look('CREATE TABLE odd (id INTEGER, "a\tb" TEXT); INSERT INTO odd VALUES (1, 2);')


def test_a_key_of_the_database_that_has_empty_values_is_no_key(look):
    found = look("CREATE TABLE t (code TEXT PRIMARY KEY, v INT); INSERT INTO t VALUES (NULL, 1), ('a', 2)")
    assert found.tables[0].key is None


def test_a_missing_driver_is_the_message_of_a_run(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pymysql", None)
    monkeypatch.setitem(__import__("sys").modules, "MySQLdb", None)
    connection = Connection("db", "mysql", host="127.0.0.1", schema="x", login="root")
    with pytest.raises(BadRequestError, match=r"driver of this database is not installed.*elt-factory\[mysql\]"):
        look_at_tables(Tables(connection, "shop", (), None, tmp_path), tmp_path)


@pytest.mark.parametrize(
    ("column", "suggested"),
    [("deleted_at DATETIME", "deleted_at"), ("is_deleted BOOLEAN", "is_deleted"), ("deleted TEXT", None)],
)
def test_a_column_that_may_say_that_a_row_is_deleted_is_suggested(look, column, suggested):
    value = {"DATETIME": "'2013-01-01'", "BOOLEAN": "0", "TEXT": "'N'"}[column.split()[1]]
    found = look(
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, updated_at DATETIME, {column});"
        f"INSERT INTO t VALUES (1, '2013-01-01', {value})"
    )
    assert (f"# deletes: {{column: {suggested}}}" in yaml_of("t", found, {})) == bool(suggested)
    assert found.tables[0].deleted == suggested


def test_tables_whose_names_are_alike_are_each_read_by_their_own_name(look):
    found = look('CREATE TABLE "odd name" (id INTEGER); CREATE TABLE odd_name (id INTEGER);')
    read = {str(table.lines["table"].value) if table.lines else table.name for table in found.tables}
    assert read == {'"odd name"', '"odd_name"'}
