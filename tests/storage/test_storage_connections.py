"""What connections of clouds become: keys, roles, endpoints, and nothing of them in an error."""

import json

import httpx
import pytest
from storage_support import ROLE, SECRET, aws, aws_server, bucket

from elt_factory.core.connection import Connection
from elt_factory.core.failures import AccessDeniedError, BadRequestError
from elt_factory.storage.aws import endpoint_of, s3_options, session_of
from elt_factory.storage.azure import azure_options
from elt_factory.storage.google import gcs_options
from elt_factory.storage.objects import Trouble, trouble
from elt_factory.storage.opening import open_objects

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def server():
    with aws_server() as address:
        yield address


@pytest.fixture
def address(server):
    httpx.post(f"{server}/moto-api/reset", timeout=60).raise_for_status()
    return server


def test_a_connection_of_aws_becomes_the_stores_options():
    given = Connection("c", "aws", login="k", password="s", extra={"aws_session_token": "t", "region_name": "r"})
    config, client, credentials = s3_options(given)
    assert (config, client) == ({"region": "r"}, {"allow_http": False})
    assert {key: credentials()[key] for key in ("access_key_id", "secret_access_key", "token")} == {
        "access_key_id": "k",
        "secret_access_key": "s",
        "token": "t",
    }


def test_an_unsigned_connection_needs_no_credentials():
    given = Connection("c", "aws", extra={"config_kwargs": {"signature_version": "unsigned"}})
    assert s3_options(given)[0]["skip_signature"] is True
    assert s3_options(given)[2] is None


def test_an_endpoint_of_one_service_comes_before_that_of_all():
    extra = {"endpoint_url": "http://all", "service_config": {"s3": {"endpoint_url": "http://s3"}}}
    given = Connection("c", "aws", extra=extra)
    assert (endpoint_of(given, "s3"), endpoint_of(given, "dynamodb")) == ("http://s3", "http://all")


def test_a_certificate_of_ones_own_and_none_at_all(tmp_path):
    file = tmp_path / "ca.pem"
    file.write_bytes(b"pem")
    given = Connection("c", "aws", login="k", password="s", extra={"verify": str(file)})
    assert s3_options(given)[1]["root_certificate"] == b"pem"
    given = Connection("c", "aws", login="k", password="s", extra={"verify": False})
    assert s3_options(given)[1]["allow_invalid_certificates"] is True


def test_the_credentials_of_a_role_are_used(address):
    assumed = session_of(aws(address, role_arn=ROLE, assume_role_kwargs={"ExternalId": "of-shop"})).get_credentials()
    frozen = assumed.get_frozen_credentials()
    assert frozen.access_key != "key"
    assert frozen.token
    objects = open_objects("s3://shop", aws(address, role_arn=ROLE), "a test")
    bucket(address).put_object(Bucket="shop", Key="a.csv", Body=b"1")
    assert objects.read("a.csv") == b"1"


def test_a_role_that_cannot_be_assumed_is_an_error_without_secrets(address):
    broken = aws(address, role_arn="no role", region_name="us-east-1")
    objects = open_objects("s3://shop", broken, "a test")
    httpx.post(f"{address}/moto-api/reset-auth", content="0").raise_for_status()
    try:
        with pytest.raises(Exception, match=r".") as caught:
            list(objects.list())
    finally:
        httpx.post(f"{address}/moto-api/reset-auth", content="inf").raise_for_status()
    assert trouble(caught.value) is Trouble.DENIED
    assert SECRET not in objects.told(caught.value)


def test_another_way_to_assume_a_role_is_refused():
    given = aws("http://x", role_arn=ROLE, assume_role_method="assume_role_with_saml")
    with pytest.raises(BadRequestError, match="assume_role_with_saml"):
        session_of(given)


def test_without_credentials_the_error_says_what_to_set(monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(AccessDeniedError, match="no AWS credentials found"):
        open_objects("s3://shop", None, "a test")


@pytest.mark.parametrize(
    ("given", "options"),
    [
        (
            Connection("c", "wasb", host="https://acc.blob.core.windows.net", login="acc", password="k"),
            {"account_name": "acc", "account_key": "k"},
        ),
        (Connection("c", "wasb", login="acc", extra={"sas_token": "?t"}), {"account_name": "acc", "sas_key": "t"}),
        (
            Connection(
                "c", "wasb", extra={"connection_string": "AccountName=a;AccountKey=k==;BlobEndpoint=http://h/a"}
            ),
            {"account_name": "a", "account_key": "k==", "endpoint": "http://h/a"},
        ),
        (
            Connection("c", "adls", host="acc", login="app", password="s", extra={"tenant_id": "t"}),
            {"account_name": "acc", "tenant_id": "t", "client_id": "app", "client_secret": "s"},
        ),
        (
            Connection("c", "wasb", host="http://127.0.0.1:10000/acc", login="acc", password="k"),
            {"account_name": "acc", "account_key": "k", "endpoint": "http://127.0.0.1:10000/acc"},
        ),
    ],
)
def test_a_connection_of_azure_becomes_the_stores_options(given, options):
    assert azure_options(given)[0] == options


def test_an_anonymous_connection_of_google_asks_for_no_token():
    given = Connection("c", "google_cloud_platform", extra={"is_anonymous": True, "endpoint_url": "http://h"})
    assert gcs_options(given) == ({"base_url": "http://h", "skip_signature": True}, {"allow_http": True}, None)


def test_a_key_of_google_that_is_none_is_an_error_without_the_key():
    given = Connection("c", "google_cloud_platform", extra={"keyfile_dict": json.dumps({"private_key": SECRET})})
    with pytest.raises(AccessDeniedError, match="no Google credentials") as caught:
        open_objects("gs://shop", given, "a test")
    assert SECRET not in str(caught.value)
