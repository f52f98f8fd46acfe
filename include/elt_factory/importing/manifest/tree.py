"""A manifest as a tree: references followed, parameters handed down and put into its texts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

PARAMETERS = "$parameters"
_REFERENCE = "$ref"
_ACCESS = (
    r"""(?:parameters|options)(?:\.get\(\s*['"](\w+)['"]\s*(?:,\s*(?:(['"])(.*?)\2|[^()'"]*))?\)"""
    r"""|\.(\w+)|\[\s*['"](\w+)['"]\s*\])"""
)
_PARAMETER = re.compile(
    rf"\{{\{{-?\s*{_ACCESS}(?:\s+or\s+((?:parameters|options)[^{{}}|]+?|['\"][^'\"]*['\"]))?\s*-?\}}\}}"
)

_BRACES = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_WITHIN = re.compile(_ACCESS)
Node = Mapping[str, Any]


def streams_of(root: Node) -> list[Node]:
    """Return the streams of a manifest, each with everything that it refers to in it."""
    return [_with_parameters(_resolved(root, stream, ()), {}) for stream in root.get("streams") or []]


def _resolved(root: Any, node: Any, seen: tuple[str, ...]) -> Any:
    """Return a node with what its references lead to; its own keys come before theirs."""
    if isinstance(node, str) and node.startswith("#/"):
        return _resolved(root, _found(root, node), (*seen, node)) if node not in seen else {}
    if isinstance(node, list):
        return [_resolved(root, below, seen) for below in node]
    if not isinstance(node, dict):
        return node
    own = {key: _resolved(root, below, seen) for key, below in node.items() if key != _REFERENCE}
    base = _resolved(root, node[_REFERENCE], seen) if _REFERENCE in node else {}
    if not isinstance(base, dict):
        return base
    handed = {**(base.get(PARAMETERS) or {}), **(own.get(PARAMETERS) or {})}
    return {**base, **own, **({PARAMETERS: handed} if handed else {})}


def _found(root: Any, reference: str) -> Any:
    for part in reference[2:].split("/"):
        root = root[int(part)] if isinstance(root, list) else (root or {}).get(part)
    return root


def _with_parameters(node: Any, handed: Node) -> Any:
    """Return a node with the parameters of those above it in its texts; its own come before theirs.

    A component without a key takes the parameter of that name: of `path`, `name`, `primary_key` and their like.
    """
    if isinstance(node, str):
        whole = _PARAMETER.sub(lambda found: _value(found, handed), node)
        return _BRACES.sub(lambda found: _WITHIN.sub(lambda part: _quoted(part, handed), found[0]), whole)
    if isinstance(node, list):
        return [_with_parameters(below, handed) for below in node]
    if not isinstance(node, dict):
        return node
    own = {**handed, **(node.get(PARAMETERS) or {})}
    below = {key: _with_parameters(value, own) for key, value in node.items() if key != PARAMETERS}
    return {
        **{key: own[key] for key in _TAKEN.get(str(node.get("type")), ()) if key in own and key not in node},
        **below,
    }


_TAKEN = {
    "DeclarativeStream": ("name", "primary_key"),
    "HttpRequester": ("path", "url_base", "url"),
    "DpathExtractor": ("field_path",),
    "DatetimeBasedCursor": ("cursor_field",),
}


def _value(found: re.Match[str], handed: Node) -> str:
    """Return the value of a parameter; where there is none, its default, or what comes after `or`."""
    name = found[1] or found[4] or found[5]
    if handed.get(name) is not None:
        return str(handed[name])
    other = found[6]
    if other:
        quoted = re.fullmatch(r"""(['"])(.*)\1""", other.strip())
        return quoted[2] if quoted else str(_with_parameters("{{ " + other + " }}", handed))
    if found[3] is not None:
        return found[3]
    return found[0]


def _quoted(found: re.Match[str], handed: Node) -> str:
    """Return the value of a parameter within an expression, as a text of it."""
    value = handed.get(found[1] or found[4] or found[5])
    return repr(value) if isinstance(value, str | int | float | bool) else found[0]
