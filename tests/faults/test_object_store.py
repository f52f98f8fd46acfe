"""Object storage answers 500, SlowDown or not at all, or lists late: the load waits, or its retry is right.

Between the client and an S3 server is a proxy that does this to some requests.
"""

import http.server
import json
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from race_support import Shop, day, load_alone

from elt_factory.core.failures import LandingUnavailableError, SourceNotReadyError, SourceUnavailableError
from elt_factory.dag.operators import ExtractOperator
from elt_factory.dag.runtime import Run
from elt_factory.storage import opening
from elt_factory.storage.opening import open_objects

sys.path.append(str(Path(__file__).parents[1] / "landing"))
from remote_support import SECRET, empty_bucket, s3_connection, s3_server

IDS = range(200)
ALWAYS = 10**6
STATUSES = {"InternalError": 500, "SlowDown": 503}
OF_THE_LINE = ("host", "connection", "content-length", "transfer-encoding", "date", "server")
ERROR = "<?xml version='1.0'?><Error><Code>{}</Code><Message>it is so</Message></Error>"
pytestmark = pytest.mark.timeout(300)


@dataclass
class Gate:
    """What is done to the requests that match, `left` of them: an error, a connection that breaks before or after."""

    server: str
    what: str = ""
    matches: Callable[[str, str], bool] = lambda *_: False
    left: int = 0
    hidden: str = ""
    seen: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.client = httpx.Client(base_url=self.server, timeout=30)

    def disturb(self, what: str, method: str, path: str, left: int = ALWAYS) -> None:
        self.what, self.left = what, left
        self.matches = lambda asked, at: asked == method and re.search(path, at) is not None

    def heal(self) -> None:
        self.left, self.hidden = 0, ""

    def fault_of(self, method: str, path: str) -> str:
        self.seen.append((method, path))
        if not self.left or not self.matches(method, path):
            return ""
        self.left -= 1
        return self.what


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    gate: Gate

    def do(self) -> None:
        fault = self.gate.fault_of(self.command, self.path)
        size = int(self.headers.get("Content-Length") or 0)
        # in the midst of what is sent, or whole
        body = self.rfile.read(size // 2 if fault == "cut" else size)
        if fault in STATUSES:
            self.answer(STATUSES[fault], {}, ERROR.format(fault).encode())
        elif fault == "cut":
            self.cut()
        else:
            found = self.passed_on(body)
            self.cut() if fault == "lost" else self.answer(found.status_code, found.headers, self.shown(found))

    def passed_on(self, body: bytes) -> httpx.Response:
        kept = {name: value for name, value in self.headers.items() if name.lower() not in OF_THE_LINE}
        return self.gate.client.request(self.command, self.path, content=body, headers=kept)

    def shown(self, found: httpx.Response) -> bytes:
        if not (self.gate.hidden and "list-type" in self.path):
            return found.content
        entries = rf"<Contents>(?:(?!</Contents>).)*{self.gate.hidden}.*?</Contents>"
        return re.sub(entries.encode(), b"", found.content, flags=re.DOTALL)

    def answer(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in OF_THE_LINE:
                self.send_header(name, value)
        is_head = self.command == "HEAD"
        self.send_header("Content-Length", headers.get("content-length", "0") if is_head else str(len(content)))
        self.end_headers()
        self.wfile.write(b"" if is_head else content)

    def cut(self) -> None:
        self.close_connection = True
        self.connection.close()

    def log_message(self, *_: object) -> None:
        pass


for method in ("GET", "PUT", "POST", "DELETE", "HEAD"):
    setattr(Handler, f"do_{method}", Handler.do)


@pytest.fixture(scope="module")
def storage() -> Iterator[str]:
    with s3_server() as address:
        yield address


@pytest.fixture
def gate(storage, monkeypatch) -> Iterator[tuple[Gate, str]]:
    empty_bucket(storage)
    made = Gate(storage)

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """The client has hung up, or was hung up on."""

    # the pauses between tries are random, and grow to 15 s
    backoff = {"init_backoff": timedelta(milliseconds=10), "max_backoff": timedelta(milliseconds=50), "base": 2}
    monkeypatch.setitem(opening._RETRIES, "backoff", backoff)
    with Server(("127.0.0.1", 0), type("Gated", (Handler,), {"gate": made})) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield made, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def shop(gate, tmp_path, monkeypatch) -> Shop:
    _, address = gate
    fields = {"endpoint_url": address, "region_name": "us-east-1"}
    landing = {"conn_type": "aws", "login": "key", "password": SECRET, "extra": fields}
    given = {"AIRFLOW_VAR_ELT_LANDING": "s3://landings/elt", "AIRFLOW_CONN_LANDING": json.dumps(landing)}
    made = Shop(tmp_path, "append", given)
    made.deliver("v", IDS)
    for name, value in made.environment().items():
        monkeypatch.setenv(name, value)
    return made


def work(shop: Shop) -> dict:
    run = Run("run", shop.config(), day(1), frozenset({"tab"}), full_refresh=False)
    return load_alone(run, extract(run))


def extract(run: Run) -> dict:
    return ExtractOperator(task_id="extract", config=run.config, table="tab").work(run, {})


def check_whole(shop: Shop) -> None:
    assert shop.query("select id, v from src.tab") == [(number, "v") for number in IDS]
    parts = "rows_read, rows_loaded, rows_rejected, rows_duplicate"
    assert shop.query(f"select {parts} from _elt.loads") == [(len(IDS), len(IDS), 0, 0)]
    shop.assert_nothing_left()


PARTS, MANIFESTS = r"parquet", r"manifest\.json"


@pytest.mark.parametrize("what", ["SlowDown", "lost"])
def test_what_passes_within_some_tries_is_not_seen(gate, shop, what):
    made, _ = gate
    made.disturb(what, "PUT", PARTS, left=2)
    assert work(shop)["rows_loaded"] == len(IDS)
    assert made.left == 0
    made.disturb(what, "PUT", MANIFESTS, left=2)
    assert work(shop)["rows_loaded"] == len(IDS)
    assert made.left == 0
    check_whole(shop)


@pytest.mark.parametrize(
    ("method", "path", "what"),
    [("PUT", MANIFESTS, "InternalError"), ("PUT", PARTS, "cut"), ("GET", PARTS, "cut")],
)
def test_what_does_not_pass_is_a_clear_error_that_is_retried_and_leaves_no_landing(gate, shop, method, path, what):
    made, _ = gate
    made.disturb(what, method, path)
    with pytest.raises(LandingUnavailableError, match=r"the landing s3://landings/elt") as caught:
        work(shop)
    assert SECRET not in str(caught.value)
    if method == "PUT":
        assert not any(name.endswith("manifest.json") for name in names(made))
    made.heal()
    assert work(shop)["rows_loaded"] == len(IDS)
    check_whole(shop)


def names(gate: Gate, query: str = "list-type=2") -> list[str]:
    return re.findall(r"<Key>(.*?)</Key>", httpx.get(f"{gate.server}/landings?{query}").text)


@pytest.mark.parametrize("what", ["SlowDown", "cut"])
def test_an_upload_that_fails_in_its_parts_leaves_no_half_object_and_no_parts(gate, tmp_path, what):
    made, address = gate
    file = tmp_path / "large"
    file.write_bytes(bytes(20 * 1024 * 1024))
    objects = open_objects("s3://landings/elt", s3_connection(address), "a test")
    made.disturb(what, "PUT", r"partNumber=2")
    with pytest.raises(Exception, match=r"(?i)slowdown|error|retries"):
        objects.upload(file, "large")
    assert names(made) == []
    assert names(made, "uploads") == []
    made.heal()
    objects.upload(file, "large")
    assert names(made) == ["elt/large"]


def test_a_file_that_is_listed_late_is_loaded_by_the_next_run(gate, shop, tmp_path, monkeypatch):
    made, address = gate
    fields = {"conn_type": "aws", "login": "key", "password": SECRET}
    extra = {"endpoint_url": address, "region_name": "us-east-1"}
    monkeypatch.setenv("AIRFLOW_CONN_INBOX", json.dumps({**fields, "extra": extra}))
    config = (
        (tmp_path / "src.yaml").read_text().replace("connection: inbox", "connection: inbox, folder: s3://landings/in")
    )
    (tmp_path / "src.yaml").write_text(config.replace("%d.csv", "%d*.csv"))
    content = (tmp_path / "inbox" / "input_2013-01-01.csv").read_bytes()
    httpx.put(f"{made.server}/landings/in/input_2013-01-01.csv", content=content).raise_for_status()
    made.hidden = "input_2013"
    with pytest.raises(SourceNotReadyError, match=r"src\.tab: "):
        work(shop)
    made.heal()
    made.disturb("SlowDown", "GET", r"input_2013")
    with pytest.raises(SourceUnavailableError, match=r"src\.tab: "):
        work(shop)
    made.disturb("cut", "GET", r"input_2013", left=2)
    assert work(shop)["rows_loaded"] == len(IDS)
    check_whole(shop)
