"""What Snowflake bills, attributed to sources: the statements run on tables of the shape of its account's books.

The books are made up, in the columns that Snowflake documents: `snowflake.account_usage` of fakesnow is empty.
"""

import json
import random
from datetime import UTC, date, datetime, timedelta

import pytest
from opening_support import fakesnow_database

from elt_factory.checks.run import Result, keep
from elt_factory.cli.cost import billed
from elt_factory.config.models.budget import Budget
from elt_factory.warehouse.snowflake.credits import METER
from elt_factory.warehouse.spending import Bill, Metered, seconds_of, used

START = datetime(2026, 3, 1, tzinfo=UTC)
END = START + timedelta(days=3)
BOOKS = {
    "query_history": "query_id varchar, query_tag varchar, warehouse_name varchar, start_time timestamp_tz, "
    "total_elapsed_time number(38, 0)",
    "query_attribution_history": "query_id varchar, query_tag varchar, warehouse_name varchar, "
    "start_time timestamp_tz, credits_attributed_compute double",
    "warehouse_metering_history": "warehouse_name varchar, start_time timestamp_tz, credits_used_compute double, "
    "credits_used_cloud_services double, credits_attributed_compute_queries double",
}


def tag(source: str, step: str) -> str:
    return json.dumps({"source": source, "table": "t", "dag": source, "run": "r", "step": step})


TAGS = [
    *(tag(source, step) for source in ("flights", "fleet") for step in ("load", "quality", "wait", "transform")),
    # of an older version, of dbt outside of models, of the page, of people
    json.dumps({"source": "fleet", "table": "t", "dag": "fleet", "run": "r"}),
    json.dumps({"step": "transform"}),
    json.dumps({"source": "", "table": "", "dag": "", "run": "", "page": "sources"}),
    "",
    "not {json",
]


def recorded() -> dict[str, list[tuple]]:
    """Hours of two warehouses of ours and one of others: queries, what each was billed, what the hours were billed."""
    chance, books = random.Random(7), {name: [] for name in BOOKS}
    for hour in range(72):
        for name in ("LOADING", "BIG", "ELSEWHERE"):
            moment, working = START + timedelta(hours=hour), 0.0
            for number in range(chance.randrange(6)):
                query, said = f"{name}-{hour}-{number}", chance.choice(TAGS) if name != "ELSEWHERE" else ""
                at, took = moment + timedelta(minutes=9 * number), chance.randrange(10, 90_000)
                books["query_history"].append((query, said, name, at, took))
                working += (share := took / 3_600_000)
                # queries of less than a tenth of a second are in no book of credits
                if took > 100:
                    books["query_attribution_history"].append((query, said, name, at, share))
            up = max(working, chance.uniform(0, 0.3)) if working else 0.0
            books["warehouse_metering_history"].append((name, moment, up, 0.01 * up, working))
    return books


def sql(value: object) -> str:
    text = str(value).replace("'", "''")
    return str(value) if isinstance(value, (int, float)) else f"'{text}'"


@pytest.fixture(scope="module")
def books():
    return recorded()


@pytest.fixture(scope="module")
def snow(request, fake_snowflake, books, tmp_path_factory):
    with fakesnow_database(request, tmp_path_factory.mktemp("snow")) as connect, connect() as opened:
        for statement in (
            "CREATE DATABASE IF NOT EXISTS snowflake",
            "CREATE SCHEMA IF NOT EXISTS snowflake.account_usage",
        ):
            opened.execute(statement)
        for name, columns in BOOKS.items():
            opened.execute(f"CREATE OR REPLACE TABLE snowflake.account_usage.{name} ({columns})")
            rows = ", ".join(f"({', '.join(map(sql, row))})" for row in books[name])
            opened.execute(f"INSERT INTO snowflake.account_usage.{name} VALUES {rows}")
        yield opened


@pytest.fixture(scope="module")
def bill(snow) -> Bill:
    return METER.bill(snow, START, END)


def ours(books, source: str) -> float:
    return sum(row[4] for row in books["query_attribution_history"] if f'"source": "{source}"' in row[1])


@pytest.mark.parametrize("by", ["source", "step", "day"])
def test_the_parts_of_a_bill_are_what_was_metered_within_two_percent(bill, books, by):
    costs = billed(bill, by, START, END)
    metered = sum(row[2] + row[3] for row in books["warehouse_metering_history"] if row[0] != "ELSEWHERE")
    assert costs.metered == pytest.approx(metered)
    # idle is from one book, queries from another: what lies between them is small, and no remainder hides it
    named = sum(row.credits for row in costs.rows) + sum(
        costs.rest[part] for part in ("other queries", "idle", "cloud services")
    )
    assert named == pytest.approx(metered, rel=0.02)
    assert named + costs.rest["not attributed"] == pytest.approx(metered)
    idle = sum(row[2] - row[4] for row in books["warehouse_metering_history"] if row[0] != "ELSEWHERE")
    assert costs.rest["idle"] == pytest.approx(idle)
    assert idle > 0.1 * metered


def test_credits_are_those_of_the_tag(bill, books):
    rows = {row.name: row for row in billed(bill, "source", START, END).rows}
    assert set(rows) == {"flights", "fleet", "(no source)"}
    for source in ("flights", "fleet"):
        assert rows[source].credits == pytest.approx(ours(books, source))
        assert rows[source].queries == sum(f'"source": "{source}"' in row[1] for row in books["query_history"])
    untagged = sum(row[4] for row in books["query_attribution_history"] if row[2] != "ELSEWHERE" and row[1][:1] != "{")
    assert bill.other_queries == pytest.approx(untagged)


def test_one_source_has_no_share_of_what_is_idle(bill, books):
    costs = billed(bill, "step", START, END, "flights")
    assert {row.name for row in costs.rows} == {"load", "quality", "wait", "transform"}
    assert sum(row.credits for row in costs.rows) == pytest.approx(ours(books, "flights"))
    assert (costs.rest, costs.metered) == ({}, None)


def test_days_are_in_their_order(bill):
    names = [row.name for row in billed(bill, "day", START, END).rows]
    assert names == [str(date(2026, 3, day)) for day in (1, 2, 3)]


def test_what_has_not_arrived_in_one_book_is_said_and_not_called_idle():
    late = Bill((), (Metered("LOADING", compute=10, cloud_services=1, working=8, attributed=5),))
    assert (late.idle, late.not_attributed, late.credits) == (2, 3, 11)


def test_a_budget_of_credits_counts_from_the_begin_of_its_period(snow, books):
    budget = Budget(credits=1)
    assert used(snow, METER, "flights", budget, START) == pytest.approx(ours(books, "flights"))
    last = START + timedelta(days=2)
    expected = sum(row[4] for row in books["query_attribution_history"] if '"flights"' in row[1] and row[3] >= last)
    assert used(snow, METER, "flights", budget, last) == pytest.approx(expected)
    assert used(snow, None, "flights", budget, START) is None


@pytest.mark.parametrize(
    ("per", "zone", "began"),
    [
        ("day", "UTC", "2026-03-15T00:00:00+00:00"),
        ("day", "America/New_York", "2026-03-14T00:00:00-04:00"),
        # the clocks are changed in between: midnight is the one of that day
        ("month", "America/New_York", "2026-03-01T00:00:00-05:00"),
    ],
)
def test_a_period_begins_at_midnight_where_the_schedule_is(per, zone, began):
    now = datetime(2026, 3, 15, 2, tzinfo=UTC)
    assert Budget(seconds=1, per=per).began(now, zone).isoformat() == began


def test_seconds_are_those_of_loads_checks_and_models(loader, warehouse):
    assert seconds_of(warehouse, "src", START) == 0
    loader.land([{"id": 1}])
    warehouse.load(loader.order())
    keep(warehouse, "src", "r", "quality.tab", [Result("check", "tab", "not_null", "error", "passed", 0, "", 2.5)])
    ((started, loaded),) = warehouse.query("SELECT started_at, loaded_at FROM _elt.load_log").rows
    assert seconds_of(warehouse, "src", START) == pytest.approx((loaded - started).total_seconds() + 2.5)
    assert seconds_of(warehouse, "src", datetime.now(UTC) + timedelta(days=1)) == 0
    assert seconds_of(warehouse, "other", START) == 0
