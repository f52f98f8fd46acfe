"""Snowflake reads a landing in object storage by itself. No test server can do that: what is sent is held here."""

from dataclasses import replace

import pytest
import sqlglot
from obstore.store import MemoryStore
from opening_support import connection_of
from sqlglot import exp

from elt_factory.core.failures import AccessDeniedError, AccountingError
from elt_factory.landing.places import LocalPlace
from elt_factory.landing.remote import RemotePlace
from elt_factory.storage.objects import Objects
from elt_factory.testing.warehouses.loader import Loader, day
from elt_factory.warehouse.base import Rows
from elt_factory.warehouse.recording import is_lookup
from elt_factory.warehouse.snowflake.stage import external_stage, external_url
from elt_factory.warehouse.snowflake.warehouse import SnowflakeWarehouse

RECORDS = [{"id": 1}, {"id": 2}, "no record"]


class Recorded(SnowflakeWarehouse):
    """The warehouse of the test, but for what only Snowflake can do: these statements are kept."""

    def _connect(self):
        super()._connect()
        self.sent, self.counted = [], 2

    def _run(self, statement):
        self.sent.append(statement)
        return super()._run("SELECT 1" if " URL = " in statement else statement)

    def query(self, statement):
        if not statement.startswith("COPY"):
            return super().query(statement)
        self.sent.append(statement)
        file, rows = ("rejects.parquet", 1) if "rejects" in statement else ("part-0.parquet", self.counted)
        return Rows(("file", "status", "rows_loaded"), [(f"s3://lake/elt/x/{file}", "LOADED", rows)])


@pytest.fixture
def warehouse(fake_snowflake):
    given = connection_of(fake_snowflake.fields())
    with Recorded(replace(given, extra={**given.extra, "landing_integration": "lake_reader"})) as opened:
        opened.prepare()
        yield opened


@pytest.fixture
def order(warehouse, tmp_path):
    loader = Loader(tmp_path, warehouse)
    loader.land(RECORDS)
    here = loader.place(day(1))
    place = RemotePlace(Objects("s3://lake/elt", "elt", MemoryStore()), "src/tab/L1")
    for name in here.files():
        place.write(name, here.read(name))
    return replace(loader.order(), landing=place)


def test_a_landing_in_object_storage_is_copied_from_where_it_is(warehouse, order):
    warehouse.sent.clear()
    with warehouse.stage(order) as staged:
        assert (staged.row_count, staged.reject_count) == (2, 1)
    stage = external_stage(order.landing, warehouse._given).relation.name.upper()
    attempt = order.manifest.attempt
    assert [text for text in warehouse.sent if text.startswith(("PUT", "REMOVE"))] == []
    first = next(text for text in warehouse.sent if not is_lookup(text))
    assert first == (
        f'CREATE STAGE IF NOT EXISTS "_ELT"."{stage}" URL = \'s3://lake/elt/\' STORAGE_INTEGRATION = "LAKE_READER"'
    )
    rows, rejects = (text for text in warehouse.sent if text.startswith("COPY"))
    assert f' FROM @"_ELT"."{stage}"/src/tab/L1/{attempt}/data/' in rows
    assert f' FROM @"_ELT"."{stage}"/src/tab/L1/{attempt}/rejects.parquet ' in rejects
    assert f"{attempt}/manifest.json" in order.landing.files()


def test_a_count_that_is_not_the_manifests_is_an_error_there_too(warehouse, order):
    warehouse.counted = 1
    with pytest.raises(AccountingError, match=r"holds 2 rows in .*part-0.parquet, but the warehouse counts 1"):
        warehouse.load(order)


def test_where_the_stage_may_not_be_made_the_statements_for_an_administrator_are_said(warehouse, order, monkeypatch):
    real = Recorded._run

    def run(self, statement):
        if "STAGE" in statement and statement.startswith(("CREATE", "DESCRIBE")):
            raise AccessDeniedError("no right to")
        return real(self, statement)

    monkeypatch.setattr(Recorded, "_run", run)
    with pytest.raises(AccessDeniedError) as caught:
        warehouse.load(order)
    outside = external_stage(order.landing, warehouse._given)
    assert f"{outside.create}; GRANT USAGE ON STAGE {outside.relation.sql(warehouse.dialect)} TO ROLE" in str(
        caught.value
    )


def test_the_stage_parses_as_snowflake(warehouse, order):
    parsed = sqlglot.parse_one(external_stage(order.landing, warehouse._given).create, dialect="snowflake")
    assert isinstance(parsed, exp.Create)
    assert parsed.kind == "STAGE"


def test_another_root_has_another_stage_and_without_an_integration_or_a_url_there_is_none(warehouse, order, tmp_path):
    given, place = warehouse._given, order.landing
    other = external_stage(replace(place, objects=replace(place.objects, url="s3://lake/other")), given)
    assert other.relation != external_stage(place, given).relation
    assert external_stage(place, replace(given, extra={})) is None
    assert external_stage(LocalPlace(tmp_path), given) is None
    assert external_stage(replace(place, objects=replace(place.objects, url="az://container/x")), given) is None


@pytest.mark.parametrize(
    ("root", "url"),
    [
        ("s3://bucket/elt", "s3://bucket/elt/"),
        ("gs://bucket", "gcs://bucket/"),
        ("abfss://box@acc.dfs.core.windows.net/elt", "azure://acc.blob.core.windows.net/box/elt/"),
        ("abfs://box@acc.dfs.core.windows.net", "azure://acc.blob.core.windows.net/box/"),
        ("az://box/elt", None),
    ],
)
def test_the_url_is_written_as_snowflake_does(root, url):
    assert external_url(root) == url
