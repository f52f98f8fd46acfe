"""What becomes of columns that are new, of another type, renamed, or described by the YAML."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from elt_factory.core.failures import ContractError
from elt_factory.landing.manifest import Drift
from elt_factory.testing.warehouses.loader import (
    AB,
    MERGE,
    MERGE_BY_CURSOR,
    Crash,
    Loader,
    OnWarehouse,
    counted,
    crash_points,
    day,
    everything,
    newest,
)
from elt_factory.warehouse import audit
from elt_factory.warehouse.base import Warehouse
from elt_factory.warehouse.dialect import TableOptions

CONTRACTS = ["evolve", "freeze", "discard_row", "discard_value"]

FIRST = [{"id": 1, "n": 1, "v": "a"}]

CHANGES = ("column_name", "coalesce(old_type, '')", "type", "change")


def kinds(loader):
    """The table's own columns and their types."""
    found = loader.warehouse.columns(loader.target) or {}
    return {name: str(kind) for name, kind in found.items() if name not in loader.warehouse.own_columns}


def evolved(loader, contract, records):
    """The rows, the columns and the changes after a second load; None where it is refused."""
    loader.spec = {"schema_contract": contract}
    loader.load(FIRST, day(1))
    before = everything(loader.warehouse, loader.target)
    for _ in range(2):
        try:
            loader.load(records, day(2))
        except ContractError:
            assert everything(loader.warehouse, loader.target) == before
            return None
    assert len(loader.audit("loads", "load_id")) == 2
    return loader.rows("id"), kinds(loader), loader.audit("schema_changes", *CHANGES)


MIDNIGHT = datetime(2013, 1, 31)  # noqa: DTZ001 - a wall-clock time

WIDENED = [
    ("integer", "decimal(38,9)", [(7, "8.5"), (Decimal(7), Decimal("8.5"))]),
    ("integer", "decimal(38,0)", [(2**63 - 1, "9" * 38), (Decimal(2**63 - 1), Decimal("9" * 38))]),
    ("decimal(18,2)", "decimal(38,9)", [("1.25", "0.000000001"), (Decimal("1.25"), Decimal("0.000000001"))]),
    ("date", "datetime", [("2013-01-31", "2013-01-31 10:00:00"), (MIDNIGHT, MIDNIGHT + timedelta(hours=10))]),
    ("integer", "text", [(-7, "x"), ("-7", "x")]),
    ("date", "text", [("2013-01-31", "x"), ("2013-01-31", "x")]),
    ("boolean", "text", [(True, "x"), ("true", "x")]),
    ("json", "text", [({"a": [1]}, "x"), ('{"a":[1]}', "x")]),
]  # fmt: skip


def options(**columns):
    return TableOptions("One row a thing", columns)


def described(loader, given):
    return loader.warehouse.load(replace(loader.order(), options=given))


class SchemaSuite(OnWarehouse):
    """What becomes of columns that are new, of another type, renamed, or described by the YAML."""

    def test_a_new_column_is_added_and_said_once_also_when_loaded_again(
        self, loader: Loader, warehouse: Warehouse
    ) -> None:
        loader.load(AB, day(1))
        for _ in range(2):
            loader.load([{"id": 3, "v": "c", "new": 1.5}], day(2))
        assert loader.rows("id", "new") == [(1, None), (2, None), (3, 1.5)]
        assert loader.audit("schema_changes", "load_id", "column_name", "type", "change") == [
            (loader.load_id(day(2)), "new", "float", "added")
        ]

    def test_a_column_that_was_rejected_or_dropped_is_said_once(self, loader: Loader) -> None:
        for contract, change in (("discard_row", "rejected"), ("discard_value", "dropped")):
            loader.spec = {"schema_contract": contract}
            loader.name = contract
            loader.load(AB, day(1))
            for _ in range(2):
                loader.load([{"id": 3, "v": "c", "new": 1.5}, {"id": 4, "v": "d"}], day(2))
            assert loader.audit("schema_changes", "column_name", "change") == [("new", change)]

    def test_a_first_load_is_no_drift(self, loader: Loader) -> None:
        loader.load(AB)
        assert loader.audit("schema_changes", "column_name") == []

    def test_a_landing_of_another_type_than_the_tables_is_refused(self, loader: Loader, warehouse: Warehouse) -> None:
        """Both windows are extracted before the table is there."""
        loader.land([{"n": 1}], day(1))
        loader.land([{"n": 1.5}], day(2))
        warehouse.load(loader.order(day(1)))
        before = everything(warehouse, loader.target)
        with pytest.raises(
            ContractError, match="n was landed as float, but the table has integer; clear the extract task"
        ):
            warehouse.load(loader.order(day(2)))
        assert everything(warehouse, loader.target) == before

    @pytest.mark.parametrize(
        ("contract", "ids", "added", "change"),
        [
            ("evolve", [(1,), (2,), (3,)], {"new": "integer"}, "added"),
            ("freeze", None, None, None),
            ("discard_row", [(1,), (3,)], {}, "rejected"),
            ("discard_value", [(1,), (2,), (3,)], {}, "dropped"),
        ],
    )
    def test_a_new_column(self, loader: Loader, contract: str, ids: Any, added: Any, change: Any) -> None:
        found = evolved(loader, contract, [{"id": 2, "n": 2, "v": "b", "new": 5}, {"id": 3, "n": 3, "v": "c"}])
        columns = {"id": "integer", "n": "integer", "v": "text"}
        assert found == (None if ids is None else (ids, columns | added, [("new", "", "integer", change)]))

    @pytest.mark.parametrize("contract", CONTRACTS)
    def test_a_missing_column_is_empty_in_new_rows(self, loader: Loader, contract: str) -> None:
        rows, columns, changes = evolved(loader, contract, [{"id": 2, "n": 2}])
        assert (rows, list(columns), changes) == ([(1,), (2,)], ["id", "n", "v"], [])
        assert loader.rows("id", "v") == [(1, "a"), (2, None)]

    @pytest.mark.parametrize(
        ("contract", "values", "kind", "changes"),
        [
            (
                "evolve",
                [(1, 1), (2, 2), (3, Decimal("1.5"))],
                "decimal(38,9)",
                [("n", "integer", "decimal(38,9)", "widened")],
            ),
            ("freeze", None, "integer", []),
            ("discard_row", [(1, 1), (2, 2)], "integer", []),
            ("discard_value", [(1, 1), (2, 2), (3, None), (4, None)], "integer", []),
        ],
    )
    def test_a_column_of_another_type(
        self, loader: Loader, contract: str, values: Any, kind: Any, changes: Any
    ) -> None:
        records = [{"id": 2, "n": 2}, {"id": 3, "n": 1.5}, {"id": 4, "n": "x"}]
        found = evolved(loader, contract, records)
        assert kinds(loader)["n"] == kind
        assert (found is None) == (values is None)
        assert values is None or (loader.rows("id", "n"), found[2]) == (values, changes)

    @pytest.mark.parametrize("contract", CONTRACTS)
    def test_a_renamed_column_is_a_missing_one_and_a_new_one(self, loader: Loader, contract: str) -> None:
        found = evolved(loader, contract, [{"id": 2, "n": 2, "w": "b"}, {"id": 3, "n": 3, "v": "c"}])
        wanted = {
            "evolve": [(1, "a"), (2, None), (3, "c")],
            "discard_row": [(1, "a"), (3, "c")],
            "discard_value": [(1, "a"), (2, None), (3, "c")],
        }
        assert (None if found is None else loader.rows("id", "v")) == wanted.get(contract)
        assert ("w" in kinds(loader)) == (contract == "evolve")

    @pytest.mark.parametrize(("old", "new", "values"), WIDENED, ids=[f"{old} {new}" for old, new, _ in WIDENED])
    @pytest.mark.parametrize("altered", [True, False], ids=["altered", "copied"])
    def test_a_column_takes_the_wider_type_of_the_yaml_and_keeps_every_value(
        self, loader: Loader, warehouse: Warehouse, old: Any, new: Any, values: Any, altered: Any
    ) -> None:
        (first, second), expected = values
        if not altered:
            warehouse.dialect = replace(warehouse.dialect, alters_type=lambda _old, _new: False)
        loader.spec = MERGE | {"columns": {"n": {"type": old}}}
        loader.load([{"id": 1, "n": first}, {"id": 2, "n": None}], day(1))
        loader.spec = MERGE | {"columns": {"n": {"type": new}}}
        for _ in range(2):
            loader.load([{"id": 3, "n": second}], day(2))
            assert loader.rows("id", "n") == [(1, expected[0]), (2, None), (3, expected[1])]
            assert kinds(loader) == {"id": "integer", "n": new}
        assert loader.audit("schema_changes", *CHANGES) == [("n", old, new, "widened")]

    def test_a_type_that_is_another_one_in_the_warehouse_is_no_change(self, loader: Loader) -> None:
        loader.spec = {"columns": {"n": {"type": "decimal(19,0)"}, "i": {"type": "integer"}}}
        for number in (1, 2):
            assert loader.load([{"n": "1" * 19, "i": number}], day(number)).changes == ()
            assert newest(loader.place(day(number))).drift == ()
        assert loader.rows("n", "i") == [(Decimal("1" * 19), 1), (Decimal("1" * 19), 2)]
        assert loader.audit("schema_changes", *CHANGES) == []

    def test_a_narrower_type_in_the_yaml_is_refused_with_its_hint(self, loader: Loader) -> None:
        loader.spec = {"columns": {"n": {"type": "text"}}}
        loader.load(FIRST, day(1))
        loader.spec = {"columns": {"n": {"type": "integer"}}}
        hint = r"the YAML declares n as integer, the table has text, and columns never narrow: write type: text under t"
        with pytest.raises(ContractError, match=hint):
            loader.load(FIRST, day(2))

    @pytest.mark.parametrize(
        ("had", "wanted", "kept"),
        [
            ({"type": "text"}, {"type": "integer"}, [(1, 7), (2, None)]),
            ({"type": "text"}, {"type": "date"}, [(1, None), (2, None)]),
            ({"type": "float"}, {"type": "integer"}, [(1, 7), (2, 8)]),
        ],
        ids=["text to integer", "text to date", "float to integer"],
    )
    def test_a_full_refresh_gives_a_column_another_type_in_one_statement(
        self, loader: Loader, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, had: Any, wanted: Any, kept: Any
    ) -> None:
        """Readers find the table at every moment: the rows of before in the new type, then the new ones."""
        loader.spec = MERGE | {"columns": {"n": had}}
        loader.load([{"id": 1, "n": "7"}, {"id": 2, "n": "n/a" if had["type"] == "text" else "8"}], day(1))
        loader.spec = MERGE | {"columns": {"n": wanted}}
        value = "2013-01-05" if wanted["type"] == "date" else "9"
        seen, real = [], warehouse.execute

        def watched(statement: str) -> int:
            changed = real(statement)
            if "TRY_CAST" in statement:
                seen.append(loader.rows("id", "n"))
            return changed

        monkeypatch.setattr(warehouse, "execute", watched)
        report = loader.load([{"id": 1, "n": value}], day(1), full_refresh=True)
        assert report.changes == (Drift("n", wanted["type"], "retyped", had["type"]),)
        assert seen == [kept]
        assert [str(one) for _, one in loader.rows("id", "n")] == [value]
        assert loader.columns["n"].name == wanted["type"]
        # it has its type now, for every window
        assert loader.load([{"id": 3, "n": value}], day(2)).changes == ()

    def test_a_full_refresh_makes_bytes_of_a_column_of_text(self, loader: Loader) -> None:
        loader.spec = MERGE | {"columns": {"n": {"type": "text"}}}
        loader.load([{"id": 1, "n": "0aff"}, {"id": 2, "n": "n/a"}], day(1))
        loader.spec = MERGE | {"columns": {"n": {"type": "binary"}}}
        loader.load([{"id": 1, "n": "0aff"}], day(1), full_refresh=True)
        assert loader.rows("id", "n") == [(1, b"\x0a\xff")]

    def test_a_window_that_was_landed_before_its_table_was_widened_is_loaded_as_it_is(
        self, loader: Loader, warehouse: Warehouse
    ) -> None:
        loader.load(FIRST, day(1))
        loader.land([{"id": 2, "n": 2}], day(2))
        report = loader.load([{"id": 3, "n": 1.5}], day(3))
        assert report.changes == (Drift("n", "decimal(38,9)", "widened", "integer"),)
        assert warehouse.load(loader.order(day(2))).changes == ()
        assert loader.rows("id", "n") == [(1, 1), (2, 2), (3, Decimal("1.5"))]

    @pytest.mark.parametrize("by_cursor", [False, True], ids=["by window", "by cursor"])
    def test_a_window_that_was_landed_before_its_key_became_text_finds_its_own_keys(
        self, loader: Loader, warehouse: Warehouse, by_cursor: Any
    ) -> None:
        def record(key: Any, value: int) -> dict[str, Any]:
            return {"id": key, "u": value, "v": value}

        loader.spec = MERGE_BY_CURSOR if by_cursor else MERGE
        loader.load([record(1, 1), record(2, 1)], day(1))
        loader.land([record(1, 2), record(2, 2), record(7, 2)], day(2))
        loader.spec = loader.spec | {"columns": {"id": {"type": "text"}}}
        loader.load([record("007", 3), record("A", 3), record(2, 3)], day(3))
        warehouse.load(loader.order(day(2)))
        found = loader.rows("id", "v")
        assert sorted(found) == [("007", 3), ("1", 2), ("2", 3 if by_cursor else 2), ("7", 2), ("A", 3)]

    @pytest.mark.parametrize("altered", [True, False], ids=["altered", "copied"])
    def test_a_number_of_a_key_that_becomes_text_is_written_as_in_the_source(
        self, loader: Loader, warehouse: Warehouse, altered: Any
    ) -> None:
        if not altered:
            warehouse.dialect = replace(warehouse.dialect, alters_type=lambda _old, _new: False)
        loader.spec = MERGE | {"columns": {"id": {"type": "decimal"}}}
        loader.load([{"id": 1, "v": 1}, {"id": 200, "v": 1}, {"id": 2.5, "v": 1}, {"id": 0, "v": 1}], day(1))
        loader.spec = MERGE | {"columns": {"id": {"type": "text"}}}
        loader.load([{"id": 1, "v": 2}, {"id": 200, "v": 2}, {"id": 2.5, "v": 2}, {"id": 0, "v": 2}], day(2))
        assert loader.rows("id", "v") == [("0", 2), ("1", 2), ("2.5", 2), ("200", 2)]

    @pytest.mark.parametrize("waits", [False, True], ids=["landed after", "landed before"])
    def test_a_number_of_a_key_that_becomes_text_keeps_the_zeros_of_a_declared_scale(
        self, loader: Loader, warehouse: Warehouse, waits: Any
    ) -> None:
        loader.spec = MERGE | {"columns": {"id": {"type": "decimal(10,2)"}}}
        loader.load([{"id": "12.50", "v": 1}], day(1))
        loader.land([{"id": "3.00", "v": 2}], day(2))
        order = loader.order(day(2))
        loader.spec = MERGE | {"columns": {"id": {"type": "text"}}}
        loader.load([{"id": "12.50", "v": 2}, {"id": "3.00", "v": 1}], day(3))
        if waits:
            warehouse.load(order)
        assert loader.rows("id", "v") == [("12.50", 2), ("3.00", 2 if waits else 1)]

    def test_what_a_snapshot_has_not_seen_is_known_where_an_earlier_version_noted_it(
        self, loader: Loader, warehouse: Warehouse
    ) -> None:
        """It wrote 12.50 of a declared scale, and all nine digits of what has none."""
        loader.spec = {
            "write_disposition": "scd2",
            "primary_key": ["id", "k"],
            "columns": {"id": {"type": "decimal(10,2)"}, "k": {"type": "decimal"}, "v": {"type": "integer"}},
        }
        first, other = {"id": "12.50", "k": 1, "v": 1}, {"id": "13", "k": 1, "v": 1}
        loader.load([first, other], day(1))
        loader.load([other, {"id": "7", "k": 1, "v": "bad"}], day(3))
        noted = audit.log("unseen_keys").sql(warehouse.dialect)
        warehouse.execute(f"UPDATE {noted} SET {warehouse.dialect.name('key')} = '5:12.5011:1.000000000'")
        loader.load([first | {"v": 2}, other], day(2))
        assert [row[1:] for row in loader.rows("id", "v", "_valid_to") if row[0] == Decimal("12.5")] == [
            (1, day(2).start + (day(2).end - day(2).start)),
            (2, None),
        ]

    def test_what_a_snapshot_has_not_seen_is_known_after_its_key_is_widened(self, loader: Loader) -> None:
        """In any order of windows; a key that was not seen continues what the snapshot before said of it."""
        found = []
        days: dict[int, list[dict[str, Any]]] = {
            1: [{"id": 1, "n": 1}, {"id": 2, "n": 1}],
            2: [{"id": 1, "n": 1}, {"id": 2, "n": 2}],
            3: [{"id": 1, "n": 1}, {"id": 5, "n": "x"}],
            4: [{"id": 1, "n": 1}, {"id": 2, "n": 3}, {"id": 7.5, "n": 1}],
        }
        for order in ((1, 2, 3, 4), (1, 3, 4, 2)):
            loader.name = f"tab{order[1]}"
            loader.spec = {"write_disposition": "scd2", "primary_key": ["id"], "columns": {"n": {"type": "integer"}}}
            for number in order:
                loader.load(days[number], day(number))
            found.append(loader.rows("id", "n", "_valid_from", "_valid_to"))
        assert found[0] == found[1]
        assert len(found[0]) == 5

    def test_a_history_goes_on_over_a_widened_column(self, loader: Loader) -> None:
        loader.spec = {"write_disposition": "scd2", "primary_key": ["id"]}
        loader.load([{"id": 1, "n": 1}, {"id": 2, "n": 2}], day(1))
        report = loader.load([{"id": 1, "n": 1}, {"id": 2, "n": 2.5}], day(2))
        assert (report.rows_unchanged, report.rows_loaded) == (1, 1)
        assert loader.load([{"id": 1, "n": 1}, {"id": 2, "n": 2.5}], day(3)).rows_unchanged == 2
        assert loader.rows("id", "n") == [(1, 1), (2, 2), (2, Decimal("2.5"))]

    @pytest.mark.parametrize("name", ["select", "Mixed_Case", 'quo"te', "a.b", "n" * 250, "İl", "straße"])
    def test_any_name_can_be_widened_step_by_step(self, loader: Loader, warehouse: Warehouse, name: str) -> None:
        warehouse.dialect = replace(warehouse.dialect, alters_type=lambda _old, _new: False)
        for number, value in enumerate((1, 1.5), start=1):
            loader.load([{"id": number, name: value}], day(number))
        assert loader.rows("id", name) == [(1, 1), (2, Decimal("1.5"))]

    @pytest.mark.parametrize("moment", ["before", "after"])
    @pytest.mark.parametrize("altered", [True, False], ids=["altered", "copied"])
    def test_a_crash_at_any_statement_of_a_widening_loses_no_value(
        self, loader: Loader, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, altered: Any, moment: str
    ) -> None:
        if not altered:
            warehouse.dialect = replace(warehouse.dialect, alters_type=lambda _old, _new: False)
        loader.spec = MERGE
        for at in crash_points(warehouse, moment):
            # a table of its own for each statement: what a try has widened, the next does not widen again
            loader.name = f"tab{at}"
            loader.load([{"id": 1, "n": 1}, {"id": 2, "n": 2}], day(1))
            loader.land([{"id": 2, "n": 2.5}, {"id": 3, "n": 3.5}], day(2))
            loads = loader.audit("loads", "load_id", "rows_loaded")
            with monkeypatch.context() as patched:
                seen = counted(warehouse, patched, at, moment)
                with suppress(Crash):
                    warehouse.load(loader.order(day(2)))
            if at > len(seen):
                break
            assert loader.rows("id") == [(1,), (2,)]
            assert loader.audit("loads", "load_id", "rows_loaded") == loads
            warehouse.load(loader.order(day(2)))
            assert loader.rows("id", "n") == [(1, 1), (2, Decimal("2.5")), (3, Decimal("3.5"))]
            assert kinds(loader) == {"id": "integer", "n": "decimal(38,9)"}
            assert loader.audit("schema_changes", *CHANGES) == [("n", "integer", "decimal(38,9)", "widened")]
        assert at > 8

    def test_a_widening_that_was_cut_off_is_ended_by_a_load_without_its_column_too(
        self, loader: Loader, warehouse: Warehouse
    ) -> None:
        loader.spec = MERGE
        loader.load([{"id": 1, "n": 1}], day(1))
        d = warehouse.dialect
        target = loader.target.sql(d)
        warehouse.execute(f"ALTER TABLE {target} RENAME COLUMN {d.name('n')} TO {d.name('_widened_n')}")
        loader.load([{"id": 2}], day(2))
        assert loader.rows("id", "n") == [(1, 1), (2, None)]

    def test_descriptions_are_comments_in_the_warehouse_and_follow_the_yaml(
        self, loader: Loader, warehouse: Warehouse
    ) -> None:
        loader.land([{"id": 1, "v": "a"}])
        described(loader, options(id="The thing's number", nowhere="No such column"))
        found = warehouse.comments(loader.target)
        assert (found[""], found["id"], found.get("v", "")) == ("One row a thing", "The thing's number", "")
        described(loader, TableOptions("What's \\ new", {"id": 'The "id"', "v": "A value"}))
        found = warehouse.comments(loader.target)
        assert (found[""], found["id"], found["v"]) == ("What's \\ new", 'The "id"', "A value")
        described(loader, TableOptions())
        assert warehouse.comments(loader.target)["id"] == 'The "id"', "what the YAML does not say is left alone"

    def test_comments_take_no_statement_where_nothing_is_new_and_few_where_all_is(
        self, loader: Loader, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        names = [f"c{number}" for number in range(30)]
        loader.land([dict.fromkeys(names, 1)])
        described(loader, TableOptions())
        counts = []
        for given in (TableOptions(), options(**dict.fromkeys(names, "a")), options(**dict.fromkeys(names, "a"))):
            with monkeypatch.context() as patched:
                seen = counted(warehouse, patched, 0, "never")
                described(loader, given)
            counts.append(len(seen))
        assert counts[1] <= counts[0] + 2
        assert counts[2] == counts[0]

    def test_a_table_may_be_transient_and_clustered_where_the_warehouse_knows_it(self, loader: Loader) -> None:
        loader.land([{"id": 1, "v": "a"}])
        described(loader, TableOptions("One thing", {"v": "It's a \\ value"}, transient=True, cluster_by=("v", "id")))
        assert loader.rows("id", "v") == [(1, "a")]

    def test_a_column_to_cluster_by_must_be_there(self, loader: Loader) -> None:
        loader.spec = {"cluster_by": ["nowhere"]}
        with pytest.raises(ContractError, match="cluster_by names nowhere, which the source does not have"):
            loader.load([{"id": 1}])

    def test_dates_before_a_widening_keep_their_day(self, loader: Loader) -> None:
        loader.load([{"d": "2013-01-31"}], day(1))
        assert loader.rows("d") == [(date(2013, 1, 31),)]
        loader.spec = {"columns": {"d": {"type": "datetime"}}}
        loader.load([{"d": "2013-02-01 10:00"}], day(2))
        assert [value.day for (value,) in loader.rows("d")] == [31, 1]
