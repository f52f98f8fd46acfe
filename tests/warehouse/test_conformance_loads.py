"""The suite `loads`, on every warehouse of conftest.py."""

from elt_factory.testing.warehouses.loads import LoadSuite


class TestLoad(LoadSuite):
    """On DuckDB, fakesnow and, where an account is given, Snowflake."""
