"""What a load does where its source writes keys that are text in another way than before."""

from __future__ import annotations

import re
from typing import Any

import pytest

from elt_factory.core.failures import BadDataError
from elt_factory.sources.sql.model import SqlTable
from elt_factory.testing.warehouses.loader import MERGE, MERGE_BY_CURSOR, Loader, OnWarehouse, day, everything

UUID = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
TEXT_KEY = {"columns": {"id": {"type": "text"}}}
HISTORY = {"write_disposition": "scd2", "primary_key": ["id"]}
APPEND = MERGE_BY_CURSOR | {"write_disposition": "append"}


class KeyFormSuite(OnWarehouse):
    """What a load does where its source writes keys that are text in another way than before."""

    @pytest.mark.parametrize(
        ("before", "old", "after", "new"),
        [
            ("char(6)", "ab    ", "text", "ab"),
            ("char(6)", "ab    ", "char(4)", "ab  "),
            ("uuid", UUID, "text", UUID.upper()),
            ("text", "{" + UUID.upper() + "}", "uuid", UUID),
            ("binary", r"\x" + UUID.replace("-", ""), "uuid", UUID),
            ("ObjectId", "507f1f77bcf86cd799439011", "text", "507F1F77BCF86CD799439011"),
            ("integer", "12", "text", "00012"),
            ("decimal of scale 1", "1.0", "decimal of scale 2", "1.00"),
            ("decimal of scale 1", "-0.5", "text", "-0.50"),
            ("integer", "0", "decimal of scale 1", "0.0"),
        ],
    )
    def test_a_key_that_comes_in_another_form_fails_the_load(
        self, loader: Loader, before: str, old: str, after: str, new: str
    ) -> None:
        loader.spec, loader.forms = MERGE | TEXT_KEY, {"id": before}
        loader.load([{"id": old, "v": 1}, {"id": "other", "v": 1}])
        loaded = everything(loader.warehouse, loader.target)
        loader.forms = {"id": after}
        # what comes with new keys alone is loaded; the form of the others is still known by then
        assert loader.load([{"id": "new", "v": 2}], day(2)).total_rows == 3
        words = f"id was {before}, and is {after}), and 1 row came with a key that the table has in another form"
        with pytest.raises(BadDataError, match=re.escape(words)):
            loader.load([{"id": new, "v": 3}, {"id": "other", "v": 3}], day(3))
        assert set(loaded) & set(everything(loader.warehouse, loader.target)) == set(loaded)
        loader.load([{"id": new, "v": 3}], day(3), full_refresh=True)
        assert loader.load([{"id": new, "v": 4}], day(4)).total_rows == 1

    @pytest.mark.parametrize(
        "spec", [MERGE, MERGE_BY_CURSOR, APPEND, HISTORY], ids=["merge", "cursor", "append", "scd2"]
    )
    def test_rows_are_never_there_in_two_forms_of_their_key(self, loader: Loader, spec: dict[str, Any]) -> None:
        loader.spec, loader.forms = spec | TEXT_KEY, {"id": "char(3)"}
        loader.load([{"id": "a  ", "u": 1}])
        loader.forms = {"id": "text"}
        # also where the very window is loaded again
        for again in (day(1), day(2)):
            with pytest.raises(BadDataError, match="in another form"):
                loader.load([{"id": "a", "u": 2}], again)
        assert loader.rows("id") == [("a  ",)]

    def test_bytes_that_are_padded_with_zeros_are_another_form_of_the_key(self, loader: Loader) -> None:
        loader.spec, loader.forms = MERGE | {"columns": {"id": {"type": "binary"}}}, {"id": "binary"}
        loader.load([{"id": "00ff"}, {"id": "10"}])
        loader.forms = {"id": "binary(4)"}
        assert loader.load([{"id": "01000000"}, {"id": "000ff000"}], day(2)).total_rows == 4
        with pytest.raises(BadDataError, match=r"id was binary, and is binary\(4\)\), and 1 row came"):
            loader.load([{"id": "10000000"}, {"id": "01000000"}], day(3))

    @pytest.mark.parametrize("key", ["ab", "AB", "AB "])
    def test_a_key_of_the_same_type_is_the_key_that_it_is(self, loader: Loader, key: str) -> None:
        loader.spec, loader.forms = MERGE | TEXT_KEY, {"id": "text"}
        loader.load([{"id": "ab"}])
        assert loader.load([{"id": key}], day(2)).total_rows == 1 + (key != "ab")

    def test_another_type_that_writes_keys_alike_changes_nothing(self, loader: Loader) -> None:
        loader.spec, loader.forms = MERGE | TEXT_KEY, {"id": "uuid"}
        loader.load([{"id": UUID}])
        loader.forms = {"id": "text"}
        assert loader.load([{"id": UUID}, {"id": UUID.replace("a", "b")}], day(2)).total_rows == 2

    @pytest.mark.parametrize("spec", [MERGE, APPEND], ids=["merge", "append"])
    def test_of_hashed_keys_nothing_says_how_they_are_written(self, loader: Loader, spec: dict[str, Any]) -> None:
        loader.spec, loader.forms = spec | {"columns": {"id": {"type": "text"}}}, {"id": "text"}
        loader.load([{"id": "a", "u": 1}])
        for number, form in ((2, "text"), (3, "uuid"), (4, "text")):
            loader.spec, loader.forms = spec | {"columns": {"id": {"pii": "hash"}}}, {"id": form}
            assert loader.load([{"id": f"new{number}", "u": number}], day(number)).total_rows == number

    def test_what_a_window_leaves_in_the_table_when_it_is_loaded_again_has_the_form_of_before(
        self, loader: Loader
    ) -> None:
        loader.spec, loader.forms = MERGE | TEXT_KEY, {"id": "char(3)"}
        loader.load([{"id": "a  "}])
        loader.forms = {"id": "text"}
        loader.load([{"id": "zz"}])
        with pytest.raises(BadDataError, match="in another form"):
            loader.load([{"id": "a"}], day(2))

    @pytest.mark.parametrize("rows", [[], [{"id": "abc", "u": 2}]], ids=["none", "one"])
    @pytest.mark.parametrize("compare", ["hard", "soft"])
    def test_keys_that_are_compared_delete_no_row_whose_key_is_written_in_another_way(
        self, loader: Loader, rows: Any, compare: str
    ) -> None:
        loader.spec, loader.table_model = MERGE_BY_CURSOR | TEXT_KEY | {"deletes": {"compare": compare}}, SqlTable
        keys, loader.forms = [{"id": "a  "}, {"id": "abc"}], {"id": "char(3)"}
        loader.load([key | {"u": 1} for key in keys], day(1), keys=keys)
        loader.forms = {"id": "text"}
        with pytest.raises(BadDataError, match="1 row came with a key that the table has in another form"):
            loader.load(rows, day(2), keys=[{"id": "a"}, {"id": "abc"}])
        assert loader.load(rows, day(2), keys=keys).rows_deleted == 0
