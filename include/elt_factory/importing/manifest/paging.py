"""Pages of a manifest as a `paginator`, with the parameters that go with it."""

from __future__ import annotations

import re
from typing import Any

from elt_factory.importing.manifest.saying import Scope, UnsaidError, inside, path, steps, way
from elt_factory.importing.manifest.tree import Node

_STEPS = r"""(?:\.\w+|\[\s*['"][^'"]+['"]\s*\]|\.get\(\s*['"][^'"]+['"]\s*(?:,[^()]*)?\))"""
_LAST = re.compile(rf"(response{_STEPS}*)\[-1\]({_STEPS}+)(?:\s+if\s+.+)?")
_COUNT = re.compile(r"total|count|last|pages", re.IGNORECASE)
_PART = re.compile(r"\s*\|\s*regex_search\(|\.split\(")
_EMPTY = r"(?:'null'|\"null\"|none|null|undefined|false|''|\"\"|\{\}|\[\]|0)"


def paging_of(node: Node, scope: Scope, page_param: str = "") -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return the paginator, and the parameters and values of the body that say how long a page is.

    Raises:
        UnsaidError: it is code of its own, or the next page is computed.
    """
    strategy, option = node.get("pagination_strategy") or {}, node.get("page_token_option") or {}
    kind = str(strategy.get("type") or "")
    if kind.startswith("Custom") or str(node.get("type", "")).startswith("Custom"):
        raise UnsaidError("pages by code of its own")
    if not kind:
        return {"type": "single_page"}, {}, {}
    option_is_link = option.get("type") == "RequestPath"
    place = option.get("inject_into", "request_parameter")
    if place == "header" and not option_is_link:
        raise UnsaidError("a page in a header")
    size, field = _number(strategy.get("page_size"), scope), _name_of(option) or page_param
    sizes = _sizes(node, size)
    where = {"in": "body"} if place in ("body_json", "body_data") and not option_is_link else {}
    if kind == "CursorPagination":
        return {**_cursor(strategy, field, link=option_is_link), **where}, *sizes
    if kind not in ("PageIncrement", "OffsetIncrement"):
        raise UnsaidError(f"pages: {kind}")
    if not field:
        # what is sent nowhere asks for one page
        return {"type": "single_page"}, *sizes
    if kind == "PageIncrement":
        first = int(strategy.get("start_from_page") or 0)
        return {"type": "page_number", "page_param": field, "first_page": first, **where}, *sizes
    sized = _name_of(node.get("page_size_option") or {})
    limit = {"limit": size or 100, **({"limit_param": sized} if sized else {})}
    return {"type": "offset", "offset_param": field, **limit, **where}, {}, {}


def _sizes(node: Node, size: int | None) -> tuple[dict[str, Any], dict[str, Any]]:
    option = node.get("page_size_option") or {}
    name = _name_of(option)
    if not name or size is None:
        return {}, {}
    return ({}, {name: size}) if option.get("inject_into") in ("body_json", "body_data") else ({name: size}, {})


def _name_of(option: Node) -> str:
    below = option.get("field_path")
    return ".".join(below) if isinstance(below, list) else str(option.get("field_name") or "")


def _number(value: Any, scope: Scope) -> int | None:
    if value is None:
        return None
    found = re.search(r"\b\d+\b", str(value)) if "{{" in str(value) else re.fullmatch(r"\s*(\d+)\s*", str(value))
    if found is None:
        default = scope.text(value)
        name = re.search(r"params\.(\w+)", default)
        number = scope.settings.params.pop(name[1], None) if name else None
        return int(number) if isinstance(number, int | str) and str(number).isdigit() else 100
    return int(found[0])


def _cursor(strategy: Node, field: str, *, link: bool) -> dict[str, Any]:
    expression, stop = inside(strategy.get("cursor_value")), inside(strategy.get("stop_condition"))
    # the first link of the header is the next page where an end says that it is
    says_next = expression if "next" in expression.lower() else f"{expression} {stop}"
    if re.search(r"headers\b.*link.*next", says_next, re.IGNORECASE | re.DOTALL):
        return {"type": "header_link"}
    expression = _first(expression)
    leads = way(expression)
    found = _computed(expression, field) if leads is None else _led(leads, field, link=link)
    return {**found, **_more(stop, leads)}


def _led(leads: tuple[str, list[str]], field: str, *, link: bool) -> dict[str, Any]:
    root, parts = leads
    if root == "headers":
        return {"type": "cursor", "cursor_header": parts[-1], "cursor_param": field}
    if root in ("last_record", "record"):
        return {"type": "cursor", "cursor_record": path(parts), "cursor_param": field}
    if link:
        return {"type": "json_link", "next_url_path": path(parts)}
    return {"type": "cursor", "cursor_path": path(parts), "cursor_param": field}


def _computed(expression: str, field: str) -> dict[str, Any]:
    """Return the paginator of a next page that the manifest computes, where that is one that needs no computing.

    Raises:
        UnsaidError: it does.
    """
    last, part = _LAST.fullmatch(expression), way(_PART.split(expression)[0])
    page = re.fullmatch(r"(.+?)(?:\s*\|\s*int)?\s*\+\s*1", expression)
    if last and field:
        return {"type": "cursor", "cursor_record": path(steps(last[2])), "cursor_param": field}
    if part is not None and _is_link(part[1][-1]):
        # the part of a link that the manifest sends is in the link itself
        return {"type": "json_link", "next_url_path": path(part[1])}
    if page and way(page[1]) and field:
        return {"type": "page_number", "page_param": field, "first_page": 1}
    raise UnsaidError(f"a next page that is computed: {expression[:80]}")


def _is_link(name: str) -> bool:
    return any(sign in name.lower() for sign in ("next", "link", "url"))


def _first(expression: str) -> str:
    """Return the first of several ways that lead to the same: which one it is depends on the endpoint."""
    return re.split(r"\s+or\s+(?=response|last_record|headers)", expression)[0]


def _more(stop: str, leads: tuple[str, list[str]] | None) -> dict[str, str]:
    """Return where the answer says whether more pages follow. That there is no next page ends them in any case.

    Raises:
        UnsaidError: the end is computed.
    """
    found = {}
    for part in re.split(r"\s+(?:or|and)\s+", stop) if stop else ():
        plain = re.sub(
            rf"\s*(?:is|==|!=)\s*(?:not\s+)?(?:{_EMPTY}|defined|true|True)$", "", part.strip(), flags=re.IGNORECASE
        )
        plain = re.sub(r"^not\s+", "", plain).strip()
        one = way(plain)
        total = re.fullmatch(r"(.+?)\s*\+\s*(.+?)\s*>=\s*(.+)", plain)
        if total and (all_of_them := way(total[3])) is not None and all_of_them[0] == "response":
            found["total"] = path(all_of_them[1])
            continue
        pages = re.fullmatch(r"(response\S+)\s*(?:==|<=|>=)\s*(response\S+)", plain)
        if pages and (named := [one for side in pages.groups() if (one := way(side)) and _COUNT.search(one[1][-1])]):
            found["total_pages"] = path(named[0][1])
            continue
        if one is None:
            if re.match(
                r"['\"][\w=@.]+['\"]\s+(?:not\s+)?in\s+|last_page_size|headers|response.*\|\s*length|(?:response|last_record)\s*$"
                r"|response.*<\s*\d+$",
                plain,
            ):
                continue
            raise UnsaidError(f"an end of the pages that is computed: {part[:80]}")
        if one != leads and one[0] == "response" and "more" in one[1][-1].lower():
            found["more"] = path(one[1])
    return found
