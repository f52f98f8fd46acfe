"""A place of connections that cannot be read is not one that has none: another connection would silently be taken."""

import pytest

from elt_factory.core.failures import ConnectionsUnavailableError, PermanentError, UnknownConnectionError
from elt_factory.dag import connection_places
from elt_factory.dag.runtime import get_connection, landing_root

pytestmark = pytest.mark.services


class Vault:
    """A secrets backend that does not answer."""

    def get_connection(self, conn_id: str) -> None:
        raise RuntimeError("https://u:hunter2@vault.internal does not answer\nmore")


class Nothing:
    """A secrets backend without connections."""

    def get_connection(self, conn_id: str) -> None:
        return None


@pytest.mark.parametrize("text", ['{"conn_type": "duckdb", "password": "hunter2"', "postgres://u:hunter2@h:port/x"])
def test_a_variable_that_is_not_a_connection_is_refused_and_its_value_not_shown(monkeypatch, text):
    monkeypatch.setenv("AIRFLOW_CONN_NO_SUCH", text)
    with pytest.raises(PermanentError, match="AIRFLOW_CONN_NO_SUCH is not a valid connection") as refused:
        get_connection("no_such")
    assert "hunter2" not in str(refused.value)


class Full:
    """A secrets backend that has every connection."""

    def get_connection(self, conn_id: str) -> str:
        return "found"


@pytest.mark.parametrize("ahead", [[Full()], [Vault(), Full()]])
def test_a_variable_is_not_refused_where_a_place_before_it_has_the_connection(monkeypatch, ahead):
    own = next(place for place in connection_places._places() if "Environment" in type(place).__name__)
    monkeypatch.setenv("AIRFLOW_CONN_NO_SUCH", "{")
    monkeypatch.setattr(connection_places, "_places", lambda: [*ahead, own])
    connection_places.require_readable_variable("no_such")
    monkeypatch.setattr(connection_places, "_places", lambda: [Nothing(), Vault(), own, Full()])
    with pytest.raises(PermanentError, match="AIRFLOW_CONN_NO_SUCH is not a valid connection"):
        connection_places.require_readable_variable("no_such")


def test_a_secrets_backend_that_fails_is_tried_again_and_no_connection_is_called_unknown(monkeypatch):
    monkeypatch.setattr(connection_places, "_places", lambda: [Nothing(), Vault()])
    with pytest.raises(ConnectionsUnavailableError, match="Vault cannot be read") as found:
        get_connection("no_such")
    assert "hunter2" not in str(found.value)


def test_where_all_places_answer_a_connection_that_none_has_is_unknown(monkeypatch):
    monkeypatch.setattr(connection_places, "_places", lambda: [Nothing()])
    with pytest.raises(UnknownConnectionError):
        get_connection("no_such")


def test_a_landing_without_a_connection_does_not_need_a_backend_that_fails(monkeypatch):
    monkeypatch.setenv("AIRFLOW_VAR_ELT_LANDING", "s3://bucket/landing")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of-the-worker")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-the-worker")
    monkeypatch.setattr(connection_places, "_places", lambda: [Vault()])
    assert "s3://bucket/landing" in str(landing_root())
