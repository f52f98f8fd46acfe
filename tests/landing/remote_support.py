"""A landing in an S3 server on loopback, and a task that is killed while it lands there."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from landing_support import WINDOW

from elt_factory.config.models.table import Table
from elt_factory.core.connection import Connection
from elt_factory.extract.request import Spool
from elt_factory.landing import direct, remote
from elt_factory.landing.land import land
from elt_factory.landing.remote import RemotePlace, open_place
from elt_factory.landing.request import LandRequest
from elt_factory.landing.schema import KnownTable

SECRET = "s3-secret-that-never-shows"
URL = "s3://landings/elt"


@contextmanager
def s3_server() -> Iterator[str]:
    """The address of an S3 server."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    try:
        yield address
    finally:
        server.stop()


def empty_bucket(address: str) -> None:
    """Forget all that the server has, but for one empty bucket."""
    httpx.post(f"{address}/moto-api/reset", timeout=60).raise_for_status()
    httpx.put(f"{address}/landings", timeout=60).raise_for_status()


def s3_connection(address: str) -> Connection:
    extra = {"endpoint_url": address, "region_name": "us-east-1"}
    return Connection("landing", "aws", login="key", password=SECRET, extra=extra)


def land_records(place: RemotePlace, file: Path, workdir: Path, part_bytes: int):
    workdir.mkdir(exist_ok=True)
    direct.PART_BYTES = part_bytes
    known = KnownTable("src", "tab", Table(), None)
    return land(LandRequest(known, WINDOW, "L1", Spool("ndjson", (file,)), place, workdir, print))


def land_until(address: str, file: Path, workdir: Path, uploads: int) -> None:
    """Land, and die as by kill -9 when so many files have gone up; the manifest is the last of them."""
    left, put, pipe = [uploads], RemotePlace._upload, RemotePlace.write

    def counted(real):
        def upload(*given):
            if left[0] <= 0:
                os.kill(os.getpid(), signal.SIGKILL)
            real(*given)
            left[0] -= 1

        return upload

    remote.AT_ONCE = 1
    RemotePlace._upload, RemotePlace.write = counted(put), counted(pipe)
    place = open_place(URL, s3_connection(address)).below("src", "tab", "L1")
    land_records(place, file, workdir, part_bytes=100_000)
    os.kill(os.getpid(), signal.SIGKILL)
