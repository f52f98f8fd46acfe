"""What one page of a table is asked for with: templates filled in, the page's own values in their place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from typing import Any
from urllib.parse import urlencode
from xml.sax.saxutils import escape

import msgspec

from elt_factory.config.models.templates import Values, render, typed, uses
from elt_factory.extract.templating import endpoint_of
from elt_factory.sources.rest_api.answer import UnreadableAnswerError, steps
from elt_factory.sources.rest_api.model import RestSource, RestTable
from elt_factory.sources.rest_api.paginators import Json
from elt_factory.sources.rest_api.paging_model import Paginator
from elt_factory.sources.rest_api.request_model import DELTA_TOKEN
from elt_factory.sources.rest_api.sending import FORM, GET, JSON, Sending

_Params = Mapping[str, Any]
_ENCODER = msgspec.json.Encoder(decimal_format="number")
_QUOTES = {'"': "&quot;", "'": "&apos;"}


@dataclass(frozen=True)
class Request:
    """One table's request for one key: path, parameters and body without those of a page."""

    path: str
    params: _Params
    table: RestTable
    place: str
    values: Values
    zone: str
    headers: Mapping[str, str]

    def page(self, params: _Params) -> tuple[_Params, Sending]:
        """Return the parameters and what is sent for a page with these values of its own."""
        in_body = self.place == "body"
        return {**self.params, **({} if in_body else params)}, self.sending(params if in_body else {})

    def sending(self, own: _Params) -> Sending:
        """Return the method, the headers and the body of a request."""
        return replace(self._body(own), headers=self.headers)

    def _body(self, own: _Params) -> Sending:
        table = self.table
        if table.graphql is not None:
            variables = _set(self._filled(table.variables), own)
            return _json({"query": table.graphql, **({"variables": variables} if variables else {})})
        if table.json_body is not None:
            return _json(_set(self._filled(table.json_body), own))
        if table.form is not None:
            return Sending("POST", urlencode(_in_query({**self._filled(table.form), **own})).encode(), FORM)
        if table.body is not None:
            safe = (lambda text: escape(text, _QUOTES)) if table.body.lstrip().startswith("<") else str
            return Sending("POST", render(table.body, self.values, self.zone, safe).encode())
        return GET

    def _filled(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            kept = {name: below for name, below in value.items() if not _lacks_token(below, self.values)}
            return {name: self._filled(below) for name, below in kept.items()}
        if isinstance(value, Sequence) and not isinstance(value, str):
            return [self._filled(below) for below in value if not _lacks_token(below, self.values)]
        return _value(value, self.values, self.zone) if isinstance(value, str) else value


def request_of(source: RestSource, name: str, values: Values, paginator: Paginator) -> Request:
    """Return the request of a table.

    Raises:
        BadRequestError: a value cannot be a part of the path.
    """
    table, zone = source.tables[name], source.timezone
    filled = partial(_filled, values=values, zone=zone)
    params = {key: filled(value) for key, value in source.params_of(name).items() if not _lacks_token(value, values)}
    headers = {key: render(text, values, zone) for key, text in table.headers.items()}
    place = getattr(paginator, "place", None) or ("body" if table.graphql is not None else "query")
    return Request(endpoint_of(table.path, values, zone), params, table, place, values, zone, headers)


def _lacks_token(value: Any, values: Values) -> bool:
    """Whether a text needs the API's token of the load before, and there is none: the first load asks for all."""
    return isinstance(value, str) and any(use.name == DELTA_TOKEN and use.name not in values for use in uses(value))


def _value(text: str, values: Values, zone: str) -> Any:
    """Return a text with its templates filled in; one that is a single template keeps the type of its value."""
    found = list(uses(text))
    if len(found) != 1 or not (text.startswith("{{") and text.endswith("}}")):
        return render(text, values, zone)
    value = typed(found[0], values, zone)
    return value if isinstance(value, bool | int | float | Decimal) else render(text, values, zone)


def _filled(value: Any, values: Values, zone: str) -> Any:
    """Return a parameter with its templates filled in; a list is a parameter for each of its values."""
    if isinstance(value, tuple):
        return [_filled(below, values, zone) for below in value if not _lacks_token(below, values)]
    return render(value, values, zone) if isinstance(value, str) else value


def _in_query(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    pairs = [(name, one) for name, value in values.items() for one in (value if isinstance(value, list) else [value])]
    return [(name, str(value).lower() if isinstance(value, bool) else str(value)) for name, value in pairs]


def _set(body: Any, own: _Params) -> Any:
    """Return a body with values put at dotted paths in it."""
    for path, value in own.items():
        *above, last = steps(path)
        node = body
        for name in above:
            node = node.setdefault(name, {}) if isinstance(node, dict) else None
        if not isinstance(node, dict):
            raise UnreadableAnswerError(f'the body has no object at "{path}" to put the page into')
        node[last] = msgspec.Raw(value.encode()) if isinstance(value, Json) else value
    return body


def _json(value: Any) -> Sending:
    return Sending("POST", _ENCODER.encode(value), JSON)
