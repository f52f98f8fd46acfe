"""Folders of configs, right and broken, for the tests of the two ways in."""

import subprocess
from collections.abc import Iterable
from pathlib import Path

GOOD = """
name: {name}
schedule: "0 3 * * *"
start_date: 2013-01-01
extract: {{type: files, connection: inbox}}
tables:
  input: {{path: input.csv, primary_key: [id], write_disposition: merge}}
"""

# Airflow's own setting, under which dags/sources.py is what it reads
NO_BUNDLE = (
    '[{"name": "dags-folder", "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle", "kwargs": {}}]'
)

_TABLES = "tables: {input: {path: input.csv}}\n"
_FILES = f"extract: {{type: files, connection: inbox}}\n{_TABLES}"

# Five ways to break a file, and where each is broken
BROKEN = {
    "syntax": ("name: syntax\nextract: [files\n" + _TABLES, "2:10"),
    "unknown_key": ("name: unknown_key\nshedule: 0 3 * * *\n" + _FILES, "2:1"),
    "cycle": ("name: cycle\n" + _FILES + "sensors:\n  before_extract:\n    - source: {name: cycle}\n", "6:22"),
    "no_connection": ("name: no_connection\nextract: {type: rest_api}\ntables: {t: {path: /t}}\n", "2:1"),
    "bad_dbt": ("name: bad_dbt\n" + _FILES + 'transform:\n  dbt:\n    select: "tag:flihgts"\n', "6:13"),
}


def write_good(folder: Path, names: Iterable[str], extra: str = "") -> list[Path]:
    """A right config of each name."""
    folder.mkdir(parents=True, exist_ok=True)
    return [write(folder / f"{name}.yaml", GOOD.format(name=name) + extra) for name in names]


def write_broken(folder: Path) -> dict[str, Path]:
    """A config broken in each way, by the way."""
    folder.mkdir(parents=True, exist_ok=True)
    return {way: write(folder / f"{way}.yaml", text) for way, (text, _) in BROKEN.items()}


def write(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false"]
    return subprocess.run(
        ["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


def commit(folder: Path) -> str:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "change")
    return git(folder, "rev-parse", "HEAD")
