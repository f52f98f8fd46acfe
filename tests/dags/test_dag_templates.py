"""Templates in real runs: a config's own params and what the form says in their place, cursors, ids."""

import json
import sqlite3
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qsl, urlsplit

import pytest
from dag_support import config_of, context_of

from elt_factory.core.failures import PermanentError
from elt_factory.dag.form import form
from elt_factory.dag.runtime import run_of

DAY = {"window_start": "2013-01-01", "window_end": "2013-01-02"}
FILES = """
name: tiny
start_date: 2013-01-01
params: {region: EMEA}
extract: {type: files, connection: inbox}
tables:
  orders: {path: "{{ params.region }}/{{ window.start | date }}.csv", primary_key: [id], write_disposition: merge}
"""
SQL = """
name: tiny
start_date: 2013-01-01
params: {region: EMEA, least: 0}
extract: {type: sql, connection: shop}
tables:
  orders:
    query: |
      select * from orders
      where region = {{ params.region }} and id >= {{ params.least }} and at < {{ window.end }}
    primary_key: [id]
    write_disposition: merge
"""
API = """
name: tiny
start_date: 2013-01-01
extract: {type: rest_api, connection: shop}
tables:
  orders:
    path: /orders
    params: {since_id: "{{ cursor }}", run: "{{ run_id }}"}
    primary_key: [id]
    write_disposition: merge
    incremental: {cursor: id, initial: 0}
"""
pytestmark = pytest.mark.timeout(300)


def test_files_are_those_of_the_param_and_the_form_changes_it_for_one_run(tiny, tmp_path):
    line = tiny(FILES)
    for region in ("EMEA", "APAC"):
        (tmp_path / "project" / "inbox" / region).mkdir()
        (tmp_path / "project" / "inbox" / region / "2013-01-01.csv").write_text(f"id,region\n{region},{region}\n")
    assert line.run("tiny", **DAY).state == "success"
    assert line.query("select id from tiny.orders") == [("EMEA",)]
    assert line.run("tiny", region="APAC", **DAY).state == "success"
    assert line.query("select id from tiny.orders order by 1") == [("APAC",), ("EMEA",)]


def test_a_form_cannot_lead_a_run_out_of_its_folder(tiny, tmp_path):
    line = tiny(FILES)
    outcome = line.run("tiny", region="../..", **DAY)
    assert outcome.state == "failed"
    (told,) = [task.detail for task in outcome.tasks if task.state == "failed"]
    assert told.startswith('tiny.orders: invalid file name part "../.." in path: {{ params.region }}/')


def test_a_query_is_given_values_and_none_of_them_is_sql(tiny, tmp_path):
    with sqlite3.connect(tmp_path / "shop.db") as shop:
        shop.execute("create table orders (id integer primary key, region text, at text)")
        shop.executemany(
            "insert into orders values (?, ?, '2013-01-01 10:00:00')", [(1, "EMEA"), (2, "EMEA"), (3, "APAC")]
        )
        shop.execute("insert into orders values (4, 'EMEA', '2013-01-05 10:00:00')")
    shop.close()
    line = tiny(SQL)
    line.connect("shop", conn_type="sqlite", host=str(tmp_path / "shop.db"))
    assert line.run("tiny", **DAY).state == "success"
    assert line.query("select id from tiny.orders order by 1") == [(1,), (2,)]
    assert line.run("tiny", region="x' or '1'='1", **DAY).state == "success"
    assert line.query("select id from tiny.orders order by 1") == [(1,), (2,)]
    assert line.run("tiny", region="APAC", least=3, **DAY).state == "success"
    assert line.query("select id from tiny.orders order by 1") == [(1,), (2,), (3,)]


class Shop(ThreadingHTTPServer):
    """Answers the orders above `since_id`, of those that there are."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Orders)
        self.newest, self.asked = 3, []


class Orders(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        asked = dict(parse_qsl(urlsplit(self.path).query))
        self.server.asked.append(asked)
        orders = [{"id": number} for number in range(int(asked["since_id"]) + 1, self.server.newest + 1)]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(orders).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def shop():
    server = Shop()
    Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_an_api_is_asked_for_what_comes_after_the_last_loads_cursor(tiny, shop):
    line = tiny(API)
    line.connect("shop", conn_type="http", host=f"http://127.0.0.1:{shop.server_address[1]}")
    first = line.run("tiny", **DAY)
    assert first.state == "success"
    shop.newest = 5
    second = line.run("tiny", window_start="2013-01-02", window_end="2013-01-03")
    assert second.state == "success"
    line.run("tiny", **DAY)  # again: it begins where it began
    assert [asked["since_id"] for asked in shop.asked] == ["0", "3", "0"]
    assert [asked["run"] for asked in shop.asked[:2]] == [first.run_id, second.run_id]
    assert line.query("select count(*), count(distinct id) from tiny.orders") == [(5, 5)]
    line.run("tiny", full_refresh=True, **DAY)
    assert shop.asked[-1]["since_id"] == "0"
    assert line.one("select count(*) from tiny.orders") == 5


def test_the_form_has_the_params_with_their_types(tmp_path):
    config = config_of(tmp_path, params={"region": "EMEA", "seats": 4, "share": 0.5, "all": True})
    shown = {name: (param.value, param.schema["type"]) for name, param in form(config).items() if name in config.params}
    assert shown == {
        "region": ("EMEA", "string"),
        "seats": (4, "integer"),
        "share": (0.5, "number"),
        "all": (True, "boolean"),
    }


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"seats": "4"}, 'tiny: the param seats: "4" is not of the same type as its default 4'),
        ({"seats": True}, "tiny: the param seats: true is not of the same type as its default"),
        ({"region": "a\nb"}, "tiny: the param region: text is too long or contains control characters"),
        ({"region": None}, "tiny: the param region: expected a single value, got nothing"),
        ({"region": "x" * 1001}, "tiny: the param region: text is too long"),
    ],
)
def test_a_run_with_a_value_of_another_kind_fails_at_once(tmp_path, given, told):
    config = config_of(tmp_path, params={"region": "EMEA", "seats": 4})
    with pytest.raises(PermanentError, match=told):
        run_of(context_of(**DAY, **given), config)


def test_runs_that_follow_a_cursor_go_one_after_the_other(tmp_path):
    from elt_factory.dag.factory import build_dag

    follows = config_of(tmp_path, API)
    windows = config_of(tmp_path, API.replace("id, initial: 0", "at"))
    assert build_dag(follows, {}).max_active_runs == 1
    assert build_dag(windows, {}).max_active_runs > 1
