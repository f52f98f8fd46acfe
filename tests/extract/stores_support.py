"""What tests of stores share: a line whose files are in a store, and a warehouse that keeps their ledger."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from extract_support import WEEK, read_request

from elt_factory.core.connection import Connection
from elt_factory.extract.request import Spool
from elt_factory.sources.read import read
from elt_factory.testing.loads import Line, source_of

CSV = {"format": {"type": "csv"}}


def config(folder: str, path: str, **table: Any) -> dict[str, Any]:
    extract = {"type": "files", "folder": folder, "connection": "shop"}
    return {"name": "src", "extract": extract, "tables": {"things": {"path": path, **table}}}


def line(tmp_path: Path, given: Mapping[str, Any], connection: Connection, log: Callable[[str], None] = print) -> Line:
    return Line(source_of(given, tmp_path), connection, tmp_path, log)


def spool(
    tmp_path: Path, folder: str | None, path: str | list[str], connection: Connection | None, **table: Any
) -> Spool:
    extract = {"type": "files", "folder": folder} if folder else {"type": "files"}
    if connection:
        extract["connection"] = "shop"
    # each read has a scratch folder of its own
    fresh = Path(tempfile.mkdtemp(dir=tmp_path))
    return read(read_request(fresh, extract, {"path": path, **table}, connection, WEEK))


def names(found: Spool) -> list[str]:
    return [source.name for source in found.sources]
