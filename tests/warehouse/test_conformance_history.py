"""The suite `history`, on every warehouse of conftest.py."""

from elt_factory.testing.warehouses.history import HistorySuite


class TestHistory(HistorySuite):
    """On DuckDB, fakesnow and, where an account is given, Snowflake."""
