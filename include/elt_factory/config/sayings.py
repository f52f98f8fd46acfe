"""What is to be done about words that this language has no counterpart for."""

from __future__ import annotations

from collections.abc import Mapping

from elt_factory.config.synonyms import in_plain

# what has no place of that name, and is still meant by something here
_SAYINGS: Mapping[str, str] = {
    "default_args": "write owner: and retries: at the top level, or in _defaults.yaml",
    "defaults": "write them into _defaults.yaml, in this folder",
    "destination": "the warehouse is the Airflow connection named warehouse; no config names it",
    "loaders": "the warehouse is the Airflow connection named warehouse; no config names it",
    "max_active_runs": "remove it: runs that have to follow each other do",
    "target": "the warehouse is the Airflow connection named warehouse; no config names it",
    "host": "it belongs in the Airflow connection",
    "port": "it belongs in the Airflow connection",
    "username": "it belongs in the Airflow connection, as its login",
    "user": "it belongs in the Airflow connection, as its login",
    "password": "it belongs in the Airflow connection, as its password",
    "secret": "it belongs in the Airflow connection, as its password",
    "token": "it belongs in the Airflow connection, as its password",
    "connection_string": "it belongs in an Airflow connection; write connection: with its id",
    "dsn": "it belongs in an Airflow connection; write connection: with its id",
    "method": "remove it: requests are GET, and POST with json, form, body or graphql",
    "http_method": "remove it: requests are GET, and POST with json, form, body or graphql",
    "processing_steps": "use where: to leave rows out, pii: for columns, and dbt for what changes rows",
    "transformations": "use pii: drop for columns, and dbt for what changes rows",
    "tasks": "remove it: tasks follow from tables:, sensors:, transform: and quality:",
    "operator": "remove it: tasks follow from tables:, sensors:, transform: and quality:",
}


def saying(word: str) -> str:
    """Return what is meant by a word that has no counterpart here; nothing where it is not known."""
    return _SAYINGS.get(in_plain(word), "")
