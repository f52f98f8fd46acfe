"""The suite `values`, on every warehouse of conftest.py."""

from elt_factory.testing.warehouses.values import ValueSuite


class TestValue(ValueSuite):
    """On DuckDB, fakesnow and, where an account is given, Snowflake."""
