"""A DuckDB file that is compacted holds what it held, and nothing of what was erased."""

import duckdb
import pytest

from elt_factory.core.failures import AccountingError
from elt_factory.testing.warehouses.forgetting import ANN, BAD_ANN, BOB, EMAIL, KEY, SPEC, forgotten
from elt_factory.testing.warehouses.loader import Loader, day, everything
from elt_factory.warehouse.duckdb import compacting
from elt_factory.warehouse.duckdb.warehouse import DuckDBWarehouse

pytestmark = pytest.mark.duckdb


@pytest.fixture
def file(tmp_path):
    return tmp_path / "warehouse.duckdb"


def test_all_rows_views_and_the_account_are_there_and_the_space_of_deleted_rows_is_not(file, tmp_path):
    with DuckDBWarehouse(file) as warehouse:
        loader = Loader(tmp_path / "landing", warehouse, spec=SPEC)
        loader.load([{"id": number, "n": number, "v": f"{number:0200}"} for number in range(20_000)])
        warehouse.execute("CREATE VIEW src.seen AS SELECT id FROM src.tab")
        warehouse.execute("DELETE FROM src.tab WHERE id > 9")
        # what a killed one left
        file.with_name("warehouse.duckdb.compacting").write_bytes(b"x")
        before = everything(warehouse, loader.target)
        assert "not worth" in warehouse.compact(force=False)
        said = warehouse.compact(force=True)
        assert everything(warehouse, loader.target) == before
        assert warehouse.query("SELECT count(*) FROM src.seen").rows == [(10,)]
        assert loader.load([{"id": 1, "n": 2}], day(2)).total_rows == 10
    sizes = [int(word.replace(",", "")) for word in said.split() if word[0].isdigit()]
    assert sizes[1] < sizes[0]
    assert not file.with_name("warehouse.duckdb.compacting").exists()


def test_a_copy_that_lacks_rows_does_not_take_the_place_of_the_file(file, tmp_path, monkeypatch):
    counts = iter([{("src", "tab"): 1}, {("src", "tab"): 2}])
    monkeypatch.setattr(compacting, "_counts", lambda *_: next(counts))
    with DuckDBWarehouse(file) as warehouse:
        warehouse.execute("CREATE TABLE kept AS SELECT 1 AS id")
        with pytest.raises(AccountingError, match="nothing was changed"):
            warehouse.compact(force=True)
        assert warehouse.query("SELECT id FROM kept").rows == [(1,)]
    assert not file.with_name("warehouse.duckdb.compacting").exists()
    with duckdb.connect(str(file)) as opened:
        assert opened.execute("SELECT id FROM kept").fetchall() == [(1,)]


def test_no_file_has_anything_of_a_person_who_was_forgotten_once_it_is_compacted(file, tmp_path):
    with DuckDBWarehouse(file) as warehouse:
        loader = Loader(tmp_path / "landing", warehouse, spec=SPEC)
        loader.load([ANN, BOB, BAD_ANN])
    copy = file.with_name("warehouse.duckdb.audit")
    assert b"ann@example.org" in copy.read_bytes()
    with DuckDBWarehouse(file) as warehouse:
        loader = Loader(tmp_path / "landing", warehouse, spec=SPEC)
        forgotten(loader, KEY, EMAIL)
        warehouse.compact(force=True)
    found = [path for path in tmp_path.rglob("*") if path.is_file() and b"ann@example.org" in path.read_bytes()]
    assert [path.name for path in found] == ["records.ndjson"]  # the source's own
