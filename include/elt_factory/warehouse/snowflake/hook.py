"""The connection to Snowflake as a warehouse.

Import this module where a connection is opened and nowhere else: the hook and the connector cost a second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from elt_factory.core.connection import Connection
from elt_factory.storage import snowflake
from elt_factory.warehouse.snowflake.errors import translated

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection


def connect(connection: Connection, query_tag: str) -> SnowflakeConnection:
    """Log in, for statements with a tag.

    Raises:
        AccessDeniedError: the connection is not complete, or Snowflake refuses it.
        WarehouseUnavailableError: Snowflake cannot be reached.
    """
    with translated(snowflake.secrets(connection)):
        return snowflake.connect(connection, query_tag)
