"""The suite `maintenance`, on every warehouse of conftest.py."""

from elt_factory.testing.warehouses.maintenance import MaintenanceSuite


class TestMaintenance(MaintenanceSuite):
    """On DuckDB, fakesnow and, where an account is given, Snowflake."""
