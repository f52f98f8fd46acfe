"""The wheel, as a user installs it: in an environment that has nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
# what this environment adds to a process
_NOT_INHERITED = ("AIRFLOW", "_AIRFLOW", "ELT_", "PYTHON", "VIRTUAL_ENV", "DBT_")


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


def environment_with(home: Path, *wanted: str) -> Installed:
    """An environment with packages in the versions of the lock file."""
    _uv("venv", "--quiet", "--python", sys.executable, "--allow-existing", str(home))
    target = ("--python", str(home / "bin" / "python"), "--constraint", str(ROOT / "requirements.lock"))
    _uv("pip", "install", "--quiet", *target, *wanted)
    return Installed(home)


def _uv(*arguments: str) -> None:
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    done = subprocess.run([uv, *arguments], env=clean_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
