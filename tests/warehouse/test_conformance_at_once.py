"""The suite `at_once`, on every warehouse of conftest.py."""

from datetime import timedelta

from elt_factory.testing.warehouses.at_once import AtOnceSuite
from elt_factory.testing.warehouses.loader import day


class TestAtOnce(AtOnceSuite):
    """On DuckDB, fakesnow and, where an account is given, Snowflake."""


def test_a_load_that_has_waited_for_its_turn_is_loaded_when_it_had_it(loader, monkeypatch):
    """Rows that another load has committed meanwhile are older: who reads what is newer than those finds these too."""
    loader.land([{"id": 1}], day(1))
    warehouse, shown = loader.warehouse, [loader.warehouse.now()]
    execute = warehouse.execute

    def waited(statement: str) -> int:
        if "turn_" in statement.lower() and statement.startswith("UPDATE"):
            shown.append(shown[0] + timedelta(minutes=5))
        return execute(statement)

    monkeypatch.setattr(warehouse, "now", lambda: shown[-1])
    monkeypatch.setattr(warehouse, "execute", waited)
    warehouse.load(loader.order(day(1)))
    assert len(shown) == 2
    assert loader.rows("_loaded_at") == [(shown[1],)]
    assert loader.audit("loads", "loaded_at") == [(shown[1],)]
