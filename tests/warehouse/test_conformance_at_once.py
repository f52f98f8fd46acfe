"""The suite `at_once`, on every warehouse of conftest.py."""

from elt_factory.testing.warehouses.at_once import AtOnceSuite


class TestAtOnce(AtOnceSuite):
    """On DuckDB, fakesnow and, where an account is given, Snowflake."""
