"""What the tests' fakesnow server does otherwise than fakesnow 0.12, so that loads can run on it, and in time.

Run as a program it is that server: a port as its only argument, and its end when its input ends. What stays wrong is
said once more beside the tests that meet it: tests/fakesnow_exceptions.py.
"""

import gc
import os
import re
import sys
from functools import cache
from threading import Thread
from typing import ClassVar

import duckdb
import fakesnow.arrow
import fakesnow.cursor
import fakesnow.info_schema
import fakesnow.server
import pyarrow as pa
import uvicorn
from snowflake.connector.errors import ProgrammingError
from sqlglot import exp
from sqlglot.generators.duckdb import DuckDBGenerator

KEPT = 8  # databases at a time


def null_timestamps_stay_null() -> None:
    """A NULL of a timestamp column came to the client as 1970-01-01."""
    original = fakesnow.arrow.timestamp_to_sf_struct

    def fixed(column: pa.ChunkedArray) -> pa.StructArray:
        combined = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        made = original(combined)
        parts = [part.fill_null(0) for part in made.flatten()]
        return pa.StructArray.from_arrays(parts, fields=list(made.type), mask=combined.is_null())

    fakesnow.arrow.timestamp_to_sf_struct = fixed


def some_statements_do_nothing() -> None:
    """REMOVE was a syntax error and a query tag an HTTP 500: they are accepted, and the files stay on the stage."""
    fakesnow.server.shared_fs.nop_regexes = [r"REMOVE\s", "alter session set query_tag"]


def dates_come_from_any_number() -> None:
    """DATE_FROM_PARTS was an error over columns of type NUMBER(19, 0), which loads give to integers."""
    original = DuckDBGenerator.TRANSFORMS[exp.DateFromParts]

    def fixed(generator, expression):
        parts = {name: exp.cast(part, "BIGINT") for name, part in expression.args.items() if isinstance(part, exp.Expr)}
        return original(generator, exp.DateFromParts(**{**expression.args, **parts}))

    DuckDBGenerator.TRANSFORMS[exp.DateFromParts] = fixed


def comments_may_have_quotes() -> None:
    """A table's comment with an apostrophe in it was an HTTP 500."""
    original = fakesnow.info_schema.insert_table_comment_sql

    def fixed(*texts):
        return original(*((text or "").replace("'", "''") for text in texts))

    fakesnow.info_schema.insert_table_comment_sql = fixed


def the_end_of_a_session_rolls_back() -> None:
    """A client never closed its session, for want of a master token: what it had not committed held its locks on."""
    original = fakesnow.server.JSONResponse

    def fixed(content, *args, **kwargs):
        if "token" in (content.get("data") or {}):
            content["data"]["masterToken"] = content["data"]["token"]
        return original(content, *args, **kwargs)

    fakesnow.server.JSONResponse = fixed

    class Sessions(dict):
        def __delitem__(self, token):
            self[token].cursor().execute("ROLLBACK")
            super().__delitem__(token)

    fakesnow.server.sessions = Sessions()


def a_database_is_an_engine_of_its_own() -> None:
    """Every DESCRIBE reads the catalog of all databases there are: each test made those after it slower."""
    engines: dict[str, fakesnow.FakeSnow] = {}

    class Engines:
        nop_regexes: ClassVar[list[str]] = fakesnow.server.shared_fs.nop_regexes

        def connect(self, database, *args, **kwargs):
            if database not in engines:
                kept = os.environ.get("FAKESNOW_KEPT")
                engines[database] = fakesnow.server.FakeSnow(nop_regexes=self.nop_regexes, db_path=kept)
                for old in list(engines)[:-KEPT]:
                    del engines[old]
            return engines[database].connect(database, *args, **kwargs)

    fakesnow.server.shared_fs = Engines()


def a_look_at_what_is_not_there_ends_no_transaction() -> None:
    """DESCRIBE of a missing table ended the transaction: any error does so in DuckDB, and none in Snowflake."""
    original = fakesnow.cursor.FakeSnowflakeCursor._execute

    def fixed(self, transformed, params=None):
        table = transformed.this if isinstance(transformed, exp.Describe) else None
        if isinstance(table, exp.Table):
            where = (table.catalog or self._conn.database, table.db or self._conn._schema, table.name)
            there = "SELECT 1 FROM duckdb_columns() WHERE (database_name, schema_name, table_name) = (?, ?, ?) LIMIT 1"
            if not self._duck_conn.execute(there, where).fetchall():
                raise ProgrammingError(msg=f"{'.'.join(where)} does not exist", errno=2003, sqlstate="42S02")
        return original(self, transformed, params)

    fakesnow.cursor.FakeSnowflakeCursor._execute = fixed


def a_statement_is_parsed_once() -> None:
    """Each was parsed to know of which kind it is, and again to run it."""
    parse, parsed = fakesnow.server.parse_one, {}

    def first(command):
        parsed.clear()
        parsed[command] = parse(command)
        return parsed[command]

    fakesnow.server.parse_one = first
    fakesnow.cursor.parse_one = lambda command: parsed.pop(command, None) or parse(command)


def an_answer_is_described_by_duckdb_alone() -> None:
    """To describe an answer, its SQL was parsed and written again, and the description was kept as an answer itself.

    What reads no table, such as the words that tell of success, is described once.
    """

    def described(self):
        return self._duck_conn.execute(f"DESCRIBE {self._last_sql}", self._last_params).fetchall()

    constant = cache(lambda sql: duckdb.execute(f"DESCRIBE {sql}").fetchall())

    def fixed(self):
        reads = self._last_params or " from " in self._last_sql.lower()
        return described(self) if reads else constant(self._last_sql)

    fakesnow.cursor.FakeSnowflakeCursor._describe_last_sql = fixed


def words_that_tell_of_success_ask_no_engine() -> None:
    """After each statement DuckDB ran another, which only said that the first had succeeded."""
    told = re.compile(r"SELECT ('[^']*'|\d+) as ('[a-z ]+'|status)", re.IGNORECASE)
    constant = cache(lambda sql: duckdb.execute(sql).to_arrow_table())

    class Engine:
        def __init__(self, real):
            self._real, self._answer = real, None

        def __getattr__(self, name):
            return getattr(self._real, name)

        def execute(self, sql, *params):
            self._answer = constant(sql) if told.fullmatch(sql) else None
            return self._real.execute(sql, *params) if self._answer is None else self

        def to_arrow_table(self):
            return self._real.to_arrow_table() if self._answer is None else self._answer

    original = fakesnow.cursor.FakeSnowflakeCursor.__init__

    def fixed(self, conn, duck_conn, *args, **kwargs):
        original(self, conn, Engine(duck_conn), *args, **kwargs)

    fakesnow.cursor.FakeSnowflakeCursor.__init__ = fixed


FIXES = (
    null_timestamps_stay_null,
    some_statements_do_nothing,
    dates_come_from_any_number,
    comments_may_have_quotes,
    the_end_of_a_session_rolls_back,
    a_database_is_an_engine_of_its_own,
    a_look_at_what_is_not_there_ends_no_transaction,
    a_statement_is_parsed_once,
    an_answer_is_described_by_duckdb_alone,
    words_that_tell_of_success_ask_no_engine,
)

if __name__ == "__main__":
    for fix in FIXES:
        fix()
    # the trees of statements are many small objects, and no rings of them
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    settings = {"port": int(sys.argv[1]), "access_log": False}
    Thread(target=uvicorn.run, args=(fakesnow.server.app,), kwargs=settings, daemon=True).start()
    sys.stdin.read()
