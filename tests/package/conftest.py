"""The wheel, as a user installs it: in an environment that has nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_BUILD = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
# what this environment adds to a process
_NOT_INHERITED = ("AIRFLOW", "_AIRFLOW", "ELT_", "PYTHON", "VIRTUAL_ENV", "DBT_", "UV_")


@dataclass(frozen=True)
class Installed:
    """The wheel in an environment of its own, with the extras that it was installed with."""

    home: Path
    folder: Path = field(default=Path())

    def at(self, folder: Path) -> Installed:
        """The same environment, in a project's folder."""
        return Installed(self.home, folder)

    def elt(self, *arguments: str, exits: int = 0, **connections: Mapping[str, object]) -> str:
        return self.run("elt", *arguments, exits=exits, **connections)

    def run(self, program: str, *arguments: str, exits: int = 0, **connections: Mapping[str, object]) -> str:
        command = [str(self.home / "bin" / program), *arguments]
        given = {f"AIRFLOW_CONN_{name.upper()}": json.dumps(fields) for name, fields in connections.items()}
        done = subprocess.run(
            command, cwd=self.folder, env=clean_environment() | given, capture_output=True, text=True, check=False
        )
        assert done.returncode == exits, done.stdout + done.stderr
        return done.stdout + done.stderr


def clean_environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_INHERITED)}
    # messages are compared: no line of them is broken
    return kept | {"COLUMNS": "300"}


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-c", _BUILD, str(built)]
    done = subprocess.run(command, check=True, cwd=ROOT, capture_output=True, text=True)
    return built / done.stdout.split()[-1]


@pytest.fixture(scope="session")
def install(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Installed]:
    """Makes an environment with the wheel and extras of it, in the versions of the lock file."""

    def make(extras: str = "") -> Installed:
        home = tmp_path_factory.mktemp("environment")
        _uv("venv", "--quiet", "--python", sys.executable, "--allow-existing", str(home))
        # nothing is built and nothing compiled: what is not a wheel already could not be installed everywhere
        command = ("pip", "install", "--quiet", "--python", str(home / "bin" / "python"), "--only-binary", ":all:")
        _uv(*command, "--constraint", str(ROOT / "requirements.lock"), f"elt-factory{extras} @ file://{wheel}")
        return Installed(home)

    return make


@pytest.fixture(scope="module")
def base(install: Callable[[str], Installed]) -> Iterator[Installed]:
    """The wheel without extras."""
    made = install()
    yield made
    shutil.rmtree(made.home)


def _uv(*arguments: str) -> None:
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    done = subprocess.run([uv, *arguments], env=clean_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
