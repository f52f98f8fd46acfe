"""What the page's API answers, and to whom: every route needs a login, and the permission for the DAG."""

import json
import logging
import re
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pytest
from ui_support import HIDDEN

from elt_factory.ui.app import app
from elt_factory.ui.plugin import STATIC

ROOT = Path(__file__).parents[2]
CALLS = sorted((method, route.path) for route in app.routes for method in route.methods - {"HEAD"})
OF_A_SOURCE = [(method, path) for method, path in CALLS if "{name}" in path and "/sources/" in path]
DAYS = "?first=2026-01-01&last=2026-01-02"
READS = [path + DAYS * path.endswith("backfill") for method, path in CALLS if method == "GET"]
WRITES = [(method, path) for method, path in CALLS if method != "GET"]
pytestmark = pytest.mark.live


def filled(path, name="orders"):
    file = "sources.js" if "static" in path else name
    return path.replace("{name}", file).replace("{table}", "orders")


def test_the_walk_of_the_routes_has_every_address_that_the_plugin_serves():
    from fastapi.routing import APIRoute

    from elt_factory.ui.plugin import EltFactoryPlugin, LazyApp

    (served,) = EltFactoryPlugin.fastapi_apps
    assert (type(served["app"]), served["app"].loaded()) == (LazyApp, app)
    # nothing is mounted below it, whose routes were not seen
    assert {type(route) for route in app.routes} == {APIRoute}
    assert EltFactoryPlugin.flask_blueprints == EltFactoryPlugin.appbuilder_views == []


@pytest.mark.parametrize(("right", "path"), CALLS)
def test_no_route_answers_without_a_login(api, right, path):
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        answer = api.request(method, filled(path))
        assert answer.status_code in (401, 405), f"{method} {path}"
    forged = {"Authorization": "Bearer forged.token.here"}
    assert api.request(right, filled(path), headers=forged, json={}).status_code == 403


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_no_route_answers_a_user_without_a_role(api, login, method, path):
    assert api.request(method, filled(path), headers=login(None), json={}).status_code == 403


@pytest.mark.parametrize("role", ["viewer", "user", "op", "admin"])
def test_every_role_reads_and_a_viewer_changes_nothing(api, login, role):
    headers = login(role)
    assert {path: api.get(filled(path), headers=headers).status_code for path in READS} == dict.fromkeys(READS, 200)
    for method, path in WRITES:
        # 422: the body is empty, which one of them takes
        refused = role == "viewer" and ("/sources/" in path or path.endswith("/asked"))
        expected = 403 if refused else 200 if path.endswith("/asked") else 422
        assert api.request(method, filled(path), headers=headers, json={}).status_code == expected, path
    found = api.get("/api/v1/sources/orders", headers=headers).json()
    assert [found["may_run"], found["may_edit"]] == [role != "viewer"] * 2
    assert api.get("/api/v1/overview", headers=headers).json()["may_run"] == (
        [] if role == "viewer" else ["orders", "reports"]
    )


def test_what_a_role_of_another_auth_manager_may_is_asked_for_each_action(api, login, monkeypatch):
    from airflow.api_fastapi.app import get_auth_manager

    may = get_auth_manager().is_authorized_dag

    def only_runs(*, method, **more):
        return method != "PUT" and may(method=method, **more)

    monkeypatch.setattr(get_auth_manager(), "is_authorized_dag", only_runs)
    headers = login("user")
    found = api.get("/api/v1/sources/orders", headers=headers).json()
    assert (found["may_run"], found["may_edit"]) == (True, False)
    said = {"table": "orders", "why": "looking"}
    assert api.post("/api/v1/sources/orders/acknowledgement", headers=headers, json=said).status_code == 403


@pytest.mark.parametrize("right", [("GET", "run"), ("POST", "run"), ("PUT", "dag")], ids=" ".join)
def test_each_right_of_a_dag_is_asked_by_itself(api, login, monkeypatch, right):
    """A manager whose user lacks one right for one DAG, which follows from none of the others."""
    from airflow.api_fastapi.app import get_auth_manager

    may, headers = get_auth_manager().is_authorized_dag, login("user")

    def lacks_one(*, method, access_entity=None, details=None, **more):
        asked = (method, "run" if access_entity else "dag", details.id)
        return asked != (*right, "orders") and may(method=method, access_entity=access_entity, details=details, **more)

    monkeypatch.setattr(get_auth_manager(), "is_authorized_dag", lacks_one)
    found = api.get("/api/v1/overview", headers=headers).json()
    page = api.get("/api/v1/sources/orders", headers=headers)
    assert ("orders" in {row["source"] for row in found["tables"]}) is (page.status_code == 200) is (right[0] != "GET")
    assert found["may_run"] == (["orders", "reports"] if right == ("PUT", "dag") else ["reports"])
    if page.status_code == 200:
        assert (page.json()["may_run"], page.json()["may_edit"]) == (right[0] != "POST", right[0] != "PUT")
    columns = {row["source"] for row in api.get("/api/v1/catalogue", headers=headers).json()}
    assert ("orders" in columns) is (page.status_code == 200)


@pytest.mark.parametrize(("lacking", "expected"), [("POST", 403), ("PUT", 200)])
def test_who_may_start_runs_has_the_warehouse_asked(api, login, monkeypatch, lacking, expected):
    from airflow.api_fastapi.app import get_auth_manager

    may, headers = get_auth_manager().is_authorized_dag, login("user")
    lacks_one = lambda *, method, **more: method != lacking and may(method=method, **more)  # noqa: E731
    monkeypatch.setattr(get_auth_manager(), "is_authorized_dag", lacks_one)
    assert api.post("/api/v1/asked", headers=headers).status_code == expected


def test_who_looks_after_an_incident_is_shown_and_is_in_airflows_audit_log(api, login):
    from airflow.models.log import Log
    from airflow.utils.session import create_session

    from elt_factory.ui.picture import PictureKeeper

    path, headers = "/api/v1/sources/orders/acknowledgement", login("user")
    said = {"table": "orders", "why": " the shop sends it again "}
    foreign = headers | {"Sec-Fetch-Site": "cross-site"}
    assert api.post(path, headers=foreign, json=said).status_code == 403
    assert api.post(path, headers=headers | {"Content-Type": "text/plain"}, content=json.dumps(said)).status_code == 422
    assert api.post(path, headers=headers, json=said | {"table": "nothing"}).status_code == 404
    assert api.post(path, headers=headers, json=said | {"table": "refunds"}).status_code == 409
    assert api.post(path, headers=headers, json=said).status_code == 201
    rows = {row.table: row for row in PictureKeeper().picture().all_rows()}
    assert (rows["orders"].acknowledged.who, rows["orders"].acknowledged.why) == ("user-user", said["why"].strip())
    assert rows["refunds"].acknowledged is None
    with create_session() as session:
        (entry,) = session.query(Log).filter(Log.event == "elt_acknowledge", Log.owner == "user-user").all()
        assert (entry.dag_id, entry.owner, json.loads(entry.extra)["why"]) == (
            "orders",
            "user-user",
            said["why"].strip(),
        )


def test_an_acknowledgement_ends_with_another_trouble_and_with_the_next_load():
    from elt_factory.diagnosis.acknowledged import Said

    at = datetime(2026, 1, 2, tzinfo=UTC)
    entry = Said("rejects", "ann", at, "known")
    assert entry.holds("rejects", at)
    assert entry.holds("rejects", None)
    assert not entry.holds("late", at)
    assert not entry.holds("rejects", at + timedelta(seconds=1))


def test_without_a_scheduler_the_page_says_that_no_run_begins(api, login):
    assert api.get("/api/v1/overview", headers=login("viewer")).json()["scheduled"] is False


def test_who_may_read_one_dag_sees_that_one_alone(api, login, monkeypatch):
    from airflow.api_fastapi.app import get_auth_manager

    manager, headers = get_auth_manager(), login("viewer")
    monkeypatch.setattr(manager, "get_authorized_dag_ids", lambda **_: {"orders"})
    monkeypatch.setattr(manager, "is_authorized_dag", lambda *, details, **_: details.id == "orders")
    found = api.get("/api/v1/overview", headers=headers).json()
    assert {row["source"] for row in found["tables"]} == {"orders"}
    for method, path in OF_A_SOURCE:
        assert api.request(method, filled(path, "reports"), headers=headers, json={}).status_code == 403, path
        # whether there is such a source at all is not said either
        assert api.request(method, filled(path, "nothing"), headers=headers, json={}).status_code == 403, path
        expected = 200 if method == "GET" else 422
        days = DAYS * path.endswith("backfill")
        assert api.request(method, filled(path) + days, headers=headers, json={}).status_code == expected, path
    waiting = api.get("/api/v1/sources/orders", headers=headers).json()["waiting"]
    assert [box["name"] for box in waiting["boxes"]] == ["orders"]


def test_who_may_not_see_import_errors_sees_no_broken_yaml(api, login, monkeypatch):
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.models.resource_details import AccessView

    headers = login("viewer")
    (broken,) = api.get("/api/v1/overview", headers=headers).json()["broken"]
    assert broken["file"] == "broken.yaml"
    (mistake,) = broken["mistakes"]
    assert (mistake["line"], mistake["column"], mistake["code"]) == (3, 1, "unknown-key")
    assert mistake["excerpt"][-1] == "  | ^"
    assert "schedule" in mistake["hint"]
    website = lambda *, access_view, **_: access_view is AccessView.WEBSITE  # noqa: E731
    monkeypatch.setattr(get_auth_manager(), "is_authorized_view", website)
    assert api.get("/api/v1/overview", headers=headers).json()["broken"] == []


def test_the_list_is_what_the_audit_tables_say(api, login, project):
    found = api.get("/api/v1/overview", headers=login("viewer")).json()
    rows = {f"{row['source']}.{row['table']}": row for row in found["tables"]}
    assert set(rows) == {"orders.orders", "orders.refunds", "reports.totals"}
    orders = rows["orders.orders"]
    with duckdb.connect(str(project / "warehouse.duckdb")) as warehouse:
        loads = warehouse.execute(
            "SELECT rows_loaded, rows_read, rows_rejected, run_id, loaded_at FROM _elt.loads ORDER BY window_start"
        ).fetchall()
    assert orders["loads"] == [load[0] for load in loads]
    assert (orders["rows_read"], orders["rows_rejected"], orders["run_id"]) == loads[-1][1:4]
    assert datetime.fromisoformat(orders["loaded_at"]) == loads[-1][4]
    assert orders["open_rejects"] == 2
    assert 100 <= orders["band"]["low"] < orders["band"]["high"] <= 102
    assert orders["failed_loads"] == []
    assert rows["reports.totals"]["loads"] == []
    assert rows["reports.totals"]["state"] == "never loaded"
    assert found["copied"]["age"] >= 0


def test_elt_status_watch_says_what_the_page_says(api, login, monkeypatch):
    from rich.console import Console

    from elt_factory.cli import local, watching
    from elt_factory.ui import picture, routes

    def ended(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(local, "ensure_local_airflow", lambda: None)
    monkeypatch.setattr(picture, "current_picture", routes.current_picture)
    monkeypatch.setattr(watching, "time", SimpleNamespace(sleep=ended))
    console = Console(width=400, record=True, force_terminal=False)
    with pytest.raises(KeyboardInterrupt):
        watching.watch(console)
    logging.disable(logging.NOTSET)
    lines = console.export_text().splitlines()
    found = api.get("/api/v1/overview", headers=login("viewer")).json()["tables"]
    for row in found:
        (line,) = [line for line in lines if line.split()[:1] == [f"{row['source']}.{row['table']}"]]
        assert row["state"] in line
        assert row["sentence"] in line
    assert len(found) == 3


def test_the_windows_of_a_table_and_the_one_that_is_missing(api, login):
    found = api.get("/api/v1/sources/orders/tables/orders/loads", headers=login("viewer")).json()
    assert len(found["loads"]) == 11
    for load in found["loads"]:
        parts = ("loaded", "rejected", "duplicate", "unchanged", "filtered", "withheld")
        assert load["read"] == sum(load[part] for part in parts)
    (gap,) = found["gaps"]
    days = (datetime.fromisoformat(gap[end]) for end in ("start", "end"))
    assert [(datetime.now(UTC).date() - day.date()).days for day in days] == [5, 4]


def test_rejects_say_why_and_what_looks_like_html_stays_text(api, login):
    answer = api.get("/api/v1/sources/orders/rejects", headers=login("viewer"))
    assert answer.headers["content-type"] == "application/json"
    (reason,), (load,) = answer.json()["reasons"], answer.json()["loads"]
    assert (reason["rows"], load["rows"], load["state"]) == (2, 2, "open")
    assert json.loads(reason["record"])["id"] == HIDDEN


def test_the_config_in_effect_says_where_each_value_comes_from(api, login):
    found = api.get("/api/v1/sources/orders/config", headers=login("viewer")).json()
    settings = {one["path"]: one for one in found["settings"]}
    assert settings["deadline.within"] == {
        "path": "deadline.within",
        "value": "2h",
        "origin": "file",
        "where": "dag_configs/orders.yaml:6",
    }
    assert settings["catchup"]["origin"] == "language"


def test_the_cost_is_the_seconds_of_each_step_of_the_newest_runs():
    from types import SimpleNamespace

    from elt_factory.ui.costs import cost_of

    began = datetime(2026, 1, 2, tzinfo=UTC)

    def took(task_id, run_id, seconds):
        return "orders", task_id, run_id, began, began + timedelta(seconds=seconds)

    tasks = [
        took("tables.orders.extract", "one", 30),
        took("tables.orders.extract", "two", 10),
        took("tables.orders.load", "two", 5),
        took("transform.marts_run", "two", 45),
        ("orders", "tables.orders.load", "one", began, None),
    ]
    session = SimpleNamespace(scalars=lambda _: ["one", "two"], execute=lambda _: tasks)
    found = cost_of(session, "orders", "duckdb")
    assert [(row.step, row.table, row.runs, row.seconds, row.usual) for row in found.steps] == [
        ("transform", "", 1, 45, 45),
        ("extract", "orders", 2, 40, 20),
        ("load", "orders", 1, 5, 5),
    ]
    assert (found.runs, found.seconds, found.statement) == (2, 90, "")
    assert ":source::string = 'orders'" in cost_of(session, "orders", "snowflake").statement


def test_an_exposure_is_at_the_end_of_the_lineage(tmp_path):
    from elt_factory.config.loading import load_text
    from elt_factory.describe.lineage import lineage
    from elt_factory.describe.models import Models, read_models

    manifest = {
        "nodes": {
            "model.p.revenue": {
                "name": "revenue",
                "schema": "marts",
                "depends_on": {"nodes": ["source.p.orders.orders"]},
            }
        },
        "sources": {"source.p.orders.orders": {"name": "orders", "identifier": "orders", "schema": "orders"}},
        "exposures": {
            "exposure.p.board": {"name": "board", "label": "The board", "depends_on": {"nodes": ["model.p.revenue"]}},
            "exposure.p.other": {"name": "other", "depends_on": {"nodes": ["model.p.unknown"]}},
        },
    }
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    text = (
        "name: orders\nstart_date: 2026-01-01\nextract: {type: files, connection: inbox}\n"
        "tables: {orders: {path: o.csv}}\n"
    )
    config = load_text(tmp_path / "orders.yaml", text, tmp_path).config
    models = Models(read_models(tmp_path / "manifest.json"), {"orders": ("model.p.revenue",)})
    boxes, edges = lineage([config], models, [config])
    assert [(box.title, box.kind) for box in boxes if box.name.startswith("exposure")] == [("The board", "exposure")]
    assert ("model.p.revenue", "exposure.p.board") in edges


def test_the_catalogue_is_the_data_dictionary(api, login):
    found = api.get("/api/v1/catalogue", headers=login("viewer")).json()
    assert [(one["table"], one["column"], one["roles"], one["nullable"]) for one in found] == [
        ("orders", "id", ["key"], False),
        ("refunds", "id", ["key"], False),
        ("totals", "id", ["key"], False),
    ]
    assert {one["owner"] for one in found} == {"shop", "finance"}


def test_what_is_not_there_is_not_found_and_a_path_never_leaves_its_folder(api, login):
    viewer = login("viewer")
    assert api.get("/api/v1/sources/nothing", headers=viewer).status_code == 404
    assert api.get("/api/v1/sources/orders/tables/nothing/loads", headers=viewer).status_code == 404
    for name in ("..%2Fplugin.py", "plugin.py", "sources.js.version", "nothing.js", "%00.js"):
        assert api.get(f"/static/{name}", headers=viewer).status_code == 404, name


def test_every_answer_is_described(api, login):
    described = api.get("/api/v1/openapi.json", headers=login("viewer")).json()
    assert json.loads((ROOT / "page" / "openapi.json").read_text()) == described, "run make page"
    for path, methods in described["paths"].items():
        (method,) = methods
        good = next(code for code in ("200", "201") if code in methods[method]["responses"])
        schema = methods[method]["responses"][good]["content"]["application/json"]["schema"]
        assert schema not in ({}, {"type": "object"}), path


def test_of_a_source_without_news_nothing_is_read_again(api, load_again, monkeypatch):
    from elt_factory.ui import judged
    from elt_factory.ui.estate import current_estate

    read = judged.read_audit
    asked = []

    def noted(warehouse, configs, now):
        asked.append(sorted(config.name for config in configs))
        return read(warehouse, configs, now)

    monkeypatch.setattr(judged, "read_audit", noted)
    keeper, now = judged.AuditKeeper(), datetime.now(UTC)
    configs = [item.config for item in current_estate().configs.values()]
    keeper.audit(configs, now)
    keeper.audit(configs, now)
    assert asked == [["orders", "reports"]]
    load_again()
    found = keeper.audit(configs, now)
    assert asked[1:] == [["orders"]]
    assert found == judged.AuditKeeper().audit(configs, now)
    assert len(found.loads["orders", "orders"]) == 11


def test_whatever_is_asked_the_answer_is_not_an_error_of_the_server(api, login):
    import schemathesis
    from hypothesis import HealthCheck, Phase, given, settings

    headers = login("admin")
    schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", app, headers=headers)
    asked = Counter()

    def ask(case):
        if asked[case.operation.label] % 2:
            # what is there: what is made up alone ends at 404
            case.path_parameters |= {name: "orders" for name in ("name", "table") if name in case.path_parameters}
        answer = case.call(headers=headers)
        asked[case.operation.label] += 1
        assert answer.status_code < 500, f"{case.as_curl_command()}: {answer.text}"

    for found in schema.get_all_operations():
        limits = settings(
            max_examples=10,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        limits(given(case=found.ok().as_strategy())(ask))()
    assert len(asked) == len([path for _, path in CALLS if path.startswith("/api/") and "openapi" not in path])


def draft(api, headers, text):
    answer = api.post("/api/v1/draft", headers=headers, json={"text": text})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_yaml_that_is_written_has_its_mistakes_at_their_lines_and_its_dag_as_elt_plan_draws_it(api, login, project):
    from elt_factory.config.loading import load_text
    from elt_factory.describe.plan import tasks_of

    viewer, text = login("viewer"), (project / "dag_configs" / "reports.yaml").read_text()
    found = draft(api, viewer, text)
    assert (found["file"], found["mistakes"], found["notes"]) == ("reports.yaml", [], [])
    item = load_text(project / "dag_configs" / "reports.yaml", text, project / "dag_configs")
    drawn = {box["name"] for stage in found["stages"] for box in stage["graph"]["boxes"]}
    assert drawn == {task.task_id for task in tasks_of(item, {})} >= {"tables.totals.extract", "quality.totals"}

    (mistake,) = draft(api, viewer, text.replace("schedule:", "schedul:"))["mistakes"]
    assert (mistake["line"], mistake["column"], mistake["code"]) == (4, 1, "unknown-key")
    assert "schedule" in mistake["hint"]
    (mistake,) = draft(api, viewer, text.replace("{name: orders}", "{name: ordres}"))["mistakes"]
    assert mistake["line"] == 7
    assert 'did you mean "orders"' in mistake["hint"]
    assert draft(api, viewer, "name: [")["mistakes"][0]["code"] == "yaml-syntax"
    assert draft(api, viewer, "")["mistakes"]


def test_a_yaml_that_is_written_leads_nowhere(api, login, project, monkeypatch):
    import socket

    def refused(*_, **__):
        raise AssertionError("a draft asks no one")

    monkeypatch.setenv("TOLD", "what the server alone knows")
    monkeypatch.setenv("ELT_ENVIRONMENT", "prod")
    (project / "spy.py").write_text("raise AssertionError('a draft imports nothing')")
    monkeypatch.syspath_prepend(project)
    monkeypatch.setattr(socket.socket, "connect", refused)
    before = {file: file.stat().st_mtime_ns for file in project.rglob("*")}
    text = (
        "name: spying\nowner: ${TOLD}\nschedule: ${WHEN:-@daily}\nstart_date: 2026-01-01\n"
        "deadline: {within: '${LIMIT}'}\nextract: {type: python}\ntables: {t: {function: 'spy:rows'}}\n"
    )
    found = draft(api, login("viewer"), text)
    assert "the server alone" not in json.dumps(found)
    assert [(one["line"], one["code"]) for one in found["mistakes"]] == []
    (note,) = found["notes"]
    assert (note["line"], found["stages"]) == (5, [])
    found = draft(api, login("viewer"), text.replace("${LIMIT}", "${LIMIT:-2h}"))
    assert (found["mistakes"], found["notes"]) == ([], [])
    assert found["stages"]
    secret = draft(api, login("viewer"), text.replace("${TOLD}", "${API_TOKEN}"))
    assert [one["code"] for one in secret["mistakes"]] == ["secret"]
    assert {file: file.stat().st_mtime_ns for file in project.rglob("*")} == before
    foreign = login("viewer") | {"Sec-Fetch-Site": "cross-site"}
    assert api.post("/api/v1/draft", headers=foreign, json={"text": ""}).status_code == 403


def test_a_yaml_that_is_written_knows_only_the_configs_that_the_user_may_read(api, login, monkeypatch):
    from airflow.api_fastapi.app import get_auth_manager

    headers = login("viewer")
    monkeypatch.setattr(get_auth_manager(), "get_authorized_dag_ids", lambda **_: {"reports"})
    (mistake,) = draft(
        api,
        headers,
        "name: new\nstart_date: 2026-01-01\nextract: {type: files, connection: inbox}\n"
        "sensors: {before_extract: [{source: {name: order}}]}\ntables: {t: {path: t.csv}}\n",
    )["mistakes"]
    assert "orders" not in json.dumps(mistake)


def test_what_no_process_but_the_server_needs_is_not_imported_with_the_plugin():
    script = "import sys; before = set(sys.modules); import elt_factory.ui.plugin; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    imported = set(done.stdout.splitlines()[-1].split())
    assert {
        name for name in imported if re.match(r"fastapi|duckdb|pyarrow|elt_factory\.(warehouse|diagnosis)", name)
    } == set()


def test_the_bundle_is_what_its_sources_make():
    import hashlib

    page = ROOT / "page"
    files = sorted([*(f"src/{file.name}" for file in (page / "src").iterdir()), "build.mjs", "package-lock.json"])
    digest = hashlib.sha256()
    for name in files:
        digest.update(f"{name}\n".encode() + (page / name).read_bytes())
    assert (STATIC / "sources.js.version").read_text().strip() == digest.hexdigest()[:16], "run make page"


def test_the_bundle_is_small_and_asks_no_other_host():
    import gzip

    text = (STATIC / "sources.js").read_bytes()
    assert len(gzip.compress(text)) < 60_000
    hosts = set(re.findall(rb"https?://[a-z0-9.-]+", text)) - {b"http://www.w3.org"}
    assert hosts == set()
