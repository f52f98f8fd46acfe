"""What the tests of the commands share: a project of their own, and the command in this process or another."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

ROOT = Path(__file__).parents[2]

ORDERS = """\
name: orders
owner: sales
schedule: "0 3 * * *"
start_date: 2024-01-01
deadline: {by: "06:00"}
extract: {type: files, folder: inbox}
tables:
  orders:
    path: orders_%Y-%m-%d.csv
    primary_key: [id]
    write_disposition: merge
    business_date: ordered_at
    columns:
      id: {type: integer, nullable: false, description: "The order's number"}
      ordered_at: {type: timestamp}
      email: {type: text, pii: hash}
quality:
  orders:
    - freshness: {business_date_within: 26h}
    - row_count: {min: 1}
"""


class Project:
    """A project folder with configs, and `elt` over it."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.configs = root / "dag_configs"
        self.configs.mkdir(parents=True)
        monkeypatch.setenv("ELT_PROJECT", str(root))
        monkeypatch.chdir(root)

    def write(self, name: str, text: str) -> Path:
        file = self.configs / f"{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    def elt(self, *arguments: str) -> Result:
        """The command in this process."""
        from elt_factory.cli.main import app

        return CliRunner().invoke(app, list(arguments), catch_exceptions=True)

    def git(self, *arguments: str) -> None:
        identity = ["-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *identity, *arguments], cwd=self.root, check=True, capture_output=True)

    def commit(self) -> None:
        if not (self.root / ".git").exists():
            self.git("init", "--quiet")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", "as it is")


def python(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Python in a process of its own, with this checkout."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "include"), "ELT_PROJECT": str(cwd)}
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
