"""Servers of object storage on loopback."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from elt_factory.core.connection import Connection

SECRET = "s3-secret-that-never-shows"
ROLE = "arn:aws:iam::123456789012:role/reader"


@contextmanager
def aws_server() -> Iterator[str]:
    """The address of a server of S3 and STS."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def aws(address: str, **extra: Any) -> Connection:
    given = {"endpoint_url": address, "region_name": "us-east-1", **extra}
    return Connection("shop_aws", "aws", login="key", password=SECRET, extra=given)


def bucket(address: str, name: str = "shop", **objects: bytes) -> Any:
    """Make an empty bucket, and return a client of the server."""
    import boto3

    client = boto3.client(
        "s3", endpoint_url=address, aws_access_key_id="k", aws_secret_access_key="s", region_name="us-east-1"
    )
    client.create_bucket(Bucket=name)
    return client
