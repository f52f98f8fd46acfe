"""A replay is killed, as by `kill -9`, at moments from its landing to its commit: nothing of it is there, or all."""

import os
import signal
from functools import partial
from pathlib import Path

import pytest
from opening_support import connection_of

from elt_factory.landing.places import LocalPlace
from elt_factory.testing.warehouses.loader import Loader
from elt_factory.testing.warehouses.replays import BY_CURSOR, NARROW, WIDE, replayed, row, states
from elt_factory.warehouse.base import Warehouse
from elt_factory.warehouse.duckdb.warehouse import DuckDBWarehouse
from elt_factory.warehouse.snowflake.warehouse import SnowflakeWarehouse
from forked import Forked

# a word of the statement behind which the process ends
MOMENTS = ("manifest.json", "turn_src_tab", "INSERT INTO src.tab", "load_log", "reject_states", "committed")
# the stand-in keeps the transaction of a client that is gone open for good, and whatever comes next waits for it
OUTSIDE_OF_TRANSACTIONS = ("manifest.json", "committed")


def opened(how: tuple[str, object]) -> Warehouse:
    kind, what = how
    return DuckDBWarehouse(Path(what)) if kind == "duckdb" else SnowflakeWarehouse(connection_of(what))


def replay_until(how: tuple[str, object], base: Path, moment: str) -> None:
    """A replay that ends itself at a moment."""
    with opened(how) as warehouse:
        ended_at(type(warehouse), "execute", moment)
        ended_at(LocalPlace, "write", moment)
        replayed(Loader(base, warehouse, spec={**BY_CURSOR, **WIDE}))
    if moment == "committed":
        os.kill(os.getpid(), signal.SIGKILL)


def ended_at(kind: type, name: str, moment: str) -> None:
    real = getattr(kind, name)

    def then_killed(self, said, *more):
        answer = real(self, said, *more)
        if moment in said.replace('"', "").replace("SRC.TAB", "src.tab").replace("_ELT", "_elt").lower():
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    setattr(kind, name, then_killed)


@pytest.fixture(params=["duckdb", "fakesnow"])
def how(request, tmp_path) -> tuple[str, object]:
    if request.param == "duckdb":
        return "duckdb", str(tmp_path / "warehouse.duckdb")
    return "fakesnow", request.getfixturevalue("fake_snowflake").fields()


@pytest.mark.timeout(300)
def test_a_replay_that_is_killed_has_done_nothing_or_all_and_the_next_one_completes_it(how, tmp_path):
    base = tmp_path / "landing"
    with opened(how) as warehouse:
        loader = Loader(base, warehouse, spec={**BY_CURSOR, **NARROW, "rejects": {"max": "90%"}})
        loader.load([row(1, 1), row(2, "2.5"), row(3, "x"), row(4, "4.5")])
        before = seen(loader)
    processes = Forked("duckdb", "elt_factory.testing.warehouses.replays")
    for moment in MOMENTS if how[0] == "duckdb" else OUTSIDE_OF_TRANSACTIONS:
        work = partial(replay_until, how, base, moment.lower())
        process = processes.Process(target=work)
        process.start()
        process.join(100)
        assert process.exitcode == -signal.SIGKILL, moment
        with opened(how) as warehouse:
            loader = Loader(base, warehouse, spec={**BY_CURSOR, **WIDE})
            after = seen(loader)
            assert (after == before) == (moment != "committed"), moment
    with opened(how) as warehouse:
        loader = Loader(base, warehouse, spec={**BY_CURSOR, **WIDE})
        assert states(loader) == [("healed", 2), ("open", 1)]
        [left] = replayed(loader)
        assert (left.healed, left.open) == (0, 1)
        assert seen(loader) == after
        assert [(int(n), float(v)) for n, v in loader.rows("id", "v")] == [(1, 1.0), (2, 2.5), (4, 4.5)]
        assert loader.audit("loads", "rows_read", "rows_loaded", "rows_rejected") == [(3, 2, 1), (4, 1, 3)]


def seen(loader: Loader) -> tuple[list, list, list]:
    """What users see; a wider type is made before the transaction, and changes no value."""
    rows = [(int(number), float(value)) for number, value in loader.rows("id", "v")]
    loads = loader.audit("loads", "load_id", "rows_read", "rows_loaded")
    return rows, loads, loader.audit("rejects", "record", "state")
