"""dbt's profile comes from the Airflow connection `warehouse`: every way to log in, and no secret in any file."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from unittest import mock

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from elt_factory.core.connection import Connection
from elt_factory.core.failures import AccessDeniedError, PermanentError
from elt_factory.core.project import dbt_folder
from elt_factory.dag.dbt_profile import warehouse_profile
from elt_factory.warehouse.kind import DbtProfile
from elt_factory.warehouse.opening import kind_of
from elt_factory.warehouse.snowflake.profile import snowflake_profile

PASSPHRASE = "0pen-s3same"
TOKEN = "t0ken-of-the-day"
SETTINGS = {
    "type": "snowflake",
    "account": "acme-prod",
    "role": "TRANSFORMER",
    "warehouse": "TRANSFORMING",
    "database": "ANALYTICS",
    "schema": "public",
    "threads": 4,
    "query_tag": '{"step": "transform"}',
}


def pem(passphrase: str | None) -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    hidden = serialization.BestAvailableEncryption(passphrase.encode()) if passphrase else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, hidden).decode()


def profile(warehouse: str | None = None, password: str | None = None, **extra: object) -> DbtProfile:
    given = {"account": "acme-prod", "role": "TRANSFORMER", "warehouse": "TRANSFORMING", "database": "ANALYTICS"}
    connection = Connection("warehouse", "snowflake", login="dbt", password=password, extra=given | extra)
    return snowflake_profile(connection, warehouse, lambda _: TOKEN)


def named(name: str) -> str:
    return f"{{{{ env_var('DBT_ENV_SECRET_ELT_{name}') }}}}"


@pytest.mark.parametrize(
    ("given", "settings", "secrets"),
    [
        ({"password": "pw"}, {"user": "dbt", "password": named("PASSWORD")}, {"PASSWORD": "pw"}),
        (
            {"password": "pw", "authenticator": "https://acme.okta.com"},
            {"user": "dbt", "authenticator": "https://acme.okta.com", "password": named("PASSWORD")},
            {"PASSWORD": "pw"},
        ),
        ({"private_key_file": "/keys/dbt.p8"}, {"user": "dbt", "private_key_path": "/keys/dbt.p8"}, {}),
        (
            {"private_key_file": "/keys/dbt.p8", "password": "pass"},
            {
                "user": "dbt",
                "private_key_path": "/keys/dbt.p8",
                "private_key_passphrase": named("PRIVATE_KEY_PASSPHRASE"),
            },
            {"PRIVATE_KEY_PASSPHRASE": "pass"},
        ),
        (
            {"private_key_content": "-----BEGIN PRIVATE KEY-----\nMII\n-----END PRIVATE KEY-----\n"},
            {"user": "dbt", "private_key": named("PRIVATE_KEY")},
            {"PRIVATE_KEY": "-----BEGIN PRIVATE KEY-----\nMII\n-----END PRIVATE KEY-----"},
        ),
        ({"authenticator": "oauth"}, {"authenticator": "oauth", "token": named("TOKEN")}, {"TOKEN": TOKEN}),
        ({"refresh_token": "r"}, {"authenticator": "oauth", "token": named("TOKEN")}, {"TOKEN": TOKEN}),
        (
            {"authenticator": "PROGRAMMATIC_ACCESS_TOKEN", "password": "pat"},
            {"user": "dbt", "authenticator": "programmatic_access_token", "token": named("TOKEN")},
            {"TOKEN": "pat"},
        ),
        (
            {"authenticator": "WORKLOAD_IDENTITY", "workload_identity_provider": "AWS"},
            {"user": "dbt", "authenticator": "workload_identity", "workload_identity_provider": "AWS"},
            {},
        ),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
def test_each_way_of_the_hook_to_log_in_is_one_of_dbts(given, settings, secrets):
    made = profile(**given)
    assert made.settings == SETTINGS | settings
    assert made.secrets == {f"DBT_ENV_SECRET_ELT_{name}": value for name, value in secrets.items()}


def test_what_else_the_connection_says_reaches_dbt():
    made = profile(
        password="pw",
        region="eu-central-1",
        host="snow.internal",
        port=8443,
        proxy_host="proxy",
        insecure_mode="true",
        session_parameters={"QUERY_TAG": "finance"},
    ).settings
    assert made["account"] == "acme-prod.eu-central-1"
    told = {"host": "snow.internal", "port": 8443, "proxy_host": "proxy", "insecure_mode": True, "query_tag": "finance"}
    assert told.items() <= made.items()


def test_a_step_may_have_another_virtual_warehouse():
    assert profile("HEAVY", password="pw").settings == profile(password="pw").settings | {"warehouse": "HEAVY"}


def test_the_long_names_of_old_connections_are_understood():
    old = {f"extra__snowflake__{name}": value for name, value in {"account": "old", "database": "D"}.items()}
    connection = Connection("warehouse", "snowflake", login="dbt", password="pw", extra=old)
    made = snowflake_profile(connection, None, lambda _: TOKEN).settings
    assert (made["account"], made["database"]) == ("old", "D")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "has no password, which dbt needs"),
        ({"password": "pw", "database": ""}, "has no database, which dbt needs"),
        ({"password": "pw", "account": None}, "has no account, which dbt needs"),
        ({"private_key_file": "f", "private_key_content": "c"}, "has private_key_file and private_key_content"),
        ({"private_key_content": "no key"}, "private_key_content .* is neither PEM text"),
        ({"authenticator": "workload_identity"}, "has no workload_identity_provider"),
    ],
)
def test_a_connection_that_lacks_something_is_told_what(given, told):
    with pytest.raises(AccessDeniedError, match=f'connection "warehouse".*{told}|{told}'):
        profile(**given)


def test_dbt_has_no_warehouse_of_another_type():
    with pytest.raises(AccessDeniedError, match='has the type "postgres"; a warehouse needs type duckdb or snowflake'):
        kind_of(Connection("warehouse", "postgres"))


def test_secrets_do_not_show_in_a_repr():
    assert "hush" not in repr(profile(password="hush"))


def test_no_connection_is_read_until_a_task_runs(monkeypatch, airflow_db):
    monkeypatch.delenv("AIRFLOW_CONN_WAREHOUSE")
    made = warehouse_profile()
    with pytest.raises(PermanentError, match='unknown Airflow connection "warehouse"'):
        _ = made.profile_mapping.profile


class TokenServer(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        form = self.rfile.read(int(self.headers["Content-Length"])).decode()
        good = "refresh_token=r3fresh" in form
        body = json.dumps({"access_token": TOKEN, "expires_in": 600}).encode()
        self.send_response(200 if good else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def token_endpoint():
    server = ThreadingHTTPServer(("127.0.0.1", 0), TokenServer)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/token"
    server.shutdown()
    server.server_close()


@pytest.fixture
def debug(tmp_path: Path) -> Callable[[], str]:
    """Let dbt connect with the profile of the connection; what it says and what it leaves in files."""

    def run() -> str:
        from dbt.cli.main import dbtRunner

        with ExitStack() as stack:
            file, secrets = stack.enter_context(warehouse_profile().ensure_profile())
            stack.enter_context(mock.patch.dict(os.environ, secrets))
            places = ["--profiles-dir", str(file.parent), "--project-dir", str(dbt_folder())]
            logs = ["--log-path", str(tmp_path / "logs"), "--log-level-file", "debug", "--no-use-colors"]
            done = dbtRunner().invoke(["debug", "--connection", *places, *logs])
            assert done.exception is None, done.exception
            left = [file.read_text(), *(log.read_text() for log in (tmp_path / "logs").iterdir())]
            assert done.success, left
        return "\n".join(left)

    return run


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, dict[str, object]]:
    plain, hidden = pem(None), pem(PASSPHRASE)
    file = tmp_path / "key.p8"
    file.write_text(hidden)
    return {
        "file": {"password": PASSPHRASE, "extra": {"private_key_file": str(file)}},
        "content": {"password": None, "extra": {"private_key_content": plain}},
        "base64": {
            "password": PASSPHRASE,
            "extra": {"private_key_content": base64.b64encode(hidden.encode()).decode()},
        },
    }


def leaks(said: str, *secrets: str) -> list[str]:
    return [secret for secret in secrets if secret in said]


@pytest.mark.timeout(120)
def test_dbt_logs_in_with_a_password(connect, fake_snowflake, debug):
    fields = fake_snowflake.fields() | {"password": "hush-{{ 1 }}'\""}
    connect("warehouse", **fields)
    said = debug()
    assert "Connection test: [OK connection ok]" in said
    assert not leaks(said, "hush-")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", ["file", "content", "base64"])
def test_dbt_logs_in_with_a_key_pair(connect, fake_snowflake, debug, keys, kind):
    fields, key = fake_snowflake.fields(), keys[kind]
    connect("warehouse", **(fields | {"password": key["password"], "extra": fields["extra"] | key["extra"]}))
    said = debug()
    assert "Connection test: [OK connection ok]" in said
    assert not leaks(said, PASSPHRASE, "PRIVATE KEY-----", key["extra"].get("private_key_content", PASSPHRASE))


@pytest.mark.timeout(120)
def test_dbt_logs_in_with_a_token_that_the_providers_hook_gets(connect, fake_snowflake, debug, token_endpoint):
    fields = fake_snowflake.fields(
        refresh_token="r3fresh", grant_type="refresh_token", token_endpoint=token_endpoint, authenticator="oauth"
    )
    connect("warehouse", **(fields | {"login": "client", "password": "client-s3cret"}))
    said = debug()
    assert "Connection test: [OK connection ok]" in said
    assert not leaks(said, TOKEN, "client-s3cret", "r3fresh")


def test_a_token_that_is_refused_is_told(connect, fake_snowflake, token_endpoint):
    connect("warehouse", **fake_snowflake.fields(refresh_token="stale", token_endpoint=token_endpoint))
    with pytest.raises(AccessDeniedError, match=r'connection "warehouse" returned no OAuth token: .*401') as told:
        _ = warehouse_profile().profile_mapping.profile
    assert "stale" not in str(told.value)


@pytest.mark.services
@pytest.mark.parametrize("zone", ["America/New_York", "Pacific/Kiritimati"])
def test_a_model_on_duckdb_says_the_same_whatever_the_workers_clock(tmp_path, zone):
    """One instant is one date: dbt runs in UTC, as loads and checks do."""
    connection = Connection("warehouse", "duckdb", host=str(tmp_path / "warehouse.duckdb"))
    settings = dict(kind_of(connection).dbt_profile(connection, tmp_path, None).settings) | {"schema": "main"}
    (tmp_path / "profiles.yml").write_text(json.dumps({"elt": {"target": "it", "outputs": {"it": settings}}}))
    (tmp_path / "dbt_project.yml").write_text("name: clocks\nversion: '1.0.0'\nprofile: elt\n")
    query = "select cast(timestamptz '2013-01-01 02:00:00+00' as date)::varchar as day, current_setting('TimeZone') z"
    shown = subprocess.run(
        [Path(sys.executable).parent / "dbt", "show", "--inline", query, "--output", "json", "--quiet"],
        cwd=tmp_path,
        env=os.environ | {"TZ": zone, "DBT_PROFILES_DIR": str(tmp_path), "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert json.loads(shown.stdout)["show"] == [{"day": "2013-01-01", "z": "UTC"}]
