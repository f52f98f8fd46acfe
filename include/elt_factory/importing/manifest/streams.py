"""One stream of a manifest as a table: its request, its records, its key."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from elt_factory.config.models.secrets import is_secret
from elt_factory.discover.periods import sane_name
from elt_factory.importing.manifest.address import address_of
from elt_factory.importing.manifest.answers import answers_of
from elt_factory.importing.manifest.auth import KEY_OF_CONNECTION, auth_of, key_in_body
from elt_factory.importing.manifest.jobs import KIND, as_simple, job_of
from elt_factory.importing.manifest.paging import paging_of
from elt_factory.importing.manifest.parents import partitions_of
from elt_factory.importing.manifest.saying import OF_EXTRA, Scope, Settings, UnsaidError, inside, path, steps
from elt_factory.importing.manifest.tree import Node
from elt_factory.importing.manifest.windows import Windows, lag_of, time_format, windows_of

_WINDOW = re.compile(r"\{\{\s*window\.")
_NEXT_PAGE = re.compile(
    r"""\s*\{\{\s*next_page_token(?:\.\w+|\[\s*['"]\w+['"]\s*\]|\.get\([^()]*\))?(?:\s+or\s+[^{}]*|\s+if\s+[^{}]*)?\s*\}\}\s*"""
)
_FORMATS = {"JsonlDecoder": "ndjson", "CsvDecoder": "csv"}


@dataclass
class TableSaid:
    """A table of a config as a manifest describes it.

    Args:
        stream: The manifest's name of the stream.
        host: The address up to its path, as the manifest writes it.
        auth: How credentials are sent.
        held: Which setting belongs into which field of the connection.
        table: What the config says of the table.
        parents: The tables that it is read with.
        flattened: What these need besides their own: table, column, path.
        notes: What was left out, for people.
        lost: Columns that the manifest adds to the records, and the table does not have.
    """

    stream: str
    host: str = ""
    auth: dict[str, Any] = field(default_factory=dict)
    held: dict[str, str] = field(default_factory=dict)
    table: dict[str, Any] = field(default_factory=dict)
    parents: list[str] = field(default_factory=list)
    flattened: list[tuple[str, str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    lost: set[str] = field(default_factory=set)


def table_name(stream: Node) -> str:
    """Return the name of the table of a stream."""
    return sane_name(str(stream.get("name") or "")) or "records"


def table_of(stream: Node, settings: Settings, need: Callable[[Node], str]) -> TableSaid:
    """Return the table of a stream.

    Args:
        stream: The stream, resolved.
        settings: The connector's settings.
        need: Takes a parent stream, and returns its table.

    Raises:
        UnsaidError: it says something that no config can.
    """
    given = stream.get("retriever") or {}
    retriever, increments = _retriever_of(stream), stream.get("incremental_sync") or {}
    requester = retriever.get("requester") or {}
    parts = partitions_of(retriever.get("partition_router"), need, settings)
    scope = Scope(settings, parts.names, time_format(increments))
    windows = windows_of(increments, scope)
    said = TableSaid(str(stream.get("name")), flattened=parts.flattened)
    said.parents = [parts.for_each] if isinstance(parts.for_each, str) else []
    authenticator = requester.get("authenticator") or {}
    said.auth = auth_of(authenticator, said.held)
    request = _Request(said, scope)
    request.read(requester)
    if option := key_in_body(authenticator):
        request.send_key(option)
    for option, value in (*parts.sent, *windows.sent):
        request.send(option, value)
    paginator, params, body = paging_of(retriever.get("paginator") or {}, scope, request.page_param)
    request.params |= params
    request.body(body)
    table = said.table
    if parts.for_each is not None:
        table["for_each"] = parts.for_each
        if isinstance(parts.for_each, dict) and "each" in parts.for_each:
            said.parents = list(parts.for_each["each"]["of"])
    table |= request.said()
    table["paginator"] = paginator
    _records(retriever, stream, windows, scope, said)
    if given.get("type") == KIND:
        table["job"] = job_of(given, scope, said.notes)
        said.notes.append("links to results may lead to other hosts: list them in hosts: of extract")
    if rules := answers_of(requester.get("error_handler") or {}):
        table["answers"] = rules
    _written(stream, increments, windows, said)
    return said


def _retriever_of(stream: Node) -> Node:
    """Return how a stream is read; of a job, how it is started and what its results are."""
    if stream.get("type") == "StateDelegatingStream":
        raise UnsaidError("two ways to read one stream")
    retriever = stream.get("retriever") or {}
    kind = str(retriever.get("type") or "SimpleRetriever")
    if kind not in (KIND, "SimpleRetriever"):
        raise UnsaidError("reading by code of its own")
    found = as_simple(retriever) if kind == KIND else retriever
    if str((found.get("requester") or {}).get("type", "")).startswith("Custom"):
        raise UnsaidError("requests by code of its own")
    return found


class _Request:
    """The request of a stream, as it is put together."""

    def __init__(self, said: TableSaid, scope: Scope) -> None:
        self.table, self.scope = said, scope
        self.path, self.post = "", False
        self.params: dict[str, Any] = {}
        self.headers: dict[str, str] = {}
        self.json: Any = None
        self.form: dict[str, Any] | None = None
        self.text: str | None = None
        self.page_param = ""

    def read(self, requester: Node) -> None:
        """Take what the requester says."""
        method = str(requester.get("http_method") or "GET").upper()
        if method not in ("GET", "POST"):
            raise UnsaidError(f"requests with {method}")
        self.post = method == "POST"
        self.table.host, address, query = address_of(requester)
        self.path = self.scope.text(address)
        if OF_EXTRA in self.path:
            raise UnsaidError(f"a secret within a path: {address[:60]}")
        self.params |= dict(parse_qsl(self.scope.text(query)))
        self._fields(requester.get("request_parameters"), self.params, "param")
        self._fields(requester.get("request_headers"), self.headers, "header")
        self._bodies(requester)

    def _fields(self, given: Any, into: dict[str, Any], place: str) -> None:
        if isinstance(given, str):
            given = dict(parse_qsl(given)) if "{{" not in given else self._computed(given)
        for name, value in (given or {}).items():
            if isinstance(value, Mapping):
                raise UnsaidError("columns that are asked for in pieces")
            if self._is_credential(str(name), value, place):
                continue
            if place == "param" and _NEXT_PAGE.fullmatch(str(value)):
                self.page_param = self.scope.text(name)
                continue
            if self._is_unset(str(name), value):
                continue
            said = self.scope.text(value)
            if said != "":
                into[self.scope.text(name)] = said if isinstance(value, str) else value

    def _is_unset(self, name: str, value: Any) -> bool:
        """Whether a field is a setting that the manifest leaves out where it has no value, and none is known."""
        found = re.fullmatch(
            r"\s*\{\{\s*config((?:\.|\[|\.get\().+?)\s*(?:or\s+['\"]{2}|or\s+none|if\s.+)?\}\}\s*", str(value)
        )
        names = steps(found[1]) if found else []
        if not names or self.scope.settings.example(names[-1]) is not None or self.scope.settings.is_needed(names[-1]):
            return False
        self.table.notes.append(f'"{name}" is not sent: the setting {names[-1]} is optional')
        return True

    @staticmethod
    def _computed(text: str) -> dict[str, Any]:
        raise UnsaidError(f"parameters that are computed: {text[:60]}")

    def _is_credential(self, name: str, value: Any, place: str) -> bool:
        """Whether a field is the key that the API asks for: it is sent as `auth`, out of the connection."""
        found = re.fullmatch(r"\s*([^{}]*?)\{\{\s*config((?:\.|\[|\.get\().+?)\s*\}\}\s*", str(value))
        names = steps(found[2]) if found else []
        if not found or not names or not (self.scope.settings.is_secret(names[-1]) or is_secret(name, "x")):
            return False
        if self.table.auth["type"] != "none":
            # it is a value of the connection's extra
            return False
        self.table.held["password"] = names[-1]
        prefix = {"prefix": found[1]} if found[1] and place == "header" else {}
        self.table.auth = {"type": "api_key", place: name, **prefix}
        return True

    def _bodies(self, requester: Node) -> None:
        given = requester.get("request_body") or {}
        kind, value = str(given.get("type") or ""), given.get("value")
        data, document = requester.get("request_body_data"), requester.get("request_body_json")
        if "Json" in kind or "GraphQL" in kind or "GraphQl" in kind:
            document = value
        elif kind:
            data = value
        if document:
            self.json = self._document(document)
        if isinstance(data, Mapping):
            self.form = {str(key): self.scope.text(one) if isinstance(one, str) else one for key, one in data.items()}
        elif data:
            self.text = self.scope.text(data)

    def _document(self, given: Any) -> Any:
        if not isinstance(given, str):
            return self.scope.plain(given)
        try:
            return json.loads(self.scope.text(given))
        except ValueError:
            raise UnsaidError(f"a body that is computed: {given[:60]}") from None

    def send_key(self, option: Node) -> None:
        """Put the key of the connection into the body."""
        if not self.post:
            raise UnsaidError("a key in the body of a GET")
        self.send(option, KEY_OF_CONNECTION)

    def send(self, option: Node, value: str) -> None:
        """Put a value where a request option says."""
        place = option.get("inject_into", "request_parameter")
        below = option.get("field_path")
        name = self.scope.text(".".join(below) if isinstance(below, list) else option.get("field_name") or "")
        if place == "request_parameter":
            self.params[name] = value
        elif place == "header":
            self.headers[name] = value
        elif place == "body_data":
            self.form = {**(self.form or {}), name: value}
        else:
            self.body({name: value})

    def body(self, values: Mapping[str, Any]) -> None:
        """Put values into the body, at paths."""
        for name, value in values.items():
            if self.form is not None:
                self.form |= {name: value}
                continue
            self.json = {} if self.json is None else self.json
            at = self.json
            *way, last = name.split(".")
            for part in way:
                at = at.setdefault(part, {})
            at[last] = value

    def said(self) -> dict[str, Any]:
        """Return what the table says of it."""
        found: dict[str, Any] = {"path": self.path}
        found |= {key: value for key, value in (("params", self.params), ("headers", self.headers)) if value}
        bodies = {"json": self.json, "form": self.form, "body": self.text}
        found |= {key: value for key, value in bodies.items() if value is not None}
        if self.post and not any(value is not None for value in bodies.values()):
            found["json"] = {}
        return found


def _records(retriever: Node, stream: Node, windows: Windows, scope: Scope, said: TableSaid) -> None:
    selector, node = retriever.get("record_selector") or {}, retriever.get("decoder") or {}
    packed = False
    # what is packed is unpacked where it is read
    while node.get("type") == "GzipDecoder" and isinstance(node.get("decoder"), Mapping):
        node, packed = node["decoder"], True
    decoder = str(node.get("type") or "JsonDecoder")
    extractor = selector.get("extractor") or {}
    if str(extractor.get("type", "")).startswith("Custom"):
        raise UnsaidError("records by code of its own")
    if decoder in _FORMATS:
        said.table["format"] = {"type": _FORMATS[decoder]}
        said.table.pop("paginator")
    elif decoder != "JsonDecoder" or packed:
        raise UnsaidError(f"answers in another format ({decoder})")
    parts = [scope.text(part) for part in extractor.get("field_path") or []]
    if any("{{" in part for part in parts):
        raise UnsaidError("records at a computed place")
    if parts and decoder == "JsonDecoder":
        said.table["records"] = {"path": _with_stars(parts), "optional": True}
    _filter(inside((selector.get("record_filter") or {}).get("condition")), selector, windows, said)
    _added(stream, said, scope)


def _with_stars(parts: list[str]) -> str:
    found = ""
    for part in parts:
        if part in ("*", "**"):
            found += "[*]"
        else:
            found += ("." if found else "") + path([part])
    return found


def _filter(condition: str, selector: Node, windows: Windows, said: TableSaid) -> None:
    if str((selector.get("record_filter") or {}).get("type", "")).startswith("Custom"):
        raise UnsaidError("a filter by code of its own")
    if not condition:
        return
    if (
        windows.cursor
        and re.search(r"stream_(?:interval|slice|state)|config", condition)
        and windows.cursor in condition
    ):
        said.table["incremental"] = {"cursor": windows.cursor, "outside_window": "drop"}
        return
    there = re.fullmatch(r"""(['"])(\w+)\1\s+in\s+record|record\.(\w+)\s+is\s+(?:defined|not none)""", condition)
    if there:
        said.table["where"] = f'"{there[2] or there[3]}" is not null'
        return
    compared = re.fullmatch(r"""record((?:\.\w+|\[['"]\w+['"]\]))\s*(==|!=)\s*(['"])(.*?)\3""", condition)
    if compared is None:
        raise UnsaidError(f"a filter of records: {condition[:60]}")
    (column,) = steps(compared[1])
    sign = "=" if compared[2] == "==" else "<>"
    said.table["where"] = f'"{column}" {sign} \'' + compared[4].replace("'", "''") + "'"


def _added(stream: Node, said: TableSaid, scope: Scope) -> None:
    """Take fields that are added to records: those of partitions are kept, those within records flattened."""
    for step in stream.get("transformations") or []:
        if step.get("type") != "AddFields":
            said.notes.append(f"transformation {step.get('type')}: write it in dbt")
            continue
        for one in step.get("fields") or []:
            name, value = "_".join(map(str, one.get("path") or [])), inside(one.get("value"))
            record = re.fullmatch(
                r"record((?:\.\w+|\[\s*['\"][^'\"]+['\"]\s*\]|\.get\(\s*['\"]\w+['\"]\s*(?:,\s*\{\})?\))+)", value
            )
            partition = re.fullmatch(r"stream_(?:partition|slice)(?:\.(\w+)|\[\s*['\"](\w+)['\"]\s*\])", value)
            if partition and (partition[1] or partition[2]) in scope.partitions:
                said.table.setdefault("keep", {})[name] = scope.partitions[partition[1] or partition[2]]
            elif record and len(steps(record[1])) > 1:
                said.table.setdefault("flatten", {})[name] = path(steps(record[1]))
            else:
                said.notes.append(f'added field "{name}": write it in dbt')
                said.lost.add(name)


def _written(stream: Node, increments: Node, windows: Windows, said: TableSaid) -> None:
    """Say how the table is written: by its key, by its windows."""
    table = said.table
    asked = bool(
        _WINDOW.search(
            json.dumps({key: table.get(key) for key in ("path", "params", "headers", "json", "form", "body")})
        )
    )
    if asked:
        table |= {key: value for key, value in windows.keys.items() if key == "slices"}
    if "incremental" in windows.keys:
        table["incremental"] = windows.keys["incremental"]
    elif windows.cursor and (asked or windows.client_side):
        cursor = windows.cursor
        if "." in cursor:
            table.setdefault("flatten", {})[cursor.replace(".", "_")] = cursor
            cursor = cursor.replace(".", "_")
        lag, drops = lag_of(increments), {} if asked else {"outside_window": "drop"}
        table["incremental"] = {"cursor": cursor, **({"lag": lag} if lag else {}), **drops}
    key = _key(stream.get("primary_key"))
    if unknown := said.lost.intersection(key):
        said.notes.append(f"its key {', '.join(sorted(unknown))} is not in the answers: write primary_key")
        key = []
    if key:
        table["primary_key"] = key
    if table.get("incremental") or asked:
        table["write_disposition"] = "merge" if key else "append"
    else:
        table["write_disposition"] = "replace"


def _key(given: Any) -> list[str]:
    """Return the columns of a key; one within a record is not a column."""
    found: list[Any] = [given] if isinstance(given, str) else list(given or [])
    if len(found) == 1 and isinstance(found[0], list) and len(found[0]) > 1:
        found = found[0]
    flat = [one[0] if isinstance(one, list) and len(one) == 1 else one for one in found]
    plain = all(isinstance(one, str) and one and "{{" not in one and "." not in one for one in flat)
    return [str(one) for one in flat] if plain else []
