"""MySQL and MariaDB as sources: tables, queries with values in them, and what `elt new` finds."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from extract_support import read_request

from elt_factory.config.window import Window
from elt_factory.discover.database import Tables, look_at_tables
from elt_factory.extract.read import read
from elt_factory.extract.request import Connection, CursorRange
from elt_factory.failures import AccessDeniedError, BadRequestError

DAY = Window(datetime(2013, 1, 1, 5, tzinfo=UTC), datetime(2013, 1, 2, 5, tzinfo=UTC))
HOSTILE = ["'; drop table things; --", "' or '1'='1", r"\' or 1=1 -- ", "%s", ":given_0", "😀"]


@pytest.fixture(scope="module")
def shop() -> Iterator[Connection]:
    """A database of its own on the server of this machine."""
    name = f"extract_{uuid.uuid4().hex[:10]}"
    server = sa.create_engine("mysql+pymysql://root@127.0.0.1:3306/?charset=utf8mb4", poolclass=sa.NullPool)
    try:
        database = server.connect()
    except sa.exc.OperationalError as error:
        if os.environ.get("ELT_REQUIRE_SERVICES") == "1":
            raise
        pytest.skip(f"no MariaDB to test with: {error}")
    with database:
        database.execute(sa.text(f"CREATE DATABASE {name} CHARACTER SET utf8mb4"))
        database.execute(sa.text(f"USE {name}"))
        database.execute(
            sa.text(
                "CREATE TABLE things (id INT PRIMARY KEY, region VARCHAR(60), price DECIMAL(10, 2), made DATE, "
                "updated_at DATETIME NOT NULL, email VARCHAR(60))"
            )
        )
        rows = [
            (1, "EMEA", "2013-01-01 04:59:59"),
            (2, "EMEA", "2013-01-01 05:00:00"),
            (3, "APAC", "2013-01-01 06:00:00"),
            *((10 + number, text, "2013-01-01 07:00:00") for number, text in enumerate(HOSTILE)),
        ]
        insert = sa.text("INSERT INTO things VALUES (:id, :region, 9.5, '2013-01-01', :at, 'a@example.org')")
        database.execute(insert, [{"id": number, "region": region, "at": at} for number, region, at in rows])
        database.commit()
        yield Connection("db", "mysql", host="127.0.0.1", port=3306, schema=name, login="root")
        database.execute(sa.text(f"DROP DATABASE {name}"))


def rows_of(spool) -> list[dict]:
    return pq.read_table(spool.files[0]).to_pylist()


def request_of(tmp_path, shop, table, **more):
    return read_request(tmp_path, {"type": "sql", "connection": "db"}, table, shop, window=DAY, **more)


def test_a_table_comes_with_the_types_of_its_catalogue(tmp_path, shop):
    spool = read(request_of(tmp_path, shop, {"table": "things"}))
    assert {name: str(kind) for name, kind in spool.types.items()} == {
        "id": "integer",
        "region": "text",
        "price": "decimal(10,2)",
        "made": "date",
        "updated_at": "datetime",
        "email": "text",
    }
    assert rows_of(spool)[0] == {
        "id": "1",
        "region": "EMEA",
        "price": "9.50",
        "made": "2013-01-01",
        "updated_at": "2013-01-01T04:59:59",
        "email": "a@example.org",
    }
    assert {row["region"] for row in rows_of(spool)} >= set(HOSTILE)


def test_a_window_and_a_cursor_read_what_is_theirs(tmp_path, shop):
    by_time = {"table": "things", "incremental": {"cursor": "updated_at"}}
    assert {row["id"] for row in rows_of(read(request_of(tmp_path, shop, by_time)))} >= {"2", "3"}
    assert "1" not in {row["id"] for row in rows_of(read(request_of(tmp_path, shop, by_time)))}
    by_number = {"table": "things", "incremental": {"cursor": "id", "initial": 0}}
    found = read(request_of(tmp_path, shop, by_number, cursor=CursorRange("9", "11")))
    assert [row["id"] for row in rows_of(found)] == ["10", "11"]


QUERY = (
    "select id, '12:30' as t, 7 % 4 as r from things "
    "where updated_at >= {{ window.start }} and updated_at < {{ window.end }} and region = {{ params.region }}"
)


@pytest.mark.parametrize(
    ("region", "ids"), [("EMEA", ["2"]), *((text, [str(10 + n)]) for n, text in enumerate(HOSTILE))]
)
def test_a_value_of_a_query_is_never_sql(tmp_path, shop, region, ids):
    request = request_of(tmp_path, shop, {"query": QUERY}, defaults={"region": "EMEA"}, params={"region": region})
    found = rows_of(read(request))
    assert [row["id"] for row in found] == ids
    assert {(row["t"], row["r"]) for row in found} == {("12:30", "3")}


def test_what_does_not_work_is_told(tmp_path, shop):
    with pytest.raises(BadRequestError, match='there is no table "thinks"; mend: did you mean "things"'):
        read(request_of(tmp_path, shop, {"table": "thinks"}))
    nobody = Connection("db", "mysql", host="127.0.0.1", port=3306, schema=shop.schema, login="nobody", password="no")
    with pytest.raises(AccessDeniedError):
        read(request_of(tmp_path, nobody, {"table": "things"}))


def test_a_look_finds_key_cursor_and_personal_columns(tmp_path, shop):
    (table,) = look_at_tables(Tables(shop, "shop", (), None, tmp_path), tmp_path).tables
    assert table.name == "things"
    assert table.key.columns == ("id",)
    assert table.cursor.value == "updated_at"
    assert [column.name for column in table.columns if column.pii] == ["email"]
