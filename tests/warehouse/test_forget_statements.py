"""The statements of `elt forget`, as both warehouses get them."""

from contextlib import nullcontext

import duckdb
import pytest
import sqlglot

from elt_factory.config.models.values import ColumnType
from elt_factory.landing.forgotten import KeyHash, key_hash
from elt_factory.landing.manifest import Forgotten, Manifest
from elt_factory.testing.warehouses.loader import FIRST_DAY as NOW
from elt_factory.warehouse import audit
from elt_factory.warehouse.base import Rows
from elt_factory.warehouse.dialect import Relation
from elt_factory.warehouse.duckdb.warehouse import DIALECT as DUCKDB
from elt_factory.warehouse.erasing import Erasing, Sought
from elt_factory.warehouse.snowflake.sql import DIALECT as SNOWFLAKE

KEY = KeyHash(("id",), key_hash(("id",), ("42",)))
SCD2 = dict.fromkeys(("id", "_valid_from"), ColumnType("text"))
REJECT = ("L1", 3, 7, '{"id": 42}', None, None, "open")
MINE = """"source" = 'src' AND "table_name" = 'tab'"""


class Script:
    """A warehouse that keeps what it is sent; a table has one reject and one sample of the person."""

    def __init__(self, dialect) -> None:
        self.dialect, self.sent = dialect, []

    def columns(self, _):
        return SCD2

    def query(self, statement):
        for word, row in (("every_reject", REJECT), ("failing_keys", ('[{"id":42},{"id":1}]', "c")), ("state", REJECT)):
            if word.lower() in statement.lower():
                return Rows((), [row])
        return Rows((), [])

    def execute(self, statement):
        self.sent.append(statement)
        return 1

    def transaction(self):
        return nullcontext()


def sent(dialect) -> list[str]:
    script = Script(dialect)
    name = dialect.name("id")
    sought = Sought(
        "src", "tab", f"({name} = CAST('42' AS {dialect.type(ColumnType('integer'))}))", (KEY,), ("42",), "x"
    )
    list(Erasing(script, sought, NOW, dry_run=False).everything(Relation("src", "tab"), ("id",)))
    return script.sent


def test_duckdb_is_sent_these_statements_and_no_other():
    unseen, rows, states, rejects, again, sample = sent(DUCKDB)
    assert unseen == (
        f'DELETE FROM "_elt"."unseen_keys" WHERE {MINE} AND "key" IN '
        '(SELECT CAST(length(CAST(t."id" AS VARCHAR)) AS VARCHAR) || \':\' || CAST(t."id" AS VARCHAR) '
        'FROM "src"."tab" AS t WHERE ("id" = CAST(\'42\' AS BIGINT)))'
    )
    assert rows == 'DELETE FROM "src"."tab" WHERE ("id" = CAST(\'42\' AS BIGINT))'
    assert states.startswith('INSERT INTO "_elt"."reject_states" ("source", "table_name", "load_id", "turn", "ordinal"')
    assert "'dismissed', 'x', 'erased by elt forget'" in states
    assert rejects == (
        f'DELETE FROM "_elt"."reject_log" WHERE {MINE} AND "load_id" = \'L1\' AND "turn" = 3 AND "ordinal" IN (7)'
    )
    assert again.endswith(
        f"""'[{{"id": 1}}]', "kept_at" FROM "_elt"."quality_log" WHERE {MINE} AND "failing_keys" = """
        """'[{"id":42},{"id":1}]' AND "check_name" = 'c'"""
    )
    assert sample == (
        f"""DELETE FROM "_elt"."quality_log" WHERE {MINE} AND "failing_keys" = '[{{"id":42}},{{"id":1}}]' """
        """AND "check_name" = 'c'"""
    )


@pytest.mark.parametrize(("dialect", "name"), [(DUCKDB, "duckdb"), (SNOWFLAKE, "snowflake")])
def test_all_statements_are_dml_of_their_dialect(dialect, name):
    for statement in sent(dialect):
        parsed = sqlglot.parse_one(statement, dialect=name)
        assert isinstance(parsed, (sqlglot.exp.Insert, sqlglot.exp.Delete)), statement


def test_a_load_asks_in_one_statement_for_later_landings_and_for_keys_that_were_forgotten_since():
    manifest = Manifest(
        *("src", "tab", "L1", NOW.isoformat(), NOW.isoformat(), (), (), None, 0, 0, 0, 0, 0, ()),
        *([None] * 6),
        started_at=NOW.isoformat(),
        attempt="a" * 12,
        forgotten=(Forgotten("done", 1),),
    )
    statement = audit.later_landing(DUCKDB, manifest)
    moment = "CAST('2013-01-01T00:00:00Z' AS TIMESTAMP WITH TIME ZONE)"
    assert statement.startswith(
        f'SELECT count(*), (SELECT count(*) FROM "_elt"."forgotten" WHERE {MINE} AND "forgotten_at" >= {moment} '
        """AND "key_hash" NOT IN ('done')) FROM "_elt"."loads" WHERE """
    )


def test_a_key_that_a_snapshot_has_not_seen_goes_in_every_text_that_a_version_noted_it_as(monkeypatch):
    monkeypatch.setitem(SCD2, "id", ColumnType("decimal", 10, 2))
    told = sent(DUCKDB)[0].split(" IN ")[1].removeprefix("(").removesuffix(")")
    with duckdb.connect() as database:
        database.execute("CREATE SCHEMA src; CREATE TABLE src.tab AS SELECT CAST(42 AS DECIMAL(10,2)) AS id")
        assert sorted(database.execute(told).fetchall()) == [("2:42",), ("5:42.00",)]
