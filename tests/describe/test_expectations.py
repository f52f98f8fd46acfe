"""Everyday expectations of others are checks here, as docs/guides/quality.md says, and a config takes each."""

from pathlib import Path

import pytest

from elt_factory.config.models.checks import COLUMN_CHECKS, ColumnCheck, TableCheck
from elt_factory.describe.expectations import of_great_expectations, of_soda

PAGE = (Path(__file__).parents[2] / "docs" / "guides" / "quality.md").read_text()
GX = [
    ("expect_column_values_to_not_be_null", {"column": "a"}, {"not_null": True}),
    ("expect_column_values_to_not_be_null", {"column": "a", "mostly": 0.95}, {"not_null": True, "max_failing": "5%"}),
    ("expect_column_values_to_be_unique", {"column": "a"}, {"unique": True}),
    ("expect_column_values_to_be_between", {"column": "a", "min_value": 0, "max_value": 9}, {"between": [0, 9]}),
    ("expect_column_values_to_be_between", {"column": "a", "min_value": 0}, {"expression": "a >= 0"}),
    (
        "expect_column_values_to_be_in_set",
        {"column": "a", "value_set": ["x"], "severity": "warning"},
        {"accepted_values": ["x"], "severity": "warn"},
    ),
    ("expect_column_values_to_match_regex", {"column": "a", "regex": "^N"}, {"regex": "^N"}),
    ("expect_column_value_lengths_to_be_between", {"column": "a", "max_value": 6}, {"length": {"max": 6}}),
    ("expect_column_value_lengths_to_equal", {"column": "a", "value": 3}, {"length": {"min": 3, "max": 3}}),
    ("expect_compound_columns_to_be_unique", {"column_list": ["a", "b"]}, {"unique": ["a", "b"]}),
    ("expect_table_row_count_to_be_between", {"min_value": 1, "max_value": 9}, {"row_count": {"min": 1, "max": 9}}),
    ("expect_table_row_count_to_equal", {"value": 4}, {"row_count": {"min": 4, "max": 4}}),
    ("expect_column_sum_to_be_between", {"column": "a", "min_value": 1}, {"sum": {"min": 1}}),
    ("expect_column_mean_to_be_between", {"column": "a", "max_value": 1.5}, {"mean": {"max": 1.5}}),
    (
        "expect_column_pair_values_a_to_be_greater_than_b",
        {"column_A": "a", "column_B": "b", "or_equal": True},
        {"expression": "a >= b"},
    ),
    ("unexpected_rows_expectation", {"unexpected_rows_query": "select 1 from t"}, {"query": "select 1 from t"}),
    # another check would not say the same
    ("expect_column_values_to_be_between", {"column": "a", "min_value": 0, "max_value": 9, "strict_min": True}, None),
    ("expect_column_sum_to_be_between", {"column": "a", "min_value": 1, "mostly": 0.9}, None),
    ("expect_column_values_to_be_unique", {"column": "a", "mostly": 0.9}, None),
    ("expect_column_values_to_be_increasing", {"column": "a"}, None),
]
SODA = [
    ("missing_count(a) = 0", None, {"not_null": True}),
    ("missing_percent(a) <= 5%", None, {"not_null": True, "max_failing": "5%"}),
    ("missing_count(a) < 5", None, {"not_null": True, "max_failing": 4}),
    ("duplicate_count(a) = 0", None, {"unique": True}),
    ("duplicate_count(a, b) = 0", None, {"unique": ["a", "b"]}),
    ("invalid_count(a) = 0", {"valid values": ["x", "y"]}, {"accepted_values": ["x", "y"]}),
    ("invalid_count(a) = 0", {"valid regex": "^N"}, {"regex": "^N"}),
    ("invalid_percent(a) <= 0.5%", {"valid min": 0, "valid max": 9}, {"between": [0, 9], "max_failing": "0.5%"}),
    ("invalid_count(a) = 0", {"valid length": 3}, {"length": {"min": 3, "max": 3}}),
    ("invalid_count(a) = 0", {"valid max length": 3}, {"length": {"max": 3}}),
    ("row_count > 0", None, {"row_count": {"min": 1}}),
    ("row_count between 10 and 20", None, {"row_count": {"min": 10, "max": 20}}),
    ("avg(a) between 1.5 and 2", None, {"mean": {"min": 1.5, "max": 2}}),
    ("sum(a) >= 5", None, {"sum": {"min": 5}}),
    ("freshness(a) < 26h", None, {"freshness": {"business_date_within": "26h"}}),
    ("missing_count(a) > 5", None, None),
    ("duplicate_count(a) < 5", None, None),
    ("missing_percent(a) < 5%", None, None),
    ("missing_count(a) = 0", {"missing values": ["n/a"]}, None),
    ("avg(a) > 5", None, None),
    ("anomaly detection for row_count", None, None),
]


def readable(check):
    """Read a check as a config does, one of a column or of a table."""
    (kind,) = [key for key in check if key not in ("max_failing", "severity", "where")]
    of_column = (kind in COLUMN_CHECKS and not isinstance(check[kind], list | str)) or kind in ("regex", "between")
    of_column = of_column or kind == "accepted_values"
    (ColumnCheck if of_column else TableCheck).model_validate(check)


@pytest.mark.parametrize(("name", "given", "check"), GX)
def test_an_expectation_of_great_expectations_is_a_check(name, given, check):
    assert of_great_expectations(name, given) == check
    if check:
        readable(check)
        assert f"`{name}`" in PAGE


@pytest.mark.parametrize(("text", "below", "check"), SODA)
def test_a_check_of_soda_is_a_check(text, below, check):
    assert of_soda(text, below) == check
    if check:
        readable(check)
        assert f"`{text.split('(')[0].split(' ')[0]}" in PAGE
