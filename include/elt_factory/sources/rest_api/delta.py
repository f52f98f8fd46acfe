"""An API's own token for what has changed: where a load begins with it, and what the next one begins with."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl

from elt_factory.core.failures import BadDataError, BadRequestError
from elt_factory.extract.label import TableLabel
from elt_factory.extract.request import ReadRequest
from elt_factory.sources.rest_api import paginators
from elt_factory.sources.rest_api.answer import Document
from elt_factory.sources.rest_api.model import RestTable
from elt_factory.sources.rest_api.paginators import Ask
from elt_factory.sources.rest_api.paging_model import (
    HeaderLinkPaginator,
    JsonLinkPaginator,
    Paginator,
    SinglePage,
)
from elt_factory.sources.rest_api.request_model import DELTA_TOKEN

_SHORTEST = 6  # shorter ones are words and numbers that messages are made of
_LINK = re.compile(r"https?://|/")
_BY_LINK = (SinglePage, JsonLinkPaginator, HeaderLinkPaginator)


@dataclass(frozen=True)
class Delta:
    """The token of a table that has one; of any other, everything is as without it."""

    table: RestTable
    request: ReadRequest
    label: TableLabel

    @property
    def values(self) -> dict[str, str]:
        """The token by its name in templates."""
        token = self.request.cursor.token
        return {DELTA_TOKEN: token} if token else {}

    def first(self, paginator: Paginator) -> Ask:
        """Return the request that begins the pages.

        Raises:
            BadRequestError: nothing sends the token.
        """
        token = self.request.cursor.token
        self._hide(token or "")
        if token is None or any(use.name == DELTA_TOKEN for found in self.table.templates.values() for use in found):
            return paginators.first(paginator)
        path = self.table.delta_token
        if not _LINK.match(token):
            text = f'the token at "{path}" is not a link, and no template sends it'
            hint = 'add it to params:, as in token: "{{ delta_token }}", and run with full refresh'
            raise self.label.error(BadRequestError, text, hint)
        if not isinstance(paginator, _BY_LINK):
            text = f'the token at "{path}" is a link, and {paginator.type} would ask for its second page without it'
            raise self.label.error(BadRequestError, text, "use paginator: json_link or header_link")
        return Ask(link=token)

    def following(self, last: Document | None) -> str | None:
        """Return what the next load begins with.

        Raises:
            BadDataError: the last page has no token, so that the next load would not know where to begin.
        """
        path = self.table.delta_token
        if path is None:
            return None
        if last is None:
            return self.request.cursor.token
        found = paginators.text_at(last, path)
        if found == "":
            text = f'the last page has no "{path}": the next load would not know where to begin'
            raise self.label.error(BadDataError, text, "check delta_token: and paginator:")
        self._hide(str(found))
        return str(found)

    def _hide(self, token: str) -> None:
        """Keep a token out of messages: as it is, and what a link carries in its query."""
        for secret in (token, *(value for _, value in parse_qsl(token.partition("?")[2]))):
            if len(secret) >= _SHORTEST:
                self.label.learn(secret)
