"""Values of Python code as far as the text says them. Nothing is run: what only a run would know is an Unknown."""

from __future__ import annotations

import ast
import copy
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

SPREAD = "**"
_DEPTH = 20
_LONG = 70
_KNOWN_CALLS = ("Auth", "Paginator", "Credentials", "ncremental")
_AS_IT_IS = ("isoformat", "to_iso8601_string", "to_rfc3339_string", "to_datetime_string", "to_date_string", "strip")
_BY_NAME = ("get", "getenv", "get_secret")
_ENVIRONMENT = re.compile(r"\b(?:getenv|environ|get_secret)\b")
_CHANGES = ("append", "extend", "update", "insert", "pop", "setdefault", "remove", "clear")


@dataclass(frozen=True)
class Unknown:
    """A value that only a run knows: what the code says in its place, and its name, which may be that of a secret."""

    text: str
    name: str
    secret: bool = False


@dataclass(frozen=True)
class Joined:
    """A text with values in it that only a run knows."""

    parts: tuple[str | Unknown, ...]


@dataclass(frozen=True)
class Called:
    """An object that the code makes: its class, and what it is given."""

    name: str
    args: tuple[Any, ...] = ()
    given: Mapping[str, Any] = field(default_factory=dict)


Names = Mapping[str, ast.expr | Unknown]
Function = ast.FunctionDef | ast.AsyncFunctionDef


def why_not_python(error: Exception) -> str:
    """Return what is wrong with a text that is not Python, with its line."""
    return f"line {error.lineno}: {error.msg}" if isinstance(error, SyntaxError) else str(error)


def names_of(scope: ast.Module | Function, above: Names) -> dict[str, ast.expr | Unknown]:
    """Return what the names of a module or function stand for; one that is changed later is an Unknown."""
    found: dict[str, ast.expr | Unknown] = dict(above)
    if not isinstance(scope, ast.Module):
        found |= _arguments(scope)
    inside = list(_nodes(scope))
    assigned = Counter(name for node in inside for name, _ in _assigned(node))
    changed = {name for node in inside if (name := _changed(node))}
    for node in inside:
        for name, value in _assigned(node):
            known = assigned[name] == 1 and name not in changed and value is not None
            found[name] = value if known and value is not None else Unknown(name, name)
    return found


def _nodes(scope: ast.AST) -> Iterator[ast.AST]:
    """Yield what is in a scope, and not in a function within it."""
    for child in ast.iter_child_nodes(scope):
        yield child
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            yield from _nodes(child)


def _assigned(node: ast.AST) -> Iterator[tuple[str, ast.expr | None]]:
    if isinstance(node, ast.Assign):
        for target in node.targets:
            alone = isinstance(target, ast.Name)
            yield from ((name, node.value if alone else None) for name in _set_in(target))
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
        yield node.target.id, node.value
    elif isinstance(node, ast.For | ast.AugAssign):
        yield from ((name, None) for name in _set_in(node.target))


def _set_in(target: ast.AST) -> list[str]:
    return [one.id for one in ast.walk(target) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)]


def _changed(node: ast.AST) -> str | None:
    """Return the name of what a statement changes in place."""
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
        return _base(node)
    changes = node.func if isinstance(node, ast.Call) else None
    return _base(changes.value) if isinstance(changes, ast.Attribute) and changes.attr in _CHANGES else None


def _base(node: ast.expr) -> str | None:
    """Return the name of what an item is in, however deep; that of a name itself."""
    below = node
    while isinstance(below, ast.Subscript):
        below = below.value
    return below.id if isinstance(below, ast.Name) else None


def _arguments(scope: Function) -> Iterator[tuple[str, ast.expr | Unknown]]:
    given = scope.args
    plain = [*given.posonlyargs, *given.args]
    defaults = [None] * (len(plain) - len(given.defaults)) + list(given.defaults)
    for one, default in [*zip(plain, defaults, strict=True), *zip(given.kwonlyargs, given.kw_defaults, strict=True)]:
        known = default is not None and not _is_none(default) and not isinstance(default, ast.Attribute)
        secret = isinstance(default, ast.Attribute) and "secrets" in ast.unparse(default)
        yield one.arg, default if known and default is not None else Unknown(one.arg, one.arg, secret)


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def value_of(node: ast.expr, names: Names, depth: int = 0) -> Any:
    """Return the value of an expression: plain data, with an Unknown, Joined or Called where it is not."""
    read = _READ.get(type(node))
    if depth > _DEPTH or read is None:
        return _unknown(node)
    return read(node, names, depth + 1)


def _unknown(node: ast.expr, name: str = "", *, secret: bool = False) -> Unknown:
    text = ast.unparse(_NamesOnly().visit(copy.deepcopy(node)))
    named = name or (node.attr if isinstance(node, ast.Attribute) else "value")
    return Unknown(text if len(text) <= _LONG else f"{text[:_LONG]}...", named, secret)


class _NamesOnly(ast.NodeTransformer):
    """Takes texts out of code, which may be secrets; keys and names of variables stay."""

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.Constant("...") if isinstance(node.value, str | bytes) else node

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        node.value = self.visit(node.value)
        node.slice = node.slice if isinstance(node.slice, ast.Constant) else self.visit(node.slice)
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        kept = node.args[:1] if called(node.func) in _BY_NAME else []
        self.generic_visit(node)
        node.args[: len(kept)] = kept
        return node


def _constant(node: Any, _: Names, __: int) -> Any:
    return node.value


def _mapping(node: Any, names: Names, depth: int) -> Any:
    found: dict[Any, Any] = {}
    for key, below in zip(node.keys, node.values, strict=True):
        value = value_of(below, names, depth)
        name = value_of(key, names, depth) if key is not None else SPREAD
        if key is None and isinstance(value, dict):
            found |= value
        else:
            found[name if isinstance(name, str | int) else SPREAD] = value
    return found


def _list(node: Any, names: Names, depth: int) -> Any:
    found: list[Any] = []
    for one in node.elts:
        starred = isinstance(one, ast.Starred)
        value = value_of(one.value if starred else one, names, depth)
        found += value if starred and isinstance(value, list) else [value]
    return found


def _name(node: Any, names: Names, depth: int) -> Any:
    known = names.get(node.id, Unknown(node.id, node.id))
    return known if isinstance(known, Unknown) else value_of(known, names, depth)


def _text(node: Any, names: Names, depth: int) -> Any:
    parts: list[Any] = []
    for one in node.values:
        value = _formatted(one, names, depth) if isinstance(one, ast.FormattedValue) else value_of(one, names, depth)
        parts += value.parts if isinstance(value, Joined) else [value]
    return joined(parts)


def _formatted(node: ast.FormattedValue, names: Names, depth: int) -> Any:
    value = value_of(node.value, names, depth)
    # "!s" is what a text has without it
    if node.format_spec is None and node.conversion in (-1, ord("s")):
        return value
    secret = isinstance(value, Unknown) and value.secret
    return _unknown(node.value, value.name if isinstance(value, Unknown) else "", secret=secret)


def joined(parts: list[Any]) -> Any:
    """Return parts as one text: plain where all of them are known."""
    if all(isinstance(one, str | int | float) for one in parts):
        return "".join(map(str, parts))
    return Joined(tuple(one if isinstance(one, Unknown) else _said(one) for one in parts))


def _said(one: Any) -> str | Unknown:
    return str(one) if isinstance(one, str | int | float) else Unknown(str(one)[:_LONG], "value")


def _sum(node: Any, names: Names, depth: int) -> Any:
    if not isinstance(node.op, ast.Add):
        return _unknown(node)
    sides = [value_of(side, names, depth) for side in (node.left, node.right)]
    if all(isinstance(side, list) for side in sides):
        return sides[0] + sides[1]
    if any(isinstance(side, str | Joined) for side in sides):
        return joined([part for side in sides for part in (side.parts if isinstance(side, Joined) else [side])])
    return _unknown(node)


def _one_of(node: Any, names: Names, depth: int) -> Any:
    """Return the only one of several values that says something: others are for those who have no secret."""
    several = [node.body, node.orelse] if isinstance(node, ast.IfExp) else node.values
    found = [value_of(one, names, depth) for one in several]
    if isinstance(node, ast.BoolOp):
        found = _undecided(found, isinstance(node.op, ast.Or))
    for one in found:
        # what is there for want of a variable may be its secret
        if isinstance(one, Unknown) and _ENVIRONMENT.search(one.text):
            return one
    known = [one for one in found if one is not None and not isinstance(one, Unknown)]
    # which of them it is only a run knows
    if any(one != known[0] for one in known[1:]):
        return _unknown(node)
    return (known or [one for one in found if one is not None] or [None])[0]


def _undecided(values: list[Any], ends: bool) -> list[Any]:
    """Return the values of `or` and `and` that may be the result: up to the first known one that ends it."""
    found: list[Any] = []
    for number, value in enumerate(values, 1):
        known = not isinstance(value, Unknown | Joined)
        if known and bool(value) == ends:
            return [*found, value]
        if not known or number == len(values):
            found.append(value)
    return found


def _item(node: Any, names: Names, depth: int) -> Any:
    base, key = value_of(node.value, names, depth), value_of(node.slice, names, depth)
    if isinstance(base, dict) and key in base:
        return base[key]
    if not isinstance(key, str):
        return _unknown(node)
    return _unknown(node, key.rpartition(".")[2], secret="secrets" in ast.unparse(node.value))


def _call(node: Any, names: Names, depth: int) -> Any:
    name, whole = called(node.func), ast.unparse(node.func)
    args = [value_of(one, names, depth) for one in node.args]
    if name in _AS_IT_IS and isinstance(node.func, ast.Attribute) and not node.args:
        return value_of(node.func.value, names, depth)
    if (plain := _plain(name, whole, args)) is not None:
        return plain
    if name in ("get", "getenv") and args and isinstance(args[0], str) and "." in whole:
        return _unknown(node, args[0].rpartition(".")[2], secret="secrets" in whole)
    given = _keywords(node.keywords, names, depth)
    if name == "dict" and not args:
        return given
    return Called(name, tuple(args), given) if name.endswith(_KNOWN_CALLS) else _unknown(node)


def _keywords(keywords: list[ast.keyword], names: Names, depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for one in keywords:
        value = value_of(one.value, names, depth)
        found |= {one.arg: value} if one.arg else value if isinstance(value, dict) else {SPREAD: value}
    return found


def _plain(name: str, whole: str, args: list[Any]) -> Any:
    """Return what a call of known functions gives; None of any other."""
    if name == "cast" and len(args) == 2:  # noqa: PLR2004 - a type, and the value
        return args[1]
    if name in ("datetime", "date") and len(args) in range(3, 7) and all(isinstance(one, int) for one in args):
        numbers: list[int] = [*args, 0, 0, 0][:6]
        return f"{numbers[0]:04}-{numbers[1]:02}-{numbers[2]:02}T{numbers[3]:02}:{numbers[4]:02}:{numbers[5]:02}Z"
    if whole in ("pendulum.parse", "str", "datetime.fromisoformat") and args and isinstance(args[0], str):
        return args[0]
    return None


def called(node: ast.expr) -> str:
    """Return the last name of what is called."""
    if isinstance(node, ast.Subscript):
        return called(node.value)
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _attribute(node: Any, _: Names, __: int) -> Any:
    return _unknown(node, secret="secrets" in ast.unparse(node))


def _negative(node: Any, names: Names, depth: int) -> Any:
    value = value_of(node.operand, names, depth)
    return -value if isinstance(node.op, ast.USub) and isinstance(value, int | float) else _unknown(node)


_READ: Mapping[type[ast.expr], Callable[[Any, Names, int], Any]] = {
    ast.Constant: _constant,
    ast.Dict: _mapping,
    ast.List: _list,
    ast.Tuple: _list,
    ast.Name: _name,
    ast.JoinedStr: _text,
    ast.BinOp: _sum,
    ast.IfExp: _one_of,
    ast.BoolOp: _one_of,
    ast.Subscript: _item,
    ast.Call: _call,
    ast.Attribute: _attribute,
    ast.UnaryOp: _negative,
}
