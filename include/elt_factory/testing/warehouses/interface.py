"""What else a warehouse does."""

from __future__ import annotations

import pytest

from elt_factory.config.models.values import ColumnType
from elt_factory.testing.warehouses.loader import (
    AB,
    Connect,
    Loader,
    OnWarehouse,
    day,
    newest,
)
from elt_factory.warehouse.base import StatementError, Warehouse
from elt_factory.warehouse.dialect import Relation


class InterfaceSuite(OnWarehouse):
    """What else a warehouse does."""

    def test_columns_of_a_table_that_is_not_there_are_none(self, warehouse: Warehouse) -> None:
        assert warehouse.columns(Relation("nowhere", "nothing")) is None

    def test_columns_come_in_their_order_with_their_types(self, loader: Loader) -> None:
        loader.load([{"b": 1, "a": "x"}])
        assert list(loader.columns.items()) == [
            ("b", ColumnType("integer")),
            ("a", ColumnType("text")),
            ("_load_id", ColumnType("text")),
            ("_loaded_at", ColumnType("timestamp")),
        ]

    def test_a_query_answers_with_names_and_values(self, warehouse: Warehouse) -> None:
        found = warehouse.query("SELECT 1 AS one, 'x' AS two")
        assert (found.columns, list(found.rows), found.dicts()) == (
            ("one", "two"),
            [(1, "x")],
            [{"one": 1, "two": "x"}],
        )

    @pytest.mark.parametrize(
        "statement", ["SELECT nothing", "SELEC 1", "SELECT * FROM nowhere", "SELECT CAST('x' AS DATE)"]
    )
    def test_a_query_that_cannot_be_answered_says_why(self, warehouse: Warehouse, statement: str) -> None:
        with pytest.raises(StatementError, match=r"(?i)error|invalid"):
            warehouse.query(statement)

    def test_execute_counts_the_rows_it_changed(self, loader: Loader, warehouse: Warehouse) -> None:
        loader.load(AB)
        assert warehouse.execute(f"DELETE FROM {loader.target.sql(warehouse.dialect)} WHERE id = 1") == 1

    def test_preparing_twice_changes_nothing(self, warehouse: Warehouse) -> None:
        warehouse.prepare()
        warehouse.record("deadline_misses", [{"source": "s", "run_id": "r", "deadline": None, "noticed_at": None}])
        warehouse.prepare()
        assert warehouse.query("SELECT source, run_id FROM _elt.deadline_misses").rows == [("s", "r")]

    def test_audit_tables_of_an_older_version_get_their_new_columns(self, loader: Loader, connect: Connect) -> None:
        with connect() as before:
            before.prepare()
            before.execute("DROP VIEW _elt.loads")
            before.execute("ALTER TABLE _elt.load_log DROP COLUMN cursor_min")
            before.execute("ALTER TABLE _elt.load_log DROP COLUMN replaced_by")
        loader.load(AB, day(1))
        loader.load(AB, day(2))
        assert loader.audit("loads", "rows_loaded", "replaced_by") == [(2, None), (2, None)]

    def test_a_load_says_all_of_itself(self, loader: Loader, warehouse: Warehouse) -> None:
        loader.spec = {"incremental": {"cursor": "u"}, "business_date": "d"}
        loader.load([{"u": 5, "d": "2013-01-02"}, {"u": 7, "d": "2013-01-05"}], day(3), run_id="manual__1")
        [row] = warehouse.query("SELECT * FROM _elt.loads").dicts()
        manifest = newest(loader.place(day(3)))
        wanted = {
            "load_id": loader.load_id(day(3)),
            "source": "src",
            "table_name": "tab",
            "run_id": "manual__1",
            "window_start": day(3).start,
            "window_end": day(3).end,
            "write_disposition": "append",
            "full_refresh": False,
            "rows_read": 2,
            "rows_loaded": 2,
            "rows_rejected": 0,
            "rows_duplicate": 0,
            "values_discarded": 0,
            "files": 1,
            "bytes": manifest.bytes,
            "cursor_column": "u",
            "cursor_type": "integer",
            "cursor_min": "5",
            "cursor_value": "7",
            "business_date_min": "2013-01-02",
            "business_date_max": "2013-01-05",
            "columns": '[{"name": "u", "type": "integer"}, {"name": "d", "type": "date"}]',
        }
        assert {name: row[name] for name in wanted} == wanted
        assert row["started_at"] <= row["loaded_at"]
