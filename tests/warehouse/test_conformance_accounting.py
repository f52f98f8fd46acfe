"""The suite `accounting`, on every warehouse of conftest.py."""

from elt_factory.testing.warehouses.accounting import AccountingSuite


class TestAccounting(AccountingSuite):
    """On DuckDB, fakesnow and, where an account is given, Snowflake."""
