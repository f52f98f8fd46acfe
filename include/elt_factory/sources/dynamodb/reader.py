"""The items of a table: parallel scans, each into a file of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

from elt_factory.config.models.values import ColumnType
from elt_factory.extract.label import TableLabel, needed_connection, source_of
from elt_factory.extract.parts import all_parts
from elt_factory.extract.progress import Progress
from elt_factory.extract.request import ReadRequest, Spool
from elt_factory.sources.dynamodb.client import client_of, spoken
from elt_factory.sources.dynamodb.items import Numbers, as_json
from elt_factory.sources.dynamodb.model import DynamoDbSource

_KEY_TYPES = {"S": ColumnType("text"), "B": ColumnType("binary")}


def read(request: ReadRequest) -> Spool:
    """Read all items of a table as NDJSON.

    Raises:
        SourceUnavailableError: DynamoDB cannot be reached, or has no capacity left. AccessDeniedError: credentials.
        BadRequestError: there is no such table.
    """
    label, source = TableLabel.of(request), source_of(request, DynamoDbSource)
    client = client_of(needed_connection(request, label), label)
    spec, segments = source.tables[request.table], source.extract.segments
    name = spec.table or request.table
    with spoken(client, name, label):
        described = client.describe_table(TableName=name)["Table"]
        scan = _Scan(client, name, spec.consistent, segments, request.most_pages, request.most_rows)
        files = [request.workdir / f"part-{segment:05}.ndjson" for segment in range(segments)]
        seen = [Numbers() for _ in files]

        def write(segment: int) -> int:
            return _write(scan, request, segment, (files[segment], seen[segment]))

        counts = all_parts(segments, write, scan.stopped.set)
    types = {
        key["AttributeName"]: _KEY_TYPES[key["AttributeType"]]
        for key in described.get("AttributeDefinitions", ())
        if key["AttributeType"] in _KEY_TYPES
    }
    for numbers in seen[1:]:
        seen[0].add(numbers)
    types = {**seen[0].types(), **types}
    there = tuple(file for file, count in zip(files, counts, strict=True) if count)
    return Spool("ndjson", there, sum(counts), types if there else {})


@dataclass(frozen=True)
class _Scan:
    client: Any
    table: str
    consistent: bool
    segments: int
    most_pages: int | None
    most_rows: int | None
    stopped: Event = field(default_factory=Event)

    def pages(self, segment: int) -> Iterator[list[dict[str, Any]]]:
        """Yield the pages of a segment; those of a sample end early."""
        limit = {} if self.most_rows is None else {"Limit": max(1, self.most_rows // self.segments)}
        asked = {"TableName": self.table, "ConsistentRead": self.consistent, **limit}
        asked |= {"TotalSegments": self.segments, "Segment": segment}
        number = 0
        while True:
            page = self.client.scan(**asked)
            yield page["Items"]
            number += 1
            after = page.get("LastEvaluatedKey")
            if not after or limit or number == self.most_pages or self.stopped.is_set():
                return
            asked["ExclusiveStartKey"] = after


def _write(scan: _Scan, request: ReadRequest, segment: int, out_to: tuple[Path, Numbers]) -> int:
    rows, (file, numbers) = 0, out_to
    progress = Progress(request.log, f"{request.table}, segment {segment + 1} of {scan.segments}")
    with file.open("wb") as out:
        for items in scan.pages(segment):
            out.write(b"".join(as_json(item) + b"\n" for item in items))
            for item in items:
                numbers.see(item)
            rows += len(items)
            progress.seen(rows)
    progress.done(rows)
    return rows
