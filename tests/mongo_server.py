"""A server that speaks MongoDB's wire protocol to the real driver, over documents that mongomock finds.

It knows the commands that the reader sends, answers in batches, and can refuse, break the line, or be a server alone.
"""

from __future__ import annotations

import socketserver
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import bson
import mongomock
from bson.codec_options import CodecOptions

OP_MSG, OP_QUERY, OP_REPLY = 2013, 2004, 1
_HEADER = struct.Struct("<iiii")
_ANSWERS = {"listCollections": "_collections", "find": "_find", "aggregate": "_aggregate", "getMore": "_more"}
_OF_DRIVER = ("hello", "ismaster", "endSessions", "ping", "killCursors")


class RefusedError(Exception):
    """What the server says no to: a number of MongoDB's errors, and words."""

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        super().__init__(message)


class CutError(Exception):
    """The line breaks in place of an answer."""


@dataclass
class MongoServer:
    """Documents in databases, and every command that was sent.

    `trouble` is called with each command and raises what happens to it.
    """

    replica_set: str | None = "rs0"
    wire_version: int = 21
    trouble: Callable[[Mapping[str, Any]], None] = lambda _: None
    port: int = 0
    store: mongomock.MongoClient = field(default_factory=lambda: mongomock.MongoClient(tz_aware=True))
    views: dict[str, str] = field(default_factory=dict)
    commands: list[dict[str, Any]] = field(default_factory=list)
    _open: dict[int, tuple[str, list[dict[str, Any]]]] = field(default_factory=dict)

    def fill(self, database: str, collection: str, *documents: Mapping[str, Any]) -> None:
        """Put documents into a collection as they are."""
        made = self.store[database][collection]
        if documents:
            made.insert_many([dict(one) for one in documents])
        else:
            self.store[database].create_collection(collection)

    def sent(self, name: str) -> list[dict[str, Any]]:
        """The commands of a name, in their order."""
        return [one for one in self.commands if name in one]

    def answer(self, command: dict[str, Any]) -> dict[str, Any]:
        name = next(iter(command))
        if name.lower() == "ismaster" or name == "hello":
            return self._hello()
        self.commands.append(command)
        try:
            self.trouble(command)
            return {"ok": 1.0, **getattr(self, _ANSWERS.get(name, "_nothing"))(command)}
        except RefusedError as error:
            return {"ok": 0.0, "code": error.code, "codeName": "X", "errmsg": str(error)}
        except (NotImplementedError, mongomock.OperationFailure) as error:
            return {"ok": 0.0, "code": 2, "codeName": "BadValue", "errmsg": str(error)}

    def _hello(self) -> dict[str, Any]:
        here = f"127.0.0.1:{self.port}"
        member = {"setName": self.replica_set, "hosts": [here], "me": here, "primary": here, "secondary": False}
        return {
            "ok": 1.0,
            "helloOk": True,
            "ismaster": True,
            "isWritablePrimary": True,
            "minWireVersion": 0,
            "maxWireVersion": self.wire_version,
            "maxBsonObjectSize": 16 * 2**20,
            "maxMessageSizeBytes": 48_000_000,
            "maxWriteBatchSize": 100_000,
            "logicalSessionTimeoutMinutes": 30,
            **(member if self.replica_set else {}),
        }

    def _nothing(self, command: dict[str, Any]) -> dict[str, Any]:
        name = next(iter(command))
        if name not in _OF_DRIVER:
            raise RefusedError(59, f"no such command: '{name}'")
        return {}

    def _collections(self, command: dict[str, Any]) -> dict[str, Any]:
        names = self.store[command["$db"]].list_collection_names()
        kinds = {**dict.fromkeys(names, "collection"), **dict.fromkeys(self.views, "view")}
        found = [{"name": name, "type": kind, "options": {}} for name, kind in kinds.items()]
        return self._batch(f"{command['$db']}.$cmd.listCollections", found, len(found), {})

    def _find(self, command: dict[str, Any]) -> dict[str, Any]:
        name = self.views.get(command["find"], command["find"])
        found = self.store[command["$db"]][name].find(command.get("filter") or {}, command.get("projection") or None)
        if command.get("sort"):
            found = found.sort([*command["sort"].items()])
        documents = [*found][: command.get("limit") or None]
        size = command.get("batchSize", 101)
        return self._batch(f"{command['$db']}.{name}", documents, size, self._moment(command))

    def _aggregate(self, command: dict[str, Any]) -> dict[str, Any]:
        name, pipeline = command["aggregate"], command["pipeline"]
        found = [*self.store[command["$db"]][name].aggregate(pipeline)]
        return self._batch(f"{command['$db']}.{name}", found, 101, self._moment(command))

    def _more(self, command: dict[str, Any]) -> dict[str, Any]:
        namespace, rest = self._open.pop(command["getMore"])
        size = command.get("batchSize", 101)
        return {"cursor": {"ns": namespace, "nextBatch": rest[:size], "id": self._keep(namespace, rest[size:])}}

    def _moment(self, command: Mapping[str, Any]) -> dict[str, Any]:
        if command.get("readConcern", {}).get("level") != "snapshot":
            return {}
        if self.replica_set is None:
            raise RefusedError(246, "snapshot needs a replica set")
        return {"atClusterTime": command["readConcern"].get("atClusterTime", bson.Timestamp(1356998400, 1))}

    def _batch(self, namespace: str, found: list[Any], size: int, more: Mapping[str, Any]) -> dict[str, Any]:
        cursor = {"ns": namespace, "firstBatch": found[:size], "id": self._keep(namespace, found[size:]), **more}
        return {"cursor": cursor}

    def _keep(self, namespace: str, rest: list[Any]) -> bson.Int64:
        if not rest:
            return bson.Int64(0)
        number = len(self.commands) + 1
        self._open[number] = (namespace, rest)
        return bson.Int64(number)


@contextmanager
def mongo_running(**given: Any) -> Iterator[MongoServer]:
    """Start a server on a free port of 127.0.0.1; it ends with the block."""
    server = MongoServer(**given)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            try:
                while header := _read(self.request, _HEADER.size):
                    length, number, _, code = _HEADER.unpack(header)
                    self.request.sendall(_reply(server, number, code, _read(self.request, length - _HEADER.size)))
            except (CutError, ConnectionError):
                return

    class Threads(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Threads(("127.0.0.1", 0), Handler) as listening:
        server.port = listening.server_address[1]
        thread = threading.Thread(target=listening.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            listening.shutdown()
            thread.join()


def _read(line: Any, size: int) -> bytes:
    found = b""
    while len(found) < size:
        piece = line.recv(size - len(found))
        if not piece:
            return b""
        found += piece
    return found


def _reply(server: MongoServer, number: int, code: int, body: bytes) -> bytes:
    options: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True)
    if code == OP_QUERY:  # how a driver greets a server that it does not know
        start = body.index(b"\0", 4) + 1 + 8
        answer = bson.encode(server.answer(bson.decode(body[start:], options)))
        payload = struct.pack("<iqii", 8, 0, 0, 1) + answer
        return _HEADER.pack(_HEADER.size + len(payload), 0, number, OP_REPLY) + payload
    answer = bson.encode(server.answer(bson.decode(body[5:], options)))
    payload = struct.pack("<i", 0) + b"\0" + answer
    return _HEADER.pack(_HEADER.size + len(payload), 0, number, OP_MSG) + payload
