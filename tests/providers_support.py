"""Providers of Airflow's that are not in the environment of the tests: in processes that find them next to it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROVIDERS = ROOT / "build" / "providers"


def run_with_providers(folder: Path, code: str, *arguments: str, **environment: str) -> str:
    """Run Python in a folder that can import the providers of `make providers`; what it printed."""
    if not PROVIDERS.is_dir():
        if os.environ.get("ELT_REQUIRE_SERVICES") == "1" and not os.environ.get("ELT_WITHOUT_PROVIDERS"):
            pytest.fail("the providers are not there: make providers")
        pytest.skip("the providers are not there: make providers")
    path = os.pathsep.join(map(str, (PROVIDERS, ROOT / "include")))
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=os.environ | {"PYTHONPATH": path} | environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
