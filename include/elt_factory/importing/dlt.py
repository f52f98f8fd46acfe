"""Sources of a dlt project as configs, from the state that their pipelines had. Nothing of the project is run."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from elt_factory.discover.periods import sane_name
from elt_factory.importing.dlt_rest.compiling import config_of
from elt_factory.importing.dlt_rest.finding import configs_in
from elt_factory.importing.dlt_rest.literals import called, why_not_python
from elt_factory.importing.dlt_sql.compiling import configs_of
from elt_factory.importing.dlt_sql.finding import databases_in
from elt_factory.importing.project import KEPT_ALL, Imported, NotAProjectError, head_of, valid_only, with_own_names
from elt_factory.importing.shape import OTHERS, check

_CURSORS = ("incremental",)
_SAID = (
    "name",
    "primary_key",
    "write_disposition",
    "incremental",
    "data_from",
    "parallelized",
    "section",
    "standalone",
)
_SKIPPED = (".venv", "venv", "site-packages", "node_modules", "__pycache__", "tests")


@dataclass
class Resource:
    """A resource as its decorator says it; what is computed there is in `computed`, what has no key here in `odd`."""

    name: str
    key: list[str] = field(default_factory=list)
    disposition: str = ""
    changes: bool = False
    computed: list[str] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)
    unsaid: str = ""


@dataclass
class SourceSeen:
    """A function that is a source: its module, its name in the state, its resources, and whether others are added."""

    module: str
    function: str
    name: str
    resources: list[Resource]
    more: bool = False


def imported(path: Path, states: Mapping[str, Any], package: str, below: str | None = None) -> list[Imported]:
    """Return the configs of the sources of a project.

    Args:
        path: The folder, as `dlt init` lays it out, or one module.
        states: What pipelines have kept of sources, by the sources' names.
        package: dlt with its version.
        below: Where the folder is in ours; by default it has to be copied there.

    Raises:
        NotAProjectError: it has no source.
    """
    unread = dict[str, str]()
    modules = modules_of(path, unread)
    found = [made for tree, module in modules for made in _of_module(tree, module, states, (package, below))]
    if not found:
        texts = "".join(f"; {file}: {why}" for file, why in unread.items())
        what = "no function with @dlt.source or @dlt.resource is there, no RESTAPIConfig, no sql_database"
        raise NotAProjectError(f"{path}: {what}{texts}")
    found[0].left_out |= unread
    return with_own_names(found)


def _of_module(
    tree: ast.Module, module: str, states: Mapping[str, Any], place: tuple[str, str | None]
) -> Iterator[Imported]:
    """Yield the configs of a module: those of dlt's REST API source are read by ELT Factory itself."""
    rest = [(one, config_of(one, states.get(one.state) or {})) for one in configs_in(tree, module)]
    whole = {one.function for one, made in rest if made.config["tables"]}
    for seen in _in_module(tree, module):
        if not seen.resources and seen.function in whole:
            continue
        yield _config(seen, states, place)
    yield from (made for _, made in rest)
    yield from configs_of(databases_in(tree), module, states)


def _config(seen: SourceSeen, states: Mapping[str, Any], place: tuple[str, str | None]) -> Imported:
    name = sane_name(seen.name) or "imported"
    found = Imported(head_of(name))
    package, below = place
    above, _, module = seen.module.rpartition("/")
    extract = {"type": "dlt", "package": package, "source": f"{module}:{seen.function}"}
    if below or above:
        extract["folder"] = "/".join(part for part in (below or "dlt", above) if part)
    found.config |= {"extract": extract, "tables": {}}
    kept = states.get(seen.name) or {}
    for resource in seen.resources:
        if resource.unsaid:
            found.left_out[resource.name] = resource.unsaid
        elif table := found.free(resource.name):
            found.config["tables"][table] = _table(found, table, resource, (seen.name, kept))
    if whole := sorted(key for key, value in kept.items() if key != "resources" and value):
        found.left_out[f"state of {seen.name}"] = f"what the source itself keeps is not taken over: {', '.join(whole)}"
    if seen.more or not seen.resources:
        why = "it makes resources while it runs: elt new --dlt finds them"
        found.left_out[f"other resources of {seen.function}"] = why
    return valid_only(found)


def _table(found: Imported, table: str, resource: Resource, kept: tuple[str, Mapping[str, Any]]) -> dict[str, Any]:
    source, state = kept
    made: dict[str, Any] = {"stream": resource.name} if resource.name != table else {}
    own = (state.get("resources") or {}).get(resource.name)
    _note(found, table, resource, own)
    if not resource.key:
        if resource.changes:
            found.note(
                table, "it is read by its changes, and its key is not in the source: write primary_key, merge, sync"
            )
        return {**made, "write_disposition": "replace"}
    made |= {"primary_key": resource.key, "write_disposition": "merge"}
    if resource.disposition == "replace" and not resource.changes:
        made["write_disposition"] = "replace"
    if resource.changes:
        made["sync"] = "incremental"
        if own:
            made["initial_state"] = {"sources": {source: {"resources": {resource.name: own}}}}
        else:
            found.note(table, "no state of it was found: the first load reads all; elt import dlt ... --state FILE")
    return made


def _note(found: Imported, table: str, resource: Resource, own: Any) -> None:
    """Say what of a resource, and of its state, is in no config."""
    for what in resource.computed:
        found.note(table, f"{what} is computed in the source: elt new --dlt finds it")
    if resource.odd:
        found.note(table, f"arguments without a counterpart: {', '.join(resource.odd)}")
    if own and not resource.changes:
        text = "its state is not taken over, for no cursor is at its arguments: write primary_key, merge, sync: "
        found.note(table, text + "incremental and initial_state where it continues from that")
    if resource.key and resource.disposition == "append":
        found.note(table, KEPT_ALL)


def modules_of(path: Path, unread: dict[str, str] | None = None) -> Iterator[tuple[ast.Module, str]]:
    """Yield the modules of a folder, or one, as text that is understood, with their names.

    Args:
        path: The folder, or the module.
        unread: Takes the files that are not Python, with the reason.
    """
    folder = path if path.is_dir() else path.parent
    for file in sorted(folder.rglob("*.py")) if path.is_dir() else [path]:
        parts = file.relative_to(folder).with_suffix("").parts
        if any(part in _SKIPPED or part.startswith(".") for part in parts):
            continue
        try:
            tree = ast.parse(file.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError, ValueError) as error:
            if unread is not None:
                unread[str(file.relative_to(folder))] = f"not Python: {why_not_python(error)}"
            continue
        yield tree, _module(parts[:-1] if parts[-1] == "__init__" else parts) or folder.name


def _module(parts: tuple[str, ...]) -> str:
    """Return the name of a module; before a slash the folder that it is imported from, where that is another."""
    cut = max((number + 1 for number, part in enumerate(parts) if part == "src" or not part.isidentifier()), default=0)
    above = "/".join(parts[:cut])
    return (f"{above}/" if above else "") + ".".join(parts[cut:])


def _in_module(tree: ast.Module, module: str) -> Iterator[SourceSeen]:
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    alone = {name: _resource(node) for name, node in functions.items()}
    used = set[str]()
    for name, node in functions.items():
        decorator = _decorator(node, "source")
        if decorator is None:
            continue
        inner = [_resource(one) for one in ast.walk(node) if isinstance(one, ast.FunctionDef) and one is not node]
        named = {one.id for one in ast.walk(node) if isinstance(one, ast.Name)} - {name}
        outer = {other: one for other, one in alone.items() if one is not None and other in named}
        used |= set(outer)
        state = str(_literal(_argument(decorator, "name")) or name)
        resources = [one for one in (*inner, *outer.values()) if one is not None]
        yield SourceSeen(module, name, state, resources, _adds(node))
    for name, one in alone.items():
        if one is not None and name not in used:
            yield SourceSeen(module, name, module.rpartition("/")[2].rpartition(".")[2], [one])


def _adds(node: ast.AST) -> bool:
    """Whether a source calls `dlt.resource(...)`, or a helper that yields resources."""
    calls = [one.func for one in ast.walk(node) if isinstance(one, ast.Call)]
    decorators = {
        id(one) for inner in ast.walk(node) if isinstance(inner, ast.FunctionDef) for one in inner.decorator_list
    }
    made = [
        one
        for one in ast.walk(node)
        if isinstance(one, ast.Call) and id(one) not in decorators and called(one.func) in ("resource", "transformer")
    ]
    return bool(made) or any(called(one) in ("rest_api_resources", "rest_api_source", "sql_database") for one in calls)


def _resource(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Resource | None:
    decorator = _decorator(node, "resource") or _decorator(node, "transformer")
    if decorator is None:
        return None
    found = Resource(node.name)
    name = _argument(decorator, "name")
    if name is not None and (text := _literal(name)) is None:
        return Resource(node.name, unsaid="its name is computed in the source: elt new --dlt finds it")
    if name is not None:
        found.name = str(text)
    key = _argument(decorator, "primary_key")
    value = _literal(key)
    if key is not None and value is None:
        found.computed.append("primary_key")
    found.key = [value] if isinstance(value, str) else [str(one) for one in value or []]
    disposition = _literal(_argument(decorator, "write_disposition"))
    found.odd = _odd(decorator, disposition)
    found.disposition = str(disposition.get("disposition") if isinstance(disposition, dict) else disposition or "")
    defaults = [*node.args.defaults, *(one for one in node.args.kw_defaults if one is not None)]
    given = [*defaults, *([_argument(decorator, "incremental")] if _argument(decorator, "incremental") else [])]
    found.changes = any(isinstance(one, ast.Call) and called(one.func) in _CURSORS for one in given)
    return found


def _odd(decorator: ast.expr, disposition: Any) -> list[str]:
    """Return what a decorator says that has no key in a config."""
    keywords = decorator.keywords if isinstance(decorator, ast.Call) else []
    found = [str(one.arg) for one in keywords if one.arg not in _SAID]
    strategy = disposition.get("strategy") if isinstance(disposition, dict) else None
    return found + ([f"strategy {strategy}"] if strategy not in (None, "delete-insert", "upsert") else [])


def _decorator(node: ast.FunctionDef | ast.AsyncFunctionDef, kind: str) -> ast.expr | None:
    for one in node.decorator_list:
        if called(one.func if isinstance(one, ast.Call) else one) == kind:
            return one
    return None


def _argument(decorator: ast.expr, name: str) -> ast.expr | None:
    keywords = decorator.keywords if isinstance(decorator, ast.Call) else []
    return next((one.value for one in keywords if one.arg == name), None)


def _literal(node: ast.expr | None) -> Any:
    try:
        return None if node is None else ast.literal_eval(node)
    except ValueError:
        return None


def states_in(path: Path) -> dict[str, Any]:
    """Return what pipelines have kept of sources: of a `state.json`, or of all below a folder of pipelines.

    Raises:
        NotAProjectError: it is not such a state.
    """
    found: dict[str, Any] = {}
    for file in [path] if path.is_file() else sorted(path.glob("*/state.json")):
        try:
            state = json.loads(file.read_text(encoding="utf-8"))
            check(state, {"sources": {OTHERS: {"resources": {OTHERS: {"incremental": {}}}}}}, file)
            found |= {str(name): kept or {} for name, kept in state["sources"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise NotAProjectError(f"{file}: not the state of a dlt pipeline") from None
    return found
