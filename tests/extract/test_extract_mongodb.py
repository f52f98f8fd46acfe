"""MongoDB as a source: the real driver against the tests' own server; no MongoDB was asked."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime

import bson
import pytest
from bson.binary import UUID_SUBTYPE
from bson.datetime_ms import DatetimeMS
from extract_support import SECRET, WEEK, read_request
from pydantic import ValidationError

from elt_factory.core.connection import Connection
from elt_factory.core.failures import AccessDeniedError, BadDataError, BadRequestError, SourceUnavailableError
from elt_factory.discover.writing import yaml_of
from elt_factory.extract.request import CursorRange
from elt_factory.sources.kind import Asked, Wish
from elt_factory.sources.mongodb.discovery import look_at_collections
from elt_factory.sources.mongodb.documents import Kinds, as_json
from elt_factory.sources.mongodb.kind import KIND
from elt_factory.sources.read import read
from elt_factory.testing.sources import SourceSuite
from mongo_server import CutError, RefusedError, mongo_running

IN_WEEK = datetime(2013, 1, 7, tzinfo=UTC)
BEFORE = datetime(2012, 12, 31, tzinfo=UTC)
OID = bson.ObjectId("650000000000000000000001")
EVERYTHING = {
    "_id": OID,
    "text": "é\n",
    "int32": 1,
    "int64": bson.Int64(9007199254740993),
    "double": 0.1,
    "nan": float("nan"),
    "inf": float("-inf"),
    "decimal": bson.Decimal128("12345678901234567890.1234567890"),
    "no_decimal": bson.Decimal128("NaN"),
    "yes": True,
    "nothing": None,
    "at": datetime(2013, 1, 1, 5, 0, 0, 123000, UTC),
    "far": DatetimeMS(2**60),
    "bytes": b"\x00\xff",
    "uuid": bson.Binary.from_uuid(uuid.UUID(int=5)),
    "old_uuid": bson.Binary(bytes(16), 3),
    "nested": {"a": [bson.Int64(1), {"b": OID}], "at": datetime(2013, 1, 1, tzinfo=UTC)},
    "regex": bson.Regex("^a", "i"),
    "stamp": bson.Timestamp(5, 1),
    "least": bson.MinKey(),
}
AS_JSON = {
    "_id": "650000000000000000000001",
    "text": "é\n",
    "int32": 1,
    "int64": 9007199254740993,
    "double": 0.1,
    "nan": "NaN",
    "inf": "-Infinity",
    "decimal": "12345678901234567890.1234567890",
    "no_decimal": "NaN",
    "yes": True,
    "nothing": None,
    "at": "2013-01-01T05:00:00.123000Z",
    "far": {"$date": {"$numberLong": str(2**60)}},
    "bytes": "00ff",
    "uuid": str(uuid.UUID(int=5)),
    "old_uuid": "00" * 16,
    "nested": {"a": [1, {"b": str(OID)}], "at": "2013-01-01T00:00:00Z"},
    "regex": {"$regularExpression": {"pattern": "^a", "options": "i"}},
    "stamp": {"$timestamp": {"t": 5, "i": 1}},
    "least": {"$minKey": 1},
}


@pytest.fixture
def server():
    with mongo_running() as running:
        running.fill("shop", "orders", *(
            {"_id": number, "total": 1.5, "updated_at": moment}
            for number, moment in ((1, BEFORE), (2, WEEK.start), (3, IN_WEEK), (4, WEEK.end), (5, None))
        ))  # fmt: skip
        yield running


def connection_to(server, **more) -> Connection:
    fields = {"host": "127.0.0.1", "port": server.port, "schema": "shop", **more}
    return Connection("db", "mongo", **fields)


@pytest.fixture
def read_table(tmp_path, server):
    told = []

    def run(connection=None, cursor=None, extract=None, **table):
        table = {"collection": "orders", "write_disposition": "replace", **table}
        given = {"type": "mongodb", "connection": "db", "fetch_rows": 2, **(extract or {})}
        request = read_request(tmp_path, given, table, connection or connection_to(server), cursor=cursor,
                               log=told.append)  # fmt: skip
        return read(request)

    run.told = told
    return run


def documents(spool) -> list[dict]:
    return [json.loads(line) for file in spool.files for line in file.read_bytes().splitlines()]


def ids(spool) -> list:
    return [document["_id"] for document in documents(spool)]


def test_every_type_is_json_with_all_its_digits():
    found = json.loads(as_json(EVERYTHING), parse_float=lambda text: text if len(text) > 9 else float(text))
    assert found == AS_JSON


def test_a_field_has_the_type_that_mongodb_keeps_with_all_its_values():
    kinds = Kinds()
    for document in (EVERYTHING, {"_id": OID, "text": "b", "yes": "no", "int32": 2, "added": "2013-01-01"}):
        kinds.see(document)
    assert {name: str(kind) for name, kind in kinds.types().items()} == {
        "_id": "text",
        "text": "text",
        "at": "timestamp",
        "bytes": "binary",
        "decimal": "decimal(38,10)",
        "no_decimal": "decimal(38,9)",
        "nested": "json",
        "added": "text",  # a text that looks like a date is none
    }


MIXED = ({"_id": 1, "f": b"\x00\xff"}, {"_id": 2, "f": "00ff"}, {"_id": 3, "f": bson.Binary(bytes(16), UUID_SUBTYPE)})


@pytest.mark.parametrize("more", [{}, {"incremental": {"cursor": "_id", "initial": 0}}, {"most": 2}])
def test_bytes_next_to_text_in_one_field_are_written_so_that_they_are_told_apart(read_table, server, more):
    server.fill("shop", "mixed", *MIXED[: more.pop("most", 3)])
    spool = read_table(collection="mixed", **more)
    assert [document["f"] for document in documents(spool)][:2] == [r"\x00ff", "00ff"]
    assert "f" not in spool.types
    assert spool.rows_read == len(documents(spool))


def test_bytes_next_to_text_are_hex_digits_where_the_config_says_so(read_table, server):
    server.fill("shop", "mixed", *MIXED[:2])
    spool = read_table(collection="mixed", columns={"f": {"type": "binary"}})
    assert [document["f"] for document in documents(spool)] == ["00ff", "00ff"]


def test_keys_of_bytes_and_text_are_compared_as_the_rows_are_written(read_table, server):
    server.fill("shop", "keyed", {"_id": b"\x00\xff", "n": 1}, {"_id": "00ff", "n": 2})
    merge = {"write_disposition": "merge", "primary_key": ["_id"], "deletes": "compare"}
    spool = read_table(collection="keyed", **merge)
    assert sorted(ids(spool)) == sorted(ids(spool.keys)) == ["00ff", r"\x00ff"]


def test_all_batches_are_read(read_table, server):
    spool = read_table()
    assert (ids(spool), spool.rows_read) == ([1, 2, 3, 4, 5], 5)
    assert len(server.sent("getMore")) == 2


def test_an_empty_collection_has_no_rows(read_table, server):
    server.fill("shop", "empty")
    for more in ({}, {"incremental": {"cursor": "at"}, "primary_key": ["_id"], "write_disposition": "merge"}):
        spool = read_table(collection="empty", **more)
        assert (spool.files, spool.rows_read) == ((), 0)


@pytest.mark.parametrize(("choice", "expected"), [("ignore", [2, 3]), ("include", [5, 2, 3])])
def test_a_window_takes_its_start_and_leaves_its_end(read_table, choice, expected):
    spool = read_table(incremental={"cursor": "updated_at", "null_cursor": choice})
    assert (ids(spool), spool.null_cursors, str(spool.types["updated_at"])) == (expected, 1, "timestamp")


def test_a_filter_has_values_of_the_run_and_types_of_mongodb(read_table, server):
    server.fill("shop", "typed", {"_id": OID, "day": "2013-01-01"}, {"_id": bson.ObjectId(), "day": "2013-01-08"})
    spool = read_table(filter={"updated_at": {"$gte": "{{ window.start }}", "$lt": "{{ window.end }}"}})
    assert ids(spool) == [2, 3]
    day = {"$lt": "{{ window.end | date }}"}
    assert ids(read_table(collection="typed", filter={"day": day})) == [str(OID)]
    assert ids(read_table(collection="typed", filter={"_id": {"$oid": str(OID)}})) == [str(OID)]
    with pytest.raises(BadRequestError, match=r"extended JSON that MongoDB does not know: .*; hint: write it like"):
        read_table(filter={"_id": {"$oid": "5"}})


def test_a_value_of_the_run_is_never_an_operator(read_table, tmp_path, server):
    table = {"collection": "orders", "filter": {"_id": "{{ params.key }}"}, "write_disposition": "replace"}
    request = read_request(tmp_path, {"type": "mongodb", "connection": "db"}, table, connection_to(server),
                           defaults={"key": '{"$gt": 0}'})  # fmt: skip
    assert read(request).rows_read == 0
    assert server.sent("find")[-1]["filter"] == {"_id": '{"$gt": 0}'}


def test_a_projection_leaves_fields_out(read_table):
    assert documents(read_table(projection={"total": 1}))[0] == {"_id": 1, "total": 1.5}


@pytest.mark.parametrize(
    ("values", "initial", "after", "expected"),
    [
        ([1, 2, 3], 0, "2", [3]),
        ([bson.Int64(1), 2.5, 3], 0, None, [1, 2, 3]),
        ([0.1, 0.2], 0, "0.1", [2]),
        (["a", "b", "c"], None, "b", [3]),
        ([bson.ObjectId("0" * 23 + "1"), bson.ObjectId("0" * 23 + "2")], None, "0" * 23 + "1", [2]),
    ],
)
def test_what_is_no_time_is_read_after_the_last(read_table, server, values, initial, after, expected):
    server.fill("shop", "numbered", *({"_id": place, "n": value} for place, value in enumerate(values, 1)))
    incremental = {"cursor": "n", **({} if initial is None else {"initial": initial})}
    spool = read_table(collection="numbered", incremental=incremental, cursor=CursorRange(after),
                       write_disposition="append")  # fmt: skip
    assert ids(spool) == expected


@pytest.mark.parametrize(
    ("document", "incremental", "kind", "words"),
    [
        ({"at": "soon"}, {"cursor": "at"}, BadDataError, r"the cursor at holds 'soon' in a document, where others"),
        ({}, {"cursor": "att"}, BadRequestError, 'no document has the field "att".* did you mean "at"'),
        ({"n": {"a": 1}}, {"cursor": "n"}, BadRequestError, "cursor n is a dict, which does not grow"),
        ({}, {"cursor": "at", "initial": 0}, BadRequestError, "initial is 0, but the cursor at is a date"),
        (
            {"n": 5},
            {"cursor": "n", "initial": "2013-01-01"},
            BadRequestError,
            "initial is .*, but the cursor n is a num",
        ),
    ],
)
def test_a_cursor_that_would_lose_documents_is_refused(read_table, server, document, incremental, kind, words):
    server.fill("shop", "odd", {"_id": 1, "at": IN_WEEK}, {"_id": 2, **document})
    with pytest.raises(kind, match=words):
        read_table(collection="odd", incremental=incremental)


def test_the_keys_of_all_documents_are_of_the_moment_of_the_documents(read_table, server):
    about = {"primary_key": ["_id"], "write_disposition": "merge", "deletes": "compare"}
    spool = read_table(incremental={"cursor": "updated_at", "null_cursor": "ignore"}, **about)
    assert (ids(spool), ids(spool.keys)) == ([2, 3], [1, 2, 3, 4, 5])
    concerns = [one.get("readConcern", {}) for name in ("find", "aggregate") for one in server.sent(name)]
    assert {concern.get("level") for concern in concerns} == {"snapshot"}
    assert {str(concern["atClusterTime"]) for concern in concerns[1:]} == {"Timestamp(1356998400, 1)"}


@pytest.mark.parametrize("given", [{"replica_set": None}, {"wire_version": 9}])
def test_a_server_without_snapshots_is_read_without_and_its_keys_in_their_own_order(tmp_path, given):
    """An index in which a document moves while it is read may not show it, and its key would count as deleted."""
    about = {"primary_key": ["_id"], "write_disposition": "merge", "deletes": "compare"}
    with mongo_running(**given) as server:
        server.fill("shop", "things", {"_id": 1, "at": IN_WEEK})
        extract = {"type": "mongodb", "connection": "db"}
        table = {**about, "incremental": {"cursor": "at"}}
        assert ids(read(read_request(tmp_path, extract, table, connection_to(server))).keys) == [1]
        assert all("readConcern" not in one for one in server.sent("find"))
        assert server.sent("find")[-1]["hint"] == {"$natural": 1}


def test_a_read_whose_connection_breaks_begins_again_and_doubles_nothing(read_table, server):
    broken = []

    def trouble(command):
        if "getMore" in command and len(broken) < 2:
            broken.append(command)
            raise CutError

    server.trouble = trouble
    assert ids(read_table()) == [1, 2, 3, 4, 5]
    assert sum("reading again from the beginning" in line for line in read_table.told) == 2


def test_a_connection_that_never_holds_is_unavailable(read_table, server):
    def trouble(command):
        if "getMore" in command:
            raise CutError

    server.trouble = trouble
    with pytest.raises(SourceUnavailableError, match=r"src\.things: "):
        read_table()


def test_a_snapshot_that_is_gone_is_given_up_and_all_is_read_again(read_table, server):
    def trouble(command):
        if "getMore" in command and "readConcern" not in str(server.sent("find")[-1]):
            return
        if "getMore" in command:
            raise RefusedError(239, "snapshot too old")

    server.trouble = trouble
    assert ids(read_table()) == [1, 2, 3, 4, 5]
    assert any(
        line.endswith("again from the beginning: without a snapshot (snapshot too old)") for line in read_table.told
    )


def test_a_server_that_only_says_that_it_has_snapshots_is_read_without(read_table, server):
    def trouble(command):
        if "readConcern" in command:
            raise RefusedError(303, "Feature not supported: readConcern level snapshot")

    server.trouble = trouble
    assert ids(read_table()) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("code", "kind"),
    [(13, AccessDeniedError), (8000, AccessDeniedError), (2, BadRequestError), (11600, SourceUnavailableError)],
)
def test_what_the_server_says_is_one_message(read_table, server, code, kind):
    def trouble(command):
        if "find" in command:
            raise RefusedError(code, "no")

    server.trouble = trouble
    with pytest.raises(kind, match=r"src\.things: no"):
        read_table()


def test_a_refused_login_says_what_to_check_and_not_the_password(read_table, server):
    def trouble(command):
        if "saslStart" in command:
            raise RefusedError(18, "Authentication failed.")

    server.trouble = trouble
    with pytest.raises(AccessDeniedError, match=r"Authentication failed.*hint: check login, password") as error:
        read_table(connection_to(server, login="me", password=SECRET))
    assert SECRET not in str(error.value)
    (sent,) = server.sent("saslStart")
    assert (sent["$db"], sent["payload"].split(b",")[2]) == ("shop", b"n=me")


def test_what_is_not_there_is_named(read_table, server):
    with pytest.raises(BadRequestError, match=r'unknown collection "order" in the database "shop"; .*mean "orders"'):
        read_table(collection="order")
    with pytest.raises(BadRequestError, match="no database is named; hint: write database: under extract"):
        read_table(connection_to(server, schema=None))
    assert read_table(connection_to(server, schema=None), extract={"database": "shop"}).rows_read == 5


def test_a_login_that_may_not_list_collections_may_read_one(read_table, server):
    def trouble(command):
        if "listCollections" in command:
            raise RefusedError(13, "not authorized")

    server.trouble = trouble
    assert read_table().rows_read == 5


@pytest.mark.parametrize(
    "more", [{"host": None}, {"extra": {"nonsense": 1}}, {"host": "mongodb://"}, {"extra": {"tlsCAFile": "/nowhere"}}]
)
def test_a_connection_that_cannot_work_is_one_message(read_table, server, more):
    with pytest.raises(BadRequestError, match=r"src\.things: .*(hint: check the host and the extra|has no host)"):
        read_table(connection_to(server, login="me", password=SECRET, **more))


def test_a_server_that_does_not_answer_is_unavailable(read_table, server):
    extra = {"serverSelectionTimeoutMS": 200}
    with pytest.raises(SourceUnavailableError, match="Connection refused") as error:
        read_table(connection_to(server, port=1, login="me", password=SECRET, extra=extra))
    assert SECRET not in str(error.value)
    assert "Topology" not in str(error.value)


def test_appending_all_documents_would_double_them(read_table):
    with pytest.raises(ValidationError, match="every run would append all documents again"):
        read_table(write_disposition="append")
    window = {"updated_at": {"$gte": "{{ window.start }}"}}
    assert read_table(write_disposition="append", filter=window).rows_read == 3


def test_a_view_is_read_without_an_order_that_it_does_not_have(tmp_path):
    with mongo_running(replica_set=None, views={"seen": "orders"}) as server:
        server.fill("shop", "orders", {"_id": 1, "at": IN_WEEK})
        table = {"collection": "seen", "primary_key": ["_id"], "write_disposition": "merge", "deletes": "compare"}
        spool = read(read_request(tmp_path, {"type": "mongodb", "connection": "db"}, table, connection_to(server)))
        assert (ids(spool.keys), "hint" in server.sent("find")[-1]) == ([1], False)


def test_a_plan_says_what_is_asked(tmp_path):
    def asked(**table):
        given = {"type": "mongodb", "connection": "db", "database": "shop"}
        request = read_request(tmp_path, given, table, defaults={"status": "new"})
        return KIND.asked(Asked(request.source, "things", WEEK, {"params.status": "new"}))

    merged = {"primary_key": ["_id"], "write_disposition": "merge", "incremental": {"cursor": "at"}}
    assert asked(filter={"status": "{{ params.status }}"}, **merged) == [
        f"db: find in shop.things where {{'status': 'new'}}, at in {WEEK}, where at is a date"
    ]
    assert asked(deletes="compare", **merged)[1] == "db: find in shop.things, only _id"


def test_a_look_finds_collections_their_key_and_where_cursors_begin(tmp_path, server):
    server.fill("shop", "Customers-2", *({"_id": bson.ObjectId(), "email": f"a{n}@example.org", "updated_at": moment}
                                         for n, moment in enumerate((BEFORE, IN_WEEK))))  # fmt: skip
    wish = Wish("shop", connection_to(server), None, (), None, tmp_path, lambda _: "")
    found = look_at_collections(wish, tmp_path)
    text = yaml_of("shop", found, {})
    assert 'collection: "Customers-2"' in text
    assert 'incremental: {cursor: updated_at, lag: 1h, initial: "2012-12-31T00:00:00Z"}' in text
    assert "_id: {type: text}" in text
    assert "email: {type: text, pii: hash}" in text
    assert {table.key.columns for table in found.tables} == {("_id",)}
    with pytest.raises(BadRequestError, match=r'unknown collection "order"; .*did you mean "orders"'):
        look_at_collections(
            Wish("shop", connection_to(server), None, ("order",), None, tmp_path, lambda _: ""), tmp_path
        )


@pytest.mark.duckdb
class TestMongoDbAsAKind(SourceSuite):
    """What every kind of source must do."""

    config = {
        "name": "shop",
        "extract": {"type": "mongodb", "connection": "db"},
        "tables": {"orders": {"projection": {"total": 1}, "write_disposition": "replace"}},
    }
    rows = [{"_id": number, "total": 1.5} for number in range(1, 6)]

    @pytest.fixture(autouse=True)
    def at(self, server) -> None:
        type(self).server = server

    def connection(self, folder) -> Connection:
        return connection_to(self.server)

    def broken(self, folder) -> Connection:
        return connection_to(self.server, schema=None)
