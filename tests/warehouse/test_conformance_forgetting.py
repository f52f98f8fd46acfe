"""The suite `forgetting`, on every warehouse of conftest.py."""

from elt_factory.testing.warehouses.forgetting import ForgetSuite


class TestForgetting(ForgetSuite):
    """On DuckDB, fakesnow and, where an account is given, Snowflake."""
