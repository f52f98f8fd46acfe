"""`elt plan`: the run that is not there, its window, deadline, tasks, reads and SQL, and its picture."""

from __future__ import annotations

import json
import os
import re
import struct
import subprocess
import sys
from itertools import pairwise
from xml.etree import ElementTree as ET

import duckdb
import pytest
import sqlglot
from cli_support import ORDERS, ROOT, Project

from elt_factory.describe.graph_svg import Box, Panel, graph_svg
from elt_factory.describe.layout import layered
from elt_factory.describe.png import png_of

FLIGHTS = """\
name: api
schedule: "0 3 * * *"
timezone: America/New_York
start_date: 2024-01-01
deadline: {by: "06:00"}
extract: {type: rest_api, connection: shop}
tables:
  orders:
    path: /v1/orders
    params: {since: "{{ window.start }}", limit: 10}
    primary_key: [id]
    write_disposition: merge
    incremental: {cursor: changed, lag: 1h}
sensors:
  before_extract: [{http: {connection: shop, path: /health}}]
  before_transform: [{freshness: {table: orders, loaded_within: 2h}}]
"""
DATABASE = """\
name: db
schedule: "0 3 * * *"
start_date: 2024-01-01
params: {area: it's, least: 7}
extract: {type: sql, connection: shop}
tables:
  orders:
    query: select * from o where area = {{ params.area }} and n > {{ params.least }} and id > {{ cursor }}
    incremental: {cursor: id, initial: 0}
"""


def planned(project: Project, *arguments: str) -> dict:
    done = project.elt("plan", *arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_a_day_means_the_last_run_that_begins_on_it(project: Project):
    project.write("orders", ORDERS)
    found = planned(project, "orders", "--date", "2024-03-05")
    assert found["window"] == {"start": "2024-03-04T03:00:00Z", "end": "2024-03-05T03:00:00Z"}
    assert found["deadline"] == "2024-03-05T06:00:00Z"
    assert found["tables"][0]["load_id"].startswith("20240304T030000Z-20240305T030000Z-")


def test_a_window_of_one_s_own_goes_before(project: Project):
    project.write("orders", ORDERS)
    found = planned(project, "orders", "--start", "2024-01-01", "--end", "2024-01-03T12:00+02:00")
    assert found["window"] == {"start": "2024-01-01T00:00:00Z", "end": "2024-01-03T10:00:00Z"}
    assert found["tables"][0]["reads"] == [f"orders_2024-01-0{day}.csv" for day in (1, 2, 3)]


@pytest.mark.parametrize("window", [("--start", "2024-01-01"), ("--date", "soon"), ("--start", "2", "--end", "1")])
def test_a_window_that_is_none_is_said(window: tuple[str, ...], project: Project):
    project.write("orders", ORDERS)
    done = project.elt("plan", "orders", *window)
    assert (done.exit_code, done.stderr[:8]) == (1, "orders: ")


def test_without_a_schedule_the_window_is_all_there_is(project: Project):
    project.write("orders", ORDERS.replace('schedule: "0 3 * * *"\n', ""))
    assert planned(project, "orders")["window"]["start"] == "2024-01-01T00:00:00Z"


def test_a_deadline_after_the_queueing_has_no_instant_yet(project: Project):
    project.write("orders", ORDERS.replace('{by: "06:00"}', "{within: 2h}"))
    found = planned(project, "orders")
    assert (found["deadline"], found["due"]) == (None, "2h after a run is queued")


def test_the_tasks_are_those_of_the_dag_in_the_order_they_run(project: Project):
    project.write("api", FLIGHTS)
    tasks = {task["task_id"]: task for task in planned(project, "api", "--date", "2024-03-05")["tasks"]}
    assert [(name, task["kind"]) for name, task in tasks.items()] == [
        ("before_extract.http_shop", "sensor"),
        ("tables.orders.extract", "extract"),
        ("tables.orders.load", "load"),
        ("before_transform.freshness_orders", "sensor"),
        ("quality.orders", "quality"),
    ]
    assert tasks["tables.orders.load"]["upstream"] == ["tables.orders.extract"]
    assert tasks["before_transform.freshness_orders"]["detail"] == "orders is fresh, loaded within 2h"


def test_an_api_s_request_is_shown_with_the_lag_and_the_values_of_the_window(project: Project):
    project.write("api", FLIGHTS)
    (table,) = planned(project, "api", "--date", "2024-03-05")["tables"]
    assert table["reads"] == ["GET shop:/v1/orders?since=2024-03-04T07:00:00Z&limit=10"]


def test_a_delta_token_is_said_to_be_there_and_not_shown(project: Project):
    table = """\
  users: {path: /v1/users, delta_token: next, primary_key: [id], write_disposition: merge}
sensors:
"""
    project.write("api", FLIGHTS.replace("sensors:\n", table))
    found = planned(project, "api", "--date", "2024-03-05")
    reads = {table["name"]: table["reads"] for table in found["tables"]}
    assert reads["users"] == ["GET shop:/v1/users at first, and then what the API's delta token of the last load says"]


def test_a_job_is_planned_with_its_start_its_looks_and_its_results(project: Project):
    table = """\
  users:
    path: /v1/exports
    json: {day: "{{ window.start | date }}"}
    job: {id: id, path: "/v1/exports/{{ job.id }}", status: state, done: [ok, empty], result: "files[*].url"}
    format: {type: csv}
sensors:
"""
    project.write("api", FLIGHTS.replace("sensors:\n", table))
    found = planned(project, "api", "--date", "2024-03-05")
    reads = {table["name"]: table["reads"] for table in found["tables"]}
    assert reads["users"] == [
        'POST shop:/v1/exports {"day":"2024-03-04"}',
        "GET shop:/v1/exports/JOB.ID every 30s until state is ok or empty",
        "GET the links at files[*].url",
    ]


BY_CURSOR = "scd2\n    incremental: {cursor: ordered_at, lag: 1h}"


def test_a_child_is_asked_for_each_row_of_its_parent_and_waits_for_it(project: Project):
    children = """\
  lines:
    for_each: orders
    path: /v1/orders/{{ orders.id }}/lines
    write_disposition: replace
  sales:
    for_each: {region: [EMEA, APAC], year: [1, 2]}
    path: /v1/sales/{{ region }}
    params: {year: "{{ year }}"}
sensors:
"""
    project.write("api", FLIGHTS.replace("sensors:\n", children))
    found = planned(project, "api", "--date", "2024-03-05")
    reads = {table["name"]: table["reads"] for table in found["tables"]}
    assert reads["lines"] == ["GET shop:/v1/orders/ORDERS.ID/lines for each row of orders"]
    assert reads["sales"] == [
        *(f"GET shop:/v1/sales/{region}?year={year}" for region, year in (("EMEA", 1), ("EMEA", 2), ("APAC", 1))),
        "and so on",
    ]
    extract = next(task for task in found["tasks"] if task["task_id"] == "tables.lines.extract")
    assert "tables.orders.extract" in extract["upstream"]


@pytest.mark.parametrize("disposition", ["append", "merge", "replace", "scd2", BY_CURSOR])
def test_the_statements_are_sql_that_the_warehouse_takes(disposition: str, project: Project):
    project.write("orders", ORDERS.replace("disposition: merge", f"disposition: {disposition}"))
    (table,) = planned(project, "orders", "--date", "2024-03-05")["tables"]
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE records (id VARCHAR, ordered_at VARCHAR, email VARCHAR)")
        connection.execute("INSERT INTO records VALUES ('1', '2024-03-04 10:00:00+00', 'a@b.c'), ('x', NULL, NULL)")
        assert connection.execute(f"SELECT count(reason) FROM ({table['contract']})").fetchall() == [(1,)]
        connection.execute(
            "CREATE TEMP TABLE landed AS SELECT 1 AS id, now() AS ordered_at, 'h' AS email, 'f' AS _file_id"
        )
        connection.execute("CREATE TEMP TABLE files AS SELECT 'f' AS file_id")
        connection.execute("CREATE TEMP TABLE rejects (reason VARCHAR, record VARCHAR)")
        for step in table["statements"]:
            # the views of landed files stand for the tables above
            if "_elt" not in step["sql"] and " TEMP VIEW " not in step["sql"] and "DROP VIEW" not in step["sql"]:
                connection.execute(step["sql"].replace(":now", "now()").replace(":window_end", "now()"))
        assert connection.execute("SELECT id, email FROM orders.orders").fetchall() == [(1, "h")]
        columns = connection.execute("SELECT column_name FROM duckdb_columns() WHERE table_name = 'orders'").fetchall()
    own = ["_load_id", "_loaded_at", *(["_valid_from", "_valid_to"] if "scd2" in disposition else [])]
    own += ["_file_id"] if disposition == "append" else []
    assert [name for (name,) in columns] == ["id", "ordered_at", "email", *own]
    begin, commit = (n for n, step in enumerate(table["statements"]) if step["sql"] in ("BEGIN", "COMMIT"))
    assert begin < commit
    assert all(step["sql"].startswith("DROP VIEW") for step in table["statements"][commit + 1 :])


@pytest.mark.parametrize(
    ("disposition", "words"),
    [("scd2", "a full snapshot at the end of the window; missing rows end"), (BY_CURSOR, "since ordered_at;")],
)
def test_a_history_says_what_its_versions_are(disposition: str, words: str, project: Project):
    project.write("orders", ORDERS.replace("disposition: merge", f"disposition: {disposition}"))
    tasks = {task["task_id"]: task for task in planned(project, "orders")["tasks"]}
    assert words in tasks["tables.orders.load"]["detail"]


# Snowflake's connector looks at the machine when it is imported
@pytest.mark.services
@pytest.mark.parametrize("disposition", ["append", "merge", "replace", "scd2"])
def test_on_snowflake_the_files_are_staged_and_copied_and_all_of_it_is_snowflakes_sql(disposition, project: Project):
    project.write("orders", ORDERS.replace("write_disposition: merge", f"write_disposition: {disposition}"))
    (table,) = planned(project, "orders", "--date", "2024-03-05", "--warehouse", "snowflake")["tables"]
    sent = [step["sql"] for step in table["statements"]]
    for statement in sent:
        if not statement.endswith("(...)"):
            sqlglot.parse_one(statement.replace(":now", "NULL").replace(":window_end", "NULL"), dialect="snowflake")
    begin, copied = sent.index("BEGIN"), [text.split()[0] for text in sent]
    assert copied[:4] == ["CREATE", "CREATE", "PUT", "COPY"]
    assert "CREATE" not in copied[begin:]
    assert set(copied[copied.index("COMMIT") + 1 :]) == {"DROP", "REMOVE"}
    # the table's turn is taken first
    assert "TURN_ORDERS_ORDERS" in sent[begin + 1]
    written = next(text for text in sent[begin + 2 :] if not text.startswith("SELECT"))
    assert '"ORDERS"."ORDERS"' in written


@pytest.mark.services
@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ('{"conn_type": "snowflake"}', "PUT"),
        ("snowflake://user:s3cret@account/db", "PUT"),
        ("duckdb://", "temp"),
        ("", "temp"),
    ],
)
def test_the_sql_is_that_of_the_local_connections_type(given, kind, project: Project, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", given)
    project.write("orders", ORDERS)
    out = project.elt("plan", "orders", "--date", "2024-03-05").output
    assert kind in out
    assert "s3cret" not in out


@pytest.mark.services
def test_the_settings_of_the_machine_name_the_warehouse_too(project: Project, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_WAREHOUSE", raising=False)
    settings = "airflow: {connections: [{conn_id: warehouse, conn_type: snowflake}]}\n"
    (project.root / "airflow_settings.yaml").write_text(settings)
    project.write("orders", ORDERS)
    assert "COPY INTO" in project.elt("plan", "orders", "--date", "2024-03-05").output


def test_a_warehouse_that_is_none_is_said(project: Project):
    project.write("orders", ORDERS)
    done = project.elt("plan", "orders", "--warehouse", "snowflak")
    assert done.exit_code == 1
    assert 'did you mean "snowflake"?' in done.output


def test_people_see_window_deadline_tree_and_sql(project: Project):
    project.write("orders", ORDERS)
    text = project.elt("plan", "orders", "--date", "2024-03-05").stdout
    assert "window    2024-03-04 03:00 UTC to 2024-03-05 03:00 UTC" in text
    assert "deadline  2024-03-05 06:00 UTC" in text
    assert "│       └── load  merge into orders.orders" in text
    assert 'DELETE FROM "orders"."orders" AS t USING "temp"."landed" AS s WHERE t."id" = s."id";' in text


def test_the_picture_is_one_svg_with_every_task(project: Project):
    project.write("api", FLIGHTS)
    file = project.root / "api.svg"
    tasks = planned(project, "api", "--date", "2024-03-05", "--svg", str(file))["tasks"]
    tree = ET.parse(file)
    titles = [title.text for title in tree.iter("{http://www.w3.org/2000/svg}title")]
    assert len(titles) == len(tasks)
    assert "orders · load merge into api.orders" in titles


def test_the_picture_comes_as_png_too_twice_as_large(project: Project):
    project.write("api", FLIGHTS)
    svg, png = project.root / "api.svg", project.root / "api.png"
    planned(project, "api", "--date", "2024-03-05", "--svg", str(svg), "--png", str(png))
    head = png.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    drawn = ET.parse(svg).getroot()
    assert struct.unpack(">II", head[16:]) == (2 * int(drawn.get("width")), 2 * int(drawn.get("height")))


@pytest.mark.parametrize("style", ["h", "s", "p", "t", "d"])
def test_every_text_of_a_picture_is_drawn_also_where_the_machine_has_no_fonts(style: str, monkeypatch):
    import resvg_py

    draw = resvg_py.svg_to_bytes
    monkeypatch.setattr(resvg_py, "svg_to_bytes", lambda **told: draw(**told, skip_system_fonts=True))
    text = graph_svg("Name", "Window", [Panel("STAGE", (Box("a", "Task", "about it"),))])
    assert png_of(text) != png_of(re.sub(f'(<text class="{style}"[^>]*>)[^<]*', r"\1", text))


def test_a_picture_that_cannot_be_written_is_told(project: Project):
    project.write("orders", ORDERS)
    done = project.elt("plan", "orders", "--png", "no/such/folder/a.png")
    assert done.exit_code == 1
    assert "cannot write the picture" in done.output


def test_templates_stand_there_with_their_values(project: Project):
    project.write(
        "api", FLIGHTS.replace("limit: 10", 'run: "{{ run_id }}", area: "{{ params.area }}"') + "params: {area: EU}"
    )
    (table,) = planned(project, "api", "--date", "2024-03-05")["tables"]
    assert table["reads"] == ["GET shop:/v1/orders?since=2024-03-04T07:00:00Z&run=RUN-ID&area=EU"]
    project.write("db", DATABASE)
    (table,) = planned(project, "db", "--date", "2024-03-05")["tables"]
    assert table["reads"][0].startswith(
        "shop: SELECT * FROM (select * from o where area = 'it''s' and n > 7 and id > CURSOR)"
    )


@pytest.mark.services
def test_nothing_is_run_and_no_database_is_made_and_the_answer_is_clean(project: Project):
    project.write("orders", ORDERS)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    environment |= {"PYTHONPATH": str(ROOT / "include"), "ELT_PROJECT": str(project.root)}
    refuse = (
        "import socket\n"
        "def refuse(*_): raise AssertionError('the network was asked')\n"
        "socket.socket.connect = refuse\n"
        "from elt_factory.cli.main import app; app(['plan', 'orders', '--json'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", refuse], cwd=project.root, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["name"] == "orders"
    assert not list(project.root.rglob("*.db"))
    assert not list(project.root.rglob("*.duckdb"))


def test_boxes_stand_in_layers_along_the_edges_and_never_on_each_other():
    names = ["a", "b", "c", "d", "e"]
    found = layered(names, [("a", "c"), ("b", "c"), ("c", "d"), ("a", "d"), ("b", "e")])
    assert found.layers == {"a": 0, "b": 0, "c": 1, "d": 2, "e": 1}
    for layer in range(3):
        rows = sorted(found.rows[name] for name in names if found.layers[name] == layer)
        assert all(lower - upper >= 0.99 for upper, lower in pairwise(rows))
    assert [layer for layer, _ in found.routes["a", "d"]] == [0, 1, 2]


def test_whatever_a_text_holds_the_picture_is_well_formed():
    box = Box("a", '<b>&"' * 30, "]]>", "unheard of")
    tree = ET.fromstring(graph_svg("<&>", "'\"", [Panel("", (box,)), Panel("<p>", (box,), (("a", "none"),))]))
    assert tree.tag.endswith("svg")
