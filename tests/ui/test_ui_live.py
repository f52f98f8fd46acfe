"""The page in Debian's Chromium, in the web UI of a whole Airflow: what it says is what the audit tables say."""

import json
import os
import re
import subprocess
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from browser_support import CHROMIUM, address, as_user, elt, password_file
from estate_support import ROOT, commit_orders, lay_estate, settings, windows
from ui_support import pictures_wanted

from elt_factory.cli.local import BUNDLES
from live_airflow import Live, signed_in, within

POSTGRES = "postgresql://postgres@127.0.0.1:5432"
AXE = ROOT / "page" / "node_modules" / "axe-core" / "axe.min.js"
NAMES = {"clicks", "customers", "inventory", "orders", "payments", "reports"}
STATES = {
    "clicks": "never loaded",
    "customers": "late",
    "inventory": "failing",
    "orders": "fresh",
    "payments": "rejecting",
    "reports": "waiting",
}
# the folder of the tests is not one that a reader has
WITHOUT_TESTS = r"""() => {
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const shown = texts.currentNode.nodeValue, told = shown.replace(/\/\S*\/inbox/g, "/data/inbox");
    if (told !== shown) texts.currentNode.nodeValue = told;
  }
}"""
# keeps the rows that are there, and notes which nodes come and go in which of them
WATCH = """() => {
  let box = document.querySelector('.elt-sheet');
  const scrolls = node => node.scrollHeight > node.clientHeight + 40 && getComputedStyle(node).overflowY !== 'visible';
  while (box.parentElement && !scrolls(box)) box = box.parentElement;
  box.scrollTop = 90;
  const rows = [...document.querySelectorAll('tr.elt-row')], came = [];
  const name = node => node.closest?.('tr.elt-row')?.querySelector('a.elt-name').innerText ?? 'the list itself';
  new MutationObserver(found => found.forEach(one => came.push(name(one.target)))).observe(
    document.querySelector('.elt-sheet'), {subtree: true, childList: true});
  window.watched = {box, rows, came, scrolled: box.scrollTop};
}"""
WATCHED = """() => {
  const {box, rows, came, scrolled} = window.watched, now = [...document.querySelectorAll('tr.elt-row')];
  return {same: rows.length === now.length && rows.every((row, place) => row === now[place]), came: [...new Set(came)],
          moved: box.scrollTop - scrolled, scrolled, focus: document.activeElement.innerText,
          search: document.querySelector('.elt-search').value};
}"""
pytestmark = [pytest.mark.live, pytest.mark.timeout(900)]

if CHROMIUM is None and not os.environ.get("ELT_REQUIRE_SERVICES"):
    pytest.skip("there is no Chromium: apt-get install chromium", allow_module_level=True)


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def metadata() -> Iterator[list[str]]:
    """Options that keep Airflow's metadata in a database of PostgreSQL, where there is a server."""
    name = f"elt_page_{uuid.uuid4().hex[:8]}"
    try:
        server = psycopg.connect(f"{POSTGRES}/postgres", autocommit=True, connect_timeout=3)
    except psycopg.OperationalError:
        assert os.environ.get("ELT_REQUIRE_SERVICES") != "1"
        yield []
        return
    with server:
        yield ["--postgres", f"{POSTGRES}/{name}"]
        server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def git_bundle(repository: Path) -> dict[str, object]:
    """A bundle over a repository that has no config yet."""
    work = repository.with_name("work")
    (work / "dag_configs").mkdir(parents=True)
    (work / "dag_configs" / ".gitkeep").touch()
    who = ("-c", "user.name=ann", "-c", "user.email=ann@example.org")
    git(work, "init", "--quiet", "--initial-branch=main")
    git(work, "add", ".")
    git(work, *who, "commit", "--quiet", "-m", "first")
    git(work, "clone", "--quiet", "--bare", ".", str(repository))
    kwargs = {"repo_url": str(repository), "tracking_ref": "main", "subdir": "dag_configs", "refresh_interval": 300}
    return {"name": "proposed", "classpath": "elt_factory.dag.bundle_git.GitYamlBundle", "kwargs": kwargs}


@pytest.fixture(scope="module")
def live(metadata: list[str], unused_ports: Iterator[int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder, port = tmp_path_factory.mktemp("estate"), next(unused_ports)
    lay_estate(folder)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")} | {
        "ELT_PROJECT": str(folder),
        "PYTHONPATH": str(ROOT / "include"),
        # what the form of a new source may look at, and where its YAML may become a branch
        "ELT_PAGE_SAMPLES": "connections",
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps([*BUNDLES, git_bundle(folder / "configs.git")]),
        # a DAG that is switched on runs only when it is told to
        "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin,vera:viewer,uwe:user",
        **settings(folder),
    }
    elt(environment, "up", "--port", str(port), *metadata)
    try:
        with signed_in(port, folder / ".airflow", folder) as airflow:
            within(120, lambda: airflow.dags() >= NAMES)
            for name in NAMES:
                airflow.api.patch(f"/dags/{name}", json={"is_paused": False}).raise_for_status()
            yield airflow
    finally:
        elt(environment, "down")


@pytest.fixture(scope="module")
def page(live: Live, browser):
    """A browser that is logged in as the administrator."""
    opened = browser.new_page(viewport={"width": 1480, "height": 940}, base_url=address(live))
    opened.errors = []
    opened.on("pageerror", lambda error: opened.errors.append(str(error)))
    opened.goto("/")
    user, password = next(iter(json.loads(password_file(live).read_text()).items()))
    opened.fill('input[name="username"]', user)
    opened.fill('input[name="password"]', password)
    opened.click('button[type="submit"]')
    opened.wait_for_url("**/")
    return opened


def window_of(run: dict) -> list[datetime]:
    """What a run loads, by its form, or by the interval that Airflow has given it."""
    ends = [run["conf"].get(f"window_{end}") or run[f"data_interval_{end}"] for end in ("start", "end")]
    return [datetime.fromisoformat(end) for end in ends if end]


def shown_states(page) -> dict[str, str]:
    """The states by source, all read in one moment: rows come and go."""
    pair = "row => ['a.elt-name', '.elt-pill'].map(part => row.querySelector(part).innerText.trim())"
    found = page.evaluate(f"[...document.querySelectorAll('tr.elt-row')].map({pair})")
    return {name.partition(".")[0]: state for name, state in found}


def picture(page, name: str) -> None:
    """The page in light and dark, for docs/images, where pictures are wanted."""
    if pictures_wanted():
        page.evaluate(WITHOUT_TESTS)
        for theme in ("light", "dark"):
            page.evaluate("theme => document.documentElement.className = theme", theme)
            page.wait_for_timeout(300)
            page.screenshot(path=ROOT / "docs" / "images" / f"{name}-{theme}.png")
        page.evaluate("document.documentElement.className = 'light'")


# colours change slowly, on a busy machine more so; what turns for ever is not waited for
IN_THEME = """async theme => {
    document.documentElement.className = theme
    await new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)))
    const changes = document.getAnimations().filter(one => one.effect.getTiming().iterations !== Infinity)
    await Promise.allSettled(changes.map(one => one.finished))
}"""


def no_serious_violation(page) -> None:
    if not AXE.is_file():
        assert not os.environ.get("ELT_REQUIRE_SERVICES") or os.environ.get("ELT_WITHOUT_AXE"), "npm ci --prefix page"
        return
    page.add_script_tag(path=AXE)
    for theme in ("dark", "light"):
        page.evaluate(IN_THEME, theme)
        found = page.evaluate("async () => (await axe.run('.elt')).violations")
        serious = [
            (one["id"], [node["html"][:160] for node in one["nodes"][:3]])
            for one in found
            if one["impact"] in ("serious", "critical")
        ]
        assert serious == [], theme


def test_the_list_says_what_is_wrong_first_and_what_the_audit_tables_say(live, page):
    last = windows(1)[0]
    conf = {"window_start": last.start.isoformat(), "window_end": last.end.isoformat()}
    live.tasks("inventory", live.trigger("inventory", **conf))
    live.trigger("reports", **conf)
    # the diagnosis waits for the sensor's first look
    page.goto("/plugin/sources")
    page.wait_for_selector("tr.elt-row")
    within(120, lambda: shown_states(page) == STATES)
    assert shown_states(page) == STATES
    assert list(shown_states(page).values())[:3] == ["failing", "rejecting", "late"]

    broken = page.locator(".elt-broken-files").inner_text()
    assert 'broken.yaml:5:32 unknown key "primary_keys"' in broken
    assert 'hint: did you mean "primary_key"?' in broken
    assert "stock_" in page.locator("tr.elt-failing .elt-sentence").inner_text()

    (rejects,) = live.query("SELECT count(*) FROM _elt.rejects WHERE source = 'payments'")
    assert f"{rejects[0]} open" in page.locator("tr.elt-rejecting").inner_text()
    ((rows,),) = live.query(
        "SELECT rows_loaded FROM _elt.loads WHERE source = 'orders' ORDER BY window_end DESC LIMIT 1"
    )
    orders = page.locator("tr.elt-fresh")
    assert f"{rows} rows" in orders.inner_text()
    assert orders.locator("svg.elt-spark").get_attribute("aria-label").startswith(f"30 loads, the last of {rows} rows")
    no_serious_violation(page)
    picture(page, "sources")


def test_filters_are_in_the_url_and_the_keyboard_moves_between_rows(page):
    page.goto("/plugin/sources")
    page.get_by_role("button", name=re.compile("late")).first.click()
    page.wait_for_url("**state=late**")
    within(10, lambda: list(shown_states(page)) == ["customers"])
    assert list(shown_states(page)) == ["customers"]
    page.reload()
    page.wait_for_selector("tr.elt-row")
    assert list(shown_states(page)) == ["customers"]
    page.goto("/plugin/sources?sort=table")
    page.wait_for_selector("tr.elt-row")
    page.keyboard.press("/")
    page.keyboard.type("finance")
    within(5, lambda: list(shown_states(page)) == ["payments", "reports"])
    page.wait_for_url("**q=finance**")
    page.goto("/plugin/sources?view=catalogue")
    page.wait_for_selector("tr:has-text('email')")
    no_serious_violation(page)
    picture(page, "catalogue")
    page.goto("/plugin/sources?sort=table&q=finance")
    within(5, lambda: list(shown_states(page)) == ["payments", "reports"])
    page.locator("a.elt-name").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url("**source=reports**")
    within(10, lambda: page.locator("h1").inner_text() == "reports")
    assert page.locator("h1").inner_text() == "reports"


def test_the_first_word_of_a_search_leaves_the_page_and_the_focus_as_they_are(page):
    page.goto("/plugin/sources?sort=table")
    page.wait_for_selector("tr.elt-row")
    page.evaluate("window.before = document.querySelector('.elt-page')")
    page.keyboard.press("/")
    page.keyboard.type("fin")
    page.wait_for_url("**q=fin")
    page.keyboard.type("ance")
    page.wait_for_url("**q=finance")
    focused = "document.activeElement === document.querySelector('.elt-search')"
    assert page.evaluate(f"[window.before.isConnected, {focused}]") == [True, True]


def test_a_source_has_its_windows_its_rejects_as_text_and_who_it_waits_for(live, page):
    page.goto("/plugin/sources?source=orders")
    page.wait_for_selector(".elt-calendar")
    loads = live.query("SELECT count(*) FROM _elt.loads WHERE source = 'orders'")[0][0]
    assert page.locator(".elt-table tbody tr").count() == loads
    assert page.locator(".elt-callout").inner_text().startswith("1 gap between the windows")
    no_serious_violation(page)
    picture(page, "source-loads")
    for tab in ("freshness", "volume", "schema", "quality", "deadlines", "config", "lineage", "cost", "rejects"):
        page.get_by_role("tab", name=re.compile(tab, re.IGNORECASE)).click()
        page.wait_for_selector("#elt-panel :is(.elt-plot, .elt-table, .elt-graph, .elt-empty)")
        assert page.locator("#elt-panel [role=alert]").count() == 0, tab
        no_serious_violation(page)
        if tab in ("volume", "quality", "config"):
            picture(page, f"source-{tab}")

    page.goto("/plugin/sources?source=payments&tab=rejects")
    page.wait_for_selector(".elt-record")
    assert "<b>none</b>" in page.locator("#elt-panel").inner_text()
    assert page.locator("#elt-panel b").count() == 0
    picture(page, "source-rejects")
    page.goto("/plugin/sources?source=reports&tab=waiting")
    page.wait_for_selector(".elt-box")
    assert {box.inner_text().split("\n")[0] for box in page.locator(".elt-box").all()} == {
        "customers",
        "orders",
        "reports",
    }
    picture(page, "source-waiting")

    page.goto("/dags/orders/plugin/source")
    page.wait_for_selector(".elt-calendar")
    assert page.locator(".elt-table tbody tr").count() == loads


def test_a_window_is_loaded_again_a_range_is_backfilled_after_a_preview_and_airflow_writes_it_down(live, page):
    page.goto("/plugin/sources?source=orders")
    page.get_by_role("button", name="Load again").first.click()
    page.get_by_role("dialog").get_by_role("button", name="Load again").click()
    run = page.get_by_role("link", name="Open the run").get_attribute("href").rpartition("/")[2]
    found = live.get(f"/dags/orders/dagRuns/{run}")
    last = windows(1)[0]
    assert found["conf"]["tables"] == ["orders"]
    assert [datetime.fromisoformat(found["conf"][f"window_{end}"]) for end in ("start", "end")] == [
        last.start,
        last.end,
    ]
    assert found["triggering_user_name"] == "admin"

    page.get_by_role("button", name="Backfill…").click()
    dialog = page.get_by_role("dialog")
    assert "Days are those of UTC" in dialog.inner_text()
    # its file has no dates: it is read once for the whole range, whether something is missing in it or not
    dialog.get_by_label("Only the gaps").uncheck()
    page.wait_for_selector(".elt-preview li")
    no_serious_violation(page)
    count = page.locator(".elt-preview li").count()
    assert count == 1
    dialog.get_by_role("button", name="Backfill 1 window").click()
    page.wait_for_selector(".elt-done:has-text('The backfill of')")
    runs = live.get("/dags/orders/dagRuns?limit=100")["dag_runs"]
    assert len([run for run in runs if (run["note"] or "").startswith("Backfill of")]) == count

    page.get_by_role("button", name="Full refresh…").click()
    button = dialog.get_by_role("button", name="Replace all rows")
    assert button.is_disabled()
    dialog.get_by_role("textbox").fill("orders.orders")
    assert button.is_enabled()
    page.keyboard.press("Escape")

    page.get_by_role("button", name="Pause…").click()
    dialog.get_by_role("button", name="Pause").click()
    page.wait_for_selector(".elt-done:has-text('orders is paused')")
    assert live.get("/dags/orders")["is_paused"] is True
    events = {entry["event"] for entry in live.get("/eventLogs?dag_id=orders&limit=100")["event_logs"]}
    assert events >= {"trigger_dag_run", "patch_dag"}


def test_on_a_phone_each_table_is_a_card_and_nothing_is_cut_off(page):
    page.set_viewport_size({"width": 400, "height": 860})
    page.goto("/plugin/sources")
    page.wait_for_selector("tr.elt-row")
    wide = page.evaluate(
        "(() => { const box = document.querySelector('.elt'); return box.scrollWidth - box.clientWidth })()"
    )
    assert wide <= 1
    no_serious_violation(page)
    picture(page, "sources-phone")
    page.set_viewport_size({"width": 1480, "height": 940})


def test_a_day_is_one_of_the_configs_zone_wherever_the_browser_is(live, browser):
    page = as_user(live, browser, "uwe", timezone_id="America/New_York")
    asked = []
    page.on("request", lambda request: asked.append(request.url) if "/backfill?" in request.url else None)
    page.goto("/plugin/sources?source=inventory")
    page.get_by_role("button", name="Backfill…").click()
    dialog = page.get_by_role("dialog")
    assert "Days are those of Asia/Tokyo" in dialog.inner_text()
    page.wait_for_selector(".elt-preview li")
    picture(page, "source-backfill")
    dialog.get_by_label("Only the gaps").uncheck()
    for field in ("From", "To, included"):
        dialog.get_by_label(field).fill("2026-03-08")  # the day on which New York's clocks change
    page.wait_for_selector(".elt-preview li:has-text('8 Mar 2026, 12:00')")
    assert page.locator(".elt-preview li").count() == 1
    assert asked[-1].endswith("/sources/inventory/backfill?first=2026-03-08&last=2026-03-08")
    dialog.get_by_role("button", name="Backfill 1 window").click()
    page.wait_for_selector(".elt-done")
    begun = [datetime(2026, 3, day, 3, tzinfo=UTC) for day in (8, 9)]
    assert [window_of(run) for run in live.get("/dags/inventory/dagRuns?limit=100")["dag_runs"]].count(begun) == 1

    # a failure in the midst: what was begun is not begun again
    sent = []

    def second_fails(route):
        sent.append(route.request.post_data_json["conf"]["window_start"])
        route.abort() if len(sent) == 2 else route.continue_()

    page.route("**/dagRuns", second_fails)
    page.get_by_role("button", name="Backfill…").click()
    dialog.get_by_label("Only the gaps").uncheck()
    dialog.get_by_label("From").fill("2026-03-11")
    dialog.get_by_label("To, included").fill("2026-03-13")
    dialog.get_by_role("button", name="Backfill 3 windows").click()
    dialog.get_by_role("alert").wait_for()
    dialog.get_by_role("button", name="Backfill 2 windows").click()
    page.wait_for_selector(".elt-done:has-text('3 windows')")
    assert sent == [sent[0], sent[1], sent[1], sent[3]]
    assert len(set(sent)) == 3
    page.context.close()


def test_a_viewer_has_no_buttons_and_a_user_acknowledges_replays_and_dismisses(live, browser):
    viewer = as_user(live, browser, "vera")
    viewer.goto("/plugin/sources?source=payments")
    viewer.wait_for_selector(".elt-calendar")
    assert "neither start runs of it nor change it" in viewer.locator(".elt-page").inner_text()
    names = [name for name in viewer.locator(".elt-page button:not([role=tab])").all_inner_texts() if len(name) > 1]
    assert names == []
    viewer.context.close()

    page = as_user(live, browser, "uwe")
    page.goto("/plugin/sources?source=payments&tab=rejects")
    dialog = page.get_by_role("dialog")
    page.get_by_role("button", name="Acknowledge…").click()
    dialog.get_by_role("textbox").fill("the bank sends a new file")
    dialog.get_by_role("button", name="Acknowledge").click()
    page.wait_for_selector(".elt-diagnosis:has-text('uwe takes care of it')")
    no_serious_violation(page)
    picture(page, "source-acknowledged")
    (entry,) = live.get("/eventLogs?event=elt_acknowledge")["event_logs"]
    assert (entry["dag_id"], entry["owner"]) == ("payments", "uwe")

    def started() -> str:
        return page.get_by_role("link", name="Open the run").get_attribute("href").rpartition("/")[2]

    page.get_by_role("button", name="Replay rejects…").click()
    dialog.get_by_role("button", name="Replay rejects").click()
    replay = live.get(f"/dags/payments/dagRuns/{started()}")
    assert (replay["conf"]["replay_rejects"], replay["triggering_user_name"]) == (True, "uwe")
    live.tasks("payments", replay["dag_run_id"])
    page.get_by_role("tab", name="Cost").click()
    page.wait_for_selector("#elt-panel .elt-table:has-text('extract')")
    picture(page, "source-cost")
    page.get_by_role("tab", name="Rejects").click()

    page.get_by_role("button", name="Dismiss rejects…").click()
    assert dialog.get_by_role("button", name="Dismiss rejects").is_disabled()
    dialog.get_by_role("textbox").fill("test rows of the bank")
    picture(page, "source-dismiss")
    dialog.get_by_role("button", name="Dismiss rejects").click()
    page.wait_for_selector(".elt-done:has-text('Dismiss rejects of payments')")
    ended = live.tasks("payments", started())
    assert {state for state, _ in ended.values()} == {"skipped"}
    assert live.query("SELECT DISTINCT why, who FROM _elt.reject_states WHERE state = 'dismissed'") == [
        ("test rows of the bank", "uwe")
    ]
    assert live.query("SELECT count(*) FROM _elt.rejects WHERE state = 'open' AND source = 'payments'") == [(0,)]
    # who said so, and why
    page.wait_for_selector("#elt-panel td:has-text('uwe: test rows of the bank')")
    events = {entry["event"] for entry in live.get("/eventLogs?dag_id=payments&limit=100")["event_logs"]}
    assert events >= {"trigger_dag_run", "elt_acknowledge"}
    page.context.close()


def test_a_yaml_is_written_in_the_browser_with_its_mistakes_and_its_dag(live, page):
    page.goto("/plugin/sources")
    page.get_by_role("link", name="New source").click()
    page.wait_for_selector(".elt-stage .elt-box")
    editor = page.get_by_label("YAML of the source")
    text = editor.input_value()
    editor.fill(text.replace("primary_key:", "primary_keys:") + "quality: {ordres: [{row_count: {min: 1}}]}\n")
    page.wait_for_selector(".elt-mistakes:has-text('did you mean \"primary_key\"')")
    wrong = text[: text.index("primary_key")].count("\n") + 1
    assert str(wrong) in page.locator(".elt-gutter-bad").all_inner_texts()
    assert page.locator(".elt-stage").count() == 0
    page.get_by_role("button", name=re.compile(rf"line {wrong},")).click()
    assert page.evaluate("document.activeElement.tagName") == "TEXTAREA"
    no_serious_violation(page)
    picture(page, "new-source-mistakes")
    editor.fill(text)
    page.wait_for_selector(".elt-stage .elt-box:has-text('orders · load')")
    no_serious_violation(page)
    picture(page, "new-source")
    files = sorted((live.folder / "dag_configs").iterdir())
    with page.expect_download() as download:
        page.get_by_role("button", name="Download orders.yaml").click()
    assert (download.value.suggested_filename, download.value.path().read_text()) == ("orders.yaml", text)
    assert sorted((live.folder / "dag_configs").iterdir()) == files


def test_a_config_is_written_from_a_connection_and_pushed_as_a_branch(live, browser, page):
    user = as_user(live, browser, "uwe")  # who may change DAGs, and no connections
    user.goto("/plugin/sources?view=new")
    user.wait_for_selector(".elt-propose")
    assert user.locator(".elt-sample").count() == 0
    user.context.close()

    # only what is in Airflow's database is looked at, and what takes its place at run time must be the same
    stored = {"connection_id": "inbox", "conn_type": "fs", "extra": json.dumps({"path": str(live.folder / "inbox")})}
    live.api.post("/connections", json=stored).raise_for_status()
    page.goto("/plugin/sources?view=new")
    page.get_by_text("From a connection or a URL").click()
    page.get_by_label("Name of the source").fill("refunds")
    page.get_by_label("Connection of Airflow").fill("inbox")
    page.get_by_label("Path, or pattern of files").fill("payments.csv")
    page.get_by_role("button", name="Look at it").click()
    page.wait_for_selector(".elt-sample:has-text('refunds.yaml is written below')")
    page.wait_for_selector(".elt-stage .elt-box:has-text('payments · load')")
    text = page.get_by_label("YAML of the source").input_value()
    assert "connection: inbox" in text
    page.get_by_role("button", name="Push it as a branch").click()
    page.wait_for_selector(".elt-propose:has-text('elt/refunds-')")
    branch = page.locator(".elt-propose code").first.inner_text()
    repository = live.folder / "configs.git"
    assert git(repository, "show", f"{branch}:dag_configs/refunds.yaml") == text.strip()
    assert git(repository, "diff", "--name-status", "main", branch) == "A\tdag_configs/refunds.yaml"
    assert git(repository, "log", "-1", "--format=%an", branch) == "admin"
    no_serious_violation(page)
    picture(page, "new-source-form")
    events = {entry["event"] for entry in live.get("/eventLogs?limit=100&order_by=-when")["event_logs"]}
    assert events >= {"elt_sample", "elt_propose"}


def test_the_page_works_below_a_base_path(live, browser):
    page = as_user(live, browser, "uwe")
    asked = []
    page.on("request", lambda request: asked.append(request.url))

    def below(route) -> None:
        answer = route.fetch(url=route.request.url.replace("/below/here/", "/", 1))
        if "text/html" in answer.headers.get("content-type", ""):
            route.fulfill(response=answer, body=answer.text().replace('<base href="/"', '<base href="/below/here/"'))
        else:
            route.fulfill(response=answer)

    page.route("**/below/here/**", below)
    page.goto("/below/here/plugin/sources")
    page.locator("a.elt-name", has_text="orders").first.click()
    page.wait_for_selector(".elt-calendar")
    assert "/below/here/plugin/sources" in page.url
    assert "/below/here/dags/orders" in page.get_by_role("link", name="its DAG").get_attribute("href")
    own = [url for url in asked if "/elt/" in url]
    assert own
    assert [url for url in own if "/below/here/" not in url] == []
    page.context.close()


def test_a_commit_changes_its_row_and_no_other_and_takes_neither_place_nor_focus_from_the_reader(live, page):
    page.set_viewport_size({"width": 1480, "height": 420})
    page.goto("/plugin/sources?sort=table&q=o")
    page.wait_for_selector("tr.elt-row")
    page.locator("a.elt-name", has_text="payments").focus()
    page.evaluate(WATCH)
    row = page.locator("tr.elt-row", has_text="orders.orders")
    assert "4,321 rows" not in row.inner_text()
    commit_orders(live.folder, 4_321)
    within(60, lambda: "4,321 rows" in row.inner_text())
    assert "4,321 rows" in row.inner_text()
    found = page.evaluate(WATCHED)
    assert found["same"]
    assert set(found["came"]) <= {"orders.orders"}
    assert (found["moved"], found["focus"], found["search"]) == (0, "payments.payments", "o")
    assert found["scrolled"] > 0
    assert page.url.endswith("/plugin/sources?sort=table&q=o")
    page.set_viewport_size({"width": 1480, "height": 940})


def test_nothing_went_wrong_in_the_browser_and_it_asked_little_and_no_other_host(live, page):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto("/plugin/sources")
    page.wait_for_selector("tr.elt-row")
    own = [url.partition("/elt/")[2].partition("?")[0] for url in asked if "/elt/" in url and "icon" not in url]
    assert own == ["static/sources.js", "api/v1/overview"]
    asked.clear()
    page.locator("a.elt-name", has_text="orders").first.click()
    page.wait_for_selector(".elt-calendar")
    own = sorted(url.partition("/elt/")[2] for url in asked if "/elt/" in url)
    assert own == ["api/v1/sources/orders", "api/v1/sources/orders/tables/orders/loads"]
    assert [url for url in asked if not url.startswith((address(live), "data:", "blob:"))] == []
    assert page.errors == []
