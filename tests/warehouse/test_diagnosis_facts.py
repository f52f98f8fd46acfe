"""The facts of a diagnosis from a real warehouse: the audit tables, and the tables as they are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path

import pytest

from elt_factory.core.failures import WarehouseBusyError
from elt_factory.diagnosis.facts import Facts
from elt_factory.diagnosis.gather import Around, gather
from elt_factory.diagnosis.verdicts import diagnose
from elt_factory.testing.warehouses.loader import day
from elt_factory.warehouse.base import Warehouse

CONFIG = """\
name: src
schedule: "0 0 * * *"
start_date: 2013-01-01
extract: {type: files, folder: inbox}
tables:
  tab: {path: tab_%Y-%m-%d.csv, primary_key: [id], write_disposition: merge, business_date: at}
  other: {path: other.csv, primary_key: [id], write_disposition: replace}
"""


@pytest.fixture
def configs(tmp_path: Path) -> Path:
    folder = tmp_path / "dag_configs"
    folder.mkdir()
    (folder / "src.yaml").write_text(CONFIG)
    return folder


@pytest.fixture
def loads(loader):
    loader.spec = {"write_disposition": "merge", "primary_key": ["id"], "business_date": "at"}
    return loader


def facts_of(warehouse: Warehouse, configs: Path, hours: float = 1) -> dict[str, Facts]:
    """The facts some hours after the third day."""
    around = Around(configs, configs, lambda: nullcontext(warehouse), None)
    now = day(3).end + timedelta(hours=hours)
    return {facts.label: facts for facts in gather(around, now=now)}


def rows(number: int, *hours: int) -> list[dict[str, object]]:
    return [{"id": number * 100 + hour, "at": f"2013-01-{number:02}T{hour:02}:00:00"} for hour in hours]


def test_a_warehouse_that_was_never_loaded(warehouse, configs):
    found = facts_of(warehouse, configs)
    assert [diagnose(facts).code for facts in found.values()] == ["never-loaded"] * 2


def test_the_facts_of_loads_rejects_and_dates(warehouse, loads, configs):
    for number in (1, 2, 3):
        loads.load(rows(number, 1, 2), day(number))
    loads.spec |= {"columns": {"id": {"type": "integer"}}, "rejects": {"max": "90%"}}
    loads.load([*rows(3, 1, 2), {"id": "x", "at": "2013-01-03T09:00:00"}], day(3))
    facts = facts_of(warehouse, configs)["src.tab"]
    assert [load.window for load in facts.loads] == [day(1), day(2), day(3)]
    assert [load.rows_read for load in facts.loads] == [2, 2, 3]
    assert facts.last == facts.loads[-1]
    assert (facts.expected, facts.rows) == (day(3), 6)
    assert f"{facts.business_date:%F %R}" == "2013-01-03 02:00"
    assert [(reject.rows, "integer" in reject.reason) for reject in facts.rejects] == [(1, True)]
    assert diagnose(facts).code == "rejects"


def test_business_dates_come_from_the_table_as_it_is(warehouse, loads, configs):
    """A reload that brings nothing moves none, nor does one whose rows went from the table again."""
    for number in (1, 2, 3):
        loads.load(rows(number, 1, 2), day(number))
    before = facts_of(warehouse, configs)["src.tab"].business_date
    loads.load([], day(3))
    assert facts_of(warehouse, configs)["src.tab"].business_date == before
    d = warehouse.dialect
    warehouse.execute(f"DELETE FROM {loads.target.sql(d)} WHERE {d.name('id')} > 300")
    found = facts_of(warehouse, configs)["src.tab"]
    assert f"{found.business_date:%F %R}" == "2013-01-02 02:00"


def test_a_gap_and_a_load_that_is_overdue(warehouse, loads, configs):
    loads.load(rows(1, 1), day(1))
    loads.load(rows(3, 1), day(3))
    assert diagnose(facts_of(warehouse, configs)["src.tab"]).code == "window-gap"
    verdict = diagnose(facts_of(warehouse, configs, hours=40)["src.tab"])
    assert verdict.code == "overdue"
    assert verdict.also[0].startswith("src.tab has a gap: [2013-01-02T00:00:00Z, 2013-01-03T00:00:00Z)")


def test_a_warehouse_that_cannot_be_opened_is_a_fact(configs):
    @contextmanager
    def locked() -> Iterator[Warehouse]:
        raise WarehouseBusyError("in use for 5 s by process 12")
        yield

    found = gather(Around(configs, configs, locked, None))
    assert [diagnose(facts).code for facts in found] == ["warehouse-locked"] * 2


def test_a_broken_config_is_a_fact_with_its_place(warehouse, configs):
    (configs / "src.yaml").write_text(CONFIG.replace("tables:", "tabels:"))
    (verdict,) = [diagnose(facts) for facts in facts_of(warehouse, configs).values()]
    assert verdict.code == "broken-yaml"
    assert "dag_configs/src.yaml:5:1" in verdict.sentence
