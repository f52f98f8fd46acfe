"""The warehouse of this project, for commands that ask it."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from elt_factory.cli.output import errors
from elt_factory.core.private import use_private_files
from elt_factory.core.project import project_root

if TYPE_CHECKING:
    from elt_factory.core.connection import Connection
    from elt_factory.warehouse.base import Warehouse


def warehouse_connection() -> Connection:
    """Return the connection `warehouse`."""
    from elt_factory.cli.local import ensure_local_airflow

    ensure_local_airflow()
    use_private_files()
    from elt_factory.dag.runtime import get_connection
    from elt_factory.warehouse.opening import CONNECTION_ID

    # what Airflow and the connector say of the connection would appear in the answer, which machines read
    logging.disable(logging.WARNING)
    return get_connection(CONNECTION_ID)


def opened_warehouse() -> AbstractContextManager[Warehouse]:
    """Open the warehouse of the connection `warehouse`; what it waits for is reported."""
    connection = warehouse_connection()
    from elt_factory.warehouse.opening import open_warehouse

    return open_warehouse(connection, project_root(), lambda line: errors.print(line, style="yellow"))
