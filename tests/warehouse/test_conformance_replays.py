"""The suite `replays`, on every warehouse of conftest.py."""

from elt_factory.testing.warehouses.replays import ReplaySuite


class TestReplays(ReplaySuite):
    """On DuckDB, fakesnow and, where an account is given, Snowflake."""
