"""The wheel, and environments with it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from package_support import ROOT, Installed, environment_with

_BUILD = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-c", _BUILD, str(built)]
    done = subprocess.run(command, check=True, cwd=ROOT, capture_output=True, text=True)
    return built / done.stdout.split()[-1]


@pytest.fixture(scope="module")
def base(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel without extras."""
    return environment_with(tmp_path_factory.mktemp("environment"), f"elt-factory @ file://{wheel}")


@pytest.fixture
def install_requirements(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Installed]:
    """Makes an environment with what a requirements.txt lists."""
    return lambda file: environment_with(tmp_path_factory.mktemp("environment"), "--requirements", str(file))
