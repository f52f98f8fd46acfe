"""The connection to Snowflake: the provider's hook, with all its ways to log in, for one given connection.

Import this module where a connection is opened and nowhere else: the hook and the connector cost a second.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import Connection as AirflowConnection

from elt_factory.core.connection import Connection
from elt_factory.core.extras import needs
from elt_factory.core.failures import AccessDeniedError, redact

with needs("snowflake", "a connection of type snowflake"):
    from airflow.providers.snowflake.hooks.snowflake import SnowflakeHook

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection

STATEMENT_SECONDS = 3600
LOCK_SECONDS = 600
LOGIN_SECONDS = 60
_GRACE = 60  # seconds that Snowflake has to cancel a statement before the client gives up on it
# what a connection may say and the provider does not pass on
_PASSED_ON = ("protocol", "client_session_keep_alive", "validate_default_parameters", "disable_ocsp_checks")
_DEFAULTS: Mapping[str, Any] = {
    "STATEMENT_TIMEOUT_IN_SECONDS": STATEMENT_SECONDS,
    "LOCK_TIMEOUT": LOCK_SECONDS,
    "ABORT_DETACHED_QUERY": True,  # a worker that was killed leaves nothing that runs on
}
_CLOCK = "HH24:MI:SS.FF6"
# what our literals and answers rest upon; cast to text by Snowflake's defaults, times lose their fractions of a second
# and timestamps their microseconds, so that two keys are one
_FIXED: Mapping[str, Any] = {
    "TIMEZONE": "UTC",
    **dict.fromkeys(("TIMESTAMP_INPUT_FORMAT", "DATE_INPUT_FORMAT", "TIME_INPUT_FORMAT"), "AUTO"),
    "DATE_OUTPUT_FORMAT": "YYYY-MM-DD",
    "TIME_OUTPUT_FORMAT": _CLOCK,
    "TIMESTAMP_NTZ_OUTPUT_FORMAT": f"YYYY-MM-DD {_CLOCK}",
    **dict.fromkeys(("TIMESTAMP_TZ_OUTPUT_FORMAT", "TIMESTAMP_LTZ_OUTPUT_FORMAT"), f"YYYY-MM-DD {_CLOCK} TZH:TZM"),
    "BINARY_OUTPUT_FORMAT": "HEX",
    "ROWS_PER_RESULTSET": 0,  # all of them, whatever a user or an account has for people
}


class GivenHook(SnowflakeHook):
    """SnowflakeHook over a connection that is at hand already, instead of one that it looks up."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(snowflake_conn_id=connection.conn_id)
        self._given = connection

    def get_connection(self, conn_id: str) -> AirflowConnection:
        """Return the given connection, as Airflow's own class."""
        given = self._given
        return AirflowConnection(
            conn_id=conn_id,
            conn_type=given.conn_type,
            host=given.host,
            login=given.login,
            password=given.password,
            schema=given.schema,
            port=given.port,
            extra=json.dumps(dict(given.extra)),
        )

    def arguments(self, query_tag: str = "") -> dict[str, Any]:
        """Return what the connector is called with: the provider's reading of the connection, and what it leaves out.

        Autocommit and the session's parameters are written every time: the connector changes the ones it is given,
        and the provider would hand those out again.
        """
        found: dict[str, Any] = dict(self._get_conn_params())
        extra = self._given.extra
        session = session_parameters(found.get("session_parameters") or {})
        patience = int(session["STATEMENT_TIMEOUT_IN_SECONDS"]) + _GRACE
        return {
            **found,
            **{key: extra[key] for key in _PASSED_ON if key in extra},
            # the connector itself repeats statements, without the tag that they had
            "session_parameters": {**session, "QUERY_TAG": query_tag},
            "autocommit": True,
            "login_timeout": int(extra.get("login_timeout", LOGIN_SECONDS)),
            # the connector cancels a statement after this time too, so it is never shorter by itself
            "network_timeout": int(extra.get("network_timeout", patience)),
        }


def session_parameters(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the session's parameters: those of the connection over our defaults, under what our SQL rests upon."""
    named = {key.upper(): setting for key, setting in given.items() if key.upper() != "AUTOCOMMIT"}
    return {**_DEFAULTS, **named, **_FIXED}


def connect(connection: Connection, query_tag: str, **more: Any) -> SnowflakeConnection:
    """Log in, for statements with a tag; `more` is what the connector takes besides.

    Raises:
        AccessDeniedError: the connection is not complete. What the connector raises is its own.
    """
    import snowflake.connector

    if not (connection.extra.get("database") or connection.extra.get("extra__snowflake__database")):
        raise AccessDeniedError(
            f'the connection "{connection.conn_id}" has no database; '
            'set the one to use in its extra: {"database": "ANALYTICS"}'
        )
    try:
        arguments = GivenHook(connection).arguments(query_tag)
    except (ValueError, TypeError, FileNotFoundError) as error:
        raise AccessDeniedError(
            f'the connection "{connection.conn_id}" is not usable: {redact(str(error), secrets(connection))}'
        ) from error
    return snowflake.connector.connect(**arguments, **more)


def secrets(connection: Connection) -> tuple[str | None, ...]:
    """Return what no message may show."""
    hidden = ("private_key_content", "refresh_token", "token", "proxy_password")
    return (connection.password, *(str(connection.extra[key]) for key in hidden if connection.extra.get(key)))
