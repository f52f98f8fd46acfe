"""The documents of a collection, of one moment where the server has such a thing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from elt_factory.config.errors import near_name
from elt_factory.config.models.table import source_name
from elt_factory.core.extras import needs
from elt_factory.core.failures import BadRequestError
from elt_factory.extract.label import TableLabel, needed_connection, source_of
from elt_factory.extract.progress import Progress
from elt_factory.extract.request import ReadRequest, Spool
from elt_factory.extract.templating import Values, values_of
from elt_factory.sources.mongodb.client import NO_SNAPSHOT, UNAUTHORIZED, client_of, was_cut
from elt_factory.sources.mongodb.cursors import Condition, Part, all_of, part_of
from elt_factory.sources.mongodb.documents import Kinds, as_json, plain
from elt_factory.sources.mongodb.filters import filled
from elt_factory.sources.mongodb.model import MongoDbSource, MongoDbTable
from elt_factory.sources.sql.values_as_text import as_text

with needs("mongodb", "a source of type mongodb"):
    from bson.errors import BSONError
    from pymongo import errors

if TYPE_CHECKING:
    from pymongo import MongoClient
    from pymongo.client_session import ClientSession
    from pymongo.collection import Collection
    from pymongo.database import Database

    Documents = Collection[dict[str, Any]]
    Client = MongoClient[dict[str, Any]]

_TRIES = 3
_SNAPSHOTS_SINCE = 13  # the wire version of MongoDB 5.0
_SHARDED = "isdbgrid"


def read(request: ReadRequest) -> Spool:
    """Read a collection, or the part of a window, as NDJSON.

    Where the connection breaks, what was read is thrown away and all is read again: twice, then the task is.

    Raises:
        SourceUnavailableError: MongoDB cannot be reached, or is not ready. AccessDeniedError: login or roles.
        BadRequestError: there is no such collection, field or operator. BadDataError: cursors of several types.
    """
    label = TableLabel.of(request)
    with client_of(needed_connection(request, label), label) as client:
        return _again_where_cut(client, _place(client, request, label), request, label)


def _again_where_cut(client: Client, place: _Place, request: ReadRequest, label: TableLabel) -> Spool:
    snapshot, tries = _spec(request).snapshot and _has_snapshots(client), 1
    while True:
        try:
            with _session(client, snapshot=snapshot) as session:
                return _Reading(place, session, request, label).spool()
        except errors.PyMongoError as error:
            gone = snapshot and isinstance(error, errors.OperationFailure) and error.code in NO_SNAPSHOT
            if not gone and (tries == _TRIES or not was_cut(error)):
                raise
            said = f"without a snapshot ({_said(error)})" if gone else f"the connection broke ({type(error).__name__})"
            request.log(f"{label}: reading again from the beginning: {said}")
            snapshot, tries = snapshot and not gone, tries + (not gone)


@dataclass(frozen=True)
class _Place:
    """A collection, or what may be a view."""

    collection: Documents
    is_view: bool


def _said(error: errors.PyMongoError) -> str:
    return str((error.details or {}).get("errmsg", "")) if isinstance(error, errors.OperationFailure) else str(error)


def _spec(request: ReadRequest) -> MongoDbTable:
    return source_of(request, MongoDbSource).tables[request.table]


def _has_snapshots(client: Client) -> bool:
    said = client.admin.command("hello")
    return said.get("maxWireVersion", 0) >= _SNAPSHOTS_SINCE and ("setName" in said or said.get("msg") == _SHARDED)


@contextmanager
def _session(client: Client, *, snapshot: bool) -> Iterator[ClientSession | None]:
    if not snapshot:
        yield None
        return
    with client.start_session(snapshot=True) as session:
        yield session


def database_of(client: Client, named: str | None, schema: str | None, label: TableLabel) -> Database[dict[str, Any]]:
    """Return the database of a config or its connection, whose dates are instants in UTC.

    Raises:
        BadRequestError: neither names one.
    """
    from bson.codec_options import CodecOptions, DatetimeConversion

    try:
        name = named or schema or client.get_default_database().name
    except errors.ConfigurationError:
        raise label.error(BadRequestError, "no database is named", "write database: under extract:") from None
    # what no calendar of Python has stays a number
    options: CodecOptions[dict[str, Any]] = CodecOptions(
        tz_aware=True, tzinfo=UTC, datetime_conversion=DatetimeConversion.DATETIME_AUTO
    )
    return client.get_database(name, codec_options=options)


def _place(client: Client, request: ReadRequest, label: TableLabel) -> _Place:
    source, spec = source_of(request, MongoDbSource), _spec(request)
    schema = request.connection.schema if request.connection else None
    database = database_of(client, source.extract.database, schema, label)
    name = spec.collection or request.table
    there = collections_of(database)
    # MongoDB finds nothing in a collection that is not there, and says nothing
    if there is not None and name not in there:
        text = f'unknown collection "{name}" in the database "{database.name}"'
        raise label.error(BadRequestError, text, near_name(name, there))
    return _Place(database.get_collection(name), is_view=(there or {}).get(name) != "collection")


def collections_of(database: Database[dict[str, Any]]) -> dict[str, str] | None:
    """Return the collections by their names, with their kind; None where the login may not list them."""
    try:
        found = {one["name"]: one.get("type", "") for one in database.list_collections(authorizedCollections=True)}
    except errors.OperationFailure as error:
        if error.code == UNAUTHORIZED:
            return None
        raise
    return {name: found[name] for name in sorted(found) if not name.startswith("system.")}


def _chosen(spec: MongoDbTable, values: Values, zone: str, label: TableLabel) -> Condition:
    try:
        return cast("Condition", filled(dict(spec.filter), values, zone))
    except (TypeError, ValueError, errors.PyMongoError, BSONError) as error:
        text = f"filter has extended JSON that MongoDB does not know: {' '.join(str(error).split())}"
        raise label.error(BadRequestError, text, 'write it like {"$oid": "650000000000000000000001"}') from None


@dataclass(frozen=True)
class _Reading:
    """One try to read what a request asks for."""

    place: _Place
    session: ClientSession | None
    request: ReadRequest
    label: TableLabel

    def spool(self) -> Spool:
        request, spec = self.request, _spec(self.request)
        values = values_of(request)
        chosen = _chosen(spec, values, request.source.timezone, self.label)
        part = part_of(self.place.collection, self.session, request, chosen, self.label)
        file = request.workdir / "part-00000.ndjson"
        find = partial(self._find, part, spec.projection, request.most_rows)
        rows, kinds = self._written(find, file, request.table)
        keys = self._keys(chosen, spec)
        types = {**kinds.types(), **part.types}
        files = (file,) if rows else ()
        types = types if rows else {}
        return Spool("ndjson", files, rows, types, null_cursors=part.null_cursors, keys=keys)

    def _written(self, find: Callable[[], Iterator[dict[str, Any]]], file: Path, what: str) -> tuple[int, Kinds]:
        """Write documents; those with bytes and text in one field once more, with what distinguishes them."""
        of_bytes = {source_name(name) for name, kind in _spec(self.request).types.items() if kind.name == "binary"}
        mixed, rows, kinds = frozenset[str](), -1, Kinds()
        while rows < 0 or kinds.mixed() - mixed:
            mixed, kinds = mixed | kinds.mixed(), Kinds()
            # where the config says bytes, texts are hex digits
            rows = _write(find(), file, Progress(self.request.log, what), kinds, mixed - of_bytes)
        return rows, kinds

    def _find(self, part: Part, projection: Mapping[str, Any] | None, most: int | None) -> Iterator[dict[str, Any]]:
        batch = source_of(self.request, MongoDbSource).extract.fetch_rows
        found = self.place.collection.find(part.condition, projection, session=self.session, batch_size=batch)
        if part.sort:
            found = found.sort(part.sort, 1).allow_disk_use(True)
        return found if most is None else found.limit(most)

    def _keys(self, chosen: Condition, spec: MongoDbTable) -> Spool | None:
        """Return the keys of all documents; None where no one compares them."""
        if not (spec.deletes and spec.deletes.compare):
            return None
        names = [source_name(name) for name in spec.primary_key]
        file = self.request.workdir / "keys.ndjson"
        rows, kinds = self._written(partial(self._all_keys, chosen, names), file, f"keys of {self.request.table}")
        return Spool("ndjson", (file,) if rows else (), rows, kinds.types())

    def _all_keys(self, chosen: Condition, names: Sequence[str]) -> Iterator[dict[str, Any]]:
        there = ({name: {"$ne": None}} for name in names)
        projection = {"_id": 0, **dict.fromkeys(names, 1)}
        batch = source_of(self.request, MongoDbSource).extract.fetch_rows
        found = self.place.collection.find(all_of(chosen, *there), projection, session=self.session, batch_size=batch)
        # without a snapshot, an index in which a document moves may not show it at all, and it would count as deleted
        return found if self.session or self.place.is_view else found.hint([("$natural", 1)])


def _write(
    found: Iterator[dict[str, Any]],
    file: Path,
    progress: Progress,
    kinds: Kinds,
    mixed: frozenset[str],
) -> int:
    rows = 0
    with file.open("wb") as out:
        for document in found:
            kinds.see(document)
            out.write(as_json(document, mixed) + b"\n")
            rows += 1
            progress.seen(rows)
    progress.done(rows)
    return rows


def ends_of(collection: Documents, field: str) -> tuple[str | None, str | None]:
    """Return the least and the greatest value of a field, as text."""
    there = {field: {"$ne": None}}
    found = (collection.find_one(there, {field: 1}, sort=[(field, way)]) for way in (1, -1))
    least, greatest = (as_text(plain(one[field])) if one else None for one in found)
    return least, greatest
