"""The suite `cursors`, on every warehouse of conftest.py."""

from elt_factory.testing.warehouses.cursors import CursorSuite


class TestCursor(CursorSuite):
    """On DuckDB, fakesnow and, where an account is given, Snowflake."""
