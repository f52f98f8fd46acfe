from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest
from extract_support import SECRET, Asked, Reply, in_turn, reply, serving

from elt_factory.config.extract import RestApi
from elt_factory.extract.auth import base_url
from elt_factory.extract.http import HttpClient, Patience
from elt_factory.extract.request import Connection
from elt_factory.extract.subject import Subject, secrets_of
from elt_factory.failures import (
    AccessDeniedError,
    BadDataError,
    BadRequestError,
    EltError,
    SourceUnavailableError,
)

QUICK = Patience(tries=3, first_wait=0.01, longest_wait=0.02, longest_retry_after=0.3)


def client(connection, patience=QUICK, **extract):
    api = RestApi.model_validate({"type": "rest_api", "connection": "api", **extract})
    return HttpClient(api, connection, Subject("src", "things", secrets_of(connection)), patience)


def get(server, patience=QUICK, fields=None, **extract):
    with client(server.connection(**(fields or {})), patience, **extract) as http:
        return http.get("/v1/x", {})


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"host": "api.example.com"}, "https://api.example.com"),
        ({"host": "api.example.com", "schema": "http", "port": 8080}, "http://api.example.com:8080"),
        ({"host": "http://localhost:8000", "schema": "https"}, "http://localhost:8000"),
        ({"host": "http://localhost", "port": 9}, "http://localhost:9"),
        ({"host": "https://api.example.com/base/"}, "https://api.example.com/base/"),
    ],
)
def test_the_address_comes_from_the_connection(fields, expected):
    connection = Connection("api", "http", **fields)
    assert str(base_url(connection, Subject("src", "things"))).rstrip("/") == expected.rstrip("/")


@pytest.mark.parametrize(
    "fields",
    [{}, {"host": "ftp://x"}, {"host": "x", "schema": "public"}, {"host": "https://a:b@x"}, {"host": "https://"}],
)
def test_a_connection_without_a_usable_address_is_a_bad_request(fields):
    with pytest.raises(BadRequestError, match=r"src\.things: .*api"):
        base_url(Connection("api", "http", **fields), Subject("src", "things"))


@pytest.mark.parametrize(
    ("fields", "auth", "header", "sent"),
    [
        ({"password": "k"}, {"type": "api_key"}, "X-API-Key", "k"),
        ({"password": "k"}, {"type": "api_key", "header": "X-Mine"}, "X-Mine", "k"),
        ({"password": "k"}, {"type": "bearer"}, "Authorization", "Bearer k"),
        ({"login": "u", "password": "k"}, {"type": "basic"}, "Authorization", "Basic dTpr"),
        ({"login": "u", "password": "k"}, None, "Authorization", "Basic dTpr"),
        ({"password": "k"}, None, "Authorization", "Bearer k"),
        ({}, None, "Authorization", None),
        ({"login": "u", "password": "k"}, {"type": "none"}, "Authorization", None),
    ],
)
def test_the_secret_goes_where_auth_says(fields, auth, header, sent):
    with serving(lambda _: reply([])) as server:
        get(server, fields=fields, auth=auth, headers={"Accept": "application/json"})
        assert server.asked[0].headers.get(header) == sent
        assert server.asked[0].headers["Accept"] == "application/json"


@pytest.mark.parametrize("auth", ["api_key", "bearer", "basic"])
def test_auth_without_a_secret_in_the_connection_is_denied_before_any_request(auth):
    with serving(lambda _: reply([])) as server:
        with pytest.raises(AccessDeniedError, match='the connection "api" has none'):
            get(server, auth={"type": auth})
        assert server.asked == []


def test_the_path_is_below_the_address_and_keeps_its_own_query():
    with serving(lambda _: reply([])) as server:
        with client(server.connection(host=f"{server.url}/base/")) as http:
            http.get("/v1/x?fixed=1", {"since": "2013-01-01T00:00:00Z", "n": 3, "deep": True})
        asked = server.asked[0]
    assert asked.path == "/base/v1/x"
    assert asked.params == {"fixed": "1", "since": "2013-01-01T00:00:00Z", "n": "3", "deep": "true"}


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, AccessDeniedError),
        (403, AccessDeniedError),
        (400, BadRequestError),
        (404, BadRequestError),
        (422, BadRequestError),
        (304, BadDataError),
    ],
)
def test_what_no_retry_heals_fails_at_the_first_answer(status, kind):
    with serving(lambda _: reply({"detail": "no"}, status)) as server:
        with pytest.raises(kind, match=rf"src\.things: GET {server.url}/v1/x: {status} ") as caught:
            get(server)
        assert len(server.asked) == 1
        assert type(caught.value) is kind


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_busy_server_is_asked_again(status):
    with serving(in_turn([reply({}, status), reply({}, status), reply([1])])) as server:
        assert get(server).body == b"[1]"
        assert len(server.asked) == 3


@pytest.mark.parametrize("status", [429, 500])
def test_a_server_that_stays_busy_is_unavailable(status):
    with serving(lambda _: reply({"why": "tired"}, status)) as server:
        with pytest.raises(SourceUnavailableError, match=f"{status} .*tired.* after 3 tries"):
            get(server)
        assert len(server.asked) == 3


def test_a_broken_connection_is_tried_again():
    with serving(in_turn([Reply(status=0), reply([1])])) as server:
        assert get(server).body == b"[1]"


def test_a_refused_connection_is_unavailable():
    expected = r"src\.things: GET http://127\.0\.0\.1:1/x: .*after 3 tries"
    http = client(Connection("api", "http", host="http://127.0.0.1:1"))
    with http, pytest.raises(SourceUnavailableError, match=expected):
        http.get("x", {})


def test_an_answer_that_does_not_come_in_time_is_unavailable(monkeypatch):
    release = threading.Event()
    with serving(lambda _: reply(release.wait(3))) as server:
        with pytest.raises(SourceUnavailableError, match="no whole answer within 1 s, after 1 tries"):
            get(server, replace(QUICK, tries=1), timeout="1s")
        release.set()


def test_an_answer_that_trickles_is_no_answer():
    with serving(lambda _: Reply(b"[" + b" " * 300 + b"]", pause=0.1)) as server:
        began = time.monotonic()
        with pytest.raises(SourceUnavailableError, match="no whole answer within 1 s"):
            get(server, replace(QUICK, tries=1), timeout="1s")
        assert time.monotonic() - began < 2


def test_half_an_answer_is_asked_for_again():
    half = Reply(b"[1]", headers={"Content-Length": "999"})
    with serving(in_turn([half, reply([1, 2])])) as server:
        assert get(server).body == b"[1, 2]"


@pytest.mark.parametrize("asks", ["seconds", "date"])
def test_retry_after_is_honoured_up_to_a_cap(asks):
    later = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    header = "3600" if asks == "seconds" else later
    with serving(in_turn([reply({}, 429, Retry_After=header), reply([])])) as server:
        began = time.monotonic()
        get(server)
        assert 0.3 <= time.monotonic() - began < 2


@pytest.mark.parametrize("header", ["soon", "-5", "Sat, 21 Nov 2015 04:07:54 GMT"])
def test_an_odd_or_past_retry_after_does_not_stop_the_retry(header):
    with serving(in_turn([reply({}, 429, Retry_After=header), reply([2])])) as server:
        assert get(server).body == b"[2]"


def test_waits_double_up_to_the_longest():
    patience = Patience(first_wait=1, longest_wait=4)
    for failed, longest in [(1, 1), (2, 2), (3, 4), (4, 4)]:
        assert longest / 2 <= patience.wait(failed, None) <= longest
    assert patience.wait(1, 500) == patience.longest_retry_after


def test_requests_are_spaced_evenly_by_the_rate_limit():
    with serving(lambda _: reply([])) as server, client(server.connection(), rate_limit="20/second") as http:
        began = time.monotonic()
        for _ in range(5):
            http.get("x", {})
        assert time.monotonic() - began >= 0.2


def test_a_redirect_at_the_same_address_is_followed_with_the_secret():
    def answer(asked: Asked) -> Reply:
        return reply([7]) if asked.path == "/v2/x" else Reply(status=302, headers={"Location": "/v2/x"})

    with serving(answer) as server:
        assert get(server, fields={"password": SECRET}).body == b"[7]"
        assert server.asked[1].headers["Authorization"] == f"Bearer {SECRET}"


def test_redirects_without_end_are_bad_data():
    server_for_ever = serving(lambda _: Reply(status=302, headers={"Location": "/v1/x"}))
    with server_for_ever as server, pytest.raises(BadDataError, match="redirects"):
        get(server)


@pytest.mark.parametrize("how", ["redirect", "link"])
def test_no_request_leaves_the_connections_address(how):
    with serving(lambda _: reply([])) as other:
        elsewhere = f"{other.url}/take?key=1"
        with (
            serving(lambda _: Reply(status=307, headers={"Location": elsewhere})) as server,
            client(server.connection(password=SECRET)) as http,
            pytest.raises(BadDataError, match=f"leads to {other.url}/take, away from"),
        ):
            _ = http.get_link(elsewhere, httpx.URL(server.url)) if how == "link" else http.get("x", {})
        assert other.asked == []


@pytest.mark.parametrize(
    "link", ["https://127.0.0.1:{port}/x", "http://localhost:{port}/x", "http://u:p@127.0.0.1:{port}/"]
)
def test_another_scheme_name_or_login_is_another_address(link):
    with serving(lambda _: reply([])) as server, client(server.connection()) as http:
        with pytest.raises(BadDataError):
            http.get_link(link.format(port=server.port), httpx.URL(server.url))
        assert server.asked == []


def failures_with(server, connection) -> EltError:
    with pytest.raises(EltError) as caught, client(connection) as http:
        http.get("/v1/x", {"key": SECRET})
    return caught.value


@pytest.mark.parametrize("status", [401, 404, 500, 302])
def test_the_secret_shows_nowhere_even_when_the_server_echoes_it(status, caplog):
    caplog.set_level(logging.DEBUG)

    def echo(asked: Asked) -> Reply:
        return reply(
            {"you sent": [asked.target, *asked.headers.values()]}, status, Location=f"http://x/{SECRET}?k={SECRET}"
        )

    with serving(echo) as server:
        connection = server.connection(login="me", password=SECRET, extra={"api_token": "t0ken"})
        error = failures_with(server, connection)
        subject = Subject("src", "things", secrets_of(connection))
    shown = f"{error} {error!r} {connection!r} {subject!r} {caplog.text}"
    assert "me" in connection.login
    for form in (SECRET, "s3cr3t", "t0ken", "bWU6czNjcjN0L2tleSsx"):
        assert form not in shown


def test_a_key_with_a_line_break_is_refused_without_showing_it():
    with serving(lambda _: reply([])) as server:
        error = failures_with(server, server.connection(password="s3cr3t\n"))
    assert isinstance(error, BadRequestError)
    assert "s3cr3t" not in str(error)


def test_an_excerpt_of_the_answer_never_ends_inside_a_secret():
    with serving(lambda _: Reply(b"x" * 195 + SECRET.encode() * 2, 404)) as server:
        assert "s3c" not in str(failures_with(server, server.connection(password=SECRET)))
