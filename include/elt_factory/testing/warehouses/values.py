"""Values of every type and names of every form arrive as they were."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from elt_factory.testing.warehouses.loader import (
    AB,
    MERGE,
    Loader,
    OnWarehouse,
    day,
)
from elt_factory.warehouse.base import Warehouse
from elt_factory.warehouse.duckdb.warehouse import DuckDBWarehouse

RECORD: dict[str, Any] = {
    "text": 'it\'s "quoted" \\ ☃\n',
    "integer": 2**63 - 1,
    "float": 0.1,
    "decimal": "12345678901234567890123456789.123456789",
    "boolean": True,
    "date": "2013-01-31",
    "time": "23:59:59.999999",
    "timestamp": "2013-01-31T10:00:00.123456+02:00",
    "datetime": "2013-01-31 10:00:00.123456",
    "binary": "00ff",
}

TYPES = {name: "decimal(38,9)" if name == "decimal" else name for name in RECORD}

NAMES = [
    "_file",
    "_file_row",
    "_load_id",
    "_loaded_at",
    "_source_load_id",
    "_valid_from",
    "_valid_to",
    "_widened_id",
    "METADATA$FILENAME",
    "METADATA$FILE_ROW_NUMBER",
    "filename",
    "rowid",
    "reason",
    "record",
    "c0",
    "r0",
    "s",
    "t",
    "select",
    'a "quoted" name',
]


def loaded(name: str) -> str:
    own = ("_load_id", "_loaded_at", "_source_load_id", "_valid_from", "_valid_to", "_widened_id")
    return f"_source{name}" if name.lower() in own else name


class ValueSuite(OnWarehouse):
    """Values of every type and names of every form arrive as they were."""

    def test_every_type_arrives_as_it_was(self, loader: Loader) -> None:
        loader.spec = {"columns": {name: {"type": kind} for name, kind in TYPES.items()}}
        nothing = dict.fromkeys(RECORD)
        loader.load([RECORD, nothing])
        assert {name: str(loader.columns[name]) for name in RECORD} == TYPES
        row = next(row for row in loader.rows(*RECORD) if row[0] is not None)
        assert row[:5] == (RECORD["text"], 2**63 - 1, 0.1, Decimal(RECORD["decimal"]), True)
        assert [str(value) for value in row[5:7]] == ["2013-01-31", "23:59:59.999999"]
        assert row[7].astimezone(UTC) == datetime(2013, 1, 31, 8, 0, 0, 123456, tzinfo=UTC)
        assert row[8:] == (datetime(2013, 1, 31, 10, 0, 0, 123456), b"\x00\xff")  # noqa: DTZ001 - a wall-clock time
        assert (None,) * len(RECORD) in loader.rows(*RECORD)

    def test_json_can_be_looked_into(self, loader: Loader, warehouse: Warehouse) -> None:
        loader.load([{"id": 1, "j": {"a": [1, 2]}}])
        assert str(loader.columns["j"]) == "json"
        look = {"JSON": "j.a", "VARIANT": "j:a"}[warehouse.dialect.types["json"]]
        [(found,)] = warehouse.query(f"SELECT {look} FROM {loader.target.sql(warehouse.dialect)}").rows
        assert json.loads(found) == [1, 2]

    @pytest.mark.parametrize("disposition", ["merge", "scd2"])
    def test_a_key_of_objects_is_text_which_every_warehouse_finds_again(self, loader: Loader, disposition: str) -> None:
        loader.spec = {"write_disposition": disposition, "primary_key": ["k"]}
        loader.load([{"k": {"a": 1, "b": 2}, "v": "old"}], day(1))
        loader.load([{"k": {"a": 1, "b": 2}, "v": "new"}], day(2))
        assert str(loader.columns["k"]) == "text"
        assert ('{"a":1,"b":2}', "new") in loader.rows("k", "v")
        assert len(loader.rows("k")) == (1 if disposition == "merge" else 2)

    def test_own_columns_say_which_load_a_row_came_with_and_when(self, loader: Loader) -> None:
        before = datetime.now(UTC) - timedelta(seconds=1)
        loader.load(AB)
        for load_id, loaded_at in loader.rows("_load_id", "_loaded_at"):
            assert load_id == loader.load_id(day(1))
            assert before <= loaded_at <= datetime.now(UTC)

    @pytest.mark.parametrize("name", ["select", "Mixed_Case", 'quo"te', "two words", "order", "ünïcode", "a.b"])
    @pytest.mark.parametrize("disposition", ["append", "merge"])
    def test_any_name_is_only_a_name(self, tmp_path: Path, warehouse: Warehouse, name: str, disposition: str) -> None:
        spec = {"write_disposition": disposition, "primary_key": [name], "incremental": {"cursor": f"{name}'s u"}}
        loader = Loader(tmp_path / "landing", warehouse, "src", name, spec)
        for value in ("a", "b"):
            loader.load([{name: 1, f"{name}'s u": 1, f"{name} v": value}])
        loader.load([{name: 1, f"{name}'s u": 1, f"{name} v": value, f"{name} new": 1}])
        assert loader.rows(name, f"{name} v", f"{name} new") == [(1, "b", 1)]

    def test_a_thousand_columns_are_loaded(self, loader: Loader) -> None:
        record = {f"column_{number}": number for number in range(1000)}
        assert loader.load([record]).rows_loaded == 1
        assert loader.rows(*record) == [tuple(range(1000))]

    def test_a_long_table_is_loaded_and_merged_into_to_the_row(self, loader: Loader, warehouse: Warehouse) -> None:
        loader.spec = MERGE
        rows = 10_000_000 if isinstance(warehouse, DuckDBWarehouse) else 50_000
        tenth = rows // 10
        loader.land_numbers(range(rows), 1, day(1))
        assert warehouse.load(loader.order(day(1))).rows_loaded == rows
        loader.land_numbers(range(rows - tenth, rows + tenth), 2, day(2))
        report = warehouse.load(loader.order(day(2)))
        assert (report.rows_loaded, report.total_rows) == (2 * tenth, rows + tenth)
        d = warehouse.dialect
        found = warehouse.query(
            f"SELECT {d.name('v')}, count(*), min({d.name('id')}), max({d.name('id')}) "
            f"FROM {loader.target.sql(d)} GROUP BY {d.name('v')} ORDER BY {d.name('v')}"
        ).rows
        assert found == [(1, rows - tenth, 0, rows - tenth - 1), (2, 2 * tenth, rows - tenth, rows + tenth - 1)]

    def test_two_tables_of_one_source_keep_apart(self, tmp_path: Path, warehouse: Warehouse) -> None:
        one, two = (Loader(tmp_path / "landing", warehouse, "src", name) for name in ("one", "two"))
        for _ in range(2):
            one.load([*AB, "{"])
            two.load([{"id": 5}])
        assert (len(one.rows()), two.rows("id")) == (2, [(5,)])
        assert [loader.audit("loads", "rows_read") for loader in (one, two)] == [[(3,)], [(1,)]]
        assert [len(loader.audit("rejects", "reason")) for loader in (one, two)] == [1, 0]

    @pytest.mark.parametrize("spell", [str, str.upper])
    @pytest.mark.parametrize("disposition", ["append", "merge", "scd2"])
    def test_columns_of_any_name_keep_their_values(self, loader: Loader, disposition: str, spell: Any) -> None:
        names = [spell(name) for name in NAMES]
        loader.spec = {"write_disposition": disposition, "primary_key": ["id"]}
        for number in (1, 2):
            loader.load([{"id": 1, **{name: f"{name} {number}" for name in names}}], day(number))
        expected = [tuple(f"{name} {number}" for name in names) for number in (1, 2)]
        found = loader.rows(*map(loaded, names))
        assert found == (expected[1:] if disposition == "merge" else expected)
