"""When two JSON values are one and the same, for a history on DuckDB."""

import pytest

from elt_factory.testing.warehouses.loader import Loader, day
from elt_factory.warehouse.duckdb.warehouse import DuckDBWarehouse, canonical

SNAPSHOT = {"write_disposition": "scd2", "primary_key": ["id"], "columns": {"j": {"type": "json"}}}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"a": 1, "b": [1, {"c": null, "d": "x"}]}', '{"b":[1,{"d":"x","c":null}],"a":1}'),
        ("1.0", "1"),
        ("1e2", "100"),
        ("-0", "0"),
        ('"\\u0041"', '"A"'),
    ],
)
def test_what_is_written_otherwise_is_the_same(one, other):
    assert canonical(one) == canonical(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("[1, 2]", "[2, 1]"),
        ("1", '"1"'),
        ("1", "true"),
        ("null", "{}"),
        ("0.12345678901234567890123456789012345678901", "0.12345678901234567890123456789012345678902"),
        ("100000000000000000000000000000001", "100000000000000000000000000000002"),
    ],
)
def test_what_differs_in_a_digit_a_type_or_a_place_is_not(one, other):
    assert canonical(one) != canonical(other)


@pytest.mark.duckdb
def test_another_order_of_keys_makes_no_new_version(tmp_path):
    with DuckDBWarehouse(tmp_path / "w.duckdb") as warehouse:
        loader = Loader(tmp_path / "landing", warehouse, spec=SNAPSHOT)
        loader.load([{"id": 1, "j": {"a": 1, "b": 2}}, {"id": 2, "j": {"a": 1}}, {"id": 3, "j": None}], day(1))
        report = loader.load([{"id": 1, "j": {"b": 2, "a": 1}}, {"id": 2, "j": {"a": 2}}, {"id": 3, "j": {}}], day(2))
        assert (report.rows_loaded, report.rows_unchanged) == (2, 1)
        assert [row[0] for row in loader.rows("id")] == [1, 2, 2, 3, 3]


@pytest.mark.duckdb
def test_two_connections_of_one_process_compare_alike(tmp_path):
    with DuckDBWarehouse(tmp_path / "w.duckdb") as first, DuckDBWarehouse(tmp_path / "w.duckdb") as second:
        for warehouse in (first, second):
            assert warehouse.query("""SELECT elt_json_canonical('{"a": 1.0}')""").rows == [(canonical('{"a":1}'),)]
