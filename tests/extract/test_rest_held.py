"""A second secret: a value of the connection where a template says, and nowhere else."""

from __future__ import annotations

import json

import pytest
from extract_support import SECRET, WEEK, Reply, reply, serving
from rest_support import records_of, request_of, source_of

from elt_factory.config.errors import ConfigError
from elt_factory.core.failures import AccessDeniedError, BadDataError, EltError
from elt_factory.describe.reading import asked as asked_in_words
from elt_factory.sources.read import read

APP_KEY, ACCOUNT = "app-k3y/of+two", "account-777"
EXTRA = {"app_key": APP_KEY, "account": ACCOUNT, "X-Tenant": "acme"}
TABLES = """
    orders:
      path: /orders
      headers: {Authorization: "Key {{ connection.extra.app_key }}"}
      params: {account: "{{ connection.extra.account }}"}
    lines:
      path: /lines
      json: {app_secret: "{{ connection.extra.app_key }}", since: "{{ window.start | date }}"}
"""
AUTH = "auth: {type: api_key, header: X-Api-Key}"


def held(server, **more):
    return server.connection(password=SECRET, extra={**EXTRA, **more})


@pytest.fixture
def server():
    with serving(lambda _: reply([{"id": 1}])) as found:
        yield found


def test_each_secret_is_where_the_config_says_and_is_no_header_of_its_own(server, tmp_path):
    log = []
    for table in ("orders", "lines"):
        records_of(server, tmp_path, TABLES, table, AUTH, connection=held(server), log=log.append)
    orders, lines = server.asked
    assert orders.headers["Authorization"] == f"Key {APP_KEY}"
    assert orders.headers["X-Api-Key"] == SECRET
    assert orders.params == {"account": ACCOUNT}
    assert lines.json == {"app_secret": APP_KEY, "since": "2013-01-01"}
    for asked in (orders, lines):
        assert asked.headers["X-Tenant"] == "acme"
        assert not {"app_key", "account"} & set(asked.headers)
    assert not any(secret in text for text in log for secret in (APP_KEY, ACCOUNT, SECRET))


@pytest.mark.parametrize("table", ["orders", "lines"])
def test_an_error_and_a_plan_show_no_secret(table, tmp_path):
    echo = Reply(f"refused: {APP_KEY} {ACCOUNT} {SECRET}".encode(), 400)
    with serving(lambda _: echo) as server, pytest.raises(EltError, match="refused") as caught:
        records_of(server, tmp_path, TABLES, table, AUTH, connection=held(server))
    assert not any(secret in str(caught.value) for secret in (APP_KEY, ACCOUNT, SECRET))
    (line,) = asked_in_words(source_of(tmp_path, TABLES, AUTH), table, WEEK, "load-1")
    assert "CONNECTION.EXTRA.A" in line


def test_a_value_that_the_connection_does_not_have_is_named(server, tmp_path):
    connection = server.connection(password=SECRET, extra={"account": ACCOUNT})
    with pytest.raises(AccessDeniedError, match='connection "api" does not have: "app_key" in its extra; hint: add it'):
        records_of(server, tmp_path, TABLES, "orders", AUTH, connection=connection)
    assert server.asked == []


def test_a_token_server_may_get_one_too(tmp_path):
    sent = "{user: '{{ connection.extra.account }}', k: '{{ connection.extra.app_key }}'}"
    auth = f"auth: {{type: session, path: /login, json: {sent}, token: t}}"
    with serving(lambda asked: reply({"t": "tok-1"} if asked.path == "/login" else [])) as server:
        records_of(server, tmp_path, "orders: {path: /orders}", "orders", auth, connection=held(server))
    login, orders = server.asked
    assert login.json == {"user": ACCOUNT, "k": APP_KEY}
    assert "account" not in orders.headers


def test_no_redirect_carries_a_body_with_a_secret_to_another_host(tmp_path):
    with serving(lambda _: reply([])) as elsewhere:
        given = Reply(b"", 307, {"Location": f"{elsewhere.url}/lines"})
        extract = f"{AUTH}\nhosts: ['{elsewhere.url.removeprefix('http://')}']"
        with serving(lambda _: given) as server, pytest.raises(BadDataError, match="refusing to follow"):
            records_of(server, tmp_path, TABLES, "lines", extract, connection=held(server))
        assert elsewhere.asked == []


def test_a_job_is_joined_after_its_secret_was_changed_and_nothing_of_it_is_kept(tmp_path):
    tables = """
        orders:
          path: /exports
          json: {app_secret: "{{ connection.extra.app_key }}"}
          job: {id: id, path: "/exports/{{ job.id }}", status: state, done: [done], every: 1s, download: "/file"}
    """
    kept: list[bytes] = []

    class Memory:
        def read(self):
            return kept[-1] if kept else None

        def write(self, data):
            kept.append(data)

        def forget(self):
            kept.clear()

    states = iter(["running", "done"])

    def answer(asked):
        if asked.method == "POST":
            return reply({"id": "7"})
        return reply([{"id": 1}] if asked.path == "/file" else {"state": next(states)})

    with serving(answer) as server:
        source = source_of(tmp_path, tables, AUTH)
        given = request_of(server, tmp_path, source, "orders", connection=held(server), memory=Memory())
        with pytest.raises(EltError, match="the job 7 is not done"):
            read(given)
        again = request_of(
            server, tmp_path, source, "orders", connection=held(server, app_key="another-key"), memory=Memory()
        )
        assert read(again).rows_read == 1
    assert [one.method for one in server.asked].count("POST") == 1
    assert not any(APP_KEY.encode() in one or json.dumps(APP_KEY).encode() in one for one in kept)


@pytest.mark.parametrize(
    ("extract", "table"),
    [
        (AUTH, '{path: "/orders/{{ connection.extra.account }}"}'),
        (AUTH, '{path: /orders, params: {a: "{{ connection.extra }}"}}'),
        (AUTH, '{path: /orders, params: {a: "{{ connection.host }}"}}'),
        (AUTH, '{path: /orders, headers: {Authorization: "Key abc12345 {{ connection.extra.account }}"}}'),
        ('headers: {X-App: "{{ connection.extra.app_key }}"}', "{path: /orders}"),
    ],
)
def test_a_template_of_the_connection_is_refused_elsewhere(extract, table, tmp_path):
    with pytest.raises(ConfigError):
        source_of(tmp_path, f"orders: {table}", extract)
