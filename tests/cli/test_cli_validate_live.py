"""`elt validate --live` against an API and a query, and `--connections` for all that a config names."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qsl, urlsplit

import pytest
from cli_support import Project

DAY = ("--start", "2024-01-01", "--end", "2024-01-02")
SHOP = """\
name: shop
owner: us
params: {area: EU}
extract:
  type: rest_api
  connection: shop_api
  auth: {type: api_key}
  paginator: {type: page_number}
tables:
  orders:
    path: "/{{ params.area }}/orders"
    params: {since: "{{ window.start }}", run: "{{ run_id }}"}
    records: items
    primary_key: [id]
    write_disposition: merge
    columns: {id: {type: integer}, email: {type: text, pii: hash}}
quality: {orders: [{row_count: {min: 1}}]}
"""


class Api(ThreadingHTTPServer):
    """Answers `records` to who has the key; `asked` holds what came."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Orders)
        self.records, self.asked, self.more = [{"id": 1, "email": "a@b.c"}], [], {}


class Orders(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        self.server.asked.append((parts.path, dict(parse_qsl(parts.query))))
        known = self.headers["X-API-Key"] == "k3y"
        self.send_response(200 if known else 401)
        self.end_headers()
        first = dict(parse_qsl(parts.query)).get("page", "1") == "1"
        answer = {"items": self.server.records if first else [], **self.server.more}
        self.wfile.write(json.dumps(answer).encode() if known else b"no")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def api(project: Project, airflow_db: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    server = Api()
    Thread(target=server.serve_forever, daemon=True).start()
    named = {"conn_type": "http", "host": f"http://127.0.0.1:{server.server_address[1]}", "password": "k3y"}
    monkeypatch.setenv("AIRFLOW_CONN_SHOP_API", json.dumps(named))
    project.write("shop", SHOP)
    yield server
    server.shutdown()
    server.server_close()


def live(project: Project) -> list[dict]:
    found = json.loads(project.elt("validate", "--json", "--live", *DAY).stdout)
    return [
        entry for entry in found if entry["code"] in ("no-answer", "sample-rejected", "nothing-read", "end-of-pages")
    ]


def test_an_api_is_asked_for_its_first_two_pages_as_a_run_would(project: Project, api: Api):
    done = project.elt("validate", "--live", *DAY)
    assert done.exit_code == 0, done.output
    params = {"since": "2024-01-01T00:00:00Z", "run": "elt-validate"}
    assert api.asked == [("/EU/orders", {**params, "page": page}) for page in ("1", "2")]
    assert "shop.orders: reading the first pages of" in done.stderr
    assert "shop.orders: 1 row read, 0 do not fit" in done.stderr
    assert "a@b.c" not in done.output + done.stderr


CURSOR = SHOP.replace("{type: page_number}", "{type: cursor, cursor_path: meta.nxt}")


def test_an_answer_that_says_there_is_more_where_the_paginator_sees_an_end_is_an_error(project: Project, api: Api):
    project.write("shop", CURSOR)
    api.more = {"has_more": True}
    (entry,) = live(project)
    assert (entry["code"], entry["severity"]) == ("sample-rejected", "error")
    assert "has_more" in entry["message"]


def test_a_cursor_path_that_is_on_no_page_is_a_warning(project: Project, api: Api):
    project.write("shop", CURSOR)
    (entry,) = live(project)
    assert (entry["code"], entry["severity"]) == ("end-of-pages", "warning")
    assert '"meta.nxt" is on no page' in entry["message"]


def test_records_that_do_not_fit_are_told_at_their_table(project: Project, api: Api):
    api.records = [{"id": "x"}, {"id": 2}]
    (entry,) = live(project)
    assert (entry["code"], entry["severity"], entry["line"], entry["column"]) == ("sample-rejected", "warning", 10, 3)
    assert '1 of 2 rows do not fit: id is not a valid integer: "x" (1 time)' in entry["message"]


def test_records_of_which_none_fits_are_an_error(project: Project, api: Api):
    api.records = [{"id": "x"}]
    assert [entry["severity"] for entry in live(project)] == ["error"]


def test_an_answer_without_records_is_a_warning(project: Project, api: Api):
    api.records = []
    assert [(entry["code"], entry["severity"]) for entry in live(project)] == [("nothing-read", "warning")]


def test_a_wrong_key_is_told_and_not_shown(project: Project, api: Api, monkeypatch: pytest.MonkeyPatch):
    named = json.dumps({"conn_type": "http", "host": f"http://127.0.0.1:{api.server_address[1]}", "password": "wr0ng"})
    monkeypatch.setenv("AIRFLOW_CONN_SHOP_API", named)
    (entry,) = live(project)
    assert (entry["code"], entry["severity"]) == ("no-answer", "error")
    assert "401" in entry["message"]
    assert "wr0ng" not in json.dumps(entry)


def test_a_query_with_templates_is_read_as_a_run_would(
    project: Project, airflow_db: Path, monkeypatch: pytest.MonkeyPatch
):
    with sqlite3.connect(project.root / "shop.db") as database:
        database.execute("create table orders (id integer, area text)")
        database.execute("insert into orders values (1, 'EU'), (2, 'US'), (3, 'EU')")
    database.close()
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", json.dumps({"conn_type": "sqlite", "host": str(project.root / "shop.db")}))
    query = "select * from orders where area = {{ params.area }} and id > {{ cursor }}"
    table = f'{{query: "{query}", incremental: {{cursor: id, initial: 0}}}}'
    head = "name: shop\nowner: us\nparams: {area: EU}\nextract: {type: sql, connection: shop}\n"
    project.write("shop", f"{head}tables: {{orders: {table}}}\n")
    done = project.elt("validate", "--live", *DAY)
    assert done.exit_code == 0, done.output
    assert "shop.orders: 2 rows read, 0 do not fit" in done.stderr


def test_every_connection_that_is_named_is_looked_for(
    project: Project, airflow_db: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps({"conn_type": "duckdb", "host": "x.duckdb"}))
    more = "sensors: {before_extract: [{http: {connection: other_api}}]}\nalerts: {to: [slack_data]}\n"
    project.write("shop", SHOP + more)
    found = json.loads(project.elt("validate", "--json", "--connections").stdout)
    missing = [(e["line"], e["column"]) for e in found if e["code"] == "unknown-connection"]
    assert missing == [(6, 3), (18, 36), (19, 10)]


@pytest.mark.parametrize("path", ["orders_%Y-%m.csv", "*.csv"])
def test_files_that_many_runs_meet_are_appended_once_and_no_warning(project: Project, path):
    head = 'name: orders\nowner: us\nschedule: "0 3 * * *"\nextract: {type: files, folder: in}\n'
    project.write("orders", f"{head}tables:\n  orders: {{path: '{path}'}}\n")
    found = json.loads(project.elt("validate", "--json").stdout)
    assert not [entry["code"] for entry in found if entry["code"].startswith("append")]


def test_a_param_that_nothing_names_is_a_warning_where_it_is_written(project: Project):
    project.write("_defaults", "params: {other: 1}\n")
    project.write("shop", SHOP.replace("{area: EU}", "{area: EU, size: 2}"))
    found = json.loads(project.elt("validate", "--json").stdout)
    assert [(e["line"], e["column"]) for e in found if e["code"] == "unused-param"] == [(3, 20)]


@pytest.mark.parametrize(
    ("table", "place"),
    [
        ("primary_key: [orderid]", (8, 5)),
        ("primary_key: [Order_Id]", (8, 5)),
        ("incremental: {cursor: changed_att}", (8, 19)),
        ("business_date: change_at", (8, 5)),
        ("primary_key: [other_key]", None),
        ("primary_key: [line_2]", None),
        ("primary_key: [order_id]", None),
    ],
)
def test_a_column_that_is_nearly_one_that_is_declared_is_a_warning(project: Project, table: str, place):
    head = "name: shop\nowner: us\nextract: {type: files, folder: in}\ntables:\n  orders:\n    path: o.csv\n"
    columns = "    columns: {order_id: {type: text}, changed_at: {type: timestamp}, line_1: {type: text}}\n"
    project.write("shop", f"{head}{columns}    {table}\n")
    found = json.loads(project.elt("validate", "--json").stdout)
    assert [(e["line"], e["column"]) for e in found if e["code"] == "near-column"] == ([place] if place else [])


def test_a_check_of_a_misspelt_column_is_a_warning(project: Project):
    project.write("shop", SHOP.replace("{row_count: {min: 1}}", "{unique: [id, emial]}"))
    found = json.loads(project.elt("validate", "--json").stdout)
    (entry,) = [e for e in found if e["code"] == "near-column"]
    assert (entry["message"], entry["line"]) == ('column "emial" is not declared, but "email" is', 17)


def test_a_child_is_sampled_with_a_few_rows_of_a_sample_of_its_parent(project: Project, api: Api):
    child = """\
  lines:
    for_each: orders
    path: /orders/{{ orders.id }}/lines
    records: items
    keep: {order_id: orders.id}
    primary_key: [order_id, id]
    write_disposition: merge
"""
    project.write("shop", SHOP.replace("quality:", f"{child}quality:"))
    api.records = [{"id": number, "email": "a@b.c"} for number in range(9)]
    assert live(project) == []
    paths = [path for path, _ in api.asked]
    assert {path for path in paths if path.endswith("/lines")} == {f"/orders/{number}/lines" for number in range(3)}
