"""An API as a low-code manifest describes it: its records by the schemas, its pages, its windows, its parents, its key.

The manifest is read as it is, and not by what it compiles to. Records are made out of names and numbers alone, so that
what an answer must hold is known without asking. What a manifest says that is not served here is an UnservedError.
"""

from __future__ import annotations

import base64
import json
import re
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from manifest_records import END, START, Node, Record, UnservedError, at, made, put, read_as, written_as

SECRET, LOGIN = "hunter2hunter2", "a login"
PAGE, RECORDS = 2, 5
OLD = START - timedelta(days=30)
_STEP = r"""(?:\.(\w+)(?!\w*\()|\[\s*['"]([^'"]+)['"]\s*\]|\.get\(\s*['"]([^'"]+)['"]\s*(?:,[^()]*)?\))"""
_PART = re.compile(r"\{\{\s*stream_(?:partition|slice)(?:\.(\w+)|\[\s*['\"](\w+)['\"]\s*\])\s*\}\}")
_BRACES = re.compile(r"\{\{.*?\}\}")
_WAY = re.compile(rf"(response|last_record)((?:{_STEP})+)")
_COPIED = re.compile(r"""\{\{\s*record((?:\.\w+|\[['"]\w+['"]\]){2,})\s*\}\}""")


@dataclass
class Asked:
    """One request."""

    path: str
    params: dict[str, str]
    headers: dict[str, str]


@dataclass
class Stream:
    """One stream of a manifest, as the API serves it."""

    node: Node
    parent: Stream | None = None

    @property
    def name(self) -> str:
        """The name of the stream."""
        return str(self.node.get("name"))

    @property
    def retriever(self) -> Node:
        """How it is read."""
        return self.node.get("retriever") or {}

    @property
    def requester(self) -> Node:
        """How it is asked for."""
        return self.retriever.get("requester") or {}

    @property
    def sync(self) -> Node:
        """How it is read by changes."""
        return self.node.get("incremental_sync") or {}

    @cached_property
    def cursor(self) -> str:
        """The field of its changes."""
        return str(self.sync.get("cursor_field") or "")

    @cached_property
    def router(self) -> Node:
        """What it is asked for each of."""
        found = self.retriever.get("partition_router") or {}
        return found[0] if isinstance(found, list) else found

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """What paths of its requests look like; the partition is a group."""
        whole = str(self.requester.get("url") or self.requester.get("url_base") or "")
        below = str(self.requester.get("path") or "")
        if below.startswith("http"):
            whole, below = below, ""
        host = re.match(r"\s*(?:https?://(?:\{\{.*?\}\}|[^/{])+|\{\{.*?\}\})(.*)", whole, re.DOTALL)
        if host is None:
            raise UnservedError("an address that is computed")
        path = "/".join(part.strip().strip("/") for part in (host[1], below) if part.strip().strip("/")).partition("?")[
            0
        ]
        text, seen = "", False
        for piece in re.split(r"(\{\{.*?\}\})", path):
            is_part = bool(_PART.fullmatch(piece)) and not seen
            seen = seen or is_part
            plain = re.sub(r"/{2,}", "/", re.escape(piece)).replace("/", "/+")
            text += "(?P<part>[^/]+)" if is_part else "[^/]+" if piece.startswith("{{") else plain
        return re.compile(f"/+{text}/?")

    @property
    def literals(self) -> int:
        """How many signs of the path are none of a template."""
        return len(re.sub(r"\(\?P<part>.*?\)|\[\^/\]\+", "", self.pattern.pattern))

    def partition(self, asked: Asked) -> str:
        """Return for which partition a request asks; empty where there are none."""
        found = self.pattern.fullmatch(asked.path)
        if found and "part" in found.groupdict():
            return unquote(found["part"])
        option = self.option
        name = str(option.get("field_name") or "")
        if name:
            return (asked.headers if option.get("inject_into") == "header" else asked.params).get(name, "")
        templates = self.requester.get("request_parameters") or {}
        sent = (
            [key for key, text in templates.items() if _PART.search(str(text))] if isinstance(templates, dict) else []
        )
        return asked.params.get(sent[0], "") if sent else ""

    @property
    def option(self) -> Node:
        """Where the partition is sent."""
        parents = self.router.get("parent_stream_configs") or [{}]
        return self.router.get("request_option") or parents[0].get("request_option") or {}

    def partitions(self) -> list[str]:
        """Return all partitions that there are."""
        if self.parent is not None:
            key = str(self.router["parent_stream_configs"][0]["parent_key"]).split(".")
            way = self.parent.lifted.get(key[0], key)
            return [_text(at(record, way)) for record in self.parent.all_records()]
        values = self.router.get("values")
        return [str(value) for value in values] if isinstance(values, list) else [""]

    def all_records(self) -> list[Record]:
        """Return all records that a read of the window must bring."""
        return [record for part in self.partitions() for record in self.records(part) if not self.is_old(record)]

    def is_old(self, record: Record) -> bool:
        """Whether a record is older than the window."""
        return bool(record.get("_old"))

    def records(self, part: str) -> list[Record]:
        """Return the records of a partition."""
        count = RECORDS + bool(self.filters)
        return [self.record(part, number) for number in range(count)]

    def record(self, part: str, number: int) -> Record:
        """Return one record."""
        schema = (self.node.get("schema_loader") or {}).get("schema") or {}
        unique = zlib.crc32(f"{self.name}|{part}|{number}".encode()) % 1_000_000_000
        fields: Record = made("", {**schema, "type": "object"}, unique, 0) or {}
        for name in self.added:
            fields.pop(name, None)
        for key in self.keys:
            if at(fields, key) is None and key[0] not in self.added:
                put(fields, key, unique)
        for way in self.lifted.values():
            if at(fields, way) is None:
                put(fields, way, f"{way[-1]} {unique}")
        if self.cursor:
            when = OLD if number == RECORDS else START + timedelta(days=number + 1, hours=3)
            put(fields, self.cursor.split("."), self.written(when))
        if number == RECORDS:
            fields["_old"] = True
        return fields

    @cached_property
    def added(self) -> frozenset[str]:
        """What the manifest adds to its records: a schema describes them with it, and the API does not send it."""
        steps = [step for step in self.node.get("transformations") or [] if step.get("type") == "AddFields"]
        return frozenset(str((one.get("path") or [""])[0]) for step in steps for one in step.get("fields") or [])

    @cached_property
    def lifted(self) -> dict[str, list[str]]:
        """The ways to what the manifest copies out of its records, by the names of the copies.

        The API sends it, also where no schema has it.
        """
        steps = [step for step in self.node.get("transformations") or [] if step.get("type") == "AddFields"]
        found = {}
        for one in (one for step in steps for one in step.get("fields") or []):
            copied = _COPIED.fullmatch(str(one.get("value")).strip())
            if copied:
                found[str((one.get("path") or [""])[0])] = re.findall(r"\w+", copied[1])
        return found

    @cached_property
    def keys(self) -> list[list[str]]:
        """The ways to what tells its records apart."""
        given = self.node.get("primary_key") or []
        found = [given] if isinstance(given, str) else list(given)
        return [[one] if isinstance(one, str) else list(one) for one in found] + self.children_keys

    children_keys: list[list[str]] = field(default_factory=list)

    @cached_property
    def form(self) -> str:
        """How times are written in requests."""
        return str(self.sync.get("datetime_format") or "%Y-%m-%dT%H:%M:%SZ")

    def written(self, when: datetime) -> Any:
        """Return a time as records have it."""
        formats = self.sync.get("cursor_datetime_formats") or [self.form]
        text = written_as(when, str(formats[0]))
        return int(text) if text.isdigit() else text

    @cached_property
    def filters(self) -> dict[str, str]:
        """Return the parameters by which the window is asked for: the start's and the end's."""
        found = {}
        for end in ("start", "end"):
            option = self.sync.get(f"{end}_time_option") or {}
            if option and option.get("inject_into", "request_parameter") == "request_parameter":
                found[end] = str(option.get("field_name"))
        return found if "start" in found else {}


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)


@dataclass
class Mock:
    """All streams of a manifest; `unserved` has those that are not served, with the reason."""

    streams: list[Stream]
    unserved: dict[str, str]
    refused: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, nodes: Sequence[Node]) -> Mock:
        """Return the API of the streams of a manifest."""
        mock = cls([], {})
        for node in nodes:
            try:
                mock.streams.append(_stream(node))
            except UnservedError as error:
                mock.unserved[str(node.get("name"))] = str(error)
        places = [(one.pattern.pattern, one.requester.get("http_method")) for one in mock.streams]
        for one, place in zip([*mock.streams], places, strict=True):
            if places.count(place) > 1:
                mock.unserved[one.name] = "one address for several streams"
        mock.streams = [one for one in mock.streams if one.name not in mock.unserved]
        # a parent that is written out within its child has keys of its own
        for one in mock.streams:
            if one.parent is not None:
                twin = next((other for other in mock.streams if other.name == one.parent.name), None)
                if twin is None:
                    mock.unserved[one.name] = f"its parent {one.parent.name}"
                else:
                    twin.children_keys.append(str(one.router["parent_stream_configs"][0]["parent_key"]).split("."))
                    one.parent = twin
        mock.streams = [one for one in mock.streams if one.name not in mock.unserved]
        return mock

    def answer(self, asked: Asked) -> tuple[int, Any, dict[str, str]]:
        """Return status, body and headers."""
        fits = [one for one in self.streams if one.pattern.fullmatch(asked.path)]
        if not fits:
            self.refused.append(asked.path)
            return 404, {"message": f"no {asked.path}"}, {}
        stream = max(fits, key=lambda one: one.literals)
        if not _knows(stream.requester.get("authenticator") or {}, asked):
            return 401, {"message": "no"}, {}
        return (200, *_page(stream, asked, _wanted(stream, asked)))


def _stream(node: Node) -> Stream:
    stream = Stream(node)
    retriever = stream.retriever
    kinds = (retriever, stream.requester, retriever.get("record_selector") or {}, stream.sync, stream.router)
    if any(str(one.get("type", "")).startswith("Custom") for one in kinds) or "Async" in str(retriever.get("type")):
        raise UnservedError("code of its own, or a job")
    selector = retriever.get("record_selector") or {}
    extractor = selector.get("extractor") or {}
    if selector.get("record_filter") or any(
        "{{" in str(part) or part == "*" for part in extractor.get("field_path") or []
    ):
        raise UnservedError("a filter, or records at a computed place")
    if (retriever.get("decoder") or {}).get("type", "JsonDecoder") != "JsonDecoder":
        raise UnservedError("another format than JSON")
    auth = str((stream.requester.get("authenticator") or {}).get("type") or "NoAuth")
    if auth not in ("NoAuth", "BearerAuthenticator", "BasicHttpAuthenticator", "ApiKeyAuthenticator"):
        raise UnservedError(f"credentials: {auth}")
    if isinstance(retriever.get("partition_router"), list) and len(retriever["partition_router"]) > 1:
        raise UnservedError("several routers")
    if stream.cursor.split(".")[0] in stream.added:
        raise UnservedError("a cursor that the manifest adds")
    if stream.cursor and str(stream.node.get("primary_key")).strip("[]'") == stream.cursor:
        raise UnservedError("a time that is the key")
    _with_parent(stream)
    _check_pages(stream)
    # what cannot be served shows now
    written_as(START, stream.form)
    _ = stream.pattern
    return stream


def _with_parent(stream: Stream) -> None:
    parents = stream.router.get("parent_stream_configs") or []
    if len(parents) > 1:
        raise UnservedError("several parents")
    if parents:
        if "*" in str(parents[0]["parent_key"]) or "{{" in str(parents[0]["parent_key"]):
            raise UnservedError("a key of the parent that is computed")
        stream.parent = _stream(parents[0]["stream"])
        if stream.parent.name == stream.name:
            raise UnservedError("it is its own parent")
    elif stream.router and not isinstance(stream.router.get("values"), list):
        raise UnservedError("a list of a setting")


def _check_pages(stream: Stream) -> None:
    paginator = stream.retriever.get("paginator") or {}
    strategy, option = paginator.get("pagination_strategy") or {}, paginator.get("page_token_option") or {}
    if str(strategy.get("type", "")).startswith("Custom"):
        raise UnservedError("pages by code of its own")
    place = option.get("inject_into", "request_parameter")
    if strategy and option.get("type") != "RequestPath" and place != "request_parameter":
        raise UnservedError(f"pages in {place}")
    if strategy.get("type") == "CursorPagination" and (
        _way(strategy.get("cursor_value")) is None or _flags(strategy) is None
    ):
        raise UnservedError("a next page that is computed")
    way = ((stream.retriever.get("record_selector") or {}).get("extractor") or {}).get("field_path")
    if not way and str(strategy.get("cursor_value")).find("response") >= 0:
        raise UnservedError("a next page in a list")


def _way(template: Any) -> tuple[str, list[str]] | None:
    inner = re.fullmatch(r"\s*\{\{\s*(.*?)\s*\}\}\s*", str(template or ""), re.DOTALL)
    found = _WAY.fullmatch(inner[1]) if inner else None
    return (found[1], [next(filter(None, one)) for one in re.findall(_STEP, found[2])]) if found else None


def _flags(strategy: Node) -> list[tuple[list[str], bool]] | None:
    """Return the values that say that more pages follow, each true or false then; None where they are computed."""
    stop = str(strategy.get("stop_condition") or "")
    found = re.fullmatch(r"\s*\{\{\s*(not\s+)?(.*?)\s*\}\}\s*", stop, re.DOTALL)
    if not stop:
        return []
    leads = _way("{{ " + found[2] + " }}") if found else None
    if leads is None or leads[0] != "response" or found is None:
        return None
    token = _way(strategy.get("cursor_value"))
    return [] if token == leads else [(leads[1], bool(found[1]))]


def _knows(auth: Node, asked: Asked) -> bool:
    """Whether a request has the credentials."""
    kind, headers = auth.get("type"), {name.lower(): text for name, text in asked.headers.items()}
    if kind == "BearerAuthenticator":
        return headers.get("authorization") == f"Bearer {SECRET}"
    if kind == "BasicHttpAuthenticator":
        given = base64.b64decode(headers.get("authorization", "").removeprefix("Basic ")).decode()
        return SECRET in given or LOGIN in given
    if kind == "ApiKeyAuthenticator":
        option = auth.get("inject_into") or {}
        name = str(option.get("field_name") or auth.get("header") or "Authorization")
        sent = asked.params if option.get("inject_into") == "request_parameter" else headers
        return SECRET in sent.get(name if sent is asked.params else name.lower(), "")
    return True


def _wanted(stream: Stream, asked: Asked) -> list[Record]:
    """Return the records that a request asks for, of all pages."""
    found = stream.records(stream.partition(asked))
    ends = {end: asked.params.get(name, "") for end, name in stream.filters.items()}
    if not ends.get("start"):
        return found
    begins = read_as(ends["start"], stream.form)
    until = read_as(ends["end"], stream.form) if ends.get("end") else END
    day = timedelta(days=1) if "%H" not in stream.form and "%s" not in stream.form else timedelta()
    return [
        one for one in found if begins <= read_as(str(at(one, stream.cursor.split("."))), _own(stream)) <= until + day
    ]


def _own(stream: Stream) -> str:
    return str((stream.sync.get("cursor_datetime_formats") or [stream.form])[0])


def _page(stream: Stream, asked: Asked, records: list[Record]) -> tuple[Any, dict[str, str]]:
    """Return one page of some records, as the paginator expects it."""
    paginator = stream.retriever.get("paginator") or {}
    strategy, option = paginator.get("pagination_strategy") or {}, paginator.get("page_token_option") or {}
    kind, name = strategy.get("type"), str(option.get("field_name") or "_page")
    name = name if option.get("type") != "RequestPath" else "_page"
    sent = asked.params.get(name, "")
    size = _size(paginator, strategy, asked)
    begins = 0
    if kind == "PageIncrement":
        first = int(strategy.get("start_from_page") or 0)
        begins = (int(sent or first) - first) * size
    elif kind == "OffsetIncrement":
        begins = int(sent or 0)
    elif kind == "CursorPagination" and sent:
        begins = _after(strategy, sent, records)
    elif kind is None:
        size = max(len(records), 1)
    shown = [{key: value for key, value in one.items() if key != "_old"} for one in records[begins : begins + size]]
    body = _body(stream, shown)
    if kind == "CursorPagination":
        _lead_on(stream, strategy, body, asked, (begins + size, len(records), name))
    return body, {}


def _size(paginator: Node, strategy: Node, asked: Asked) -> int:
    named = str((paginator.get("page_size_option") or {}).get("field_name") or "")
    given = asked.params.get(named, "") or str(strategy.get("page_size") or "")
    return int(given) if given.isdigit() else PAGE


def _after(strategy: Node, sent: str, records: list[Record]) -> int:
    leads = _way(strategy.get("cursor_value"))
    if leads and leads[0] == "last_record":
        return next((n + 1 for n, one in enumerate(records) if _text(at(one, leads[1])) == sent), len(records))
    return int(sent.removeprefix("p")) if sent.removeprefix("p").isdigit() else 0


def _body(stream: Stream, shown: list[Record]) -> Any:
    way = [str(part) for part in ((stream.retriever["record_selector"].get("extractor") or {}).get("field_path") or [])]
    if not way:
        return shown
    body: dict[str, Any] = {}
    put(body, way, shown)
    return body


def _lead_on(stream: Stream, strategy: Node, body: Any, asked: Asked, place: tuple[int, int, str]) -> None:
    after, total, name = place
    leads = _way(strategy.get("cursor_value"))
    if not isinstance(body, dict) or leads is None:
        return
    for way, true in _flags(strategy) or ():
        put(body, way, (after < total) is true)
    if leads[0] == "response" and after < total:
        query = {**asked.params, name: f"p{after}"}
        option = (stream.retriever.get("paginator") or {}).get("page_token_option") or {}
        link = f"{{address}}{asked.path}?" + "&".join(f"{key}={value}" for key, value in query.items())
        put(body, leads[1], link if option.get("type") == "RequestPath" else f"p{after}")


@contextmanager
def serving(mock: Mock) -> Iterator[str]:
    """Serve an API on loopback, and yield its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            there = urlsplit(self.path)
            asked = Asked(there.path, dict(parse_qsl(there.query)), dict(self.headers))
            try:
                status, body, headers = mock.answer(asked)
            except (ValueError, KeyError, TypeError) as error:
                status, body, headers = 400, {"message": f"{type(error).__name__} {error} for {self.path}"}, {}
            text = json.dumps(body).replace("{address}", address).encode()
            self.send_response(status)
            for name, value in {
                **headers,
                "Content-Type": "application/json",
                "Content-Length": str(len(text)),
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)

        do_POST = do_GET  # noqa: N815 - so http.server calls it

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield address
    finally:
        server.shutdown()
        server.server_close()
