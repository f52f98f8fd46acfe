"""`elt forget` is killed, as by `kill -9`, at moments from its first statement on: the next one completes it."""

import os
import signal
from functools import partial
from pathlib import Path

import pytest

from elt_factory.landing.places import LocalPlace
from elt_factory.testing.warehouses.forgetting import ANN, BAD_ANN, BOB, SPEC, forgotten, traces
from elt_factory.testing.warehouses.loader import Loader, day
from elt_factory.warehouse import forgetting
from elt_factory.warehouse.duckdb.warehouse import DuckDBWarehouse
from forked import Forked

pytestmark = pytest.mark.duckdb

# behind the deletion, the commit of the hashes, a new part, the new manifest, and the removal of the old parts
MOMENTS = (("execute", 'DELETE FROM "src"'), ("_run", "COMMIT"), ("write", ".parquet"), ("exchange", "manifest.json"))


def forget_until(folder: Path, method: str, word: str) -> None:
    """A command that ends itself at a moment."""
    with DuckDBWarehouse(folder / "warehouse.duckdb") as warehouse:
        kind = DuckDBWarehouse if method in ("execute", "_run") else LocalPlace
        real = getattr(kind, method)

        def then_killed(self, said, *more):
            answer = real(self, said, *more)
            if word in said:
                os.kill(os.getpid(), signal.SIGKILL)
            return answer

        setattr(kind, method, then_killed)
        forgotten(Loader(folder / "landing", warehouse, spec=SPEC))


@pytest.mark.timeout(120)
def test_a_command_that_is_killed_is_completed_by_the_next_one_and_counts_each_record_once(tmp_path):
    with DuckDBWarehouse(tmp_path / "warehouse.duckdb") as warehouse:
        loader = Loader(tmp_path / "landing", warehouse, spec=SPEC)
        loader.load([ANN, BOB, BAD_ANN], day(1))
        loader.load([ANN, BOB], day(2))
    processes = Forked("duckdb", "elt_factory.testing.warehouses.forgetting")
    for method, word in MOMENTS:
        process = processes.Process(target=partial(forget_until, tmp_path, method, word))
        process.start()
        process.join(100)
        assert process.exitcode == -signal.SIGKILL, (method, word)
        with DuckDBWarehouse(tmp_path / "warehouse.duckdb") as warehouse:
            loader = Loader(tmp_path / "landing", warehouse, spec=SPEC)
            gone = (42,) not in loader.rows("id")
            assert gone == (word != MOMENTS[0][1]), word
            if gone:
                forgetting.load(warehouse, loader.order(day(2)))
                assert (42,) not in loader.rows("id")
    with DuckDBWarehouse(tmp_path / "warehouse.duckdb") as warehouse:
        loader = Loader(tmp_path / "landing", warehouse, spec=SPEC)
        forgotten(loader)
        assert traces(loader) == []
        assert loader.rows("id") == [(420,)]
        kept = loader.audit("forgotten", "place", "rows_erased")
        assert sorted((place.split()[0], rows) for place, rows in kept if rows) == [
            ("landing", 1),
            ("landing", 2),
            ("rejects", 1),
            ("table", 1),
        ]
