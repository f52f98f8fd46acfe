"""DynamoDB as a source, on moto's server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing

import boto3
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError
from extract_support import SECRET, read_request
from moto.server import ThreadedMotoServer
from pydantic import ValidationError

from elt_factory.core.connection import Connection
from elt_factory.core.failures import AccessDeniedError, BadRequestError, SourceUnavailableError
from elt_factory.discover.writing import yaml_of
from elt_factory.sources.dynamodb.client import _kind
from elt_factory.sources.dynamodb.discovery import look_at_tables
from elt_factory.sources.dynamodb.items import Numbers
from elt_factory.sources.kind import Wish
from elt_factory.sources.read import read
from elt_factory.testing.sources import SourceSuite

EVERYTHING = {
    "id": {"S": "007"},
    "n": {"N": "12345678901234567890123456789.123456789"},
    "tiny": {"N": "1E-130"},
    "b": {"B": b"\x00\xff"},
    "yes": {"BOOL": True},
    "nothing": {"NULL": True},
    "m": {"M": {"a": {"N": "1.50"}, "l": {"L": [{"S": "x"}, {"NULL": True}]}}},
    "l": {"L": [{"N": "1"}, {"S": "é\n"}]},
    "ss": {"SS": ["b", "a"]},
    "ns": {"NS": ["10", "9"]},
    "bs": {"BS": [b"\x02", b"\x01"]},
}
AS_JSON = (
    '{"id":"007","n":12345678901234567890123456789.123456789,"tiny":1E-130,"b":"00ff","yes":true,"nothing":null,'
    '"m":{"a":1.50,"l":["x",null]},"l":[1,"é\\n"],"ss":["a","b"],"ns":[9,10],"bs":["01","02"]}'
)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def aws(address: str, **more) -> Connection:
    extra = {"region_name": "eu-central-1", "endpoint_url": address, **more}
    return Connection("db", "aws", login="me", password=SECRET, extra={k: v for k, v in extra.items() if v})


@pytest.fixture(scope="module")
def database(address):
    client = boto3.client(
        "dynamodb", endpoint_url=address, region_name="eu-central-1", aws_access_key_id="me", aws_secret_access_key="x"
    )
    with closing(client):
        for table in ("everything", "many", "Shop-Orders", "empty"):
            client.create_table(
                TableName=table,
                KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
                BillingMode="PAY_PER_REQUEST",
            )
        client.put_item(TableName="everything", Item=EVERYTHING)
        text = {"S": "x" * 9000}
        for number in range(300):  # more than two pages of a megabyte
            client.put_item(TableName="many", Item={"id": {"S": str(number)}, "text": text})
        for number in range(3):
            client.put_item(TableName="Shop-Orders", Item={"id": {"S": str(number)}, "total": {"N": "1.50"}})
        yield client


@pytest.fixture
def read_table(tmp_path, address, database):
    def run(connection=None, segments=4, **table):
        extract = {"type": "dynamodb", "connection": "db", "segments": segments}
        table = {"write_disposition": "replace", **table}
        return read(read_request(tmp_path, extract, table, connection or aws(address)))

    return run


def test_every_type_is_json_with_all_its_digits(read_table):
    spool = read_table(table="everything")
    (file,) = spool.files
    assert file.read_text() == AS_JSON + "\n"
    assert (spool.rows_read, {name: str(kind) for name, kind in spool.types.items()}) == (
        1, {"id": "text", "n": "decimal(38,9)"}
    )  # fmt: skip


def test_numbers_with_a_fraction_are_decimals_where_all_values_are_numbers():
    """A float would lose their digits."""
    one, other = Numbers(), Numbers()
    one.see({"price": {"N": "1.50"}, "whole": {"N": "5"}, "mixed": {"N": "1.5"}, "long": {"N": "0.12345678901"}})
    other.see({"price": {"NULL": True}, "mixed": {"S": "x"}, "long": {"N": "1E+25"}, "far": {"N": "1.5E-100"}})
    one.add(other)
    found = {name: str(kind) for name, kind in one.types().items()}
    assert found == {"price": "decimal(38,9)", "long": "decimal(38,11)"}


@pytest.mark.parametrize("segments", [1, 3, 8])
def test_all_pages_of_all_segments_are_read_once(read_table, segments):
    spool = read_table(table="many", segments=segments)
    ids = [json.loads(line)["id"] for file in spool.files for line in file.read_bytes().splitlines()]
    assert sorted(ids, key=int) == [str(number) for number in range(300)]
    assert spool.rows_read == 300


def test_an_empty_table_has_no_rows(read_table):
    spool = read_table(table="empty")
    assert (spool.files, spool.rows_read) == ((), 0)


def test_a_missing_table_names_the_near_one(read_table):
    with pytest.raises(BadRequestError, match=r'src\.things: unknown table "Shop-Order"; .*did you mean "Shop-Orders"'):
        read_table(table="Shop-Order")


def test_appending_a_scan_would_double_it(read_table):
    with pytest.raises(ValidationError, match="every run would append all items again"):
        read_table(write_disposition="append")


def test_a_connection_without_a_region_is_an_error_with_a_hint(read_table, address, monkeypatch):
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    with pytest.raises(BadRequestError, match=r'names no region; hint: write \{"region_name"'):
        read_table(aws(address, region_name=None))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"region_name": "not a region"}, "not a region"),
        ({"endpoint_url": "no address"}, "no address"),
        ({"profile_name": "nobody"}, "nobody"),
    ],
)
def test_an_extra_that_aws_cannot_use_is_one_message(read_table, address, more, words):
    with pytest.raises(BadRequestError, match=rf"src\.things: .*{words}.*; hint: check region_name, endpoint_url"):
        read_table(aws(address, **more))


def test_a_table_that_cannot_be_described_is_left_out_of_a_look(tmp_path, address, database, monkeypatch):
    def refused(self, operation, given):
        if operation == "DescribeTable" and given["TableName"] == "many":
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, operation)
        return real(self, operation, given)

    real = BaseClient._make_api_call
    monkeypatch.setattr(BaseClient, "_make_api_call", refused)
    wish = Wish("shop", aws(address), None, ("many", "Shop-Orders"), None, tmp_path, lambda _: "")
    found = look_at_tables(wish, tmp_path)
    assert [(one.name, "AccessDenied" in one.reason) for one in found.skipped] == [("many", True)]


def test_a_segment_that_fails_stops_the_others(read_table, monkeypatch):
    asked = []

    def scan(self, operation, given):
        if operation == "Scan" and given["Segment"] == 0:
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, operation)
        if operation == "Scan":
            asked.append(given["Segment"])
            return {"Items": [], "LastEvaluatedKey": {"id": {"S": str(len(asked))}}}  # without end
        return real(self, operation, given)

    real = BaseClient._make_api_call
    monkeypatch.setattr(BaseClient, "_make_api_call", scan)
    with pytest.raises(AccessDeniedError, match="AccessDeniedException"):
        read_table(table="many", segments=3)


def test_what_heals_is_tried_again_and_what_is_refused_is_not():
    kinds = [_kind(code).__name__ for code in ("ThrottlingException", "AccessDeniedException", "ValidationException")]
    assert kinds == ["SourceUnavailableError", "AccessDeniedError", "BadRequestError"]


def test_a_server_that_does_not_answer_is_unavailable(read_table, monkeypatch):
    monkeypatch.setattr("elt_factory.sources.dynamodb.client._ATTEMPTS", 1)
    with pytest.raises(SourceUnavailableError) as error:
        read_table(aws("http://127.0.0.1:1"))
    assert SECRET not in str(error.value)


def test_a_look_finds_tables_and_their_keys(tmp_path, address, database):
    wish = Wish("shop", aws(address), None, ("Shop-Orders", "everything"), None, tmp_path, lambda _: "")
    found = look_at_tables(wish, tmp_path)
    keys = {table.name: table.key.columns for table in found.tables}
    assert keys == {"shop_orders": ("id",), "everything": ("id",)}
    assert 'table: "Shop-Orders"' in yaml_of("shop", found, {})


@pytest.mark.duckdb
class TestDynamoDbAsAKind(SourceSuite):
    """What every kind of source must do."""

    config = {
        "name": "shop",
        "extract": {"type": "dynamodb", "connection": "db"},
        "tables": {"orders": {"table": "Shop-Orders", "write_disposition": "replace"}},
    }
    rows = [{"id": str(number), "total": 1.5} for number in range(3)]

    @pytest.fixture(autouse=True)
    def at(self, address, database) -> None:
        type(self).address = address

    def connection(self, folder) -> Connection:
        return aws(self.address)

    def broken(self, folder) -> Connection:
        return aws(self.address, region_name=None)
