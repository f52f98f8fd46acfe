"""Where a requester of a manifest leads."""

from __future__ import annotations

import re
from typing import NamedTuple

from elt_factory.importing.manifest.saying import UnsaidError
from elt_factory.importing.manifest.tree import Node

_WHOLE = re.compile(r"\s*(https?://(?:\{\{.*?\}\}|[^/{])+|\{\{.*?\}\})(.*)", re.DOTALL)


class Address(NamedTuple):
    """The host, the path and the query, with the manifest's templates in them."""

    host: str
    path: str
    query: str


def address_of(requester: Node) -> Address:
    """Return where a requester leads.

    Raises:
        UnsaidError: it is computed.
    """
    whole = str(requester.get("url") or requester.get("url_base") or "")
    below = str(requester.get("path") or "")
    if below.startswith("http"):
        whole, below = below, ""
    found = _WHOLE.match(whole)
    if found is None:
        raise UnsaidError(f"an address that is computed: {whole[:60]}")
    parts = [part.strip().partition("?") for part in (found[2], below)]
    # an empty part of a path is a slip: a template must not make one either
    path = re.sub(r"/{2,}", "/", "/" + "/".join(way.strip("/") for way, _, _ in parts if way.strip("/")))
    ends = "/" if parts[-1][0].endswith("/") and path != "/" else ""
    return Address(" ".join(found[1].split()), path + ends, "&".join(query for _, _, query in parts if query))
