from __future__ import annotations

import base64
import gzip
import json
import logging
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
import tracemalloc
import types
import zlib
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote, quote_plus

import certifi
import httpx
import pytest
from extract_support import SECRET, Asked, Reply, in_turn, reply, serving

from elt_factory.config.models.values import Rate
from elt_factory.core.connection import Connection
from elt_factory.core.failures import (
    AccessDeniedError,
    BadDataError,
    BadRequestError,
    EltError,
    SourceBusyError,
    SourceNotReadyError,
    SourceUnavailableError,
    redact,
)
from elt_factory.extract.label import TableLabel, secrets_of
from elt_factory.landing.places import LocalPlace
from elt_factory.sources.rest_api.api_model import RestApi
from elt_factory.sources.rest_api.auth import base_url
from elt_factory.sources.rest_api.body import read_body
from elt_factory.sources.rest_api.damage import DamagedAnswerError
from elt_factory.sources.rest_api.exchange import Patience
from elt_factory.sources.rest_api.http import HttpClient
from elt_factory.sources.rest_api.pace import Pace, PlaceClock
from elt_factory.sources.rest_api.settings import HttpSettings
from elt_factory.sources.rest_api.statuses import seconds_to_wait

QUICK = Patience(tries=3, first_wait=0.01, longest_wait=0.02, longest_retry_after=1.5)


def client(connection, patience=QUICK, **extract):
    api = RestApi.model_validate({"type": "rest_api", "connection": "api", **extract})
    return HttpClient(api, connection, TableLabel("src", "things", secrets_of(connection)), patience)


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
    assert str(base_url(connection, TableLabel("src", "things"))).rstrip("/") == expected.rstrip("/")


@pytest.mark.parametrize(
    "fields",
    [{}, {"host": "ftp://x"}, {"host": "x", "schema": "public"}, {"host": "https://a:b@x"}, {"host": "https://"}],
)
def test_a_connection_without_a_usable_address_is_a_bad_request(fields):
    with pytest.raises(BadRequestError, match=r"src\.things: .*api"):
        base_url(Connection("api", "http", **fields), TableLabel("src", "things"))


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
        with pytest.raises(SourceUnavailableError, match="response exceeded the total timeout of 1 s, after 1 tries"):
            get(server, replace(QUICK, tries=1), timeout="1s")
        release.set()


def test_an_answer_that_trickles_is_no_answer():
    with serving(lambda _: Reply(b"[" + b" " * 300 + b"]", pause=0.1)) as server:
        began = time.monotonic()
        with pytest.raises(SourceUnavailableError, match="response exceeded the total timeout of 1 s"):
            get(server, replace(QUICK, tries=1), timeout="1s")
        assert time.monotonic() - began < 2


def test_half_an_answer_is_asked_for_again():
    half = Reply(b"[1]", headers={"Content-Length": "999"})
    with serving(in_turn([half, reply([1, 2])])) as server:
        assert get(server).body == b"[1, 2]"


def test_retry_after_is_honoured():
    with serving(in_turn([reply({}, 429, Retry_After="1"), reply([])])) as server:
        began = time.monotonic()
        get(server)
        assert 1 <= time.monotonic() - began < 2


@pytest.mark.parametrize("asks", ["seconds", "date"])
def test_a_long_retry_after_gives_the_worker_back(asks):
    later = datetime.now(UTC) + timedelta(hours=1)
    header = "3600" if asks == "seconds" else format_datetime(later, usegmt=True)
    with serving(in_turn([reply({}, 429, Retry_After=header)])) as server:
        began = time.monotonic()
        with pytest.raises(SourceBusyError, match="the server asks to wait until") as caught:
            get(server)
        assert time.monotonic() - began < 1
        assert abs(caught.value.until - later) < timedelta(seconds=5)
        assert len(server.asked) == 1


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
            pytest.raises(BadDataError, match=f"refusing to follow {other.url}/take: different host than"),
        ):
            _ = http.ask_link(elsewhere, httpx.URL(server.url)) if how == "link" else http.get("x", {})
        assert other.asked == []


@pytest.mark.parametrize(
    "link", ["https://127.0.0.1:{port}/x", "http://localhost:{port}/x", "http://u:p@127.0.0.1:{port}/"]
)
def test_another_scheme_name_or_login_is_another_address(link):
    with serving(lambda _: reply([])) as server, client(server.connection()) as http:
        with pytest.raises(BadDataError):
            http.ask_link(link.format(port=server.port), httpx.URL(server.url))
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
        label = TableLabel("src", "things", secrets_of(connection))
    shown = f"{error} {error!r} {connection!r} {label!r} {caplog.text}"
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


def drip(server_socket: socket.socket, text: bytes) -> None:
    """A server that sends one byte every tenth of a second to whoever comes, and never ends."""
    with suppress(OSError):
        connection, _ = server_socket.accept()
        with connection:
            connection.recv(65536)
            for byte in text:
                connection.sendall(bytes([byte]))
                time.sleep(0.1)


@pytest.mark.parametrize("sent", [b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 500, b"HTTP/1.1 200" + b" " * 500])
def test_headers_that_trickle_end_with_the_timeout_of_the_whole_request(sent):
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=drip, args=(server, sent), daemon=True).start()
        connection = Connection("api", "http", host=f"http://127.0.0.1:{server.getsockname()[1]}")
        began = time.monotonic()
        with (
            client(connection, replace(QUICK, tries=1), timeout="1s") as http,
            pytest.raises(SourceUnavailableError, match="response exceeded the total timeout of 1 s"),
        ):
            http.get("x", {})
        assert time.monotonic() - began < 3


def test_the_timeout_is_of_each_request_and_not_of_the_client():
    with serving(lambda _: Reply(b"[1]", pause=0.4)) as server, client(server.connection(), timeout="1s") as http:
        assert [http.get("x", {}).body for _ in range(4)] == [b"[1]"] * 4


def test_a_name_without_an_address_is_unavailable():
    with (
        client(Connection("api", "http", host="http://no.such.host.invalid"), replace(QUICK, tries=1)) as http,
        pytest.raises(SourceUnavailableError, match="after 1 tries"),
    ):
        http.get("x", {})


def packed(body: bytes, coding: str = "gzip") -> Reply:
    pack = {"gzip": gzip.compress, "deflate": zlib.compress, "raw": lambda data: zlib.compress(data)[2:-4]}[coding]
    return Reply(pack(body), headers={"Content-Encoding": "deflate" if coding == "raw" else coding})


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("coding", ["gzip", "deflate", "raw"])
def test_a_packed_body_is_the_same_in_whatever_pieces_it_comes(coding, size):
    answer = packed(b"[1, 2, 3]", coding)
    pieces = [answer.body[start : start + size] for start in range(0, len(answer.body), size)]
    assert read_body([b"", *pieces], httpx.Headers(answer.headers), 100, None) == b"[1, 2, 3]"


@pytest.mark.parametrize("more", range(-3, 4))
@pytest.mark.parametrize("coding", ["gzip", "deflate", "raw"])
def test_a_packed_body_of_about_one_step_is_whole(coding, more):
    body = b'["' + b"a" * (1024 * 1024 + more - 4) + b'"]'
    answer = packed(body, coding)
    headers = httpx.Headers(answer.headers)
    assert read_body([answer.body], headers, 2_000_000, None) == body
    with pytest.raises(DamagedAnswerError, match="truncated"):
        read_body([answer.body[:-1]], headers, 2_000_000, None)


def test_zeros_behind_a_gzip_file_and_other_files_are_no_damage():
    one, other = gzip.compress(b"[1"), gzip.compress(b", 2]")
    headers = {"content-encoding": "gzip"}
    for body in (one + other + bytes(20), one + bytes(5) + other):
        for size in (1, 9, 1000):
            pieces = [body[start : start + size] for start in range(0, len(body), size)]
            assert read_body(pieces, headers, 100, None) == b"[1, 2]"
    with pytest.raises(DamagedAnswerError, match="corrupt"):
        read_body([one, b"\0no gzip"], headers, 100, None)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "raw"])
def test_packed_answers_are_unpacked(coding):
    body = json.dumps([{"n": n} for n in range(1000)]).encode()
    with serving(lambda _: packed(body, coding)) as server:
        assert get(server).body == body
        assert server.asked[0].headers["Accept-Encoding"] == "gzip, deflate"


def test_one_gzip_file_after_another_is_one_answer():
    two = Reply(gzip.compress(b"[1,") + gzip.compress(b"2]"), headers={"Content-Encoding": "gzip"})
    with serving(lambda _: two) as server:
        assert get(server).body == b"[1,2]"


def test_a_gzip_bomb_is_refused_at_the_limit_and_not_held_in_memory():
    bomb = gzip.compress(bytes(300_000_000), 9)
    assert len(bomb) < 400_000
    with serving(lambda _: Reply(bomb, headers={"Content-Encoding": "gzip"})) as server:
        tracemalloc.start()
        with pytest.raises(BadDataError, match=r"larger than 20 MB; hint: .*max_answer_mb") as caught:
            get(server, max_answer_mb=20)
        held = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert len(server.asked) == 1, "asking again does not heal it"
    assert type(caught.value) is BadDataError
    assert held < 20_000_000


@pytest.mark.parametrize("announced", [True, False])
def test_an_answer_larger_than_the_limit_is_refused_whether_it_says_its_size_or_not(announced):
    body = b"[" + b" " * 3_000_000 + b"]"
    headers = {} if announced else {"Content-Length": "", "Connection": "close"}

    with serving(lambda _: Reply(body, headers=headers)) as server:
        with pytest.raises(BadDataError, match="larger than 2 MB"):
            get(server, max_answer_mb=2)
        assert get(server, max_answer_mb=4).body == body


def test_a_large_answer_is_in_a_file_that_goes_with_it(tmp_path):
    body = b"[" + b" " * 20_000_000 + b'{"a": 1}]'
    with (
        serving(lambda _: Reply(body)) as server,
        HttpClient(
            RestApi(type="rest_api", connection="api"), server.connection(), TableLabel("s", "t"), scratch=tmp_path
        ) as http,
    ):
        answer = http.ask("x", {})
    assert not isinstance(answer.body, bytes)
    assert bytes(answer.document.records(None)[0]) == b'{"a": 1}'
    assert list(tmp_path.iterdir()) == []


def test_an_encoding_that_nobody_asked_for_is_bad_data():
    with (
        serving(lambda _: Reply(b"x", headers={"Content-Encoding": "br"})) as server,
        pytest.raises(BadDataError, match='content-encoding "br"'),
    ):
        get(server)


def get_json(server, patience=QUICK, **extract):
    with client(server.connection(), patience, **extract) as http:
        return http.ask("/v1/x", {})


DAMAGED = {
    "cut": Reply(b'{"data": [{"a": 1}, {"a"'),
    "cut gzip": Reply(gzip.compress(b"[1, 2, 3]" * 99)[:-9], headers={"Content-Encoding": "gzip"}),
    "broken gzip": Reply(b"\x1f\x8b\x08nonsense" * 9, headers={"Content-Encoding": "gzip"}),
    "empty": Reply(b""),
    "blank": Reply(b" \n "),
    "web page": Reply(b"<!DOCTYPE html><h1>We are back soon", headers={"Content-Type": "text/html"}),
    "text as html": Reply(b"Service in maintenance", headers={"Content-Type": "text/html; charset=utf-8"}),
    "408": reply({}, 408),
    "425": reply({}, 425),
}


@pytest.mark.parametrize("damaged", DAMAGED.values(), ids=DAMAGED)
def test_what_was_damaged_on_its_way_is_asked_for_again(damaged):
    with serving(in_turn([damaged, reply([{"a": 1}])])) as server:
        assert get_json(server).body == b'[{"a": 1}]'
    with serving(lambda _: damaged) as server:
        with pytest.raises(SourceUnavailableError, match="after 3 tries"):
            get_json(server)
        assert len(server.asked) == 3


def test_an_answer_that_is_not_ready_is_waited_for_and_never_data():
    not_yet = reply({"status": "processing"}, 202)
    with serving(in_turn([not_yet, not_yet, reply([{"a": 1}])])) as server:
        assert get_json(server).body == b'[{"a": 1}]'
    with serving(lambda _: not_yet) as server, pytest.raises(SourceNotReadyError, match="has no records yet"):
        get_json(server)


@pytest.mark.parametrize(("status", "told"), [(204, r"empty response \(status 204\)"), (206, "part of the data")])
def test_an_answer_without_a_body_or_with_a_part_is_no_data(status, told):
    body = b"" if status == 204 else b"[]"
    with serving(lambda _: Reply(body, status)) as server:
        with pytest.raises(BadDataError, match=told):
            get_json(server)
        assert len(server.asked) == 1


@pytest.mark.parametrize(
    "headers",
    [{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"}, {"Retry-After": "0"}, {"RateLimit-Remaining": "0"}],
)
def test_a_403_that_is_a_rate_limit_is_waited_out(headers):
    limited = Reply(b"{}", 403, headers)
    with serving(in_turn([limited, limited, reply([1])])) as server:
        assert get(server).body == b"[1]"
    with serving(lambda _: limited) as server, pytest.raises(SourceUnavailableError, match="403"):
        get(server)


def test_the_end_of_a_rate_limit_is_a_moment_or_a_number_of_seconds():
    in_a_minute = str(int(time.time()) + 60)
    assert 55 < seconds_to_wait({"x-ratelimit-remaining": "0", "x-ratelimit-reset": in_a_minute}) <= 60
    assert seconds_to_wait({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "30"}) == 30
    assert seconds_to_wait({"x-ratelimit-remaining": "7", "x-ratelimit-reset": "30"}) is None
    assert seconds_to_wait({"retry-after": "Fri, 31 Dec 99999 23:59:59 GMT"}) is None


@pytest.mark.parametrize(
    "location", ["http:\\\\host", "http://[::1", "http://a b/", "//\x7f", "http://xn--/", "http://h:99999/"]
)
def test_a_redirect_to_nowhere_is_bad_data_and_no_traceback(location):
    lost = serving(lambda _: Reply(status=302, headers={"Location": location}))
    with lost as server, pytest.raises(BadDataError, match=r"src\.things: GET "):
        get(server)


def test_what_an_extra_says_is_sent_or_refused():
    with serving(lambda _: reply([])) as server:
        get(server, fields={"extra": {"X-Tenant": "acme", "headers": {"X-Version": "2"}, "verify": False}})
        assert (server.asked[0].headers["X-Tenant"], server.asked[0].headers["X-Version"]) == ("acme", "2")
        for option in ("timeout", "stream", "allow_redirects"):
            with pytest.raises(BadRequestError, match=f'"{option}" in its extra, which is ignored'):
                get(server, fields={"extra": {option: 5}})
        with pytest.raises(BadRequestError, match="is not text"):
            get(server, fields={"extra": {"X-Odd": {"a": 1}}})
        with pytest.raises(BadRequestError, match="invalid extra"):
            get(server, fields={"extra": {"cert": "/no/such/file.pem"}})


def test_authorities_are_read_once_in_a_process_and_those_of_the_environment_each_time(monkeypatch):
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    shared = HttpSettings().tls()
    assert isinstance(shared, ssl.SSLContext)
    assert shared is HttpSettings(trust_env=False).tls()
    assert (shared.verify_mode, shared.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert shared.get_ca_certs()
    # what asks for something else never changes what the others share
    assert HttpSettings(verify=False).tls() is not shared
    assert HttpSettings(verify=certifi.where()).tls() is not shared
    monkeypatch.setenv("SSL_CERT_FILE", certifi.where())
    assert HttpSettings().tls() is not shared
    assert HttpSettings().tls() is not HttpSettings().tls()
    assert HttpSettings(trust_env=False).tls() is shared


def test_a_proxy_in_the_extra_is_used():
    with serving(lambda asked: reply([asked.target])) as proxy:
        connection = Connection("api", "http", host="http://api.example.com", extra={"proxy": proxy.url})
        with client(connection) as http:
            assert json.loads(http.get("/x", {}).body) == ["http://api.example.com/x"]


def test_a_key_in_a_query_parameter_comes_from_the_connection_and_shows_nowhere(caplog):
    caplog.set_level(logging.DEBUG)
    auth = {"type": "api_key", "param": "api_key"}
    answers = serving(lambda asked: reply([], 200 if asked.path == "/v1/x" else 404))
    with answers as server, client(server.connection(password=SECRET), auth=auth) as http:
        answer = http.get("/v1/x", {"q": "1"})
        assert server.asked[0].params == {"q": "1", "api_key": SECRET}
        http.ask_link("/v1/x?page=2", answer.url)
        assert server.asked[1].params == {"page": "2", "api_key": SECRET}
        with pytest.raises(BadRequestError) as caught:
            http.get("/v2/x", {})
    assert "s3cr3t" not in f"{caught.value} {answer.url} {caplog.text}"


CLIENT = """
import sys, time
from datetime import timedelta
from elt_factory.config.models.values import Rate
from elt_factory.landing.places import LocalPlace
from elt_factory.sources.rest_api.pace import Pace
from pathlib import Path
pace = Pace(Rate(20, 1), "api", Path(sys.argv[1]))
for _ in range(4):
    pace.wait()
    print(time.time(), flush=True)
"""


def shared(place):
    """A place that is not of this machine alone."""
    return types.SimpleNamespace(change=place.change, changed=place.changed)


@pytest.mark.services
def test_one_rate_holds_for_all_processes_of_a_connection(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2] / "include")}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", CLIENT, str(tmp_path)], env=environment, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    moments = sorted(float(line) for process in started for line in process.communicate(timeout=120)[0].split())
    assert len(moments) == 12
    # a sleep may end late, and the next one in time: never are there more than the rate and that one
    assert all(later - earlier > 0.9 * 0.05 * 4 for earlier, later in zip(moments, moments[5:], strict=False))


WRONG_CLOCK = """
import sys, time
from pathlib import Path
from types import SimpleNamespace
right, counted, ahead = time.time, time.monotonic, float(sys.argv[3])
time.time, time.monotonic = lambda: right() + ahead, lambda: counted() + 7 * ahead
from elt_factory.config.models.values import Rate
from elt_factory.landing.places import LocalPlace
from elt_factory.sources.rest_api.pace import Pace
place = LocalPlace(Path(sys.argv[1]))
far = SimpleNamespace(change=place.change, changed=place.changed)
pace = Pace(Rate(20, 1), "api", Path(sys.argv[2]), far)
slept = []
time.sleep = slept.append  # what a worker that believes its clock would wait
for line in sys.stdin:
    pace.wait()
    print(sum(slept), flush=True)
    slept.clear()
"""


@pytest.mark.services
def test_a_worker_whose_clock_is_wrong_does_not_slow_the_others(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2] / "include")}
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WRONG_CLOCK, str(tmp_path / "landing"), str(tmp_path / name), ahead],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name, ahead in (("a", "30"), ("b", "0"), ("c", "-30"))
    ]
    waits = []
    for _ in range(4):
        for worker in workers:
            worker.stdin.write("\n")
            worker.stdin.flush()
            waits.append(float(worker.stdout.readline()))
    for worker in workers:
        worker.communicate(timeout=60)
    # no one waits for turns that no one has taken: there are 28 at the most, as two are taken ahead, then four
    assert max(waits) < 28 * 0.05 * 2, waits


def test_the_time_at_a_place_that_says_whole_seconds_is_known_to_a_part_of_one():
    clock, ahead = PlaceClock(), 1000.25
    for began in (10.0, 11.3, 12.6, 13.1, 14.9):
        clock.learn(began, datetime.fromtimestamp(int(began + 0.05 + ahead), UTC), began + 0.1)
    assert clock.least <= ahead <= clock.most
    assert clock.most - clock.least < 0.4
    # the clock there was set: what was known before is forgotten
    clock.learn(20.0, datetime.fromtimestamp(5020, UTC), 20.1)
    assert clock.least <= 5000 <= clock.most


def test_one_rate_holds_for_all_machines_that_share_a_landing(tmp_path):
    far = shared(LocalPlace(tmp_path / "landing"))
    machines = [Pace(Rate(20, 1), "api", tmp_path / name, far) for name in "abc"]
    turns = sorted(machine._turns[0].take() for _ in range(8) for machine in machines)
    assert len(turns) == 24
    assert all(later - earlier > 0.999 * 0.05 for earlier, later in pairwise(turns))


class Far(LocalPlace):
    """A place that is not of this machine, which counts how often it is asked."""

    asked = 0

    def change(self, name, change):
        Far.asked += 1
        super().change(name, change)


def test_a_far_place_is_asked_less_often_the_faster_the_requests_are(tmp_path):
    Far.asked = 0
    pace = Pace(Rate(200, 1), "api", tmp_path, shared(Far(tmp_path / "far")))
    began = time.time()
    for _ in range(60):
        pace.wait()
    assert time.time() - began > 0.9 * 59 / 200
    assert Far.asked < 12


def test_turns_that_were_missed_are_not_made_up_for(tmp_path):
    far = shared(LocalPlace(tmp_path / "far"))
    turns, other = (Pace(Rate(50, 1), "api", tmp_path, far)._turns[0] for _ in range(2))
    for _ in range(4):
        turns.take()
    time.sleep(0.5)
    moments = sorted(one.take() for _ in range(3) for one in (turns, other))
    assert moments[0] > time.time() - 0.2
    assert all(later - earlier > 0.999 * 0.02 for earlier, later in pairwise(moments))


def test_a_pace_from_before_the_clock_was_set_back_is_forgotten(tmp_path):
    pace = Pace(Rate(20, 1), "api", tmp_path)
    pace.wait()
    (file,) = tmp_path.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    for left in ("1e300", "nan", "x", ""):
        file.write_text(left)
        began = time.monotonic()
        pace.wait()
        assert time.monotonic() - began < 1


def forms_of_secret() -> list[str]:
    both = f"{SECRET}:"
    inside = [base64.b64encode(f"{'x' * n}{SECRET}yy".encode()).decode() for n in range(4)]
    coded = [base64.b64encode(SECRET.encode()).decode(), base64.urlsafe_b64encode(both.encode()).decode(), *inside]
    return [SECRET, quote(SECRET, safe=""), quote_plus(SECRET).lower(), json.dumps(SECRET)[1:-1], *coded]


@pytest.mark.parametrize(
    "fields",
    [
        {"login": SECRET},
        {"password": SECRET},
        {"login": "me", "password": SECRET},
        {"extra": {"headers": {"X-Api-Token": SECRET}}},
    ],
    ids=["login alone", "password", "both", "extra"],
)
def test_a_secret_is_masked_wherever_a_connection_holds_it_and_however_it_is_written(fields):
    connection = Connection("api", "http", host="https://x", **fields)
    label = TableLabel("src", "things", secrets_of(connection))
    for form in forms_of_secret():
        cleaned = label.clean(f"a {form} b")
        assert "s3cr3t" not in cleaned
        assert "key+1" not in cleaned
        assert "***" in cleaned, form
        coded = base64.b64encode(SECRET.encode()).decode()[4:-6]
        assert coded not in cleaned
    assert "s3cr3t" not in repr(connection)


def test_the_login_of_a_database_without_a_password_is_a_name():
    assert secrets_of(Connection("db", "postgres", host="x", login="postgres")) == ()
    assert secrets_of(Connection("bot", "http", host=f"https://api.example.org/bot123456:{'A' * 35}/v1"))


def test_a_key_as_the_login_alone_is_sent_and_shows_nowhere():
    with serving(lambda asked: reply({"you sent": asked.headers["Authorization"]}, 401)) as server:
        with client(server.connection(login=SECRET)) as http, pytest.raises(AccessDeniedError) as caught:
            http.get("x", {})
        assert server.asked[0].headers["Authorization"] == "Basic " + base64.b64encode(f"{SECRET}:".encode()).decode()
    assert "***" in str(caught.value)
    assert base64.b64encode(SECRET.encode()).decode()[:10] not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("GET https://h/x?page=2&api_key=abc&q=1 failed", "GET https://h/x?page=2&api_key=***&q=1 failed"),
        ("https://h/b?X-Amz-Signature=abc%2F", "https://h/b?X-Amz-Signature=***"),
        ("see https://sk_live_1@h/x", "see https://***@h/x"),
        ("postgresql://me:pass@h/db", "postgresql://me:***@h/db"),
        ("postgresql://me@h/db?sslmode=off", "postgresql://me@h/db?sslmode=off"),
        ("is it key=1? no", "is it key=1? no"),
    ],
)
def test_keys_in_the_addresses_of_any_message_are_masked(text, cleaned):
    assert redact(text) == cleaned


@pytest.mark.parametrize("host", ["localhost", "localhost:443", "LOCALHOST"])
def test_the_port_of_a_scheme_may_be_written_or_not_in_hosts(host):
    with client(Connection(conn_id="api", conn_type="https", host="https://127.0.0.1:9"), QUICK, hosts=[host]) as http:
        for link in ("https://localhost/next", "https://localhost:443/next"):
            # no one listens there, and that is asked
            with pytest.raises(SourceUnavailableError):
                http.ask_link(link, httpx.URL("https://127.0.0.1:9/"))
        with pytest.raises(BadDataError, match="refusing to follow"):
            http.ask_link("https://localhost:444/next", httpx.URL("https://127.0.0.1:9/"))


@pytest.mark.parametrize(
    "prefix", ["", "Token ", "Token token=", "Bearer ", "ApiKey user=me, key=", "Zoho-oauthtoken "]
)
def test_words_before_a_key_are_no_secret(prefix):
    client(Connection(conn_id="api", conn_type="http", host="http://a"), auth={"type": "api_key", "prefix": prefix})


@pytest.mark.parametrize(
    "prefix",
    [
        "Token 4f9a8b7c",
        "Token token=hunter2",
        "ghp_0123456789abcdefghij0",
        "4f9a8b7c6d5e4f9a8b7c",
        "Bearer eyJ0eXAiOi.x",
    ],
)
def test_a_key_among_the_words_before_it_is_refused(prefix):
    with pytest.raises(ValueError, match="the prefix contains a secret"):
        client(Connection(conn_id="api", conn_type="http", host="http://a"), auth={"type": "api_key", "prefix": prefix})
