"""What templates become in one load, for an API, a database and a folder; and what no value can do there."""

from __future__ import annotations

import csv
import sqlite3
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pyarrow.parquet as pq
import pytest
from extract_support import read_request, reply, serving
from hypothesis import given
from hypothesis import strategies as st

from elt_factory.core.connection import Connection
from elt_factory.core.failures import BadRequestError
from elt_factory.core.window import Window
from elt_factory.extract.request import CursorRange
from elt_factory.extract.templating import endpoint_of, pattern_of
from elt_factory.sources.read import read

DAY = Window(datetime(2013, 1, 1, 5, tzinfo=UTC), datetime(2013, 1, 2, 5, tzinfo=UTC))
API = {"type": "rest_api", "connection": "api"}
FOLDER = {"type": "files", "folder": "in"}
HOSTILE = ["'; drop table things; --", "' or '1'='1", "$$", r"\'", "x' --", "%s", ":given_0", "{}", "😀"]


def asked_of_an_api(tmp_path, table, **more):
    """The one request that a table makes."""
    with serving(lambda _: reply([{"id": 1}])) as server:
        read(read_request(tmp_path, API, table, server.connection(), window=DAY, **more))
    (asked,) = server.asked
    return asked


def test_an_api_is_asked_for_all_that_templates_say(tmp_path):
    table = {
        "path": "/v1/{{ params.region }}/flights",
        "params": {
            "since": "{{ cursor }}",
            "until": "{{ window.end | date }}",
            "run": "{{ run_id }}",
            "load": "{{ load_id }}",
            "seats": "{{ params.seats }}",
            "all": "{{ params.all }}",
        },
        "incremental": {"cursor": "updated_at"},
    }
    defaults = {"region": "EMEA", "seats": 4, "all": True}
    asked = asked_of_an_api(tmp_path, table, defaults=defaults, run_id="manual__1", params={"region": "NEW YORK"})
    assert asked.target.split("?")[0] == "/v1/NEW%20YORK/flights"
    assert asked.params == {
        "since": "2013-01-01T05:00:00Z",
        "until": "2013-01-02",
        "run": "manual__1",
        "load": "load-1",
        "seats": "4",
        "all": "true",
    }


@pytest.mark.parametrize(("after", "since"), [(None, "7"), ("1200", "1200")])
def test_a_cursor_that_is_a_number_is_the_last_loads_and_at_first_the_initial_one(tmp_path, after, since):
    table = {
        "path": "/orders",
        "params": {"since_id": "{{ cursor }}"},
        "incremental": {"cursor": "id", "initial": 7},
        "primary_key": ["id"],
        "write_disposition": "merge",
    }
    asked = asked_of_an_api(tmp_path, table, cursor=CursorRange(after))
    assert asked.params == {"since_id": since}


@pytest.mark.parametrize("value", ["a/../../admin", "x?y=1", "x#y", "a b", "%2e%2e", "//other", "é", ";", "a\\b"])
def test_a_value_stays_one_part_of_the_address(value):
    path = endpoint_of("/v1/{{ params.region }}/flights", {"params.region": value}, "UTC")
    assert urlsplit(f"http://host{path}").path.count("/") == 3
    assert "?" not in path
    assert "#" not in path


@pytest.mark.parametrize("value", ["", ".", ".."])
def test_a_value_that_is_no_part_of_an_address_is_refused(tmp_path, value):
    table = {"path": "/v1/{{ params.region }}/flights"}
    with pytest.raises(
        BadRequestError, match=r'src\.things: invalid path .* from "/v1/\{\{ params\.region \}\}/flights"'
    ):
        asked_of_an_api(tmp_path, table, defaults={"region": "EMEA"}, params={"region": value})


def folder_of(tmp_path):
    for name in ("EMEA", "APAC", "a[b]%Y*"):
        (tmp_path / "in" / name).mkdir(parents=True)
        (tmp_path / "in" / name / "2013-01-01.csv").write_text(f"region\n{name}\n")
    (tmp_path / "secret.csv").write_text("region\nsecret\n")


@pytest.mark.parametrize("value", ["EMEA", "APAC", "a[b]%Y*"])
def test_files_are_those_of_the_value(tmp_path, value):
    folder_of(tmp_path)
    table = {"path": "{{ params.region }}/{{ window.start | date }}.csv"}
    spool = read(
        read_request(tmp_path, FOLDER, table, window=DAY, defaults={"region": "EMEA"}, params={"region": value})
    )
    assert [file.read_text() for file in spool.files] == [f"region\n{value}\n"]


@pytest.mark.parametrize("value", ["..", "../in", "/etc", "", "a\\b", "EMEA/2013-01-01.csv"])
def test_a_value_leads_to_no_other_folder(tmp_path, value):
    folder_of(tmp_path)
    table = {"path": "{{ params.region }}/*.csv"}
    with pytest.raises(BadRequestError, match=r"src\.things: .*(invalid file name part|points outside the folder)"):
        read(read_request(tmp_path, FOLDER, table, window=DAY, defaults={"region": "EMEA"}, params={"region": value}))


def test_values_side_by_side_lead_to_no_other_folder(tmp_path):
    folder_of(tmp_path)
    table = {"path": "{{ params.a }}{{ params.b }}/secret.csv"}
    with pytest.raises(BadRequestError, match="points outside the folder"):
        read(read_request(tmp_path, FOLDER, table, window=DAY, defaults={"a": ".", "b": "."}))


@given(st.text(alphabet=st.characters(exclude_characters="/\\", exclude_categories=["Cs", "Cc"]), min_size=1))
def test_any_value_is_itself_in_a_pattern(value):
    import fnmatch

    pattern = pattern_of("{{ params.x }}", {"params.x": value}, "UTC").replace("%%", "%")
    assert fnmatch.fnmatchcase(value, pattern)


@pytest.fixture
def sqlite_file(tmp_path):
    with sqlite3.connect(tmp_path / "data.db") as database:
        database.execute("CREATE TABLE things (id INTEGER, region TEXT, at TEXT)")
        database.executemany(
            "INSERT INTO things VALUES (?, ?, ?)",
            [(1, "EMEA", "2013-01-01 04:59:59"), (2, "EMEA", "2013-01-01 05:00:00"), (3, "APAC", "2013-01-01 06:00:00")]
            + [(4, text, "2013-01-01 07:00:00") for text in HOSTILE],
        )
    database.close()
    return Connection("db", "sqlite", host="data.db")


def ids(spool):
    if spool.format == "parquet":
        return [row["id"] for row in pq.read_table(spool.files[0]).to_pylist()]
    with spool.files[0].open(newline="") as lines:
        return [row["id"] for row in csv.DictReader(lines)]


QUERY = (
    "select id, '12:30' as t from things -- it's a query\n"
    "where at >= {{ window.start }} and at < {{ window.end }} "
    "and region = {{ params.region }} and id >= {{ params.least }};"
)


def read_query(tmp_path, connection, schema=None, **params):
    extract = {"type": "sql", "connection": "db", **({"schema": schema} if schema else {})}
    query = QUERY.replace("from things", f"from {schema}.things") if schema else QUERY
    defaults = {"region": "EMEA", "least": 0}
    return read(
        read_request(tmp_path, extract, {"query": query}, connection, window=DAY, defaults=defaults, params=params)
    )


@pytest.mark.parametrize(("params", "found"), [({}, ["2"]), ({"region": "APAC"}, ["3"]), ({"least": 3}, [])])
def test_a_query_of_sqlite_is_given_values(tmp_path, sqlite_file, params, found):
    assert ids(read_query(tmp_path, sqlite_file, **params)) == found


@pytest.mark.parametrize("value", HOSTILE)
def test_a_value_is_never_sql_in_sqlite(tmp_path, sqlite_file, value):
    assert ids(read_query(tmp_path, sqlite_file, region=value)) == ["4"]


@pytest.fixture
def postgres_table(postgres, schema):
    postgres.execute("DROP TABLE IF EXISTS things")
    postgres.execute("CREATE TABLE things (id int, region text, at timestamptz)")
    rows = [(1, "EMEA", "2013-01-01T04:59:59Z"), (2, "EMEA", "2013-01-01T00:00:00-05:00")]
    rows += [(4, text, "2013-01-01T07:00:00Z") for text in HOSTILE]
    with postgres.cursor() as cursor:
        cursor.executemany("INSERT INTO things VALUES (%s, %s, %s)", rows)
    return Connection("db", "postgres", host="127.0.0.1", port=5432, schema="test", login="postgres")


def test_a_query_of_postgresql_is_given_values(tmp_path, postgres_table, schema):
    assert ids(read_query(tmp_path, postgres_table, schema)) == ["2"]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_value_is_never_sql_in_postgresql(tmp_path, postgres_table, schema, value):
    assert ids(read_query(tmp_path, postgres_table, schema, region=value)) == ["4"]


def test_a_query_may_begin_at_its_cursor(tmp_path, sqlite_file):
    extract = {"type": "sql", "connection": "db"}
    table = {
        "query": "select id from things where id > {{ cursor }}",
        "incremental": {"cursor": "id", "initial": 0},
    }
    request = read_request(tmp_path, extract, table, sqlite_file, window=DAY, cursor=CursorRange("2"))
    assert set(ids(read(request))) == {"3", "4"}
