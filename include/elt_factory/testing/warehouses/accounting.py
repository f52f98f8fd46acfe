"""Each row is accounted for, and a load is there whole or not at all."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest

from elt_factory.core.failures import AccountingError, LandingError
from elt_factory.testing.warehouses.loader import (
    AB,
    MERGE_BY_CURSOR,
    Connect,
    Loader,
    OnWarehouse,
    crashes,
    day,
    everything,
)
from elt_factory.warehouse.base import Warehouse


def tampered(loader, **changes):
    order = loader.order(day(2))
    return replace(order, manifest=replace(order.manifest, **changes))


class AccountingSuite(OnWarehouse):
    """Each row is accounted for, and a load is there whole or not at all."""

    def test_rejects_are_kept_with_reason_and_record_and_replaced_when_loaded_again(self, loader: Loader) -> None:
        loader.spec = {"columns": {"n": {"type": "integer"}}}
        loader.load([{"id": 1, "n": "x"}, {"id": 2, "n": "y"}, {"id": 3, "n": 3}], day(1))
        loader.load([{"id": 7, "n": "z"}, {"id": 8, "n": 8}], day(2))
        loader.load([{"id": 1, "n": "w"}, {"id": 3, "n": 3}], day(1))
        assert loader.audit("rejects", "reason", "record") == [
            ('n is not a valid integer: "w"', '{"n":"w","id":"1"}'),
            ('n is not a valid integer: "z"', '{"n":"z","id":"7"}'),
        ]

    @pytest.mark.parametrize("what", ["rows", "rows_rejected"])
    @pytest.mark.parametrize("disposition", ["append", "merge", "replace"])
    def test_other_numbers_than_the_manifests_change_nothing(
        self, loader: Loader, warehouse: Warehouse, what: str, disposition: str
    ) -> None:
        loader.spec = {"write_disposition": disposition, "primary_key": ["id"]}
        loader.load([*AB, "{"], day(1))
        loader.land([{"id": 3, "v": "c", "new": 1}, "["], day(2))
        before = everything(warehouse, loader.target)
        columns = warehouse.columns(loader.target)
        with pytest.raises(
            AccountingError, match=r"the landing holds 5 .*rows, but the warehouse counts 1; nothing was"
        ):
            warehouse.load(tampered(loader, **{what: 5}))
        assert everything(warehouse, loader.target) == before
        assert warehouse.columns(loader.target) == columns
        warehouse.load(loader.order(day(2)))

    @pytest.mark.parametrize("lost", ["unlink", "broken", "flipped"])
    def test_a_landed_file_that_is_gone_or_broken_changes_nothing(
        self, loader: Loader, warehouse: Warehouse, lost: str
    ) -> None:
        loader.load(AB, day(1))
        loader.land([{"id": 3, "v": "c"}], day(2))
        order, before = loader.order(day(2)), everything(warehouse, loader.target)
        part = loader.place(day(2)).folder / order.manifest.files[0].path
        if lost == "unlink":
            part.unlink()
        elif lost == "flipped":
            content = part.read_bytes()
            at = content.index(b"c")  # the value itself
            part.write_bytes(content[:at] + b"d" + content[at + 1 :])
        else:
            part.write_bytes(b"x" * order.manifest.files[0].bytes)
        with pytest.raises(LandingError, match="run the extract task again"):
            warehouse.load(order)
        assert everything(warehouse, loader.target) == before

    def test_rows_that_do_not_arrive_are_noticed(
        self, loader: Loader, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        loader.land(AB)
        real, table = type(warehouse).execute, loader.target.sql(warehouse.dialect)
        monkeypatch.setattr(type(warehouse), "execute", lambda self, s: real(self, s) - (f"INSERT INTO {table}" in s))
        with pytest.raises(AccountingError, match="the landing holds 2 rows, but the warehouse counts 1"):
            warehouse.load(loader.order())
        assert loader.rows("id") == []

    @pytest.mark.parametrize("moment", ["before", "after"])
    @pytest.mark.parametrize(
        "spec", [{}, MERGE_BY_CURSOR, {"write_disposition": "replace"}], ids=["append", "merge", "replace"]
    )
    def test_a_crash_at_any_statement_leaves_the_old_state_or_the_new(
        self, loader: Loader, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, spec: dict[str, Any], moment: str
    ) -> None:
        loader.spec = spec
        loader.load([{"id": 1, "u": 1, "v": "a"}, "{"], day(1))
        loader.load([{"id": 2, "u": 2, "v": "b"}, "{"], day(2))
        old = everything(warehouse, loader.target)
        loader.land([{"id": 2, "u": 3, "v": "B", "new": 1}, {"id": 3, "u": 3, "v": "c", "new": 1}], day(2))
        order = loader.order(day(2))

        def visible():
            """The rows as they are for a reader who does not know of the new column yet."""
            found = everything(warehouse, loader.target)
            found["tab"] = loader.rows("id", "u", "v", "_load_id")
            found.pop("schema_changes")
            return found

        before, tries = visible(), []
        for number in crashes(warehouse, monkeypatch, order, moment):
            tries.append(number)
            assert visible() == before
        assert tries[-1] >= 5
        after = visible()
        warehouse.load(order)
        assert visible() == after != before
        assert old["loads"] != after["loads"]
        assert loader.audit("schema_changes", "column_name", "change") == [("new", "added")]
        assert len(loader.rows("id")) == (2 if spec.get("write_disposition") == "replace" else 3)

    def test_a_reader_beside_a_replace_never_sees_the_table_empty(
        self, loader: Loader, warehouse: Warehouse, connect: Connect
    ) -> None:
        loader.spec = {"write_disposition": "replace"}
        loader.load([{"id": number} for number in range(2000)])
        seen, stop = set(), threading.Event()

        def read():
            with connect() as other:
                while not stop.is_set():
                    seen.add(other.query(f"SELECT count(*) FROM {loader.target.sql(other.dialect)}").rows[0][0])

        reader = threading.Thread(target=read)
        reader.start()
        try:
            for _ in range(5):
                loader.load([{"id": number} for number in range(3000)], day(2))
        finally:
            stop.set()
            reader.join()
        assert seen <= {2000, 3000}
        assert 3000 in seen

    def test_a_block_that_fails_is_rolled_back(self, warehouse: Warehouse, loader: Loader) -> None:
        loader.load(AB)

        def fail_midway():
            with warehouse.transaction():
                warehouse.execute(f"DELETE FROM {loader.target.sql(warehouse.dialect)}")
                raise RuntimeError

        with pytest.raises(RuntimeError):
            fail_midway()
        assert len(loader.rows()) == 2
