"""Columns of a source may have any name: none meets a column that a load writes, in its staging or its table."""

import pytest
from warehouse_support import day

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


@pytest.mark.parametrize("spell", [str, str.upper])
@pytest.mark.parametrize("disposition", ["append", "merge", "scd2"])
def test_columns_of_any_name_keep_their_values(loader, disposition, spell):
    names = [spell(name) for name in NAMES]
    loader.spec = {"write_disposition": disposition, "primary_key": ["id"]}
    for number in (1, 2):
        loader.load([{"id": 1, **{name: f"{name} {number}" for name in names}}], day(number))
    expected = [tuple(f"{name} {number}" for name in names) for number in (1, 2)]
    found = loader.rows(*map(loaded, names))
    assert found == (expected[1:] if disposition == "merge" else expected)
