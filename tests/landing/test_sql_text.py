from datetime import UTC, date, datetime
from decimal import Decimal

import duckdb
import pytest

from elt_factory.core.sql_text import file_list, identifier, identifiers, literal, text_literal

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(("name", "text"), [("a", '"a"'), ('a"b', '"a""b"'), ("select", '"select"'), ("ä b", '"ä b"')])
def test_a_name_stands_in_quotes(name, text):
    assert identifier(name) == text


def test_names_are_separated_by_commas():
    assert identifiers(["a", "b"]) == '"a", "b"'


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "NULL"),
        (True, "TRUE"),
        (False, "FALSE"),
        (5, "5"),
        (Decimal("1E+3"), "1000"),
        (1.5, "1.5"),
        (float("inf"), "CAST('inf' AS DOUBLE)"),
        ("it's", "'it''s'"),
        (date(2013, 1, 2), "DATE '2013-01-02'"),
        (datetime(2013, 1, 2, 3), "TIMESTAMP '2013-01-02 03:00:00'"),  # noqa: DTZ001 - a wall-clock time
        (datetime(2013, 1, 2, 3, tzinfo=UTC), "CAST('2013-01-02T03:00:00Z' AS TIMESTAMP WITH TIME ZONE)"),
    ],
)
def test_a_value_is_a_literal_that_reads_back(value, text):
    assert literal(value) == text
    with duckdb.connect() as connection:
        assert connection.execute(f"SELECT {text}").fetchall()[0][0] == value


def test_text_in_quotes_cannot_leave_them():
    assert text_literal("'; DROP TABLE x; --") == "'''; DROP TABLE x; --'"


def test_a_file_name_is_no_pattern(tmp_path):
    for name in ("a[1].csv", "a1.csv", "b*.csv", "bb.csv", "c?.csv", "cc.csv"):
        (tmp_path / name).write_text(f"x\n{name}\n")
    for name in ("a[1].csv", "b*.csv", "c?.csv"):
        listed = file_list([str(tmp_path / name)])
        with duckdb.connect() as connection:
            assert connection.execute(f"SELECT * FROM read_csv({listed}, header = true)").fetchall() == [(name,)]
