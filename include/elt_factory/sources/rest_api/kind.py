"""JSON APIs over HTTP."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from elt_factory.config.models.durations import format_duration
from elt_factory.config.models.templates import render
from elt_factory.sources.kind import Advice, Asked, Jobs, SourceKind, Wish
from elt_factory.sources.rest_api import (
    answer_model,
    api_model,
    auth_model,
    job_model,
    model,
    paging_model,
    records_model,
)
from elt_factory.sources.rest_api.each_model import Each
from elt_factory.sources.rest_api.each_rules import roots_of
from elt_factory.sources.rest_api.keys import Key, keys, sliced
from elt_factory.sources.rest_api.model import RestSource, RestTable
from elt_factory.sources.rest_api.paging_model import CursorPaginator, Paginator
from elt_factory.sources.rest_api.request_model import JOB_KEY
from elt_factory.sources.rest_api.window_ends import names_one_day_of_slices, open_side

if TYPE_CHECKING:
    from elt_factory.config.models.source import Source
    from elt_factory.core.connection import Connection
    from elt_factory.discover.found import SourceFound
    from elt_factory.extract.request import Part, ReadRequest, Spool
    from elt_factory.extract.templating import Values

_SHOWN = 3  # of the requests of lists


def _read(request: ReadRequest) -> Spool:
    from elt_factory.sources.rest_api import reader as rest

    return rest.read(request)


def _count(request: ReadRequest) -> int | None:
    from elt_factory.sources.rest_api import counting

    return counting.count(request)


def _parts(request: ReadRequest, most: int) -> Sequence[Part]:
    from elt_factory.extract.label import source_of
    from elt_factory.sources.rest_api.keys import parts

    source = source_of(request, RestSource)
    return parts(request.window, source.tables[request.table], source.timezone, most)


def _is_over(request: ReadRequest) -> bool:
    from elt_factory.sources.rest_api import jobs

    return jobs.is_over(request)


def _cancel(request: ReadRequest) -> None:
    from elt_factory.sources.rest_api import jobs

    jobs.cancel(request)


def _asked(asked: Asked) -> list[str]:
    table: RestTable = asked.source.tables[asked.table]
    if table.keeps_token:
        first = _request(asked, {})
        return [f"{first} at first, and then what the API's delta token of the last load says"]
    if table.job:
        first_key, *more = islice(_keys(asked, table), 2)
        return [*_requests_of_job(asked, table.job, first_key.values), *(["and so on"] if more else []), *_of(table)]
    requests = [_request(asked, key.values) for key in islice(_keys(asked, table), _SHOWN + 1)]
    if table.for_each and table.for_each.of_rows:
        return [f"{requests[0]} {_of(table)[0]}"]
    return [*requests[:_SHOWN], *(["and so on"] if len(requests) > _SHOWN else [])]


def _keys(asked: Asked, table: RestTable) -> Iterator[Key]:
    """Yield what requests are made with; of rows that only a run knows one, in capital words as for a cursor."""
    if table.for_each and table.for_each.of_rows:
        names = (f"{table.for_each.of_rows}.{column}" for column in table.columns_of_parent)
        yield Key({name: name.upper() for name in names})
    else:
        yield from sliced(keys(table.for_each, {}, None), asked.window, table, asked.source.timezone)


def _of(table: RestTable) -> list[str]:
    """Return which rows of a run a table is asked for with, as a line; nothing where there are none."""
    each = table.for_each
    if each is None or not each.of_rows:
        return []
    of = f" ({', '.join(each.of)})" if each.of else ""
    return [f"for each row of {each.of_rows}{of}{' and each piece of the window' if table.slices else ''}"]


def _requests_of_job(asked: Asked, job: job_model.Job, own: Values) -> list[str]:
    named, done = f"GET {asked.source.extract.connection}:", " or ".join(map(str, job.done))
    looked = named.replace("GET", "POST") if job.json_body is not None else named
    until = f"{job.status} is {done}" if job.status else "the status is not 202"

    own = {**own, job_model.JOB_ID: "JOB.ID", JOB_KEY: "JOB.KEY", job_model.JOB_FILE: "JOB.FILE"}

    def path(text: str) -> str:
        return render(
            text,
            {**asked.values, **own},
            asked.source.timezone,
        )

    return [
        _request(asked, own),
        f"{looked}{path(job.path)} every {format_duration(job.every)} until {until}",
        *([f"{named}{path(job.links)}"] if job.links else []),
        f"{named}{path(job.download)}" if job.download else f"GET the links at {job.result}",
    ]


def _request(asked: Asked, own: Values) -> str:
    from elt_factory.sources.rest_api.held import shown_values
    from elt_factory.sources.rest_api.requests import request_of

    source: RestSource = asked.source
    paginator = source.api_of(asked.table).paginator
    held = shown_values(source.tables[asked.table].held)
    request = request_of(source, asked.table, {**asked.values, **held, **own}, paginator)
    sending = request.sending({})
    query = f"?{urlencode(request.params, doseq=True, safe=':/,')}" if request.params else ""
    body = f" {sending.content.decode()}" if sending.content else ""
    return f"{sending.method} {source.extract.connection}:{request.path}{query}{body}"


def _sampled(asked: Asked, _: Connection | None, __: Path) -> tuple[Source, str]:
    each = asked.source.tables[asked.table].for_each
    of = f" of some of {each.of_rows or ', '.join(each.lists)}" if each else ""
    return _with_few_values(asked.source, asked.table), f"the first pages of {asked.window}{of}"


def _with_few_values(source: RestSource, name: str) -> RestSource:
    """Return the source with a table that asks for the first values of its lists only."""
    table = source.tables[name]
    if table.for_each is None or not table.for_each.lists:
        return source
    few = Each(lists={key: values[:1] for key, values in table.for_each.lists.items()})
    tables = {**source.tables, name: table.model_copy(update={"for_each": few})}
    return source.model_copy(update={"tables": tables})


def _discover(wish: Wish, scratch: Path) -> SourceFound:
    from elt_factory.sources.rest_api.address import address_of
    from elt_factory.sources.rest_api.discovery import Endpoint, look_at_api

    path = wish.path or wish.ask("Path below the URL")
    # a path may carry parameters, and a secret among them, as a whole address does
    address = address_of(f"http://host/{path.lstrip('/')}")
    return look_at_api(Endpoint(wish.connection, wish.name, address.path, address.params), scratch)


def _advice(source: RestSource) -> Iterator[Advice]:
    yield from _unnamed_cursor(source.extract.paginator, ("extract", "paginator"))
    for name, table in source.tables.items():
        yield from _unnamed_cursor(table.paginator, ("tables", name, "paginator"))
        yield from _appended_again(source, name, table)
        yield from _rewritten_keys(source, name, table)
        yield from _without_end(name, table)
        if names_one_day_of_slices(table):
            message = (
                "each slice has several days, but its request names only one: unless the API answers for the whole "
                "slice, the other days are not read"
            )
            hint = 'write slices: 1d, or use both "{{ window.start }}" and "{{ window.end }}"'
            yield ("tables", name, "slices"), "part-of-slice", message, hint
        if table.incremental and not table.takes_window:
            hint = 'use "{{ window.start }}" or "{{ cursor }}" in path or params'
            at = ("tables", name, "incremental")
            yield at, "window-unused", "the request does not select new records: every run reads everything", hint


def _rewritten_keys(source: RestSource, name: str, table: RestTable) -> Iterator[Advice]:
    """Yield the columns that a path is asked with and whose type does not keep how the API wrote them."""
    if table.query_of_keys:
        return
    for parent in table.parents:
        for use in table.templates.get(("path",), ()):
            column = source.tables[parent].columns.get(use.name.removeprefix(f"{parent}."))
            if column and column.type and column.type.name in ("timestamp", "datetime", "float") and not use.filter:
                message = f"{use.name} is {column.type}, so the API is not asked with the text that it wrote"
                hint = f"write type: text for it in {parent}, if it is a key of the API"
                yield ("tables", name, "path"), "key-rewritten", message, hint


def _appended_again(source: RestSource, name: str, table: RestTable) -> Iterator[Advice]:
    """Yield a table that appends the children of all rows with every run."""
    roots = roots_of(name, source.tables)
    if table.appends_all_it_is_sent and roots and not all(root.takes_window for root in roots):
        hint = "use write_disposition: merge or replace, or read the parent by window"
        message = f"every run appends all rows of {name} again, because it reads all of {', '.join(table.parents)}"
        yield ("tables", name), "append-again", message, hint


def _without_end(name: str, table: RestTable) -> Iterator[Advice]:
    """Yield a table whose requests leave an end of the window open, where nothing else keeps its rows apart."""
    side = open_side(table) if table.write_disposition == "append" else None
    if side and not (table.incremental and (table.primary_key or side in table.leaves_out)):
        end = "window.end" if side == "after" else "window.start"
        message = (
            f"the request does not use {end}, so rows {side} the window are appended twice: now and by their own run"
        )
        hint = f'use "{{{{ {end} }}}}" too, or add incremental: {{cursor: ...}} with the time of the rows, or use merge'
        yield ("tables", name), "append-beyond", message, hint


def _unnamed_cursor(paginator: Paginator | None, at: tuple[str | int, ...]) -> Iterator[Advice]:
    # a cursor in a header or in the last record has no path
    if isinstance(paginator, CursorPaginator) and paginator.model_fields_set.isdisjoint(paginator.cursors):
        message = f'if no response contains "{paginator.cursor_path}", only the first page is read'
        yield at, "default-cursor", message, "add cursor_path: with the path of the cursor in the response"


KIND = SourceKind(
    name="rest_api",
    title="A JSON API",
    config=RestSource,
    places=(
        (api_model.RestApi, "extract"),
        (model.RestTable, "tables.<name>"),
        (paging_model.SinglePage, "extract.paginator"),
        (paging_model.CursorPaginator, "extract.paginator"),
        (paging_model.JsonLinkPaginator, "extract.paginator"),
        (paging_model.HeaderLinkPaginator, "extract.paginator"),
        (paging_model.OffsetPaginator, "extract.paginator"),
        (paging_model.PageNumberPaginator, "extract.paginator"),
        (auth_model.ApiKeyAuth, "extract.auth"),
        (auth_model.BearerAuth, "extract.auth"),
        (auth_model.BasicAuth, "extract.auth"),
        (auth_model.NoAuth, "extract.auth"),
        (auth_model.OAuth2Auth, "extract.auth"),
        (auth_model.SessionAuth, "extract.auth"),
        (auth_model.JwtAuth, "extract.auth"),
        (answer_model.AnswerRule, "extract.answers.<n>"),
        (records_model.Records, "tables.<name>.records"),
        (job_model.Job, "tables.<name>.job"),
    ),
    read=_read,
    asked=_asked,
    sampled=_sampled,
    connection_types=("http", "https"),
    discover=_discover,
    advice=_advice,
    jobs=Jobs(_is_over, _cancel),
    count=_count,
    parts=_parts,
)
