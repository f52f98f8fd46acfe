"""Where the runs of imported configs begin: no row that the old tool has not read is left between two of them."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from importing_support import first_moment

from elt_factory.importing import sling
from elt_factory.importing.airbyte import connections
from elt_factory.importing.airbyte.said import ConnectionSaid, SourceSaid, StreamSaid
from elt_factory.importing.airbyte.states import states_in
from elt_factory.importing.beginning import before_the_run, begin, day_of
from elt_factory.testing.loads import source_of

SHOP = SourceSaid("shop", "source-postgres", id="s-1")
NINE = {"cron_expression": "0 0 9 * * ?"}


def pin(package, version):
    return f"{package}=={version or '9.9'}"


def streams(*names):
    return [StreamSaid(one, "public", "incremental", "append_dedup", ("at",), key=(("id",),)) for one in names]


def state(**cursors):
    about = [
        {"streamDescriptor": {"name": one, "namespace": "public"}, "streamState": {"cursor": value}}
        for one, value in cursors.items()
    ]
    return {"stateType": "stream", "streamState": about}


def imported(*tables, schedule=None, **cursors):
    said = ConnectionSaid("shop", SHOP, streams(*tables), schedule, state=state(**cursors))
    (found,) = connections.imported([said], {}, pin)
    assert set(found.config["tables"]) == set(tables)
    return found


@pytest.mark.parametrize("cron", ["0 3 * * *", "*/15 * * * *", "0 9 * * 1", "0 0 1 * *", "30 2 * * *"])
@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/New_York", "Europe/Rome"])
@pytest.mark.parametrize("day", ["2024-01-05", "2024-03-11", "2024-03-31", "2024-11-04"])
def test_the_first_run_begins_at_the_day_of_the_cursor_or_before(tmp_path, cron, zone, day):
    tables = {"orders": {"write_disposition": "append", "incremental": {"cursor": "at", "initial": day}}}
    config = {"name": "shop", "schedule": cron, "timezone": zone, "extract": {"type": "sql", "connection": "a"}}
    config["tables"] = tables
    assert begin(config)
    first = first_moment(source_of(config, tmp_path))
    midnight = datetime.fromisoformat(day).replace(tzinfo=UTC)
    assert midnight - timedelta(days=33) < first <= midnight


@pytest.mark.parametrize(
    ("value", "day"),
    [
        ("2024-01-05T01:00:00+09:00", "2024-01-04"),
        ("2024-01-05 01:00:00 +0900", "2024-01-04"),
        ("2024-01-04 23:00:00 UTC", "2024-01-04"),
        ("0001-01-01T00:00:00+09:00", "0001-01-01"),
        ("2024-13-45", None),
        ("abc", None),
        (5, None),
    ],
)
def test_the_day_of_a_value_is_the_one_in_utc(value, day):
    assert day_of(value) == day


def test_a_time_that_the_clocks_leave_out_is_not_taken_for_a_run():
    assert before_the_run("2024-03-31", "30 2 31 3,12 *", "Europe/Rome") == "2023-12-31"


def test_the_clock_of_a_schedule_is_not_that_of_the_cursors():
    found = imported("orders", schedule={**NINE, "cron_time_zone": "Asia/Tokyo"}, orders="2024-05-02T01:00:00")
    assert found.config["timezone"] == "Asia/Tokyo"
    made = found.config["tables"]["orders"]["incremental"]
    assert made == {"cursor": "at", "timezone": "UTC", "initial": "2024-05-02"}
    assert "is taken for UTC" in found.notes["orders"][0]
    # nine o'clock in Tokyo is midnight in UTC
    assert found.config["start_date"] == "2024-05-02"


def test_a_table_without_a_state_does_not_hold_back_one_that_is_older_than_every_import():
    found = imported("orders", "events", schedule=NINE, orders="2020-05-01T00:00:00")
    assert found.config["start_date"] == "2020-04-30"
    assert "runs begin with start_date" in found.notes["events"][0]


def test_runs_of_the_past_are_made_for_times_alone():
    found = imported("orders", "events", schedule=NINE, orders="41")
    assert "catchup" not in found.config
    assert found.config["start_date"] == "2024-01-01"
    assert "write catchup: true, or run elt backfill" in found.notes["events"][0]


def test_a_connection_that_ran_by_hand_gets_a_schedule_where_it_continues():
    found = imported("orders", orders="2024-05-01T00:00:00")
    assert (found.config["schedule"], found.config["catchup"]) == ("0 3 * * *", True)
    assert "it had none" in found.notes["schedule"][0]
    assert "schedule" not in imported("orders").config


def test_a_state_that_may_be_of_several_connections_is_of_none():
    both = [ConnectionSaid(one, SourceSaid(one, "source-postgres", id=one), streams("orders")) for one in ("a", "b")]
    for found in connections.imported(both, {"": state(orders="2024-05-01")}, pin):
        assert "initial" not in found.config["tables"]["orders"]["incremental"]
        assert "does not say of which connection" in found.left_out[f"{found.config['name']}: state"]
    (found,) = connections.imported(both[:1], {"": state(orders="2024-05-01")}, pin)
    assert "initial" in found.config["tables"]["orders"]["incremental"]


def test_rows_of_pyairbytes_states_are_of_their_sources(tmp_path):
    rows = [
        {
            "source_name": f"source-{one}",
            "stream_name": "orders",
            "state_json": json.dumps(
                {"stream": {"stream_descriptor": {"name": "orders"}, "stream_state": {"at": one}}}
            ),
        }
        for one in ("github", "faker")
    ]
    (tmp_path / "state.json").write_text(json.dumps(rows))
    stream = StreamSaid("orders", reads="incremental", key=(("id",),))
    said = [ConnectionSaid(one, SourceSaid(one, f"source-{one}"), [stream]) for one in ("github", "faker")]
    for found in connections.imported(said, states_in(tmp_path / "state.json"), pin):
        (kept,) = found.config["tables"]["orders"]["initial_state"]
        assert kept["stream"]["stream_state"] == {"at": found.config["name"]}


def test_two_sources_of_one_name_are_read_with_connections_of_their_own():
    other = SourceSaid("shop", "source-postgres", id="s-2")
    said = [ConnectionSaid(str(number), one, streams("orders")) for number, one in enumerate((SHOP, other, SHOP))]
    found = connections.imported(said, {}, pin)
    assert [one.config["extract"]["connection"] for one in found] == ["shop", "shop_2", "shop"]
    assert len({one.config["name"] for one in found}) == 3
    secret = [SourceSaid("hub", "source-github", settings={"token": "a"}, id=one) for one in "ab"]
    found = connections.imported([ConnectionSaid("x", one, streams("orders")) for one in secret], {}, pin)
    assert [one.config["extract"]["connection"] for one in found] == ["hub_connector", "hub_2_connector"]


def test_a_replication_begins_before_the_run_that_would_leave_rows_out(tmp_path):
    file = tmp_path / "replication.yaml"
    file.write_text("source: A\ntarget: B\nstreams: {orders: {mode: incremental, update_key: at, primary_key: id}}\n")
    (found,) = sling.imported(file, "2024-01-05T01:00:00+09:00")
    assert (found.config["start_date"], found.config["catchup"]) == ("2024-01-03", True)
    assert found.config["tables"]["orders"]["incremental"]["initial"] == "2024-01-04"
    (found,) = sling.imported(file, "41")
    assert "catchup" not in found.config
