"""January loaded in any order, some days again, is the same table, value for value."""

import random

import pytest

from elt_factory.testing.warehouses.loader import MERGE_BY_CURSOR, Loader, day
from elt_factory.warehouse.duckdb.warehouse import DuckDBWarehouse

pytestmark = pytest.mark.duckdb

COLUMNS = {"id": {"type": "integer"}, "amount": {"type": "decimal(9,2)"}, "u": {"type": "timestamp"}}
JANUARY = list(range(1, 32))
SHUFFLED = random.Random(2013).sample(JANUARY, 31)
ORDERS = {"backwards": JANUARY[::-1], "shuffled, some again": [*SHUFFLED, *SHUFFLED[:5]]}


def changed_on(number: int) -> list[dict[str, object]]:
    """Orders that are new on a day, and older ones that were changed on it."""
    ids = {2 * number, 2 * number + 1, 2 * (number - 3), 2 * (number // 2)}
    return [
        {"id": one, "amount": f"{number}.{one % 100:02}", "u": f"2013-01-{number:02}T{one % 24:02}:30:00Z"}
        for one in sorted(ids)
        if one > 0
    ]


@pytest.mark.parametrize("how", [MERGE_BY_CURSOR, {"write_disposition": "append"}], ids=["merge", "append"])
def test_january_in_any_order_is_one_table(tmp_path, how):
    with DuckDBWarehouse(tmp_path / "w.duckdb", log=lambda _: None) as warehouse:
        found = {}
        for name, order in {"in_order": JANUARY, **ORDERS}.items():
            loader = Loader(tmp_path / name, warehouse, name="orders", spec=how | {"columns": COLUMNS})
            for number in order:
                loader.load(changed_on(number), day(number), run_id=f"day {number}")
            found[name] = loader.rows("id", "amount", "u", "_load_id")
            # the account too says the same of each window
            account = (
                "select load_id, window_start, window_end, cursor_value, write_disposition from _elt.loads order by all"
            )
            found[name] += warehouse.query(account).rows
            warehouse.execute(f"DROP TABLE {loader.target.sql(warehouse.dialect)}")
            warehouse.execute("DROP SCHEMA _elt CASCADE")
            warehouse._prepared = False
    assert len(found["in_order"]) > 60
    for name in ORDERS:
        assert found[name] == found["in_order"], name
