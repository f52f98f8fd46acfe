"""A look at a JSON API: records, paginator and window parameters, each confirmed by asking again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from elt_factory.core.connection import Connection
from elt_factory.core.failures import AccessDeniedError, BadDataError, BadRequestError, EltError, SourceUnavailableError
from elt_factory.discover.found import Guess, Sample, SourceFound
from elt_factory.discover.periods import sane_name
from elt_factory.discover.sample import MOST_RECORDS, sample_of, spool_of
from elt_factory.discover.table import Ground, first_day, table_of
from elt_factory.extract.label import TableLabel, secrets_of
from elt_factory.sources.rest_api import paginators
from elt_factory.sources.rest_api import window_params as windows
from elt_factory.sources.rest_api.answer import UnreadableAnswerError, check_objects
from elt_factory.sources.rest_api.api_model import RestApi
from elt_factory.sources.rest_api.auth_model import ApiKeyAuth, BasicAuth, BearerAuth, NoAuth
from elt_factory.sources.rest_api.exchange import Answer, Patience
from elt_factory.sources.rest_api.http import HttpClient
from elt_factory.sources.rest_api.paginators import Ask, Page
from elt_factory.sources.rest_api.paging import empty_lists, paginator_candidates, records_paths
from elt_factory.sources.rest_api.paging_model import PageNumberPaginator, Paginator, SinglePage
from elt_factory.sources.rest_api.signs import Came, contradiction, signs_of
from elt_factory.sources.rest_api.signs_alone import by_headers, with_alone

_PATIENCE = Patience(tries=4, longest_retry_after=10.0)
_KEY_HEADERS = ("X-API-Key", "Api-Key", "X-Auth-Token")
_PAGES, _MOST_PAGES, _SECONDS = 3, 50, 5.0
_DENIED = "the API refused the request without valid credentials; hint: put the secret into the connection's password"
_LISTS_RECORDS = "hint: choose a path that lists records"
Auth = ApiKeyAuth | BearerAuth | BasicAuth | NoAuth


@dataclass(frozen=True)
class Endpoint:
    """What to look at: one path of the API behind a connection."""

    connection: Connection
    name: str
    path: str
    params: Mapping[str, str]


@dataclass(frozen=True)
class _First:
    api: RestApi
    auth: Auth | None
    answer: Answer


def look_at_api(endpoint: Endpoint, workdir: Path) -> SourceFound:
    """Return what one endpoint of an API holds, and how it is read.

    Raises:
        EltError: it cannot be reached, wants another secret, or answers no list of records.
    """
    first = _first_answer(endpoint)
    body = _json(first.answer)
    paths = records_paths(body)
    if not paths:
        raise BadDataError(f"GET {endpoint.path}: {_without_records(body)}")
    with _client(endpoint, first.api) as client:
        reader = _Reader(client, endpoint, paths[0])
        paginator, more = _confirmed(reader, first.answer, body)
        records = [*reader.records(first.answer), *more]
        sample = sample_of(spool_of(records, workdir, {}))
        trial = windows.confirmed(sample, reader.ask)
    return _source(endpoint, first, paths, paginator, (sample, trial))


def _source(
    endpoint: Endpoint,
    first: _First,
    paths: Sequence[str | None],
    paginator: Paginator,
    seen: tuple[Sample, windows.Trial],
) -> SourceFound:
    sample, window = seen[0], seen[1].window
    extract = {
        "type": Guess("rest_api", ""),
        "connection": Guess(endpoint.connection.conn_id, "an Airflow connection holds the address and credentials"),
    }
    if first.auth:
        extract["auth"] = Guess(_flow(first.auth), "tried: the API accepts it")
    extract["paginator"] = Guess(
        _flow(paginator), _why_paginator(paginator, _against(first.answer, paths[0], endpoint.params))
    )
    lines = {"path": Guess(json.dumps(endpoint.path), seen[1].doubt)}
    params = {**endpoint.params, **(window.templates if window else {})}
    if params:
        shown = ", ".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in params.items())
        lines["params"] = Guess(f"{{{shown}}}", window.why if window else "as in the URL")
    if paths[0]:
        also = f"; or: {', '.join(map(str, paths[1:]))}" if paths[1:] else ""
        lines["records"] = Guess(json.dumps(paths[0]), f"the list of objects in the response{also}")
    name = sane_name(endpoint.path.rstrip("/").rsplit("/", 1)[-1]) or "records"
    column = window.column if window else None
    table = table_of(sample, Ground(name, lines, window=column, whole=window is None, cursors=window is not None))
    return SourceFound(extract, [table], first_day(sample, table))


@dataclass(frozen=True)
class _Reader:
    """Asks the endpoint and finds the records in its answers."""

    client: HttpClient
    endpoint: Endpoint
    path: str | None

    def get(self, params: Mapping[str, str | int]) -> Answer:
        return self.client.ask(self.endpoint.path, {**self.endpoint.params, **params})

    def page(self, answer: Answer) -> Page:
        try:
            document = answer.document
            found = document.records(self.path)
            check_objects(found)
        except UnreadableAnswerError as error:
            raise BadDataError(f"GET {self.endpoint.path}: {error}; {_LISTS_RECORDS}") from None
        return Page(document, answer.headers, found)

    def records(self, answer: Answer) -> list[Mapping[str, Any]]:
        return [json.loads(line) for line in self.page(answer).lines.splitlines()]

    def ask(self, params: Mapping[str, str]) -> list[Mapping[str, Any]] | None:
        """Return the records of the first page for these parameters; None where the API refuses them."""
        try:
            return self.records(self.get(params))
        except (BadRequestError, BadDataError, SourceUnavailableError):
            return None


def _first_answer(endpoint: Endpoint) -> _First:
    """Return the endpoint's answer, with the first way of sending the secret that it takes."""
    for auth in _auths(endpoint.connection):
        api = RestApi(type="rest_api", connection=endpoint.connection.conn_id, auth=auth)
        try:
            with _client(endpoint, api) as client:
                return _First(api, auth, client.get(endpoint.path, dict(endpoint.params)))
        except AccessDeniedError:
            continue
    raise AccessDeniedError(f"GET {endpoint.path}: {_DENIED} (bearer, basic and {', '.join(_KEY_HEADERS)} were tried)")


def _auths(connection: Connection) -> list[Auth | None]:
    if not connection.password:
        return [None]
    headers: list[Auth | None] = [ApiKeyAuth(type="api_key", header=name) for name in _KEY_HEADERS]
    return [None, *headers, *([BearerAuth(type="bearer")] if connection.login else [])]


def _confirmed(reader: _Reader, first: Answer, body: Any) -> tuple[Paginator, list[Mapping[str, Any]]]:
    """Return the first paginator that brings other records, and the records that it brought."""
    for model in paginator_candidates(body, first.headers, reader.page(first).records):
        try:
            more = _more(reader, model, first)
        except (EltError, UnreadableAnswerError):
            continue
        if more:
            return model, more
    return SinglePage(type="single_page"), []


def _more(reader: _Reader, model: Paginator, first: Answer) -> list[Mapping[str, Any]]:
    ask: Ask | None = paginators.first(model)
    answer = first if ask is None or not ask.params else reader.get(ask.params)
    page = reader.page(answer)
    one, before, found = reader.page(first).lines, page.lines, list[Mapping[str, Any]]()
    seen, asked = {one, before}, set[int]()
    if ask and ask.params and before != one:
        return []
    enough = monotonic() + _SECONDS
    for number in range(_MOST_PAGES):
        ask = paginators.following(model, ask or Ask(), page)
        # types and keys are the surer the more is seen, as long as it is cheap; a cursor may lead to itself at the end
        many = number >= _PAGES and (len(found) >= MOST_RECORDS or monotonic() > enough)
        if ask is None or ask.key in asked or many:
            break
        asked.add(ask.key)
        answer = reader.client.ask_link(ask.link, answer.url) if ask.link else reader.get(ask.params)
        page = reader.page(answer)
        if page.lines in seen:
            # some servers send the last page again for each number past it
            return found if found and page.lines == before and isinstance(model, PageNumberPaginator) else []
        before = page.lines
        seen.add(before)
        found += reader.records(answer)
    return found


def _client(endpoint: Endpoint, api: RestApi) -> HttpClient:
    label = TableLabel(endpoint.name, endpoint.path, secrets_of(endpoint.connection))
    return HttpClient(api, endpoint.connection, label, _PATIENCE)


def _without_records(body: Any) -> str:
    if empty := empty_lists(body):
        return (
            f'the list "{empty[0]}" of the response is empty; hint: choose a path, or parameters in the URL, for which '
            "it has records"
        )
    return f"the response contains no list of records; {_LISTS_RECORDS}"


def _json(answer: Answer) -> Any:
    try:
        return json.loads(bytes(answer.body))
    except ValueError:
        raise BadDataError("the response is not JSON; hint: use a path of the API, not of a web page") from None


def _why_paginator(model: Paginator, against: str) -> str:
    if not isinstance(model, SinglePage):
        return "tried: the next page has different records"
    if against:
        return f"no pagination found, but {against}"
    return "no pagination found: check that one response holds everything"


def _against(answer: Answer, records: str | None, params: Mapping[str, str]) -> str:
    """Return what a first response says against being all there is."""
    document = answer.document
    page = Page(document, answer.headers, document.records(records), records)
    signs = with_alone(signs_of(document, records), document, records)
    came = Came(page.records, page.items, 1)
    against = contradiction(SinglePage(type="single_page"), (), signs, signs, page, came)
    if not against and (counted := by_headers(page, signs, came)):
        # next to parameters, which may limit what comes on purpose, it is a warning
        return counted if params else f"{counted}: loads fail until this is right"
    said = against.removeprefix("the pages ended, but ").removesuffix(": check paginator:")
    return said and f"{said}: loads fail until this is right"


def _flow(model: Paginator | Auth) -> str:
    values = model.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return "{" + ", ".join(f"{key}: {json.dumps(v) if key != 'type' else v}" for key, v in values.items()) + "}"
