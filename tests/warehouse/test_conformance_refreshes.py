"""The suite `refreshes`, on every warehouse of conftest.py."""

from elt_factory.testing.warehouses.refreshes import RefreshSuite


class TestRefresh(RefreshSuite):
    """On DuckDB, fakesnow and, where an account is given, Snowflake."""
