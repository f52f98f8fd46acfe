from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from checks_support import Checked

from elt_factory.core.connection import Connection
from elt_factory.sources.files.model import FilesSource
from elt_factory.warehouse.base import Warehouse
from elt_factory.warehouse.opening import open_warehouse


@pytest.fixture(params=["duckdb", "fakesnow"])
def warehouse(request, tmp_path) -> Iterator[Warehouse]:
    """An empty warehouse: the checks' SQL is written once and runs on every one."""
    fields = {"conn_type": "duckdb", "host": str(tmp_path / "warehouse.duckdb")}
    if request.param == "fakesnow":
        fields = request.getfixturevalue("fake_snowflake").fields(network_timeout=30)
    with open_warehouse(Connection("warehouse", **fields), tmp_path, print) as opened:
        yield opened


@pytest.fixture
def checked(warehouse, tmp_path) -> Callable[..., Checked]:
    """A source of one table, `tab`, with what the test says of it."""

    def make(
        table: dict[str, Any] | None = None, quality: list[dict[str, Any]] | None = None, **config: Any
    ) -> Checked:
        given = {
            "name": "src",
            "extract": {"type": "files", "folder": "x"},
            "tables": {"tab": {"path": "x"} | (table or {})},
            "quality": {"tab": quality} if quality else {},
        }
        return Checked(warehouse, FilesSource.model_validate(given | config), Path(tmp_path) / "landing")

    return make
