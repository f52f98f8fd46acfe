"""The conformance suites that come with elt-factory, and what is special about these kinds."""

import socket
from datetime import date

import pytest
from acme_elt.calendar import row

from elt_factory.alerts.kind import NOTIFIERS, Message
from elt_factory.core.connection import Connection
from elt_factory.testing.checks import ColumnCheckSuite
from elt_factory.testing.formats import FormatSuite
from elt_factory.testing.sensors import SensorSuite
from elt_factory.testing.sources import SourceSuite


class TestCalendar(SourceSuite):
    config = {
        "name": "days",
        "extract": {"type": "calendar"},
        "tables": {
            "days": {"primary_key": ["day"], "write_disposition": "merge", "columns": {"day": {"type": "date"}}}
        },
    }
    rows = [
        {"day": date(2013, 1, number), "weekday": (number % 7) + 1, "iso_week": 1 if number < 7 else 2, "quarter": 1}
        for number in range(1, 8)
    ]


class TestLogfmt(FormatSuite):
    form = {"type": "logfmt", "comment": "//"}
    content = b'// web-1\na=1 b="x \\"y\\" z" c=\n\nout of order\nb=u a=2\n'
    rows = [{"a": "1", "b": 'x "y" z', "c": ""}, {"a": "2", "b": "u", "c": None}]
    rejected = 1
    ending = ".logfmt"


class TestPort(SensorSuite):
    sensor = {"port": {"connection": "message_broker"}}

    @pytest.fixture(autouse=True)
    def server(self):
        with socket.socket() as self.socket:
            self.socket.bind(("127.0.0.1", 0))
            yield

    def connections(self):
        host, port = self.socket.getsockname()
        return {"message_broker": Connection("message_broker", "generic", host=host, port=port)}

    def make_ready(self):
        self.socket.listen()


class TestMultipleOf(ColumnCheckSuite):
    check = {"multiple_of": 5}
    sql_type = "BIGINT"
    good = [0, 5, -10, None]
    bad = [1, 7]


def test_weeks_begin_with_the_day_that_is_given():
    assert row(date(2013, 1, 6), "monday")["weekday"] == 7
    assert row(date(2013, 1, 6), "sunday")["weekday"] == 1


def test_a_message_is_a_line_in_the_file(tmp_path):
    file = tmp_path / "alerts.log"
    send = NOTIFIERS.get("logfile").send
    message = Message("days", "failure", "days: task quality.days failed")
    assert send(Connection("operations_log", "logfile", host=str(file)), message) == ""
    assert file.read_text().endswith("Z failure days: task quality.days failed\n")
    assert "path of a file" in send(Connection("operations_log", "logfile"), message)
