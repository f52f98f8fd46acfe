"""Where in Python code a configuration of dlt's REST API source is."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from elt_factory.importing.dlt_rest.literals import Function, Names, called, names_of, value_of

_SOURCE = "rest_api"  # dlt's name of a source that has no other
_SOURCE_MAKERS = ("rest_api_source", _SOURCE)
MAKERS = ("rest_api_resources", *_SOURCE_MAKERS)


@dataclass(frozen=True)
class RestConfig:
    """A configuration.

    Args:
        source: What its config is called.
        function: The function that it is in; None where it is the module's.
        said: What it says.
        state: The source's name in the state of a pipeline.
    """

    source: str
    function: str | None
    said: Any
    state: str


def configs_in(tree: ast.Module, module: str) -> list[RestConfig]:
    """Return the configurations in a module."""
    found = list(_in_scope(tree, {}, module, None))
    return [one for index, one in enumerate(found) if one.said not in [other.said for other in found[:index]]]


def _in_scope(scope: ast.Module | Function, above: Names, module: str, function: str | None) -> Iterator[RestConfig]:
    names = names_of(scope, above)
    # dlt calls a source by its name, else by its function; without one by the module
    source = None if isinstance(scope, ast.Module) else _source_of(scope)
    usual = function or module.rpartition("/")[2].rpartition(".")[2]
    for call, expression in _written(scope):
        named = _named(call) if call else None
        of_dlt = _SOURCE if call and called(call.func) in _SOURCE_MAKERS else usual
        said = value_of(expression, names)
        yield RestConfig(source or named or usual, function, said, source or named or of_dlt)
    for node in _own(scope):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _in_scope(node, names, module, function or node.name)


def _written(scope: ast.Module | Function) -> Iterator[tuple[ast.Call | None, ast.expr]]:
    """Yield the configurations that are used in a scope, with the calls, then those that are only there."""
    used = set[str]()
    for node in _own(scope):
        if isinstance(node, ast.Call) and called(node.func) in MAKERS and (given := _given(node)) is not None:
            used |= {one.id for one in ast.walk(given) if isinstance(one, ast.Name)}
            yield node, given
    for node in _own(scope):
        if _is_annotated(node) and node.target.id not in used:
            yield None, node.value


def _own(scope: ast.AST) -> Iterator[Any]:
    for child in ast.iter_child_nodes(scope):
        yield child
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _own(child)


def _given(call: ast.Call) -> ast.expr | None:
    named = next((one.value for one in call.keywords if one.arg in ("config", "client")), None)
    return call.args[0] if call.args else named


def _named(call: ast.Call) -> str | None:
    return next(
        (str(one.value.value) for one in call.keywords if one.arg == "name" and isinstance(one.value, ast.Constant)),
        None,
    )


def _source_of(node: Function) -> str | None:
    for one in node.decorator_list:
        if called(one.func if isinstance(one, ast.Call) else one) == "source":
            return (_named(one) if isinstance(one, ast.Call) else None) or node.name
    return None


def _is_annotated(node: Any) -> bool:
    return (
        isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and called(node.annotation) == "RESTAPIConfig"
        and node.value is not None
    )
