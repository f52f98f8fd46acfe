"""What the page's API answers, and to whom: every route needs a login, and the permission for the DAG."""

import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest
from ui_support import HIDDEN

from elt_factory.ui.app import app
from elt_factory.ui.plugin import STATIC

ROOT = Path(__file__).parents[2]
ROUTES = sorted(route.path for route in app.routes)
OF_A_SOURCE = [path for path in ROUTES if "{name}" in path and "/sources/" in path]
pytestmark = pytest.mark.live


def filled(path, name="orders"):
    file = "sources.js" if "static" in path else name
    return path.replace("{name}", file).replace("{table}", "orders")


@pytest.mark.parametrize("path", ROUTES)
def test_no_route_answers_without_a_login(api, path):
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        answer = api.request(method, filled(path))
        assert answer.status_code in (401, 405), f"{method} {path}"
    assert api.get(filled(path), headers={"Authorization": "Bearer forged.token.here"}).status_code == 403


@pytest.mark.parametrize("path", ROUTES)
def test_no_route_answers_a_user_without_a_role(api, login, path):
    assert api.get(filled(path), headers=login(None)).status_code == 403


@pytest.mark.parametrize("path", ROUTES)
def test_a_viewer_sees_what_he_may_read(api, login, path):
    assert api.get(filled(path), headers=login("viewer")).status_code == 200


def test_a_viewer_may_not_start_runs_and_a_user_may(api, login):
    assert api.get("/api/v1/overview", headers=login("viewer")).json()["may_run"] == []
    assert api.get("/api/v1/overview", headers=login("user")).json()["may_run"] == ["orders", "reports"]
    assert api.get("/api/v1/sources/orders", headers=login("viewer")).json()["may_run"] is False


def test_who_may_read_one_dag_sees_that_one_alone(api, login, monkeypatch):
    from airflow.api_fastapi.app import get_auth_manager

    manager, headers = get_auth_manager(), login("viewer")
    monkeypatch.setattr(manager, "get_authorized_dag_ids", lambda **_: {"orders"})
    monkeypatch.setattr(manager, "is_authorized_dag", lambda *, details, **_: details.id == "orders")
    found = api.get("/api/v1/overview", headers=headers).json()
    assert {row["source"] for row in found["tables"]} == {"orders"}
    for path in OF_A_SOURCE:
        assert api.get(filled(path, "reports"), headers=headers).status_code == 403, path
        # whether there is such a source at all is not said either
        assert api.get(filled(path, "nothing"), headers=headers).status_code == 403, path
        assert api.get(filled(path), headers=headers).status_code == 200, path
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
        assert set(methods) == {"get"}, path
        schema = methods["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        assert schema not in ({}, {"type": "object"}), path


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
