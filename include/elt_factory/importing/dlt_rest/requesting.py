"""Pages and credentials of a configuration of dlt, which are objects, mappings or a word there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from elt_factory.importing.dlt_rest.literals import SPREAD, Called, Joined, Unknown
from elt_factory.importing.dlt_rest.saying import Words, hidden, path, shown
from elt_factory.importing.manifest.saying import UnsaidError

Said = Mapping[str, Any]
Made = dict[str, Any]
# what classes are given without a name, in dlt's order
_CLASSES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "JSONLinkPaginator": ("json_link", ("next_url_path",)),
    "JSONResponsePaginator": ("json_link", ("next_url_path",)),
    "HeaderLinkPaginator": ("header_link", ("links_next_key",)),
    "HeaderCursorPaginator": ("header_cursor", ("cursor_key", "cursor_param")),
    "JSONResponseCursorPaginator": ("cursor", ("cursor_path", "cursor_param")),
    "OffsetPaginator": ("offset", ("limit", "offset", "offset_param", "limit_param", "total_path")),
    "PageNumberPaginator": ("page_number", ("base_page", "page", "page_param", "total_path")),
    "SinglePagePaginator": ("single_page", ()),
    "BearerTokenAuth": ("bearer", ("token",)),
    "APIKeyAuth": ("api_key", ("name", "api_key", "location")),
    "HttpBasicAuth": ("http_basic", ("username", "password")),
    "OAuth2ClientCredentials": ("oauth2_client_credentials", ("access_token_url", "client_id", "client_secret")),
}
_GUESSED = "dlt finds the next page by itself: one page is read here, and more are an error; write paginator:"
_ENDS = ("maximum_page", "maximum_offset")


def _as_mapping(given: Any, what: str) -> Said:
    if isinstance(given, str):
        return {"type": given}
    if isinstance(given, Called):
        known = _CLASSES.get(given.name)
        if known is None:
            raise UnsaidError(f"{what} by code of its own: {given.name}")
        if SPREAD in given.given:
            raise UnsaidError(f"{what} by code: {shown(given.given[SPREAD])}")
        kind, names = known
        return {"type": kind, **dict(zip(names, given.args, strict=False)), **given.given}
    if not isinstance(given, Mapping) or SPREAD in given:
        raise UnsaidError(f"{what} by code: {shown(given)}")
    return given


def paging_of(given: Any, notes: list[str]) -> Made:
    """Return the paginator of a config.

    Args:
        given: What dlt is given.
        notes: Takes what a person has to look at.

    Raises:
        UnsaidError: it is code.
    """
    if given is None or given == "auto":
        notes.append(_GUESSED)
        return {"type": "single_page"}
    said = _as_mapping(given, "pages")
    kind = said.get("type")
    made = _PAGES.get(str(kind))
    if kind == "auto" or made is None:
        if kind != "auto":
            raise UnsaidError(f"pages: {shown(kind)}")
        return paging_of(None, notes)
    ends = [f"{name} {shown(said[name])}" for name in _ENDS if said.get(name) is not None]
    notes += [f"{one} ends the pages in dlt; max_pages is an error here" for one in ends]
    found = {key: value for key, value in made(said).items() if value is not None}
    if odd := next((value for value in found.values() if not isinstance(value, str | int)), None):
        raise UnsaidError(f"pages by code: {shown(odd)}")
    return found


def _link(said: Said) -> Made:
    return {"type": "json_link", "next_url_path": path(said.get("next_url_path", "next"))}


def _header_link(said: Said) -> Made:
    rel = said.get("links_next_key", "next")
    return {"type": "header_link", **({"rel": rel} if rel != "next" else {})}


def _header_cursor(said: Said) -> Made:
    names = ("cursor_key", "next"), ("cursor_param", "cursor")
    header, param = (said.get(name, usual) for name, usual in names)
    return {"type": "cursor", "cursor_header": header, "cursor_param": param}


def _cursor(said: Said) -> Made:
    found = {"type": "cursor", "cursor_path": path(said.get("cursor_path", "cursors.next"))}
    return found | _place(said, "cursor", "cursor") | _more(said)


def _offset(said: Said) -> Made:
    if said.get("offset"):
        raise UnsaidError("pages that do not begin with the first record")
    sized = said.get("limit_body_path") or said.get("limit_param")
    found: Made = {"type": "offset", "limit": said.get("limit", 1000), "limit_param": sized}
    total = path(said["total_path"]) if said.get("total_path") else None
    return found | _place(said, "offset", "offset") | _more(said) | {"total": total}


def _page(said: Said) -> Made:
    first = said.get("page") if said.get("page") is not None else said.get("base_page", 0)
    # dlt's total is of pages
    total = path(said["total_path"]) if said.get("total_path") else None
    return (
        {"type": "page_number", "first_page": first, "total_pages": total} | _place(said, "page", "page") | _more(said)
    )


def _more(said: Said) -> Made:
    return {"more": path(said["has_more_path"])} if said.get("has_more_path") else {}


def _place(said: Said, name: str, usual: str) -> Made:
    below = said.get(f"{name}_body_path")
    if below:
        return {f"{name}_param": path(below), "in": "body"}
    return {f"{name}_param": said.get(f"{name}_param") or usual}


_PAGES: Mapping[str, Callable[[Said], Made]] = {
    "single_page": lambda _: {"type": "single_page"},
    "json_link": _link,
    "json_response": _link,
    "header_link": _header_link,
    "header_cursor": _header_cursor,
    "cursor": _cursor,
    "offset": _offset,
    "page_number": _page,
}


def auth_of(given: Any, held: dict[str, str], words: Words) -> Made:
    """Return the `auth` of a config.

    Args:
        given: What dlt is given.
        held: Takes for each field of the connection what belongs there.
        words: What templates may say.

    Raises:
        UnsaidError: it is code.
    """
    if given is None:
        return {"type": "none"}
    said = _as_mapping(given, "credentials")
    made = _AUTHS.get(str(said.get("type", "bearer")))
    if made is None:
        raise UnsaidError(f"credentials: {shown(said.get('type'))}")
    return made(said, held, words)


def _hold(held: dict[str, str], place: str, value: Any) -> None:
    secret = isinstance(value, str)
    held[place] = "the value that is in the code" if secret else f"the value of {shown(value)}"


def _bearer(said: Said, held: dict[str, str], _: Words) -> Made:
    _hold(held, "password", said.get("token", Unknown("dlt.secrets", "token")))
    return {"type": "bearer"}


def _api_key(said: Said, held: dict[str, str], _: Words) -> Made:
    _hold(held, "password", said.get("api_key", Unknown("dlt.secrets", "api_key")))
    name, place = said.get("name", "Authorization"), said.get("location", "header")
    if place not in ("header", "query", "param") or not isinstance(name, str):
        raise UnsaidError(f"a key in {shown(place)}")
    return {"type": "api_key", "header" if place == "header" else "param": name}


def _basic(said: Said, held: dict[str, str], _: Words) -> Made:
    for place, name in (("login", "username"), ("password", "password")):
        _hold(held, place, said.get(name, Unknown("dlt.secrets", name)))
    return {"type": "basic"}


def _oauth(said: Said, held: dict[str, str], words: Words) -> Made:
    for place, name in (("login", "client_id"), ("password", "client_secret")):
        _hold(held, place, said.get(name, Unknown("dlt.secrets", name)))
    address = said.get("access_token_url")
    if not isinstance(address, str):
        raise UnsaidError(f"a token server whose address is computed: {shown(address)}")
    more = said.get("access_token_request_data") or {}
    if not isinstance(more, Mapping):
        raise UnsaidError(f"a token request by code: {shown(more)}")
    params = {key: words.text(value) for key, value in more.items() if key not in ("grant_type", "scope")}
    scope = {"scope": more["scope"]} if isinstance(more.get("scope"), str) else {}
    return {"type": "oauth2", "token_url": address, **scope, **({"params": params} if params else {})}


_AUTHS: Mapping[str, Callable[[Said, dict[str, str], Words], Made]] = {
    "bearer": _bearer,
    "api_key": _api_key,
    "http_basic": _basic,
    "oauth2_client_credentials": _oauth,
}


def key_in_header(headers: Said) -> tuple[str, str, Any] | None:
    """Return the header that carries a secret: its name, the words before the secret, and the secret."""
    for name, value in headers.items():
        if isinstance(value, Joined) and hidden(value):
            before, *after = value.parts
            if isinstance(before, Unknown):
                return (name, "", before) if not after else None
            return (name, before, after[0]) if len(after) == 1 else None
        if hidden(value):
            return name, "", value
    return None
