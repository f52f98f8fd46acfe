"""The suite `key_forms`, on every warehouse of conftest.py."""

from elt_factory.testing.warehouses.key_forms import KeyFormSuite


class TestKeyForm(KeyFormSuite):
    """On DuckDB, fakesnow and, where an account is given, Snowflake."""
