"""A whole Airflow that `elt up` starts, and its web UI in Debian's Chromium."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import httpx

from live_airflow import Live

ROOT = Path(__file__).parents[2]
ELT = [sys.executable, "-c", "from elt_factory.cli.main import main; main()"]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def elt(environment: dict[str, str], *arguments: str) -> None:
    done = subprocess.run([*ELT, *arguments], env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def address(live: Live) -> str:
    return f"{live.api.base_url.scheme}://{live.api.base_url.host}:{live.api.base_url.port}"


def password_file(live: Live) -> Path:
    return live.folder / ".airflow" / "simple_auth_manager_passwords.json.generated"


def as_user(live: Live, browser, user: str, **context):
    """A page of another user, whose token is in the cookie of a browser of their own."""
    password = json.loads(password_file(live).read_text())[user]
    answer = httpx.post(f"{address(live)}/auth/token", json={"username": user, "password": password}, trust_env=False)
    opened = browser.new_context(viewport={"width": 1480, "height": 940}, base_url=address(live), **context)
    token = answer.raise_for_status().json()["access_token"]
    opened.add_cookies([{"name": "_token", "value": token, "url": address(live)}])
    return opened.new_page()
