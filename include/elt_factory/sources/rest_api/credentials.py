"""Credentials of one read of a table: the connection's own, or a token that is fetched, and fetched again."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any
from urllib.parse import urlencode

import msgspec

from elt_factory.config.models.templates import render
from elt_factory.core.connection import Connection
from elt_factory.core.failures import AccessDeniedError, BadDataError
from elt_factory.extract.label import TableLabel
from elt_factory.sources.rest_api.answer import UnreadableAnswerError
from elt_factory.sources.rest_api.answer_rules import text_at
from elt_factory.sources.rest_api.api_model import RestApi
from elt_factory.sources.rest_api.auth import auth_of, basic_header, needed, static_headers, static_params
from elt_factory.sources.rest_api.auth_model import Issued, JwtAuth, OAuth2Auth, SessionAuth, TokenAuth
from elt_factory.sources.rest_api.exchange import Answer
from elt_factory.sources.rest_api.held import held_values
from elt_factory.sources.rest_api.held_names import used_in
from elt_factory.sources.rest_api.sending import FORM, JSON, Sending
from elt_factory.sources.rest_api.settings import REFRESH_TOKEN

_EARLY = 30.0  # seconds before its end a token counts as ended
_ASSERTION = "urn:ietf:params:oauth:grant-type:jwt-bearer"


# sends one request without credentials, to a path of the connection or to a whole address; for cookies, or for JSON
Send = Callable[[str, Sending, bool], Answer]


@dataclass(frozen=True)
class Token:
    """What is sent, and until when by the monotonic clock."""

    headers: Mapping[str, str] = field(repr=False)
    until: float | None = None


@dataclass
class Credentials:
    """Shared by the workers that read one table: a token is fetched once for all of them."""

    api: RestApi
    connection: Connection
    label: TableLabel
    warn: Callable[[str], None] = lambda _: None
    _refresh: str | None = field(
        default=None, repr=False
    )  # the newest that the server gave, in place of the connection's
    _token: Token | None = field(default=None, repr=False)
    _lock: Lock = field(default_factory=Lock)

    def headers(self, send: Send) -> Mapping[str, str]:
        """Return the headers that carry the secret now.

        Raises:
            AccessDeniedError: the connection has no secret, or the server gives no token for it.
        """
        auth = auth_of(self.api, self.connection)
        if not isinstance(auth, TokenAuth):
            return static_headers(auth, self.connection, self.label)
        with self._lock:
            known = self._token
            if known is None or (known.until is not None and time.monotonic() >= known.until):
                known = self._token = self._fetched(auth, send)
        return known.headers

    def params(self) -> Mapping[str, str]:
        """Return the query parameter that carries the secret."""
        return static_params(auth_of(self.api, self.connection), self.connection)

    def forget(self, refused: Mapping[str, str]) -> bool:
        """Forget a token that was refused; whether another one can be had."""
        if not isinstance(auth_of(self.api, self.connection), TokenAuth):
            return False
        with self._lock:
            # another worker may have a newer one already
            if self._token is not None and self._token.headers == refused:
                self._token = None
        return True

    def _fetched(self, auth: TokenAuth, send: Send) -> Token:
        match auth:
            case OAuth2Auth():
                return self._issued(auth, self._oauth2(auth), send)
            case SessionAuth():
                return self._session(auth, send)
            case JwtAuth():
                signed = self._signed(auth)
                self.label.learn(signed)
                if not auth.token_path and not auth.token_url:
                    return _token(auth, signed, auth.lifetime.total_seconds())
                form = {"grant_type": _ASSERTION, "assertion": signed}
                return self._issued(auth, _form(form), send)
        raise TypeError(type(auth).__name__)

    def _oauth2(self, auth: OAuth2Auth) -> Sending:
        login = needed(auth.type, "login", self.connection, self.label)
        password = needed(auth.type, "password", self.connection, self.label)
        refresh = self._refresh or self.connection.extra.get(REFRESH_TOKEN)
        grant = (
            {"grant_type": REFRESH_TOKEN, REFRESH_TOKEN: str(refresh)}
            if refresh
            else {"grant_type": "client_credentials"}
        )
        form = {**grant, **({"scope": auth.scope} if auth.scope else {}), **self._filled(auth.params)}
        if auth.client == "basic":
            return _form(form, basic_header(login, password))
        return _form({**form, "client_id": login, "client_secret": password})

    def _session(self, auth: SessionAuth, send: Send) -> Token:
        if auth.form is not None:
            sending = _form(self._filled(auth.form))
        else:
            sending = Sending("POST", msgspec.json.encode(self._filled(auth.body or {})), JSON)
        answer = send(auth.path, sending, auth.token is None)
        if auth.token is not None:
            return _token(auth, self._found(auth.path, auth.token, answer), None)
        cookies = _cookies(answer)
        if not cookies:
            raise self.label.error(AccessDeniedError, f"POST {auth.path}: the login returned no cookie")
        # together, and each value as it may show by itself
        for secret in (cookies, *(cookie.partition("=")[2] for cookie in cookies.split("; "))):
            if secret:
                self.label.learn(secret)
        return Token({"Cookie": cookies})

    def _issued(self, auth: Issued, sending: Sending, send: Send) -> Token:
        place = auth.token_url or auth.token_path or ""
        answer = send(place, sending, False)
        text = text_at("expires_in", lambda: answer.document)
        seconds = float(text) if text and text.isdecimal() else None
        self._keep_refresh(place, text_at(REFRESH_TOKEN, lambda: answer.document))
        return _token(auth, self._found(place, auth.token, answer), seconds)

    def _keep_refresh(self, place: str, given: str | None) -> None:
        """Use another refresh token as long as this read lasts; nothing can keep it for the next one."""
        ours = self.connection.extra.get(REFRESH_TOKEN)
        if not (given and ours) or given in (ours, self._refresh):
            return
        self.label.learn(given)
        if self._refresh is None:
            self.warn(
                f"{self.label}: POST {place}: the server gave another refresh token, which nothing keeps: a task "
                f'cannot change the connection "{self.connection.conn_id}". If the next run is refused, each token is '
                "for one use; ask the API for credentials that last, such as client credentials or an API key"
            )
        self._refresh = given

    def _found(self, place: str, path: str, answer: Answer) -> str:
        try:
            keys = answer.document.keys
        except UnreadableAnswerError:
            # what it holds may be the token
            raise self.label.error(BadDataError, f"POST {place}: the response is not JSON") from None
        found = text_at(path, lambda: answer.document)
        if not found:
            there = f"it has the keys: {', '.join(keys)}" if keys else "it is not an object"
            raise self.label.error(
                AccessDeniedError, f'POST {place}: no "{path}" in the response: {there}', "check token: in auth"
            )
        self.label.learn(found)
        return found

    def _signed(self, auth: JwtAuth) -> str:
        import jwt

        key = needed(auth.type, "password", self.connection, self.label).replace("\\n", "\n")
        now = int(time.time())
        claims = {"iat": now, "exp": now + int(auth.lifetime.total_seconds()), **self._filled(auth.claims)}
        try:
            return jwt.encode(
                claims, key, algorithm=auth.algorithm, headers={"kid": auth.key_id} if auth.key_id else None
            )
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            text = (
                f'the password of the connection "{self.connection.conn_id}" is not a key for {auth.algorithm}: {error}'
            )
            raise self.label.error(AccessDeniedError, text, "set it to the private key in PEM form") from None

    def _filled(self, values: Mapping[str, Any]) -> dict[str, Any]:
        plain = {f"connection.{name}": getattr(self.connection, name) or "" for name in ("login", "password")}
        used = [name for name in used_in(str(values)) if name not in plain]
        own = {**plain, **held_values(used, self.connection, self.label)}
        return {name: _rendered(value, own) for name, value in values.items()}


def _rendered(value: Any, own: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {name: _rendered(below, own) for name, below in value.items()}
    return render(value, own) if isinstance(value, str) else value


def _token(auth: TokenAuth, text: str, seconds: float | None) -> Token:
    until = None if seconds is None else time.monotonic() + max(1.0, seconds - min(_EARLY, seconds / 2))
    return Token({auth.header: f"{auth.prefix}{text}"}, until)


def _form(values: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Sending:
    return Sending("POST", urlencode(values).encode(), FORM, headers or {})


def _cookies(answer: Answer) -> str:
    # httpx joins headers of one name; a cookie's own comma is in its date, which is not part of its value
    given = getattr(answer.headers, "get_list", lambda name: [answer.headers[name]])("set-cookie")
    pairs = (cookie.partition(";")[0].strip() for cookie in given)
    # without a value it is one that the server removes
    return "; ".join(pair for pair in pairs if pair.partition("=")[2].strip('"'))
