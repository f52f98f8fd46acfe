"""The configs in `examples/configs` of databases, stores and files, read from servers as they are written."""

from __future__ import annotations

import gzip
import uuid
from datetime import UTC, datetime
from pathlib import Path

import bson
import pytest
import sqlalchemy as sa
from extract_support import SECRET
from sftp_support import sftp_server

from elt_factory.config.loading import load_folder
from elt_factory.core.connection import Connection
from elt_factory.core.window import Window
from elt_factory.extract.request import ReadRequest
from elt_factory.landing.attempt import Attempt
from elt_factory.landing.land import land
from elt_factory.landing.places import LocalPlace
from elt_factory.landing.request import LandRequest
from elt_factory.landing.schema import KnownTable
from elt_factory.sources.read import read
from mongo_server import mongo_running

CONFIGS = {
    item.config.name: item.config for item in load_folder(Path(__file__).parents[2] / "examples" / "configs").configs
}
DAY = Window(datetime(2024, 3, 5, tzinfo=UTC), datetime(2024, 3, 6, tzinfo=UTC))
IN_DAY, BEFORE = datetime(2024, 3, 5, 12, tzinfo=UTC), datetime(2024, 3, 3, tzinfo=UTC)

pytestmark = pytest.mark.services


def landed(folder: Path, name: str, connection: Connection, **extract: object) -> dict[str, int]:
    """How many rows of each table of an example are landed; none is rejected."""
    source = CONFIGS[name].model_copy(update={"extract": CONFIGS[name].extract.model_copy(update=extract)})
    return {table: rows_of(folder / table, source, table, connection) for table in source.tables}


def rows_of(folder: Path, source, table: str, connection: Connection) -> int:
    for below in ("work", "contract"):
        (folder / below).mkdir(parents=True)
    request = ReadRequest(
        source=source,
        table=table,
        window=DAY,
        load_id="load-1",
        connection=connection,
        workdir=folder / "work",
        project=folder,
        log=lambda _: None,
    )
    known = KnownTable(source.name, table, source.tables[table], None)
    place, work = LocalPlace(folder / "landing"), folder / "contract"
    manifest = land(LandRequest(known, DAY, "load-1", read(request), place, work, print, "", Attempt.begin()))
    assert manifest.rows_rejected == 0
    return manifest.rows


def test_postgres(tmp_path, postgres, schema):
    postgres.execute("CREATE TABLE customers (id int PRIMARY KEY, country text, email text, name text)")
    postgres.execute(
        "CREATE TABLE orders (id int PRIMARY KEY, customer_id int, total numeric(18,2), ordered_at timestamptz, "
        "updated_at timestamptz)"
    )
    try:
        postgres.execute("INSERT INTO customers VALUES (1, 'DE', 'a@example.org', 'A'), (2, 'FR', null, 'B')")
        postgres.execute(
            "INSERT INTO orders SELECT n, 1 + n % 2, 1.5, t, t FROM generate_series(1, 5) n, "
            "(SELECT timestamptz '2024-03-05 12:00Z' t) x"
        )
        server = Connection(
            "shop_db", "postgres", host="127.0.0.1", port=5432, schema="test", login="postgres", password="unused",
            extra={"options": f"-c search_path={schema}"},
        )  # fmt: skip
        assert landed(tmp_path, "postgres", server, schema_=schema) == {"orders": 5, "customers": 2, "revenue": 2}
    finally:
        postgres.execute("DROP TABLE orders, customers")


def test_mariadb(tmp_path):
    name = f"example_{uuid.uuid4().hex[:8]}"
    server = sa.create_engine("mysql+pymysql://root@127.0.0.1:3306/?charset=utf8mb4", poolclass=sa.NullPool)
    with server.connect() as database:
        database.execute(sa.text(f"CREATE DATABASE {name}"))
        try:
            database.execute(sa.text(f"USE {name}"))
            database.execute(
                sa.text(
                    "CREATE TABLE payments (id INT PRIMARY KEY, amount DECIMAL(12,2), card VARCHAR(20), "
                    "paid_at DATETIME, updated_at DATETIME, deleted_at DATETIME)"
                )
            )
            for number, at in enumerate([IN_DAY, IN_DAY, BEFORE]):
                row = {"id": number, "at": at, "deleted": IN_DAY if number == 1 else None}
                database.execute(sa.text("INSERT INTO payments VALUES (:id, 9.5, '4000', :at, :at, :deleted)"), row)
            database.commit()
            given = Connection("shop_mysql", "mysql", host="127.0.0.1", port=3306, schema=name, login="root")
            assert landed(tmp_path, "mariadb", given) == {"payments": 2, "totals": 2}
        finally:
            database.execute(sa.text(f"DROP DATABASE {name}"))


def test_mongodb(tmp_path):
    with mongo_running() as server:
        stamp = IN_DAY
        orders = [{"_id": n, "total": 1.5, "status": "sold", "email": "a", "updated_at": stamp} for n in range(4)]
        server.fill("shop", "Orders", *orders, {"_id": 9, "status": "draft", "updated_at": stamp})
        server.fill("shop", "events", *({"_id": bson.ObjectId.from_datetime(stamp), "n": n} for n in range(1)))
        given = Connection("shop_mongo", "mongo", host="127.0.0.1", port=server.port, schema="shop")
        assert landed(tmp_path, "mongodb", given) == {"orders": 4, "events": 1}


@pytest.fixture
def amazon():
    from moto.server import ThreadedMotoServer

    served = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    served.start()
    host, port = served.get_host_and_port()
    extra = {"endpoint_url": f"http://{host}:{port}", "region_name": "us-east-1"}
    yield Connection("aws", "aws", login="key", password=SECRET, extra=extra)
    served.stop()


def client(connection: Connection, service: str):
    import boto3

    return boto3.client(service, aws_access_key_id="k", aws_secret_access_key="s", **connection.extra)


def test_dynamodb(tmp_path, amazon):
    database = client(amazon, "dynamodb")
    for table, key in (("prod-Orders", "id"), ("prod-Customers", "customer_id")):
        database.create_table(
            TableName=table,
            KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        for number in range(3):
            item = {key: {"S": str(number)}, "ordered_on": {"S": "2024-03-05"}, "total": {"N": "1.50"}}
            database.put_item(TableName=table, Item=item)
    assert landed(tmp_path, "dynamodb", amazon) == {"orders": 3, "customers": 3}


def test_s3_files(tmp_path, amazon):
    import pyarrow as pa
    import pyarrow.parquet as pq

    store = client(amazon, "s3")
    store.create_bucket(Bucket="example-events")
    table = pa.table({"user_id": ["a", "b"], "clicked_at": pa.array([IN_DAY, IN_DAY], pa.timestamp("us", "UTC"))})
    for number in range(2):
        pq.write_table(table, found := pa.BufferOutputStream())
        key = f"clicks/2024/03/05/{number}.parquet"
        store.put_object(Bucket="example-events", Key=key, Body=found.getvalue().to_pybytes())
    assert landed(tmp_path, "s3_files", amazon) == {"clicks": 4}


def test_csv_folder(tmp_path):
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    (inbox / "deliveries_1.csv").write_bytes(
        "Lieferungen\n\ndelivery_no;delivered_on;weight_kg;place\n1;05.03.2024;1.234,5;Köln\n2;04.03.2024;0,25;Ulm\n".encode(
            "cp1252"
        )
    )
    assert landed(tmp_path, "csv_folder", Connection("partner_inbox", "fs", extra={"path": str(inbox)})) == {
        "deliveries": 2
    }


def test_sftp_fixed_width(tmp_path):
    lines = "".join(f"{n:<10}05032024{1.5 * n:>12.2f}{'Müller':<20}\r\n" for n in range(1, 4))
    folder = tmp_path / "files" / "statements"
    folder.mkdir(parents=True)
    (folder / "statement_20240305.txt.gz").write_bytes(gzip.compress(lines.encode("cp1252")))
    with sftp_server(tmp_path / "files") as server:
        assert landed(tmp_path, "sftp_fixed_width", server.connection()) == {"bookings": 3}
