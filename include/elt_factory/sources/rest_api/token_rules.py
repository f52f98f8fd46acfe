"""What is wrong with `delta_token`: it belongs to one sequence of pages, and its first load has none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from elt_factory.config.errors import KEY, MistakeError
from elt_factory.sources.rest_api.request_model import DELTA_TOKEN

if TYPE_CHECKING:
    from elt_factory.sources.rest_api.model import RestTable

_ALONE = ("for_each", "slices", "format")
_WITHOUT = ("path", "body", "headers")  # a part of these cannot be left out


def token_mistakes(table: RestTable) -> Iterator[MistakeError]:
    """Yield what is wrong with `delta_token` of a table."""
    if table.delta_token is None:
        return
    for name in _ALONE:
        if getattr(table, name) is not None:
            message = f"delta_token and {name} exclude each other: one token belongs to one sequence of JSON pages"
            yield MistakeError(message, "keep one of them", at=(DELTA_TOKEN, KEY), code="conflict")
    if table.write_disposition != "merge":
        message = f"delta_token sends only what has changed, which {table.write_disposition} cannot follow"
        hint = "use write_disposition: merge with a primary_key"
        yield MistakeError(message, hint, at=(DELTA_TOKEN, KEY), code="conflict")
    for at, found in table.templates.items():
        if at[0] in _WITHOUT and any(use.name == DELTA_TOKEN for use in found):
            message = f"the first load has no delta_token, and {at[0]} needs a value"
            yield MistakeError(message, "use it in params, json, form or variables", at=at, code="conflict")


def tombstone_mistakes(table: RestTable) -> Iterator[MistakeError]:
    """Yield what is wrong with `deletes` of a table: an API says of single records that they are gone."""
    if table.deletes is None:
        return
    if table.deletes.compare:
        message = "an API does not send the keys of all rows, so they cannot be compared"
        hint = "write deletes: {column: ...}, or write_disposition: replace"
        yield MistakeError(message, hint, at=("deletes",), code="conflict")
    elif table.deletes.column and table.deletes.column not in table.columns:
        message = f'"{table.deletes.column}" is not declared, and most responses do not have it'
        hint = "add it to columns: with its type, such as json for an object, or timestamp"
        yield MistakeError(message, hint, at=("deletes", "column"), code="unknown-column")
