"""Every built-in kind of sensor passes the suite that comes with ELT Factory, and what is special about each."""

import sqlite3
import sys
from collections.abc import Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import ClassVar

import pytest

from elt_factory.checks.run import Result, keep
from elt_factory.core.connection import Connection
from elt_factory.core.failures import EltError, PermanentError, TransientError
from elt_factory.testing.sensors import SensorSuite
from elt_factory.warehouse import audit


class Server(ThreadingHTTPServer):
    """Answers every GET as it is told to."""

    status, headers, body = 503, {}, b""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(self.server.status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving():
    served = Server()
    Thread(target=served.serve_forever, daemon=True).start()
    try:
        yield served
    finally:
        served.shutdown()
        served.server_close()


class TestHttp(SensorSuite):
    sensor: ClassVar = {
        "http": {"connection": "api", "path": "/e", "status": 202, "header": {"X-State": "done"}, "json": {"a.n": 3}}
    }

    @pytest.fixture(autouse=True)
    def server(self, _given):
        with serving() as self.served:
            yield

    def connections(self) -> Mapping[str, Connection]:
        return {"api": Connection("api", "http", host=f"http://127.0.0.1:{self.served.server_address[1]}")}

    def answer(self, status: int, body: str, **headers: str) -> None:
        self.served.status, self.served.body, self.served.headers = status, body.encode(), headers

    def make_ready(self) -> None:
        self.answer(202, '{"a": {"n": 3}}', **{"X-State": "done"})

    @pytest.mark.parametrize(
        ("status", "state", "body", "seen"),
        [
            (200, "done", '{"a": {"n": 3}}', "returned status 200"),
            (202, "running", '{"a": {"n": 3}}', "returned status 202, and X-State is running instead of done"),
            (202, "done", '{"a": {"n": 2}}', "returned status 202, and a.n is 2 instead of 3"),
            (202, "done", '{"a": {"n": true}}', "returned status 202, and a.n is True instead of 3"),
            (202, "done", '{"a": 3}', "returned status 202, and a.n is missing instead of 3"),
            (202, "done", "<html>", "returned status 202, and no JSON:"),
        ],
    )
    def test_what_the_answer_lacks_is_said(self, status, state, body, seen):
        self.answer(status, body, **{"X-State": state})
        verdict = self.look()
        assert not verdict.holds
        assert seen in verdict.message


class TestFile(SensorSuite):
    sensor: ClassVar = {"file": {"path": "w_*.csv", "min_count": 2, "done_marker": "_DONE_%Y"}}

    def make_ready(self) -> None:
        (self.folder / "inbox").mkdir(exist_ok=True)
        for name in ("w_1.csv", "w_2.csv", "_DONE_2013"):
            (self.folder / "inbox" / name).touch()

    def test_each_of_them_is_waited_for(self):
        self.make_ready()
        (self.folder / "inbox" / "w_2.csv").unlink()
        assert "1 file matches w_*.csv, and 2 are waited for" in self.look().message
        (self.folder / "inbox" / "w_2.csv").touch()
        (self.folder / "inbox" / "_DONE_2013").unlink()
        with pytest.raises(TransientError, match='no file matches "_DONE_2013"'):
            self.look()


class TestSql(SensorSuite):
    sensor: ClassVar = {"sql": {"connection": "db", "query": "select count(*) > 0 from t"}}

    def connections(self) -> Mapping[str, Connection]:
        with sqlite3.connect(self.folder / "s.sqlite") as made:
            made.execute("create table if not exists t (a integer)")
        return {"db": Connection("db", "sqlite", host=str(self.folder / "s.sqlite"))}

    def make_ready(self) -> None:
        with sqlite3.connect(self.folder / "s.sqlite") as made:
            made.execute("insert into t values (1)")


@pytest.mark.duckdb
class WarehouseSensor(SensorSuite):
    def loaded(self, source: str, table: str, days: tuple[int, int] = (1, 8), rows: int = 10) -> None:
        row = dict.fromkeys(audit.TABLES["loads"]) | {
            "load_id": f"{source}-{table}-{days}",
            "source": source,
            "table_name": table,
            "run_id": "r1",
            "window_start": datetime(2013, 1, days[0], tzinfo=UTC),
            "window_end": datetime(2013, 1, days[1], tzinfo=UTC),
            "rows_loaded": rows,
            "full_refresh": False,
            "business_date_max": "2013-01-07",
            "loaded_at": datetime.now(UTC),
        }
        with self.open_warehouse() as opened:
            opened.record("loads", [row])
            keep(opened, source, "r1", f"quality.{table}", [Result("check", table, "c", "warn", "passed", 0, "", 0.1)])


class TestSource(WarehouseSensor):
    sensor: ClassVar = {"source": {"name": "fleet"}}
    awaited = ("planes", "airlines")

    def make_ready(self) -> None:
        self.loaded("fleet", "planes")
        assert not self.look().holds
        self.loaded("fleet", "airlines")


class TestAnyTableOfASource(WarehouseSensor):
    sensor: ClassVar = {"source": {"name": "fleet", "need": "any"}}
    awaited = ("planes", "airlines")

    def make_ready(self) -> None:
        self.loaded("fleet", "airlines")


class TestFreshness(WarehouseSensor):
    sensor: ClassVar = {"freshness": {"table": "input", "business_date_within": "26h", "min_rows": "50%"}}
    stage = "before_transform"
    awaited = ("input",)

    def make_ready(self) -> None:
        self.loaded("tiny", "input", rows=6)

    def test_a_load_of_half_of_what_is_usual_is_too_small_below_the_share(self):
        for week, rows in enumerate((10, 12, 14)):
            with self.open_warehouse() as opened:
                start = datetime(2012, 12, 1 + 7 * week, tzinfo=UTC)
                row = dict.fromkeys(audit.TABLES["loads"]) | {
                    "load_id": f"w{week}",
                    "source": "tiny",
                    "table_name": "input",
                    "window_start": start,
                    "window_end": start + timedelta(days=7),
                    "rows_loaded": rows,
                    "full_refresh": False,
                    "loaded_at": start,
                }
                opened.record("loads", [row])
        self.loaded("tiny", "input", rows=5)
        verdict = self.look()
        assert (verdict.holds, verdict.needs_load) == (False, True)
        assert "has 5 rows" in verdict.message
        assert "the 3 loads before have a median of 12; 50% of it is needed" in verdict.message
        self.loaded("tiny", "input", rows=6)
        assert self.look().holds


class TestAsset(SensorSuite):
    sensor: ClassVar = {"asset": {"name": "s3://lake/rates"}}

    def make_ready(self) -> None:
        self.updates["s3://lake/rates"] = datetime(2013, 1, 3, tzinfo=UTC)


class TestDag(SensorSuite):
    sensor: ClassVar = {"dag": {"id": "billing", "at": "end", "before": "2h"}}

    def make_ready(self) -> None:
        self.runs |= {"success": 1, "failed": 0}

    @pytest.mark.parametrize(
        ("runs", "seen"),
        [
            ({}, "does not exist yet"),
            ({"failed": 1}, "has failed"),
            ({"running": 1}, "is running"),
            ({"queued": 1}, "is queued"),
        ],
    )
    def test_the_state_of_the_run_is_said(self, runs, seen):
        self.runs |= runs
        assert self.look().message == f"tiny: the run of billing for 2013-01-07T22:00:00Z {seen}"


class TestTime(SensorSuite):
    sensor: ClassVar = {"time": {"not_before": "06:00", "timezone": "America/New_York"}}

    @pytest.fixture(autouse=True)
    def clock(self, _given, monkeypatch):
        from elt_factory.sensors import time as kind

        self.now = datetime(2013, 1, 7, 10, 59, tzinfo=UTC)
        suite = self

        class Clock(datetime):
            @classmethod
            def now(cls, tz=None):
                return suite.now

        monkeypatch.setattr(kind, "datetime", Clock)

    def make_ready(self) -> None:
        # the window ends at 19:00 of the 7th in New York
        assert self.look().next_look == datetime(2013, 1, 7, 11, tzinfo=UTC)
        self.now = datetime(2013, 1, 7, 11, tzinfo=UTC)


@pytest.mark.parametrize(
    ("day", "clock", "holidays", "waits_for"),
    [
        # a Friday, a Saturday, and one before a holiday
        (date(2013, 3, 8), "06:00", (), "2013-03-08T11:00:00+00:00"),
        (date(2013, 3, 9), "06:00", (), "2013-03-11T10:00:00+00:00"),
        (date(2013, 3, 9), "06:00", ("2013-03-11",), "2013-03-12T10:00:00+00:00"),
        (date(2013, 11, 2), None, (), "2013-11-04T05:00:00+00:00"),
    ],
)
def test_business_days_are_those_of_the_zone_over_both_changes_of_the_clock(day, clock, holidays, waits_for):
    from zoneinfo import ZoneInfo

    from elt_factory.sensors.time import TimeReached, _moment

    given = {"business_days": True, "holidays": list(holidays)} | ({"not_before": clock} if clock else {})
    end = datetime.combine(day, time(1), ZoneInfo("America/New_York"))
    assert _moment(TimeReached.model_validate(given), end, "America/New_York").isoformat() == waits_for


FUNCTIONS = """
from elt_factory.core.failures import TransientError
state = {}
def ready(source, window_end, least=0):
    return len(state) > least, f"{source} has {len(state)} until {window_end:%d}"
def plain(): return bool(state)
def wrong(): return "yes"
def broken(): raise OSError("no route")
def down(): raise TransientError("not now")
"""


class TestPython(SensorSuite):
    sensor: ClassVar = {"python": {"function": "readiness_of_test:ready", "args": {"least": 1}}}

    @pytest.fixture(autouse=True)
    def module(self, _given, monkeypatch):
        (self.folder / "readiness_of_test.py").write_text(FUNCTIONS)
        monkeypatch.syspath_prepend(str(self.folder))
        yield
        sys.modules.pop("readiness_of_test", None)

    def make_ready(self) -> None:
        import readiness_of_test

        assert self.look().message == "tiny: tiny has 0 until 08"
        readiness_of_test.state |= {1: 1, 2: 2}

    @pytest.mark.parametrize(
        ("function", "kind", "said"),
        [
            ("readiness_of_test:wrong", PermanentError, "returned 'yes'; it must return true or false"),
            ("readiness_of_test:none", PermanentError, "cannot import readiness_of_test:none"),
            ("no_such_module:ready", PermanentError, "cannot import no_such_module:ready"),
            ("readiness_of_test:state", PermanentError, "is not a function"),
            ("readiness_of_test:broken", EltError, "raised OSError: no route"),
            ("readiness_of_test:down", TransientError, "not now"),
        ],
    )
    def test_a_function_that_is_wrong_or_fails_says_so(self, function, kind, said):
        from elt_factory.sensors.python import FunctionReady

        with pytest.raises(kind, match=said):
            self.kind.poke(FunctionReady(function=function), self._look())
        assert self.kind.poke(FunctionReady(function="readiness_of_test:plain"), self._look()).holds is False


def test_the_suite_is_for_every_built_in_kind():
    from elt_factory.config.models.sensors import SENSORS

    tested = {next(iter(suite.sensor)) for suite in _suites(SensorSuite) if hasattr(suite, "sensor")}
    assert tested >= set(SENSORS.built_in)


def _suites(base: type) -> list[type]:
    return [found for below in base.__subclasses__() for found in (below, *_suites(below))]
