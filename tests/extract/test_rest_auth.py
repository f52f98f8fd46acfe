"""Tokens: fetched with the connection's secret, sent with every request, fetched again, and shown nowhere."""

from __future__ import annotations

import base64
import itertools
import json
from types import SimpleNamespace
from urllib.parse import parse_qs

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from extract_support import SECRET, Reply, reply, serving
from rest_support import records_of

from elt_factory.core.failures import AccessDeniedError, EltError
from elt_factory.sources.rest_api import credentials

ORDERS = "orders: {path: /orders, paginator: {type: page_number}}"
LOGIN = {"login": "client-1", "password": SECRET}


class Api:
    """Gives tokens t1, t2, ... and takes the newest; each is taken `uses` times."""

    def __init__(self, uses: int = 1000, pages: int = 3, **more) -> None:
        self.uses, self.pages, self.more = uses, pages, more
        self.logins, self.left = [], 0

    def __call__(self, asked):
        if asked.path in ("/login", "/token"):
            self.logins.append(asked)
            self.left = self.uses
            token = f"tok-{len(self.logins)}"
            return reply(
                {"access_token": token, "data": {"token": token}, **self.more}, Set_Cookie=f"sid={token}; Path=/"
            )
        wanted = f"tok-{len(self.logins)}"
        sent = {name.lower(): text for name, text in asked.headers.items()}
        carried = [sent.get("authorization"), sent.get("x-session"), sent.get("cookie")]
        if self.left <= 0 or not any(text and text.endswith(wanted) for text in carried):
            return Reply(json.dumps({"refused": carried}).encode(), 401)
        self.left -= 1
        page = int(asked.params.get("page", 1))
        return reply([{"id": page}] if page <= self.pages else [])


def ids(api, folder, auth, tables=ORDERS, **connection):
    with serving(api) as server:
        found = records_of(
            server, folder, tables, "orders", f"auth: {auth}", connection=server.connection(**{**LOGIN, **connection})
        )
    return [record["id"] for record in found]


def test_client_credentials_become_a_token_that_all_requests_share(tmp_path):
    api = Api()
    auth = "{type: oauth2, token_path: /token, scope: read, params: {audience: shop}}"
    assert ids(api, tmp_path, auth) == [1, 2, 3]
    (login,) = api.logins
    assert login.method == "POST"
    assert parse_qs(login.body.decode()) == {
        "grant_type": ["client_credentials"],
        "client_id": ["client-1"],
        "client_secret": [SECRET],
        "scope": ["read"],
        "audience": ["shop"],
    }
    assert "Authorization" not in login.headers


def test_id_and_secret_go_into_a_header_where_said(tmp_path):
    api = Api()
    ids(api, tmp_path, "{type: oauth2, token_path: /token, client: basic}")
    (login,) = api.logins
    assert login.headers["Authorization"] == "Basic " + base64.b64encode(f"client-1:{SECRET}".encode()).decode()
    assert parse_qs(login.body.decode()) == {"grant_type": ["client_credentials"]}


def test_a_refresh_token_of_the_connection_is_used_and_is_no_header(tmp_path):
    api = Api()
    ids(api, tmp_path, "{type: oauth2, token_path: /token}", extra={"refresh_token": "r-1"})
    (login,) = api.logins
    assert parse_qs(login.body.decode())["grant_type"] == ["refresh_token"]
    assert parse_qs(login.body.decode())["refresh_token"] == ["r-1"]
    assert "refresh_token" not in login.headers


def test_another_refresh_token_is_used_for_the_rest_of_the_read_and_said_to_be_kept_nowhere(tmp_path, caplog):
    api = Api(uses=2, pages=5, refresh_token="r-2")
    told = []
    auth = "{type: oauth2, token_path: /token}"
    with serving(api) as server:
        connection = server.connection(**LOGIN, extra={"refresh_token": "r-1"})
        records_of(server, tmp_path, ORDERS, "orders", f"auth: {auth}", connection=connection, warn=told.append)
    used = [parse_qs(login.body.decode())["refresh_token"] for login in api.logins]
    assert used == [["r-1"], ["r-2"], ["r-2"]]
    (said,) = told
    assert "each token is for one use" in said
    assert "r-2" not in said + caplog.text


def test_a_token_that_ends_in_mid_run_is_fetched_again_and_nothing_is_lost(tmp_path):
    api = Api(uses=2, pages=5)
    assert ids(api, tmp_path, "{type: oauth2, token_path: /token}") == [1, 2, 3, 4, 5]
    assert len(api.logins) == 3


def test_a_token_is_fetched_again_before_it_ends(tmp_path, monkeypatch):
    ticks = itertools.count(0, 30)
    monkeypatch.setattr(credentials, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
    api = Api(expires_in=100)
    assert ids(api, tmp_path, "{type: oauth2, token_path: /token}") == [1, 2, 3]
    assert len(api.logins) > 1


def test_a_token_that_is_refused_again_is_an_error_and_no_loop(tmp_path):
    api = Api(uses=0)
    with pytest.raises(AccessDeniedError, match="401") as caught:
        ids(api, tmp_path, "{type: oauth2, token_path: /token}")
    assert len(api.logins) == 2
    assert "tok-" not in str(caught.value)


def test_credentials_that_give_no_token_are_named_and_not_shown(tmp_path):
    def answer(asked):
        return Reply(json.dumps({"error": "invalid_client", "you": asked.body.decode()}).encode(), 400)

    with pytest.raises(AccessDeniedError, match=r"invalid_client.*check the login and password") as caught:
        ids(answer, tmp_path, "{type: oauth2, token_path: /token}")
    assert SECRET not in str(caught.value)
    with pytest.raises(AccessDeniedError, match='no "access_token" in the response: it has the keys: token'):
        ids(lambda _: reply({"token": "x"}), tmp_path, "{type: oauth2, token_path: /token}")
    with pytest.raises(AccessDeniedError, match="auth oauth2 needs a password"):
        ids(Api(), tmp_path, "{type: oauth2, token_path: /token}", password=None)


def test_a_token_endpoint_on_another_host_gets_the_secret_only_because_the_config_names_it(tmp_path):
    api = Api()
    with serving(api) as other, serving(api) as server:
        auth = f"{{type: oauth2, token_url: '{other.url}/token'}}"
        found = records_of(server, tmp_path, ORDERS, "orders", f"auth: {auth}", connection=server.connection(**LOGIN))
        assert len(found) == 3
        assert [asked.path for asked in other.asked] == ["/token"]


def test_workers_share_one_token(tmp_path):
    api = Api()
    tables = "orders: {for_each: {n: [1, 2, 3, 4, 5, 6]}, path: '/orders/{{ n }}', concurrency: 6}"
    assert ids(api, tmp_path, "{type: oauth2, token_path: /token}", tables) == [1] * 6
    assert len(api.logins) == 1


def test_a_session_sends_its_token_in_a_header_of_its_own(tmp_path):
    api = Api(uses=2)
    auth = (
        "{type: session, path: /login, json: {user: '{{ connection.login }}', pass: '{{ connection.password }}'}, "
        "token: data.token, header: X-Session, prefix: ''}"
    )
    assert ids(api, tmp_path, auth) == [1, 2, 3]
    assert api.logins[0].json == {"user": "client-1", "pass": SECRET}
    assert len(api.logins) == 2


def test_a_session_may_be_a_cookie(tmp_path):
    api = Api()
    assert ids(api, tmp_path, "{type: session, path: /login, form: {key: '{{ connection.password }}'}}") == [1, 2, 3]
    assert parse_qs(api.logins[0].body.decode()) == {"key": [SECRET]}


@pytest.mark.parametrize(
    "answer",
    [
        Reply(b"", 204, {"Set-Cookie": "sid=tok-1; Path=/"}),
        Reply(b"", 302, {"Set-Cookie": "sid=tok-1; Path=/", "Location": "/home"}),
        Reply(b"", 303, {"Set-Cookie": "sid=tok-1; Path=/", "Location": "https://people.example.com/"}),
        Reply(b"<html>Welcome", 200, {"Set-Cookie": "sid=tok-1; Path=/"}),
    ],
)
def test_a_form_that_leads_to_a_page_for_people_has_logged_in_where_it_gave_a_cookie(tmp_path, answer):
    api = Api()

    def site(asked):
        if asked.path == "/login":
            api(asked)
            return answer
        return Reply(b"<html>", 200) if asked.path == "/home" else api(asked)

    assert ids(site, tmp_path, "{type: session, path: /login, form: {key: '{{ connection.password }}'}}") == [1, 2, 3]


def test_a_refused_form_and_one_that_only_removes_cookies_are_no_login(tmp_path):
    auth = "{type: session, path: /login, form: {key: x}}"
    with pytest.raises(AccessDeniedError, match="403"):
        ids(lambda _: Reply(b"no", 403, {"Set-Cookie": "sid=tok-1"}), tmp_path, auth)
    with pytest.raises(AccessDeniedError, match="the login returned no cookie"):
        ids(lambda _: Reply(b"", 204, {"Set-Cookie": "sid=; Max-Age=0"}), tmp_path, auth)


def test_a_token_endpoint_may_lead_to_another_place_on_its_own_host_and_to_no_other_host(tmp_path):
    api = Api()
    with serving(api) as third:

        def moved(asked):
            if asked.path == "/old":
                return Reply(b"", 307, {"Location": "/token"})
            return Reply(b"", 307, {"Location": f"{third.url}/token"}) if asked.path == "/away" else api(asked)

        with serving(moved) as other, serving(api) as server:
            connection = server.connection(**LOGIN)
            for place in ("old", "away"):
                auth = f"auth: {{type: oauth2, token_url: '{other.url}/{place}'}}"
                if place == "old":
                    assert len(records_of(server, tmp_path, ORDERS, "orders", auth, connection=connection)) == 3
                    assert parse_qs(api.logins[-1].body.decode())["client_secret"] == [SECRET]
                    continue
                with pytest.raises(EltError, match=r"refusing to follow .* with the credentials: different host"):
                    records_of(server, tmp_path, ORDERS, "orders", auth, connection=connection)
        assert third.asked == []


def test_a_signed_token_is_sent_as_it_is_or_exchanged(tmp_path):
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    seen = []

    def answer(asked):
        if asked.path == "/token":
            form = parse_qs(asked.body.decode())
            assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
            seen.append(form["assertion"][0])
            return reply({"access_token": "tok"})
        seen.append(asked.headers["Authorization"])
        return reply([] if asked.params["page"] != "1" else [{"id": 1}])

    auth = "{type: jwt, claims: {iss: '{{ connection.login }}', aud: shop}, key_id: k1, lifetime: 5m}"
    assert ids(answer, tmp_path, auth, password=pem) == [1]
    token = seen[0].removeprefix("Bearer ")
    claims = jwt.decode(token, key.public_key(), algorithms=["RS256"], audience="shop")
    assert claims["iss"] == "client-1"
    assert claims["exp"] - claims["iat"] == 300
    assert jwt.get_unverified_header(token)["kid"] == "k1"
    seen.clear()
    assert ids(answer, tmp_path, auth.replace("key_id: k1", "token_path: /token"), password=pem) == [1]
    assert seen[1:] == ["Bearer tok", "Bearer tok"]
    with pytest.raises(AccessDeniedError, match="is not a key for RS256"):
        ids(answer, tmp_path, auth)


def test_a_key_may_have_a_word_before_it(tmp_path):
    with serving(lambda _: reply([])) as server:
        extract = "auth: {type: api_key, header: Authorization, prefix: 'Token token='}"
        records_of(server, tmp_path, "x: {path: /x}", "x", extract, connection=server.connection(password=SECRET))
    assert server.asked[0].headers["Authorization"] == f"Token token={SECRET}"


def test_what_a_login_answered_is_in_no_error(tmp_path):
    given = Reply(b"access_token=gho_HIDDENHIDDEN123&scope=repo", 200)
    with pytest.raises(EltError, match="the response of the login is not JSON") as caught:
        ids(lambda _: given, tmp_path, "{type: oauth2, token_path: /token}")
    assert "gho_" not in str(caught.value)


def test_a_session_id_is_masked_by_itself_and_no_redirect_carries_it_to_another_host(tmp_path):
    def other(asked):
        return Reply(f"no session abc123secret {asked.headers}".encode(), 400)

    auth = "auth: {type: session, path: /login, form: {key: x}}"
    with serving(other) as elsewhere:

        def answer(asked):
            if asked.path == "/login":
                return reply({}, Set_Cookie="sid=abc123secret; Path=/")
            return Reply(b"", 302, {"Location": f"{elsewhere.url}/orders"})

        with serving(answer) as server:
            extract = f"{auth}\nhosts: ['{elsewhere.url.removeprefix('http://')}']"
            connection = server.connection(**LOGIN)
            with pytest.raises(EltError, match="no session") as caught:
                records_of(server, tmp_path, "orders: {path: /orders}", "orders", extract, connection=connection)
        (asked,) = elsewhere.asked
    assert "Cookie" not in asked.headers
    assert "abc123secret" not in str(caught.value)


def test_a_token_is_in_no_repr():
    assert "tok" not in repr(credentials.Token({"Authorization": "Bearer tok"}))
