"""A config that is written in the browser: from a look at a source, and as a branch of the bundle's repository."""

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from elt_factory.core.failures import BadRequestError
from elt_factory.ui.models import SampleWish
from elt_factory.ui.sampling import VARIABLE, sampled

pytestmark = pytest.mark.live
WISH = {"name": "shop", "connection": "inbox", "path": "shop*.csv"}


@pytest.fixture
def inbox(airflow_db, tmp_path, monkeypatch) -> Iterator[Path]:
    """A folder with a file, and a connection that holds it."""
    folder = tmp_path / "inbox"
    folder.mkdir()
    rows = "".join(f"{number},2026-01-{number % 28 + 1:02},{number}.50\n" for number in range(60))
    (folder / "shop_orders.csv").write_text("order_id,ordered_on,amount\n" + rows)
    (tmp_path / "secrets.csv").write_text("secret\nx\n")
    monkeypatch.setenv(VARIABLE, "connections, api.example.org, *.internal.example")
    with stored("inbox", conn_type="fs", extra=json.dumps({"path": str(folder)})):
        yield folder


@contextmanager
def stored(conn_id, **fields):
    """A connection in Airflow's database."""
    from airflow.models.connection import Connection
    from airflow.utils.session import create_session

    with create_session() as session:
        session.add(Connection(conn_id=conn_id, **fields))
    try:
        yield
    finally:
        with create_session() as session:
            session.query(Connection).filter(Connection.conn_id == conn_id).delete()


@pytest.mark.usefixtures("inbox")
def test_a_connection_is_sampled_as_elt_new_does_and_the_audit_log_says_so(api, login, project):
    from airflow.models.log import Log
    from airflow.utils.session import create_session

    before = sorted(project.rglob("*"))
    answer = api.post("/api/v1/sample", headers=login("op"), json=WISH)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["file"] == "shop.yaml"
    assert "connection: inbox" in found["text"]
    assert "order_id" in found["text"]
    checked = api.post("/api/v1/draft", headers=login("op"), json={"text": found["text"]}).json()
    assert checked["mistakes"] == []
    assert checked["stages"]
    assert sorted(project.rglob("*")) == before
    with create_session() as session:
        (entry,) = session.query(Log).filter(Log.event == "elt_sample").all()
        assert (entry.owner, json.loads(entry.extra)["connection"]) == ("user-op", "inbox")


@pytest.mark.usefixtures("inbox")
def test_who_may_not_change_the_connection_samples_nothing(api, login, monkeypatch):
    from elt_factory.ui import onboarding

    monkeypatch.setattr(onboarding, "sampled", lambda _: pytest.fail("nothing is asked"))
    for role in ("viewer", "user"):
        assert api.post("/api/v1/sample", headers=login(role), json=WISH).status_code == 403
        by_url = {"name": "shop", "url": "https://api.example.org/v1"}
        assert api.post("/api/v1/sample", headers=login(role), json=by_url).status_code == 403
        said = api.get("/api/v1/onboarding", headers=login(role)).json()
        assert (said["connections"], said["hosts"]) == (False, [])
    foreign = login("op") | {"Sec-Fetch-Site": "cross-site"}
    assert api.post("/api/v1/sample", headers=foreign, json=WISH).status_code == 403
    said = api.get("/api/v1/onboarding", headers=login("op")).json()
    assert (said["connections"], said["hosts"]) == (True, ["api.example.org", "*.internal.example"])


class Elsewhere(BaseHTTPRequestHandler):
    """A server that notes who asks."""

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.answer(200, [{"id": 1}])

    def answer(self, status: int, body: object, location: str = "") -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.send_header("Location", location)
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Api(Elsewhere):
    """Records, an answer that leads to the other server, and pages that do."""

    def do_GET(self) -> None:
        rows = [{"id": number, "price": number / 4} for number in range(20)]
        if self.path.startswith("/away"):
            self.answer(302, {}, self.server.elsewhere)
        elif self.path.startswith("/linked"):
            self.answer(200, {"data": rows, "next": self.server.elsewhere})
        else:
            self.answer(200, rows)


@pytest.fixture
def served():
    """The address of an API, and what the other server was asked."""
    other, api = (ThreadingHTTPServer(("127.0.0.1", 0), handler) for handler in (Elsewhere, Api))
    other.asked, api.elsewhere = [], f"http://localhost:{other.server_port}/secret"
    for server in (api, other):
        Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{api.server_port}", other.asked
    for server in (api, other):
        server.shutdown()
        server.server_close()


def test_a_url_of_a_host_that_is_allowed_is_sampled_and_leads_to_no_other_host(api, login, served, monkeypatch):
    address, asked = served
    monkeypatch.setenv(VARIABLE, "127.0.0.1")
    found = api.post("/api/v1/sample", headers=login("op"), json={"name": "shop", "url": f"{address}/v1/things"})
    assert found.status_code == 200, found.text
    assert "connection: shop_api" in found.json()["text"]
    assert found.json()["todo"][0].startswith("airflow connections add shop_api --conn-type http")
    for path in ("away", "linked"):
        api.post("/api/v1/sample", headers=login("op"), json={"name": "shop", "url": f"{address}/{path}"})
    assert asked == []
    with stored("inbox", conn_type="fs"):
        only = api.post("/api/v1/sample", headers=login("op"), json=WISH)
    assert (only.status_code, "samples no connections" in only.json()["detail"]) == (422, True)


@pytest.mark.usefixtures("inbox")
def test_only_a_connection_of_airflows_database_is_sampled(api, login, tmp_path, monkeypatch):
    given = json.dumps({"conn_type": "fs", "extra": {"path": str(tmp_path)}})
    monkeypatch.setenv("AIRFLOW_CONN_HIDDEN", given)
    wish = {"name": "shop", "connection": "hidden", "path": "secrets.csv"}
    assert api.post("/api/v1/sample", headers=login("admin"), json=wish).status_code == 403
    # nor by a new one of the same name, which the environment takes the place of
    with stored("hidden", conn_type="fs", extra=json.dumps({"path": "/nowhere"})):
        answer = api.post("/api/v1/sample", headers=login("admin"), json=wish)
    assert (answer.status_code, "not the one of Airflow's database" in answer.json()["detail"]) == (422, True)


def noted(event="elt_sample"):
    """What the audit log has of samples, or of another event."""
    from airflow.models.log import Log
    from airflow.utils.session import create_session

    with create_session() as session:
        return [json.loads(entry.extra) for entry in session.query(Log).filter(Log.event == event)]


@pytest.mark.usefixtures("inbox")
def test_the_audit_log_has_no_secret_of_what_is_asked(api, login, served, monkeypatch):
    address, _ = served
    monkeypatch.setenv(VARIABLE, "connections, 127.0.0.1")
    before = len(noted())
    refused = [
        {"url": f"{address.replace('//', '//ann:hunter2@')}/v1"},
        {"url": f"{address}/v1?api_key=hunter2"},
        {"url": "https://ann:hunter2@elsewhere.example/v1"},
        {"connection": "inbox", "path": "https://ann:hunter2@elsewhere.example/v1"},
    ]
    for wish in refused:
        answer = api.post("/api/v1/sample", headers=login("op"), json={"name": "shop"} | wish)
        assert answer.status_code == 422
    assert len(noted()) == before
    with stored("place", conn_type="http", host=address):
        for path in (
            "/v1?api_key=hunter2",
            "/v1%3Fapi_key=hunter2",
            "/v1#hunter2",
            "/v1;key=hunter2",
            "/ann:hunter2@v1",
        ):
            wish = {"name": "shop", "connection": "place", "path": path}
            api.post("/api/v1/sample", headers=login("op"), json=wish)
    found = noted()[before:]
    assert [entry["path"] for entry in found] == ["/v1"] * 5
    assert "hunter2" not in json.dumps(found)


@pytest.mark.parametrize("host", ["*", "**", "*.*", "?*", "*.*.example", "[a-z]*", "*example.org"])
def test_no_pattern_allows_every_host(monkeypatch, host):
    monkeypatch.setenv(VARIABLE, host)
    with pytest.raises(BadRequestError, match="samples no URLs"):
        sampled(SampleWish(name="shop", url="https://api.example.org/v1"))


ADDRESS = "postgresql://airflow:hunter2@db/airflow"
VARIABLES = "{{ ${AIRFLOW__DATABASE__SQL_ALCHEMY_CONN} }}"


@pytest.mark.usefixtures("inbox")
def test_no_variable_of_the_server_is_read_for_what_a_user_or_a_source_names(api, login, served, monkeypatch, project):
    address, _ = served
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", ADDRESS)
    monkeypatch.setenv(VARIABLE, "connections, 127.0.0.1")
    wishes = [{"connection": "place", "path": f"/v1/orders?a={VARIABLES}"}, {"url": f"{address}/v1?a={VARIABLES}"}]
    for wish in wishes:
        with stored("place", conn_type="http", host=address):
            answer = api.post("/api/v1/sample", headers=login("op"), json={"name": "shop"} | wish)
        assert answer.status_code == 422, answer.text
        assert "${AIRFLOW__DATABASE__SQL_ALCHEMY_CONN}" in answer.json()["detail"]
        assert "hunter2" not in answer.text
    # the folder's defaults may have variables: what only these decide is not judged
    defaults = project / "dag_configs" / "_defaults.yaml"
    defaults.write_text('owner: ${AIRFLOW__DATABASE__SQL_ALCHEMY_CONN}\nretries: {delay: "${HOW_LONG}"}\n')
    try:
        answer = api.post("/api/v1/sample", headers=login("op"), json=WISH)
        draft = api.post("/api/v1/draft", headers=login("op"), json={"text": answer.json()["text"]}).json()
    finally:
        defaults.unlink()
    assert (answer.status_code, "hunter2" in answer.text) == (200, False)
    assert (draft["mistakes"], [note["file"] for note in draft["notes"]]) == ([], ["_defaults.yaml"])


def test_nothing_is_asked_that_the_deployment_did_not_allow(inbox, monkeypatch):
    def refused(*_, **__):
        pytest.fail("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    for url in (
        "http://169.254.169.254/latest/meta-data",
        "http://localhost:8080/",
        "http://[::1]/",
        "http://api.example.org.evil.example/",
        "http://evil.example/api.example.org",
        "http://api.example.org@evil.example/",
        "file:///etc/passwd",
        "gopher://api.example.org/",
    ):
        with pytest.raises(BadRequestError):
            sampled(SampleWish(name="shop", url=url))
    for path in ("../secrets.csv", f"{inbox.parent}/secrets.csv", "%2e%2e/secrets.csv", "a/..\\..\\secrets.csv"):
        with pytest.raises(BadRequestError, match="outside the connection"):
            sampled(SampleWish(name="shop", connection="inbox", path=path))
    with pytest.raises(BadRequestError, match="one of them"):
        sampled(SampleWish(name="shop"))
    monkeypatch.delenv(VARIABLE)
    with pytest.raises(BadRequestError, match="samples no connections"):
        sampled(SampleWish(**WISH))
    with pytest.raises(BadRequestError, match="samples no URLs"):
        sampled(SampleWish(name="shop", url="https://api.example.org/v1"))


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path, monkeypatch) -> Path:
    """A bare repository with a branch, which the git bundle reads."""
    pytest.importorskip("airflow.providers.git", reason="needs apache-airflow-providers-git")
    work, bare = tmp_path / "work", tmp_path / "configs.git"
    work.mkdir()
    git(work, "init", "--quiet", "--initial-branch=main")
    (work / "dag_configs").mkdir()
    (work / "dag_configs" / "orders.yaml").write_text("name: orders\n")
    (work / "README.md").write_text("ours\n")
    git(work, "add", ".")
    git(work, "-c", "user.name=ann", "-c", "user.email=ann@example.org", "commit", "--quiet", "-m", "first")
    git(tmp_path, "clone", "--quiet", "--bare", str(work), str(bare))
    kwargs = {"git_conn_id": "configs_repo", "tracking_ref": "main", "subdir": "dag_configs"}
    bundle = {"name": "sources", "classpath": "elt_factory.dag.bundle_git.GitYamlBundle", "kwargs": kwargs}
    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST", json.dumps([bundle]))
    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH", str(tmp_path / "bundles"))
    monkeypatch.setenv("AIRFLOW_CONN_CONFIGS_REPO", json.dumps({"conn_type": "git", "host": str(bare)}))
    return bare


def test_a_yaml_becomes_a_branch_of_the_bundles_repository(api, login, repository, project):
    text = (project / "dag_configs" / "orders.yaml").read_text() + "# changed\n"
    head = git(repository, "rev-parse", "main")
    for role, expected in (("viewer", 403), ("user", 200)):
        answer = api.post("/api/v1/proposal", headers=login(role), json={"text": text})
        assert answer.status_code == expected, answer.text
        known = api.get("/api/v1/onboarding", headers=login(role)).json()["repository"]
        assert known == (None if role == "viewer" else {"branch": "main", "folder": "dag_configs", "page": ""})
    made = answer.json()
    assert (made["base"], made["file"], made["page"]) == ("main", "dag_configs/orders.yaml", "")
    assert git(repository, "rev-parse", "main") == head
    assert git(repository, "rev-parse", made["branch"]) == made["commit"]
    assert git(repository, "diff", "--name-status", "main", made["branch"]) == "M\tdag_configs/orders.yaml"
    assert git(repository, "show", f"{made['branch']}:dag_configs/orders.yaml") == text.strip()
    assert git(repository, "log", "-1", "--format=%an%n%s", made["branch"]) == "user-user\nChange orders.yaml"
    # the same text again, in another second, is the same branch, which is not pushed again
    entries = len(noted("elt_propose"))
    time.sleep(1.1)
    again = api.post("/api/v1/proposal", headers=login("user"), json={"text": text})
    assert made["pushed"]
    assert (again.status_code, again.json()) == (200, made | {"pushed": False})
    assert len(noted("elt_propose")) == entries > 0
    foreign = login("user") | {"Sec-Fetch-Site": "cross-site"}
    assert api.post("/api/v1/proposal", headers=foreign, json={"text": text}).status_code == 403


def test_what_has_mistakes_or_says_nothing_new_is_no_branch(api, login, repository, project):
    answer = api.post("/api/v1/proposal", headers=login("user"), json={"text": "name: orders\nschedul: x\n"})
    assert (answer.status_code, answer.json()["detail"]) == (422, "the YAML has mistakes")
    text = (project / "dag_configs" / "orders.yaml").read_text()
    answer = api.post("/api/v1/proposal", headers=login("user"), json={"text": text})
    assert answer.status_code == 200, answer.text
    made = answer.json()
    git(repository, "update-ref", "refs/heads/main", made["commit"])
    answer = api.post("/api/v1/proposal", headers=login("user"), json={"text": text})
    assert (answer.status_code, "is this text already" in answer.json()["detail"]) == (422, True)


def test_without_a_git_bundle_there_is_nothing_to_push_to(api, login, project):
    text = (project / "dag_configs" / "orders.yaml").read_text()
    assert api.get("/api/v1/onboarding", headers=login("admin")).json()["repository"] is None
    answer = api.post("/api/v1/proposal", headers=login("admin"), json={"text": text})
    assert (answer.status_code, "in no git bundle" in answer.json()["detail"]) == (422, True)


@pytest.mark.parametrize(
    ("url", "page"),
    [
        ("git@github.com:acme/configs.git", "https://github.com/acme/configs/compare/main...elt%2Fa-1?expand=1"),
        ("https://github.acme.org/a/b.git", "https://github.acme.org/a/b/compare/main...elt%2Fa-1?expand=1"),
        (
            "https://x:secret@gitlab.com/a/b",
            (
                "https://gitlab.com/a/b/-/merge_requests/new?merge_request%5Bsource_branch%5D=elt%2Fa-1"
                "&merge_request%5Btarget_branch%5D=main"
            ),
        ),
        ("ssh://git@bitbucket.org/a/b.git", "https://bitbucket.org/a/b/pull-requests/new?source=elt%2Fa-1&dest=main"),
        ("https://git.acme.org/a/b.git", ""),
        ("/srv/git/configs.git", ""),
    ],
)
def test_the_address_of_the_pull_request_is_that_of_a_host_that_is_known(url, page):
    from elt_factory.ui.proposals import GitPlace, _request

    assert _request(GitPlace(url, "main", "dag_configs", None), "elt/a-1") == page
