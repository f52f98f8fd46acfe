"""`elt upgrade`: configs brought to the newest version of the language, with their comments and layout."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated

import typer

from elt_factory.cli.output import fail, say, short
from elt_factory.config import upgrade as language
from elt_factory.config.loading import DEFAULTS_FILE, config_files
from elt_factory.config.upgrade import plan_upgrade
from elt_factory.config.yaml.text import text_of
from elt_factory.core.project import config_folder


def upgrade(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Configs or folders of configs. Default: all of dag_configs.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the changes without writing them.")] = False,
) -> None:
    """Upgrade configs to the latest language version, keeping comments and layout. Review with git diff."""
    chosen = paths or [config_folder()]
    missing = [path for path in chosen if not path.exists()]
    if missing:
        fail(f"no such file or folder: {', '.join(map(str, missing))}")
    files = dict.fromkeys(file for path in chosen for file in _meant(path))
    # all are planned before one is written: an error leaves every file as it was
    planned = {file: text for file in files if (text := plan_upgrade(file, language.STEPS)) is not None}
    for file, text in planned.items():
        if dry_run:
            say(_difference(file, text))
        else:
            file.write_bytes(text.encode())
            say(f"Rewrote {short(file)}")
    if not planned:
        say("Nothing to upgrade: all configs use the latest version.")


def _meant(path: Path) -> list[Path]:
    return sorted({*config_files(path), *path.rglob(DEFAULTS_FILE)}) if path.is_dir() else [path]


def _difference(file: Path, text: str) -> str:
    old, new = text_of(file).splitlines(), text.splitlines()
    name = short(file)
    return "\n".join(difflib.unified_diff(old, new, name, name, lineterm="", n=1))
