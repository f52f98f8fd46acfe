"""Where Airflow looks for connections. It takes a place that cannot be read for one that has none, and looks on."""

from __future__ import annotations

import os
from typing import Any

from elt_factory.core.failures import ConnectionsUnavailableError, PermanentError, redact

_PREFIX = "AIRFLOW_CONN_"


def require_readable_variable(conn_id: str) -> None:
    """Refuse a connection of the environment that Airflow cannot read: another one of this id would silently be taken.

    Raises:
        PermanentError: the variable is not a valid connection, and no place before it has one. Its value may be a
            secret, and is not shown.
    """
    name = f"{_PREFIX}{conn_id.upper()}"
    if not os.environ.get(name):
        return
    before = list[Any]()
    for place in _places():
        if type(place).__name__ != "EnvironmentVariablesBackend":
            before.append(place)
            continue
        try:
            place.get_connection(conn_id=conn_id)
        except Exception as error:  # noqa: BLE001 - whatever a place of Airflow's cannot read
            if any(_has(one, conn_id) for one in before):
                return
            raise PermanentError(
                f"{name} is not a valid connection ({type(error).__name__}); hint: write it as JSON, such as "
                '{"conn_type": "duckdb", "host": "data/warehouse.duckdb"}, or as a URI'
            ) from None


def require_places(conn_id: str) -> None:
    """Refuse to say that there is no connection where a place that may have it cannot be read.

    Raises:
        ConnectionsUnavailableError: one cannot be read.
    """
    for place in _places():
        try:
            place.get_connection(conn_id=conn_id)
        except Exception as error:
            first = (redact(str(error)).strip().splitlines() or [""])[0]
            why = f"{type(error).__name__}: {first}" if first else type(error).__name__
            where = "Airflow's database" if type(place).__name__ == "MetastoreBackend" else type(place).__name__
            raise ConnectionsUnavailableError(
                f'whether there is a connection "{conn_id}" is not known: {where} cannot be read ({why}); hint: '
                "elt doctor"
            ) from error


def _has(place: Any, conn_id: str) -> bool:
    try:
        return place.get_connection(conn_id=conn_id) is not None
    except Exception:  # noqa: BLE001 - Airflow looks on at the next place, too
        return False


def _places() -> list[Any]:
    from airflow.sdk.execution_time.supervisor import ensure_secrets_backend_loaded

    return list(ensure_secrets_backend_loaded())
