"""A config of a JSON API as YAML, read from a server that answers as a test says."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Any

from extract_support import WEEK, Server, spooled

from elt_factory.config.loading import load_config
from elt_factory.extract.request import ReadRequest
from elt_factory.sources.read import read


def source_of(folder: Path, tables: str, extract: str = "", zone: str = "UTC"):
    """The config with these tables, and with more lines of `extract`."""
    file = folder / "shop.yaml"
    lines = ["name: shop", f"timezone: {zone}", "extract:", "  type: rest_api", "  connection: api"]
    lines += [f"  {line}" for line in dedent(extract).splitlines()]
    lines += ["tables:", *(f"  {line}" for line in dedent(tables).splitlines())]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return load_config(file).config


def request_of(server: Server, folder: Path, source: Any, table: str, **given: Any) -> ReadRequest:
    workdir = folder / f"work-{table}"
    workdir.mkdir(exist_ok=True)
    defaults = {"connection": server.connection(), "window": WEEK, "log": lambda _: None}
    return ReadRequest(
        source=source, table=table, load_id="load-1", workdir=workdir, project=folder, **{**defaults, **given}
    )


def records_of(server: Server, folder: Path, tables: str, table: str, extract: str = "", **given: Any) -> list[Any]:
    """The records that a table is read as."""
    source = source_of(folder, tables, extract)
    spool = read(request_of(server, folder, source, table, **given))
    records = spooled(spool.files)
    assert spool.rows_read == len(records)
    return records
