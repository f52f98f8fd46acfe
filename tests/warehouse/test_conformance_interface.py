"""The suite `interface`, on every warehouse of conftest.py."""

from elt_factory.testing.warehouses.interface import InterfaceSuite


class TestInterface(InterfaceSuite):
    """On DuckDB, fakesnow and, where an account is given, Snowflake."""
