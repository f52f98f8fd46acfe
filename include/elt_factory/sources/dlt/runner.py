"""Run one resource of a dlt source and print it: Singer's messages, in an environment that has dlt.

A program of its own, run by that environment's Python: it imports dlt and the source, and nothing of ELT Factory. Its
argument is a file of settings. What the source prints goes to the standard error.
"""

import importlib
import inspect
import json
import os
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

_REFUSED = 3
_ROWS = 1000
_SHOWN = 500
_TRIED = "dlt==1.31.0"
_USED = {
    "dlt.common.configuration.container": ("Container",),
    "dlt.common.configuration.exceptions": ("ConfigFieldMissingException",),
    "dlt.common.json": ("json",),
    "dlt.common.pipeline": ("StateInjectableContext",),
    "dlt.extract": ("DltResource", "DltSource"),
    "dlt.extract.decorators": ("SourceFactory",),
    "dlt.extract.exceptions": ("DltResourceException",),
    "dlt.extract.incremental": ("Incremental",),
}
Row = Any


class RefusedError(Exception):
    """What the config asks for is not there."""


def main() -> int:
    """Print the messages."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a source prints is not a message
    settings = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    try:
        _prepare(settings)
        source = _source(settings)
        if settings["resource"] is None:
            _say(out, {"type": "CATALOG", "streams": [_described(one) for one in source.resources.values()]})
        else:
            _read(out, source, settings)
    except RefusedError as error:
        _say(out, {"type": "REFUSED", "value": str(error)})
        out.flush()
        return _REFUSED
    except Exception as error:  # noqa: BLE001 - what a source raises is reported in full, and in one line
        return _failed(out, error)
    out.flush()
    return 0


def _failed(out: IO[bytes], error: Exception) -> int:
    from dlt.common.configuration.exceptions import ConfigFieldMissingException

    for inner in _causes(error):
        if isinstance(inner, ConfigFieldMissingException):
            names = ", ".join(f'"{name}"' for name in inner.fields)
            text = f"dlt's configuration has no {names}: write it into the extra of the connection, as in secrets.toml"
            _say(out, {"type": "REFUSED", "value": text})
            out.flush()
            return _REFUSED
        if isinstance(inner, SystemExit):
            sys.stderr.write(f"the source ends its program: sys.exit({inner.code})\n")
            return 1
    traceback.print_exception(error)
    sys.stderr.write(f"{type(error).__name__}: {' '.join(str(error).split())[:_SHOWN]}\n")
    return 1


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _prepare(settings: Mapping[str, Any]) -> None:
    """Give dlt its settings, which it looks for in environment variables first, and the folder of the project."""
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    os.environ.setdefault("DLT_DATA_DIR", str(Path.cwd()))
    if settings["folder"]:
        os.environ["DLT_PROJECT_DIR"] = settings["folder"]
    for path, value in _leaves(settings["config"], ()):
        os.environ["__".join(path).upper()] = value if isinstance(value, str) else json.dumps(value)
    # modules are those of the source, and never the ones next to this program, or one that is called dlt
    del sys.path[0]
    _check_version()
    if settings["folder"]:
        sys.path.insert(0, settings["folder"])


def _check_version() -> None:
    """Hold dlt to what is used of it here."""
    version = "of no version"
    try:
        version = getattr(importlib.import_module("dlt"), "__version__", version)
        for name, wanted in _USED.items():
            module = importlib.import_module(name)
            for one in wanted:
                getattr(module, one)
    except (ImportError, AttributeError) as error:
        text = f"dlt {version} cannot be run here ({error}): write another version of package:, such as {_TRIED}"
        raise RefusedError(text) from None


def _leaves(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, Mapping):
        for name, below in value.items():
            yield from _leaves(below, (*path, str(name)))
    elif value is not None:
        yield path, value


def _source(settings: Mapping[str, Any]) -> Any:
    import dlt
    from dlt.extract import DltResource, DltSource
    from dlt.extract.exceptions import DltResourceException

    if settings["rest_api"] is not None:
        from dlt.sources.rest_api import rest_api_source

        return rest_api_source(settings["rest_api"], name=settings["name"])
    made = _found(settings["source"])
    if not isinstance(made, DltSource | DltResource):
        if not callable(made):
            raise RefusedError(f"{settings['source']} is neither a dlt source nor a function")
        made = made(**settings["arguments"])
    if isinstance(made, DltSource):
        return made
    if not isinstance(made, DltResource):
        _, _, name = settings["source"].partition(":")
        try:
            made = dlt.resource(made, name=name)
        except DltResourceException as error:
            raise RefusedError(f"{settings['source']} returned no dlt source, resource or records: {error}") from None
    return DltSource(dlt.Schema(settings["name"]), settings["name"], [made])


def _found(named: str) -> Any:
    """Return the object that `module:name` means; without a name, the only source of the module."""
    module_name, _, name = named.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and module_name.split(".")[0] == error.name.split(".")[0]:
            raise RefusedError(f'module "{module_name}" was not found: check source: and folder:') from None
        text = f'"{module_name}" needs the module "{error.name}": add its package to requirements:'
        raise RefusedError(text) from None
    known = list(_sources_of(module))
    if name and not hasattr(module, name):
        raise RefusedError(f'{module_name} has no "{name}"; it has {", ".join(known) or "no source"}')
    if not name and len(known) != 1:
        raise RefusedError(f"write {module_name}:NAME with one of {', '.join(known) or 'its functions'}")
    return getattr(module, name or known[0])


def _sources_of(module: Any) -> Iterator[str]:
    from dlt.extract import DltResource, DltSource
    from dlt.extract.decorators import SourceFactory

    for name, value in vars(module).items():
        own = getattr(value, "__module__", module.__name__) in (module.__name__, "dlt.extract.decorators")
        if own and not name.startswith("_") and isinstance(value, DltSource | DltResource | SourceFactory):
            yield name


def _described(resource: Any) -> dict[str, Any]:
    """Return what a resource says of itself, without a request."""
    table = resource.compute_table_schema()
    columns = table.get("columns") or {}
    key = [name for name, column in columns.items() if column.get("primary_key")]
    texts = {name: {"type": "string"} for name, column in columns.items() if column.get("data_type") == "text"}
    return {
        "stream": resource.name,
        "key_properties": key,
        "changes": _sends_changes(resource),
        "schema": {"properties": texts},
    }


def _sends_changes(resource: Any) -> bool:
    """Whether a resource has a cursor: set by hints, as an argument, or as what its function has by default."""
    from dlt.extract.incremental import Incremental

    if resource.incremental is None:
        return False
    given = [resource.incremental.incremental, *(resource.explicit_args.values() if resource.args_bound else ())]
    with suppress(TypeError, ValueError):
        parameters = inspect.signature(resource._pipe.gen).parameters  # noqa: SLF001 - there is no other way
        given += [parameter.default for parameter in parameters.values()]
    return any(isinstance(one, Incremental) for one in given)


def _read(out: IO[bytes], source: Any, settings: Mapping[str, Any]) -> None:
    from dlt.common.configuration.container import Container
    from dlt.common.json import json as dlt_json
    from dlt.common.pipeline import StateInjectableContext

    name = settings["resource"]
    if name not in source.resources:
        raise RefusedError(f'the source has no resource "{name}"; it has {", ".join(sorted(source.resources))}')
    chosen = source.with_resources(name)
    begins = settings["state"]
    # as this program gave it, or as a config has it that was imported
    text = begins if isinstance(begins, str) else json.dumps(begins)
    state: dict[str, Any] = dlt_json.typed_loads(text) if begins else {}
    described = _described(source.resources[name])
    _say(out, {"type": "SCHEMA", **described})
    head = b'{"type":"RECORD","stream":' + json.dumps(name).encode() + b',"record":'
    resource = chosen.resources[name]
    resource.add_filter(_of_its_own_table(out, {name, resource.table_name}))
    # the state that the resource changes while it is read
    with Container().injectable_context(StateInjectableContext(state=state)):
        for item in chosen:
            for row in _rows(item):
                out.write(head + dlt_json.dumpb(row) + b"}\n")
    _say(out, {"type": "STATE", "value": dlt_json.typed_dumps({"sources": state.get("sources", {})})})


def _of_its_own_table(out: IO[bytes], own: set[Any]) -> Any:
    """Return what keeps the rows that a resource marks as those of another table out of its own, and says so."""

    def keep(_: Row, meta: Any = None) -> bool:
        table = getattr(meta, "table_name", None)
        if table is None or table in own:
            return True
        _say(out, {"type": "RECORD", "stream": table, "record": None})
        return False

    return keep


def _rows(item: Any) -> Iterable[Row]:
    """Yield the rows of what a resource yields: a row, Arrow, or a data frame."""
    if hasattr(item, "to_batches"):
        for batch in item.to_batches(max_chunksize=_ROWS):
            yield from batch.to_pylist()
    elif hasattr(item, "to_pylist"):
        yield from item.to_pylist()
    elif hasattr(item, "to_arrow"):
        yield from _rows(item.to_arrow())
    elif hasattr(item, "to_dict") and hasattr(item, "columns"):
        yield from item.to_dict("records")
    elif isinstance(item, list | tuple):
        for one in item:
            yield from _rows(one)
    else:
        yield item


def _say(out: IO[bytes], message: Mapping[str, Any]) -> None:
    out.write(json.dumps(message).encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main())
