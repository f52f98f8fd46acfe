"""Sources in scripts of PyAirbyte as connections. The scripts are read as text, and not run."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from elt_factory.importing.airbyte.said import WHOLE, Computed, ConnectionSaid, Node, SourceSaid, StreamSaid
from elt_factory.importing.dlt_rest.literals import (
    Called,
    Function,
    Joined,
    Names,
    Unknown,
    called,
    names_of,
    value_of,
    why_not_python,
)
from elt_factory.importing.project import NotAProjectError

Scope = ast.Module | Function


def connections_of_pyairbyte(file: Path) -> list[ConnectionSaid]:
    """Return a connection for each `get_source` of a script, which is read as text.

    Raises:
        NotAProjectError: it is not Python.
    """
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError) as error:
        raise NotAProjectError(f"{file}: not Python: {why_not_python(error)}") from None
    return [one for scope in _scopes(tree) for one in _sources_in(scope, tree)]


def _scopes(tree: ast.Module) -> Iterator[Scope]:
    yield tree
    yield from (one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef))


def _sources_in(scope: Scope, tree: ast.Module) -> Iterator[ConnectionSaid]:
    names: Names = names_of(tree, {})
    if not isinstance(scope, ast.Module):
        names = names_of(scope, names)
    for node in _own_nodes(scope):
        if not isinstance(node, ast.Call) or called(node.func) != "get_source":
            continue
        given = dict(zip(("name", "config"), (value_of(one, names) for one in node.args), strict=False))
        given |= {one.arg: value_of(one.value, names) for one in node.keywords if one.arg}
        if isinstance(given.get("name"), str):
            yield _of_call(given["name"], given, _selected(scope))


def _own_nodes(scope: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(scope):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield child
            yield from _own_nodes(child)


def _selected(scope: ast.AST) -> Any:
    """Return the streams that a script selects after it has made the source."""
    calls = [one for one in _own_nodes(scope) if isinstance(one, ast.Call) and called(one.func) == "select_streams"]
    given = calls[0].args[0] if len(calls) == 1 and calls[0].args else None
    try:
        return None if given is None else ast.literal_eval(given)
    except ValueError:
        return None


def _of_call(name: str, arguments: Node, selected: Any) -> ConnectionSaid:
    chosen = arguments.get("streams") or selected
    listed = [one for one in chosen if isinstance(one, str)] if isinstance(chosen, list | tuple) else []
    config = arguments.get("config")
    version = arguments.get("version")
    source = SourceSaid(
        name.removeprefix("source-"),
        f"source-{name.removeprefix('source-')}",
        version if isinstance(version, str) else None,
        _settings(config),
    )
    # PyAirbyte reads by changes where a stream can be read so, and writes by its key
    streams = [StreamSaid(one, reads="incremental", writes="append_dedup") for one in listed]
    return ConnectionSaid(source.name, source, streams or None)


def _settings(config: Any) -> Node:
    if isinstance(config, Mapping):
        return {str(key): _plain(value) for key, value in config.items()}
    return {WHOLE: _plain(config)} if config is not None else {}


def _plain(value: Any) -> Any:
    """Return a value of a script; what only a run knows is the text in its place."""
    if isinstance(value, Unknown | Joined | Called):
        return Computed(value.text if isinstance(value, Unknown) else "what the script computes")
    if isinstance(value, Mapping):
        return {str(key): _plain(below) for key, below in value.items()}
    return [_plain(below) for below in value] if isinstance(value, list | tuple) else value
