"""The suite `schema`, on every warehouse of conftest.py."""

from elt_factory.testing.warehouses.schema import SchemaSuite


class TestSchema(SchemaSuite):
    """On DuckDB, fakesnow and, where an account is given, Snowflake."""
