"""The commands where files are in object storage: new, validate, plan, a run."""

from __future__ import annotations

import json

import httpx
import pytest
from cli_support import Project

from elt_factory.config.loading import load_config
from elt_factory.core import extras

pytestmark = pytest.mark.live

CONFIG = """\
name: shop
start_date: 2013-01-01
extract: {type: files, connection: shop_aws, folder: s3://shop/orders}
tables:
  orders: {path: "orders_%Y-%m-%d.csv", write_disposition: append}
"""


SENSOR = """\
name: waits
extract: {type: files}
tables: {orders: {path: x.csv}}
sensors: {before_extract: [{file: {connection: shop_aws, folder: s3://shop/in, path: x.csv}}]}
"""


@pytest.fixture(scope="module")
def server():
    from moto.server import ThreadedMotoServer

    served = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    served.start()
    host, port = served.get_host_and_port()
    yield f"http://{host}:{port}"
    served.stop()


@pytest.fixture
def bucket(server, monkeypatch):
    import boto3

    httpx.post(f"{server}/moto-api/reset", timeout=60).raise_for_status()
    client = boto3.client(
        "s3", endpoint_url=server, aws_access_key_id="k", aws_secret_access_key="s", region_name="us-east-1"
    )
    client.create_bucket(Bucket="shop")
    for day in (1, 2, 3):
        body = b"id,amount,at\n" + b"".join(b"%d,%d.5,2013-01-0%d\n" % (day * 10 + n, n, day) for n in range(3))
        client.put_object(Bucket="shop", Key=f"orders/orders_2013-01-0{day}.csv", Body=body)
    client.put_object(Bucket="shop", Key="orders/readme.md", Body=b"#")
    extra = {"endpoint_url": server, "region_name": "us-east-1"}
    given = {"conn_type": "aws", "login": "key", "password": "s3-s3cret", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_SHOP_AWS", json.dumps(given))
    return client


@pytest.mark.parametrize("arguments", [("shop", "--file", "s3://shop/orders/"), ("s3://shop/orders/*.csv",)])
def test_a_bucket_is_looked_at_and_its_config_is_written(project: Project, bucket, arguments):
    result = project.elt("new", *arguments, "--connection", "shop_aws")
    assert result.exit_code == 0, (result.output, result.exception)
    (file,) = project.configs.glob("*.yaml")
    config = load_config(file, project.configs).config
    assert (config.extract.folder, config.extract.connection) == ("s3://shop/orders", "shop_aws")
    assert config.tables["orders"].path == "orders_%Y-%m-%d.csv"
    assert config.tables["orders"].primary_key == ("id",)
    assert "s3-s3cret" not in file.read_text() + result.output


def test_a_bucket_without_a_readable_file_is_an_error_that_names_it(project: Project, bucket):
    result = project.elt("new", "shop", "--file", "s3://shop/nothing/*.csv", "--connection", "shop_aws")
    assert result.exit_code == 1
    assert 'no file matches "*.csv" in s3://shop/nothing' in str(result.exception)


def test_a_bucket_of_odd_files_alone_is_an_error_with_the_first_reason(project: Project, bucket):
    bucket.put_object(Bucket="shop", Key="odd/a.csv", Body=b"")
    result = project.elt("new", "shop", "--file", "s3://shop/odd", "--connection", "shop_aws")
    assert result.exit_code == 1
    assert "that can be read is in odd: a.csv: empty" in str(result.exception)


def test_a_url_with_a_login_is_refused_and_not_repeated(project: Project):
    result = project.elt("new", "shop", "--file", "s3://key:hunter2@shop/orders")
    assert result.exit_code == 1
    assert "login" in result.output
    assert "hunter2" not in result.output


def found(project: Project, *arguments: str):
    return json.loads(project.elt("validate", "--json", *arguments).stdout)


def test_a_connection_of_another_type_has_its_place_and_the_right_type(project: Project, monkeypatch):
    file = project.write("shop", CONFIG)
    monkeypatch.setenv("AIRFLOW_CONN_SHOP_AWS", json.dumps({"conn_type": "fs"}))
    (problem,) = [e for e in found(project, "--connections") if e["code"] == "connection-type"]
    assert (problem["line"], problem["column"], problem["severity"]) == (3, 24, "error")
    assert problem["message"] == 'the connection "shop_aws" has the type "fs"'
    assert problem["hint"] == "the type should be aws"
    assert file.name in problem["file"]


@pytest.mark.parametrize("kind", ["fs", "wasb", "sftp", "google_cloud_platform", "http"])
def test_a_sensors_connection_of_another_type_is_an_error_too(project: Project, monkeypatch, kind):
    project.write("waits", SENSOR)
    monkeypatch.setenv("AIRFLOW_CONN_SHOP_AWS", json.dumps({"conn_type": kind}))
    (problem,) = [e for e in found(project, "--connections") if e["code"] == "connection-type"]
    assert (problem["line"], problem["severity"], problem["hint"]) == (4, "error", "the type should be aws")


def test_a_package_that_is_not_installed_has_its_place_and_the_command(project: Project, monkeypatch):
    project.write("shop", CONFIG)
    real = extras._is_there
    monkeypatch.setattr(extras, "_is_there", lambda module: module != "obstore" and real(module))
    (problem,) = [e for e in found(project) if e["code"] == "missing-extra"]
    assert (problem["line"], problem["column"]) == (3, 54)
    assert problem["message"] == "a folder in s3:// needs the Python package obstore, which is not installed"
    assert problem["hint"] == 'pip install "elt-factory[s3]"'


OF_FORMATS = """name: books
extract: {type: files, folder: in}
tables:
  sheets: {path: "*.xlsx", format: {type: excel}}
  records: {path: "*.avro", format: {type: avro}}
"""


def test_a_format_whose_package_is_not_installed_is_found_before_a_run(project: Project, monkeypatch):
    project.write("books", OF_FORMATS)
    real = extras._is_there
    monkeypatch.setattr(
        extras, "_is_there", lambda module: module not in ("python_calamine", "fastavro") and real(module)
    )
    problems = [e for e in found(project) if e["code"] == "missing-extra"]
    assert [(e["line"], e["column"], e["hint"]) for e in problems] == [
        (4, 43, 'pip install "elt-factory[excel]"'),
        (5, 44, 'pip install "elt-factory[avro]"'),
    ]


def test_a_sample_is_read_from_the_bucket(project: Project, bucket):
    project.write("shop", CONFIG)
    good = found(project, "--live", "--start", "2013-01-01", "--end", "2013-01-03")
    assert [e["code"] for e in good if e["severity"] == "error"] == []
    bad = found(project, "--live", "--start", "2013-02-01", "--end", "2013-02-03")
    errors = [e for e in bad if e["severity"] == "error"]
    assert [e["code"] for e in errors] == ["no-answer"]
    assert 'no file matches "orders_2013-02-01.csv" in s3://shop/orders' in errors[0]["message"]


def test_a_plan_says_which_files_are_read(project: Project):
    project.write("shop", CONFIG)
    told = project.elt("plan", "shop", "--start", "2013-01-01", "--end", "2013-01-03")
    assert told.exit_code == 0, told.output
    assert "s3://shop/orders: orders_2013-01-01.csv" in told.output


def test_a_file_of_a_web_server_is_looked_at_without_a_connection(project: Project, tmp_path):
    import functools
    import http.server
    import threading

    (tmp_path / "exports").mkdir()
    (tmp_path / "exports" / "sales_2013-01-01.csv").write_text("id,amount\n1,2.5\n2,3.5\n")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        host = f"http://127.0.0.1:{server.server_address[1]}/exports"
        result = project.elt("new", "shop", "--file", f"{host}/sales_2013-01-01.csv")
    finally:
        server.shutdown()
        server.server_close()
    assert result.exit_code == 0, (result.output, result.exception)
    config = load_config(project.configs / "shop.yaml", project.configs).config
    assert (config.extract.folder, config.extract.connection) == (host, None)
    assert config.tables["sales"].path == "sales_%Y-%m-%d.csv"
