"""The suite `deletes`, on every warehouse of conftest.py."""

from elt_factory.testing.warehouses.deletes import DeleteSuite


class TestDelete(DeleteSuite):
    """On DuckDB, fakesnow and, where an account is given, Snowflake."""
