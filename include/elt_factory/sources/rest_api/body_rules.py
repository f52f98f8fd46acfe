"""What is wrong with the body of a request: two of them, pages in a body that is not there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from elt_factory.config.errors import KEY, MistakeError
from elt_factory.sources.rest_api.paging_model import is_by_header

if TYPE_CHECKING:
    from elt_factory.sources.rest_api.model import RestTable
    from elt_factory.sources.rest_api.paging_model import Paginator

_NO_BODY, _ADD = "there is no body to put the page into", "add json: {}, form: {},"
_BODIES = {"json": "json_body", "form": "form", "body": "body", "graphql": "graphql"}


def body_mistakes(table: RestTable) -> Iterator[MistakeError]:
    """Yield what is wrong with the body of a table's requests."""
    given = [name for name, field in _BODIES.items() if getattr(table, field) is not None]
    if len(given) > 1:
        hint = "keep one of them"
        yield MistakeError(f"{given[0]} and {given[1]} exclude each other", hint, at=(given[1], KEY), code="conflict")
    if table.variables and "graphql" not in given:
        hint = "add graphql: with a query"
        yield MistakeError("variables needs graphql", hint, at=("variables", KEY), code="conflict")
    if getattr(table.paginator, "place", None) == "body" and not _holds_pages(table):
        yield MistakeError(_NO_BODY, f"{_ADD} or write in: query", at=("paginator", "in"), code="conflict")


def format_mistakes(table: RestTable) -> Iterator[MistakeError]:
    """Yield what a response that is a file does not have."""
    if table.format is None:
        return
    if table.records is not None:
        hint = "remove records: a format has its own"
        yield MistakeError("records is for JSON responses", hint, at=("records", KEY), code="conflict")
    for name in ("keep", "flatten"):
        if getattr(table, name):
            yield MistakeError(f"{name} is for JSON responses", f"remove {name}", at=(name, KEY), code="conflict")
    if table.paginator is not None and table.paginator.type != "single_page" and not is_by_header(table.paginator):
        message = "a response with a format is a file, which does not say what page follows"
        hint = "remove paginator, or use type: header_link or cursor_header: where a header leads to the next page"
        yield MistakeError(message, hint, at=("paginator", KEY), code="conflict")


def pages_without_body(tables: Mapping[str, RestTable], paginator: Paginator) -> Iterator[MistakeError]:
    """Yield the tables without a body where the paginator of all tables puts its value into one."""
    if getattr(paginator, "place", None) != "body":
        return
    for name, table in tables.items():
        if table.paginator is None and not table.format and not _holds_pages(table):
            hint = f"{_ADD} or a paginator: of its own"
            yield MistakeError(_NO_BODY, hint, at=("tables", name, KEY), code="conflict")


def _holds_pages(table: RestTable) -> bool:
    return table.json_body is not None or table.form is not None or table.graphql is not None
