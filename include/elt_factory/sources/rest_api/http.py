"""HTTP as sources need it: paced, patient, and never giving the secret to another host."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpcore
import httpx
import msgspec

from elt_factory.core.connection import Connection
from elt_factory.core.failures import (
    AnswerLostError,
    BadDataError,
    BadRequestError,
    EltError,
    SourceBusyError,
    SourceNotReadyError,
    SourceUnavailableError,
)
from elt_factory.core.window import iso_utc
from elt_factory.extract.label import TableLabel
from elt_factory.sources.rest_api.answer_model import AnswerRule
from elt_factory.sources.rest_api.answer_rules import looks_into, rule_of, seconds_of, text_at
from elt_factory.sources.rest_api.api_model import RestApi
from elt_factory.sources.rest_api.auth import base_url, basic_header
from elt_factory.sources.rest_api.body import MEMORY_BYTES, Body, read_beginning, read_body
from elt_factory.sources.rest_api.credentials import Credentials
from elt_factory.sources.rest_api.damage import (
    DamagedAnswerError,
    NotReadyAnswerError,
    TooLargeAnswerError,
    UnreadableAnswerError,
)
from elt_factory.sources.rest_api.exchange import Answer, Call, Patience, origin_of, shown
from elt_factory.sources.rest_api.outcomes import (
    NotReady,
    any_json,
    anything,
    cause_of,
    gave_cookies,
    is_refusal,
    leads_on,
    meaning_of,
    merged,
    outcome_may_heal,
    records_json,
)
from elt_factory.sources.rest_api.pace import Pace, pace_of
from elt_factory.sources.rest_api.proxies import Proxies, UnusableProxyError
from elt_factory.sources.rest_api.punctual import Deadline
from elt_factory.sources.rest_api.sending import GET, JSON, Sending
from elt_factory.sources.rest_api.settings import HttpSettings, settings_of
from elt_factory.sources.rest_api.statuses import seconds_to_wait
from elt_factory.sources.rest_api.whole import check_file
from elt_factory.sources.rest_api.wire import Wire

_SAME_METHOD = frozenset({307, 308})
_MOST_REDIRECTS = 5
_LONGEST_ASKED = 366 * 86400.0  # seconds
# its body may be the token
_OF_A_LOGIN = "the response of the login is not JSON"
_EXCERPT = 200
_MOST_OF_AN_ERROR = 100_000

# why there is no response, or only a part
_NO_RESPONSE = (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, httpcore.ProxyError)
# why no request can be sent
_NOT_SENT = (httpcore.UnsupportedProtocol, httpcore.LocalProtocolError, httpx.InvalidURL, UnusableProxyError)

PATIENCE = Patience()
Params = Mapping[str, Any]


class HttpClient:
    """Sends the requests of one table. Use it in a `with`.

    Every request is retried on 408, 425, 429, 5xx, a refusal that is a rate limit, broken connections and, where JSON
    is expected, answers that are cut off, empty or a web page. What is left then raises AccessDeniedError (401, 403),
    BadRequestError (other 4xx), SourceUnavailableError (429, 5xx, no connection, time-out, a damaged answer),
    SourceNotReadyError (202), SourceBusyError (a rate limit that takes longer than a worker should wait) or
    BadDataError (an answer that leads to another host, or is too large). A 401 to a token fetches another one, once for
    a request.

    Args:
        api: What the config says of the API.
        connection: Where it is, and its secret.
        label: Whose messages these are.
        patience: How often one request is tried.
        scratch: A folder for large answers.
        credentials: Those that several clients share; by default its own.
        pace: The rate limit that they share; by default that of this machine.
    """

    def __init__(
        self,
        api: RestApi,
        connection: Connection,
        label: TableLabel,
        patience: Patience | None = None,
        scratch: Path | None = None,
        credentials: Credentials | None = None,
        pace: Pace | None = None,
    ) -> None:
        # their lines hold query strings and the answers' headers, and a server may echo a key in those
        for name in ("httpx", "httpcore"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self._subject, self._connection = label, connection
        self._scratch = str(scratch) if scratch else None
        self._patience = patience or PATIENCE
        self._most_bytes = api.max_answer_mb * 1_000_000
        self._base = base_url(connection, label)
        self._hosts = frozenset(origin_of(self._address(f"{self._base.scheme}://{host}")) for host in api.hosts)
        self._credentials = credentials or Credentials(api, connection, label)
        self._pace = pace or pace_of(api, connection, label)
        self._deadline = Deadline(api.timeout.total_seconds())
        settings = settings_of(connection, label)
        self._headers = {**settings.headers, **api.headers}
        self._last_path: tuple[str, httpx.URL] | None = None
        self._wire = self._wired(settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._wire.close()

    def get(self, path: str, params: Params) -> Answer:
        """Return the answer of an endpoint below the connection's address, whatever it holds."""
        return self._follow(Call(self._below(path, params)))

    def ask(self, path: str, params: Params, sending: Sending = GET, rules: Sequence[AnswerRule] = ()) -> Answer:
        """Return the answer of an endpoint, which is JSON: a damaged one is asked for again.

        One that meets a rule that takes it as no records, or as the end, may be anything.
        """
        return self._follow(Call(self._below(path, params), sending, records_json, rules))

    def download(self, path: str, params: Params, sending: Sending = GET, rules: Sequence[AnswerRule] = ()) -> Answer:
        """Return an answer that is a file of another format than JSON."""
        return self._follow(Call(self._below(path, params), sending, check_file, rules))

    def start(
        self, path: str, params: Params, sending: Sending, rules: Sequence[AnswerRule] = (), *, empty: bool = False
    ) -> Answer:
        """Return the JSON that says which job is started. The request is sent again only where it was refused.

        It may also be empty.
        """
        return self._follow(Call(self._below(path, params), sending, anything if empty else any_json, rules, once=True))

    def look(
        self, path: str, rules: Sequence[AnswerRule] = (), sending: Sending = GET, *, empty: bool = False
    ) -> Answer:
        """Return the JSON of an endpoint, whatever its status of success; it may also be empty."""
        return self._follow(Call(self._below(path, {}), sending, anything if empty else any_json, rules))

    def result(self, link: str, found_on: httpx.URL, rules: Sequence[AnswerRule] = (), *, is_json: bool) -> Answer:
        """Return the response at a link to a result, which gets the credentials on the connection's host alone."""
        url = self._own(link, found_on)
        bare = origin_of(url) != origin_of(self._base)
        return self._follow(Call(url, GET, records_json if is_json else check_file, rules, bare=bare))

    def send(self, method: str, path: str, content: Any = None) -> Answer:
        """Send a request whose response does not matter, with JSON where there is some."""
        given = Sending(method) if content is None else Sending(method, msgspec.json.encode(content), JSON)
        return self._follow(Call(self._below(path, {}), given, anything))

    def ask_link(
        self, link: str, found_on: httpx.URL | None, sending: Sending = GET, rules: Sequence[AnswerRule] = ()
    ) -> Answer:
        """Return the JSON at an address that an answer gave, absolute or relative to where it was found.

        None is an answer of an earlier load: the link is then relative to the connection's address.
        """
        return self._follow(Call(self._own(link, found_on or self._base), sending, records_json, rules))

    def probe(self, path: str) -> Answer | str:
        """Return the answer of an endpoint at the first try, or the cause why there is none now."""
        call = Call(self._below(path, {}))
        return self._attempt(call, self._secrets(call))

    def shown_at(self, path: str) -> str:
        """Return the address of an endpoint for people, without its query."""
        return shown(self._below(path, {}))

    def _wired(self, settings: HttpSettings) -> Wire:
        conn_id = self._connection.conn_id
        proxies = Proxies(settings.proxies, conn_id, trust_env=settings.trust_env, label=self._subject)
        # read once: the files may be replaced while requests are sent
        tls = cache(settings.tls)
        try:
            # what cannot be used is said before anything is sent
            if proxies.of(self._base) or settings.has_own_tls or self._base.scheme == "https":
                tls()
        except UnusableProxyError as error:
            raise self._subject.error(BadRequestError, str(error)) from None
        except (OSError, ValueError) as error:
            named = f'invalid extra in the connection "{conn_id}": {error}'
            raise self._subject.error(BadRequestError, named, "check verify and cert") from None
        return Wire(self._deadline, tls, proxies.of)

    def _below(self, path: str, params: Params) -> httpx.URL:
        try:
            # each page has the path of the one before
            if self._last_path is None or self._last_path[0] != path:
                self._last_path = path, httpx.URL(str(self._base).rstrip("/") + "/" + path.lstrip("/"))
            return self._last_path[1].copy_merge_params(dict(params))
        except httpx.InvalidURL as error:
            raise self._subject.error(BadRequestError, f'the path "{path}" is not a valid URL path: {error}') from None

    def _address(self, text: str) -> httpx.URL:
        """Return an address that the config names."""
        try:
            url = httpx.URL(text)
            origin_of(url)
        except (httpx.InvalidURL, UnicodeError) as error:
            raise self._subject.error(BadRequestError, f'"{text}" is not a valid address: {error}') from None
        return url

    def _follow(self, call: Call) -> Answer:
        begun = call
        for _ in range(_MOST_REDIRECTS + 1):
            answer = self._patiently(call)
            if answer.rule or not leads_on(call, answer):
                return self._accept(call, answer)
            call = self._redirected(call, answer)
        raise self._subject.error(BadDataError, f"{begun}: more than {_MOST_REDIRECTS} redirects")

    def _redirected(self, call: Call, answer: Answer) -> Call:
        """Return the request that a redirect asks for."""
        link = answer.headers["location"]
        # a login may be at another host than the connection's, which keeps to that one
        url = self._joined(link, answer.url) if call.is_login else self._own(link, answer.url)
        # another host is one that the config allows, and yet gets no secret from a redirect
        following = call if answer.status in _SAME_METHOD else replace(call, sending=GET)
        if origin_of(url) != origin_of(call.url):
            self._refuse_secrets(following, url)
            following = replace(following, bare=True, sending=replace(following.sending, headers={}))
        return replace(following, url=url)

    def _refuse_secrets(self, call: Call, url: httpx.URL) -> None:
        """Refuse to send a login, or a body with a secret in it, to another host."""
        body = (call.sending.content or b"").decode(errors="replace")
        if call.is_login or self._subject.clean(body) != body:
            text = f"{call}: refusing to follow {shown(url)} with the credentials: different host"
            raise self._subject.error(
                BadDataError, text, "set its address in the connection, or that of the login in auth:"
            )

    def _own(self, link: str, found_on: httpx.URL) -> httpx.URL:
        """Return the link's address.

        Raises:
            BadDataError: it leaves the connection's scheme, host and port.
        """
        url = self._joined(link, found_on)
        if origin_of(url) != origin_of(self._base) and not self._is_allowed(url):
            raise self._subject.error(
                BadDataError,
                f"GET {shown(found_on)}: refusing to follow {shown(url)}: different host than {shown(self._base)}, "
                "credentials are not forwarded",
                f'if that address is correct, set it in the connection "{self._connection.conn_id}", or add the host '
                "to hosts: in extract",
            )
        return url

    def _joined(self, link: str, found_on: httpx.URL) -> httpx.URL:
        try:
            url = found_on.join(link)
            origin_of(url)
        # httpx lets some of what urllib and idna find wrong through as it is
        except (httpx.InvalidURL, ValueError) as error:
            text = f'GET {shown(found_on)}: the link "{link.partition("?")[0]}" is not a valid address: {error}'
            raise self._subject.error(BadDataError, text) from None
        return url

    def _is_allowed(self, url: httpx.URL) -> bool:
        """Whether the config names a host, which is then asked by the connection's scheme at that scheme's own port."""
        return origin_of(url) in self._hosts

    def _patiently(self, call: Call) -> Answer:
        failed, renewed, waits = 0, False, 0
        while True:
            secrets = self._secrets(call)
            outcome = self._attempt(call, secrets)
            if isinstance(outcome, Answer):
                if outcome.status == httpx.codes.UNAUTHORIZED and not renewed and self._renew(call, secrets):
                    renewed = True
                    continue
                if outcome.rule and outcome.rule.do == "wait" and waits < self._patience.waits:
                    waits += 1
                    self._wait(call, seconds_of(outcome.rule, outcome.headers), waits)
                    continue
                if not outcome_may_heal(outcome):
                    return outcome
            if call.once and not is_refusal(outcome):
                text = f"{call}: {self._cause(outcome)}: whether a job was started is not known"
                raise self._subject.error(AnswerLostError, text)
            failed += 1
            if failed >= self._patience.tries:
                raise self._given_up(call, outcome)
            self._wait(call, seconds_to_wait(outcome.headers) if isinstance(outcome, Answer) else None, failed)

    def _renew(self, call: Call, refused: Mapping[str, str]) -> bool:
        return not (call.bare or call.is_login) and self._credentials.forget(refused)

    def _wait(self, call: Call, asked: float | None, failed: int) -> None:
        """Sleep as long as the server asks.

        Raises:
            SourceBusyError: that is longer than a worker should sleep.
        """
        if asked is not None and asked > self._patience.longest_retry_after:
            until = datetime.now(UTC) + timedelta(seconds=min(asked, _LONGEST_ASKED))
            text = f"{call}: the server asks to wait until {iso_utc(until.replace(microsecond=0))}"
            error = self._subject.error(SourceBusyError, text)
            error.until = until
            raise error
        self._patience.pause(self._patience.wait(failed, asked))

    def _given_up(self, call: Call, outcome: Answer | str) -> EltError:
        """Return the error of the last try."""
        after = f"after {self._patience.tries} tries"
        if isinstance(outcome, NotReady):
            return self._subject.error(SourceNotReadyError, f"{call}: {outcome}, {after}")
        return self._subject.error(SourceUnavailableError, f"{call}: {self._cause(outcome)}, {after}")

    def _cause(self, outcome: Answer | str) -> str:
        return self._told(outcome) if isinstance(outcome, Answer) else outcome

    def _attempt(self, call: Call, secrets: Mapping[str, str]) -> Answer | str:
        """Return the answer, or the cause why there is none now."""
        self._pace.wait(self._patience.pause)
        try:
            return self._once(call, secrets)
        except _NOT_SENT as error:
            raise self._subject.error(BadRequestError, f"{call}: {self._quoted(error)}") from None
        except NotReadyAnswerError as error:
            return NotReady(error)
        except DamagedAnswerError as error:
            return _OF_A_LOGIN if call.is_login else str(error)
        except UnreadableAnswerError as error:
            if call.is_login:
                raise self._subject.error(BadDataError, f"{call}: {_OF_A_LOGIN}") from None
            hint = "request smaller pages, or raise max_answer_mb" if isinstance(error, TooLargeAnswerError) else ""
            raise self._subject.error(BadDataError, f"{call}: {error}", hint) from None
        except _NO_RESPONSE as error:
            return cause_of(error, self._deadline.seconds, self._quoted(error))

    def _secrets(self, call: Call) -> Mapping[str, str]:
        return {} if call.bare or call.is_login else self._credentials.headers(self._login)

    def _login(self, place: str, sending: Sending, for_cookies: bool) -> Answer:
        """Return the answer of a token endpoint: one of the connection's, or a whole address that the config names."""
        url = self._address(place) if "://" in place else self._below(place, {})
        check = anything if for_cookies else records_json
        bare = origin_of(url) != origin_of(self._base)
        return self._follow(Call(url, sending, check, bare=bare, is_login=True, for_cookies=for_cookies))

    def _once(self, call: Call, secrets: Mapping[str, str]) -> Answer:
        self._deadline.begin()
        params = {} if call.bare or call.is_login else self._credentials.params()
        url = call.url.copy_merge_params(params) if params else call.url
        login = basic_header(url.username, url.password) if url.userinfo else {}
        headers = merged({} if call.bare else self._headers, call.sending.own_headers, secrets, login)
        with self._wire.stream(call.sending.method, url, headers, call.sending.content) as response:
            status = response.status
            body: Body
            if response.is_success:
                body = read_body(response.pieces, response.headers, self._most_bytes, self._scratch)
            else:
                # what an error says is quoted with a few words: the rest is left where it is
                most = MEMORY_BYTES if looks_into(call.rules, status) else _MOST_OF_AN_ERROR
                body = read_beginning(response.pieces, response.headers, most)
            answer = Answer(call.url, status, response.headers, body, call.sending.method)
        rule = rule_of(call.rules, status, answer.headers, body, lambda: answer.parsed)
        if rule:
            return replace(answer, rule=rule)
        if response.is_success:
            call.check(answer)
        return answer

    def _accept(self, call: Call, answer: Answer) -> Answer:
        if answer.rule and answer.rule.do == "fail":
            said = text_at(answer.rule.say, lambda: answer.parsed) if answer.rule.say else None
            told = self._subject.clean(said)[:_EXCERPT] if said else self._told(answer)
            raise self._subject.error(BadDataError, f"{answer.method} {shown(answer.url)}: {told}")
        if httpx.codes.is_success(answer.status) or answer.rule or gave_cookies(call, answer):
            return answer
        kind, hint = meaning_of(answer.status, self._connection.conn_id)
        if call.is_login and answer.status == httpx.codes.BAD_REQUEST:
            kind, hint = meaning_of(httpx.codes.UNAUTHORIZED, self._connection.conn_id)
        raise self._subject.error(kind, f"{answer.method} {shown(answer.url)}: {self._told(answer)}", hint)

    def _quoted(self, said: object) -> str:
        """Return the beginning of what a server or a library has said; cleaned first, or half a secret could stay."""
        text = " ".join(self._subject.clean(str(said)).split())
        # on one line a secret may be whole that was on two
        return self._subject.clean(text)[:_EXCERPT]

    def _told(self, answer: Answer) -> str:
        """`404 Not Found: {"error": ...}`."""
        text = self._quoted(bytes(answer.body[:_MOST_OF_AN_ERROR]).decode(errors="replace"))
        status = f"{answer.status} {httpx.codes.get_reason_phrase(answer.status)}".strip()
        return f"{status}: {text}" if text else status
