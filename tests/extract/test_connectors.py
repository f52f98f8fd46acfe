"""Connectors of others: what they send is loaded exactly, nothing of them stays. Else: test_connector_mistakes.py."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from connectors_support import (
    PACKAGE,
    airbyte,
    airbyte_record,
    airbyte_state,
    alive,
    asked,
    failure,
    line_of,
    singer,
    singer_record,
    singer_state,
    status,
    until,
    write_wheel,
)

from elt_factory.config.errors import ConfigError
from elt_factory.core.connection import Connection
from elt_factory.core.failures import BadDataError, BadRequestError, EltError, SourceUnavailableError
from elt_factory.core.window import Window
from elt_factory.discover.writing import yaml_of
from elt_factory.extract.label import TableLabel
from elt_factory.importing.airbyte.states import message
from elt_factory.sources.airbyte.discovery import look_at_connector
from elt_factory.sources.connectors.discovery import pinned
from elt_factory.sources.singer.discovery import look_at_tap
from elt_factory.testing.loads import WEEK, Line, source_of
from elt_factory.testing.sources import SourceSuite

pytestmark = pytest.mark.services
NEXT_WEEK = Window(WEEK.end, WEEK.end + timedelta(days=7))
MERGE = {"write_disposition": "merge", "primary_key": ["id"]}
CHANGES = {**MERGE, "sync": "incremental"}
COMPLETE = status("COMPLETE")
KINDS = {"singer": (singer, singer_record), "airbyte": (airbyte, airbyte_record)}


@pytest.fixture(scope="module")
def environments(tmp_path_factory):
    """A folder of environments, in which uv makes that of the tests' connector once."""
    folder = tmp_path_factory.mktemp("connectors")
    write_wheel(folder)
    return folder


@pytest.fixture(autouse=True)
def installed(environments, monkeypatch):
    monkeypatch.setenv("ELT_CONNECTORS", str(environments / "cache"))
    monkeypatch.setenv("UV_FIND_LINKS", str(environments))
    monkeypatch.setenv("UV_NO_INDEX", "1")


@pytest.fixture
def log():
    return []


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


def settings(kind, *steps, ends=True):
    """Settings of a connector of a kind that says these steps, and then that it is done."""
    make, _ = KINDS[kind]
    return make(*steps, *([COMPLETE] if kind == "airbyte" and ends else []))


def record(kind, number, stream="users"):
    return KINDS[kind][1](number, stream)


def ids(line):
    return sorted(row["id"] for row in line.rows())


def test_records_are_loaded_as_they_are_and_texts_of_digits_stay_texts(kind, tmp_path, log):
    line = line_of(kind, tmp_path, settings(kind, *(record(kind, n) for n in range(1, 4))), log)
    report = line.load(WEEK)
    assert (report.rows_read, report.rows_loaded) == (3, 3)
    assert {"id": 1, "zip": "01"} in line.rows()


def test_a_record_that_is_no_json_is_a_reject(kind, tmp_path, log):
    good = [record(kind, number) for number in range(1, 20)]
    bad = json.dumps(record(kind, 20)["say"]).replace('"020"', "NaN")
    line = line_of(kind, tmp_path, settings(kind, *good, {"say": bad}), log)
    report = line.load(WEEK)
    assert (report.rows_read, report.rows_loaded, report.rows_rejected) == (20, 19, 1)


def test_a_connector_that_ends_with_an_error_after_its_records_loads_nothing(kind, tmp_path, log):
    steps = [record(kind, 1), {"err": "Traceback: boom"}, {"exit": 3}]
    line = line_of(kind, tmp_path, settings(kind, *steps, ends=False), log)
    with pytest.raises(SourceUnavailableError, match=r"acme\.users: the \w+ ended with 3: .*boom"):
        line.load(WEEK)


def test_a_stream_that_is_not_there_is_an_error_with_the_near_name(kind, tmp_path, log):
    line = line_of(kind, tmp_path, settings(kind), log, stream="user")
    with pytest.raises(BadRequestError, match='has no stream "user"; hint: did you mean "users"'):
        line.load(WEEK)


def test_nothing_that_a_connector_started_outlives_its_read(tmp_path, log):
    pids = tmp_path / "pids"
    line_of("singer", tmp_path, singer({"fork": str(pids)}, singer_record(1)), log).load(WEEK)
    assert not any(map(alive, pids.read_text().split()))


def test_nothing_of_a_connector_outlives_a_worker_that_is_killed(tmp_path, log):
    pids, folder = tmp_path / "pids", tmp_path / "worker"
    folder.mkdir()
    given = singer({"fork": str(pids)}, singer_record(1), {"sleep": 600})
    code = "import json, sys; from pathlib import Path; from connectors_support import line_of; "
    code += "from elt_factory.testing.loads import WEEK; "
    code += "line_of('singer', Path(sys.argv[1]), json.loads(sys.argv[2]), []).load(WEEK)"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    worker = subprocess.Popen([sys.executable, "-c", code, str(folder), json.dumps(given)], env=environment)
    until(lambda: pids.exists() and len(pids.read_text().split()) == 2)
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    until(lambda: not any(map(alive, pids.read_text().split())))


def test_a_connector_sees_nothing_of_the_workers_environment(kind, tmp_path, log, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", "snowflake://secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    seen = tmp_path / "seen.json"
    line_of(kind, tmp_path, settings(kind, {"environment": str(seen)}, record(kind, 1)), log).load(WEEK)
    assert "secret" not in seen.read_text()


def test_a_secret_that_a_connector_prints_is_not_in_the_log(kind, tmp_path, log):
    steps = [{"say": "my token is hunter2hunter2"}, {"err": "hunter2hunter2"}, record(kind, 1)]
    line_of(kind, tmp_path, settings(kind, *steps), log, extra={"token": "hunter2hunter2"}).load(WEEK)
    assert "hunter2" not in " ".join(log)
    assert "my token is ***" in " ".join(log)


STATES = {"singer": singer_state, "airbyte": airbyte_state}


@pytest.mark.parametrize("kind", STATES)
def test_the_state_is_committed_with_the_rows_and_a_window_again_begins_where_it_began(kind, tmp_path, log):
    told = tmp_path / "asked.json"
    first = line_of(kind, tmp_path, settings(kind, record(kind, 1), STATES[kind]({"id": 1})), log, **CHANGES)
    first.load(WEEK)
    steps = [{"asked": str(told)}, record(kind, 2), STATES[kind]({"id": 2})]
    second = line_of(kind, tmp_path, settings(kind, *steps), log, **CHANGES)
    second.load(NEXT_WEEK)
    begun = asked(told)["state"]
    assert '{"id": 1}' in json.dumps(begun)
    second.load(NEXT_WEEK)
    assert asked(told)["state"] == begun
    assert ids(second) == [1, 2]


@pytest.mark.parametrize("kind", STATES)
def test_a_load_that_fails_leaves_the_state_as_it_was(kind, tmp_path, log):
    told = tmp_path / "asked.json"
    line_of(kind, tmp_path, settings(kind, record(kind, 1), STATES[kind]({"id": 1})), log, **CHANGES).load(WEEK)
    failing = settings(kind, record(kind, 2), STATES[kind]({"id": 2}), {"exit": 1}, ends=False)
    with pytest.raises(SourceUnavailableError):
        line_of(kind, tmp_path, failing, log, **CHANGES).load(NEXT_WEEK)
    again = settings(kind, {"asked": str(told)}, record(kind, 2), STATES[kind]({"id": 2}))
    line_of(kind, tmp_path, again, log, **CHANGES).load(NEXT_WEEK)
    assert '{"id": 1}' in json.dumps(asked(told)["state"])


def test_a_first_load_begins_with_the_state_that_the_config_has_and_the_next_one_does_not(tmp_path, log):
    told = tmp_path / "asked.json"
    begins = {**CHANGES, "initial_state": {"bookmarks": {"users": {"id": 7}}}}
    steps = [{"asked": str(told)}, singer_record(8), singer_state({"id": 8})]
    line = line_of("singer", tmp_path, singer(*steps), log, **begins)
    line.load(WEEK)
    assert asked(told)["state"] == begins["initial_state"]
    line.load(NEXT_WEEK)
    assert asked(told)["state"] == {"id": 8}


def test_a_first_load_of_a_source_begins_with_the_state_that_an_import_has_written(tmp_path, log):
    told = tmp_path / "asked.json"
    begins = {**CHANGES, "initial_state": message("users", None, {"id": 7})}
    steps = [{"asked": str(told)}, airbyte_record(8), COMPLETE]
    line_of("airbyte", tmp_path, airbyte(*steps), log, **begins).load(WEEK)
    assert asked(told)["state"] == begins["initial_state"]


def test_a_state_to_begin_with_is_of_a_read_by_changes(tmp_path, log):
    with pytest.raises(ConfigError, match="initial_state needs sync: incremental"):
        line_of("singer", tmp_path, singer(), log, initial_state={"a": 1})


def test_a_package_may_be_a_tag_of_a_repository(tmp_path):
    package = "tap-x @ git+https://github.com/acme/tap-x.git@v1"
    config = {"name": "acme", "extract": {"type": "singer", "package": package}}
    table = {"tables": {"users": {"write_disposition": "replace"}}}
    assert source_of({**config, **table}, tmp_path).extract.package_name == "tap-x"
    config["extract"]["package"] = "tap-x @ git+https://user:secret@github.com/acme/tap-x.git@v1"
    with pytest.raises(ConfigError, match="is not one version of a package"):
        source_of({**config, **table}, tmp_path)


def test_a_full_refresh_gives_no_state(tmp_path, log):
    told = tmp_path / "asked.json"
    line_of("singer", tmp_path, singer(singer_record(1), singer_state({"id": 1})), log, **CHANGES).load(WEEK)
    line = line_of("singer", tmp_path, singer({"asked": str(told)}, singer_record(2)), log, **CHANGES)
    line.load(NEXT_WEEK, full_refresh=True)
    assert asked(told)["state"] is None


def test_a_state_with_a_secret_in_it_is_refused(tmp_path, log):
    given = singer(singer_record(1), singer_state({"refresh": "hunter2hunter2"}))
    line = line_of("singer", tmp_path, given, log, extra={"token": "hunter2hunter2"}, **CHANGES)
    with pytest.raises(BadDataError, match="state has a secret in it"):
        line.load(WEEK)


def test_a_tap_is_asked_for_one_stream_by_its_changes(tmp_path, log):
    told = tmp_path / "asked.json"
    given = singer({"asked": str(told)}, singer_record(1))
    line_of("singer", tmp_path, given, log, replication_key="updated_at", **CHANGES).load(WEEK)
    users, orders = asked(told)["catalog"]["streams"]
    root = users["metadata"][0]["metadata"]
    assert (root["selected"], root["replication-method"], root["replication-key"]) == (
        True,
        "INCREMENTAL",
        "updated_at",
    )
    assert orders["metadata"][0]["metadata"]["selected"] is False


def test_a_tap_that_keeps_its_state_by_no_property_is_asked_as_it_says_itself(tmp_path, log):
    told = tmp_path / "asked.json"
    given = singer({"asked": str(told)}, singer_record(1), singer_state({"files": {"a": 1}}))
    given["streams"][0]["replication_method"] = "FULL_TABLE"
    line_of("singer", tmp_path, given, log, **CHANGES).load(WEEK)
    assert asked(told)["catalog"]["streams"][0]["metadata"][0]["metadata"]["replication-method"] == "FULL_TABLE"


def test_a_tap_without_a_catalog_is_run_without_one(tmp_path, log):
    given = singer(singer_record(1), discovery=[{"exit": 2}])
    line = line_of("singer", tmp_path, given, log, catalog="none")
    assert line.load(WEEK).rows_loaded == 1


def test_a_tap_that_does_not_speak_of_the_stream_is_an_error(tmp_path, log):
    given = {**singer(), "steps": [{"say": "hello"}]}
    with pytest.raises(BadDataError, match='ended without a word about the stream "users"'):
        line_of("singer", tmp_path, given, log).load(WEEK)


def test_a_stream_without_records_is_no_error(kind, tmp_path, log):
    line = line_of(kind, tmp_path, settings(kind), log)
    assert line.load(WEEK).rows_read == 0


def test_a_schema_that_changes_midway_rejects_nothing(tmp_path, log):
    other = {"type": "SCHEMA", "stream": "users", "schema": {"properties": {"zip": {"type": "integer"}}}}
    late = {"say": {"type": "RECORD", "stream": "users", "record": {"id": 2, "zip": 77}}}
    line = line_of("singer", tmp_path, singer(singer_record(1), {"say": other}, late), log)
    assert line.load(WEEK).rows_loaded == 2


@pytest.mark.parametrize(
    ("steps", "error", "text"),
    [
        ([airbyte_record(1), status("INCOMPLETE")], SourceUnavailableError, "before its stream was complete"),
        ([airbyte_record(1)], SourceUnavailableError, r"before its stream was complete \(STARTED\)"),
        (
            [airbyte_record(1), airbyte_state({}, 5), COMPLETE],
            SourceUnavailableError,
            "announced 5 records, and sent 1",
        ),
        ([failure("quota exceeded", "transient_error"), {"exit": 1}], SourceUnavailableError, "quota exceeded"),
        ([failure("wrong key", "config_error"), {"exit": 1}], BadRequestError, "wrong key"),
        ([failure("half of it", "system_error"), COMPLETE], SourceUnavailableError, "half of it"),
    ],
)
def test_a_source_that_is_not_done_is_an_error_although_it_sent_records(steps, error, text, tmp_path, log):
    with pytest.raises(error, match=text):
        line_of("airbyte", tmp_path, airbyte(*steps), log).load(WEEK)


def test_settings_are_held_to_the_connectors_specification(tmp_path, log):
    given = {**airbyte(COMPLETE), "count": "many", "token": "hunter2hunter2"}
    with pytest.raises(BadRequestError, match=r"refuses its settings: count: it is not as type says") as raised:
        line_of("airbyte", tmp_path, given, log).load(WEEK)
    assert "hunter2" not in str(raised.value)


def test_a_stream_without_changes_cannot_be_read_by_them(tmp_path, log):
    line = line_of("airbyte", tmp_path, airbyte(COMPLETE, modes=("full_refresh",)), log, **CHANGES)
    with pytest.raises(BadRequestError, match="cannot be read by its changes; hint: write sync: full"):
        line.load(WEEK)


def test_a_source_that_speaks_another_version_of_the_protocol_is_one_clear_error(tmp_path, log):
    line = line_of("airbyte", tmp_path, airbyte(COMPLETE), log)
    for command, said in (
        ("source-newer", r"speaks version 1\.0\.0 of Airbyte's protocol"),
        ("tap-acme", "protocol|1"),
    ):
        extract = line.source.extract.model_copy(update={"executable": command})
        with pytest.raises((BadRequestError, BadDataError, SourceUnavailableError), match=said):
            replace(line, source=line.source.model_copy(update={"extract": extract})).load(WEEK)


def test_records_of_a_source_that_change_midway_are_all_there(tmp_path, log):
    late = {
        "type": "RECORD",
        "record": {"stream": "users", "data": {"id": 2, "zip": 77, "new": {"a": 1}}, "emitted_at": 1},
    }
    line = line_of("airbyte", tmp_path, airbyte(airbyte_record(1), {"say": late}, COMPLETE), log)
    assert line.load(WEEK).rows_loaded == 2
    assert sorted(row["zip"] for row in line.rows()) == ["01", "77"]
    assert [json.loads(row["new"]) for row in line.rows() if row["new"]] == [{"a": 1}]


def test_a_connector_that_cannot_be_installed_says_why(tmp_path, log):
    config = {
        "name": "acme",
        "extract": {"type": "singer", "package": "no-such-tap==9.9"},
        "tables": {"users": {"write_disposition": "replace"}},
    }
    with pytest.raises(BadRequestError, match=r"cannot install the connector: .*no-such-tap"):
        Line(source_of(config, tmp_path), None, tmp_path, log.append).load(WEEK)


def test_a_command_that_the_package_does_not_have_is_an_error_with_the_near_one(tmp_path, log):
    line = line_of("singer", tmp_path, singer(), log)
    extract = line.source.extract.model_copy(update={"executable": "tap-acne"})
    line = replace(line, source=line.source.model_copy(update={"extract": extract}))
    with pytest.raises(BadRequestError, match=r'no command "tap-acne"; hint: write executable: with one of tap-acme'):
        line.load(WEEK)


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ({"write_disposition": "append"}, "every load would append the whole stream again"),
        ({"write_disposition": "append", "sync": "incremental"}, "may send rows again"),
        ({"write_disposition": "replace", "sync": "incremental"}, "leave only what has changed"),
    ],
)
def test_a_table_that_would_double_or_lose_rows_is_refused(table, text, tmp_path):
    config = {"name": "acme", "extract": {"type": "singer", "package": PACKAGE}, "tables": {"users": table}}
    with pytest.raises(ConfigError, match=text):
        source_of(config, tmp_path)


def made_by_new(found, tmp_path):
    source = source_of(yaml.safe_load(yaml_of("acme", found, {})), tmp_path)
    return {name: (spec.sync, spec.write_disposition, spec.primary_key) for name, spec in source.tables.items()}


def test_a_look_at_a_tap_finds_its_streams_and_their_keys(tmp_path):
    connection = Connection("acme", "generic", extra=singer())
    found = look_at_tap("acme", PACKAGE, connection, folder_in(tmp_path), lambda _: None)
    assert made_by_new(found, tmp_path) == {
        "users": ("full", "replace", ("id",)),
        "orders": ("full", "replace", ()),
    }


def test_a_look_at_a_source_finds_which_streams_send_changes(tmp_path):
    connection = Connection("acme", "generic", extra=airbyte())
    stream = {**airbyte()["streams"][0], "source_defined_primary_key": [["id"]], "source_defined_cursor": True}
    connection.extra["streams"] = [stream, {**stream, "name": "Big Orders", "supported_sync_modes": ["full_refresh"]}]
    found = look_at_connector("acme", PACKAGE, connection, (tmp_path, folder_in(tmp_path)), lambda _: None)
    assert made_by_new(found, tmp_path) == {
        "users": ("incremental", "merge", ("id",)),
        "big_orders": ("full", "replace", ("id",)),
    }


def test_a_config_of_what_a_connector_describes_speaks_of_no_sample(tmp_path):
    found = look_at_tap(
        "acme", PACKAGE, Connection("acme", "generic", extra=singer()), folder_in(tmp_path), lambda _: None
    )
    text = yaml_of("acme", found, {})
    assert "from what the source says of its tables" in text
    assert "no record was read" in text
    assert "sample" not in text
    assert [table.rows for table in found.tables] == [None, None]


@pytest.mark.parametrize("look", [look_at_tap, look_at_connector])
def test_a_connector_that_needs_settings_and_was_given_none_is_an_error_that_says_where_they_are_put(look, tmp_path):
    folder = folder_in(tmp_path)
    with pytest.raises(EltError, match=r"it was given no settings: .* by --connection of elt new"):
        look("acme", PACKAGE, None, folder if look is look_at_tap else (tmp_path, folder), lambda _: None)


def test_a_package_without_a_version_gets_the_newest(tmp_path):
    assert pinned("acme-connector", TableLabel("acme", "streams")) == PACKAGE


def test_a_package_that_is_not_there_is_an_error_with_the_near_name(tmp_path):
    with pytest.raises(BadRequestError, match=r'no package airbyte-source-fakr .* did you mean "airbyte-source-faker"'):
        pinned("airbyte-source-fakr", TableLabel("acme", "streams"))


def folder_in(tmp_path):
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


class TestSingerAsAKind(SourceSuite):
    """What every kind of source must do."""

    config = {
        "name": "acme",
        "extract": {"type": "singer", "package": PACKAGE, "executable": "tap-acme", "connection": "acme"},
        "tables": {"users": {"write_disposition": "replace"}},
    }
    rows = [{"id": number, "zip": f"0{number}"} for number in range(1, 4)]

    def connection(self, folder):
        return Connection("acme", "generic", extra=singer(*map(singer_record, range(1, 4))))

    def broken(self, folder):
        steps = [{"err": "hunter2hunter2"}, {"exit": 1}]
        return Connection("acme", "generic", password="hunter2hunter2", extra=singer(*steps))


class TestAirbyteAsAKind(SourceSuite):
    """What every kind of source must do."""

    config = {
        "name": "acme",
        "extract": {"type": "airbyte", "package": PACKAGE, "executable": "source-acme", "connection": "acme"},
        "tables": {"users": {"write_disposition": "replace"}},
    }
    rows = TestSingerAsAKind.rows

    def connection(self, folder):
        return Connection("acme", "generic", extra=airbyte(*map(airbyte_record, range(1, 4)), COMPLETE))

    def broken(self, folder):
        steps = [failure("hunter2hunter2", "config_error"), {"exit": 1}]
        return Connection("acme", "generic", password="hunter2hunter2", extra=airbyte(*steps))
