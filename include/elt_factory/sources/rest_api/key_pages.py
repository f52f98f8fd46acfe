"""The pages of one key of a table, from its first request to the proof of its end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from urllib.parse import parse_qsl

from elt_factory.core.failures import BadDataError, BadRequestError
from elt_factory.extract.label import TableLabel
from elt_factory.extract.request import ReadRequest
from elt_factory.extract.templating import values_of
from elt_factory.sources.rest_api.ahead import PagesAhead, asks_after
from elt_factory.sources.rest_api.answer import UnreadableAnswerError
from elt_factory.sources.rest_api.answer_model import AnswerRule
from elt_factory.sources.rest_api.api_model import RestApi
from elt_factory.sources.rest_api.delta import Delta
from elt_factory.sources.rest_api.exchange import Answer, Patience, shown
from elt_factory.sources.rest_api.http import HttpClient
from elt_factory.sources.rest_api.keys import Key
from elt_factory.sources.rest_api.model import RestSource, RestTable
from elt_factory.sources.rest_api.paginators import Ask, Page, by_header, number_of, told
from elt_factory.sources.rest_api.paging_model import SinglePage
from elt_factory.sources.rest_api.proof import Proof, Verdict
from elt_factory.sources.rest_api.records import flattened, records_of
from elt_factory.sources.rest_api.requests import Request, request_of
from elt_factory.sources.rest_api.signs_within import cut_off
from elt_factory.sources.rest_api.walk import Walk
from elt_factory.sources.rest_api.whole import refuse_failure

_CHUNK = 1024 * 1024


@dataclass(frozen=True)
class KeyPages:
    """Reads the pages of a table with a client, and up to `ahead` of them at the same time with others."""

    request: ReadRequest
    label: TableLabel
    source: RestSource
    api: RestApi
    client: HttpClient
    keep_token: Callable[[str | None], None]
    held: Mapping[str, str]
    another: Callable[[Patience], HttpClient]
    ahead: int = 1

    @property
    def table(self) -> RestTable:
        """What the YAML says of the table."""
        return self.source.tables[self.request.table]

    def read(self, key: Key) -> Iterator[Page]:
        """Yield the pages of a key whose records count.

        Raises:
            BadDataError: an answer is none that can be read, or the pages end too soon.
        """
        request, paginator = self._request(key), self.api.paginator
        has_body = request.sending({}).content is not None
        walk = Walk(paginator, self.request.most_pages)
        proof = Proof(paginator, self.table.delta_token, has_body=has_body)
        delta = Delta(self.table, self.request, self.label)
        ask: Ask | None = delta.first(paginator)
        answer: Answer | None = None
        with PagesAhead(partial(self._numbered, request=request), self.another, self.ahead) as ahead:
            while ask is not None:
                asked = ask
                found = ahead.take(asked) or self._answer(request, asked, answer)
                if found.rule and found.rule.do == "skip" and answer is None:
                    self.keep_token(delta.following(None))
                    return
                if found.rule:
                    yield from walk.rest()
                    break
                answer = found
                with _placed(answer, self.label):
                    page = walk.as_paged(self._page(answer))
                    proof.see(asked, page)
                    kept, ask = walk.take(asked, page)
                    kept = [replace(page, found=key.lines(page.found)) for page in kept] if key.kept else kept
                ahead.expect(asks_after(paginator, page, ask) if ask else ())
                yield from kept
        if answer is not None and not walk.broken_off:
            asked_with = {**_query_of(request.path), **request.params}
            self._prove(answer, proof.of_end(walk, asked_with, self.api.incomplete))
        if not walk.broken_off:
            self.keep_token(delta.following(answer.document if answer else None))

    def total(self, key: Key) -> int | None:
        """Return the number of all records of a key, as its first page says it.

        Raises:
            BadDataError: the answer is none that can be read.
        """
        path = getattr(self.api.paginator, "total", None)
        first = Delta(self.table, self.request, self.label).first(self.api.paginator)
        answer = self._answer(self._request(key), first, None)
        if answer.rule or path is None:
            return None
        with _placed(answer, self.label):
            return number_of(answer.document.find(path))

    def files(self, key: Key) -> Iterator[Answer]:
        """Yield the responses for a key that are files: one, or one for each page that a header leads to.

        Raises:
            BadDataError: one cannot be a file of data, or the pages never end.
        """
        request, paginator = self._request(key), self.api.paginator
        ask: Ask | None = Ask()
        before: Answer | None = None
        asked = set[int]()
        while ask is not None:
            answer = before = self._file(request, ask, before)
            yield answer
            asked.add(ask.key)
            if answer.rule or len(asked) == self.request.most_pages:
                return
            following = by_header(paginator, answer.headers)
            with _placed(answer, self.label):
                if following and following.key in asked:
                    raise UnreadableAnswerError(f"pagination loop: {told(following)} was returned twice")
                if following and len(asked) >= getattr(paginator, "max_pages", len(asked) + 1):
                    raise UnreadableAnswerError(f"more than {len(asked):,} pages (max_pages of the paginator)")
            ask = following

    def _file(self, request: Request, ask: Ask, before: Answer | None) -> Answer:
        if ask.link is not None and before is not None:
            return self.client.result(ask.link, before.url, self.api.answers, is_json=False)
        params, sending = request.page(ask.params)
        return self.client.download(request.path, params, sending, self.api.answers)

    def results(self, answers: Iterable[Answer], key: Key) -> Iterator[Page]:
        """Yield the records of answers that are the whole of a result together.

        Raises:
            BadDataError: one cannot be read, or they say that there is more.
        """
        model = SinglePage(type="single_page")
        walk, proof, last = Walk(model), Proof(model, has_body=True), None
        for answer in answers:
            last = answer
            with _placed(answer, self.label):
                page = self._page(answer)
                proof.see(Ask(), page)
                walk.take(Ask(), page)
                page = replace(page, found=key.lines(page.found)) if key.kept else page
            yield page
        if last is not None:
            self._prove(last, proof.of_end(walk, {}, self.api.incomplete))

    def _answer(self, request: Request, asked: Ask, before: Answer | None) -> Answer:
        if asked.link is not None:
            rules = [*self.api.answers, *(self._past_last() if before is not None else ())]
            return self.client.ask_link(asked.link, before.url if before else None, request.sending({}), rules)
        return self._numbered(self.client, asked, request, is_first=before is None)

    def _numbered(self, client: HttpClient, asked: Ask, request: Request, *, is_first: bool = False) -> Answer:
        try:
            params, sending = request.page(asked.params)
        except UnreadableAnswerError as error:
            raise self.label.error(BadRequestError, str(error)) from None
        return client.ask(request.path, params, sending, [*self.api.answers, *(() if is_first else self._past_last())])

    def _past_last(self) -> Sequence[AnswerRule]:
        statuses: tuple[int, ...] = getattr(self.api.paginator, "past_last", ())
        return [AnswerRule(status=statuses, do="end")] if statuses else []

    def _request(self, key: Key) -> Request:
        delta = Delta(self.table, self.request, self.label)
        values = {**values_of(self.request), **self.held, **delta.values, **key.values}
        try:
            return request_of(self.source, self.request.table, values, self.api.paginator)
        except BadRequestError as error:
            raise self.label.error(BadRequestError, str(error)) from None

    def _page(self, answer: Answer) -> Page:
        table, document = self.table, answer.document
        above = table.records.above if table.records else None
        refuse_failure(document, above, table.columns)
        found = records_of(document, table.records)
        cut = cut_off(found.around, table.records.path or "") if found.around and table.records else ""
        return Page(document, answer.headers, flattened(found.records, table.flatten), above, found.around, cut)

    def _prove(self, answer: Answer, verdict: Verdict) -> None:
        """Fail, or warn, where the answers say that the pages had not ended."""
        text = f"{answer.method} {shown(answer.url)}: {verdict.text}"
        if verdict.fails:
            raise self.label.error(BadDataError, text, verdict.hint)
        if verdict.text:
            (self.request.warn or self.request.log)(self.label.clean(f"{self.label}: {text}"))


def _query_of(path: str) -> Mapping[str, str]:
    return dict(parse_qsl(path.partition("?")[2]))


@contextmanager
def _placed(answer: Answer, label: TableLabel) -> Iterator[None]:
    """Say where an unreadable answer came from."""
    try:
        yield
    except UnreadableAnswerError as error:
        raise label.error(BadDataError, f"{answer.method} {shown(answer.url)}: {error}") from None


def saved(answer: Answer, file: Path) -> bool:
    """Put a response into a file; whether there is something in it."""
    pieces = (answer.body[start : start + _CHUNK] for start in range(0, len(answer.body), _CHUNK))
    if answer.rule or not any(bytes(piece).strip() for piece in pieces):
        return False
    with file.open("wb") as out:
        for start in range(0, len(answer.body), _CHUNK):
            out.write(answer.body[start : start + _CHUNK])
    return True
