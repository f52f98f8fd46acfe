"""Azure and Google Cloud Storage, against their stand-ins: files of a source, and landings."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
from cloud_support import azure, azure_server, google, google_server

from elt_factory.core.connection import Connection
from elt_factory.core.failures import AccessDeniedError, BadRequestError, LandingError, SourceNotReadyError
from elt_factory.landing.remote import open_place
from elt_factory.sources.files.opening import open_store
from elt_factory.storage import opening
from elt_factory.storage.opening import open_objects
from elt_factory.testing.sources import SourceSuite

pytestmark = pytest.mark.services
URLS = {"azure": "abfs://shop", "google": "gs://shop"}


class Tokens(BaseHTTPRequestHandler):
    asked: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        self.asked.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        body = json.dumps({"access_token": "t", "expires_in": 3600, "token_type": "Bearer"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def azurite(tmp_path_factory) -> Iterator[Connection]:
    with azure_server(tmp_path_factory.mktemp("azurite")) as address:
        yield azure(address)


@pytest.fixture(scope="module")
def gcs() -> Iterator[Connection]:
    tokens = ThreadingHTTPServer(("127.0.0.1", 0), Tokens)
    threading.Thread(target=tokens.serve_forever, daemon=True).start()
    with google_server() as address:
        yield google(address, f"http://127.0.0.1:{tokens.server_address[1]}/token")
    tokens.shutdown()
    tokens.server_close()


@pytest.fixture(params=URLS)
def cloud(request) -> tuple[str, Connection]:
    connection = request.getfixturevalue("azurite" if request.param == "azure" else "gcs")
    return URLS[request.param], connection


def put(connection: Connection, name: str, content: bytes) -> None:
    if connection.conn_type == "wasb":
        open_objects(URLS["azure"], connection, "a test").write(name, content)
        return
    # the stand-in takes no uploads of the XML API, which obstore speaks
    address = f"{connection.extra['endpoint_url']}/upload/storage/v1/b/shop/o"
    httpx.post(address, params={"uploadType": "media", "name": name}, content=content).raise_for_status()


class CloudSuite(SourceSuite):
    url: ClassVar[str]
    rows: ClassVar[list[dict[str, Any]]] = [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}, {"a": 3, "b": "z"}]

    @pytest.fixture(autouse=True)
    def impatient(self, monkeypatch):
        monkeypatch.setitem(opening._RETRIES, "max_retries", 0)

    def fill(self, connection: Connection) -> None:
        type(self).served = connection
        put(connection, "suite/one.csv", b"a,b\n1,x\n2,y\n")
        put(connection, "suite/more/two.csv", b"a,b\n3,z\n")

    def connection(self, folder: Path) -> Connection:
        return self.served


def config(url: str) -> dict[str, Any]:
    extract = {"type": "files", "connection": "shop", "folder": f"{url}/suite"}
    tables = {"things": {"path": "**/*.csv", "write_disposition": "append"}}
    return {"name": "src", "extract": extract, "tables": tables}


class TestAzure(CloudSuite):
    url = URLS["azure"]
    config: ClassVar[dict[str, Any]] = config(url)

    @pytest.fixture(autouse=True)
    def there(self, azurite):
        self.fill(azurite)

    def broken(self, folder: Path) -> Connection:
        return azure("http://127.0.0.1:1/devstoreaccount1")


class TestGoogle(CloudSuite):
    url = URLS["google"]
    config: ClassVar[dict[str, Any]] = config(url)

    @pytest.fixture(autouse=True)
    def there(self, gcs):
        self.fill(gcs)

    def broken(self, folder: Path) -> Connection:
        extra = {"is_anonymous": True, "endpoint_url": "http://127.0.0.1:1"}
        return Connection("shop", "google_cloud_platform", extra=extra)


def test_a_landing_is_written_read_listed_and_removed(azurite, tmp_path):
    place = open_place("abfs://shop/landings", azurite).below("src", "tab")
    with place.writing("attempt", tmp_path) as folder:
        (folder / "data").mkdir()
        (folder / "data" / "part #1.parquet").write_bytes(b"x" * 12_000_000)  # in several pieces
    place.write("attempt/manifest.json", b"{}")
    found = place.files()
    assert {name: entry.bytes for name, entry in found.items()} == {
        "attempt/data/part #1.parquet": 12_000_000,
        "attempt/manifest.json": 2,
    }
    assert all(entry.modified and entry.etag for entry in found.values())
    with place.fetched(found) as copies:
        assert (copies / "attempt/data/part #1.parquet").stat().st_size == 12_000_000
    place.remove(list(found))
    assert place.files() == {}


def test_a_small_file_is_changed_by_one_after_the_other(azurite):
    place = open_place("abfs://shop/landings", azurite).below("_shared")
    with ThreadPoolExecutor(4) as workers:
        list(workers.map(lambda _: place.change("turns", lambda was: str(int(was or b"0") + 1).encode()), range(20)))
    assert place.read("turns") == b"20"


def test_an_object_that_is_written_after_it_was_listed_is_not_fetched(cloud, tmp_path):
    put(cloud[1], "late/x.csv", b"a\n1\n")
    with open_store(f"{cloud[0]}/late", cloud[1], tmp_path) as store:
        (found,) = store.find("*.csv")
        put(cloud[1], "late/x.csv", b"a\n7\n")
        with pytest.raises(SourceNotReadyError, match=r"x\.csv was changed or removed while it was read"):
            store.fetch(found, tmp_path / "copy")


def test_a_container_that_is_not_there_is_one_clear_error(azurite, tmp_path):
    url = "abfs://nowhere-at-all"
    with (
        open_store(url, azurite, tmp_path) as store,
        pytest.raises(BadRequestError, match=rf"{url}.*check the name of the bucket") as caught,
    ):
        store.find("*.csv")
    assert "\n" not in str(caught.value)
    with pytest.raises(LandingError):
        open_place(url, azurite).files()


def test_a_key_of_azure_that_is_not_the_accounts_is_one_clear_error(azurite, tmp_path):
    wrong = base64.b64encode(b"another key").decode()
    with (
        open_store(URLS["azure"], azure(azurite.host, wrong), tmp_path) as store,
        pytest.raises(AccessDeniedError, match="abfs://shop denied access: AuthorizationFailure") as caught,
    ):
        store.find("*.csv")
    assert wrong not in str(caught.value)


def test_a_token_of_google_is_asked_with_the_key_of_the_connection(gcs):
    Tokens.asked.clear()
    list(open_objects(URLS["google"], gcs, "a test").list())
    assert "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer" in Tokens.asked[0]
