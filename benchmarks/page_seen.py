"""How long someone waits for the Sources page in Debian's Chromium, next to Airflow's own list of DAGs.

`page.py` runs it over the audit tables that it has laid: a web server of Airflow in a process of its own, asked by a
browser whose cache is warm, as it is on every day but the first. The clock is the browser's: from the navigation to the
frame in which the first row is on the screen, and from a click on a filter to the frame that shows its answer.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx

LOOKED = 12  # times for each, after one that fills the cache
SEEN_MS = 1000
PATIENCE_MS = 60_000
WAYS = {
    "Sources, first row": ("/plugin/sources", "tr.elt-row"),
    "Sources, one source": ("/plugin/sources?source=source_{0}", ".elt-diagnosis"),
    "Airflow's list, first DAG": ("/dags", 'a[href*="/dags/source_"]'),
}
FILTER = "Sources, answer to a filter"
# the frame in which something is on the screen, counted from the navigation; a page that is hidden has no frames
PAINTED = """selector => {
  const look = () => document.querySelector(selector)
    ? requestAnimationFrame(() => setTimeout(() => { window.painted = performance.now(); }))
    : setTimeout(look, 5);
  look();
}"""
CLICKED = """() => {
  const tile = document.querySelector('.elt-tile:not(.elt-none)'), began = performance.now();
  const look = () => tile.getAttribute('aria-pressed') === 'true'
    ? requestAnimationFrame(() => setTimeout(() => { window.answered = performance.now() - began; }))
    : setTimeout(look, 2);
  tile.click();
  look();
}"""


def main() -> int:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        print("there is no Chromium on this machine: what someone sees is not measured")
        return 0
    with served() as url:
        return told(in_browser(chromium, url))


@contextmanager
def served() -> Iterator[str]:
    """Run Airflow's web server over the database and the configs of the environment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    environment = {name: value for name, value in os.environ.items() if name != "_AIRFLOW_PROCESS_CONTEXT"} | {
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__API__BASE_URL": url,
    }
    command = [sys.executable, "-m", "airflow", "api-server", "--host", "127.0.0.1", "--port", str(port)]
    server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        ends = time.monotonic() + 120
        while not answers(f"{url}/api/v2/version"):
            if time.monotonic() > ends or server.poll() is not None:
                raise SystemExit(f"the web server did not start within 120 s (exit code {server.poll()})")
            time.sleep(0.5)
        yield url
    finally:
        end(server)


def end(server: subprocess.Popen[bytes]) -> None:
    """End a server and the processes that it has begun: it leads a group of its own."""
    with suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        server.wait(20)
    # what has not ended by now, or was left by its parent
    with suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait(20)


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).is_success
    except httpx.HTTPError:
        return False


def in_browser(chromium: str, url: str) -> dict[str, list[float]]:
    """Return the milliseconds of each look, the first one of each apart."""
    from playwright.sync_api import sync_playwright

    token = httpx.get(f"{url}/auth/token", timeout=30).raise_for_status().json()["access_token"]
    until_all_is_read(url, token)
    seen: dict[str, list[float]] = {}
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        context = opened.new_context(base_url=url, viewport={"width": 1480, "height": 940})
        context.add_cookies([{"name": "_token", "value": token, "url": url}])
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        for number in range(LOOKED + 1):
            for way, (path, shown) in WAYS.items():
                page.goto(path.format(number), wait_until="commit")
                page.evaluate(PAINTED, shown)
                page.wait_for_function("window.painted")
                seen.setdefault(way, []).append(page.evaluate("window.painted"))
                if shown == "tr.elt-row":
                    page.evaluate(CLICKED)
                    page.wait_for_function("window.answered")
                    seen.setdefault(FILTER, []).append(page.evaluate("window.answered"))
        opened.close()
    return seen


def until_all_is_read(url: str, token: str) -> None:
    """Wait for a server that has just begun: its first list is the newest part, and says so."""
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60) as client:
        for _ in range(240):
            if not client.get("/elt/api/v1/overview").raise_for_status().json()["copied"]["note"]:
                return
            time.sleep(0.25)


def told(seen: dict[str, list[float]]) -> int:
    """Print how long each took, and return 1 where a target was missed."""
    missed = False
    for way, (first, *times) in seen.items():
        p95, verdict = statistics.quantiles(times, n=20)[-1], ""
        if way.startswith("Sources"):
            missed |= p95 > SEEN_MS
            verdict = "ok" if p95 <= SEEN_MS else "MISSED"
        middle = statistics.median(times)
        print(f"{way:28} median {middle:7.0f} ms   p95 {p95:7.0f} ms   {verdict:6} first look {first:,.0f} ms")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
