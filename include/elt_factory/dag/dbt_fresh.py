"""Whether the dbt manifest is older than the project it was made from, and having it made again.

Imports neither Airflow nor Cosmos: the DAG processor asks this every few seconds.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

log = logging.getLogger(__name__)

SETUP_COMMAND = "elt setup"
_KINDS = (".sql", ".yml", ".yaml", ".csv", ".md", ".py")
_NOT_SOURCES = ("target", "logs", "dbt_packages", "__pycache__")

# By project: the change that was seen last, so that each is reported or parsed once, and the process that parses
_seen: dict[Path, int] = {}
_parsing: dict[Path, subprocess.Popen[bytes]] = {}


def manifest_file(project: Path) -> Path:
    """Where dbt leaves its manifest."""
    return project / "target" / "manifest.json"


def changed_since(project: Path) -> Path | None:
    """Return the newest file or folder of a dbt project, where the manifest is older or missing."""
    newest = max(_sources(project), key=_time_of, default=None)
    return newest if newest and _time_of(newest) > _time_of(manifest_file(project)) else None


def keep_fresh(project: Path) -> None:
    """Have a manifest that is older than its project made again by a process of its own, where the folder is writable.

    Elsewhere it is said once in the log. Either way it is not an error: the models that are known run, in their newest
    state, and times of files mean little in an image. A selector that picks nothing is one, and names the hint.
    """
    if _still_parsing(project):
        return
    changed = changed_since(project)
    if changed is None or _seen.get(project) == _time_of(changed):
        return
    _seen[project] = _time_of(changed)
    if _is_writable(project):
        log.info("%s is newer than the dbt manifest: rebuilding the manifest", changed)
        _parsing[project] = _start(project)
    else:
        log.warning("%s is newer than the dbt manifest: run `%s` to update the DAGs", changed, SETUP_COMMAND)


def _still_parsing(project: Path) -> bool:
    process = _parsing.get(project)
    if process is None or process.poll() is None:
        return process is not None
    del _parsing[project]
    if process.returncode:
        said = _said_file(project).read_text(encoding="utf-8", errors="replace")
        log.error("dbt cannot parse %s, so the DAGs are unchanged:\n%s", project, said)
    return False


def _start(project: Path) -> subprocess.Popen[bytes]:
    _said_file(project).parent.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "elt_factory.dag.dbt_project", str(project)]
    # into a file: what no one reads would fill a pipe, and dbt would wait indefinitely
    with _said_file(project).open("w") as said:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said)  # noqa: S603 - ELT Factory's own


def _said_file(project: Path) -> Path:
    return manifest_file(project).with_name("parse.log")


def _is_writable(project: Path) -> bool:
    target = manifest_file(project).parent
    return (project / "dbt_project.yml").is_file() and os.access(target if target.is_dir() else project, os.W_OK)


def _sources(project: Path) -> Iterator[Path]:
    """Yield what dbt parses; folders, too, whose time reports that a file went."""
    for place, below, names in os.walk(project):
        below[:] = [name for name in below if name not in _NOT_SOURCES and name[0] != "."]
        read = [name for name in names if name.endswith(_KINDS) and name[0] != "."]
        yield from (Path(place, name) for name in (*below, *read))


def _time_of(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
