"""An empty line in a folder: connections, the stage, and the places where the line tells what it does."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from proof_kinds import Kind
from proof_line import Line
from proof_source import api
from proof_stage import WatchedStorage, staged

from elt_factory.landing import manifest as manifest_module
from elt_factory.landing import remote
from elt_factory.landing.remote import RemotePlace
from elt_factory.warehouse import patience
from elt_factory.warehouse.base import Warehouse
from elt_factory.warehouse.duckdb.warehouse import DuckDBWarehouse


@contextmanager
def line(folder: Path, kind: Kind, remotely: bool) -> Iterator[Line]:
    """An empty line in a folder."""
    for name in ("source", "scratch"):
        (folder / name).mkdir(parents=True)
    warehouse, storage = folder / "warehouse.duckdb", f"memory://landings/{folder.name}"
    with ExitStack() as stack:
        stage = stack.enter_context(staged(folder / "landing", warehouse))
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        made = Line(folder, kind, stage)
        connections = {
            "warehouse": {"conn_type": "duckdb", "host": str(warehouse)},
            "files": {"conn_type": "fs", "extra": {"path": str(folder / "source")}},
            "database": {"conn_type": "sqlite", "host": str(made.source.database)},
        }
        if kind.source == "rest_api":
            connections["api"] = {
                "conn_type": "http",
                "host": "127.0.0.1",
                "schema": "http",
                "port": stack.enter_context(api(made.source)),
            }
        for name, about in connections.items():
            patch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(about))
        patch.setenv("ELT_PROJECT", str(folder))
        patch.setattr(tempfile, "tempdir", str(folder / "scratch"))
        patch.setenv("AIRFLOW_VAR_ELT_LANDING", storage if remotely else "landing")
        _listen(patch, made)
        made.source.publish()
        yield made


def _listen(patch: pytest.MonkeyPatch, made: Line) -> None:
    """Hear when the source is read, when a landing's manifest is made, and which one is loaded."""
    from elt_factory.sources import read as reader

    real_read, real_manifest, real_load = reader.read, manifest_module.Manifest.__init__, Warehouse.load
    real_begun = DuckDBWarehouse.moment_begun

    def begun(self: DuckDBWarehouse, source: str, table: str) -> Any:
        # a try begins with its moment: one that others overtake before it has that begins after them
        with made.stage.unseen():
            return real_begun(self, source, table)

    def read(request: Any) -> Any:
        made.is_read()
        return real_read(request)

    def manifest(self: Any, *args: Any, **kwargs: Any) -> None:
        real_manifest(self, *args, **kwargs)
        if made.stage.current is not None:
            made.is_landed(self.attempt)

    def load(self: Any, order: Any) -> Any:
        made.is_loading(order)
        return real_load(self, order)

    patch.setattr(reader, "read", read)
    patch.setattr(manifest_module.Manifest, "__init__", manifest)
    patch.setattr(Warehouse, "load", load)
    patch.setattr(DuckDBWarehouse, "moment_begun", begun)
    # object storage in this process: the same code of ours, the same library, another kind of address
    patch.setattr(remote, "open_place", lambda url, _: RemotePlace(WatchedStorage.at(url)))
    patch.setattr(remote, "AT_ONCE", 1)
    # whoever holds the table's turn does not go on while this one waits for it
    patch.setattr(patience, "TRIES", 2)
    patch.setattr(patience, "pause", lambda _: 0.0)
