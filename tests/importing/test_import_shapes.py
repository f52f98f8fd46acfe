"""A file of another tool that is not as that tool writes it is one clear error, or is read as far as it can be."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from elt_factory.importing import dag_factory, dlt, meltano, sling
from elt_factory.importing.airbyte import connections
from elt_factory.importing.airbyte.found import connections_at
from elt_factory.importing.airbyte.states import states_in
from elt_factory.importing.project import NotAProjectError

ODD: tuple[Any, ...] = ({"x": 1}, {}, ["x"], [[1]], [None], "x", 5, None, True)
STATE = {"tap-a": {"bookmarks": {"orders": {"at": "2024-05-01"}}, "currently_syncing": "orders"}}
CATALOG = {
    "streams": [
        {
            "tap_stream_id": "orders",
            "key_properties": ["id"],
            "replication_key": "at",
            "schema": {"properties": {"id": {}, "mail": {}}},
            "metadata": [
                {"breadcrumb": [], "metadata": {"selected": True, "table-key-properties": "id"}},
                {"breadcrumb": ["properties", "mail"], "metadata": {"selected": False}},
            ],
        }
    ]
}
TAP = {
    "name": "tap-a",
    "pip_url": "tap-a==1",
    "catalog": "catalog.json",
    "env": {"A": "b"},
    "select": ["orders.*", "!orders.mail"],
    "config": {"host": "x", "list": [{"token": "y"}]},
    "metadata": {"orders": {"replication-method": "INCREMENTAL", "replication-key": "at"}},
}
MELTANO = {
    "plugins": {"extractors": [TAP, {"name": "tap-b", "inherit_from": "tap-a"}], "loaders": [{"name": "target-x"}]},
    "environments": [{"name": "prod", "env": {"A": "b"}, "config": {"plugins": {"extractors": [TAP]}}}],
    "schedules": [{"name": "one", "extractor": "tap-a", "interval": "@daily", "env": {"A": "b"}}],
    "jobs": [{"name": "all", "tasks": ["tap-a"]}],
    "include_paths": ["more/*.yml"],
}
SLING = {
    "source": "A",
    "target": "B",
    "defaults": {"mode": "incremental", "primary_key": ["id"], "update_key": "at", "target_options": {"a": 1}},
    "streams": {"public.orders": {"where": "a = 1"}, "public.items": None},
}
DAGS = {
    "default": {"default_args": {"owner": "a", "start_date": "2024-03-01"}, "schedule": "@daily"},
    "shop": {"tasks": {"orders": {"operator": "SQLExecuteQueryOperator", "conn_id": "pg", "sql": "select 1"}}},
    "two": {"tasks": [{"task_id": "x", "operator": "HttpOperator", "method": "GET", "data": {"a": 1}}], "tags": ["a"]},
}
STREAM = {
    "stream": {"name": "orders", "namespace": "public", "jsonSchema": {"properties": {"id": {}, "at": {}}}},
    "config": {
        "syncMode": "incremental",
        "cursorField": ["at"],
        "primaryKey": [["id"]],
        "selectedFields": [{"fieldPath": ["id"]}],
        "hashedFields": [{"fieldPath": ["mail"]}],
        "mappers": [{"type": "hashing", "mapperConfiguration": {"targetField": "mail"}}],
    },
}
AIRBYTE = {
    "connections": [
        {
            "connectionId": "c",
            "sourceId": "s",
            "name": "n",
            "scheduleType": "cron",
            "scheduleData": {"cron": {"cronExpression": "0 0 */6 * * ?", "cronTimeZone": "Europe/Berlin"}},
            "syncCatalog": {"streams": [STREAM]},
        }
    ],
    "sources": [{"sourceId": "s", "name": "pg", "sourceName": "Postgres", "connectionConfiguration": {"host": "h"}}],
}
AIRBYTE_STATE = {
    "stateType": "stream",
    "connectionId": "c",
    "streamState": [
        {"streamDescriptor": {"name": "orders", "namespace": "public"}, "streamState": {"cursor": "2024-05-05"}}
    ],
}
DLT_STATE = {"sources": {"shop": {"resources": {"orders": {"incremental": {"at": {"last_value": 1}}}}}}}
SHOP = """
import dlt

@dlt.resource(primary_key="id")
def orders(at=dlt.sources.incremental("at")):
    yield []
"""


def pin(package: str, *_: Any) -> str:
    return f"{package}==1.0"


def of_meltano(folder: Path) -> object:
    return meltano.imported(folder, meltano.states_in(folder / "state.json"), pin)


def of_airbyte(folder: Path) -> object:
    said, within = connections_at(folder / "export.json")
    return connections.imported(said, within | states_in(folder / "airbyte_state.json"), pin)


FILES: dict[str, tuple[Any, Callable[[Path], object]]] = {
    "meltano.yml": (MELTANO, of_meltano),
    "catalog.json": (CATALOG, of_meltano),
    "state.json": (STATE, of_meltano),
    "replication.yaml": (SLING, lambda folder: sling.imported(folder / "replication.yaml", "2024-03-01")),
    "dags.yml": (DAGS, lambda folder: dag_factory.imported(folder / "dags.yml")),
    "export.json": (AIRBYTE, of_airbyte),
    "airbyte_state.json": (AIRBYTE_STATE, of_airbyte),
    "dlt_state.json": (
        DLT_STATE,
        lambda folder: dlt.imported(folder / "shop.py", dlt.states_in(folder / "dlt_state.json"), "dlt==1"),
    ),
}


def changed(node: Any) -> Iterator[Any]:
    """Yield a document with something else in each of its places."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, below in items:
        for other in changed(below):
            found = copy.copy(node)
            found[key] = other
            yield found
    yield from ODD


def write(folder: Path, name: str, document: Any) -> None:
    (folder / name).write_text(json.dumps(document))


@pytest.mark.parametrize("name", FILES)
def test_a_value_of_another_kind_anywhere_in_a_file_is_one_clear_error_or_is_read(name, tmp_path, monkeypatch):
    # the language is asked of each table elsewhere, and takes most of the time
    for module in (meltano, dlt, sling, dag_factory, connections):
        monkeypatch.setattr(module, "valid_only", lambda found, parents=None: found)
    for other, (document, _) in FILES.items():
        write(tmp_path, other, document)
    (tmp_path / "shop.py").write_text(SHOP)
    document, read = FILES[name]
    assert read(tmp_path)
    refused = 0
    for other in changed(document):
        write(tmp_path, name, other)
        try:
            read(tmp_path)
        except NotAProjectError as error:
            refused += name in str(error) or tmp_path.name in str(error)
    assert refused


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (
            "meltano.yml",
            {"plugins": {"extractors": [{"name": "a", "config": ["x"]}]}},
            "extractors[0].config: expected",
        ),
        ("meltano.yml", {"plugins": {"extractors": [{"pip_url": "a"}]}}, "plugins.extractors[0]: name is missing"),
        ("meltano.yml", {"plugins": {"extractors": [None]}}, "plugins.extractors[0]: it is empty"),
        ("catalog.json", {"streams": [{"x": 1}]}, "streams[0]: tap_stream_id or stream is missing"),
        ("catalog.json", [1], "the file: expected a mapping, got a list"),
        ("catalog.json", {"streams": [{"stream": "a", "key_properties": 5}]}, "expected text or a list, got 5"),
        ("replication.yaml", {**SLING, "defaults": ["x"]}, "defaults: expected a mapping, got a list"),
        ("dags.yml", {"shop": {"tasks": {"x": "y"}}}, "shop.tasks.x: expected a mapping, got text"),
    ],
)
def test_the_error_says_which_place_of_which_file_it_is(name, change, message, tmp_path):
    for other, (document, _) in FILES.items():
        write(tmp_path, other, document)
    write(tmp_path, name, change)
    with pytest.raises(NotAProjectError) as refused:
        FILES[name][1](tmp_path)
    assert name in str(refused.value)
    assert message in str(refused.value)
