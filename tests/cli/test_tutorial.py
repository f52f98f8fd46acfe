"""docs/tutorial.md as its reader goes through it: files are written, commands run and print what the page shows."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tutorial_support import Command, File, comparable, steps

from elt_process import Elt, elt_commands

pytestmark = [pytest.mark.live, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
BEGINNING = ["pip install elt-factory", "elt init beans", "cd beans"]
FAILED = ("error:", "✗")


def test_every_command_prints_what_the_page_shows(tmp_path: Path):
    every = list(steps(PAGE))
    first, rest = every[: len(BEGINNING)], every[len(BEGINNING) :]
    assert [step.line for step in first] == BEGINNING
    assert any(isinstance(step, File) for step in rest)
    with project_that_init_makes(tmp_path) as (folder, elt):
        for step in rest:
            if isinstance(step, File):
                write(folder, step)
            else:
                run(folder, elt, step)


@contextmanager
def project_that_init_makes(folder: Path) -> Iterator[tuple[Path, Elt]]:
    """The project of the page's beginning, and the `elt` of this checkout in it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "_AIRFLOW", "ELT_"))}
    environment = kept | {"PYTHONPATH": str(ROOT / "include"), "COLUMNS": "100"}
    elt, made = [sys.executable, "-c", "from elt_factory.cli.main import main; main()"], folder / "beans"
    subprocess.run([*elt, "init", "beans"], cwd=folder, env=environment, check=True)
    # the process that commands are forked from imports Airflow before its home is there, and would say so
    subprocess.run([*elt, "setup"], cwd=made, env=environment | {"ELT_PROJECT": str(made)}, check=True)
    with elt_commands(environment | {"ELT_PROJECT": str(made)}, made) as commands:
        yield made, commands


def write(folder: Path, file: File) -> None:
    path = folder / file.path
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a" if file.is_added else "w", encoding="utf-8") as stream:
        stream.write(file.text)


def run(folder: Path, elt: Elt, command: Command) -> None:
    if command.line.endswith("&"):
        subprocess.Popen(["bash", "-c", command.line], cwd=folder)
        return
    if not command.line.startswith("elt "):
        subprocess.run(["bash", "-c", command.line], cwd=folder, check=True)
        return
    done = elt(*shlex.split(command.line)[1:])
    said = done.stdout + done.stderr
    assert comparable(said) == comparable("\n".join(command.printed)), command.line
    assert (done.returncode != 0) == any(sign in said for sign in FAILED), command.line
